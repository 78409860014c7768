"""Proofs about the bridges of address-events, by induction: any camera, any sink, for ever.

A proof sees the pins of the other side once per cycle, as the first flip-flop does; the other side
may answer within the cycle or as late as it likes.
"""

import numpy as np
import pytest
from amaranth.hdl import (
    Assert,
    Assume,
    Const,
    Cover,
    Elaboratable,
    Fragment,
    Module,
    Mux,
    ResetSignal,
    Signal,
)

from lamina.models.aer import aer_axons
from lamina.models.config import AerConfig, EventKind, HardwareConfig
from lamina.rtl.link import aer
from tests.formal.conftest import signals

CORE = HardwareConfig(lanes=4, tiers=(4, 4), axons=32, groups=2)
CAMERAS = {
    "plain": AerConfig(address_bits=5, x_bits=2, y_low=2, y_bits=2, polarity_low=4, columns=3,
                       rows=3),
    "odd": AerConfig(address_bits=6, polarity_low=0, y_low=1, y_bits=2, x_low=4, x_bits=2,
                     columns=3, rows=3, x_step=8, y_step=2, polarity_step=1, timesteps=2,
                     active_low=True),
}
NONE, TICK, CLEAR = 0, EventKind.TICK, EventKind.CLEAR


def before(m, signal):
    """`signal` one cycle ago, 0 in the first."""
    past = Signal.like(signal, name=f"{signal.name}_before")
    m.d.sync += past.eq(signal)
    return past


def table(values, bits):
    """All `values` side by side; an Array would become a memory, free in an induction."""
    return Const(sum(value << bits * place for place, value in enumerate(values)),
                 bits * len(values))


def implies(condition, *claims):
    """An assertion for each of `claims`, under a condition."""
    return [Assert(~condition | claim) for claim in claims]


def enqueued(queue, when, kind):
    """Ends that wait, two different ones at most; the new one is lost if it waits already."""
    first, second = queue
    return (Mux(when & (first == NONE), kind, first),
            Mux(when & (first != NONE) & (first != kind), kind, second))


def bounded(m, name, waits, counts, most, work):
    """While `waits`, at most `most` cycles pass in which `counts`.

    `work` falls with every such cycle and never rises, which makes the bound inductive; it is None
    where only the ports are judged.
    """
    turns = Signal(range(most + 2), name=f"{name}_turns")
    with m.If(~waits):
        m.d.sync += turns.eq(0)
    with m.Elif(counts):
        m.d.sync += turns.eq(turns + 1)
    m.d.comb += Assert(turns <= most)
    if work is not None:
        m.d.comb += implies(waits, turns + work < most)


