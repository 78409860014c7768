"""Cycles of a scan: when the spikes of bitmap words, or of those under a window, are listed."""

from __future__ import annotations

import functools
from collections.abc import Sequence

__all__ = ["OUTSIDE", "scan_times", "window_times"]

OUTSIDE = -1
"""Stands for the spikes of a word that lies under a window but outside the map."""


def scan_times(words: Sequence[int], ready: Sequence[int], start: int, preview: int = 0
               ) -> tuple[list[int], int]:
    """Cycles in which the entries of a spike list are first counted, and in which it is complete.

    A word with k spikes takes max(1, k) cycles; the first one begins 3 cycles after `start`, or 2
    after the cycle in which the word may be read, and `preview` later. A word outside the map is
    passed in a cycle, as soon as the word before it was fetched: no earlier than ``1 + preview``
    words ahead of the one at work.

    Parameters
    ----------
    words : sequence of int
        Spikes in each bitmap word, or :data:`OUTSIDE`.
    ready : sequence of int
        First cycle in which each word may be read.
    start : int
        Cycle of the scanner's ``start``.
    preview : int
        Cycles in which a word is looked over, 0 or 1.
    """
    counted, asked, free, found = [], start + 1, start, False
    begun = [start] * (1 + preview)
    for spikes, readable in zip(words, ready, strict=True):
        if spikes == OUTSIDE:
            asked += 1
            continue
        fetched = max(asked, readable, begun[0])
        now = max(free, fetched + 2 + preview)
        counted += range(now + 2, now + 2 + spikes)
        begun = [*begun[1:], free - 1]
        free, asked, found = now + max(1, spikes), fetched + 1, spikes > 0
    return counted, max(free + found, asked + 1)


@functools.lru_cache(maxsize=1 << 14)
def window_times(words: tuple[int, ...], preview: int = 0) -> tuple[tuple[int, ...], int]:
    """:func:`scan_times` of words that may all be read, for a start in cycle 0."""
    counted, complete = scan_times(words, (0,) * len(words), 0, preview)
    return tuple(counted), complete
