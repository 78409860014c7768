"""Flits on their way, register by register and cycle by cycle, where there are any.

Routers, the merges of tiles and of the host, and links between chips, by their contracts: what
loads a flit in which cycle, who goes first, who waits for room. Nothing is done for a cycle in
which nothing moves.
"""

from __future__ import annotations

import collections
import functools
import heapq
from collections.abc import Callable, Sequence

import numpy as np

from lamina.models.fabric.config import ChipLinkConfig, MeshConfig, Port
from lamina.models.fabric.mapping import HOST
from lamina.models.fabric.routes import link_loads

__all__ = ["Calendar", "Entry", "Flit", "Inlet", "Traffic"]


class Calendar:
    """What is to be done in which cycle."""

    def __init__(self):
        self._due: dict[int, list[Callable[[int], None]]] = {}
        self._cycles: list[int] = []
        self._now = 0

    def at(self, cycle: int, action: Callable[[int], None]) -> None:
        """Call `action` with `cycle`, or with the cycle of now where that is over."""
        cycle = max(cycle, self._now)
        found = self._due.get(cycle)
        if found is None:
            self._due[cycle] = [action]
            heapq.heappush(self._cycles, cycle)
        else:
            found.append(action)

    def run(self) -> None:
        """Do all that is due, and what that makes due."""
        while self._cycles:
            self._now = now = heapq.heappop(self._cycles)
            for action in self._due[now]:
                action(now)
            del self._due[now]


class Flit:
    """A flit and the places that it has yet to pass.

    Parameters
    ----------
    way : sequence of places
        Those that load it, one after the other, and the :class:`Inlet` behind them.
    kind : int
    channel : int

    Attributes
    ----------
    offered : int
        First cycle in which it could leave.
    loaded : int
        Cycle in which the last one loaded it: it is offered from the next one on.
    """

    __slots__ = ("channel", "kind", "loaded", "offered", "place", "way")

    def __init__(self, way: Sequence[object], kind: int, channel: int, offered: int):
        self.way, self.kind, self.channel, self.offered = way, kind, channel, offered
        self.place, self.loaded = 0, -1

    def waited(self, cycle: int) -> int:
        """Cycles beyond one for each place, when the last one takes it in `cycle`."""
        return cycle - self.offered - len(self.way) + 1


class _Place:
    """Holds flits in order; the oldest is offered to the next place on its way."""

    def __init__(self, calendar: Calendar):
        self._at = calendar.at
        self.held: collections.deque[Flit] = collections.deque()
        self.left = -1

    def head_for(self, place: object, cycle: int) -> bool:
        """Whether `place` is offered a flit in `cycle`: one leaves in a cycle at most."""
        if not self.held or self.left == cycle:
            return False
        flit = self.held[0]
        return flit.way[flit.place] is place and flit.loaded < cycle

    def give(self, cycle: int) -> Flit:
        """The oldest flit leaves."""
        self.left = cycle
        flit = self.held.popleft()
        flit.place += 1
        if self.held:
            self._offer(max(cycle, self.held[0].loaded) + 1)
        return flit

    def keep(self, flit: Flit, cycle: int) -> None:
        """A flit is loaded."""
        flit.loaded = cycle
        self.held.append(flit)
        if len(self.held) == 1:
            self._offer(cycle + 1)

    def _offer(self, cycle: int) -> None:
        flit = self.held[0]
        self._at(cycle, flit.way[flit.place].load)


class Entry(_Place):
    """Where flits begin their way.

    Parameters
    ----------
    calendar : Calendar
    gone : function of a cycle, or None
        Is told when a flit leaves.
    """

    def __init__(self, calendar: Calendar, gone: Callable[[int], None] | None = None):
        super().__init__(calendar)
        self._gone = gone

    def put(self, flit: Flit, cycle: int) -> None:
        """Offer a flit from `cycle` on, behind those before it."""
        self.keep(flit, cycle - 1)

    def give(self, cycle: int) -> Flit:
        """The oldest flit leaves."""
        flit = super().give(cycle)
        if self._gone is not None:
            self._gone(cycle)
        return flit


