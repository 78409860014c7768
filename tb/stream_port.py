"""What core and fabric have in common: event streams, and requests for words of their memories."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.handle import SimHandleBase
from cocotb.triggers import FallingEdge

from lamina.models.config import HardwareConfig, Space, StateRegion
from lamina.models.placement import place
from lamina.models.program import Program
from lamina.tb.streams import Fields, StreamDriver, StreamMonitor, reset

__all__ = ["PERIOD_NS", "StreamPort", "membrane_words", "membranes_of"]

PERIOD_NS = 10
"""Clock period [ns]."""


class StreamPort:
    """Drives ``events`` and ``request``, takes ``output`` and ``response``.

    Parameters
    ----------
    dut : SimHandleBase
    core : HardwareConfig
        Whose memories the requests reach.
    events : Fields or None
        Of ``events``; None: something else drives them.
    output, request : Fields
    seed : int
        Of the stalls; there are none before :meth:`stall` is called.
    """

    def __init__(self, dut: SimHandleBase, core: HardwareConfig, *, events: Fields | None,
                 output: Fields, request: Fields, seed: int):
        self.dut, self._core = dut, core
        self.events = None if events is None else StreamDriver(dut, "events", events, seed=seed)
        self.output = StreamMonitor(dut, "output", output, seed=seed + 1)
        self._request = StreamDriver(dut, "request", request, seed=seed + 2)
        self._response = StreamMonitor(dut, "response", seed=seed + 3)
        self._streams = tuple(stream for stream in (
            self.events, self.output, self._request, self._response) if stream is not None)

    def stall(self, probability: float) -> None:
        """Set the stall probability of all streams, 0..1."""
        for stream in self._streams:
            stream.stall = probability

    async def start(self) -> None:
        """Start clock and streams, then reset."""
        Clock(self.dut.clk, PERIOD_NS, unit="ns").start()
        await reset(self.dut)
        self.listen()

    def listen(self) -> None:
        """Start the streams alone, where something else runs the clock."""
        for stream in self._streams:
            cocotb.start_soon(stream.run())

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait, a clock cycle at a time, until `condition()` is true."""
        while not condition():
            await FallingEdge(self.dut.clk)

    def queue(self, space: int, address: int, words: Iterable[int], **where: int) -> None:
        """Queue writes of 16-bit words to ascending addresses; `where` are further members."""
        for offset, word in enumerate(words):
            self._request.send({"write": 1, "space": int(space), "address": int(address) + offset,
                                "data": int(word), **where})

    async def write(self, space: int, address: int, words: Iterable[int], **where: int) -> None:
        """Write 16-bit words to ascending addresses."""
        self.queue(space, address, words, **where)
        await self.until(lambda: not self._request.pending)

    async def read(self, space: int, address: int, count: int = 1, **where: int) -> list[int]:
        """Read `count` 16-bit words from ascending addresses."""
        self._response.taken.clear()
        for offset in range(count):
            self._request.send({"space": int(space), "address": int(address) + offset, **where})
        await self.until(lambda: len(self._response.taken) == count)
        return list(self._response.taken)

    async def membranes(self, program: Program, **where: int) -> list[np.ndarray]:
        """Membranes [LSB] of every layer of a core's program; waits for idle."""
        words = await self.read(Space.STATE, *membrane_words(program, self._core), **where)
        return membranes_of(words, program, self._core)


def membrane_words(program: Program, core: HardwareConfig) -> tuple[int, int]:
    """First address and number of the words of the space STATE that hold membranes."""
    slot = core.lanes * core.slot_chunks
    rows = place(program, core.lanes, len(core.tiers)).rows
    return int(StateRegion.MEMBRANE) * core.groups * slot, rows * slot


def membranes_of(words: Sequence[int], program: Program, core: HardwareConfig
                 ) -> list[np.ndarray]:
    """Membranes [LSB] of every layer from those words."""
    placement = place(program, core.lanes, len(core.tiers))
    chunks = np.array(words, dtype=np.int64).reshape(-1, core.slot_chunks)
    slots = (chunks << (16 * np.arange(core.slot_chunks))).sum(axis=1)
    half = 1 << (core.state_bits - 1)
    values = ((slots & (2 * half - 1)) ^ half) - half
    return [values[placed.units] for placed in placement.layers]