class ReceiverProof(Elaboratable):
    """A camera that keeps the 4-phase rule beside a raw source; any strobes, any stalls.

    The reference keeps the addresses that were acknowledged and did not leave yet, and the ends of
    timesteps and samples that wait. With `related` it is tied to the signals inside of the
    receiver, which makes the proof inductive; without, only the ports are judged.
    """

    def __init__(self, camera, module=aer, *, related=True):
        self._camera, self._related = camera, related
        self._receiver = module.AerReceiver(CORE, camera)
        self.req, self.ack = Signal(), Signal()

    @property
    def inputs(self):
        receiver = self._receiver
        return [self.req, receiver.address, receiver.raw.valid, receiver.raw.payload,
                receiver.tick_stb, receiver.clear_stb, receiver.events.ready]

    def elaborate(self, platform):
        m = Module()
        receiver, low = self._receiver, int(self._camera.active_low)
        m.submodules.receiver = fragment = Fragment.get(receiver, platform)
        self._inside = signals(fragment)
        m.d.comb += [Assume(~ResetSignal()), receiver.req.eq(self.req ^ low),
                     self.ack.eq(receiver.ack ^ low)]
        self._handshake(m)
        queue = self._acknowledged(m)
        first = self._ends(m, queue[0])
        self._leave(m, queue, first)
        self._progress(m, first != NONE)
        return m

    def _handshake(self, m):
        """The camera's side of the four phases is assumed, the receiver's asserted."""
        receiver, raw = self._receiver, self._receiver.raw
        req, address, ack = (before(m, pin) for pin in (self.req, receiver.address, self.ack))
        shaken = Signal()
        m.d.sync += shaken.eq(receiver.taken_stb & ~(raw.valid & raw.ready))
        m.d.comb += [
            Assume(~(req & ~self.req) | self.ack), Assume(~(~req & self.req) | ~self.ack),
            Assume(~(req & ~self.ack) | (receiver.address == address)),
            Assert((self.ack & ~ack) == shaken), *implies(shaken, req),
            *implies(ack & ~self.ack, ~req),
            *implies(raw.valid & raw.ready, receiver.taken_stb),
        ]
        if self._related:
            request, synchronised = self._inside["request"], self._inside["synchronised"]
            m.d.comb += [
                Assert(request == req), Assert(self._inside["acknowledge"] == self.ack),
                *implies(self.ack, ~request | synchronised),
                *implies(~self.ack, request | ~synchronised)]

    def _acknowledged(self, m):
        """Addresses that were acknowledged and did not leave: how many, the first, the second."""
        receiver, events = self._receiver, self._receiver.events
        count, head, tail = Signal(2), *(Signal.like(receiver.address, name=name)
                                         for name in ("head", "tail"))
        gone, left, new = Signal(), Signal(2), Signal.like(receiver.address, name="new")
        raw = receiver.raw
        m.d.comb += [
            new.eq(Mux(raw.valid & raw.ready, raw.payload, receiver.address)),
            gone.eq(receiver.dropped_stb | (events.valid & events.ready
                                            & (events.payload.kind == EventKind.SPIKE))),
            left.eq(count - gone),
        ]
        m.d.comb += [Assert(count <= 2), *implies(left == 2, ~receiver.taken_stb)]
        m.d.sync += [count.eq(left + receiver.taken_stb),
                     head.eq(Mux(left == 0, new, Mux(gone, tail, head))),
                     tail.eq(Mux(left == 1, new, tail))]
        if self._related:
            waiting, valid = self._inside["waiting"], self._inside["valid"]
            m.d.comb += [
                Assert(count == waiting + valid),
                *implies(waiting, self._inside["captured"] == Mux(valid, tail, head))]
        return count, head

    def _ends(self, m, count):
        """The end that is next; a tick is due before a clear of the same cycle.

        An end that is strobed again before it was passed on is lost, and nothing is acknowledged
        while one waits.
        """
        receiver, events = self._receiver, self._receiver.events
        queue = first, second = Signal(2, name="first"), Signal(2, name="second")
        passed, last = Signal(), Signal()
        m.d.comb += [
            passed.eq(events.valid & events.ready & (events.payload.kind != EventKind.SPIKE)),
            last.eq(passed & (first == TICK) & self._sample_ends(m, passed & (first == TICK))),
            *implies(first != NONE, ~receiver.taken_stb),
        ]
        rest = Mux(passed, second, first), Mux(passed, NONE, second)
        for when, kind in (last, CLEAR), (receiver.tick_stb, TICK), (receiver.clear_stb, CLEAR):
            rest = enqueued(rest, when, kind)
        m.d.sync += [signal.eq(value) for signal, value in zip(queue, rest, strict=True)]
        if self._related:
            ticks, clears = self._inside["tick_waits"], self._inside["clear_waits"]
            m.d.comb += [
                Assert(ticks == ((first == TICK) | (second == TICK))),
                Assert(clears == ((first == CLEAR) | (second == CLEAR))),
                Assert(self._inside["clear_next"] == (first == CLEAR)),
                *implies(self._inside["clear_first"], clears),
                Assert((first != 3) & (second != 3) & ((first != second) | (first == NONE))),
                *implies(first == NONE, second == NONE)]
        return first

    def _sample_ends(self, m, tick_passed):
        """Condition: this tick is the last of the sample."""
        timesteps = self._camera.timesteps
        if not timesteps:
            return 0
        ticks = Signal(range(timesteps), name="ticks_of_sample")
        last = ticks == timesteps - 1
        with m.If(tick_passed):
            m.d.sync += ticks.eq(Mux(last, 0, ticks + 1))
        if self._related:
            m.d.comb += Assert(ticks + self._inside["left"] == timesteps - 1)
        return last

    def _leave(self, m, queue, first):
        """What is offered is the first that waits, and stays until it is taken."""
        receiver, events = self._receiver, self._receiver.events
        (count, head), payload = queue, events.payload
        axons = aer_axons(self._camera, np.arange(1 << self._camera.address_bits)).tolist()
        inside = table([axon >= 0 for axon in axons], 1).bit_select(head, 1)
        axon = table([max(axon, 0) for axon in axons], 5).word_select(head, 5)
        spike = events.valid & (payload.kind == EventKind.SPIKE)
        held = before(m, payload.as_value())
        stalled = Signal()
        m.d.sync += stalled.eq(events.valid & ~events.ready)
        m.d.comb += [
            *implies(spike, count != 0, inside, payload.axon == axon),
            *implies(receiver.dropped_stb, count != 0, ~inside, ~spike),
            *implies(events.valid & ~spike, count == 0, payload.kind == first, first != NONE),
            *implies(stalled, events.valid, payload.as_value() == held),
        ]
        if self._related:
            m.d.comb += implies(self._inside["valid"], self._inside["known"] == inside,
                                ~inside | (self._inside["axon"] == axon))
        self._reached(m, spike & events.ready, receiver.dropped_stb,
                      events.valid & events.ready & (payload.kind == CLEAR))

    def _reached(self, m, *happenings):
        """All of it happens, the last with a handshake under way."""
        seen = Signal(len(happenings))
        for bit, happening in zip(seen, happenings, strict=True):
            with m.If(happening):
                m.d.sync += bit.eq(1)
        m.d.comb += Cover(seen.all() & self.ack)

    def _progress(self, m, closes):
        """Bounds in cycles in which the sink is ready, as long as nothing more is strobed.

        Of a camera's request, of an event over ``raw`` unless the camera is served, of ends of
        timesteps and samples. ``ack`` falls at most 3 cycles after ``req``, ready or not.
        """
        receiver, ready = self._receiver, self._receiver.events.ready
        work = to_synchronise = to_release = None
        if self._related:
            request, synchronised, waiting, valid, tick, clear = (
                self._inside[name] for name in ("request", "synchronised", "waiting", "valid",
                                                "tick_waits", "clear_waits"))
            work = 2 * waiting + valid + 2 * tick + clear
            to_synchronise = work + 4 * (2 - request - synchronised)
            to_release = request + synchronised
        calm = ~receiver.tick_stb & ~receiver.clear_stb
        over_raw = receiver.raw.valid & ~receiver.taken_stb
        bounded(m, "camera", calm & self.req & ~self.ack, ready, 15, to_synchronise)
        bounded(m, "raw", calm & over_raw, ready, 7, work)
        bounded(m, "end", calm & closes, ready, 7, work)
        bounded(m, "release", self.ack & ~self.req, 1, 3, to_release)


