"""Where the axons of a layer come from: input lines or layers, delayed, whole or by windows."""

from __future__ import annotations

import dataclasses

import numpy as np

from lamina.models.check import check_int

__all__ = ["INPUT", "Source", "Window"]

INPUT = -1
"""Layer number of a :class:`Source` that is fed from outside."""


def _pair(name: str, value: object, low: int, high: int) -> tuple[int, int]:
    try:
        pair = tuple(int(number) for number in value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be two integers, not {value!r}") from None
    if len(pair) != 2:
        raise ValueError(f"{name} must be two integers, not {value!r}")
    for number in pair:
        check_int(name, number, low, high)
    return pair


@dataclasses.dataclass(frozen=True, kw_only=True)
class Window:
    """How an output position of a convolution looks at a feature map; sizes as (rows, columns).

    Output position (y, x) sees, through tap (ky, kx, c), the pooled units
    ``(c, y*stride + ky*dilation - padding, ...)`` of the map; a pooled unit stands for the
    ``pool x pool`` units below it, each of which adds the tap's weight once per spike. Units
    outside the map are silent. Taps are numbered in the order (ky, kx, c).

    Parameters
    ----------
    shape : (int, int, int)
        Channels, rows and columns of the map that is looked at.
    kernel : (int, int)
        1..255 each.
    stride, dilation, pool : (int, int)
        At least 1 each; rows and columns that do not fill a pool are left out.
    padding : (int, int)
        Silent pooled units above and to the left; what lies below and to the right is silent too.
    """

    shape: tuple[int, int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    pool: tuple[int, int] = (1, 1)

    def __post_init__(self):
        shape = tuple(int(extent) for extent in self.shape)
        if len(shape) != 3:
            raise ValueError(f"window shape must be channels, rows, columns, not {self.shape}")
        for extent in shape:
            check_int("window shape", extent, 1, 16384)
        object.__setattr__(self, "shape", shape)
        for name, low in (("kernel", 1), ("stride", 1), ("padding", 0), ("dilation", 1),
                          ("pool", 1)):
            object.__setattr__(self, name, _pair(f"window {name}", getattr(self, name), low, 255))
        if 0 in self.pooled:
            raise ValueError(f"window pool must fit the map {shape[1:]}, not {self.pool}")

    @property
    def pooled(self) -> tuple[int, int]:
        """Rows and columns of pooled units."""
        return self.shape[1] // self.pool[0], self.shape[2] // self.pool[1]

    @property
    def taps(self) -> int:
        """Weights of one output channel."""
        return self.kernel[0] * self.kernel[1] * self.shape[0]

    @property
    def units(self) -> int:
        """Units of the map."""
        return self.shape[0] * self.shape[1] * self.shape[2]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """Where some of a layer's axons come from.

    Parameters
    ----------
    layer : int
        Number of the layer whose spikes they are, or :data:`INPUT`.
    units : int
        Neurons or input lines that feed it, at least 1; all of the layer, of the input a range.
    first : int
        First input line of the range; 0 for a layer.
    delay : int
        Timesteps between spike and arrival, 0..255; at least 1 from the layer itself or from a
        later one.
    window : Window or None
        None: each unit is an axon, in C order. Else: the unit map that each output position of a
        convolution looks at, and the axons are the window's taps.
    """

    layer: int
    units: int
    first: int = 0
    delay: int = 0
    window: Window | None = None

    def __post_init__(self):
        check_int("source layer", self.layer, INPUT, 65535)
        check_int("source units", self.units, 1, 1 << 24)
        check_int("source first", self.first, 0, (1 << 24) if self.layer == INPUT else 0)
        check_int("source delay", self.delay, 0, 255)
        if self.window is not None and self.window.units != self.units:
            raise ValueError(f"source window must hold {self.units} units, "
                             f"not {self.window.units}")

    @property
    def axons(self) -> int:
        """Rows of the weight matrix that belong to it."""
        return self.units if self.window is None else self.window.taps

    def arriving(self, sent: np.ndarray) -> np.ndarray:
        """Its spikes (..., T, units) when they arrive.

        Parameters
        ----------
        sent : array (..., T, neurons)
            All spikes of its layer, or of the input.
        """
        units = sent[..., self.first:self.first + self.units]
        later = np.zeros_like(units)
        later[..., self.delay:, :] = units[..., :max(0, units.shape[-2] - self.delay), :]
        return later
