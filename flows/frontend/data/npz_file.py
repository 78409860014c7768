"""Samples in an npz file: spikes, counts, signals or images, and labels."""

from __future__ import annotations

import pathlib
import zipfile
import zlib

import numpy as np

from lamina.flows.errors import UserError
from lamina.flows.frontend.data.counts import CountRule
from lamina.flows.frontend.data.dataset import Dataset

__all__ = ["read_npz"]

_KINDS = {"spikes": 3, "images": 2, "signals": 3}
"""Arrays of samples, and the least number of their dimensions."""


def read_npz(path: pathlib.Path, rule: CountRule) -> Dataset:
    """Data set of an npz file: one array of samples, and ``labels[N]`` where it has them.

    Samples are ``spikes[N,T,...]``, ``signals[N,T,...]`` or ``images[N,...]``.

    Raises
    ------
    UserError
        One line that names the file, what is wrong and what would be right.
    """
    arrays = _open_npz(path)
    names = [name for name in _KINDS if name in arrays]
    if len(names) != 1:
        raise UserError(f"{path}: must hold either spikes[N,T,...], signals[N,T,...] or "
                        f"images[N,...], it holds {', '.join(sorted(arrays)) or 'nothing'}")
    kind, values = names[0], arrays[names[0]]
    if values.ndim < _KINDS[kind] or values.size == 0 or values.dtype.kind not in "biuf":
        raise UserError(f"{path}: {kind} must be numbers with at least {_KINDS[kind]} dimensions "
                        f"and one sample, not {values.dtype} of shape {values.shape}")
    labels = _labels(path, arrays["labels"], kind, values) if "labels" in arrays else None
    if kind == "images":
        return Dataset(name=str(path), shape=values.shape[1:], labels=labels,
                       images=_intensities(path, values).reshape(len(values), -1))
    flat = values.reshape(*values.shape[:2], -1)
    if kind == "signals":
        return Dataset(name=str(path), shape=values.shape[2:], labels=labels,
                       signals=_finite(path, flat))
    return Dataset(name=str(path), shape=values.shape[2:], labels=labels,
                   spikes=rule.apply(str(path), _counts(path, flat)), repeats=rule.repeats)


def _open_npz(path: pathlib.Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise UserError(f"--data {path}: no such file")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, KeyError, AttributeError, TypeError, MemoryError,
            zipfile.BadZipFile, zlib.error, NotImplementedError):
        raise UserError(f"{path}: not an npz file of plain arrays, or damaged") from None


def _labels(path: pathlib.Path, labels: np.ndarray, name: str, values: np.ndarray) -> np.ndarray:
    if labels.ndim != 1 or labels.dtype.kind not in "iuf":
        raise UserError(f"{path}: labels must be whole numbers with one dimension, "
                        f"not {labels.dtype} of shape {labels.shape}")
    if len(labels) != len(values):
        hint = ""
        if len(labels) in values.shape[1:]:
            axis = values.shape.index(len(labels))
            hint = f": the samples seem to lie on axis {axis}, they belong on axis 0"
        raise UserError(f"{path}: {len(labels)} labels but {name} of shape {values.shape}{hint}")
    if not np.isfinite(labels).all() or (labels != np.rint(labels)).any():
        bad = labels[~np.isfinite(labels) | (labels != np.rint(labels))][0]
        raise UserError(f"{path}: labels must be whole numbers, not {bad}")
    if labels.min() < 0 or labels.max() >= 2**31:
        raise UserError(f"{path}: labels must be from 0, "
                        f"not {labels.min() if labels.min() < 0 else labels.max()}")
    return labels.astype(np.int64)


def _counts(path: pathlib.Path, values: np.ndarray) -> np.ndarray:
    wrong = ~((values >= 0) & (values == np.rint(values)))
    if wrong.any():
        raise UserError(f"{path}: spikes must be 0, 1 or counts, not {values[wrong][0]}")
    return values


def _finite(path: pathlib.Path, values: np.ndarray) -> np.ndarray:
    wrong = ~np.isfinite(values)
    if wrong.any():
        raise UserError(f"{path}: signals must be finite, not {values[wrong][0]}")
    return values.astype(np.float64)


def _intensities(path: pathlib.Path, values: np.ndarray) -> np.ndarray:
    if values.dtype == np.uint8:
        return values / 255.0
    wrong = ~((values >= 0) & (values <= 1))
    if wrong.any():
        raise UserError(f"{path}: images must be in 0..1, or unsigned bytes, "
                        f"not {values[wrong][0]}")
    return values.astype(np.float64)
