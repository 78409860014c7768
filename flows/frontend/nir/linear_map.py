"""Linear maps between spiking layers: folded matrices, convolutions and pools, with exact rules."""

from __future__ import annotations

import dataclasses

import numpy as np

from lamina.models.drive import window_taps
from lamina.models.source import Window

__all__ = ["MAX_MATRIX", "LinearMap", "convolve", "extents"]

MAX_MATRIX = 1 << 24
"""Entries of a matrix that a map may be written out to."""


def extents(size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int],
            padding: tuple[int, int], dilation: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of positions of a kernel over `size` with `padding` on all sides."""
    return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1
                 for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True))


def convolve(values: np.ndarray, kernel: np.ndarray, window: Window,
             positions: tuple[int, int]) -> np.ndarray:
    """Correlate maps (N, units) with `kernel` (channels, C, rows, columns) as `window` says.

    Returns
    -------
    float64 array (N, channels, rows, columns)
    """
    taps = window_taps(window, np.ascontiguousarray(values, dtype=np.float64), positions)
    weights = kernel.transpose(2, 3, 1, 0).reshape(window.taps, -1)
    return (taps @ weights).transpose(0, 3, 1, 2)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class LinearMap:
    """What lies between a source and the node that is looked at.

    It is the identity, a pool, a matrix or a convolution, whatever is the simplest that holds.

    Parameters
    ----------
    shape : tuple of int
        Of the values that come out; for a reader of flat values only their order counts.
    units : int
        Values that go in.
    matrix : float64 array (outputs, units) or None
    kernel : float64 array (channels, C, rows, columns) or None
    window : Window or None
        Of the convolution; with `kernel` None a pool over the source's map.
    positions : (int, int)
        Rows and columns of the convolution's or the pool's output.
    gain : float
        Factor of a pool.
    """

    shape: tuple[int, ...]
    units: int
    matrix: np.ndarray | None = None
    kernel: np.ndarray | None = None
    window: Window | None = None
    positions: tuple[int, int] = (0, 0)
    gain: float = 1.0

    @classmethod
    def identity(cls, shape: tuple[int, ...]) -> LinearMap:
        """All values as they are."""
        return cls(shape=shape, units=int(np.prod(shape)))

    @property
    def outputs(self) -> int:
        """Values that come out."""
        return int(np.prod(self.shape))

    @property
    def is_identity(self) -> bool:
        """Whether it changes nothing."""
        return self.matrix is None and self.window is None

    @property
    def channels(self) -> int:
        """Channels of a windowed map."""
        return self.window.shape[0] if self.kernel is None else len(self.kernel)

    def dense(self) -> np.ndarray:
        """The map written out as a matrix (outputs, units)."""
        if self.matrix is not None:
            return self.matrix
        if self.outputs * self.units > MAX_MATRIX:
            raise ValueError(f"a map of {self.units} x {self.outputs} values is too large to be "
                             f"written out, the most is {MAX_MATRIX} weights")
        basis = np.eye(self.units)
        if self.window is None:
            return basis
        return convolve(basis, self.taps_kernel(), self.window,
                        self.positions).reshape(self.units, -1).T

    def taps_kernel(self) -> np.ndarray:
        """Kernel of a windowed map; a pool passes each channel on."""
        if self.kernel is not None:
            return self.kernel
        return self.gain * np.eye(self.channels)[:, :, None, None]

    def reshaped(self, shape: tuple[int, ...]) -> LinearMap:
        """The same values in another shape."""
        return dataclasses.replace(self, shape=shape)

    def affine(self, weights: np.ndarray) -> LinearMap:
        """Followed by the matrix `weights` (new outputs, outputs)."""
        matrix = weights if self.is_identity else weights @ self.dense()
        return LinearMap(shape=(len(weights),), units=self.units, matrix=matrix)

    def scaled(self, scale: np.ndarray) -> LinearMap:
        """Followed by a factor per output, `scale` of the map's shape."""
        flat = np.broadcast_to(scale, self.shape).reshape(-1)
        if self.window is not None:
            rows = flat.reshape(self.channels, -1)
            if (rows == rows[:, :1]).all():
                kernel = self.taps_kernel() * rows[:, 0, None, None, None]
                return dataclasses.replace(self, kernel=kernel, gain=1.0)
        elif self.matrix is None and len(self.shape) == 3:
            rows = flat.reshape(self.shape[0], -1)
            if (rows == rows[:, :1]).all():
                return dataclasses.replace(
                    self, kernel=np.diag(rows[:, 0])[:, :, None, None],
                    window=Window(shape=self.shape, kernel=(1, 1)), positions=self.shape[1:])
        return LinearMap(shape=self.shape, units=self.units,
                         matrix=self.dense() * flat[:, None])

    def convolved(self, kernel: np.ndarray, stride: tuple[int, int], padding: tuple[int, int],
                  dilation: tuple[int, int], positions: tuple[int, int]) -> LinearMap:
        """Followed by a convolution of its map (C, rows, columns) to `positions`."""
        shape = (len(kernel), *positions)
        window = Window(shape=self._map_shape(), kernel=kernel.shape[2:], stride=stride,
                        padding=padding, dilation=dilation)
        if self.kernel is not None or self.matrix is not None or not self._keeps_its_map:
            return self._written_out(kernel, window, positions)
        if self.gain == 1:
            if self.window is not None:
                window = dataclasses.replace(window, shape=self.window.shape,
                                             pool=self.window.pool)
            return LinearMap(shape=shape, units=self.units, kernel=kernel, window=window,
                             positions=positions)
        return dataclasses.replace(self, gain=1.0).convolved(
            kernel * self.gain, stride, padding, dilation, positions)

    def _written_out(self, kernel: np.ndarray, window: Window, positions: tuple[int, int]
                     ) -> LinearMap:
        """Followed by a convolution that no window of the source can hold."""
        shape = (len(kernel), *positions)
        if shape[0] * positions[0] * positions[1] * self.units > MAX_MATRIX:
            raise ValueError("a convolution that no window over a source can hold is too large to "
                             f"be written out, the most is {MAX_MATRIX} weights")
        columns = convolve(self.dense().T, kernel, window, positions)
        return LinearMap(shape=shape, units=self.units, matrix=columns.reshape(self.units, -1).T)

    def pooled(self, pool: tuple[int, int], gain: float) -> LinearMap:
        """Followed by sums over `pool` x `pool` values that do not overlap, times `gain`."""
        channels, rows, columns = self._map_shape()
        positions = (rows // pool[0], columns // pool[1])
        shape = (channels, *positions)
        if self.matrix is None and self.window is None:
            return LinearMap(shape=shape, units=self.units, gain=gain, positions=positions,
                             window=Window(shape=(channels, rows, columns), kernel=(1, 1),
                                           pool=pool))
        if self.kernel is not None and self.window.dilation == (1, 1) and self._keeps_its_map:
            return self._summed(pool, gain, shape)
        ones = np.eye(channels)[:, :, None, None] * np.full(pool, gain)
        return self.convolved(ones, pool, (0, 0), (1, 1), positions)

    def _summed(self, pool: tuple[int, int], gain: float, shape: tuple[int, ...]) -> LinearMap:
        """A convolution whose neighbouring positions are summed: a wider, sparser-placed one."""
        (height, width), (down, right) = self.window.kernel, self.window.stride
        kernel = np.zeros((*self.kernel.shape[:2], height + (pool[0] - 1) * down,
                           width + (pool[1] - 1) * right))
        for y in range(pool[0]):
            for x in range(pool[1]):
                kernel[:, :, y * down:y * down + height, x * right:x * right + width] += \
                    self.kernel * gain
        window = dataclasses.replace(self.window, kernel=kernel.shape[2:],
                                     stride=(pool[0] * down, pool[1] * right))
        return dataclasses.replace(self, shape=shape, kernel=kernel, window=window,
                                   positions=shape[1:])

    @property
    def _keeps_its_map(self) -> bool:
        """Whether no reshape has changed what lies beside what."""
        return self.window is None or self._map_shape() == (self.channels, *self.positions)

    def _map_shape(self) -> tuple[int, int, int]:
        if len(self.shape) == 3:
            return self.shape
        if len(self.shape) == 2:
            return (self.shape[0], 1, self.shape[1])
        raise ValueError(f"needs values of shape (channels, rows, columns), not {self.shape}")
