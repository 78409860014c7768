"""A network on many tiles: which neurons are where, and which channels carry their spikes.

Every tile runs a :class:`Program` of its own, whose input lines are what its channels bring. Time
is logical: a tile runs a timestep once every channel has closed it, so where neurons are does not
change what they do (Kahn 1974).

A layer may be cut by axons too. The tiles of such a share stand in a chain: each adds the sums of
the one before to its own and sends them on, the last one holds the membranes.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from lamina.models.adders.spec import EXACT, AdderSpec
from lamina.models.config import ResetRule
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
    """Neurons `first` .. `first + neurons - 1` of layer number `layer`.

    Parameters
    ----------
    layer, first, neurons : int
    first_axon : int
        Rows of the weights before it are on other tiles, whose sums it adds.
    axons : int
        How many rows of the weights it has; its sums go on to the part that begins behind them.
        0: all the rest, and the membranes.
    """

    layer: int
    first: int
    neurons: int
    first_axon: int = 0
    axons: int = 0

    @property
    def is_partial(self) -> bool:
        """Whether the membranes are elsewhere."""
        return self.axons > 0

    @property
    def sends(self) -> tuple[int, int, int, int]:
        """What is alike in a part and the next one of its chain: see :attr:`receives`."""
        return self.layer, self.first, self.neurons, self.first_axon + self.axons

    @property
    def receives(self) -> tuple[int, int, int, int]:
        """:attr:`sends` of the part before it."""
        return self.layer, self.first, self.neurons, self.first_axon


@dataclasses.dataclass(frozen=True, order=True)
class Channel:
    """Spikes and ticks of one source for one tile.

    Parameters
    ----------
    source : int
        Tile, or :data:`HOST`.
    delayed : bool
        What the source sends in a timestep is for the next one; the first has no spikes.
    partial : bool
        What it sends are partial sums, one of each neuron in each timestep.
    """

    source: int
    delayed: bool = False
    partial: bool = False


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
        Input lines of the target tile's core, in hardware numbers; of partial sums its neurons.
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
    def reporting(self) -> list[int]:
        """Tiles with membranes, which the host can hear of."""
        return [number for number, tile in self.tiles.items()
                if not all(part.is_partial for part in tile.parts)]

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
        Of a share that is cut by axons, together every axon once.
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
    every = [part for parts in assignment.values() for part in parts]
    sent = collections.Counter(part.sends for part in every if part.is_partial)
    wanted = collections.Counter(part.receives for part in every if part.first_axon)
    for layer, first, _, axon in sorted((sent - wanted) + (wanted - sent)):
        raise ValueError(f"axons of {program.layers[layer].name} must follow one another in a "
                         f"chain of tiles, not break off at {axon} for its neuron {first}")
    for part in every:
        if not part.is_partial:
            seen[part.layer][part.first:part.first + part.neurons] += 1
    for layer, counts in zip(program.layers, seen, strict=True):
        if (counts != 1).any():
            neuron = int(np.flatnonzero(counts != 1)[0])
            raise ValueError(f"neuron {neuron} of {layer.name} must be on one tile, "
                             f"not on {counts[neuron]}")


def _tile(program: Program, assignment: dict[int, tuple[Part, ...]], number: int) -> Tile:
    parts = assignment[number]
    whole = {part.layer: place for place, part in enumerate(parts)
             if part.neurons == program.layers[part.layer].neurons and not part.is_partial}
    lines: dict[tuple[tuple[int, int, int], bool], int] = {}
    layers = tuple(_part(program, part, parts, whole, lines) for part in parts)
    channels = {Channel(source, delayed) for origin, delayed in lines
                for source in _homes(assignment, origin)}
    received = {part.receives for part in parts if part.first_axon}
    channels |= {Channel(source, partial=True) for source, others in assignment.items()
                 for part in others if part.is_partial and part.sends in received}
    total = sum(origin[2] for origin, _ in lines) or 1
    cut = dataclasses.replace(
        program, name=f"{program.name}_{number}", layers=layers, input_shape=(total,), inputs=(),
        encoder=dataclasses.replace(program.encoder, kind="spikes"), decoding="count")
    return Tile(parts, cut, tuple(sorted(channels)),
                tuple((origin, delayed, first) for (origin, delayed), first in lines.items()))


def _homes(assignment: dict[int, tuple[Part, ...]], origin: tuple[int, int, int]) -> list[int]:
    """Where spikes of a run of a layer, or of the input, come from."""
    layer, first, units = origin
    if layer == INPUT:
        return [HOST]
    return [tile for tile, parts in assignment.items() for part in parts
            if part.layer == layer and not part.is_partial
            and part.first < first + units and first < part.first + part.neurons]


def _part(program: Program, part: Part, parts: tuple[Part, ...], whole: dict[int, int],
          lines: dict) -> Layer:
    """The layer of `part`, its sources inside of the tile or from its channels."""
    layer = program.layers[part.layer]
    cut = slice(part.first, part.first + part.neurons)
    divided = part.is_partial or part.first_axon > 0
    if (part.neurons != layer.neurons or divided) and layer.is_convolution:
        raise ValueError(f"{layer.name} must be whole on one tile: it is a convolution")
    last = part.first_axon + part.axons if part.is_partial else layer.axons
    sources = tuple(_source(program, part, source, run, whole, lines)
                    for source, run in _runs(layer, part.first_axon, last))
    if divided:
        _check_divisible(layer)
    if part.is_partial:
        return _partial_layer(layer, part, cut, sources)
    current = None
    if layer.current is not None:
        holders = [(other.layer, other.first, other.neurons, other.is_partial) for other in parts]
        wanted = (layer.current, part.first, part.neurons, False)
        if wanted not in holders:
            raise ValueError(f"{layer.name} must be cut like the current that it reads, "
                             f"{program.layers[layer.current].name}")
        current = holders.index(wanted)
    weights = layer.weights if layer.is_convolution else layer.weights[part.first_axon:, cut]
    return dataclasses.replace(
        layer, name=f"{layer.name}_{part.first}", weights=weights, sources=sources, current=current,
        report=True, shape=layer.shape if layer.is_convolution else (part.neurons,),
        receives=divided, **{name: getattr(layer, name)[cut] for name in _VECTORS})


def _check_divisible(layer: Layer) -> None:
    """Sums of parts are the sum of the whole with exact additions only."""
    if layer.adder != EXACT.name:
        raise ValueError(f"{layer.name} must have an exact adder to be cut by axons, not "
                         f"{AdderSpec.parse(layer.adder).label}")
    if layer.kappa or layer.current is not None:
        what = "a bias that follows its spikes" if layer.kappa else "a current beside its axons"
        raise ValueError(f"{layer.name} must not be cut by axons: it has {what}")


def _partial_layer(layer: Layer, part: Part, cut: slice, sources: tuple[Source, ...]) -> Layer:
    """Weights alone: the membrane forgets all, x leaves before it is stored."""
    rows = slice(part.first_axon, part.first_axon + part.axons)
    zero = np.zeros(part.neurons, dtype=np.int64)
    return dataclasses.replace(
        layer, name=f"{layer.name}_{part.first}_{part.first_axon}", sources=sources, report=True,
        weights=layer.weights[rows, cut], shape=(part.neurons,), reset=ResetRule.VALUE,
        spiking=False, refractory=0, leak="decay", receives=part.first_axon > 0, sends=True,
        **dict.fromkeys(_VECTORS, zero))


def _runs(layer: Layer, first: int, last: int) -> list[tuple[Source, tuple[int, int]]]:
    """Sources with axons in `first` .. `last - 1`, each with its first unit and units there."""
    found, begin = [], 0
    for source in layer.sources:
        low, high = max(first, begin) - begin, min(last, begin + source.axons) - begin
        begin += source.axons
        if low < high:
            whole = (low, high) == (0, source.axons)
            found.append((source, (0, source.units) if whole else (low, high - low)))
    return found


def _source(program: Program, part: Part, source: Source, run: tuple[int, int],
            whole: dict[int, int], lines: dict) -> Source:
    """`source` as the tile hears it, of it the `run` of units."""
    if source.layer in whole and run == (0, source.units):
        return dataclasses.replace(source, layer=whole[source.layer])
    if source.window is not None and source.layer != INPUT:
        raise ValueError(f"{program.layers[part.layer].name} must be on the tile of the map that "
                         f"it reads, {program.layers[source.layer].name}")
    delayed = source.layer >= part.layer
    if source.layer in whole and not delayed:
        raise ValueError(f"{program.layers[part.layer].name} must not be cut by axons on the tile "
                         f"of its source {program.layers[source.layer].name}")
    key = ((source.layer, source.first + run[0], run[1]), delayed)
    if key not in lines:
        lines[key] = sum(origin[2] for origin, _ in lines)
    return dataclasses.replace(source, layer=INPUT, first=lines[key], units=run[1],
                               delay=source.delay - int(delayed))


def _link(program: Program, tiles: dict[int, Tile], placements: dict[int, Placement],
          number: int, channel: int) -> Link:
    """What the source of a channel of tile `number` sends."""
    tile, origin = tiles[number], tiles[number].channels[channel]
    if origin.partial:
        return _link_of_sums(tiles, placements, number, channel)
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
            low, high = max(first, part.first), min(first + count, part.first + part.neurons)
            if part.layer == layer and not part.is_partial and low < high:
                sent = placements[origin.source].layers[place_].units
                units.append(sent[low - part.first:high - part.first])
                axons.append(hardware[low - first:high - first])
    return Link(number, channel, np.concatenate(units), np.concatenate(axons))


def _link_of_sums(tiles: dict[int, Tile], placements: dict[int, Placement], number: int,
                  channel: int) -> Link:
    """Partial sums, from the neurons of one tile to those of the next."""
    source = tiles[number].channels[channel].source
    places = {part.sends: place_ for place_, part in enumerate(tiles[source].parts)
              if part.is_partial}
    pairs = [(placements[source].layers[places[part.receives]].units,
              placements[number].layers[place_].units)
             for place_, part in enumerate(tiles[number].parts)
             if part.first_axon and part.receives in places]
    units, neurons = (np.concatenate(each) for each in zip(*pairs, strict=True))
    return Link(number, channel, units, neurons)


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
