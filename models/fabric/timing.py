"""Cycles of a fabric from spikes alone: which slot ends when, tile by tile, flit by flit.

Cores are the cost model to the cycle; outboxes, inboxes and credits are taken from their contracts.
Registers on the way of a flit hold one flit a cycle; flits are led through them slot by slot, so
where two meet, the one whose slot was followed first goes first, but where two streams take turns:
there nobody waits longer than a cycle.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from lamina.models.config import EventKind, HardwareConfig
from lamina.models.cost.graph import jobs_of, relays_of
from lamina.models.cost.scheduler import Scheduler
from lamina.models.cost.sequencer import Emitter
from lamina.models.fabric.config import FabricConfig, MeshConfig, Port
from lamina.models.fabric.mapping import HOST, FabricProgram, Part, Tile
from lamina.models.fabric.outbox import Range
from lamina.models.fabric.routes import order_routes
from lamina.models.fabric.tables import Node, nodes_of
from lamina.models.placement import place

__all__ = ["FabricCost", "fabric_cycles"]

_PAYS = 2
"""From a slot's last read to the first CREDIT."""

Event = tuple[int, int]
"""Kind, neuron."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FabricCost:
    """Where the cycles of one sample go.

    Parameters
    ----------
    cycles : int
        From the first event of the host to the last TICK that it hears.
    flits : int
        Sent in all, credits included.
    flit_hops : int
        Links that they cross.
    slots : dict of int to list of int
        Cycle in which each tile begins each timestep.
    """

    cycles: int
    flits: int
    flit_hops: int
    slots: dict[int, list[int]]


class _Outbox:
    """When events leave, entry by entry, and when the next one is taken."""

    def __init__(self, node: Node):
        self._ranges, self._credits = node.ranges, node.credits
        self._returned: list[list[int]] = [[] for _ in node.credits]
        self._free, self._slot, self._begun = 0, 0, False

    def credit(self, target: int, cycle: int) -> None:
        """A CREDIT of target number `target` arrives."""
        self._returned[target].append(cycle)

    def send(self, valid: int, event: Event, leave: Callable[[int, Range], int]) -> int:
        """Send the flits of an event; returns the cycle in which it is taken.

        ``leave(cycle, entry)`` is the cycle in which a flit that is offered from `cycle` on leaves.
        """
        kind, neuron = event
        begin = max(valid, self._free)
        if not self._begun:
            begin = max([begin, *(self._returned[target][self._slot - initial] + 1
                                  for target, initial in enumerate(self._credits)
                                  if self._slot >= initial)]) + 1
            self._slot += 1
        self._begun = kind == EventKind.SPIKE
        for entry in self._ranges:
            hit = entry.first <= neuron <= entry.last if self._begun else entry.closes
            begin = (leave(begin, entry) if hit else begin) + 1
        self._free = begin
        return begin - 1


class _SlowEmitter(Emitter):
    """An emitter whose events go through an outbox."""

    def __init__(self, config: HardwareConfig, outbox: _Outbox):
        super().__init__(config)
        self._outbox, self._rows, self._leave = outbox, iter(()), None

    def begin(self, rows: Iterator[list[Event]], leave: Callable[[int, Range], int]) -> None:
        """Events of the timestep that comes, row by row, and where their flits go."""
        self._rows, self._leave = rows, leave

    def push(self, store: int, events: int) -> None:
        """Take a mask: its events follow one another as the outbox takes them."""
        now = max(store + self._late, self._released[-1])
        row = next(self._rows)
        if len(row) != events:
            raise ValueError(f"a row must have {events} events, not {len(row)}")
        for event in row:
            now = self._outbox.send(now + 1, event, self._leave)
        self._released.append(now + (not row))


class _Tile:
    """One tile's share of a sample."""

    def __init__(self, tile: Tile, config: FabricConfig, node: Node, spikes: np.ndarray,
                 layer_spikes: Sequence[np.ndarray]):
        program = tile.program
        fired = [_leaving(part, layer_spikes) for part in tile.parts]
        self.outbox = _Outbox(node)
        self.scheduler = Scheduler(config.core)
        self.scheduler.emitter = self.emitter = _SlowEmitter(config.core, self.outbox)
        self.layers = jobs_of(program, config.core, tile.inputs(spikes, layer_spikes),
                              fired)
        self.relays = relays_of(program, config.core)
        placed = place(program, config.core.lanes).layers
        self._rows = [_row_events(layer.units, layer.row, layer.rows, found, config.core.lanes)
                      for layer, found in zip(placed, fired, strict=True)]
        self.begins: list[int] = []
        self.erased = self.ended = -1

    def run(self, t: int, tick: int, leave: Callable[[int, Range], int]) -> None:
        """Run timestep `t`, closed in cycle `tick`; flits go to `leave`."""
        rows = [row for layer in self._rows for row in layer[t]]
        rows[-1] = [*rows[-1], (int(EventKind.TICK), 0)]
        self.emitter.begin(iter(rows), leave)
        self.begins.append(tick)
        self.scheduler.run(t, tick, self.layers, self.relays)
        self.erased, self.ended = self.scheduler.erased, self.scheduler.stored


