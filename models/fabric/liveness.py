"""Every order of events of a small fabric, tile plus mesh: no deadlock, no overflow, one result.

Of the contract alone: bounded buffers at the inputs of routers, a register at the way out of each
node, channels that bring a spike or none and a TICK per slot, two bitmaps per tile, credits. How
long anything takes is left open, so what holds here holds for every timing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from lamina.models.fabric.config import FlitKind, MeshConfig, Port
from lamina.models.fabric.mapping import HOST
from lamina.models.fabric.routes import order_routes

__all__ = ["ContractError", "Exploration", "SmallFabric", "Wire", "explore"]

BITMAPS = 2


class ContractError(Exception):
    """A bitmap that is in use is written, or a slot has other spikes than it should."""


@dataclasses.dataclass(frozen=True)
class Wire:
    """A channel: tiles or :data:`HOST`; a delayed one brings slot k as the target's k + 1."""

    source: int
    target: int
    delayed: bool = False


Flit = tuple[int, FlitKind]
"""Number of the channel; a CREDIT goes to its source, all else to its target."""


class NodeState(NamedTuple):
    """A tile or the host between two events; channels in the order of the node's lists.

    ``fires`` is whether the slot under way has a spike, None between slots; ``sent`` how many of
    its flits have left.
    """

    leaving: Flit | None
    ahead: tuple[int, ...]
    bitmaps: tuple[int, int]
    closed: int | None
    fires: bool | None
    begun: bool
    sent: int
    credits: tuple[int, ...]
    owed: tuple[int, ...]
    done: int


State = tuple[tuple[tuple[Flit, ...], ...], tuple[NodeState, ...]]
"""Buffers of all routers, then nodes, the host last."""


@dataclasses.dataclass(frozen=True)
class Exploration:
    """What :func:`explore` found.

    Parameters
    ----------
    states : int
        Different ones that were reached.
    ends : int
        States in which every node has done with all slots and nothing is under way.
    deadlock : State or None
        One in which nothing can happen, though there is work.
    violation : str
        What went wrong on the way to some state; empty: nothing.
    """

    states: int
    ends: int
    deadlock: State | None = None
    violation: str = ""


