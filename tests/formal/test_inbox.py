"""Proofs about the inbox, by induction: any flits that keep the sender's rule, for ever.

The core takes a TICK when it likes, holds SPIKEs for ``HOLD`` cycles on end at most, and frees a
bitmap when it likes; CREDITs are taken when the mesh likes, or never.
"""

import pytest
from amaranth.hdl import (
    Array,
    Assert,
    Assume,
    Cat,
    Cover,
    Elaboratable,
    Fragment,
    Module,
    Mux,
    ResetSignal,
    Signal,
)

from lamina.models.config import HardwareConfig
from lamina.models.fabric.config import ChannelField, FabricConfig, FlitKind
from lamina.rtl.fabric import inbox
from tests.formal.conftest import signals

CHANNELS = 2
CONFIG = FabricConfig(core=HardwareConfig(lanes=4, axons=16, groups=2), size=(2,),
                      channels=CHANNELS, targets=2)
HOLD = 2
BITMAPS = 2


class InboxProof(Elaboratable):
    """Credits are neither lost nor made, so a flit that arrives has a bitmap, and is soon taken.

    ``left`` are the credits that the sender of a channel has, ``open`` whether it is within a slot.
    A credit is with it at once when it has left the inbox, and a flit when it was sent: whatever is
    on its way makes the sender more patient.
    """

    def __init__(self, *, credits=BITMAPS, module=inbox):
        self._inbox, self._credits = module.Inbox(CONFIG), credits
        self.delayed, self.able, self.frees = Signal(CHANNELS), Signal(), Signal()

    @property
    def inputs(self):
        tested = self._inbox
        return [self.delayed, self.able, self.frees, tested.i.valid, tested.i.payload.as_value(),
                tested.events.ready, tested.credits.ready]

    def elaborate(self, platform):
        m = Module()
        tested = self._inbox
        m.submodules.inbox = fragment = Fragment.get(tested, platform)
        self._inside = inside = signals(fragment)
        self._closed = closed = Signal()
        m.d.comb += [Assume(~ResetSignal()), tested.freed_stb.eq(self.frees & closed)]
        with m.If(inside["closing"]):
            m.d.sync += closed.eq(1)
        with m.Elif(tested.freed_stb):
            m.d.sync += closed.eq(0)
        ready = self._set_up(m)
        m.d.comb += [tested.able.eq(self.able & ready & ~closed),
                     Assume(ready | ~tested.i.valid),
                     Assert(ready | ~(closed | tested.credits.valid))]
        self._channels(m)
        self._waiting(m)
        return m

    def _set_up(self, m):
        """Write the flags of one channel after the other; any of them may be delayed."""
        tested, past, started = self._inbox, Signal(CHANNELS), Signal()
        self._phase = phase = Signal(range(CHANNELS + 1))
        ready = phase == CHANNELS
        m.d.sync += [past.eq(self.delayed), started.eq(1)]
        m.d.comb += [
            Assume(~started | (past == self.delayed)), Assert(phase <= CHANNELS),
            tested.write.eq(~ready), tested.address.eq(4 * phase + ChannelField.FLAGS),
            tested.data.eq(1 | self.delayed.bit_select(phase, 1) << 1),
            Assert(started | (phase == 0))]
        with m.If(~ready):
            m.d.sync += phase.eq(phase + 1)
        return ready

    def _channels(self, m):
        """What each channel may hold at most, and where its credits are."""
        tested, inside = self._inbox, self._inside
        flit, chosen = tested.i.payload, inside["chosen"]
        held = Signal(range(CHANNELS))
        lefts, opens = (Array(Signal(2, name=f"{name}{index}") for index in range(CHANNELS))
                        for name in ("left", "open"))
        slot = flit.kind != FlitKind.CREDIT
        taken = tested.i.valid & tested.i.ready & slot
        m.d.comb += Assume(~(tested.i.valid & slot) | (
            (flit.channel < CHANNELS) & (opens[flit.channel].any() | lefts[flit.channel].any())))
        for index in range(CHANNELS):
            with m.If(chosen[index]):
                m.d.sync += held.eq(index)
            mine = taken & (flit.channel == index)
            left, is_open, set_up = lefts[index], opens[index][0], self._phase > index
            back = tested.credits.valid & tested.credits.ready & (held == index)
            m.d.sync += left.eq(left + back - (mine & ~is_open))
            with m.If(mine):
                m.d.sync += is_open.eq(flit.kind == FlitKind.SPIKE)
            with m.If(self._phase == index):
                m.d.sync += left.eq(self._credits - self.delayed[index])
            ahead, owed = inside[f"ahead{index}"], inside[f"owed{index}"]
            with m.If(set_up):
                m.d.comb += [
                    Assert(left + is_open + ahead + self._closed + owed
                           + (tested.credits.valid & (held == index)) == self._credits),
                    Assert(inside["used"][index]),
                    Assert(inside["delayed"][index] == self.delayed[index])]
            with m.Else():
                m.d.comb += Assert(Cat(left, is_open, ahead, owed, inside["used"][index]) == 0)
            m.d.comb += [Assert(opens[index] <= 1), Cover(back),
                         Assert(~mine | (ahead + self._closed < BITMAPS)),
                         Assert(ahead <= BITMAPS), Assert(owed <= BITMAPS)]

    def _waiting(self, m):
        """A flit waits while SPIKEs are held, and for two slots that close at most."""
        tested, closing = self._inbox, self._inside["closing"]
        low, closings = Signal(range(HOLD + 2)), Signal(range(BITMAPS + 2))
        bound = (BITMAPS + 1) * (HOLD + 1) - 1
        waits = Signal(range(bound + 2))
        m.d.sync += low.eq(Mux(tested.events.ready, 0, low + 1))
        m.d.comb += Assume(tested.events.ready | (low < HOLD))
        with m.If(tested.i.valid & ~tested.i.ready):
            m.d.sync += [waits.eq(waits + 1), closings.eq(closings + closing)]
        with m.Else():
            m.d.sync += [waits.eq(0), closings.eq(0)]
        m.d.comb += [
            Assert(waits <= bound), Assert(low <= HOLD),
            Assert(waits <= (HOLD + 1) * closings + low),
            Assert((closings == 0) | (closings + self._inside["ahead0"] <= BITMAPS)),
            Cover(waits == HOLD + 1)]


def test_a_flit_that_arrives_has_a_bitmap_and_is_soon_taken(prove):
    proof = InboxProof()
    assert prove(proof, proof.inputs, "inbox", 2, "prove") == "PASS"
    assert prove(proof, proof.inputs, "inbox", 14, "cover") == "PASS"


def test_three_credits_are_one_too_many(prove):
    proof = InboxProof(credits=3)
    assert prove(proof, proof.inputs, "inbox_credits", 10) == "FAIL"


@pytest.mark.parametrize(("old", "new"), [
    ("level.eq(level + (done[index] & used[index])",
     "level.eq((level | (done[index] & used[index]))"),
    ("self.i.ready.eq(~closing & (~spike | self.events.ready))",
     "self.i.ready.eq(~closing & (~spike | self.events.ready) & ~self.credits.valid)"),
    ("level.eq(self.data[1])", "level.eq(1)"),
])
def test_the_proof_notices(old, new, prove, mutant):
    proof = InboxProof(module=mutant(inbox, old, new))
    assert prove(proof, proof.inputs, "inbox_mutant", 16) == "FAIL"
