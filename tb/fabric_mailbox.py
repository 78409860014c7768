"""The host's line to a simulated fabric: one wake-up of Python per order, not per cycle."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable

import numpy as np
from cocotb.clock import Clock
from cocotb.handle import SimHandleBase
from cocotb.triggers import FallingEdge, ReadOnly, Timer

from lamina.models.config import COUNTERS, EventKind, Register, Space
from lamina.models.fabric.config import FabricConfig, RouterCounter, TileSpace
from lamina.models.fabric.mapping import FabricProgram
from lamina.models.fabric.tables import FabricBlock
from lamina.models.placement import place
from lamina.tb.fabric_port import settling_cycles
from lamina.tb.stream_port import PERIOD_NS, membrane_words, membranes_of
from lamina.tb.streams import fabric_fields, pack, reset, unpack

__all__ = ["FabricMailbox"]

_SEND, _RECEIVED = pathlib.Path("send.bin"), pathlib.Path("received.txt")


def _patience(config: FabricConfig) -> int:
    """Cycles in which nothing moves, after which nothing will: timesteps of all tiles in turn."""
    longest = 2 * config.mesh.tiles * config.core.groups * config.core.axons
    return min((1 << 16) + longest, (1 << 32) - 1)


class FabricMailbox:
    """Loads a fabric, runs samples and reads back.

    Parameters
    ----------
    dut : SimHandleBase
        ``fabric_mailbox``.
    config : FabricConfig
    """

    def __init__(self, dut: SimHandleBase, config: FabricConfig):
        self._dut, self._config, self._go = dut, config, 0
        self._requests, self._events, self._outputs = fabric_fields(config)

    async def start(self) -> None:
        """Start the clock and reset the fabric."""
        self._dut.patience.value = _patience(self._config)
        Clock(self._dut.clk, PERIOD_NS, unit="ns").start()
        await reset(self._dut)

    async def load(self, image: list[FabricBlock]) -> None:
        """Write all blocks, a word per cycle."""
        await self._order(np.concatenate([
            self._request(tile, space, address, words.astype(np.uint64), write=1)
            for tile, space, address, words in image]), sample=0, awaited=0)

    async def run_sample(self, fabric: FabricProgram, sample: np.ndarray
                         ) -> tuple[list[np.ndarray], list[np.ndarray], tuple[int, int]]:
        """Run one sample and its CLEAR, every layer reporting.

        Parameters
        ----------
        fabric : FabricProgram
            That is loaded.
        sample : uint8 array (T, axons)

        Returns
        -------
        spikes : list of uint8 arrays (T, neurons)
            By layer.
        membranes : list of int64 arrays (neurons,)
            Behind the last timestep.
        cycles : (int, int)
            From the first event to the last TICK that the host hears, both counted; of CLEAR.
        """
        events = [event for step in sample for event in (
            *((EventKind.SPIKE, line) for line in np.flatnonzero(step)), (EventKind.TICK, 0))]
        told, ran = await self._tell(events, EventKind.TICK, len(sample) * len(fabric.reporting))
        layers = fabric.program.layers
        spikes = [np.zeros((len(sample), layer.neurons), dtype=np.uint8) for layer in layers]
        membranes = [np.zeros(layer.neurons, dtype=np.int64) for layer in layers]
        found = await self._membranes(fabric)
        for number in fabric.reporting:
            tile = fabric.tiles[number]
            fired = _frames(told[told["tile"] == number], len(sample), self._config.core.neurons)
            placed = place(tile.program, self._config.core.lanes).layers
            for part, layer, levels in zip(tile.parts, placed, found[number], strict=True):
                if part.is_partial:
                    continue
                cut = slice(part.first, part.first + part.neurons)
                spikes[part.layer][:, cut] = fired[:, layer.units]
                membranes[part.layer][cut] = levels
        _, cleared = await self._tell([(EventKind.CLEAR, 0)], EventKind.CLEAR,
                                      len(fabric.reporting))
        return spikes, membranes, (ran, cleared)

    async def counters(self, tiles: Iterable[int]) -> dict[int, dict[str, int]]:
        """Counters of each tile's core by name; ``accesses_k`` for tier k."""
        names = [*COUNTERS, *(f"accesses_{tier}" for tier in range(len(self._config.core.tiers)))]
        found = await self._read({tile: (int(Space.REGISTERS), int(Register.COUNTERS),
                                         2 * len(names)) for tile in tiles})
        return {tile: {name: int(low) | int(high) << 16 for name, low, high in
                       zip(names, words[::2], words[1::2], strict=True)}
                for tile, words in found.items()}

    async def hops(self) -> np.ndarray:
        """Flits that each router has sent on, int64 (tiles,); waits until those under way are."""
        await Timer(settling_cycles(self._config) * PERIOD_NS, "ns")
        found = await self._read({tile: (int(TileSpace.LINKS), 0, len(RouterCounter))
                                  for tile in range(self._config.mesh.tiles)})
        return np.array([words[RouterCounter.HOPS_LOW] | words[RouterCounter.HOPS_HIGH] << 16
                         for words in found.values()], dtype=np.int64)

    async def _membranes(self, fabric: FabricProgram) -> dict[int, list[np.ndarray]]:
        """Of every layer of every tile's program; waits for idle."""
        core = self._config.core
        found = await self._read({number: (int(Space.STATE), *membrane_words(tile.program, core))
                                  for number, tile in fabric.tiles.items()})
        return {number: membranes_of(words, fabric.tiles[number].program, core)
                for number, words in found.items()}

    async def _read(self, blocks: dict[int, tuple[int, int, int]]) -> dict[int, np.ndarray]:
        """Words of a block (space, first address, count) of each tile."""
        counts = [count for _, _, count in blocks.values()]
        lines, _ = await self._order(np.concatenate([
            self._request(tile, space, address, np.zeros(count, dtype=np.uint64), write=0)
            for tile, (space, address, count) in blocks.items()]), sample=0, awaited=sum(counts))
        words = np.split(np.array(lines, dtype=np.int64), np.cumsum(counts)[:-1])
        return dict(zip(blocks, words, strict=True))

    async def _tell(self, events: list[tuple[int, int]], closing: EventKind, awaited: int
                    ) -> tuple[np.ndarray, int]:
        """Send events; all that is told until so many close, and the cycles."""
        words = [pack({"kind": int(kind), "neuron": int(line)}, self._events)
                 for kind, line in events]
        lines, span = await self._order(np.array(words, dtype=np.uint64), sample=1,
                                        awaited=awaited, closing=int(closing))
        kinds = [(name, np.int64) for name in self._outputs]
        return np.array([tuple(unpack(word, self._outputs).values()) for word in lines],
                        dtype=kinds), span

    def _request(self, tile: int, space: int, address: int, words: np.ndarray, *, write: int
                 ) -> np.ndarray:
        """Requests for ascending addresses, as :func:`lamina.tb.streams.pack` makes one."""
        address_shift, data_shift = np.cumsum(list(self._requests.values()))[1:3]
        found = words << np.uint64(data_shift)
        found |= (np.arange(len(words), dtype=np.uint64) + np.uint64(address)) << np.uint64(
            address_shift)
        return found | np.uint64(pack({"write": write, "space": space, "tile": tile},
                                      self._requests))

    async def _order(self, words: np.ndarray, *, sample: int, awaited: int, closing: int = 0
                     ) -> tuple[list[int], int]:
        """Send words; what came back, and the cycles that it took."""
        dut = self._dut
        words.astype(">u8").tofile(_SEND)
        await FallingEdge(dut.clk)
        self._go ^= 1
        dut.sample.value, dut.awaited.value, dut.closing.value = sample, awaited, closing
        dut.go.value = self._go
        await dut.bell.value_change
        await ReadOnly()
        lines = [int(line, 16) for line in _RECEIVED.read_text().split()]
        if dut.stuck.value == 1:
            raise RuntimeError(f"the fabric stands still: {len(lines)} words came, {awaited} "
                               f"{'closing events' if sample else 'responses'} were awaited")
        if dut.strays.value != 0:
            raise RuntimeError(f"{int(dut.strays.value)} events came that nothing had caused")
        return lines, int(dut.span.value)


def _frames(told: np.ndarray, steps: int, neurons: int) -> np.ndarray:
    """Spikes of a core, uint8 (steps, neurons), from its events."""
    found = np.zeros((steps, neurons), dtype=np.uint8)
    closed = np.cumsum(told["kind"] == EventKind.TICK)
    if closed[-1] != steps:
        raise RuntimeError(f"tile {told['tile'][0]} told {closed[-1]} timesteps of {steps}")
    fired = told["kind"] == EventKind.SPIKE
    found[closed[fired], told["neuron"][fired]] = 1
    return found
