"""Recordings of event cameras: what lies in a file, in one format for all."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np

from lamina.flows.errors import UserError
from lamina.flows.frontend.data import readers

__all__ = ["EVENT", "SUFFIXES", "Recording", "axons", "read_events", "read_recording"]

EVENT = readers.EVENT
SUFFIXES = tuple(readers.READERS)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Recording:
    """Events of one file, in the order of the file.

    Parameters
    ----------
    path : pathlib.Path
    events : structured array of :data:`EVENT`
        ``t`` [us], ``x`` (column) and ``y`` (row) from 0, ``p`` 0 (darker) or 1 (brighter).
    sensor : (int, int) or None
        Rows and columns, where the file or its format says.
    origin : int or None
        Time [us] at which the sample begins: 0 where the file's clock starts with the recording;
        None: at the first valid event.
    """

    path: pathlib.Path
    events: np.ndarray
    sensor: tuple[int, int] | None
    origin: int | None


def read_recording(path: pathlib.Path) -> Recording:
    """Read a recording: ``.bin`` (N-MNIST), ``.aedat`` (2), ``.aedat4``, ``.dat`` or ``.raw``.

    ``.dat`` and ``.raw`` (EVT2, EVT3) need the package expelliarmus, ``.aedat4`` needs aedat: the
    extra ``events``.

    Raises
    ------
    UserError
        If the file is missing, empty, truncated or of no known format, or a package is missing.
    """
    path = pathlib.Path(path)
    reader = readers.READERS.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"{path}: recordings must be {', '.join(SUFFIXES)}, not {path.suffix!r}")
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    events, sensor, origin = reader(path)
    if len(events) == 0:
        raise UserError(f"{path}: holds no events")
    return Recording(path=path, events=events, sensor=sensor, origin=origin)


def read_events(path: pathlib.Path) -> np.ndarray:
    """Events of a recording as a structured array of :data:`EVENT`, in the order of the file.

    Raises
    ------
    UserError
        As :func:`read_recording`.
    """
    return read_recording(path).events


def axons(events: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Axon of each event in frames of `shape`: the C-order index of (p, y, x).

    Parameters
    ----------
    events : structured array of :data:`EVENT`
    shape : (polarities, rows, columns)
        With one polarity ``p`` is ignored.

    Returns
    -------
    int64 array

    Raises
    ------
    UserError
        If an address lies outside; tells how many.
    """
    polarities, rows, columns = shape
    outside = int(np.count_nonzero((events["x"] >= columns) | (events["y"] >= rows)))
    if outside:
        raise UserError(f"events must lie within {columns}x{rows}, {outside} of {len(events)} "
                        f"do not")
    plane = events["p"].astype(np.int64) if polarities > 1 else 0
    return (plane * rows + events["y"]) * columns + events["x"]
