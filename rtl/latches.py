"""Memories of a small ASIC: latches of SkyWater 130, a quarter less area than flip-flops."""

from __future__ import annotations

import functools
import operator

from amaranth.hdl import ClockSignal, Elaboratable, Instance, Module, Signal, Value
from amaranth.lib.memory import Memory

from lamina.rtl.openram import GatedMemory, gated

__all__ = ["LATCH", "LATCH_WORDS", "LatchMemory", "Latches"]

LATCH = "sky130_fd_sc_hd__dlxtp_1"
LATCH_WORDS = 8
"""Memories of this many words or more become latches: a latch takes 15.0 um2, a flip-flop 20.0, but
what is written is held in a word of flip-flops."""


class Latches:
    """An Amaranth platform without pins and macros: memories become latches, tiny ones flip-flops.

    Contents start undefined.
    """

    exact_size = True
    """Words and bits that are never used are left out."""

    def get_memory(self, memory: Memory) -> Elaboratable:
        """What stands for `memory`: see :class:`amaranth.lib.memory.Memory`."""
        return LatchMemory(memory) if memory.depth >= LATCH_WORDS else GatedMemory(memory)


class LatchMemory(Elaboratable):
    """A memory in latches with one write port and read ports of latency 1, one access per cycle.

    What is written is held in flip-flops for the cycle after, in whose first half a clock gate
    opens the latches of the word, or of the part of it that is written. The gate takes its enable
    while the clock is low, so no decoder glitch reaches a latch; the held word stands still until
    well after the latches closed. A word can be read in the cycle after it was written, like that
    of the memory that it stands for; one that is read while it is written is undefined.

    Parameters
    ----------
    memory : Memory
        With one write port of the domain ``sync``.
    """

    def __init__(self, memory: Memory):
        (self._write,) = memory.write_ports
        self._memory = memory

    def elaborate(self, platform):
        m = Module()
        write = self._write
        given = Value.cast(write.data)
        held = Signal(len(given), reset_less=True)
        with m.If(write.en.any()):
            m.d.sync += held.eq(given)
        clock = gated(m, "gate", ClockSignal(), write.en.any())
        words = [self._word(m, number, clock, held) for number in range(self._memory.depth)]
        for read in self._memory.read_ports:
            found = Signal(len(given), reset_less=True)
            with m.If(read.en):
                m.d.sync += found.eq(_selected(words, read.addr))
            m.d.comb += Value.cast(read.data).eq(found)
        return m

    def _word(self, m, number, clock, held):
        """Latches of a word, opened part by part."""
        write, word = self._write, Signal(len(held), name=f"word_{number}")
        bits = len(held) // len(write.en)
        for part, enable in enumerate(write.en):
            here = write.addr == number
            chosen = here & enable if len(write.en) > 1 else here
            name = f"open_{number}_{part}"
            opened = gated(m, name, clock, chosen)
            for bit in range(part * bits, (part + 1) * bits):
                m.submodules[f"bit_{number}_{bit}"] = Instance(
                    LATCH, i_D=held[bit], i_GATE=opened, o_Q=word[bit])
        return word


def _selected(words: list[Value], address: Value) -> Value:
    """The word at `address`, 0 beyond the last one; AND and OR take less than multiplexers."""
    return functools.reduce(operator.or_, [word & (address == number).replicate(len(word))
                                           for number, word in enumerate(words)])
