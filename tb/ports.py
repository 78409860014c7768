"""Plain ports of a block, driven and read one clock cycle at a time."""

from __future__ import annotations

from collections.abc import Iterable

from cocotb.clock import Clock
from cocotb.handle import SimHandleBase
from cocotb.triggers import FallingEdge, ReadOnly

from lamina.tb.streams import reset

__all__ = ["Ports", "join_lanes", "split_lanes"]


def join_lanes(values: Iterable[int], bits: int) -> int:
    """One number from a value per lane, each taken modulo ``2**bits``, lane 0 lowest."""
    return sum((int(value) & ((1 << bits) - 1)) << (bits * lane)
               for lane, value in enumerate(values))


def split_lanes(word: int, bits: int, lanes: int) -> list[int]:
    """Inverse of :func:`join_lanes` for signed values."""
    half = 1 << (bits - 1)
    fields = ((word >> (bits * lane)) & (2 * half - 1) for lane in range(lanes))
    return [(field ^ half) - half for field in fields]


class Ports:
    """Inputs and outputs of a block that are no streams.

    Parameters
    ----------
    dut : SimHandleBase
        Toplevel with ``clk`` and ``rst``.
    inputs : str
        Names of the inputs that are driven here.

    Attributes
    ----------
    rest : dict of str to int
        Value of each input in the cycles that do not name it; 0 at first.
    """

    def __init__(self, dut: SimHandleBase, *inputs: str):
        self.rest = dict.fromkeys(inputs, 0)
        self._dut = dut
        self._handles = {name: getattr(dut, name) for name in inputs}
        self._driven: dict[str, int] = {}

    async def start(self) -> None:
        """Start the clock and reset, all inputs at rest."""
        self._drive({})
        Clock(self._dut.clk, 10, unit="ns").start()
        await reset(self._dut)

    async def edge(self) -> None:
        """Go to the next cycle; what depends on registers only can be read already."""
        await FallingEdge(self._dut.clk)

    async def settle(self, **values: int) -> None:
        """Drive the inputs of this cycle, then return in the read-only phase.

        What is read then is what the next rising edge acts on.
        """
        self._drive(values)
        await ReadOnly()

    async def cycle(self, **values: int) -> None:
        """:meth:`edge` and :meth:`settle`."""
        await self.edge()
        await self.settle(**values)

    def _drive(self, values: dict[str, int]) -> None:
        wanted = self.rest | values
        for name in wanted:
            if self._driven.get(name) != wanted[name]:
                self._handles[name].value = wanted[name]
        self._driven = wanted

    def read(self, name: str) -> int:
        """Unsigned value of a port in this cycle."""
        return int(getattr(self._dut, name).value)
