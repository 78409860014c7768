"""Recordings as spikes per timestep, read and binned when they are used."""

from __future__ import annotations

import dataclasses
import math
import pathlib
import re
from collections.abc import Iterator

import numpy as np

from lamina.flows.errors import UserError
from lamina.flows.frontend.data.counts import CountRule
from lamina.flows.frontend.data.recording import Recording, axons, read_recording

__all__ = ["POLARITIES", "Binning", "RecordedSpikes", "play"]

POLARITIES = ("both", "merge")
_MICROSECONDS = 1_000_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Binning:
    """How events become frames; None: not given.

    Parameters
    ----------
    seconds : float
        Width of a timestep, a whole number of microseconds; without it each recording is divided
        into `bins` equal parts from its origin to its last event.
    bins : int
        Timesteps, 1..65535; with `seconds` later events fall into the last one.
    sensor : str
        ``WxH`` in pixels, where the recordings do not say, or instead of what they say.
    crop : str
        ``WxH+X+Y``: pixels that are kept, counted from the upper left; the others are left out.
    downsample : int
        Pixels in a row, and in a column, that become one.
    polarity : str
        ``both`` (a plane for darker, then one for brighter) or ``merge`` (one plane).
    drop_invalid : bool
        Leave out events outside the sensor and those that run backwards in time.

    Raises
    ------
    UserError
        If a field is out of its range.
    """

    seconds: float | None = None
    bins: int | None = None
    sensor: str | None = None
    crop: str | None = None
    downsample: int = 1
    polarity: str = "both"
    drop_invalid: bool = False

    def __post_init__(self):
        if self.seconds is not None:
            width = self.seconds * _MICROSECONDS
            if not 1 <= width < 2**31 or abs(width - round(width)) > 1e-6 * width:
                raise UserError(f"--bin must be a whole number of microseconds from 1e-06, "
                                f"not {self.seconds:g}")
        if self.bins is not None and not 1 <= self.bins <= 65535:
            raise UserError(f"--bins must be in 1..65535, not {self.bins}")
        if not 1 <= self.downsample <= 4096:
            raise UserError(f"--downsample must be in 1..4096, not {self.downsample}")
        if self.polarity not in POLARITIES:
            raise UserError(f"--polarity must be one of {', '.join(POLARITIES)}, "
                            f"not {self.polarity!r}")
        _numbers("--sensor", self.sensor, r"(\d+)x(\d+)", "WxH")
        _numbers("--crop", self.crop, r"(\d+)x(\d+)\+(\d+)\+(\d+)", "WxH+X+Y")

    @property
    def microseconds(self) -> int | None:
        """Width of a timestep [us]."""
        return None if self.seconds is None else round(self.seconds * _MICROSECONDS)

    def filled(self, *, seconds: float, duration: float) -> Binning:
        """With what is missing of `seconds` and `bins`: bins of `seconds` over `duration` [s]."""
        if self.bins is not None:
            return self
        width = self.seconds or seconds
        return dataclasses.replace(self, seconds=width, bins=math.ceil(round(duration / width, 6)))

    def window(self, sensor: tuple[int, int]) -> tuple[int, int, int, int]:
        """Columns, rows, left and upper edge of the pixels that are kept.

        Raises
        ------
        UserError
            If they leave the sensor of (rows, columns).
        """
        rows, columns = sensor
        if self.crop is None:
            return columns, rows, 0, 0
        width, height, left, top = map(int, re.findall(r"\d+", self.crop))
        if width == 0 or height == 0 or left + width > columns or top + height > rows:
            raise UserError(f"--crop must lie within the sensor of {columns}x{rows} pixels, "
                            f"not {self.crop}")
        return width, height, left, top

    def frame(self, sensor: tuple[int, int]) -> tuple[int, int, int]:
        """Polarities, rows and columns of a frame."""
        width, height, _, _ = self.window(sensor)
        return (2 if self.polarity == "both" else 1,
                -(-height // self.downsample), -(-width // self.downsample))

    def sensor_of(self, recording: Recording) -> tuple[int, int]:
        """Rows and columns: as given, else as the recording says.

        Raises
        ------
        UserError
            If neither says.
        """
        if self.sensor is not None:
            columns, rows = map(int, self.sensor.split("x"))
            return rows, columns
        if recording.sensor is None:
            raise UserError(f"{recording.path}: does not say the size of its sensor; use --sensor "
                            f"WxH")
        return recording.sensor

    def record(self, frame: tuple[int, int, int]) -> dict[str, str]:
        """What was done, in words, for assumptions and report."""
        time = (f"{self.bins} equal parts of each recording" if self.seconds is None else
                f"{self.bins} of {self.seconds:g} s, later events in the last one")
        planes = ("off, on" if self.polarity == "both" else "merged")
        parts = [f"polarities {planes}", f"{frame[2]}x{frame[1]} pixels"]
        parts += [f"cut out at {self.crop}"] if self.crop else []
        parts += [f"{self.downsample} to one each way"] if self.downsample > 1 else []
        parts += ["invalid events dropped"] if self.drop_invalid else []
        return {"binning": time, "frames": "; ".join(parts)}


def _numbers(flag: str, text: str | None, pattern: str, form: str) -> None:
    if text is None:
        return
    match = re.fullmatch(pattern, text)
    if match is None or "0" in match.groups()[:2]:
        raise UserError(f"{flag} must be {form} in pixels, not {text}")


class RecordedSpikes:
    """Spikes of recordings: like an array (N, T, axons) of which slices of samples are taken.

    Every slice reads its files anew, so that a set of any size costs the memory of the slice.

    Parameters
    ----------
    paths : list of pathlib.Path
        At least one.
    binning : Binning
        With `bins`.
    rule : CountRule

    Attributes
    ----------
    frame : (int, int, int)
        Polarities, rows and columns.
    """

    def __init__(self, paths: list[pathlib.Path], binning: Binning, rule: CountRule):
        self._paths, self._binning, self._rule = list(paths), binning, rule
        self._sensor = binning.sensor_of(read_recording(self._paths[0]))
        self.frame = binning.frame(self._sensor)

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, samples: slice) -> np.ndarray:
        """Uint8 array (samples, T, axons) of 0 and 1.

        Raises
        ------
        UserError
            If a recording is damaged, holds invalid events or more of them than the rule takes.
        """
        paths = self._paths[samples]
        spikes = np.empty((len(paths), *self.shape[1:]), dtype=np.uint8)
        for index, path in enumerate(paths):
            spikes[index] = self._read(path)
        return spikes

    @property
    def shape(self) -> tuple[int, int, int]:
        """Samples, timesteps and axons."""
        return len(self), self._binning.bins, self._rule.repeats * int(np.prod(self.frame))

    @property
    def record(self) -> dict[str, str]:
        """See :meth:`Binning.record`."""
        return self._binning.record(self.frame)

    def _read(self, path: pathlib.Path) -> np.ndarray:
        recording = read_recording(path)
        sensor = self._binning.sensor_of(recording)
        if sensor != self._sensor:
            raise UserError(f"{path}: its sensor has {sensor[1]}x{sensor[0]} pixels, the one of "
                            f"{self._paths[0].name} {self._sensor[1]}x{self._sensor[0]}; use "
                            f"--sensor WxH")
        events = _valid(recording, sensor, self._binning.drop_invalid)
        events["t"] = _timesteps(events["t"], self._binning)
        events, size = _cropped(events, sensor, self._binning), int(np.prod(self.frame))
        cells = events["t"] * size + axons(events, self.frame)
        counts = np.bincount(cells, minlength=self._binning.bins * size).reshape(-1, size)
        return self._rule.apply(str(path), counts)


def play(path: pathlib.Path, binning: Binning | None = None) -> Iterator[tuple[int, int]]:
    """Time [us] from the origin and axon of every event of a recording, in order.

    Sensor, crop, downsample, polarity and `drop_invalid` of `binning` count.

    Raises
    ------
    UserError
        As :func:`read_recording`, or if events are invalid.
    """
    binning, recording = binning or Binning(), read_recording(path)
    sensor = binning.sensor_of(recording)
    events = _cropped(_valid(recording, sensor, binning.drop_invalid), sensor, binning)
    yield from zip(events["t"].tolist(), axons(events, binning.frame(sensor)).tolist(),
                   strict=True)


def _timesteps(t: np.ndarray, binning: Binning) -> np.ndarray:
    """Timestep of each event, of ascending times [us] from the origin."""
    if binning.microseconds is None:
        return t * binning.bins // (t[-1] + 1)
    return np.minimum(t // binning.microseconds, binning.bins - 1)


def _valid(recording: Recording, sensor: tuple[int, int], drop: bool) -> np.ndarray:
    """Events within the sensor and in order of time, ``t`` from the origin.

    Raises
    ------
    UserError
        If there are others and they are not to be dropped: tells how many of each kind.
    """
    events, (rows, columns) = recording.events, sensor
    inside = events[(events["x"] < columns) & (events["y"] < rows)]
    if len(inside) == 0:
        raise UserError(f"{recording.path}: none of its {len(events)} events lies within the "
                        f"{columns}x{rows} sensor")
    backwards = inside["t"] < np.maximum.accumulate(inside["t"])
    outside = len(events) - len(inside)
    if not drop and (outside or backwards.any()):
        raise UserError(f"{recording.path}: {np.count_nonzero(backwards)} of {len(events)} events "
                        f"run backwards in time and {outside} lie outside the {columns}x{rows} "
                        f"sensor; use --drop-invalid")
    events = inside[~backwards]
    events["t"] -= events["t"][0] if recording.origin is None else recording.origin
    return events


def _cropped(events: np.ndarray, sensor: tuple[int, int], binning: Binning) -> np.ndarray:
    """Events of the pixels that are kept, with addresses in the frame."""
    width, height, left, top = binning.window(sensor)
    events = events[(events["x"] >= left) & (events["x"] < left + width)
                    & (events["y"] >= top) & (events["y"] < top + height)]
    events["x"] = (events["x"] - left) // binning.downsample
    events["y"] = (events["y"] - top) // binning.downsample
    return events
