"""What is written into a fabric before it runs a network: programs, then tables of every tile."""

from __future__ import annotations

import dataclasses

import numpy as np

from lamina.models.config import HardwareConfig
from lamina.models.fabric.config import ChannelField, FabricConfig, RangeField, TileSpace
from lamina.models.fabric.inbox import InboxChannel
from lamina.models.fabric.mapping import HOST, FabricProgram, Link
from lamina.models.fabric.outbox import Range
from lamina.models.fabric.routes import Faults
from lamina.models.image import memory_image
from lamina.models.placement import place

__all__ = ["FabricBlock", "Node", "fabric_image", "nodes_of", "sized", "table_bits"]

FabricBlock = tuple[int, int, int, np.ndarray]
"""Tile (of the host's node: the number of tiles), space, first address, uint16 words."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Node:
    """Tables of a tile, or of the host.

    Parameters
    ----------
    channels : tuple of InboxChannel
        None of the host.
    ranges : tuple of Range
        At least one.
    credits : tuple of int
        Slots that each target takes without an answer.
    """

    channels: tuple[InboxChannel, ...]
    ranges: tuple[Range, ...]
    credits: tuple[int, ...]


def nodes_of(fabric: FabricProgram, config: FabricConfig,
             reported: tuple[int, ...] | None = None) -> dict[int, Node]:
    """Tables of all tiles with neurons, and of :data:`HOST`.

    Parameters
    ----------
    fabric : FabricProgram
    config : FabricConfig
    reported : tuple of int or None
        Layers whose spikes go to the host; None: those that report, and the last one.

    Raises
    ------
    ValueError
        If a table is too small, or a tile has no channel that is not delayed.
    """
    if reported is None:
        layers = fabric.program.layers
        reported = tuple(index for index, layer in enumerate(layers)
                         if layer.report or index == len(layers) - 1)
    found = {}
    for number in (HOST, *fabric.tiles):
        links = fabric.links.get(number, ())
        ranges = [entry for link in links for entry in _ranges(link, config)]
        if number != HOST:
            ranges += _reports(fabric, config, number, reported)
        found[number] = Node(
            channels=_channels(fabric, config, number), ranges=tuple(ranges or [_nothing(0, 0)]),
            credits=tuple(1 if _channel(fabric, link).delayed else 2 for link in links))
        _check(number, found[number], config)
    return found


def sized(fabric: FabricProgram, core: HardwareConfig) -> FabricConfig:
    """The fabric whose tables have room for a network, each a power of two.

    Parameters
    ----------
    fabric : FabricProgram
    core : HardwareConfig
        That holds the program of every tile.

    Raises
    ------
    ValueError
        If a table would be larger than tables can be.
    """
    mesh = fabric.mesh
    room = {"channels": 64, "targets": 64, "ranges": 4096, "host_ranges": 4096}
    largest = FabricConfig(core=core, size=mesh.size, fifo_depth=mesh.fifo_depth,
                           routing=mesh.routing, chips=mesh.chips, link_bits=mesh.link_bits,
                           inputs=fabric.program.axons, **room)
    nodes = nodes_of(fabric, largest, tuple(range(len(fabric.program.layers))))
    host = nodes.pop(HOST)
    needs = {"channels": max(len(node.channels) for node in nodes.values()),
             "targets": max(len(node.credits) for node in nodes.values()),
             "ranges": max(len(node.ranges) for node in nodes.values()),
             "host_ranges": len(host.ranges)}
    return dataclasses.replace(largest, **{name: 1 << max(1, (need - 1).bit_length())
                                           for name, need in needs.items()})


def _channel(fabric: FabricProgram, link: Link):
    return fabric.tiles[link.target].channels[link.channel]


def _nothing(target: int, channel: int) -> Range:
    return Range(first=1, last=0, target=target, channel=channel, base=0)


def _ranges(link: Link, config: FabricConfig) -> list[Range]:
    """Ranges of a link; the first one closes slots."""
    address = config.mesh.address(link.target)
    found = [Range(first=first, last=last, target=address, channel=link.channel, base=axon)
             for first, last, axon in link.ranges] or [_nothing(address, link.channel)]
    return [dataclasses.replace(found[0], closes=True), *found[1:]]


def table_bits(node: Node) -> int:
    """Size of its tables in words of 16 bit, as they are written [bit]."""
    return 16 * (len(ChannelField) * len(node.channels) + len(RangeField) * len(node.ranges)
                 + len(node.credits))


def _reports(fabric: FabricProgram, config: FabricConfig, number: int, reported: tuple[int, ...]
             ) -> list[Range]:
    """Ranges for the host: the rows of each part that it hears of."""
    tile, lanes = fabric.tiles[number], config.core.lanes
    layers = place(tile.program, lanes).layers
    found = [Range(first=placed.row * lanes, last=(placed.row + placed.rows) * lanes - 1,
                   target=config.mesh.address(0), channel=number, base=placed.row * lanes,
                   host=True)
             for part, placed in zip(tile.parts, layers, strict=True)
             if part.layer in reported and not part.is_partial]
    return [dataclasses.replace(entry, closes=place_ == 0) for place_, entry in enumerate(found)]


def _channels(fabric: FabricProgram, config: FabricConfig, number: int
              ) -> tuple[InboxChannel, ...]:
    if number == HOST:
        return ()
    found = []
    for index, channel in enumerate(fabric.tiles[number].channels):
        targets = [(link.target, link.channel) for link in fabric.links[channel.source]]
        host = channel.source == HOST
        found.append(InboxChannel(
            source=config.mesh.address(0 if host else channel.source), host=host,
            credit=targets.index((number, index)), delayed=channel.delayed,
            partial=channel.partial))
    if all(channel.delayed for channel in found):
        raise ValueError(f"tile {number} must have a channel that is not delayed")
    return tuple(found)


def _check(number: int, node: Node, config: FabricConfig) -> None:
    name = "the host" if number == HOST else f"tile {number}"
    has = {"channels": config.channels, "targets": config.targets, "ranges": config.ranges}
    if number == HOST:
        has |= {"targets": config.mesh.tiles, "ranges": config.host_ranges}
    needs = {"channels": len(node.channels), "targets": len(node.credits),
             "ranges": len(node.ranges)}
    for what, need in needs.items():
        if need > has[what]:
            raise ValueError(f"{name} needs {need} {what}, has {has[what]}")


def fabric_image(fabric: FabricProgram, config: FabricConfig,
                 reported: tuple[int, ...] | None = None, routes: np.ndarray | None = None,
                 faults: Faults | None = None) -> list[FabricBlock]:
    """Every write that loads a network, for a fabric after reset or behind a CLEAR.

    Programs come before tables: the last credits of the network before arrive meanwhile.

    Parameters
    ----------
    fabric, config, reported
        See :func:`nodes_of`.
    routes : int array (tiles, tiles) or None
        Port by router and destination; needed with ``routing="table"``.
    faults : Faults or None
        Switched off with ``routing="table"``: links that nothing shall pass.

    Raises
    ------
    ValueError
        If a table is too small, or a tile's program does not fit the core.
    """
    image: list[FabricBlock] = []
    for tile, row in enumerate(routes if routes is not None else ()):
        image += [(tile, int(TileSpace.ROUTES), config.mesh.address(target), _words([int(port)]))
                  for target, port in enumerate(row) if port >= 0]
        dead = 0 if faults is None else faults.dead_ports(tile)
        image.append((tile, int(TileSpace.LINKS), 0, _words([dead])))
    for number, tile in fabric.tiles.items():
        image += [(number, *block) for block in memory_image(tile.program, config.core)]
    idle = Node(channels=(), ranges=(_nothing(0, 0),), credits=())
    nodes = nodes_of(fabric, config, reported)
    for number in range(config.mesh.tiles):
        image += _tables(number, nodes.get(number, idle), config)
    return [*image, *_tables(config.host_tile, nodes[HOST], config)]


def _words(values: list[int]) -> np.ndarray:
    return np.array(values, dtype=np.uint16)


def _tables(tile: int, node: Node, config: FabricConfig) -> list[FabricBlock]:
    """Tables of one node; what it has beyond them is switched off."""
    is_host = tile == config.host_tile
    image = []
    for index in range(0 if is_host else config.channels):
        words = _words([0, 0, 0])
        if index < len(node.channels):
            channel = node.channels[index]
            words[ChannelField.SOURCE], words[ChannelField.CREDIT] = channel.source, channel.credit
            words[ChannelField.FLAGS] = (1 | channel.delayed << 1 | channel.host << 2
                                         | channel.partial << 3)
        image.append((tile, int(TileSpace.CHANNELS), 4 * index, words))
    for index, entry in enumerate(node.ranges):
        words = _words([0] * len(RangeField))
        words[RangeField.FIRST], words[RangeField.LAST] = entry.first, entry.last
        words[RangeField.TARGET], words[RangeField.CHANNEL] = entry.target, entry.channel
        words[RangeField.BASE] = entry.base
        words[RangeField.FLAGS] = (entry.closes | entry.host << 1
                                   | (index == len(node.ranges) - 1) << 2)
        image.append((tile, int(TileSpace.RANGES), 8 * index, words))
    targets = config.mesh.tiles if is_host else config.targets
    credits = [*node.credits, *([0] * (targets - len(node.credits)))]
    return [*image, (tile, int(TileSpace.CREDITS), 0, _words(credits))]
