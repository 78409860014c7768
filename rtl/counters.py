"""Event counters in one block RAM: short counts in flip-flops, carried into memory in turn."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Array, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["Counters"]


class Counters(wiring.Component):
    """32-bit counters that share one adder.

    Every counter is visited once per round of ``4 * n`` cycles; what came since is added to its low
    word, the carry to its high word. A value read holds the increments up to two cycles before its
    ``ready``.
    Golden: the sum of the increments modulo 2**32.

    Parameters
    ----------
    most : sequence of int
        Largest increment per cycle of each counter, 1..65535 / (4 * n + 4); n = 2..64 counters.
    distributed : bool
        Whether the memory is one of logic cells: faster, where there are such.

    Members
    -------
    add0, add1, ... : In
        Increment of each counter in this cycle.
    zero_stb : In(1)
        Set all to 0; takes three rounds at most, increments of that time are lost. Also done after
        reset.
    read : In(1)
        Fetch counter ``index``.
    index : In
    ready : Out(1)
        One cycle, at most one round after ``read`` rose (hold it until then).
    low, high : Out(16)
        Low word while ``ready``; the high word of the same count from 2 cycles later until the next
        read.
    """

    def __init__(self, most: Sequence[int], *, distributed: bool = False):
        if not 2 <= len(most) <= 64:
            raise ValueError(f"number of counters must be in 2..64, not {len(most)}")
        limit = 65535 // self._span(len(most))
        for value in most:
            if not 1 <= value <= limit:
                raise ValueError(f"most must be in 1..{limit}, not {value}")
        self._most = tuple(most)
        self._style = "distributed" if distributed else "block"
        members = {f"add{k}": In(m.bit_length()) for k, m in enumerate(most)}
        super().__init__(members | {
            "zero_stb": In(1),
            "read": In(1),
            "index": In((len(most) - 1).bit_length()),
            "low": Out(16),
            "high": Out(16),
            "ready": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        count = len(self._most)
        index = Signal(range(count))
        phase = Signal(2)
        m.d.sync += phase.eq(phase + 1)
        turn = Signal()
        m.d.comb += turn.eq((phase == 3) & (index == count - 1))
        with m.If(phase == 3):
            m.d.sync += index.eq(Mux(turn, 0, index + 1))

        m.submodules.memory = memory = Memory(shape=16, depth=2 << len(index), init=[],
                                              attrs={"no_rw_check": 1, "ram_style": self._style})
        read, write = memory.read_port(), memory.write_port()
        zeroing = Signal(2, init=3)
        with m.If(self.zero_stb):
            m.d.sync += zeroing.eq(3)
        with m.Elif(turn & (zeroing != 0)):
            m.d.sync += zeroing.eq(zeroing - 1)

        # The low bits in memory are those of the short count at the last visit.
        short, mask = self._count(m, index, zeroing.any())
        since = Signal.like(short)
        added = Signal(17)
        m.d.comb += added.eq(read.data + since)
        with m.If(phase == 1):
            m.d.sync += since.eq((short - read.data)[:len(short)] & mask)
        with m.If(phase == 2):
            m.d.sync += since.eq(added[16])
        m.d.comb += [
            read.addr.eq((index << 1) | (phase == 2)),
            write.addr.eq((index << 1) | phase[0]),
            write.en.eq(phase[1]),
            write.data.eq(Mux(zeroing.any(), 0, added[:16])),
        ]
        self._serve(m, index, phase, write.data)
        return m

    @staticmethod
    def _span(counters: int) -> int:
        """Cycles that a short count must hold: a round, and a visit more."""
        return 4 * counters + 4

    def _count(self, m, index, zero):
        """Short counts, long enough for a round; returns the one visited, and its width as mask."""
        shorts = []
        for position, most in enumerate(self._most):
            bits = (most * self._span(len(self._most))).bit_length()
            short = Signal(bits, name=f"short{position}")
            with m.If(zero):
                m.d.sync += short.eq(0)
            with m.Else():
                m.d.sync += short.eq(short + getattr(self, f"add{position}"))
            shorts.append(short)
        widest = max(len(short) for short in shorts)
        masks = Array(Const((1 << len(short)) - 1, widest) for short in shorts)
        visited = Array(shorts)[index]
        if self._style == "distributed":
            before = Signal(widest)
            m.d.sync += before.eq(visited)
            visited = before
        return visited, masks[index]

    def _serve(self, m, index, phase, written):
        """Hand over the wanted counter when it is visited."""
        following = Signal()
        m.d.comb += [
            self.low.eq(written),
            self.ready.eq(self.read & (index == self.index) & (phase == 2)),
        ]
        with m.If(self.ready):
            m.d.sync += following.eq(1)
        with m.Elif(following & (phase == 3)):
            m.d.sync += [following.eq(0), self.high.eq(written)]
