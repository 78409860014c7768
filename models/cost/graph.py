"""A program as the scheduler meets it: jobs of layers, what each entry scans, and relays."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from lamina.models.config import DescriptorField, HardwareConfig
from lamina.models.cost.scanner import OUTSIDE, scan_times, window_times
from lamina.models.placement import PlacedLayer, Placement, place
from lamina.models.program import Layer, Program
from lamina.models.source import INPUT, Source, Window

__all__ = ["Jobs", "Relay", "Scan", "WindowScan", "jobs_of", "relays_of"]

_INTERNAL = 1 << 15
_KEEP = 1 << 14


@dataclasses.dataclass(frozen=True, kw_only=True)
class Relay:
    """An entry that copies spikes, or only erases the input.

    Parameters
    ----------
    words : int
        Spike words that it reads.
    erases : bool
        Whether the input may be overwritten after it.
    """

    words: int
    erases: bool


class Scan:
    """Whole words of a source, entry of one layer.

    Parameters
    ----------
    entry : dict of DescriptorField to int
    counts : array (T, words)
        Spikes in each word as it arrives.
    silent : bool array (T,)
        Timesteps in which nothing came in: of the input no word is then looked at.
    preview : int
        Cycles in which the scanner looks a word over.
    """

    def __init__(self, entry: dict[DescriptorField, int], counts: np.ndarray, silent: np.ndarray,
                 preview: int):
        place = entry[DescriptorField.SOURCE]
        self.row = place & ~_INTERNAL if place & _INTERNAL else None
        self.erases = not place & (_INTERNAL | _KEEP)
        self._counts, self._preview = counts.tolist(), preview
        self._silent = (silent & (self.row is None)).tolist()

    def times(self, t: int, position: int, start: int, stores: Sequence[int]
              ) -> tuple[Sequence[int], int]:
        """Cycles of the entries that timestep `t` appends to a list, and when the scan is over.

        Word k may be read once group k of a job before it was stored in ``stores[k]``; where
        `stores` is empty, at once.
        """
        words = [] if self._silent[t] else self._counts[t]
        ready = [store + 1 for store in stores[:len(words)]] or [0] * len(words)
        return scan_times(words, ready, start, self._preview)


class WindowScan:
    """The words under a window, position by position.

    Parameters
    ----------
    counts : array (T, words)
        Spikes in each word of the map as it arrives.
    seen : int array (positions, walk)
        Words that each position looks at, -1 for those outside the map.
    preview : int
        Cycles in which the scanner looks a word over.
    """

    row = None
    erases = False

    def __init__(self, counts: np.ndarray, seen: np.ndarray, preview: int):
        outside = np.full((len(counts), 1), OUTSIDE, dtype=counts.dtype)
        self._counts, self._seen = np.hstack((counts, outside)), seen
        self._t, self._walks, self._preview = -1, [], preview

    def times(self, t: int, position: int, start: int, stores: Sequence[int]
              ) -> tuple[Sequence[int], int]:
        """As those of :meth:`Scan.times`; its map is complete before it starts."""
        if t != self._t:
            self._t, self._walks = t, self._counts[t][self._seen].tolist()
        counted, complete = window_times(tuple(self._walks[position]), self._preview)
        return [start + cycle for cycle in counted], start + complete


@dataclasses.dataclass(frozen=True, kw_only=True)
class Jobs:
    """One layer: a job per output position of a convolution, one job of another layer.

    Parameters
    ----------
    scans : tuple of Scan or WindowScan
        What each of its entries appends to the list of a job; at least one.
    row : int
        First row of its spikes.
    positions : int
    groups : int
        Rows of one position.
    columns : int
        Neurons of one position.
    events : list of list of int, or None
        Spikes of each row in each timestep; None where they are not reported.
    closing : bool
        Whether it is the last layer.
    """

    scans: tuple[Scan | WindowScan, ...]
    row: int
    positions: int
    groups: int
    columns: int
    events: list[list[int]] | None
    closing: bool

    @property
    def windowed(self) -> bool:
        """Whether it looks through windows."""
        return isinstance(self.scans[-1], WindowScan)


def relays_of(program: Program, config: HardwareConfig) -> list[Relay]:
    """Entries that follow the layers of `program`, in order."""
    placement = place(program, config.lanes, len(config.tiers))
    layers = sum(max(1, len(layer.sources)) for layer in program.layers)
    return [Relay(words=entry[DescriptorField.SOURCE_WORDS],
                  erases=not entry[DescriptorField.SOURCE] & (_INTERNAL | _KEEP))
            for entry in placement.entries[layers:]]


def jobs_of(program: Program, config: HardwareConfig, spikes: np.ndarray,
            layer_spikes: Sequence[np.ndarray]) -> list[Jobs]:
    """Layers of `program` with the spikes (T, units) of the input and of every layer."""
    placement = place(program, config.lanes, len(config.tiers))
    entries, sent = iter(placement.entries), {INPUT: spikes, **dict(enumerate(layer_spikes))}
    silent, found = ~spikes.any(axis=1), []
    for index, (layer, placed) in enumerate(zip(program.layers, placement.layers, strict=True)):
        scans = tuple(_scan(next(entries), source, layer, placement, sent, silent, config)
                      for source in layer.sources or (None,))
        closing = index == len(program.layers) - 1
        events = _row_counts(placed, layer_spikes[index], config.lanes) \
            if layer.report or closing else None
        found.append(Jobs(
            scans=scans, row=placed.row, positions=placed.rows // placed.position_rows,
            groups=placed.position_rows, events=events, closing=closing,
            columns=layer.shape[0] if layer.is_convolution else layer.neurons))
    return found


def _scan(entry: dict[DescriptorField, int], source: Source | None, layer: Layer,
          placement: Placement, sent: dict[int, np.ndarray], silent: np.ndarray,
          config: HardwareConfig) -> Scan | WindowScan:
    lanes, preview, words = config.lanes, config.preview, entry[DescriptorField.SOURCE_WORDS]
    if source is None:
        return Scan(entry, np.zeros((len(silent), words), dtype=np.int64), silent, preview)
    units = slice(source.first, source.first + source.units)
    arriving = source.arriving(sent[source.layer])
    if source.window is not None:
        return WindowScan(_map_counts(source.window, arriving, lanes),
                          _seen_words(source.window, layer.shape[1:], lanes), preview)
    lines = placement.input_axons[units] if source.layer == INPUT \
        else placement.layers[source.layer].units
    return Scan(entry, _word_counts(lines, arriving, words, lanes), silent, preview)


def _word_counts(lines: np.ndarray, spikes: np.ndarray, words: int, lanes: int) -> np.ndarray:
    """Spikes (T, words) of lines that begin with a word."""
    counts = np.zeros((words, len(spikes)), dtype=np.int64)
    np.add.at(counts, lines // lanes - lines[0] // lanes, spikes.T)
    return counts.T


def _row_counts(placed: PlacedLayer, spikes: np.ndarray, lanes: int) -> list[list[int]]:
    return _word_counts(placed.units, spikes, placed.rows, lanes).tolist()


def _map_counts(window: Window, spikes: np.ndarray, lanes: int) -> np.ndarray:
    """Spikes (T, rows * columns * words of channels) of a map."""
    frames = spikes.reshape(len(spikes), *window.shape).astype(np.int64)
    words = np.add.reduceat(frames, np.arange(0, window.shape[0], lanes), axis=1)
    return words.transpose(0, 2, 3, 1).reshape(len(spikes), -1)


def _seen_words(window: Window, positions: tuple[int, int], lanes: int) -> np.ndarray:
    """Words (positions, walk) in the order kernel row, pool row, kernel column, pool column,
    channels; -1 outside the map."""
    y, x = (_along(window, axis, count)[:, None] if axis == 0 else _along(window, axis, count)
            for axis, count in enumerate(positions))
    words = -(-window.shape[0] // lanes)
    y, x = y[..., None, None, None], x[:, None, None, :, :, None]
    place = (y * window.shape[2] + x) * words + np.arange(words)
    return np.where((y < 0) | (x < 0), -1, place).reshape(positions[0] * positions[1], -1)


def _along(window: Window, axis: int, positions: int) -> np.ndarray:
    """Rows (axis 0) or columns of the map (positions, kernel, pool); -1 outside."""
    pool = window.pool[axis]
    pooled = (np.arange(positions)[:, None] * window.stride[axis] - window.padding[axis]
              + np.arange(window.kernel[axis]) * window.dilation[axis])
    inside = (pooled >= 0) & (pooled < window.pooled[axis])
    return np.where(inside[..., None], pooled[..., None] * pool + np.arange(pool), -1)
