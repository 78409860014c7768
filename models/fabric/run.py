"""The golden fabric: what all tiles together compute, tile by tile."""

from __future__ import annotations

import numpy as np

from lamina.models.drive import Drive
from lamina.models.fabric.mapping import FabricProgram, Tile
from lamina.models.fixed import wrap
from lamina.models.network import run, seen_layer
from lamina.models.source import INPUT

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
    sums : dict of (int, int, int, int) to int64 array (N, T, neurons)
        What parts without membranes send, by :attr:`Part.sends` [LSB], modulo ``2**acc_bits``.
    """

    def __init__(self, fabric: FabricProgram, samples: int, timesteps: int):
        shapes = [(samples, timesteps, layer.neurons) for layer in fabric.program.layers]
        self.spikes = [np.zeros(shape, dtype=np.uint8) for shape in shapes]
        self.membranes = [np.zeros(shape, dtype=np.int64) for shape in shapes]
        self.sums: dict[tuple[int, int, int, int], np.ndarray] = {}


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
    inputs = tile.inputs(spikes, trace.spikes)
    received = {number: trace.sums[part.receives] for number, part in enumerate(tile.parts)
                if part.first_axon}
    found = run(tile.program, inputs, tiers, trace=True, received=received)
    for number, part in enumerate(tile.parts):
        if part.is_partial:
            sent = {INPUT: inputs, **dict(enumerate(found.layer_spikes))}
            trace.sums[part.sends] = wrap(_weighted(tile, number, sent, tiers)
                                          + received.get(number, 0), tile.program.acc_bits)
            continue
        cut = slice(part.first, part.first + part.neurons)
        trace.spikes[part.layer][:, :, cut] = found.layer_spikes[number]
        trace.membranes[part.layer][:, :, cut] = found.layer_membranes[number]


def _weighted(tile: Tile, number: int, sent: dict[int, np.ndarray], tiers: tuple[int, ...]
              ) -> np.ndarray:
    """Sums of the weights behind the spikes of each timestep, int64 (N, T, neurons)."""
    layer = seen_layer(tile.program.layers[number], tile.program, tiers)
    frames = [source.arriving(sent[source.layer]) for source in layer.sources]
    samples, timesteps, _ = frames[0].shape
    sums, _ = Drive(layer, np.float64)([frame.reshape(samples * timesteps, -1)
                                        for frame in frames])
    return sums.reshape(samples, timesteps, -1)
