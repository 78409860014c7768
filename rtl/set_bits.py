"""The set bits of a word one after the other, lowest first, in blocks so that it is fast."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value

__all__ = ["SetBits"]

_BLOCK = 16


class SetBits:
    """A register of a word and its lowest set bit; statements of its owner load it and take bits.

    Words of more than 16 bits are looked at in blocks of 16, of which none that is empty takes
    time.

    Parameters
    ----------
    m : Module
    width : int
        A power of two.
    name : str
        Prefix of the signals.

    Attributes
    ----------
    any : Value
        Whether a bit is left.
    several : Value
        Whether more than one is.
    index : Value
        Number of the lowest.
    """

    def __init__(self, m: Module, width: int, name: str):
        size = min(width, _BLOCK)
        self._bits = Signal(size, name=name)
        self._rest = Signal(size, name=f"{name}_rest")
        lowest = _lowest(m, self._bits, f"{name}_lowest")
        m.d.comb += self._rest.eq(self._bits & (self._bits - 1)[:size])
        self.any, self.several, self.index = self._bits.any(), self._rest.any(), lowest
        self._blocks = width // size
        if self._blocks > 1:
            self._word = Signal(width, name=f"{name}_word")
            self._left = Signal(self._blocks, name=f"{name}_left")
            self._block = Signal(range(self._blocks), name=f"{name}_block")
            self._following = _lowest(m, self._left, f"{name}_following")
            self.several = self.several | self._left.any()
            self.index = Cat(lowest, self._block)

    def load(self, m: Module, word: Value, other: Value, chosen: Value) -> None:
        """Take `word` in this cycle, or `other` where that is `chosen`.

        Which of them it is may be known late: both are looked into.
        """
        if self._blocks == 1:
            m.d.sync += self._bits.eq(Mux(chosen, other, word))
            return
        found = [self._look(m, each, f"{self._bits.name}_{name}")
                 for name, each in (("one", word), ("other", other))]
        m.d.sync += [
            into.eq(Mux(chosen, second, first)) for into, first, second in zip(
                (self._word, self._bits, self._block, self._left), *found, strict=True)]

    def _look(self, m: Module, word: Value, name: str) -> tuple[Value, Value, Value, Value]:
        """A word, its first block that has a bit, the number of that, and the others that have."""
        filled = Signal(self._blocks, name=f"{name}_filled")
        m.d.comb += filled.eq(Cat(*[word.word_select(block, _BLOCK).any()
                                    for block in range(self._blocks)]))
        first = _lowest(m, filled, f"{name}_first")
        left = filled & (filled - 1)[:self._blocks]
        return word, word.word_select(first, _BLOCK), first, left

    def take(self, m: Module) -> None:
        """Let go of the lowest bit in this cycle."""
        m.d.sync += self._bits.eq(self._rest)
        if self._blocks > 1:
            with m.If(~self._rest.any()):
                block = self._word.word_select(self._following, _BLOCK)
                m.d.sync += [
                    self._bits.eq(Mux(self._left.any(), block, 0)),
                    self._block.eq(self._following),
                    self._left.eq(self._left & (self._left - 1)[:self._blocks]),
                ]


def _lowest(m: Module, word: Value, name: str) -> Signal:
    """Number of the lowest set bit, 0 without one."""
    index = Signal(range(len(word)), name=name)
    with m.Switch(word):
        for position in range(len(word)):
            pattern = "-" * (len(word) - position - 1) + "1" + "0" * position
            with m.Case(pattern):
                m.d.comb += index.eq(position)
    return index