class SenderProof(Elaboratable):
    """A receiver that keeps the 4-phase rule, any output of the core."""

    def __init__(self, module=aer, *, related=True):
        self._sender, self._related = module.AerSender(CORE), related

    @property
    def inputs(self):
        sender = self._sender
        return [sender.output.valid, sender.output.payload.as_value(), sender.ack]

    def elaborate(self, platform):
        m = Module()
        sender, output = self._sender, self._sender.output
        m.submodules.sender = fragment = Fragment.get(sender, platform)
        self._inside = signals(fragment)
        taken = output.valid & output.ready
        kinds = [output.payload.kind == kind for kind in EventKind]
        spike, tick, clear = (taken & kind for kind in kinds)
        m.d.comb += [
            Assume(~ResetSignal()), *implies(output.valid & ~kinds[0], output.ready),
            Assert(sender.tick_stb == tick), Assert(sender.clear_stb == clear),
        ]
        self._handshake(m, spike)
        self._progress(m, output.valid & kinds[0] & ~output.ready)
        self._reached(m, tick)
        return m

    def _handshake(self, m, spike):
        """The receiver's side is assumed; every spike is one rise of ``req`` with its address."""
        sender = self._sender
        req, address, ack = (before(m, pin) for pin in (sender.req, sender.address, sender.ack))
        spiked, neuron = Signal(), Signal.like(sender.address)
        m.d.sync += [spiked.eq(spike), neuron.eq(sender.output.payload.neuron)]
        m.d.comb += [
            Assume(~(~ack & sender.ack) | sender.req), Assume(~(ack & ~sender.ack) | ~sender.req),
            Assert((sender.req & ~req) == spiked),
            *implies(spiked, ~ack, sender.address == neuron),
            *implies(req & sender.req, sender.address == address),
            *implies(req & ~sender.req, ack),
        ]
        if self._related:
            acknowledged, synchronised = (self._inside[name]
                                          for name in ("acknowledged", "synchronised"))
            m.d.comb += [
                Assert(acknowledged == ack),
                *implies(sender.req, ~synchronised | acknowledged),
                *implies(~sender.req, synchronised | ~acknowledged)]

    def _progress(self, m, waits):
        """``req`` falls 3 cycles after ``ack`` rose; 2 after that fell the next spike is taken."""
        sender, to_fall, to_be_free = self._sender, None, None
        if self._related:
            acknowledged, synchronised = (self._inside[name]
                                          for name in ("acknowledged", "synchronised"))
            to_fall, to_be_free = 2 - acknowledged - synchronised, acknowledged
        bounded(m, "fall", sender.req & sender.ack, 1, 3, to_fall)
        bounded(m, "offer", waits & ~sender.req & ~sender.ack, 1, 2, to_be_free)

    def _reached(self, m, tick):
        """A tick passes after a handshake, and another handshake follows."""
        steps = Signal(2)
        shaken = before(m, self._sender.req) & ~self._sender.req
        with m.If((steps == 1) & tick):
            m.d.sync += steps.eq(2)
        with m.Elif((steps != 3) & (steps != 1) & shaken):
            m.d.sync += steps.eq(steps + 1)
        m.d.comb += Cover(steps == 3)