class _Register(_Place):
    """Loads a flit of one of its sources while it is free or its own one leaves."""

    def __init__(self, calendar: Calendar, *, fair: bool = True):
        super().__init__(calendar)
        self.sources: list[_Place] = []
        self._fair, self._turn = fair, 0

    def load(self, cycle: int) -> None:
        """Load in `cycle`, if there is room, from the first source behind the last one."""
        if self.held:
            return
        count = len(self.sources)
        for step in range(count):
            turn = (self._turn + step) % count
            source = self.sources[turn]
            if source.head_for(self, cycle):
                if self._fair:
                    self._turn = turn + 1
                self.keep(source.give(cycle), cycle)
                return

    def give(self, cycle: int) -> Flit:
        """The flit leaves; another one may come in this cycle."""
        flit = super().give(cycle)
        self._at(cycle, self.load)
        return flit


class _Buffer(_Place):
    """Input of a router: loads from one source while it has room when the cycle begins."""

    def __init__(self, calendar: Calendar, depth: int):
        super().__init__(calendar)
        self.source: _Place | None = None
        self._depth = depth

    def load(self, cycle: int) -> None:
        """Load in `cycle`, if there is room."""
        if len(self.held) + (self.left == cycle) < self._depth and (
                self.source.head_for(self, cycle)):
            self.keep(self.source.give(cycle), cycle)

    def give(self, cycle: int) -> Flit:
        """The oldest flit leaves; its room is seen a cycle later."""
        flit = super().give(cycle)
        self._at(cycle + 1, self.load)
        return flit


class _Far(_Place):
    """Buffer at the far end of a link between chips: what leaves it is news to tell."""

    def __init__(self, calendar: Calendar, end: _LinkEnd):
        super().__init__(calendar)
        self._end = end

    def give(self, cycle: int) -> Flit:
        """The oldest flit leaves."""
        self._end.tell_later(cycle, taken=1)
        return super().give(cycle)


class _LinkEnd:
    """One end of a link between chips on quiet wires: packets to the other end, and from there.

    A packet begins in the cycle after there is a flit, or news; it is heard ``words + 2`` cycles
    later, and the next one begins after ``words + 1``; none begins in a cycle in which one is
    heard. An end that is silent for ``retry_cycles`` tells its answers; these packets are counted
    back only when there is more to send, so two that meet may be a cycle off.
    """

    def __init__(self, calendar: Calendar, config: ChipLinkConfig):
        self._at, self._config = calendar.at, config
        self.source: _Place | None = None
        self.far: _LinkEnd | None = None
        self.arrived = _Far(calendar, self)
        self._kept: collections.deque[Flit] = collections.deque()
        self._unfreed, self._freed = 0, (-1, 0)
        self._taken, self._took = 0, -1
        self._news: list[int] = []
        self._start, self._quiet, self._free = -1, -config.retry_cycles, 0
        self._hears: set[int] = set()
        self._heard = self._due = -1

    def load(self, cycle: int) -> None:
        """Take a flit in `cycle`, if the far buffer will have room."""
        freed = self._freed[1] if self._freed[0] == cycle else 0
        if self._unfreed + freed < self._config.window and self.source.head_for(self, cycle):
            flit = self.source.give(cycle)
            flit.loaded = cycle
            self._kept.append(flit)
            self._unfreed += 1
            self._ask(cycle + 1)
            self._at(cycle + 1, self.load)

    def tell_later(self, cycle: int, *, taken: int = 0) -> None:
        """There is news from the cycle after `cycle` on."""
        self._news.append(cycle)
        if taken:
            self._taken, self._took = self._taken + 1, cycle
        self._ask(cycle + 1)

    def _ask(self, cycle: int) -> None:
        """Look in `cycle` whether a packet can begin, or earlier if that is due."""
        if self._due < 0 or cycle < self._due:
            self._due = cycle
            self._at(cycle, self.send)

    def send(self, cycle: int) -> None:
        """Begin a packet in `cycle`, if it can, and ask again while there is more to tell."""
        if cycle == self._due:
            self._due = -1
            self._begin(cycle)
            if self._kept or self._news:
                self._ask(max(self._free, cycle + 1))

    def _begin(self, cycle: int) -> None:
        """Begin a packet if there is anything to tell and the wires are free."""
        flit = bool(self._kept) and self._kept[0].loaded < cycle
        news = bool(self._news) and self._news[0] < cycle
        if not flit and not news:
            return
        self._keep_alive(cycle)
        heard = cycle == self._heard or cycle in self._hears or self.far.is_alive(cycle)
        if cycle < self._free or heard:
            return
        config = self._config
        words = config.full_words if flit else config.short_words
        self._news = [told for told in self._news if told == cycle]
        self._start, self._free = cycle, cycle + words + 1
        taken = self._taken - (self._took == cycle)
        self._taken -= taken
        told = self._kept.popleft() if flit else None
        self.far._hears.add(cycle + words + 2)
        self._at(cycle + words + 2, functools.partial(self.far.hear, told, taken))

    def _keep_alive(self, cycle: int) -> None:
        """Packets that a silent end has sent before `cycle`."""
        every = self._config.retry_cycles + 1
        silent = (cycle - 1 - self._start) // every
        if silent > 0:
            self._start += silent * every
            self._quiet, self._free = self._start, self._start + self._config.short_words + 1

    def is_alive(self, cycle: int) -> bool:
        """Whether the other end hears in `cycle` that this one is but silent."""
        self._keep_alive(cycle)
        return cycle == self._quiet + self._config.short_words + 2

    def hear(self, flit: Flit | None, taken: int, cycle: int) -> None:
        """A packet has arrived: a flit for this chip, and how many left the buffer over there."""
        self._hears.remove(cycle)
        self._heard = cycle
        if taken:
            self._unfreed -= taken
            self._freed = cycle, taken
            self._at(cycle + 1, self.load)
        if flit is not None:
            self.arrived.keep(flit, cycle)
            self.tell_later(cycle)


