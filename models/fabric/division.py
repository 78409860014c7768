"""Cut a network into parts of like load, one list of parts for each tile."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from lamina.models.fabric.mapping import Part
from lamina.models.program import Layer, Program

__all__ = ["Cluster", "chain_lengths", "clusters_of", "divide"]


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Layers that must be on one tile, or be cut alike.

    Parameters
    ----------
    layers : tuple of int
        In order, without gaps.
    divisible : bool
        Whether neurons can be dealt out: no convolution, equal numbers of neurons.
    chains : tuple of int
        Tiles that the axons of each layer need; empty: one each.
    """

    layers: tuple[int, ...]
    divisible: bool
    chains: tuple[int, ...] = ()

    @property
    def chain(self) -> int:
        """Tiles that a share of its neurons takes."""
        return max(self.chains, default=1)


def clusters_of(program: Program, chains: Sequence[int] | None = None) -> tuple[Cluster, ...]:
    """Layers that currents or feature maps tie together, in the order of the layers.

    Parameters
    ----------
    program : Program
    chains : sequence of int or None
        Tiles that the axons of each layer need; None: one each.
    """
    count = len(program.layers)
    ends = list(range(count))
    for index, layer in enumerate(program.layers):
        tied = [] if layer.current is None else [layer.current]
        tied += [source.layer for source in layer.sources
                 if source.window is not None and source.layer >= 0]
        for other in tied:
            low, high = sorted((index, other))
            for between in range(low, high + 1):
                ends[between] = max(ends[between], high)
    found, first = [], 0
    while first < count:
        last = first
        while last < max(ends[first:last + 1]):
            last = max(ends[first:last + 1])
        members = tuple(range(first, last + 1))
        sizes = {program.layers[index].neurons for index in members}
        convolution = any(program.layers[index].is_convolution for index in members)
        found.append(Cluster(members, len(sizes) == 1 and not convolution,
                             () if convolution else tuple(chains or ())[first:last + 1]))
        first = last + 1
    return tuple(found)


