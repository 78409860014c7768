"""Folders of recordings: N-MNIST in two layouts, and one folder per class."""

from __future__ import annotations

import csv
import pathlib

import numpy as np

from lamina.flows.errors import UserError
from lamina.flows.frontend.data.counts import CountRule
from lamina.flows.frontend.data.dataset import Dataset
from lamina.flows.frontend.data.recorded import Binning, RecordedSpikes
from lamina.flows.frontend.data.recording import SUFFIXES, read_recording

__all__ = ["read_event_folder", "read_nmnist"]

_NMNIST_BIN_SECONDS, _NMNIST_SECONDS = 1e-3, 0.31
_SPLITS = {"test": ("test", "Test", "testing"), "train": ("train", "Train", "training")}
_LABEL_FILES = {"test": ("test.csv", "labels.csv"), "train": ("train.csv", "labels.csv")}
Listed = list[tuple[pathlib.Path, int]]


def read_nmnist(spec: str, folder: pathlib.Path, split: str, binning: Binning,
                rule: CountRule) -> Dataset:
    """N-MNIST: ``test*.txt`` and ``train*.txt`` over ``bin/ID.bin``, or ``Test/0..9/*.bin``.

    Without options 310 timesteps of 1 ms.

    Raises
    ------
    UserError
        If the folder holds neither, or a list names what is not there.
    """
    lists = sorted(folder.glob(f"{split}*.txt"))
    if len(lists) == 1:
        listed = _nmnist_list(lists[0], folder / "bin")
    else:
        home = _first_folder(folder, _SPLITS[split])
        if home is None:
            raise UserError(f"N-MNIST not found in {folder}: expected {split.capitalize()}/0..9/"
                            f"*.bin, or one {split}*.txt and bin/ID.bin")
        listed = _by_class(home, (".bin",))
    return _dataset(spec, listed, rule, binning.filled(seconds=_NMNIST_BIN_SECONDS,
                                                       duration=_NMNIST_SECONDS))


def _nmnist_list(path: pathlib.Path, home: pathlib.Path) -> Listed:
    """Lines ``ID CLASS`` after one that begins with #."""
    listed = []
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        if len(fields) != 2 or not all(field.isdecimal() for field in fields):
            raise UserError(f"{path}: line {number} must be a sample and a class, not {line!r}")
        listed.append((home / f"{fields[0]}.bin", int(fields[1])))
    if not listed:
        raise UserError(f"{path}: names no samples")
    return listed


def read_event_folder(spec: str, folder: pathlib.Path, split: str, binning: Binning,
                      rule: CountRule) -> Dataset:
    """Recordings of any known format: a folder per class, or flat beside a CSV of labels.

    ``DIR/train`` and ``DIR/test`` hold the splits where they exist; else both are all of it.
    Classes are numbered in the order of their names, numbers by value. The CSV (``labels.csv``,
    ``test.csv`` or ``train.csv``) has the columns file and label.

    Raises
    ------
    UserError
        If there are no recordings, or the options do not settle the timesteps.
    """
    if not folder.is_dir():
        raise UserError(f"--data {spec}: {folder} is no folder")
    home = _first_folder(folder, _SPLITS[split]) or folder
    table = next((home / name for name in _LABEL_FILES[split] if (home / name).is_file()), None)
    listed = _by_table(table) if table else _by_class(home, SUFFIXES)
    if binning.bins is None:
        raise UserError(f"--data {spec}: --bins N must say the timesteps of a recording"
                        f"{_advice(listed[0][0], binning)}")
    return _dataset(spec, listed, rule, binning)


def _advice(path: pathlib.Path, binning: Binning) -> str:
    if binning.microseconds is None:
        return ", with --bin SECONDS their width"
    recording = read_recording(path)
    t = recording.events["t"]
    span = int(t.max() - (t.min() if recording.origin is None else recording.origin)) + 1
    return f"; the first one fills {-(-span // binning.microseconds)}"


def _first_folder(folder: pathlib.Path, names: tuple[str, ...]) -> pathlib.Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _by_class(home: pathlib.Path, suffixes: tuple[str, ...]) -> Listed:
    """Recordings below a folder per class, the classes in turn, so that any stretch is mixed."""
    classes = [child for child in home.iterdir() if child.is_dir()]
    numbers = all(child.name.isdecimal() for child in classes)
    classes.sort(key=lambda child: int(child.name) if numbers else child.name)
    ranked = []
    for label, child in enumerate(classes):
        files = sorted(path for path in child.rglob("*") if path.suffix.lower() in suffixes)
        ranked += [(rank, int(child.name) if numbers else label, path)
                   for rank, path in enumerate(files)]
    if not ranked:
        raise UserError(f"{home}: must hold a folder for each class with recordings "
                        f"({', '.join(suffixes)})")
    return [(path, label) for _, label, path in sorted(ranked)]


def _by_table(path: pathlib.Path) -> Listed:
    """Rows ``file,label`` after a header row."""
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except (csv.Error, UnicodeDecodeError):
        raise UserError(f"{path}: must be a CSV table with the columns file and label") from None
    if not rows or not {"file", "label"} <= set(rows[0]):
        raise UserError(f"{path}: must be a CSV table with the columns file and label")
    for number, row in enumerate(rows, 2):
        if not row["file"] or not (row["label"] or "").isdecimal():
            raise UserError(f"{path}: line {number} must be a file and a label from 0, "
                            f"not {row['file']!r} and {row['label']!r}")
    return [(path.parent / row["file"], int(row["label"])) for row in rows]


def _dataset(spec: str, listed: Listed, rule: CountRule, binning: Binning) -> Dataset:
    missing = [path for path, _ in listed if not path.is_file()]
    if missing:
        raise UserError(f"--data {spec}: {len(missing)} of {len(listed)} recordings are missing, "
                        f"the first one is {missing[0]}")
    spikes = RecordedSpikes([path for path, _ in listed], binning, rule)
    return Dataset(name=spec, shape=spikes.frame, spikes=spikes, repeats=rule.repeats,
                   labels=np.array([label for _, label in listed], dtype=np.int64),
                   record=spikes.record)
