"""The host link over Wishbone: the registers as their map says, and the driver's line over them.

The line is a conversation in bus accesses, as the driver's are in exchanges:
:class:`WishboneTransport` runs it on a bus that blocks, :class:`AsyncWishboneTransport` on one that
is awaited.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Awaitable, Generator
from typing import Protocol

from lamina.models.config import WISHBONE_ID, WISHBONE_WORDS, WishboneFlag, WishboneRegister
from lamina.models.link.device import GoldenDevice
from lamina.models.link.driver import Exchange, Wait
from lamina.models.link.framing import count_frames

__all__ = ["Access", "AsyncBus", "AsyncWishboneTransport", "Bus", "GoldenWishbone",
           "WishboneTransport", "bytes_of", "word_of"]

_WORD_BYTES = 3
_CONDITIONS = {Wait.TICK_READY: WishboneFlag.TICK_READY, Wait.IDLE: WishboneFlag.IDLE}


class Bus(Protocol):
    """A bus that blocks, e.g. the registers mapped into the memory of a processor."""

    def read(self, address: int) -> int:
        """The 32-bit word at a byte address."""

    def write(self, address: int, word: int) -> None:
        """Write a 32-bit word to a byte address."""


class AsyncBus(Protocol):
    """A bus whose accesses are awaited, e.g. of a simulator."""

    def read(self, address: int) -> Awaitable[int]:
        """The 32-bit word at a byte address."""

    def write(self, address: int, word: int) -> Awaitable[None]:
        """Write a 32-bit word to a byte address."""


@dataclasses.dataclass(frozen=True)
class Access:
    """Read of a register, or with `word` a write."""

    register: WishboneRegister
    word: int | None = None


def word_of(data: bytes) -> int:
    """``DATA`` word of at most three bytes.

    Raises
    ------
    ValueError
        If there are more.
    """
    if len(data) > _WORD_BYTES:
        raise ValueError(f"a word must hold at most {_WORD_BYTES} bytes, not {len(data)}")
    return int.from_bytes(data, "little") | len(data) << 8 * _WORD_BYTES


def bytes_of(word: int) -> bytes:
    """The bytes that count in a ``DATA`` word."""
    return (word & 0xFFFFFF).to_bytes(_WORD_BYTES, "little")[:word >> 8 * _WORD_BYTES & 3]


class GoldenWishbone:
    """A device behind the registers of its Wishbone port, without time.

    What is written is taken at once, so there is always room; what the device answers waits until
    it is read, without a limit (``WAITING`` shows at most 67).

    Parameters
    ----------
    device : GoldenDevice
    fingerprint : int
        Of its configuration.
    """

    def __init__(self, device: GoldenDevice, fingerprint: int):
        self._device, self._fingerprint = device, fingerprint
        self._waiting: collections.deque[int] = collections.deque()

    def read(self, address: int) -> int:
        """The 32-bit word at a byte address; the registers repeat every 16 bytes."""
        register = WishboneRegister(address & 12)
        if register is WishboneRegister.DATA:
            count = min(_WORD_BYTES, len(self._waiting))
            return word_of(bytes(self._waiting.popleft() for _ in range(count)))
        core = self._device.core
        return {
            WishboneRegister.ID: WISHBONE_ID,
            WishboneRegister.FINGERPRINT: self._fingerprint,
            WishboneRegister.STATUS:
                WISHBONE_WORDS | min(67, len(self._waiting)) << WishboneFlag.WAITING
                | 1 << WishboneFlag.IDLE | core.takes_events << WishboneFlag.TICK_READY
                | core.refused << WishboneFlag.REFUSED,
        }[register]

    def write(self, address: int, word: int) -> None:
        """Write a 32-bit word; only ``DATA`` does something, for nothing overruns."""
        if address & 12 == WishboneRegister.DATA:
            self._waiting.extend(self._device.receive(bytes_of(word)))


class _Line:
    """What was received on the bus within one exchange."""

    def __init__(self, patience: int):
        self.received = b""
        self._patience = patience
        self._silence = 0

    @property
    def expired(self) -> bool:
        """Nothing moved for `patience` looks at the port."""
        return self._silence >= self._patience

    def moved(self) -> None:
        self._silence = 0

    def look(self) -> Generator[Access, int, int]:
        """Take what waits; returns the status before that."""
        status = yield Access(WishboneRegister.STATUS)
        self._silence += 1
        waiting = status >> WishboneFlag.WAITING & 0xFF
        while waiting > 0:
            part = bytes_of((yield Access(WishboneRegister.DATA)))
            self.received += part
            waiting = waiting - len(part) if part else 0
            self._silence = 0
        return status

    def exchange(self, exchange: Exchange) -> Generator[Access, int, bytes]:
        """Accesses of one exchange; returns what was received."""
        yield from self._until(exchange.wait)
        parts = [exchange.data[start:start + _WORD_BYTES]
                 for start in range(0, len(exchange.data), _WORD_BYTES)]
        self.moved()
        while parts and not self.expired:
            room = (yield from self.look()) >> WishboneFlag.ROOM & 0xFF
            for part in parts[:room]:
                yield Access(WishboneRegister.DATA, word_of(part))
                self.moved()
            parts = parts[room:]
        while count_frames(self.received) < exchange.replies and not self.expired:
            yield from self.look()
        return self.received

    def _until(self, wait: Wait) -> Generator[Access, int, None]:
        if wait is Wait.QUIET:
            while not self.expired:
                yield from self.look()
        for _ in range(self._patience if wait in _CONDITIONS else 0):
            if (yield from self.look()) >> _CONDITIONS[wait] & 1:
                break


class WishboneTransport:
    """A :class:`lamina.models.link.driver.Transport` over the registers on `bus`.

    Parameters
    ----------
    bus : Bus
    patience : int
        Looks at the status without a byte after which a reply is missing, and longest wait.
    """

    def __init__(self, bus: Bus, *, patience: int = 1000):
        self._bus, self._patience = bus, patience

    def exchange(self, exchange: Exchange) -> bytes:
        """Wait, send, and return everything that was received."""
        accesses, answer = _Line(self._patience).exchange(exchange), None
        while True:
            try:
                access = accesses.send(answer)
            except StopIteration as end:
                return end.value
            answer = None
            if access.word is None:
                answer = self._bus.read(access.register)
            else:
                self._bus.write(access.register, access.word)


class AsyncWishboneTransport:
    """The same over a bus whose accesses are awaited; parameters as there."""

    def __init__(self, bus: AsyncBus, *, patience: int = 1000):
        self._bus, self._patience = bus, patience

    async def exchange(self, exchange: Exchange) -> bytes:
        """Wait, send, and return everything that was received."""
        accesses, answer = _Line(self._patience).exchange(exchange), None
        while True:
            try:
                access = accesses.send(answer)
            except StopIteration as end:
                return end.value
            answer = None
            if access.word is None:
                answer = await self._bus.read(access.register)
            else:
                await self._bus.write(access.register, access.word)
