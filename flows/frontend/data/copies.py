"""Networks whose input axons are listed several times, so that counts and levels are exact."""

from __future__ import annotations

import dataclasses

import numpy as np

from lamina.flows.frontend.float_network import FloatLayer, FloatNetwork
from lamina.models.source import INPUT, Source

__all__ = ["with_copies"]


def with_copies(network: FloatNetwork, copies: int, *, scale: float = 1.0) -> FloatNetwork:
    """`network` with every input axon `copies` times, all with the weights of the one, scaled.

    A count c on an axon of the old network is c of its copies in the new one. Copy-major: axon i
    of copy k is ``k * axons + i``; the frame gains a leading axis of the copies.

    Parameters
    ----------
    network : FloatNetwork
    copies : int
        At least 1; 1 leaves the network as it is.
    scale : float
        Factor of the weights of input axons, e.g. ``1 / copies`` for levels of an intensity.
    """
    if copies == 1:
        return network
    axons = network.axons
    return dataclasses.replace(
        network, input_shape=(copies, *network.input_shape), inputs=(),
        assumptions=network.assumptions | {"input": f"{copies} copies of each axon"},
        layers=tuple(_copied(layer, axons, copies, scale) for layer in network.layers))


def _copied(layer: FloatLayer, axons: int, copies: int, scale: float) -> FloatLayer:
    fed = [source.layer == INPUT for source in layer.sources]
    if not any(fed):
        return layer
    sources, weights, start = [], [], 0
    for source in layer.sources:
        part = layer.weights[start:start + source.axons]
        start += source.axons
        if source.layer == INPUT:
            more, part = _copied_source(source, part * scale, axons, copies)
            sources += more
        else:
            sources.append(source)
        weights.append(part)
    grid = layer.grid
    if scale != 1.0 and grid is not None:
        grid = grid * scale if all(fed) else None
    return dataclasses.replace(layer, sources=tuple(sources), weights=np.concatenate(weights),
                               grid=grid)


def _copied_source(source: Source, weights: np.ndarray, axons: int,
                   copies: int) -> tuple[list[Source], np.ndarray]:
    """One source where it takes the whole frame, else one per copy; and the rows of all."""
    if source.units != axons:
        return ([dataclasses.replace(source, first=source.first + copy * axons)
                 for copy in range(copies)], np.tile(weights, (copies, 1)))
    window = source.window
    if window is None:
        return ([dataclasses.replace(source, units=copies * axons)],
                np.tile(weights, (copies, 1)))
    channels, *extents = window.shape
    wider = dataclasses.replace(window, shape=(copies * channels, *extents))
    taps = weights.reshape(-1, channels, weights.shape[1])
    return ([dataclasses.replace(source, units=copies * axons, window=wider)],
            np.tile(taps, (1, copies, 1)).reshape(-1, weights.shape[1]))