class SmallFabric:
    """Fabric with few tiles, that runs a few slots.

    Parameters
    ----------
    mesh : MeshConfig
    wires : sequence of Wire
        Every tile that is named has one that is not delayed.
    slots : int
        That the host sends.
    routes : int array (tiles, tiles) or None
        Port by router and destination; None: dimension order.
    credits : int
        Of a channel at first, with the one that a delayed channel has spent; 2 by the contract.
    depth : int
        Flits between two routers, at least 1.
    """

    def __init__(self, mesh: MeshConfig, wires: Sequence[Wire], slots: int,
                 routes: np.ndarray | None = None, credits: int = BITMAPS, depth: int = 1):
        self.wires, self.slots = tuple(wires), slots
        self._routes = (order_routes(mesh) if routes is None else routes).tolist()
        self._mesh, self._credits, self._depth = mesh, credits, depth
        self.nodes = [*sorted({wire.target for wire in wires}), HOST]
        self._incoming = [[number for number, wire in enumerate(wires) if wire.target == node]
                          for node in self.nodes]
        self._outgoing = [[number for number, wire in enumerate(wires) if wire.source == node]
                          for node in self.nodes]
        self._places = [(tile, port) for tile in range(mesh.tiles) for port in mesh.ports]
        self._place = {place: number for number, place in enumerate(self._places)}
        self._golden = self._contents()

    @staticmethod
    def home(node: int) -> int:
        """Tile whose router a node is at."""
        return max(node, 0)

    @staticmethod
    def _fires(node: int, slot: int, content: int) -> bool:
        """Of any function of what a slot brings; the host fires in all but every third slot."""
        return slot % 3 != 2 if node == HOST else (content.bit_count() + slot + node) % 3 != 0

    def _contents(self) -> dict[tuple[int, int], int]:
        """Spikes of each node and slot by channel, as Kahn's networks have them, slot by slot."""
        found: dict[tuple[int, int], int] = {}
        for slot in range(self.slots):
            found[HOST, slot] = 0
            while any((node, slot) not in found for node in self.nodes):
                for node, incoming in zip(self.nodes, self._incoming, strict=True):
                    sources = [(self.wires[number].source, slot - self.wires[number].delayed)
                               for number in incoming]
                    if all(when < 0 or (source, when) in found for source, when in sources):
                        found[node, slot] = sum(
                            1 << place for place, (source, when) in enumerate(sources)
                            if when >= 0 and self._fires(source, when, found[source, when]))
        return found

    @property
    def first(self) -> State:
        """After reset, tables loaded."""
        nodes = tuple(NodeState(
            leaving=None, ahead=tuple(int(self.wires[number].delayed) for number in incoming),
            bitmaps=(0, 0), closed=None, fires=None, begun=False, sent=0,
            credits=tuple(self._credits - self.wires[number].delayed for number in outgoing),
            owed=(0,) * len(incoming), done=0)
            for incoming, outgoing in zip(self._incoming, self._outgoing, strict=True))
        return ((),) * len(self._places), nodes

    def is_end(self, state: State) -> bool:
        """Whether all slots are done with and nothing is under way."""
        buffers, nodes = state
        return not any(buffers) and all(
            node.done == self.slots and node.leaving is None and not any(node.owed)
            for node in nodes)

    def after(self, state: State, *, reduced: bool = True) -> Iterator[State]:
        """States that one event leads to.

        With `reduced`, one event alone where it stays possible whatever else happens, and where it
        does not matter what happens first: then nothing is missed by taking it at once (Peled
        1993). These are all but what a node puts out next, what passes a buffer that several feed,
        and the scan that frees a bitmap, before which a flit too many could come.

        Raises
        ------
        ContractError
            If the event is one that must not happen.
        """
        alone = self._alone(state)
        first = next(alone, None)
        if first is not None:
            yield first
            if reduced:
                return
        yield from alone
        yield from self._rivals(state)

    def _alone(self, state: State) -> Iterator[State]:
        buffers, nodes = state
        for number, node in enumerate(nodes):
            if self._can_close(number, node):
                opened, later = node.bitmaps
                yield buffers, _replaced(nodes, number, node._replace(
                    ahead=tuple(level - 1 for level in node.ahead), closed=opened,
                    bitmaps=(later, 0)))
            if node.fires is not None and not node.begun and all(node.credits):
                yield buffers, _replaced(nodes, number, node._replace(
                    begun=True, credits=tuple(level - 1 for level in node.credits)))
            if node.leaving is not None and (
                    self._is_near(number, node.leaving) or self.home(self.nodes[number])):
                yield from self._inject(state, number)
        for place, flits in enumerate(buffers):
            if flits and self._way(place, flits[0]) is Port.LOCAL:
                yield (_replaced(buffers, place, flits[1:]), self._deliver(nodes, flits[0]))

    def _rivals(self, state: State) -> Iterator[State]:
        buffers, nodes = state
        for number, node in enumerate(nodes):
            if self._can_scan(number, node):
                yield buffers, _replaced(nodes, number, self._scan(number, node))
            if node.leaving is None:
                for after in self._offers(number, node):
                    yield buffers, _replaced(nodes, number, after)
            elif not self._is_near(number, node.leaving) and self.home(self.nodes[number]) == 0:
                yield from self._inject(state, number)
        for place, flits in enumerate(buffers):
            way = self._way(place, flits[0]) if flits else Port.LOCAL
            if way is not Port.LOCAL:
                tile = self._mesh.neighbour(self._places[place][0], way)
                there = self._place[tile, way.opposite]
                if len(buffers[there]) < self._depth:
                    moved = _replaced(buffers, place, flits[1:])
                    yield _replaced(moved, there, (*moved[there], flits[0])), nodes

    def _can_close(self, number: int, node: NodeState) -> bool:
        """The open slot has ended for all channels, and no bitmap waits for its scan."""
        return self.nodes[number] != HOST and node.closed is None and min(node.ahead) > 0

    def _can_scan(self, number: int, node: NodeState) -> bool:
        """Work is there, and the slot before has been sent; the host has work by itself."""
        return node.fires is None and (node.closed is not None if self.nodes[number] != HOST
                                       else node.done < self.slots)

    def _scan(self, number: int, node: NodeState) -> NodeState:
        name, content = self.nodes[number], node.closed or 0
        if content != self._golden[name, node.done]:
            raise ContractError(f"node {name} has spikes {content:b} in slot {node.done}, "
                            f"not {self._golden[name, node.done]:b}")
        node = node._replace(closed=None, owed=tuple(each + 1 for each in node.owed))
        if not self._outgoing[number]:
            return node._replace(done=node.done + 1)
        return node._replace(fires=self._fires(name, node.done, content))

    def _offers(self, number: int, node: NodeState) -> Iterator[NodeState]:
        """A CREDIT that is owed, any; else the next flit of a slot that has begun."""
        for place, level in enumerate(node.owed):
            if level:
                yield node._replace(leaving=(self._incoming[number][place], FlitKind.CREDIT),
                                    owed=_replaced(node.owed, place, level - 1))
        if not any(node.owed) and node.begun:
            outgoing = self._outgoing[number]
            flits = [(wire, kind) for kind in (FlitKind.SPIKE, FlitKind.TICK)
                     for wire in outgoing if node.fires or kind is FlitKind.TICK]
            offered = node._replace(leaving=flits[node.sent], sent=node.sent + 1)
            if offered.sent == len(flits):
                offered = offered._replace(fires=None, begun=False, sent=0, done=node.done + 1)
            yield offered

    def _target(self, flit: Flit) -> int:
        wire = self.wires[flit[0]]
        return wire.source if flit[1] is FlitKind.CREDIT else wire.target

    def _is_near(self, number: int, flit: Flit) -> bool:
        """Whether a flit does not enter the mesh: to the node itself, or between host and tile."""
        return self.home(self._target(flit)) == self.home(self.nodes[number])

    def _way(self, place: int, flit: Flit) -> Port:
        return Port(self._routes[self._places[place][0]][self.home(self._target(flit))])

    def _inject(self, state: State, number: int) -> Iterator[State]:
        buffers, nodes = state
        flit = nodes[number].leaving
        free = _replaced(nodes, number, nodes[number]._replace(leaving=None))
        if self._is_near(number, flit):
            yield buffers, self._deliver(free, flit)
            return
        place = self._place[self.home(self.nodes[number]), Port.LOCAL]
        if len(buffers[place]) < self._depth:
            yield _replaced(buffers, place, (*buffers[place], flit)), free

    def _deliver(self, nodes: tuple[NodeState, ...], flit: Flit) -> tuple[NodeState, ...]:
        """A node takes a flit: at once, whatever it is at."""
        channel, kind = flit
        number = self.nodes.index(self._target(flit))
        node = nodes[number]
        if kind is FlitKind.CREDIT:
            place = self._outgoing[number].index(channel)
            return _replaced(nodes, number, node._replace(
                credits=_replaced(node.credits, place, node.credits[place] + 1)))
        place = self._incoming[number].index(channel)
        level = node.ahead[place]
        if level + (node.closed is not None) >= BITMAPS:
            raise ContractError(f"channel {channel} begins a slot for which tile "
                            f"{self.nodes[number]} has no bitmap")
        if kind is FlitKind.SPIKE:
            bitmaps = _replaced(node.bitmaps, level, node.bitmaps[level] | 1 << place)
            return _replaced(nodes, number, node._replace(bitmaps=bitmaps))
        return _replaced(nodes, number, node._replace(
            ahead=_replaced(node.ahead, place, level + 1)))


def _replaced(values: tuple, place: int, value: object) -> tuple:
    return (*values[:place], value, *values[place + 1:])


def explore(fabric: SmallFabric, *, reduced: bool = True, most: int = 1_000_000) -> Exploration:
    """All states that `fabric` can reach, up to the first mistake.

    Parameters
    ----------
    fabric : SmallFabric
    reduced : bool
        See :meth:`SmallFabric.after`.
    most : int
        States to look at.

    Raises
    ------
    ValueError
        If there are more states.
    """
    seen, border, ends = {fabric.first}, [fabric.first], 0
    while border:
        state = border.pop()
        try:
            after = list(fabric.after(state, reduced=reduced))
        except ContractError as error:
            return Exploration(len(seen), ends, violation=str(error))
        if not after:
            if not fabric.is_end(state):
                return Exploration(len(seen), ends, deadlock=state)
            ends += 1
        new = [found for found in after if found not in seen]
        seen.update(new)
        border += dict.fromkeys(new)
        if len(seen) > most:
            raise ValueError(f"states must be at most {most}, there are more")
    return Exploration(len(seen), ends)
