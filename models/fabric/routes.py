"""Routes of a mesh: dimension order, ways around what is dead, and their freedom of deadlock.

Around faults the links get a direction, up towards a root (Autonet, Schroeder 1991): a flit takes
some links up, then some down, and never one up again. What a router looks up depends on the
destination alone: a flit goes down as soon as there is a way that only goes down, else up.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from lamina.models.fabric.config import MeshConfig, Port
from lamina.models.fabric.router import first_port

__all__ = ["Faults", "cycle_of_channels", "hops", "link_loads", "order_routes",
           "routes_around"]

NOWHERE = -1
Link = tuple[int, int]
Channel = tuple[int, int]
"""A link in one direction: the router that it leaves, and the :class:`Port`."""


class Faults:
    """Dead links and tiles of a mesh; the links of a dead tile are dead.

    Parameters
    ----------
    config : MeshConfig
    links : iterable of (int, int)
        Neighbouring tiles; dead in both directions.
    tiles : iterable of int

    Raises
    ------
    ValueError
        If two tiles are no neighbours, or a tile is not in the mesh.
    """

    def __init__(self, config: MeshConfig, links: Iterable[Link] = (), tiles: Iterable[int] = ()):
        self.config = config
        self.tiles = frozenset(tiles)
        for tile in self.tiles:
            if not 0 <= tile < config.tiles:
                raise ValueError(f"dead tile must be in 0..{config.tiles - 1}, not {tile}")
        self.links = frozenset(tuple(sorted(link)) for link in links)
        for first, second in self.links:
            if not (0 <= first < config.tiles and self._port(first, second) is not None):
                raise ValueError(f"dead link must join neighbours, not tiles {first} and {second}")

    def _port(self, tile: int, other: int) -> Port | None:
        return next((port for port in self.config.ports[1:]
                     if self.config.neighbour(tile, port) == other), None)

    @property
    def alive(self) -> list[int]:
        """Tiles that work."""
        return [tile for tile in range(self.config.tiles) if tile not in self.tiles]

    def neighbours(self, tile: int) -> dict[Port, int]:
        """Working tiles behind working links."""
        found = {port: self.config.neighbour(tile, port) for port in self.config.ports[1:]}
        return {port: other for port, other in found.items()
                if other is not None and other not in self.tiles and tile not in self.tiles
                and tuple(sorted((tile, other))) not in self.links}

    def dead_ports(self, tile: int) -> int:
        """A bit for each :class:`Port` of a tile, set where there is a link and it is dead."""
        alive = self.neighbours(tile)
        return sum(1 << port for port in self.config.ports[1:]
                   if self.config.neighbour(tile, port) is not None and port not in alive)

    def cut_off(self) -> list[int]:
        """Working tiles that the first working one does not reach."""
        seen, border = set(self.alive[:1]), self.alive[:1]
        while border:
            tile = border.pop()
            new = set(self.neighbours(tile).values()) - seen
            seen |= new
            border += sorted(new)
        return [tile for tile in self.alive if tile not in seen]


def order_routes(config: MeshConfig) -> np.ndarray:
    """Port by router and destination, int (tiles, tiles), along x, then y, then z."""
    every = np.array([config.coordinates(tile) for tile in range(config.tiles)])
    return first_port(config, every[:, None], every[None])


def routes_around(faults: Faults) -> np.ndarray:
    """Port by router and destination around `faults`, of the root that makes the ways shortest.

    Returns
    -------
    int array (tiles, tiles)
        -1 from and to dead tiles.

    Raises
    ------
    ValueError
        If a working tile is cut off, naming all that are.
    """
    if not faults.alive:
        raise ValueError("every tile of the mesh is dead")
    cut = faults.cut_off()
    if cut:
        raise ValueError(f"dead links or tiles cut off tiles {', '.join(map(str, cut))} "
                         f"from tile {faults.alive[0]}")
    candidates = (_routes_of_root(faults, root) for root in faults.alive)
    return min(candidates, key=lambda found: (int(hops(faults.config, found).sum()),
                                              found.tobytes()))


def _routes_of_root(faults: Faults, root: int) -> np.ndarray:
    rank = _ranks(faults, root)
    tiles = faults.config.tiles
    found = np.full((tiles, tiles), NOWHERE)
    for target in faults.alive:
        found[target, target] = Port.LOCAL
        down = _spread(faults, {target: 0}, lambda here, there: rank[there] < rank[here], found,
                       target)
        _spread(faults, down, lambda here, there: rank[there] > rank[here], found, target)
    return found


def _ranks(faults: Faults, root: int) -> dict[int, int]:
    """Place of each tile in a breadth-first walk from the root; links go up to lower ones."""
    order = [root]
    for tile in order:
        order += [other for other in faults.neighbours(tile).values() if other not in order]
    return {tile: place for place, tile in enumerate(order)}


def _spread(faults: Faults, known: dict[int, int], allowed, found: np.ndarray, target: int
            ) -> dict[int, int]:
    """Grow `known` (hops to `target` by tile) by tiles whose link to a known one is `allowed`.

    ``allowed(here, there)`` is asked with `here` the known end. Nearer tiles come first.
    """
    distance = dict(known)
    open_tiles = set(distance)
    while open_tiles:
        here = min(open_tiles, key=lambda tile: (distance[tile], tile))
        open_tiles.remove(here)
        for port, there in faults.neighbours(here).items():
            further = distance[here] + 1
            if there not in known and allowed(here, there) and (
                    further < distance.get(there, further + 1)):
                distance[there] = further
                found[there, target] = port.opposite
                open_tiles.add(there)
    return distance


def hops(config: MeshConfig, routes: np.ndarray) -> np.ndarray:
    """Links between each pair of tiles, int (tiles, tiles); 0 where there is no way.

    Raises
    ------
    ValueError
        If a way leads into nothing or round in a circle.
    """
    count = np.zeros_like(routes)
    for source in range(config.tiles):
        for target in range(config.tiles):
            here = source
            while routes[source, target] != NOWHERE and here != target:
                after = config.neighbour(here, Port(int(routes[here, target])))
                count[source, target] += 1
                if after is None or count[source, target] > config.tiles:
                    raise ValueError(f"the way from tile {source} to {target} ends nowhere")
                here = after
    return count


def link_loads(config: MeshConfig, routes: np.ndarray, traffic: np.ndarray
               ) -> dict[Channel, float]:
    """Flits over every link in each direction.

    Parameters
    ----------
    config : MeshConfig
    routes : int array (tiles, tiles)
        That lead everywhere: see :func:`hops`.
    traffic : float array (tiles, tiles)
        Flits from row to column.
    """
    loads = {(tile, port): 0.0 for tile in range(config.tiles) for port in config.ports[1:]
             if config.neighbour(tile, port) is not None}
    for source, target in np.argwhere(traffic > 0).tolist():
        here = source
        while here != target:
            port = Port(int(routes[here, target]))
            loads[here, port] += float(traffic[source, target])
            here = config.neighbour(here, port)
    return loads


def cycle_of_channels(config: MeshConfig, routes: np.ndarray) -> list[Channel]:
    """A circle of links that can wait for one another, or an empty list: then nothing deadlocks.

    A link waits for another one if some flit that came over it goes on over the other (Dally 1987);
    tiles take every flit.
    """
    follows: dict[Channel, set[Channel]] = {}
    for target in range(config.tiles):
        for here in range(config.tiles):
            port = int(routes[here, target])
            if port in (NOWHERE, Port.LOCAL):
                continue
            there = config.neighbour(here, Port(port))
            onwards = int(routes[there, target])
            after = follows.setdefault((here, port), set())
            if onwards not in (NOWHERE, Port.LOCAL):
                after.add((there, onwards))
    return _cycle(follows)


def _cycle(follows: dict[Channel, set[Channel]]) -> list[Channel]:
    """Take away what waits for nothing until nothing changes; what is left holds a circle."""
    left = {channel: set(after) for channel, after in follows.items()}
    while True:
        free = [channel for channel, after in left.items() if not after & left.keys()]
        if not free:
            break
        for channel in free:
            del left[channel]
    if not left:
        return []
    path = [min(left)]
    while path.count(path[-1]) == 1:
        path.append(min(left[path[-1]] & left.keys()))
    return path[path.index(path[-1]):-1]
