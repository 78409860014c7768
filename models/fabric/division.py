"""Cut a network into parts of like load, one list of parts for each tile."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np

from lamina.models.fabric.mapping import Part
from lamina.models.program import Program

__all__ = ["Cluster", "clusters_of", "divide"]


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Layers that must be on one tile, or be cut alike.

    Parameters
    ----------
    layers : tuple of int
        In order, without gaps.
    divisible : bool
        Whether neurons can be dealt out: no convolution, equal numbers of neurons.
    """

    layers: tuple[int, ...]
    divisible: bool


def clusters_of(program: Program) -> tuple[Cluster, ...]:
    """Layers that currents or feature maps tie together, in the order of the layers."""
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
        found.append(Cluster(members, len(sizes) == 1 and not convolution))
        first = last + 1
    return tuple(found)


def divide(program: Program, tiles: int, lanes: int, spikes: np.ndarray | None = None
           ) -> tuple[tuple[Part, ...], ...]:
    """Parts of at most `tiles` tiles, the largest load of one as small as clusters allow.

    A tile gets whole clusters that follow one another, or a share of the neurons of one. The load
    of a layer is its groups of `lanes` neurons times the spikes that reach it in a timestep.

    Parameters
    ----------
    program : Program
    tiles, lanes : int
    spikes : float array (layers,) or None
        Mean spikes per timestep into each layer; None: a tenth of its axons.

    Raises
    ------
    ValueError
        If `tiles` is not positive.
    """
    if tiles < 1:
        raise ValueError(f"tiles must be at least 1, not {tiles}")
    clusters = clusters_of(program)
    spikes = _guess(program) if spikes is None else np.asarray(spikes, dtype=float)
    loads = [_load(program, cluster, lanes, spikes) for cluster in clusters]
    if tiles <= len(clusters):
        return tuple(tuple(_whole(program, index) for cluster in clusters[first:last]
                           for index in cluster.layers)
                     for first, last in _balanced(loads, tiles))
    shares = _shares(program, clusters, loads, tiles, lanes)
    return tuple(parts for cluster, count in zip(clusters, shares, strict=True)
                 for parts in _dealt(program, cluster, count, lanes))


def _guess(program: Program) -> np.ndarray:
    return np.array([max(1.0, layer.axons / 10) for layer in program.layers])


def _load(program: Program, cluster: Cluster, lanes: int, spikes: np.ndarray) -> float:
    return sum(-(-program.layers[index].neurons // lanes) * float(spikes[index])
               for index in cluster.layers)


def _whole(program: Program, index: int) -> Part:
    return Part(index, 0, program.layers[index].neurons)


def _balanced(loads: list[float], tiles: int) -> list[tuple[int, int]]:
    """Ranges of neighbours, `tiles` of them, whose largest sum is least."""
    count = len(loads)
    sums = np.concatenate([[0.0], np.cumsum(loads)])
    best = np.full((tiles + 1, count + 1), np.inf)
    cut = np.zeros((tiles + 1, count + 1), dtype=int)
    best[0, 0] = 0.0
    for used in range(1, tiles + 1):
        for end in range(used, count + 1):
            costs = [max(best[used - 1, start], sums[end] - sums[start]) for start in range(end)]
            cut[used, end] = int(np.argmin(costs))
            best[used, end] = costs[cut[used, end]]
    ranges, end = [], count
    for used in range(tiles, 0, -1):
        ranges.append((int(cut[used, end]), end))
        end = int(cut[used, end])
    return ranges[::-1]


def _shares(program: Program, clusters: tuple[Cluster, ...], loads: list[float], tiles: int,
            lanes: int) -> list[int]:
    """Tiles of each cluster: one more to the largest load per tile, as long as it has groups."""
    shares = [1] * len(clusters)
    rows = [-(-program.layers[cluster.layers[0]].neurons // lanes) if cluster.divisible else 1
            for cluster in clusters]
    while sum(shares) < tiles:
        per_tile = [load / share if share < most else -1.0
                    for load, share, most in zip(loads, shares, rows, strict=True)]
        if max(per_tile) < 0:
            break
        shares[int(np.argmax(per_tile))] += 1
    return shares


def _dealt(program: Program, cluster: Cluster, count: int, lanes: int) -> list[tuple[Part, ...]]:
    """Parts of a cluster on `count` tiles, whole groups but for the last."""
    neurons = program.layers[cluster.layers[0]].neurons
    if count == 1:
        return [tuple(_whole(program, index) for index in cluster.layers)]
    rows = -(-neurons // lanes)
    edges = [min(neurons, rows * place // count * lanes) for place in range(count + 1)]
    return [tuple(Part(index, first, last - first) for index in cluster.layers)
            for first, last in itertools.pairwise(edges)]