def _leaving(part: Part, layer_spikes: Sequence[np.ndarray]) -> np.ndarray:
    """Neurons with an event, (T, neurons): those that spike, or all where sums leave."""
    spikes = layer_spikes[part.layer][:, part.first:part.first + part.neurons]
    return np.ones_like(spikes) if part.is_partial else spikes


def _row_events(units: np.ndarray, row: int, rows: int, spikes: np.ndarray, lanes: int
                ) -> list[list[list[Event]]]:
    """SPIKEs by timestep and row."""
    found = []
    for step in spikes:
        fired = np.sort(units[np.flatnonzero(step)])
        found.append([[(int(EventKind.SPIKE), int(unit)) for unit in fired
                       if unit // lanes == place_] for place_ in range(row, row + rows)])
    return found


class _Ways:
    """Registers that flits pass, a cycle each; a register that is taken is waited for."""

    def __init__(self, mesh: MeshConfig, routes: np.ndarray | None):
        self._routes = (order_routes(mesh) if routes is None else routes).tolist()
        self._behind = [{port: mesh.neighbour(tile, port) for port in mesh.ports[1:]}
                        for tile in range(mesh.tiles)]
        self._taken: dict[object, dict[int, int]] = collections.defaultdict(dict)
        self.flits = self.links = 0

    def _turn(self, register: object, cycle: int) -> int:
        """As :meth:`_load`, of two streams that take turns."""
        return min(self._load(register, cycle), cycle + 1)

    def _load(self, register: object, cycle: int) -> int:
        """First cycle from `cycle` on in which the register is free to load."""
        taken, free = self._taken[register], cycle
        while free in taken:
            free = taken[free]
        taken[free] = free + 1
        while cycle < free:
            taken[cycle], cycle = free + 1, taken[cycle]
        return free

    def leave(self, source: int, target: int, cycle: int, *, for_host: bool) -> tuple[int, int]:
        """Cycles in which a flit that is offered from `cycle` on leaves, and is taken."""
        self.flits += 1
        near = 0 if for_host or target == HOST else target
        if source == HOST:
            left = now = self._turn("tileward" if near == 0 else "meshward", cycle)
        else:
            left = now = self._load(("egress", source), cycle)
            if source == near and not for_host:
                return left, self._turn(("ingress", near), now + 1) + 1
            if source == 0 and near:
                now = self._turn("meshward", now + 1)
        if max(source, 0) != near:
            now = self._cross(max(source, 0), near, now)
            now = now if for_host or near else self._turn("tileward", now + 1)
        arrival = self._turn("inward" if for_host else ("ingress", near), now + 1) + 1
        return left, arrival

    def _cross(self, here: int, target: int, now: int) -> int:
        """Router by router; the cycle in which the last one's register loads."""
        while True:
            port = self._routes[here][target]
            now = self._load((here, port), now + 2)
            if port == Port.LOCAL:
                return now
            self.links += 1
            here = self._behind[here][port]


class _Fabric:
    """All tiles and the host, slot by slot."""

    def __init__(self, fabric: FabricProgram, config: FabricConfig, spikes: np.ndarray,
                 layer_spikes: Sequence[np.ndarray], reported: tuple[int, ...] | None,
                 routes: np.ndarray | None):
        mesh = config.mesh
        self._fabric, self._spikes, self.ways = fabric, spikes, _Ways(mesh, routes)
        self._nodes = nodes_of(fabric, config, reported)
        self._tile_at = {mesh.address(tile): tile for tile in range(mesh.tiles)}
        self._host, self._offered, self.heard = _Outbox(self._nodes[HOST]), 0, 0
        self.tiles = {number: _Tile(fabric.tiles[number], config, self._nodes[number], spikes,
                                    layer_spikes) for number in fabric.order}
        self._closed: dict[tuple[int, int], int] = collections.defaultdict(int)

    def run(self) -> None:
        """All timesteps."""
        for t in range(len(self._spikes)):
            events = [(int(EventKind.SPIKE), int(line))
                      for line in np.flatnonzero(self._spikes[t])]
            for event in [*events, (int(EventKind.TICK), 0)]:
                self._offered = 1 + self._host.send(
                    self._offered, event, functools.partial(self._leave, HOST, t))
            for number, tile in self.tiles.items():
                tick = max(self._closed.pop((number, t)), tile.erased) + 1
                tile.run(t, tick, functools.partial(self._leave, number, t))
                self._pay(number, tile.erased, partial=False)
                self._pay(number, tile.ended, partial=True)

    def _leave(self, source: int, t: int, cycle: int, entry: Range) -> int:
        """Lead a flit of slot `t` to its target."""
        target = self._tile_at[entry.target]
        left, arrival = self.ways.leave(source, target, cycle, for_host=entry.host)
        if entry.host:
            self.heard = max(self.heard, arrival)
        else:
            slot = t + self._fabric.tiles[target].channels[entry.channel].delayed
            self._closed[target, slot] = max(self._closed[target, slot], arrival)
        return left

    def _pay(self, number: int, done: int, *, partial: bool) -> None:
        """A CREDIT to every source of spikes or of sums, one after the other."""
        cycle = done + _PAYS
        for channel in self._nodes[number].channels:
            if channel.partial is not partial:
                continue
            source = HOST if channel.host else self._tile_at[channel.source]
            outbox = self._host if channel.host else self.tiles[source].outbox
            left, arrival = self.ways.leave(number, source, cycle, for_host=channel.host)
            outbox.credit(channel.credit, arrival)
            cycle = left + 1


def fabric_cycles(fabric: FabricProgram, config: FabricConfig, spikes: np.ndarray,
                  layer_spikes: Sequence[np.ndarray], reported: tuple[int, ...] | None = None,
                  routes: np.ndarray | None = None) -> FabricCost:
    """Cycles of one sample on a fabric that was at rest.

    Parameters
    ----------
    fabric : FabricProgram
    config : FabricConfig
    spikes : uint8 array (T, axons)
    layer_spikes : sequence of uint8 arrays (T, neurons)
        Of every layer of the whole network, as traced by the golden model.
    reported : tuple of int or None
        Layers that the host hears: see :func:`lamina.models.fabric.tables.nodes_of`.
    routes : int array (tiles, tiles) or None
        Port by router and destination; None: dimension order.
    """
    found = _Fabric(fabric, config, spikes, layer_spikes, reported, routes)
    found.run()
    return FabricCost(cycles=found.heard, flits=found.ways.flits, flit_hops=found.ways.links,
                      slots={number: tile.begins for number, tile in found.tiles.items()})