class Inlet:
    """The end of every way to a tile, or to the host: takes a flit per cycle.

    Parameters
    ----------
    calendar : Calendar
    take : function of a flit and the cycle in which it is taken

    Attributes
    ----------
    closes : int
        Cycle in which none is taken.
    """

    def __init__(self, calendar: Calendar, take: Callable[[Flit, int], None]):
        self._at, self._take = calendar.at, take
        self.source: _Place | None = None
        self.closes = -1

    def load(self, cycle: int) -> None:
        """Take what is offered in `cycle`."""
        if cycle == self.closes:
            self._at(cycle + 1, self.load)
        elif self.source.head_for(self, cycle):
            self._take(self.source.give(cycle), cycle)


class Traffic:
    """All places of a fabric.

    Parameters
    ----------
    calendar : Calendar
    mesh : MeshConfig
    routes : list of list of int
        Port by router and destination.
    inlets : dict of int to Inlet
        Of the tiles in use, and of :data:`HOST`.
    events, credits : dict of int to Entry
        Where their flits begin; the host has no credits.

    """

    def __init__(self, calendar: Calendar, mesh: MeshConfig, routes: list[list[int]],
                 inlets: dict[int, Inlet], events: dict[int, Entry], credits: dict[int, Entry]):
        self._calendar, self._mesh, self._routes = calendar, mesh, routes
        self._inlets = inlets
        self._counts: collections.Counter[tuple[int, int, bool]] = collections.Counter()
        self._behind = [{port: mesh.neighbour(tile, port) for port in mesh.ports[1:]}
                        for tile in range(mesh.tiles)]
        self._ways: dict[tuple[int, int, bool], tuple[object, ...]] = {}
        register = functools.partial(_Register, calendar)
        self._inputs = {(tile, port): _Buffer(calendar, mesh.fifo_depth)
                        for tile in range(mesh.tiles) for port in mesh.ports}
        self._outputs = {key: register() for key in self._inputs}
        self._ends = {key: _LinkEnd(calendar, mesh.chip_link) for key in self._inputs
                      if mesh.leaves_chip(*key)}
        self._egress = {tile: register(fair=False) for tile in inlets if tile != HOST}
        self._ingress = {tile: register() for tile in self._egress}
        self._merges = {name: register() for name in ("inward", "tileward", "meshward")}
        self._join_routers()
        self._join_tiles(events, credits)

    def _join_routers(self) -> None:
        for (tile, port), output in self._outputs.items():
            output.sources = [self._inputs[tile, other] for other in self._mesh.inputs_of(port)]
            there = self._behind[tile].get(port)
            if there is None:
                continue
            far = self._inputs[there, port.opposite]
            far.source = output
            if (tile, port) in self._ends:
                end, other = self._ends[tile, port], self._ends[there, port.opposite]
                end.source, end.far, far.source = output, other, other.arrived

    def _join_tiles(self, events: dict[int, Entry], credits: dict[int, Entry]) -> None:
        inward, tileward, meshward = self._merges.values()
        out = self._outputs[0, Port.LOCAL]
        near = self._egress.get(0)
        inward.sources = [out, *([near] if near else [])]
        tileward.sources = [out, events[HOST]]
        meshward.sources = [*([near] if near else []), events[HOST]]
        self._inputs[0, Port.LOCAL].source = meshward
        self._inlets[HOST].source = inward
        for tile, egress in self._egress.items():
            ingress = self._ingress[tile]
            egress.sources = [credits[tile], events[tile]]
            ingress.sources = [self._outputs[tile, Port.LOCAL] if tile else tileward, egress]
            self._inlets[tile].source = ingress
            if tile:
                self._inputs[tile, Port.LOCAL].source = egress

    def send(self, entry: Entry, ends: tuple[int, int, bool], cycle: int, kind: int, channel: int
             ) -> None:
        """Offer a flit from `cycle` on.

        Parameters
        ----------
        entry : Entry
        ends : (int, int, bool)
            Tile or :data:`HOST` that sends it, tile that hears it, whether the host does there.
        cycle, kind, channel : int
        """
        found = self._ways.get(ends)
        if found is None:
            found = self._ways[ends] = self._way(*ends)
        self._counts[ends] += 1
        entry.put(Flit(found, kind, channel, cycle), cycle)

    @property
    def flits(self) -> int:
        """That began their way."""
        return self._counts.total()

    @property
    def routed(self) -> np.ndarray:
        """Of them those between routers, int (tiles, tiles); the host is at that of tile 0."""
        found = np.zeros((self._mesh.tiles, self._mesh.tiles), dtype=np.int64)
        for (source, target, for_host), count in self._counts.items():
            found[max(source, 0), 0 if for_host else target] += count
        np.fill_diagonal(found, 0)
        return found

    @property
    def link_flits(self) -> dict[tuple[int, int], int]:
        """Of them those over each link, by the tile that it leaves and the port there."""
        loads = link_loads(self._mesh, np.array(self._routes), self.routed)
        return {link: int(flits) for link, flits in loads.items()}

    def _way(self, source: int, target: int, for_host: bool) -> tuple[object, ...]:
        """Places that a flit passes."""
        here, near = max(source, 0), 0 if for_host else target
        way: list[object] = [] if source == HOST else [self._egress[source]]
        if here != near:
            way += [self._merges["meshward"]] * (here == 0)
            way += self._cross(here, near)
        if for_host:
            return (*way, self._merges["inward"], self._inlets[HOST])
        if near == 0 and (source == HOST or here != near):
            way.append(self._merges["tileward"])
        return (*way, self._ingress[near], self._inlets[near])

    def _cross(self, here: int, target: int) -> list[object]:
        """Router by router."""
        places: list[object] = [self._inputs[here, Port.LOCAL]]
        while True:
            port = Port(self._routes[here][target])
            places.append(self._outputs[here, port])
            if port == Port.LOCAL:
                return places
            if (here, port) in self._ends:
                places.append(self._ends[here, port])
            here = self._behind[here][port]
            places.append(self._inputs[here, port.opposite])