def chain_lengths(program: Program, lanes: int, axons: int) -> list[int]:
    """Tiles of `axons` axons that each layer needs; a source begins with a word of `lanes`."""
    return [max(1, -(-sum(_words(layer, lanes)) // (axons // lanes))) for layer in program.layers]


def _words(layer: Layer, lanes: int) -> list[int]:
    """Words of the spike list that each source takes."""
    return [-(-source.axons // lanes) for source in layer.sources]


def divide(program: Program, tiles: int, lanes: int, spikes: np.ndarray | None = None,
           axons: int | None = None) -> tuple[tuple[Part, ...], ...]:
    """Parts of at most `tiles` tiles, the largest load of one as small as clusters allow.

    A tile gets whole clusters that follow one another, or a share of the neurons of one. A cluster
    with more axons than a core has its tiles for itself, as many for each share as its axons need.
    The load of a layer is its groups of `lanes` neurons times the spikes that reach it in a
    timestep.

    Parameters
    ----------
    program : Program
    tiles, lanes : int
    spikes : float array (layers,) or None
        Mean spikes per timestep into each layer; None: a tenth of its axons.
    axons : int or None
        That a core can have; None: as many as a layer needs.

    Raises
    ------
    ValueError
        If `tiles` is not positive, or too small for the axons of a layer.
    """
    if tiles < 1:
        raise ValueError(f"tiles must be at least 1, not {tiles}")
    chains = None if axons is None else chain_lengths(program, lanes, axons)
    clusters = clusters_of(program, chains)
    spikes = _guess(program) if spikes is None else np.asarray(spikes, dtype=float)
    loads = [_load(program, cluster, lanes, spikes) for cluster in clusters]
    if tiles <= sum(cluster.chain for cluster in clusters):
        return tuple(parts for first, last in _balanced(program, clusters, loads, tiles)
                     for parts in _together(program, clusters[first:last], lanes))
    shares = _shares(program, clusters, loads, tiles, lanes)
    return tuple(parts for cluster, count in zip(clusters, shares, strict=True)
                 for parts in _dealt(program, cluster, count, lanes))


def _together(program: Program, clusters: Sequence[Cluster], lanes: int) -> list[tuple[Part, ...]]:
    """Whole clusters on one tile, or the one of a chain."""
    if clusters[0].chain > 1:
        return _dealt(program, clusters[0], clusters[0].chain, lanes)
    return [tuple(_whole(program, index) for cluster in clusters for index in cluster.layers)]


def _guess(program: Program) -> np.ndarray:
    return np.array([max(1.0, layer.axons / 10) for layer in program.layers])


def _load(program: Program, cluster: Cluster, lanes: int, spikes: np.ndarray) -> float:
    return sum(-(-program.layers[index].neurons // lanes) * float(spikes[index])
               for index in cluster.layers)


def _whole(program: Program, index: int) -> Part:
    return Part(index, 0, program.layers[index].neurons)


def _balanced(program: Program, clusters: Sequence[Cluster], loads: list[float], tiles: int
              ) -> list[tuple[int, int]]:
    """Ranges of neighbours on `tiles` tiles whose largest load of a tile is least."""
    count = len(loads)
    sums = np.concatenate([[0.0], np.cumsum(loads)])
    best = np.full((tiles + 1, count + 1), np.inf)
    cut = np.zeros((tiles + 1, count + 1), dtype=int)
    best[0, 0] = 0.0
    for used in range(1, tiles + 1):
        for end in range(1, count + 1):
            costs = []
            for start in range(end):
                chain = max(cluster.chain for cluster in clusters[start:end])
                alone = chain <= used and (chain == 1 or end - start == 1)
                costs.append(max(best[used - chain, start], (sums[end] - sums[start]) / chain)
                             if alone else np.inf)
            cut[used, end] = int(np.argmin(costs))
            best[used, end] = costs[cut[used, end]]
    if not np.isfinite(best[tiles, count]):
        raise ValueError(_too_few(program, clusters, tiles))
    ranges, end, used = [], count, tiles
    while end:
        ranges.append((int(cut[used, end]), end))
        used -= clusters[end - 1].chain
        end = ranges[-1][0]
    return ranges[::-1]


def _too_few(program: Program, clusters: Sequence[Cluster], tiles: int) -> str:
    """Why the axons of clusters do not fit `tiles` tiles."""
    longest = max(clusters, key=lambda cluster: cluster.chain)
    widest = max((program.layers[index] for index in longest.layers), key=lambda each: each.axons)
    runs = [chain for chain, _ in itertools.groupby(cluster.chain for cluster in clusters)]
    needed = sum(cluster.chain for cluster in clusters if cluster.chain > 1) + runs.count(1)
    return (f"{widest.name} has {widest.axons} axons, for which it takes {longest.chain} tiles; "
            f"with the other layers {needed}, not {tiles}")


def _shares(program: Program, clusters: tuple[Cluster, ...], loads: list[float], tiles: int,
            lanes: int) -> list[int]:
    """Tiles of each cluster: another chain to the largest load per tile that has groups for it."""
    chains = [cluster.chain for cluster in clusters]
    shares = list(chains)
    rows = [-(-program.layers[cluster.layers[0]].neurons // lanes) if cluster.divisible else 1
            for cluster in clusters]
    while sum(shares) < tiles:
        left = tiles - sum(shares)
        per_tile = [load / share if share < most * chain and chain <= left else -1.0
                    for load, share, most, chain in zip(loads, shares, rows, chains, strict=True)]
        if max(per_tile) < 0:
            break
        chosen = int(np.argmax(per_tile))
        shares[chosen] += chains[chosen]
    return shares


def _dealt(program: Program, cluster: Cluster, count: int, lanes: int) -> list[tuple[Part, ...]]:
    """Parts of a cluster on `count` tiles, whole groups but for the last."""
    neurons, shares = program.layers[cluster.layers[0]].neurons, count // cluster.chain
    if shares == 1:
        return _chained(program, cluster, [_whole(program, index) for index in cluster.layers],
                        lanes)
    rows = -(-neurons // lanes)
    edges = [min(neurons, rows * place // shares * lanes) for place in range(shares + 1)]
    return [parts for first, last in itertools.pairwise(edges) for parts in _chained(
        program, cluster, [Part(index, first, last - first) for index in cluster.layers], lanes)]


def _chained(program: Program, cluster: Cluster, parts: list[Part], lanes: int
             ) -> list[tuple[Part, ...]]:
    """A share of a cluster on the tiles of its chain; what needs less stands at the end of it."""
    tiles: list[list[Part]] = [[] for _ in range(cluster.chain)]
    for part in parts:
        count = cluster.chains[cluster.layers.index(part.layer)] if cluster.chains else 1
        edges = _axon_edges(program.layers[part.layer], lanes, count)
        for place, (first, last) in enumerate(itertools.pairwise(edges)):
            tiles[place - count].append(dataclasses.replace(
                part, first_axon=first, axons=0 if place == count - 1 else last - first))
    return [tuple(found) for found in tiles]


def _axon_edges(layer: Layer, lanes: int, count: int) -> list[int]:
    """First axon of each of `count` like runs of whole words, and the number of all."""
    words = _words(layer, lanes)
    starts = np.concatenate([[0], np.cumsum(words)])
    axons = np.concatenate([[0], np.cumsum([source.axons for source in layer.sources])])
    found = []
    for place in range(count):
        word = int(starts[-1]) * place // count
        source = int(np.searchsorted(starts, word, side="right")) - 1
        found.append(int(axons[source]) + lanes * (word - int(starts[source])))
    return [*found, layer.axons]
