"""The set bits of words one after the other, lowest first."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value

from lamina.models.config import HardwareConfig

__all__ = ["SetBits"]

_BLOCKS = 8


class SetBits:
    """A word at work, whose set bits are taken one per cycle, and in a wide core one ahead of it.

    A wide word has eight blocks. Which of them have a bit is found while the word waits, so that
    the next spike is at most two short ways from a register: the block at work, or the block whose
    number is known.

    Parameters
    ----------
    m : Module
    config : HardwareConfig
        ``lanes`` bits per word; ``preview`` cycles from :meth:`feed` until a word is at work.
    name : str
        Prefix of the signals.
    tags : dict of str to Signal
        What travels with a word: names, and signals of the wanted shapes.

    Attributes
    ----------
    valid : Signal
        A word is at work.
    any, several : Value
        Whether a bit of it is left; more than one.
    index : Value
        Number of the lowest.
    tag : dict of str to Signal
        What came with it.
    waiting : Value
        A word is ahead of it.
    """

    def __init__(self, m: Module, config: HardwareConfig, name: str, tags: dict[str, Signal]):
        self._name, self._wide = name, config.preview > 0
        self._blocks = _BLOCKS if self._wide else 1
        self._size = config.lanes // self._blocks
        self.valid = Signal(name=f"{name}_valid")
        self.tag = {key: Signal.like(each, name=f"{name}_{key}") for key, each in tags.items()}
        self._bits = Signal(self._size, name=name)
        self._rest = Signal(self._size, name=f"{name}_rest")
        lowest = _lowest(m, self._bits, f"{name}_lowest")
        m.d.comb += self._rest.eq(self._bits & (self._bits - 1)[:self._size])
        self.any, self.several, self.index = self._bits.any(), self._rest.any(), lowest
        self.waiting = Signal(name=f"{name}_waiting")
        if self._wide:
            self._word, self._ahead = (Signal(config.lanes, name=f"{name}_{each}")
                                       for each in ("word", "ahead"))
            self._left, self._filled = (Signal(_BLOCKS, name=f"{name}_{each}")
                                        for each in ("left", "filled"))
            self._block, self._next, self._first = (
                Signal(range(_BLOCKS), name=f"{name}_{each}")
                for each in ("block", "next", "first"))
            self._ahead_tag = {key: Signal.like(each, name=f"{name}_ahead_{key}")
                               for key, each in tags.items()}
            self.several = self.several | self._left.any()
            self.index = Cat(lowest, self._block)

    def free(self, leaving: Value) -> Value:
        """Whether :meth:`feed` may be given a word, if the one at work goes or none is there."""
        return leaving | ~self.waiting if self._wide else leaving

    def feed(self, m: Module, leaving: Value, valid: Value, word: Value, tags: dict[str, Value]
             ) -> None:
        """What comes in a cycle that is ``free``.

        Parameters
        ----------
        m : Module
        leaving : Value
            The word at work goes, or none is there.
        valid : Value
            There is a word.
        word : Value
        tags : dict of str to Value
        """
        if not self._wide:
            with m.If(leaving):
                m.d.sync += [self.valid.eq(valid), self._bits.eq(word),
                             *[self.tag[key].eq(tags[key]) for key in tags]]
            return
        filled = Signal(_BLOCKS, name=f"{self._name}_filling")
        m.d.comb += filled.eq(Cat(*[word.word_select(block, self._size).any()
                                    for block in range(_BLOCKS)]))
        with m.If(self.free(leaving)):
            m.d.sync += [
                self.waiting.eq(valid), self._ahead.eq(word), self._filled.eq(filled),
                self._first.eq(_lowest(m, filled, f"{self._name}_finding")),
                *[self._ahead_tag[key].eq(tags[key]) for key in tags],
            ]
        left = _without_lowest(self._filled)
        with m.If(leaving):
            m.d.sync += [
                self.valid.eq(self.waiting), self._word.eq(self._ahead),
                self._bits.eq(self._ahead.word_select(self._first, self._size)),
                self._block.eq(self._first), self._left.eq(left),
                self._next.eq(_lowest(m, left, f"{self._name}_second")),
                *[self.tag[key].eq(self._ahead_tag[key]) for key in tags],
            ]

    def take(self, m: Module) -> None:
        """Let go of the lowest bit in this cycle; not in one in which the word goes."""
        m.d.sync += self._bits.eq(self._rest)
        if self._wide:
            left = _without_lowest(self._left)
            following = _lowest(m, left, f"{self._name}_following")
            with m.If(~self._rest.any()):
                block = self._word.word_select(self._next, self._size)
                m.d.sync += [
                    self._bits.eq(Mux(self._left.any(), block, 0)), self._block.eq(self._next),
                    self._left.eq(left), self._next.eq(following),
                ]


def _without_lowest(word: Value) -> Value:
    return word & (word - 1)[:len(word)]


def _lowest(m: Module, word: Value, name: str) -> Signal:
    """Number of the lowest set bit, 0 without one."""
    index = Signal(range(len(word)), name=name)
    with m.Switch(word):
        for position in range(len(word)):
            pattern = "-" * (len(word) - position - 1) + "1" + "0" * position
            with m.Case(pattern):
                m.d.comb += index.eq(position)
    return index
