"""Cycles of a fabric from spikes alone: every tile, every flit, in the order of time.

Cores are the cost model, to the cycle; outboxes, inboxes and credits are taken from their
contracts, and so is every place that a flit passes (:mod:`lamina.models.fabric.traffic`). What is
left out: the cycles in which a core holds a SPIKE back.
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
from lamina.models.fabric.config import FabricConfig, FlitKind
from lamina.models.fabric.flits import leaving
from lamina.models.fabric.mapping import HOST, FabricProgram, Tile
from lamina.models.fabric.routes import order_routes
from lamina.models.fabric.tables import Node, nodes_of
from lamina.models.fabric.traffic import Calendar, Entry, Flit, Inlet, Traffic
from lamina.models.placement import place

__all__ = ["FabricCost", "fabric_cycles"]

_PAYS = 2
"""From a slot's last read to the first CREDIT."""

Event = tuple[int, int]
"""Kind, neuron."""
Steps = Iterator[None]
"""A course of events, interrupted wherever it waits for a flit."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FabricCost:
    """Where the cycles of one sample go.

    Parameters
    ----------
    cycles : int
        From the first event of the host to the last TICK that it hears, both counted.
    flits : int
        Sent in all, credits included.
    flit_hops : int
        Links that they cross.
    slots : dict of int to list of int
        Cycle in which each tile begins each timestep.
    routed : int
        Flits that pass routers, each one more than links; others stay at their tile.
    link_flits : dict of (int, int) to int
        Over every link, by the tile that it leaves and the port there.
    waited : int
        Cycles of all flits on their way beyond one for each place that they pass.
    sending : dict of int to (int, int, int)
        Of each tile in use and the host: SPIKEs and TICKs sent, cycles in which its outbox had an
        event, and of these those in which a flit was offered and not taken.
    busy : dict of int to int
        Cycles in which each core has work, or cannot hand on what it did.
    """

    cycles: int
    flits: int
    flit_hops: int
    slots: dict[int, list[int]]
    routed: int
    link_flits: dict[tuple[int, int], int]
    waited: int
    sending: dict[int, tuple[int, int, int]]
    busy: dict[int, int]


class _Outbox:
    """When events leave, entry by entry, and when the next one is taken.

    Parameters
    ----------
    number : int
        Tile, or :data:`HOST`.
    node : Node
    traffic : Traffic
    entry : Entry
        Of its flits.
    tile_at : dict of int to int
        Tile by address.
    """

    def __init__(self, number: int, node: Node, traffic: Traffic, entry: Entry,
                 tile_at: dict[int, int]):
        self._traffic, self._entry, self._credits = traffic, entry, node.credits
        self._ranges = [(entry.first, entry.last, entry.closes, entry.channel,
                         (number, tile_at[entry.target], entry.host)) for entry in node.ranges]
        self._returned: list[list[int]] = [[] for _ in node.credits]
        self._free, self._slot, self._begun = 0, 0, False
        self.left: int | None = None
        self.sent = self.held = self.spent = 0

    def credit(self, target: int, cycle: int) -> None:
        """A CREDIT of target number `target` arrives."""
        self._returned[target].append(cycle)

    def send(self, valid: int, event: Event) -> Iterator[None]:
        """Send the flits of an event; its value is the cycle in which the event is taken."""
        kind, neuron = event
        begin = max(valid, self._free)
        if not self._begun:
            begin = yield from self._begin(begin)
        self._begun, start = kind == EventKind.SPIKE, begin
        for first, last, closes, channel, ends in self._ranges:
            if first <= neuron <= last if self._begun else closes:
                self.left = None
                self._traffic.send(self._entry, ends, begin, kind, channel)
                while self.left is None:
                    yield
                self.sent, self.held = self.sent + 1, self.held + self.left - begin
                begin = self.left
            begin += 1
        self._free, self.spent = begin, self.spent + begin - start
        return begin - 1

    def _begin(self, begin: int) -> Iterator[None]:
        """Take a credit of every target; its value is when."""
        for returned, initial in zip(self._returned, self._credits, strict=True):
            if self._slot >= initial:
                while len(returned) <= self._slot - initial:
                    yield
                begin = max(begin, returned[self._slot - initial] + 1)
        self._slot += 1
        return begin + 1


class _SlowEmitter(Emitter):
    """An emitter whose events go through an outbox."""

    def __init__(self, config: HardwareConfig, outbox: _Outbox):
        super().__init__(config)
        self._outbox, self._pushed = outbox, len(self._released)
        self._rows: Iterator[list[Event]] = iter(())
        self._masks: collections.deque[tuple[int, list[Event]]] = collections.deque()

    @property
    def moves(self) -> tuple[int, int]:
        """Masks so far, and those that were released."""
        return self._pushed, len(self._released)

    def begin(self, rows: Iterator[list[Event]]) -> None:
        """Events of the timestep that comes, row by row."""
        self._rows = rows

    def place(self) -> int | None:
        """First cycle in which the next mask may reserve a place; None: not known yet."""
        before = self._pushed - 2
        return self._released[before] + 1 if before < len(self._released) else None

    def push(self, store: int, events: int) -> None:
        """Take a mask: its events follow one another as the outbox takes them."""
        row = next(self._rows)
        if len(row) != events:
            raise ValueError(f"a row must have {events} events, not {len(row)}")
        self._masks.append((store + self._late, row))
        self._pushed += 1

    def steps(self) -> Steps:
        """Send what was taken, for ever."""
        while True:
            while not self._masks:
                yield
            store, row = self._masks.popleft()
            now = max(store, self._released[-1])
            for event in row:
                now = yield from self._outbox.send(now + 1, event)
            self._released.append(now + (not row))


class _Tile:
    """One tile's share of a sample.

    Parameters
    ----------
    tile : Tile
    config : FabricConfig
    activity : (uint8 array (T, axons), sequence of uint8 arrays (T, neurons))
        Spikes of the input, and of every layer of the whole network.
    outbox : _Outbox
    inlet : Inlet
    pay : function of a cycle and ``partial``
        Is told when the tile is done with what channels of spikes, or of sums, brought for a slot.
    """

    def __init__(self, tile: Tile, config: FabricConfig,
                 activity: tuple[np.ndarray, Sequence[np.ndarray]], outbox: _Outbox, inlet: Inlet,
                 pay: Callable[..., None]):
        program, (spikes, layer_spikes) = tile.program, activity
        fired = [leaving(part, layer_spikes) for part in tile.parts]
        self.outbox, self._inlet, self._pay = outbox, inlet, pay
        self._scheduler = Scheduler(config.core)
        self._emitter = _SlowEmitter(config.core, outbox)
        self._scheduler.emitter = self._emitter
        self._layers = jobs_of(program, config.core, tile.inputs(spikes, layer_spikes), fired)
        self._relays = relays_of(program, config.core)
        placed = place(program, config.core.lanes).layers
        self._rows = [_row_events(layer.units, layer.row, layer.rows, found, config.core.lanes)
                      for layer, found in zip(placed, fired, strict=True)]
        self._slots = [int(channel.delayed) for channel in tile.channels]
        self._open = [len(self._slots)] * (len(spikes) + 1)
        self._open[0] -= sum(self._slots)
        self._closed, self._paid = [0] * len(self._open), True
        self.begins: list[int] = []
        self.busy = 0
        self._sending, self._running = self._emitter.steps(), self._timesteps(len(spikes))

    def close(self, channel: int, cycle: int) -> None:
        """A TICK of a channel is taken."""
        slot = self._slots[channel]
        self._slots[channel] += 1
        self._open[slot] -= 1
        self._closed[slot] = cycle
        if not self._open[slot]:
            self.wake()

    def gone(self, cycle: int) -> None:
        """The flit that the outbox offers leaves."""
        self.outbox.left = cycle
        before = self._emitter.moves
        next(self._sending)
        if self._emitter.moves != before:
            self.wake()

    def wake(self) -> None:
        """Go on as far as all that is known allows."""
        before = None
        while before != self._emitter.moves:
            before = self._emitter.moves
            next(self._sending)
            next(self._running, None)
        self._answer()

    def _timesteps(self, timesteps: int) -> Steps:
        for t in range(timesteps):
            while self._open[t]:
                yield
            self._erased, self._paid = self._scheduler.erased, False
            tick = self._inlet.closes = max(self._closed[t], self._erased) + 1
            self.begins.append(tick)
            idle = max(tick, self._scheduler.stored + 1)
            rows = [row for layer in self._rows for row in layer[t]]
            rows[-1] = [*rows[-1], (int(EventKind.TICK), 0)]
            self._emitter.begin(iter(rows))
            yield from self._scheduler.steps(t, tick, self._layers, self._relays)
            self.busy += self._scheduler.stored + 1 - idle
            self._answer()
            self._pay(self._scheduler.stored, partial=True)

    def _answer(self) -> None:
        """Answer the slot at hand once its input was scanned for the last time."""
        if not self._paid and self._scheduler.erased != self._erased:
            self._paid = True
            self._pay(self._scheduler.erased, partial=False)


def _row_events(units: np.ndarray, row: int, rows: int, spikes: np.ndarray, lanes: int
                ) -> list[list[list[Event]]]:
    """SPIKEs by timestep and row."""
    found = []
    for step in spikes:
        fired = np.sort(units[np.flatnonzero(step)])
        found.append([[(int(EventKind.SPIKE), int(unit)) for unit in fired
                       if unit // lanes == place_] for place_ in range(row, row + rows)])
    return found


class _Fabric:
    """All tiles and the host.

    Parameters
    ----------
    fabric, config, spikes, layer_spikes, reported, routes
        See :func:`fabric_cycles`.
    """

    def __init__(self, fabric: FabricProgram, config: FabricConfig, spikes: np.ndarray,
                 layer_spikes: Sequence[np.ndarray], reported: tuple[int, ...] | None,
                 routes: np.ndarray | None):
        mesh, self._calendar, self.heard, self.waited = config.mesh, Calendar(), 0, 0
        self._nodes, numbers = nodes_of(fabric, config, reported), (HOST, *fabric.order)
        self._tile_at = {mesh.address(tile): tile for tile in range(mesh.tiles)}
        inlets = {number: Inlet(self._calendar, functools.partial(self._take, number))
                  for number in numbers}
        events = {number: Entry(self._calendar, functools.partial(self._gone, number))
                  for number in numbers}
        self._credits = {number: Entry(self._calendar) for number in fabric.order}
        routes = order_routes(mesh) if routes is None else routes
        self.traffic = Traffic(self._calendar, mesh, routes.tolist(), inlets, events,
                               self._credits)
        self.outboxes = {number: _Outbox(number, self._nodes[number], self.traffic,
                                          events[number], self._tile_at) for number in numbers}
        self.tiles = {
            number: _Tile(fabric.tiles[number], config, (spikes, layer_spikes),
                          self.outboxes[number], inlets[number],
                          functools.partial(self._pay, number)) for number in fabric.order}
        self._asking = self._samples(spikes)

    def run(self) -> None:
        """All timesteps."""
        next(self._asking)
        self._calendar.run()

    def _samples(self, spikes: np.ndarray) -> Steps:
        """Events of the host, each offered in the cycle after the one before was taken."""
        offered = 0
        for step in spikes:
            events = [(int(EventKind.SPIKE), line) for line in np.flatnonzero(step).tolist()]
            for event in [*events, (int(EventKind.TICK), 0)]:
                offered = 1 + (yield from self.outboxes[HOST].send(offered, event))
        while True:
            yield

    def _gone(self, number: int, cycle: int) -> None:
        """A flit of an event leaves."""
        if number == HOST:
            self.outboxes[HOST].left = cycle
            next(self._asking)
        else:
            self.tiles[number].gone(cycle)

    def _take(self, number: int, flit: Flit, cycle: int) -> None:
        """A flit arrives at a tile or at the host."""
        self.waited += flit.waited(cycle)
        if flit.kind == FlitKind.CREDIT:
            self.outboxes[number].credit(flit.channel, cycle)
            if number == HOST:
                next(self._asking)
            else:
                self.tiles[number].wake()
        elif number == HOST:
            self.heard = max(self.heard, cycle)
        elif flit.kind == FlitKind.TICK:
            self.tiles[number].close(flit.channel, cycle)

    def _pay(self, number: int, done: int, *, partial: bool) -> None:
        """A CREDIT to every source of spikes or of sums, one after the other."""
        for channel in self._nodes[number].channels:
            if channel.partial is partial:
                ends = number, self._tile_at[channel.source], channel.host
                self.traffic.send(self._credits[number], ends, done + _PAYS, FlitKind.CREDIT,
                                  channel.credit)


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
    crossed = found.traffic.link_flits
    return FabricCost(
        cycles=found.heard + 1, flits=found.traffic.flits, flit_hops=sum(crossed.values()),
        slots={number: tile.begins for number, tile in found.tiles.items()},
        routed=int(found.traffic.routed.sum()), link_flits=crossed, waited=found.waited,
        sending={number: (box.sent, box.spent, box.held)
                 for number, box in found.outboxes.items()},
        busy={number: tile.busy for number, tile in found.tiles.items()})
