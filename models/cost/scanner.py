"""Cycles of a scan: when the spikes of bitmap words, or of those under a window, are listed."""

from __future__ import annotations

import functools
from collections.abc import Sequence

__all__ = ["OUTSIDE", "scan_times", "window_times"]

OUTSIDE = -1
"""Stands for the spikes of a word that lies under a window but outside the map."""


def scan_times(words: Sequence[int], ready: Sequence[int], start: int) -> tuple[list[int], int]:
    """Cycles in which the entries of a spike list are first counted, and in which it is complete.

    A word with k spikes takes max(1, k) cycles; the first one begins 3 cycles after `start`, or 2
    after the cycle in which the word may be read. A word outside the map is passed in a cycle, as
    soon as the word before it was fetched: no earlier than a word ahead of the one at work.

    Parameters
    ----------
    words : sequence of int
        Spikes in each bitmap word, or :data:`OUTSIDE`.
    ready : sequence of int
        First cycle in which each word may be read.
    start : int
        Cycle of the scanner's ``start``.
    """
    counted, asked, begun_before, free, found = [], start + 1, start, start, False
    for spikes, readable in zip(words, ready, strict=True):
        if spikes == OUTSIDE:
            asked += 1
            continue
        fetched = max(asked, readable, begun_before)
        now = max(free, fetched + 2)
        counted += range(now + 2, now + 2 + spikes)
        begun_before, free = free - 1, now + max(1, spikes)
        asked, found = fetched + 1, spikes > 0
    return counted, max(free + found, asked + 1)


@functools.lru_cache(maxsize=1 << 14)
def window_times(words: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    """:func:`scan_times` of words that may all be read, for a start in cycle 0."""
    counted, complete = scan_times(words, (0,) * len(words), 0)
    return tuple(counted), complete
