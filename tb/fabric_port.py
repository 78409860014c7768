"""The fabric behind its four streams: load, run and read back as a host does."""

from __future__ import annotations

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.handle import SimHandleBase
from cocotb.triggers import FallingEdge
from cocotb.utils import get_sim_time

from lamina.models.config import COUNTERS, EventKind, Register, Space, StateRegion
from lamina.models.fabric.config import FabricConfig
from lamina.models.fabric.mapping import FabricProgram
from lamina.models.fabric.run import FabricTrace
from lamina.models.fabric.tables import FabricBlock
from lamina.models.placement import place
from lamina.tb.streams import Payload, StreamDriver, StreamMonitor, request_fields, reset

__all__ = ["PERIOD_NS", "FabricPort", "expected_events"]

PERIOD_NS = 10
"""Clock period [ns]."""


def expected_events(fabric: FabricProgram, trace: FabricTrace, lanes: int, sample: int
                    ) -> dict[int, list[tuple[int, int]]]:
    """(kind, neuron) of all that each tile tells the host of a sample, CLEAR and all."""
    found = {}
    for number, tile in fabric.tiles.items():
        placed, events = place(tile.program, lanes).layers, []
        for t in range(fabric.program.timesteps):
            for part, layer in zip(tile.parts, placed, strict=True):
                cut = slice(part.first, part.first + part.neurons)
                units = layer.units[np.flatnonzero(trace.spikes[part.layer][sample, t, cut])]
                events += [(int(EventKind.SPIKE), unit) for unit in np.sort(units).tolist()]
            events.append((int(EventKind.TICK), 0))
        found[number] = [*events, (int(EventKind.CLEAR), 0)]
    return found


def _frames(events: list[tuple[int, int]], steps: int, neurons: int) -> np.ndarray:
    """Spikes of a core, uint8 (steps, neurons), from its events; what is behind them is left."""
    found, step = np.zeros((steps + 1, neurons), dtype=np.uint8), 0
    for kind, neuron in events:
        if kind == EventKind.SPIKE:
            found[step, neuron] = 1
        step = min(steps, step + int(kind == EventKind.TICK))
    return found[:steps]


class FabricPort:
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
        self.dut, self.config = dut, config
        fields = config.payload_fields
        outputs = {"kind": 2, "tile": fields["channel"], "neuron": fields["number"]}
        requests = {**request_fields(), "tile": config.host_tile.bit_length()}
        self.events = StreamDriver(dut, "events", {"kind": 2, "neuron": config.input_bits},
                                   seed=seed)
        self.output = StreamMonitor(dut, "output", outputs, seed=seed + 1)
        self._request = StreamDriver(dut, "request", requests, seed=seed + 2)
        self._response = StreamMonitor(dut, "response", seed=seed + 3)
        self._streams = (self.events, self.output, self._request, self._response)

    def stall(self, probability: float) -> None:
        """Set the stall probability of all streams, 0..1."""
        for stream in self._streams:
            stream.stall = probability

    async def start(self) -> None:
        """Start clock and streams, then reset."""
        Clock(self.dut.clk, PERIOD_NS, unit="ns").start()
        await reset(self.dut)
        for stream in self._streams:
            cocotb.start_soon(stream.run())

    async def until(self, condition) -> None:
        """Wait, a clock cycle at a time, until `condition()` is true."""
        while not condition():
            await FallingEdge(self.dut.clk)

    async def load(self, image: list[FabricBlock]) -> None:
        """Write all blocks."""
        for tile, space, address, words in image:
            for offset, word in enumerate(words.tolist()):
                self._request.send({"write": 1, "space": space, "address": address + offset,
                                    "data": word, "tile": tile})
        await self.until(lambda: not self._request.pending)

    async def read(self, tile: int, space: int, address: int, count: int) -> list[int]:
        """Read `count` 16-bit words of a tile's core from ascending addresses."""
        self._response.taken.clear()
        for offset in range(count):
            self._request.send({"space": int(space), "address": address + offset, "tile": tile})
        await self.until(lambda: len(self._response.taken) == count)
        return list(self._response.taken)

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
        """Events of each of `tiles`, once all of them have told `count` of `kind`."""
        def complete() -> bool:
            closings = [event["tile"] for event in taken if event["kind"] == kind]
            return all(closings.count(tile) >= count for tile in tiles)

        taken: list[Payload] = self.output.taken
        seen = 0
        while seen == len(taken) or not complete():
            seen = len(taken)
            await FallingEdge(self.dut.clk)
        return {tile: [(event["kind"], event["neuron"]) for event in taken
                       if event["tile"] == tile] for tile in {event["tile"] for event in taken}}

    async def run_sample(self, fabric: FabricProgram, sample: np.ndarray
                         ) -> tuple[list[np.ndarray], list[np.ndarray], int]:
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
        cycles : int
            From the first event to the last answer, CLEAR included, reading left out.
        """
        self.output.taken.clear()
        tiles, steps = list(fabric.tiles), len(sample)
        start = get_sim_time("ns")
        for step in sample:
            self.send(np.flatnonzero(step).tolist())
        told = await self.told(tiles, EventKind.TICK, steps)
        elapsed = get_sim_time("ns") - start
        layers = fabric.program.layers
        spikes = [np.zeros((steps, layer.neurons), dtype=np.uint8) for layer in layers]
        membranes = [np.zeros(layer.neurons, dtype=np.int64) for layer in layers]
        for number, tile in fabric.tiles.items():
            fired = _frames(told[number], steps, self.config.core.neurons)
            found = await self.membranes(number, tile.program)
            placed = place(tile.program, self.config.core.lanes).layers
            for part, layer, levels in zip(tile.parts, placed, found, strict=True):
                cut = slice(part.first, part.first + part.neurons)
                spikes[part.layer][:, cut] = fired[:, layer.units]
                membranes[part.layer][cut] = levels
        start = get_sim_time("ns")
        self.send([], EventKind.CLEAR)
        await self.told(tiles, EventKind.CLEAR, 1)
        return spikes, membranes, round((elapsed + get_sim_time("ns") - start) / PERIOD_NS)

    async def counters(self, tile: int) -> dict[str, int]:
        """Counters of a tile's core by name; ``accesses_k`` for tier k."""
        tiers = len(self.config.core.tiers)
        names = [*COUNTERS, *(f"accesses_{tier}" for tier in range(tiers))]
        words = await self.read(tile, Space.REGISTERS, Register.COUNTERS, 2 * len(names))
        return {name: low | high << 16
                for name, low, high in zip(names, words[::2], words[1::2], strict=True)}

    async def membranes(self, tile: int, program) -> list[np.ndarray]:
        """Membranes [LSB] of every layer of a tile's program."""
        core = self.config.core
        placement = place(program, core.lanes)
        base = int(StateRegion.MEMBRANE) * core.groups * core.lanes * core.slot_chunks
        words = await self.read(tile, Space.STATE, base,
                                placement.rows * core.lanes * core.slot_chunks)
        chunks = np.array(words, dtype=np.int64).reshape(-1, core.slot_chunks)
        slots = (chunks << (16 * np.arange(core.slot_chunks))).sum(axis=1)
        half = 1 << (core.state_bits - 1)
        values = ((slots & (2 * half - 1)) ^ half) - half
        return [values[placed.units] for placed in placement.layers]
