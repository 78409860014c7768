"""A link between chips: flits become numbered, checked packets, and each arrives once, in order.

A packet is a run of words on the data wires while the frame wire is high: a flit and its number,
each packet's two answers, a CRC. What is no intact packet is dropped and counted. The sender goes
back to the oldest flit without an answer (go-back-N, see Tanenbaum 2011, 3.4).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from lamina.models.fabric.config import ChipLinkConfig, MeshConfig, Port
from lamina.models.fabric.routes import order_routes

__all__ = ["ChipLinkEnd", "Framer", "Packet", "crc16", "destinations"]


def crc16(words: Sequence[int], bits: int) -> int:
    """CRC-16/MCRF4XX of `words` of `bits` bits, lowest bit first: polynomial 1021h, from FFFFh.

    Over words that end in their own CRC it is 0.
    """
    crc = 0xFFFF
    for word in words:
        for place in range(bits):
            feedback = (crc ^ word >> place) & 1
            crc = crc >> 1 ^ 0x8408 * feedback
    return crc


def _words(value: int, count: int, bits: int) -> list[int]:
    return [value >> bits * place & ((1 << bits) - 1) for place in range(count)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Packet:
    """What one end tells the other; all numbers modulo ``2**sequence_bits``.

    Parameters
    ----------
    expected : int
        Number of the flit that the sender of the packet waits for; it has all before.
    taken : int
        Flits that have left its buffer.
    flit, sequence : int or None
        A flit and its number, or neither.
    """

    expected: int
    taken: int
    flit: int | None = None
    sequence: int | None = None

    def encode(self, config: ChipLinkConfig) -> list[int]:
        """Words on the data wires."""
        bits = config.link_bits
        words = [] if self.flit is None else _words(
            self.flit | self.sequence << config.flit_bits, config.flit_words, bits)
        words += _words(self.expected | self.taken << config.sequence_bits, config.status_words,
                        bits)
        return words + _words(crc16(words, bits), config.check_words, bits)

    @classmethod
    def decode(cls, config: ChipLinkConfig, words: Sequence[int]) -> Packet | None:
        """Inverse of :meth:`encode`; None if the length or the CRC is wrong."""
        bits = config.link_bits
        if len(words) not in (config.short_words, config.full_words) or crc16(words, bits):
            return None
        value = sum(word << bits * place for place, word in enumerate(words))
        modulus, flit = 1 << config.sequence_bits, {}
        if len(words) == config.full_words:
            number = value >> config.flit_bits
            flit = {"flit": value & ((1 << config.flit_bits) - 1), "sequence": number % modulus}
            value >>= bits * config.flit_words
        return cls(expected=value % modulus, taken=(value >> config.sequence_bits) % modulus,
                   **flit)


class Framer:
    """Finds the runs of words in what is on the wires, cycle by cycle."""

    def __init__(self):
        self._words: list[int] = []

    def feed(self, frame: int, word: int) -> list[int]:
        """Words of the run that ends in this cycle, or none."""
        if frame:
            self._words.append(word)
            return []
        words, self._words = self._words, []
        return words


class ChipLinkEnd:
    """One end of a link: what it may send, and what it makes of what it hears.

    Parameters
    ----------
    config : ChipLinkConfig
    takes : function of a flit
        Whether the flit can go on from here; others are dropped and counted.

    Attributes
    ----------
    arrived : list of int
        Flits for this end's stream.
    freed : int
        Flits that have left the far buffer, as far as this end knows.
    malformed : int
        Runs on the wires that were no packet, and flits that cannot go on.
    """

    def __init__(self, config: ChipLinkConfig, takes: Callable[[int], bool]):
        self._config, self._takes = config, takes
        self._modulus = 1 << config.sequence_bits
        self._kept: dict[int, int] = {}
        self._head = self._answered = self.freed = 0
        self._expected = self._taken = 0
        self.arrived: list[int] = []
        self.malformed = 0

    @property
    def ready(self) -> bool:
        """The far buffer has room for one more flit than are under way."""
        return self._head - self.freed < self._config.window

    def put(self, flit: int) -> None:
        """A flit for the other chip; only while :attr:`ready`."""
        self._kept[self._head % self._modulus] = flit
        self._head += 1

    def take(self) -> None:
        """The oldest flit of the buffer was taken."""
        self._taken += 1

    @property
    def held(self) -> dict[int, int]:
        """Flits that may be sent now, by number."""
        return {number % self._modulus: self._kept[number % self._modulus]
                for number in range(self._answered, self._head)}

    @property
    def answers(self) -> tuple[int, int]:
        """``expected`` and ``taken`` of a packet that begins now."""
        return self._expected % self._modulus, self._taken % self._modulus

    def hear(self, words: Sequence[int]) -> None:
        """A run of words ends."""
        packet = Packet.decode(self._config, words)
        if packet is None or not self._possible(packet):
            self.malformed += 1
            return
        self.freed += (packet.taken - self.freed) % self._modulus
        self._answered += (packet.expected - self._answered) % self._modulus
        if packet.sequence == self._expected % self._modulus:
            self._expected += 1
            if self._takes(packet.flit):
                self.arrived.append(packet.flit)
            else:
                self.malformed += 1
                self._taken += 1

    def _possible(self, packet: Packet) -> bool:
        """Answers lie between the last ones and what was sent; a flit has room."""
        expected, taken = ((number - self.freed) % self._modulus
                           for number in (packet.expected, packet.taken))
        due = packet.sequence == self._expected % self._modulus
        return (taken <= expected and self._answered - self.freed <= expected
                <= self._head - self.freed
                and not (due and self._expected - self._taken == self._config.window))


def destinations(config: MeshConfig, tile: int, port: Port) -> list[int]:
    """Tiles to which a flit that arrives at `port` of `tile` can go on, in dimension order."""
    routes = order_routes(config)
    return [target for target in range(config.tiles)
            if port in config.inputs_of(Port(int(routes[tile, target])))]
