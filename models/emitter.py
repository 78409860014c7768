"""Output events of a group of neurons."""

from __future__ import annotations

import numpy as np

from lamina.models.config import EventKind

__all__ = ["emit"]


def emit(
    mask: np.ndarray, row: int, marker: EventKind | None = None
) -> list[tuple[EventKind, int]]:
    """Events that announce the spikes of one group: SPIKEs by ascending lane, then the marker.

    Parameters
    ----------
    mask : array (lanes,)
        0 or 1 per lane.
    row : int
        Row of the state memory; the neuron of a lane is ``lane + lanes * row``.
    marker : EventKind, optional
        TICK or CLEAR that follows; its neuron is 0.
    """
    lanes = len(mask)
    events = [(EventKind.SPIKE, lanes * row + lane) for lane in np.flatnonzero(mask).tolist()]
    return events if marker is None else [*events, (marker, 0)]
