"""Input spikes of a timestep: a bitmap while they come, a list when they are used."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from lamina.models.config import EventKind

__all__ = ["ClosedBitmap", "collect", "scan"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ClosedBitmap:
    """Spikes between two closing events.

    Parameters
    ----------
    bitmap : uint8 array (axons,)
        1 for every axon that spiked, however often.
    clear : bool
        Closed by CLEAR rather than TICK.
    """

    bitmap: np.ndarray
    clear: bool


def collect(
    events: Iterable[tuple[int, int]], *, axons: int, input_axons: int
) -> tuple[list[ClosedBitmap], int]:
    """Bitmaps that a stream of events closes, and how many SPIKEs were dropped.

    A SPIKE sets the bit of its axon; one at or above `input_axons` is dropped. TICK and CLEAR close
    the bitmap; what comes after the last of them is not returned.

    Parameters
    ----------
    events : iterable of (int, int)
        :class:`lamina.models.config.EventKind` and axon, which only a SPIKE uses.
    axons : int
        Bits of a bitmap.
    input_axons : int
        0..axons.
    """
    closed, dropped = [], 0
    bitmap = np.zeros(axons, dtype=np.uint8)
    for kind, axon in events:
        if kind != EventKind.SPIKE:
            closed.append(ClosedBitmap(bitmap=bitmap, clear=kind == EventKind.CLEAR))
            bitmap = np.zeros(axons, dtype=np.uint8)
        elif axon < input_axons:
            bitmap[axon] = 1
        else:
            dropped += 1
    return closed, dropped


def scan(bitmap: np.ndarray) -> list[int]:
    """Axons whose bit is set in `bitmap` (axons,), ascending."""
    return np.flatnonzero(bitmap).tolist()
