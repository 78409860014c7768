"""How many flits a network sends, from its spikes alone, and which routers pass them on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lamina.models.fabric.config import FabricConfig, MeshConfig
from lamina.models.fabric.mapping import HOST, FabricProgram, Part
from lamina.models.fabric.routes import link_loads
from lamina.models.fabric.tables import nodes_of
from lamina.models.placement import place

__all__ = ["at_routers", "forwarded", "leaving", "sent_flits"]


def leaving(part: Part, layer_spikes: Sequence[np.ndarray]) -> np.ndarray:
    """Neurons with an event, (T, neurons): those that spike, or all where sums leave."""
    spikes = layer_spikes[part.layer][:, part.first:part.first + part.neurons]
    return np.ones_like(spikes) if part.is_partial else spikes


def sent_flits(fabric: FabricProgram, config: FabricConfig, spikes: np.ndarray,
               layer_spikes: Sequence[np.ndarray], reported: tuple[int, ...] | None = None
               ) -> np.ndarray:
    """Flits of one sample and its CLEAR, credits included, int (tiles + 1, tiles + 1).

    From row to column; the last of each is the host. A slot, one for each timestep and one for
    CLEAR, is closed once and answered once on every channel.

    Parameters
    ----------
    fabric : FabricProgram
    config : FabricConfig
    spikes : uint8 array (T, axons)
    layer_spikes : sequence of uint8 arrays (T, neurons)
        Of every layer of the whole network.
    reported : tuple of int or None
        Layers that the host hears: see :func:`lamina.models.fabric.tables.nodes_of`.
    """
    mesh, slots = config.mesh, len(spikes) + 1
    tile_at = {mesh.address(tile): tile for tile in range(mesh.tiles)}
    found = np.zeros((mesh.tiles + 1, mesh.tiles + 1), dtype=np.int64)
    for number, node in nodes_of(fabric, config, reported).items():
        counts = spikes.sum(axis=0, dtype=np.int64) if number == HOST else _events(
            fabric, number, config.core.lanes, layer_spikes)
        for entry in node.ranges:
            target = HOST if entry.host else tile_at[entry.target]
            found[number, target] += counts[entry.first:entry.last + 1].sum()
            found[number, target] += entry.closes * slots
        for channel in node.channels:
            found[number, HOST if channel.host else tile_at[channel.source]] += slots
    return found


def _events(fabric: FabricProgram, number: int, lanes: int, layer_spikes: Sequence[np.ndarray]
            ) -> np.ndarray:
    """Events of each hardware neuron of a tile."""
    tile = fabric.tiles[number]
    layers = place(tile.program, lanes).layers
    found = np.zeros(lanes * max(placed.row + placed.rows for placed in layers), dtype=np.int64)
    for part, placed in zip(tile.parts, layers, strict=True):
        found[placed.units] += leaving(part, layer_spikes).sum(axis=0, dtype=np.int64)
    return found


def at_routers(flits: np.ndarray) -> np.ndarray:
    """Flits between tiles as routers see them, from those of :func:`sent_flits`.

    The host's go into and come out of the router of tile 0; what a tile sends to itself passes
    none.
    """
    found = flits[:-1, :-1].copy()
    found[0] += flits[-1, :-1]
    found[:, 0] += flits[:-1, -1]
    np.fill_diagonal(found, 0)
    return found


def forwarded(mesh: MeshConfig, routes: np.ndarray, flits: np.ndarray) -> np.ndarray:
    """Flits that each router sends on over a link, int (tiles,): the hops that begin there.

    Parameters
    ----------
    mesh : MeshConfig
    routes : int array (tiles, tiles)
        Port by router and destination.
    flits : int array (tiles + 1, tiles + 1)
        See :func:`sent_flits`.
    """
    found = np.zeros(mesh.tiles, dtype=np.int64)
    for (tile, _), count in link_loads(mesh, routes, at_routers(flits)).items():
        found[tile] += round(count)
    return found
