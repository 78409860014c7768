"""What the spikes of a timestep add to each neuron where the order of the additions matters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from lamina.models.adders.accumulate import accumulate, accumulate_sliced
from lamina.models.adders.spec import AdderSpec
from lamina.models.drive import Drive
from lamina.models.program import Layer, Program
from lamina.models.source import INPUT, Source, Window

__all__ = ["OrderedDrive", "stream_order"]


def stream_order(program: Program, source: Source) -> np.ndarray | None:
    """Units of `source` in the order in which a core streams them, or None for their own order.

    A map of spikes lies in memory position by position: (row, column, channel).
    """
    shape: tuple[int, ...] = ()
    if source.layer != INPUT:
        shape = program.layers[source.layer].shape
    for layer in program.layers if source.layer == INPUT else ():
        for other in layer.sources:
            same = (other.layer, other.first, other.units) == (INPUT, source.first, source.units)
            if same and other.window is not None:
                shape = other.window.shape
    if len(shape) != 3:
        return None
    return np.arange(source.units).reshape(shape).transpose(1, 2, 0).ravel()


class OrderedDrive:
    """Sums of the active weights of one layer by its adder, source by source.

    Parameters
    ----------
    program : Program
    layer : Layer
        With the weights that its lanes see.
    plain : bool
        One addition after the other, instead of 64 sums in a word.
    """

    def __init__(self, program: Program, layer: Layer, *, plain: bool):
        self._layer, self._bits, self._plain = layer, program.acc_bits, plain
        self._spec = AdderSpec.parse(layer.adder)
        self._orders = [stream_order(program, source) for source in layer.sources]
        self._firsts = np.cumsum([0] + [source.axons for source in layer.sources])
        shift = 0 if self._spec.window else self._spec.low_bits
        self._upper = Drive(layer, np.int64 if plain else np.float64, shift=shift)

    def __call__(self, frames: Sequence[np.ndarray], start: np.ndarray
                 ) -> tuple[np.ndarray, np.ndarray]:
        """Add the weights of `frames`, one array of spikes (N, units) per source, to `start`.

        Parameters
        ----------
        frames : sequence of arrays
        start : int64 array (N, neurons)
            Leaked membranes [LSB].

        Returns
        -------
        drive : int64 array (N, neurons)
            What `start` grew by, modulo the width of the accumulators.
        sops : int64 array (N,)
            Weights that were added.
        """
        samples, layer = len(start), self._layer
        columns = layer.weights.shape[1]
        upper, sops = self._upper(frames)
        begin = self._by_column(start, samples, columns)
        events = self._events(frames, samples)
        if self._plain:
            total = accumulate(self._spec, begin, layer.weights, events, self._bits)
        else:
            total = accumulate_sliced(
                self._spec, begin, layer.weights, events, self._bits,
                None if self._spec.window else self._by_column(upper, samples, columns))
        change = (total - begin).reshape(samples, -1, columns).transpose(0, 2, 1)
        return change.reshape(samples, -1), sops

    @staticmethod
    def _by_column(vector: np.ndarray, samples: int, columns: int) -> np.ndarray:
        """(N, neurons) to (N * positions, columns)."""
        return vector.reshape(samples, columns, -1).transpose(0, 2, 1).reshape(-1, columns)

    def _events(self, frames: Sequence[np.ndarray], samples: int
                ) -> Iterator[tuple[int, np.ndarray]]:
        for source, first, order, frame in zip(
                self._layer.sources, self._firsts.tolist(), self._orders, frames, strict=False):
            active = frame.astype(bool)
            if source.window is None:
                rows = np.flatnonzero(active.any(axis=0)) if order is None \
                    else order[active.any(axis=0)[order]]
                yield from ((first + row, active[:, row]) for row in rows.tolist())
            else:
                yield from ((first + tap, seen) for tap, seen in _seen(
                    source.window, active, self._layer.shape[1:]) if seen.any())


def _seen(window: Window, units: np.ndarray, positions: tuple[int, int]
          ) -> Iterator[tuple[int, np.ndarray]]:
    """Taps in the order of a scan, and for each output position (N * positions) if it spikes.

    A scan goes by kernel row, row within the pool, kernel column, column within the pool, channel.
    """
    channels, rows, columns = window.shape
    maps = units.reshape(-1, channels, rows, columns)
    for ky in range(window.kernel[0]):
        for py in range(window.pool[0]):
            ys, in_y = _line(window, 0, ky, py, positions[0])
            for kx in range(window.kernel[1]):
                for px in range(window.pool[1]):
                    xs, in_x = _line(window, 1, kx, px, positions[1])
                    seen = maps[:, :, ys][:, :, :, xs] & in_y[:, None] & in_x
                    tap = (ky * window.kernel[1] + kx) * channels
                    for channel in range(channels):
                        yield tap + channel, seen[:, channel].ravel()


def _line(window: Window, axis: int, tap: int, inner: int, positions: int
          ) -> tuple[np.ndarray, np.ndarray]:
    """Coordinate that each output position looks at, and whether it lies on the map."""
    pooled = (np.arange(positions) * window.stride[axis] + tap * window.dilation[axis]
              - window.padding[axis])
    inside = (pooled >= 0) & (pooled < window.pooled[axis])
    return np.where(inside, pooled * window.pool[axis] + inner, 0), inside
