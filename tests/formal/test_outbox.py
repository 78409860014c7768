"""Proofs about the outbox, by induction: any tables, any events, any stalls, for ever."""

import pytest
from amaranth.hdl import Assert, Assume, Cover, Elaboratable, Fragment, Module, ResetSignal, Signal

from lamina.models.config import EventKind, HardwareConfig
from lamina.models.fabric.config import FabricConfig
from lamina.rtl.fabric import outbox
from tests.formal.conftest import signals

TARGETS = 2
CONFIG = FabricConfig(core=HardwareConfig(lanes=4, axons=16, groups=2), size=(2,), channels=2,
                      targets=TARGETS, ranges=2)


class OutboxProof(Elaboratable):
    """Flits are of slots that every target has given a credit for; an offer stays as it is.

    ``away`` are the slots of which a target was offered a flit and for which it has given no credit
    yet; it gives none for others. Tables are written before the first event.
    """

    def __init__(self, module=outbox):
        self._outbox = module.Outbox(CONFIG)
        self.target, self.gives, self.start = Signal(range(TARGETS)), Signal(), Signal()

    @property
    def inputs(self):
        tested = self._outbox
        return [self.target, self.gives, self.start, tested.events.valid,
                tested.events.payload.as_value(), tested.flits.ready, tested.range_write,
                tested.address, tested.data]

    def elaborate(self, platform):
        m = Module()
        tested = self._outbox
        m.submodules.outbox = fragment = Fragment.get(tested, platform)
        inside = signals(fragment)
        started, is_open = Signal(), Signal()
        with m.If(self.start):
            m.d.sync += started.eq(1)
        flits, events = tested.flits, tested.events
        ends = events.valid & events.ready & (events.payload.kind != EventKind.SPIKE)
        m.d.sync += is_open.eq((is_open | flits.valid) & ~ends)
        m.d.comb += [
            Assume(~ResetSignal()), Assume(started | ~events.valid),
            Assume(~(started & tested.range_write)), tested.credit_write.eq(~started),
            Assert(~is_open | inside["begun"]), Assert(started | ~inside["begun"]),
            Assert(~flits.valid | inside["begun"]), Cover(ends & is_open)]
        self._holds(m, events, assume=True)
        self._holds(m, flits, assume=False)
        for index in range(TARGETS):
            self._target(m, index, inside, is_open, started)
        return m

    @staticmethod
    def _holds(m, stream, *, assume):
        """What is offered and not taken is offered again."""
        waits, past = Signal(), Signal.like(stream.payload.as_value())
        m.d.sync += [waits.eq(stream.valid & ~stream.ready), past.eq(stream.payload)]
        holds = ~waits | (stream.valid & (stream.payload.as_value() == past))
        m.d.comb += Assume(holds) if assume else Assert(holds)

    def _target(self, m, index, inside, is_open, started):
        """Credits of a target are those of the table but for what is away."""
        tested, away, first = self._outbox, Signal(2, name=f"away{index}"), Signal(2)
        level, used = inside[f"credits{index}"], inside["used"][index]
        opens = tested.flits.valid & ~is_open & used
        credit = tested.credit_stb & (tested.credit_target == index)
        with m.If(self.gives & (self.target == index)):
            m.d.comb += [tested.credit_stb.eq(away.any()), tested.credit_target.eq(index)]
        m.d.sync += away.eq(away + opens - credit)
        m.d.comb += [Assert(first <= 2), Assert(away + opens <= first),
                     Assert(level + away + (inside["begun"] & ~is_open & used) <= first)]
        with m.If(~started & (tested.address == index)):
            m.d.sync += first.eq(tested.data)
        with m.If(~started):
            m.d.comb += [Assume((tested.address != index) | (tested.data <= 2)),
                         Assert(level == first), Assert(away == 0)]
        m.d.comb += Assert(used == (first != 0))


def test_nothing_is_offered_of_a_slot_without_a_credit(prove):
    proof = OutboxProof()
    assert prove(proof, proof.inputs, "outbox", 3, "prove") == "PASS"
    assert prove(proof, proof.inputs, "outbox", 12, "cover") == "PASS"


@pytest.mark.parametrize(("old", "new"), [
    ("& (Cat(level.any() for level in levels) | ~used).all())", "& 1)"),
    ("self.flits.valid.eq(self.events.valid & begun & hit)",
     "self.flits.valid.eq(self.events.valid & hit)"),
    ("(begins & used[index])", "(begins & used[index] & ~earned)"),
    ("step.eq(self.events.valid & begun & (~hit | self.flits.ready))",
     "step.eq(self.events.valid & begun)"),
])
def test_the_proof_notices(old, new, prove, mutant):
    proof = OutboxProof(mutant(outbox, old, new))
    assert prove(proof, proof.inputs, "outbox_mutant", 14) == "FAIL"
