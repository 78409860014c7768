"""The golden fabric: what all tiles together compute, tile by tile."""

from __future__ import annotations

import numpy as np

from lamina.models.fabric.mapping import FabricProgram, Tile
from lamina.models.network import run

__all__ = ["FabricTrace", "run_fabric"]


class FabricTrace:
    """Spikes and membranes of every layer of a network that ran on tiles.

    Parameters
    ----------
    fabric : FabricProgram
    samples, timesteps : int

    Attributes
    ----------
    spikes : list of uint8 arrays (N, T, neurons)
    membranes : list of int64 arrays (N, T, neurons)
    """

    def __init__(self, fabric: FabricProgram, samples: int, timesteps: int):
        shapes = [(samples, timesteps, layer.neurons) for layer in fabric.program.layers]
        self.spikes = [np.zeros(shape, dtype=np.uint8) for shape in shapes]
        self.membranes = [np.zeros(shape, dtype=np.int64) for shape in shapes]


def run_fabric(fabric: FabricProgram, spikes: np.ndarray, tiers: tuple[int, ...]) -> FabricTrace:
    """Run every tile's program on what its channels bring; equal to the network on one core.

    Tiles run whole samples, each behind those that it waits for. Spikes of delayed channels are
    right one timestep further with every round, so there are as many rounds as it takes until none
    changes, at most T.

    Parameters
    ----------
    fabric : FabricProgram
    spikes : uint8 array (N, T, axons)
    tiers : tuple of int
    """
    samples, timesteps, _ = spikes.shape
    trace = FabricTrace(fabric, samples, timesteps)
    for _ in range(timesteps):
        before = [layer.copy() for layer in trace.spikes]
        for number in fabric.order:
            _run_tile(fabric.tiles[number], spikes, trace, tiers)
        same = all(np.array_equal(*pair) for pair in zip(before, trace.spikes, strict=True))
        if same or not any(channel.delayed for tile in fabric.tiles.values()
                           for channel in tile.channels):
            break
    return trace


def _run_tile(tile: Tile, spikes: np.ndarray, trace: FabricTrace, tiers: tuple[int, ...]) -> None:
    found = run(tile.program, tile.inputs(spikes, trace.spikes), tiers, trace=True)
    for number, part in enumerate(tile.parts):
        cut = slice(part.first, part.first + part.neurons)
        trace.spikes[part.layer][:, :, cut] = found.layer_spikes[number]
        trace.membranes[part.layer][:, :, cut] = found.layer_membranes[number]