@pytest.mark.parametrize("camera", CAMERAS)
def test_what_is_acknowledged_leaves_once_in_order(camera, prove):
    proof = ReceiverProof(CAMERAS[camera])
    assert prove(proof, proof.inputs, f"aer_receiver_{camera}", 3, "prove") == "PASS"


def test_every_spike_is_one_handshake(prove):
    proof = SenderProof()
    assert prove(proof, proof.inputs, "aer_sender", 3, "prove") == "PASS"


def test_a_whole_sample_can_be_reached(prove):
    proof = ReceiverProof(CAMERAS["odd"])
    assert prove(proof, proof.inputs, "aer_receiver", 20, "cover") == "PASS"


def test_two_handshakes_can_be_reached(prove):
    proof = SenderProof()
    assert prove(proof, proof.inputs, "aer_sender", 20, "cover") == "PASS"


@pytest.mark.parametrize(("old", "new"), [
    ("shaking.eq(synchronised & ~acknowledge & room)", "shaking.eq(synchronised & ~acknowledge)"),
    ("self.raw.ready.eq(room & ~shaking)", "self.raw.ready.eq(room)"),
    ("with m.If(~synchronised):", "with m.If(0):"),
    ("closes.eq(~valid & ~waiting & closed)", "closes.eq(~valid & closed)"),
    ("clear & (~tick | clear_first)", "clear & ~tick"),
    ("(x < aer.columns)", "(x <= aer.columns)"),
])
def test_the_proof_of_the_receiver_notices(old, new, prove, mutant):
    proof = ReceiverProof(CAMERAS["plain"], mutant(aer, old, new), related=False)
    assert prove(proof, proof.inputs, "aer_receiver_mutant", 10) == "FAIL"


@pytest.mark.parametrize(("old", "new"), [
    ("free = ~self.req & ~synchronised", "free = ~self.req"),
    ("self.output.ready.eq(free | ~spike)", "self.output.ready.eq(1)"),
    ("with m.Elif(synchronised):", "with m.Elif(self.req):"),
    ("self.tick_stb.eq(self.output.valid &", "self.tick_stb.eq(self.output.valid & free &"),
])
def test_the_proof_of_the_sender_notices(old, new, prove, mutant):
    proof = SenderProof(mutant(aer, old, new), related=False)
    assert prove(proof, proof.inputs, "aer_sender_mutant", 10) == "FAIL"
