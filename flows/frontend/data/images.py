"""Labelled images: scikit-learn's digits and MNIST's idx files."""

from __future__ import annotations

import gzip
import pathlib
import zlib

import numpy as np
from sklearn.datasets import load_digits

from lamina.flows.errors import UserError
from lamina.flows.frontend.data.dataset import Dataset

__all__ = ["read_digits", "read_mnist"]

_HELD_OUT_EVERY = 4


def read_digits(split: str) -> Dataset:
    """The 8x8 digits over 16; every fourth sample is held out."""
    bundle = load_digits()
    held_out = np.arange(len(bundle.data)) % _HELD_OUT_EVERY == _HELD_OUT_EVERY - 1
    chosen = held_out if split == "test" else ~held_out
    return Dataset(name="digits", shape=(8, 8), images=bundle.data[chosen] / 16.0,
                   labels=bundle.target[chosen].astype(np.int64))


def read_mnist(spec: str, folder: pathlib.Path, split: str) -> Dataset:
    """MNIST's idx or idx.gz files over 255; t10k is held out.

    Raises
    ------
    UserError
        If a file is missing, damaged or of another size than its partner.
    """
    prefix = "t10k" if split == "test" else "train"
    images = _idx(folder, f"{prefix}-images-idx3-ubyte", 3)
    labels = _idx(folder, f"{prefix}-labels-idx1-ubyte", 1)
    if len(images) != len(labels):
        raise UserError(f"--data {spec}: {len(images)} {prefix} images but {len(labels)} labels")
    return Dataset(name=spec, shape=images.shape[1:], labels=labels.astype(np.int64),
                   images=images.reshape(len(images), -1) / 255.0)


def _idx(folder: pathlib.Path, name: str, ndim: int) -> np.ndarray:
    """Unsigned bytes of an idx file, plain or gzipped."""
    path = next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)
    if path is None:
        raise UserError(f"MNIST not found in {folder}: expected {name} or {name}.gz")
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error):
        raise UserError(f"{path}: truncated or damaged gzip file") from None
    header = 4 + 4 * ndim
    if content[:4] != bytes((0, 0, 8, ndim)) or len(content) < header:
        raise UserError(f"{path}: not an idx file of unsigned bytes with {ndim} dimensions")
    shape = tuple(np.frombuffer(content[4:header], dtype=">u4").tolist())
    if len(content) != header + int(np.prod(shape, dtype=object)) or 0 in shape:
        raise UserError(f"{path}: must hold {shape} bytes after its header, "
                        f"not {len(content) - header}")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)
