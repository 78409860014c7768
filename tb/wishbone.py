"""A master of the Wishbone bus, with seeded random pauses."""

from __future__ import annotations

import dataclasses

import numpy as np
from cocotb.handle import SimHandleBase
from cocotb.triggers import FallingEdge

__all__ = ["Pins", "WishboneMaster"]

_PATIENCE = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pins:
    """Names of the bus's signals on the toplevel; `address` is the byte address >> `shift`."""

    clk: str = "clk"
    cyc: str = "cyc"
    stb: str = "stb"
    we: str = "we"
    address: str = "address"
    write_data: str = "write_data"
    read_data: str = "read_data"
    ack: str = "ack"
    shift: int = 2


class WishboneMaster:
    """An :class:`lamina.models.link.wishbone.AsyncBus` on the pins of a classic slave.

    Drives on the falling edge. An access without ``ack`` for 16 cycles fails.

    Parameters
    ----------
    dut : SimHandleBase
    pins : Pins
    pause : float
        Probability of another idle cycle before an access, 0..1.
    seed : int

    Attributes
    ----------
    waits : set of int
        Cycles from request to ``ack`` that were seen.
    """

    def __init__(self, dut: SimHandleBase, pins: Pins | None = None, *, pause: float = 0.0,
                 seed: int = 0):
        pins = pins or Pins()
        self._pins = {name: getattr(dut, value) for name, value in vars(pins).items()
                      if name != "shift"}
        self._shift, self.pause = pins.shift, pause
        self.waits: set[int] = set()
        self._rng = np.random.default_rng(seed)
        for name in ("cyc", "stb", "we", "address", "write_data"):
            self._pins[name].value = 0

    async def read(self, address: int) -> int:
        """The 32-bit word at a byte address."""
        return await self._access(address, None)

    async def write(self, address: int, word: int) -> None:
        """Write a 32-bit word to a byte address."""
        await self._access(address, word)

    async def _access(self, address: int, word: int | None) -> int:
        pins = self._pins
        while self._rng.random() < self.pause:
            await FallingEdge(pins["clk"])
            assert pins["ack"].value == 0, "ack must be low without a request"
        pins["address"].value = address >> self._shift
        pins["we"].value = int(word is not None)
        pins["write_data"].value = word or 0
        pins["cyc"].value = 1
        pins["stb"].value = 1
        waits = 0
        while pins["ack"].value != 1:
            assert waits < _PATIENCE, f"access to {address:#x} must end within {_PATIENCE} cycles"
            await FallingEdge(pins["clk"])
            waits += 1
        self.waits.add(waits)
        answer = pins["read_data"].value.to_unsigned()
        pins["cyc"].value = 0
        pins["stb"].value = 0
        await FallingEdge(pins["clk"])
        assert pins["ack"].value == 0, "ack must last one cycle"
        return answer
