"""A network on many tiles: which neurons are where, and which channels carry their spikes.

Every tile runs a :class:`Program` of its own, whose input lines are what its channels bring. Time
is logical: a tile runs a timestep once every channel has closed it, so where neurons are does not
change what they do (Kahn 1974).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from lamina.models.fabric.config import MeshConfig
from lamina.models.placement import Placement, place
from lamina.models.program import Layer, Program
from lamina.models.source import INPUT, Source

__all__ = ["HOST", "Channel", "FabricProgram", "Link", "Part", "Tile", "assemble"]

HOST = -1
"""Tile number of the host as a source."""
_VECTORS = ("decay", "theta", "r", "v_reset", "bias")


@dataclasses.dataclass(frozen=True, order=True)
class Part:
    """Neurons `first` .. `first + neurons - 1` of layer number `layer`."""

    layer: int
    first: int
    neurons: int


@dataclasses.dataclass(frozen=True, order=True)
class Channel:
    """Spikes and ticks of one source for one tile.

    Parameters
    ----------
    source : int
        Tile, or :data:`HOST`.
    delayed : bool
        What the source sends in a timestep is for the next one; the first has no spikes.
    """

    source: int
    delayed: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class Link:
    """What one source sends over one channel.

    Parameters
    ----------
    target, channel : int
        Tile, and number of the channel there.
    units : int64 array (spikes that can occur,)
        Numbers at the source: hardware neurons of its core, or input lines of the network.
    axons : int64 array, as long
        Input lines of the target tile's core, in hardware numbers.
    """

    target: int
    channel: int
    units: np.ndarray
    axons: np.ndarray

    @functools.cached_property
    def ranges(self) -> tuple[tuple[int, int, int], ...]:
        """Runs (first unit, last unit, first axon) in which both numbers rise by one."""
        order = np.lexsort((self.axons, self.units))
        units, axons = self.units[order], self.axons[order]
        found, start = [], 0
        breaks = np.flatnonzero((np.diff(units) != 1) | (np.diff(axons) != 1)) + 1
        for end in [*breaks.tolist(), len(units)]:
            found.append((int(units[start]), int(units[end - 1]), int(axons[start])))
            start = end
        return tuple(found)


@dataclasses.dataclass(frozen=True, eq=False)
class Tile:
    """What a tile runs.

    Parameters
    ----------
    parts : tuple of Part
        In the order of the layers of `program`.
    program : Program
    channels : tuple of Channel
        By their number.
    lines : tuple of ((int, int, int), bool, int)
        Origin (layer or INPUT, first unit, units), whether its channel is delayed, and the first
        input line of `program` that it has.
    """

    parts: tuple[Part, ...]
    program: Program
    channels: tuple[Channel, ...]
    lines: tuple[tuple[tuple[int, int, int], bool, int], ...]

    def inputs(self, spikes: np.ndarray, layer_spikes: Sequence[np.ndarray]) -> np.ndarray:
        """Input of `program`, uint8 (..., T, lines), from that of the whole network.

        Parameters
        ----------
        spikes : uint8 array (..., T, axons)
        layer_spikes : sequence of uint8 arrays (..., T, neurons)
            Of every layer.
        """
        timesteps = spikes.shape[-2]
        found = np.zeros((*spikes.shape[:-1], self.program.axons), dtype=np.uint8)
        for (layer, first, units), delayed, line in self.lines:
            seen = (spikes if layer == INPUT else layer_spikes[layer])[..., first:first + units]
            found[..., int(delayed):, line:line + units] = seen[..., :timesteps - int(delayed), :]
        return found


@dataclasses.dataclass(frozen=True, eq=False)
class FabricProgram:
    """A network, split.

    Parameters
    ----------
    program : Program
        The whole network.
    mesh : MeshConfig
    tiles : dict of int to Tile
        Those that have neurons.
    links : dict of int to tuple of Link
        By source: tile or :data:`HOST`.
    """

    program: Program
    mesh: MeshConfig
    tiles: dict[int, Tile]
    links: dict[int, tuple[Link, ...]]

    @property
    def order(self) -> list[int]:
        """Tiles with neurons, each behind those that it waits for within a timestep."""
        return _sorted_tiles(self.tiles)


def assemble(program: Program, mesh: MeshConfig, assignment: dict[int, tuple[Part, ...]],
             lanes: int) -> FabricProgram:
    """Programs, channels and links of an assignment of parts to tiles.

    Parameters
    ----------
    program : Program
    mesh : MeshConfig
    assignment : dict of int to tuple of Part
        Parts of each tile; together every neuron once. An integrator and the layer that reads its
        current must be cut alike, a convolution and the maps that it reads be whole on one tile.
    lanes : int
        Of the cores.

    Raises
    ------
    ValueError
        If neurons are missing or assigned twice, or parts cannot be so divided.
    """
    assignment = {tile: tuple(sorted(parts)) for tile, parts in sorted(assignment.items()) if parts}
    _check_complete(program, assignment)
    tiles = {tile: _tile(program, assignment, tile) for tile in assignment}
    _sorted_tiles(tiles)
    placements = {tile: place(found.program, lanes) for tile, found in tiles.items()}
    links: dict[int, list[Link]] = {}
    for number, tile in tiles.items():
        for channel, origin in enumerate(tile.channels):
            link = _link(program, tiles, placements, number, channel)
            links.setdefault(origin.source, []).append(link)
    return FabricProgram(program, mesh, tiles,
                         {source: tuple(found) for source, found in sorted(links.items())})


def _check_complete(program: Program, assignment: dict[int, tuple[Part, ...]]) -> None:
    seen = [np.zeros(layer.neurons, dtype=np.int64) for layer in program.layers]
    for parts in assignment.values():
        for part in parts:
            seen[part.layer][part.first:part.first + part.neurons] += 1
    for layer, counts in zip(program.layers, seen, strict=True):
        if (counts != 1).any():
            neuron = int(np.flatnonzero(counts != 1)[0])
            raise ValueError(f"neuron {neuron} of {layer.name} must be on one tile, "
                             f"not on {counts[neuron]}")


def _tile(program: Program, assignment: dict[int, tuple[Part, ...]], number: int) -> Tile:
    parts = assignment[number]
    whole = {part.layer: place for place, part in enumerate(parts)
             if part.neurons == program.layers[part.layer].neurons}
    lines: dict[tuple[tuple[int, int, int], bool], int] = {}
    layers = tuple(_part(program, part, parts, whole, lines) for part in parts)
    channels = sorted({Channel(source, delayed) for origin, delayed in lines
                       for source in _homes(assignment, origin[0])})
    total = sum(origin[2] for origin, _ in lines) or 1
    cut = dataclasses.replace(
        program, name=f"{program.name}_{number}", layers=layers, input_shape=(total,), inputs=(),
        encoder=dataclasses.replace(program.encoder, kind="spikes"), decoding="count")
    return Tile(parts, cut, tuple(channels),
                tuple((origin, delayed, first) for (origin, delayed), first in lines.items()))


def _homes(assignment: dict[int, tuple[Part, ...]], layer: int) -> list[int]:
    """Where spikes of a layer, or of the input, come from."""
    if layer == INPUT:
        return [HOST]
    return [tile for tile, parts in assignment.items() for part in parts if part.layer == layer]


def _part(program: Program, part: Part, parts: tuple[Part, ...], whole: dict[int, int],
          lines: dict) -> Layer:
    """The layer of `part`, its sources inside of the tile or from its channels."""
    layer = program.layers[part.layer]
    cut = slice(part.first, part.first + part.neurons)
    if part.neurons != layer.neurons and layer.is_convolution:
        raise ValueError(f"{layer.name} must be whole on one tile: it is a convolution")
    sources = tuple(_source(program, part, source, whole, lines) for source in layer.sources)
    current = None
    if layer.current is not None:
        wanted = dataclasses.replace(part, layer=layer.current)
        if wanted not in parts:
            raise ValueError(f"{layer.name} must be cut like the current that it reads, "
                             f"{program.layers[layer.current].name}")
        current = parts.index(wanted)
    weights = layer.weights if layer.is_convolution else layer.weights[:, cut]
    return dataclasses.replace(
        layer, name=f"{layer.name}_{part.first}", weights=weights, sources=sources, current=current,
        report=True, shape=layer.shape if layer.is_convolution else (part.neurons,),
        **{name: getattr(layer, name)[cut] for name in _VECTORS})


def _source(program: Program, part: Part, source: Source, whole: dict[int, int], lines: dict
            ) -> Source:
    if source.layer in whole:
        return dataclasses.replace(source, layer=whole[source.layer])
    if source.window is not None and source.layer != INPUT:
        raise ValueError(f"{program.layers[part.layer].name} must be on the tile of the map that "
                         f"it reads, {program.layers[source.layer].name}")
    delayed = source.layer >= part.layer
    key = ((source.layer, source.first, source.units), delayed)
    if key not in lines:
        lines[key] = sum(origin[2] for origin, _ in lines)
    return dataclasses.replace(source, layer=INPUT, first=lines[key],
                               delay=source.delay - int(delayed))


def _link(program: Program, tiles: dict[int, Tile], placements: dict[int, Placement],
          number: int, channel: int) -> Link:
    """What the source of a channel of tile `number` sends."""
    tile, origin = tiles[number], tiles[number].channels[channel]
    units, axons = [], []
    for (layer, first, count), delayed, line in tile.lines:
        hardware = placements[number].input_axons[line:line + count]
        if (layer == INPUT) is not (origin.source == HOST) or delayed is not origin.delayed:
            continue
        if layer == INPUT:
            units.append(np.arange(first, first + count))
            axons.append(hardware)
            continue
        for place_, part in enumerate(tiles[origin.source].parts):
            if part.layer == layer:
                units.append(placements[origin.source].layers[place_].units)
                axons.append(hardware[part.first:part.first + part.neurons])
    return Link(number, channel, np.concatenate(units), np.concatenate(axons))


def _sorted_tiles(tiles: dict[int, Tile]) -> list[int]:
    left, found = dict(tiles), []
    while left:
        ready = [number for number, tile in left.items() if not any(
            channel.source in left and not channel.delayed for channel in tile.channels)]
        if not ready:
            raise ValueError(f"tiles {', '.join(map(str, left))} must not wait for one another "
                             f"within a timestep")
        found += ready
        for number in ready:
            del left[number]
    return found
