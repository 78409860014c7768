"""What the spikes of a timestep add to each neuron: matrices and windows over feature maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lamina.models.program import Layer
from lamina.models.source import Source, Window

__all__ = ["Drive", "list_lengths", "window_taps"]


def window_taps(window: Window, units: np.ndarray, positions: tuple[int, int]) -> np.ndarray:
    """How many spikes each tap sees at each output position.

    Parameters
    ----------
    window : Window
    units : array (N, units)
        Spikes of the map, 0 or 1, in C order; the result has its dtype.
    positions : (int, int)
        Rows and columns of the output map.

    Returns
    -------
    array (N, rows, columns, taps)
        0 .. ``pool[0] * pool[1]``.
    """
    samples, (channels, rows, columns) = len(units), window.shape
    (pool_y, pool_x), (height, width) = window.pool, window.pooled
    units = units.reshape(samples, channels, rows, columns)[:, :, :height * pool_y,
                                                            :width * pool_x]
    pooled = units.reshape(samples, channels, height, pool_y, width, pool_x).sum(
        axis=(3, 5), dtype=units.dtype).transpose(0, 2, 3, 1)
    sizes = zip(positions, window.stride, window.kernel, window.dilation, strict=True)
    reach = [(extent - 1) * stride + (kernel - 1) * dilation + 1
             for extent, stride, kernel, dilation in sizes]
    above, left = window.padding
    padded = np.zeros((samples, max(reach[0], above + height), max(reach[1], left + width),
                       channels), dtype=units.dtype)
    padded[:, above:above + height, left:left + width] = pooled
    step_n, step_y, step_x, step_c = padded.strides
    seen = np.lib.stride_tricks.as_strided(
        padded, writeable=False, shape=(samples, *positions, *window.kernel, channels),
        strides=(step_n, step_y * window.stride[0], step_x * window.stride[1],
                 step_y * window.dilation[0], step_x * window.dilation[1], step_c))
    return seen.reshape(samples, *positions, window.taps)


def list_lengths(layer: Layer, frames: Sequence[np.ndarray]) -> np.ndarray:
    """N_t: entries of the spike list that each neuron sees, int64 (N, 1) or (N, neurons).

    Parameters
    ----------
    layer : Layer
    frames : sequence of arrays (N, units)
        Spikes of each source.
    """
    lengths: np.ndarray | int = 0
    for source, frame in zip(layer.sources, frames, strict=True):
        if source.window is None:
            lengths = lengths + frame.sum(axis=1, dtype=np.int64)[:, None]
        else:
            taps = window_taps(source.window, frame.astype(np.int64), layer.shape[1:])
            seen = taps.sum(axis=3).reshape(len(frame), 1, -1)
            lengths = lengths + np.repeat(seen, layer.shape[0], axis=1).reshape(len(frame), -1)
    return lengths


class Drive:
    """Sums of the active weights of one layer, in one arithmetic.

    Parameters
    ----------
    layer : Layer
        With the weights that its lanes see.
    dtype : type
        ``np.int64``, or a float type in which every partial sum is exact.
    shift : int
        Low bits that are cut off the weights first.
    """

    def __init__(self, layer: Layer, dtype: type, shift: int = 0):
        self._layer, self._dtype = layer, dtype
        edges = np.cumsum([0] + [source.axons for source in layer.sources])
        weights = (layer.weights >> shift).astype(dtype)
        self._parts = [(source, weights[start:stop]) for source, start, stop
                       in zip(layer.sources, edges, edges[1:], strict=False)]

    def __call__(self, frames: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Sum the weights of `frames`, one array of spikes (N, units) per source.

        Returns
        -------
        drive : int64 array (N, neurons)
        sops : int64 array (N,)
            Weights that were added.
        """
        samples = len(frames[0]) if frames else 1
        drive = np.zeros((samples, self._layer.neurons), dtype=self._dtype)
        sops = np.zeros(samples, dtype=np.int64)
        for (source, weights), frame in zip(self._parts, frames, strict=True):
            add = self._whole if source.window is None else self._windowed
            part, active = add(source, weights, frame.astype(self._dtype))
            drive += part
            sops += active * weights.shape[1]
        return drive.astype(np.int64), sops

    def _whole(self, source: Source, weights: np.ndarray, frame: np.ndarray):
        return frame @ weights, frame.sum(axis=1).astype(np.int64)

    def _windowed(self, source: Source, weights: np.ndarray, frame: np.ndarray):
        rows, columns = self._layer.shape[1:]
        taps = window_taps(source.window, frame, (rows, columns))
        sums = taps.reshape(-1, source.axons) @ weights
        sums = sums.reshape(len(frame), rows * columns, -1).transpose(0, 2, 1)
        return sums.reshape(len(frame), -1), taps.sum(axis=(1, 2, 3)).astype(np.int64)
