"""Proofs about the spike buffer: no spike is lost, made up or moved to another timestep."""

import pytest
from amaranth.hdl import Assert, Assume, Cover, Elaboratable, Fragment, Module, ResetSignal, Signal

from lamina.models.config import EventKind, HardwareConfig
from lamina.rtl import spike_buffer

CONFIG = HardwareConfig(lanes=4, tiers=(4, 4), axons=16, groups=2)
WORDS = CONFIG.axons // CONFIG.lanes


class BufferProof(Elaboratable):
    """Any axon, any events; the closed bitmap is read and erased word by word, at any pace.

    ``held`` is whether the axon spiked since the bitmap was opened, ``due`` whether its bit of the
    closed bitmap must be set.
    """

    def __init__(self, module):
        self._buffer = module.SpikeBuffer(CONFIG)
        self.axon, self.limit = Signal(4), Signal(5)
        self.scan, self.finish, self.hold = Signal(), Signal(), Signal()

    @property
    def inputs(self):
        events = self._buffer.events
        return [self.axon, self.limit, self.scan, self.finish, self.hold, events.valid,
                events.payload.as_value()]

    def elaborate(self, platform):
        m = Module()
        buffer = self._buffer
        m.submodules.buffer = Fragment.get(buffer, platform)
        self._constants(m)
        event, taken = buffer.events.payload, Signal()
        spike, close = Signal(), Signal()
        held, due = Signal(), Signal()
        m.d.comb += [
            Assume(~ResetSignal()), Assume(event.kind != 3),
            buffer.input_axons.eq(self.limit), buffer.hold.eq(self.hold),
            taken.eq(buffer.events.valid & buffer.events.ready),
            spike.eq(taken & (event.kind == EventKind.SPIKE)),
            close.eq(taken & (event.kind != EventKind.SPIKE)),
            Assert(~(taken & self.hold)), Assert(~(close & buffer.closed)),
            Assert(buffer.dropped_stb == (spike & (event.axon >= self.limit))),
        ]
        with m.If(spike & (event.axon == self.axon) & (self.axon < self.limit)):
            m.d.sync += held.eq(1)
        with m.If(close):
            m.d.sync += [held.eq(0), due.eq(held)]
        self._read(m, due)
        self._flags(m, close, event.kind == EventKind.CLEAR)
        return m

    def _constants(self, m):
        """The watched axon and the limit never change."""
        started, axon, limit = Signal(), Signal(4), Signal(5)
        m.d.sync += [started.eq(1), axon.eq(self.axon), limit.eq(self.limit)]
        m.d.comb += Assume(~started | ((axon == self.axon) & (limit == self.limit)))

    def _read(self, m, due):
        """Ascending words of the closed bitmap; what was read of the axon is what was due."""
        buffer = self._buffer
        place, checking = Signal(range(WORDS + 1)), Signal()
        fetch = buffer.closed & self.scan & (place != WORDS)
        done = buffer.closed & self.finish & (place == WORDS)
        m.d.comb += [buffer.address.eq(place), buffer.erase.eq(fetch), buffer.done_stb.eq(done)]
        with m.If(fetch):
            m.d.sync += place.eq(place + 1)
        with m.If(done):
            m.d.sync += place.eq(0)
        m.d.sync += checking.eq(fetch & (place == self.axon[2:]))
        seen, before = buffer.word.bit_select(self.axon[:2], 1), Signal()
        m.d.sync += before.eq(due)
        with m.If(checking):
            m.d.comb += [Assert(seen == before), Cover(seen)]

    def _flags(self, m, close, is_clear):
        """``closed`` and ``clear`` tell how the bitmap was closed until it was done."""
        buffer = self._buffer
        closed, clear = Signal(), Signal()
        with m.If(close):
            m.d.sync += [closed.eq(1), clear.eq(is_clear)]
        with m.Elif(buffer.done_stb):
            m.d.sync += closed.eq(0)
        m.d.comb += [Assert(buffer.closed == closed), Assert(~closed | (buffer.clear == clear))]


@pytest.mark.parametrize("depth", [10, pytest.param(17, marks=pytest.mark.long)])
def test_every_spike_is_read_once_in_its_timestep(depth, prove):
    """In 10 cycles the second bitmap is read, in 17 the first one again, after its erasure."""
    proof = BufferProof(spike_buffer)
    assert prove(proof, proof.inputs, f"spike_buffer_{depth}", depth) == "PASS"


def test_a_set_bit_can_be_reached(prove):
    proof = BufferProof(spike_buffer)
    assert prove(proof, proof.inputs, "spike_buffer", 17, "cover") == "PASS"


@pytest.mark.parametrize(("old", "new"), [
    ("last_valid & (last_address == set_address)", "last_valid & 0"),
    ("event.axon < self.input_axons", "event.axon <= self.input_axons"),
])
def test_the_proof_notices(old, new, prove, mutant):
    proof = BufferProof(mutant(spike_buffer, old, new))
    assert prove(proof, proof.inputs, "spike_buffer_mutant", 12) == "FAIL"
