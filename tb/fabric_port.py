"""The fabric behind its four streams: load, run and read back as a host does."""

from __future__ import annotations

import collections

import numpy as np
from cocotb.handle import SimHandleBase
from cocotb.triggers import ClockCycles, FallingEdge

from lamina.models.config import EventKind
from lamina.models.fabric.config import FabricConfig, RouterCounter, TileSpace
from lamina.models.fabric.mapping import FabricProgram
from lamina.models.fabric.run import FabricTrace
from lamina.models.fabric.tables import FabricBlock
from lamina.models.placement import place
from lamina.tb.stream_port import StreamPort
from lamina.tb.streams import Payload, fabric_fields

__all__ = ["FabricPort", "expected_events", "settling_cycles"]

_PATIENCE = 200_000
"""Cycles in which nothing is told, after which nothing will."""


def settling_cycles(config: FabricConfig) -> int:
    """Cycles in which the last credits of a sample get to their tiles."""
    mesh = config.mesh
    link = mesh.chip_link.full_words if mesh.chips else 0
    return 64 + (link + 4) * (config.channels + sum(mesh.size))


def expected_events(fabric: FabricProgram, trace: FabricTrace, lanes: int, sample: int
                    ) -> dict[int, list[tuple[int, int]]]:
    """(kind, neuron) of all that each tile with membranes tells the host of a sample."""
    found = {}
    for number in fabric.reporting:
        tile = fabric.tiles[number]
        placed, events = place(tile.program, lanes).layers, []
        for t in range(fabric.program.timesteps):
            for part, layer in zip(tile.parts, placed, strict=True):
                if part.is_partial:
                    continue
                cut = slice(part.first, part.first + part.neurons)
                units = layer.units[np.flatnonzero(trace.spikes[part.layer][sample, t, cut])]
                events += [(int(EventKind.SPIKE), unit) for unit in np.sort(units).tolist()]
            events.append((int(EventKind.TICK), 0))
        found[number] = [*events, (int(EventKind.CLEAR), 0)]
    return found


class FabricPort(StreamPort):
    """Drives ``events`` and ``request``, takes ``output`` and ``response``.

    Parameters
    ----------
    dut : SimHandleBase
        ``lamina_fabric``.
    config : FabricConfig
    seed : int
        Of the stalls; there are none before :meth:`stall` is called.
    """

    def __init__(self, dut: SimHandleBase, config: FabricConfig, *, seed: int):
        requests, events, outputs = fabric_fields(config)
        super().__init__(dut, config.core, events=events, output=outputs, request=requests,
                         seed=seed)
        self.config = config

    async def load(self, image: list[FabricBlock]) -> None:
        """Write all blocks."""
        for tile, space, address, words in image:
            self.queue(space, address, words.tolist(), tile=tile)
        await self.until(lambda: not self._request.pending)

    async def hops(self) -> np.ndarray:
        """Flits that each router has sent on, int64 (tiles,); waits until those under way are."""
        await ClockCycles(self.dut.clk, settling_cycles(self.config), FallingEdge)
        found = [await self.read(TileSpace.LINKS, 0, len(RouterCounter), tile=tile)
                 for tile in range(self.config.mesh.tiles)]
        return np.array([words[RouterCounter.HOPS_LOW] | words[RouterCounter.HOPS_HIGH] << 16
                         for words in found], dtype=np.int64)

    def send(self, lines: list[int], kind: EventKind = EventKind.TICK) -> None:
        """Queue the spikes of a timestep and the event that closes it."""
        self.events.send(*({"kind": int(EventKind.SPIKE), "neuron": line} for line in lines),
                         {"kind": int(kind)})

    def send_sample(self, spikes: np.ndarray, rng: np.random.Generator) -> None:
        """Queue the timesteps of `spikes` (timesteps, axons), lines in random order."""
        for step in spikes:
            self.send(rng.permutation(np.flatnonzero(step)).tolist())

    async def told(self, tiles: list[int], kind: EventKind, count: int
                   ) -> dict[int, list[tuple[int, int]]]:
        """Events of each of `tiles`, once all of them have told `count` of `kind`.

        Raises
        ------
        RuntimeError
            If nothing is told for long.
        """
        taken: list[Payload] = self.output.taken
        closed: collections.Counter[int] = collections.Counter()
        seen = silent = 0
        while any(closed[tile] < count for tile in tiles):
            await FallingEdge(self.dut.clk)
            closed.update(event["tile"] for event in taken[seen:] if event["kind"] == kind)
            silent = silent + 1 if seen == len(taken) else 0
            if silent > _PATIENCE:
                raise RuntimeError(f"the fabric stands still: {seen} events were told")
            seen = len(taken)
        return {tile: [(event["kind"], event["neuron"]) for event in taken
                       if event["tile"] == tile] for tile in {event["tile"] for event in taken}}
