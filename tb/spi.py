"""A host on SPI pins, mode 0, and the driver's line over it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from cocotb.triggers import Timer

from lamina.models.link.driver import Exchange
from lamina.models.link.spi import SpiLine

__all__ = ["SpiHost", "SpiPort"]


class SpiHost:
    """Sends and receives bytes at any phase of the device's clock.

    Parameters
    ----------
    drive : callable
        Sets the pins: ``drive(cs_n, sck, copi)``.
    sample : callable
        Returns ``(cipo, ready)`` as they are now.
    half_ps : int
        Half a period of ``sck`` [ps].
    gap : float
        Probability of a pause before a byte, and of a longer half of a period, 0..1.
    heeds : bool
        Wait for ``ready`` before every byte.
    seed : int
    """

    def __init__(self, drive: Callable[[int, int, int], None],
                 sample: Callable[[], tuple[int, int]], *, half_ps: int, gap: float = 0.0,
                 heeds: bool = True, seed: int = 0):
        self.half_ps, self.gap, self.heeds = half_ps, gap, heeds
        self.waits = 0
        self._drive, self._sample = drive, sample
        self._rng = np.random.default_rng(seed)
        drive(1, 0, 0)

    async def _half(self) -> None:
        longer = self._rng.random() < self.gap
        await Timer(self.half_ps + (int(self._rng.integers(self.half_ps)) if longer else 0), "ps")

    async def select(self) -> None:
        """Begin a transfer."""
        self._drive(0, 0, 0)
        await self._half()

    async def deselect(self) -> None:
        """End it; whatever was broken off never happened."""
        self._drive(1, 0, 0)
        await self._half()

    async def shift(self, value: int, bits: int = 8) -> int:
        """The first `bits` bits of a byte; returns as many that came in, in the highest places."""
        came = 0
        for place in range(7, 7 - bits, -1):
            self._drive(0, 0, value >> place & 1)
            await self._half()
            came |= self._sample()[0] << place
            self._drive(0, 1, value >> place & 1)
            await self._half()
        self._drive(0, 0, 0)
        return came

    async def byte(self, value: int) -> int:
        """One whole byte each way, after a pause if `ready` or chance ask for it."""
        await Timer(2 * self.half_ps, "ps")
        while self.heeds and not self._sample()[1]:
            self.waits += 1
            await Timer(2 * self.half_ps, "ps")
        if self._rng.random() < self.gap:
            await Timer(int(self._rng.integers(1, 40 * self.half_ps)), "ps")
        return await self.shift(value)

    async def transfer(self, data: bytes) -> bytes:
        """Select, send `data`, deselect; returns what came back."""
        await self.select()
        came = bytes([await self.byte(value) for value in data])
        await self._half()
        await self.deselect()
        return came


class SpiPort:
    """An :class:`lamina.models.link.driver.AsyncTransport` over SPI pins."""

    def __init__(self, host: SpiHost, patience: int = 512):
        self._host, self._line = host, SpiLine(patience)

    async def exchange(self, exchange: Exchange) -> bytes:
        """Wait, send, and return everything that was received."""
        transfers, answer = self._line.transfers(exchange), None
        while True:
            try:
                data = transfers.send(answer)
            except StopIteration as end:
                return end.value
            answer = await self._host.transfer(data)
