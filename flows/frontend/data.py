"""Labelled samples: scikit-learn's digits, MNIST's idx files, npz files; or random spikes."""

from __future__ import annotations

import dataclasses
import gzip
import pathlib
import zipfile
import zlib

import numpy as np
from sklearn.datasets import load_digits

from lamina.flows.errors import UserError
from lamina.models.encoder import encode
from lamina.models.program import Encoder

__all__ = ["COUNTS", "Dataset", "load_data", "random_data"]

COUNTS = ("refuse", "clip", "repeat")
_HELD_OUT_EVERY = 4
_RANDOM_DENSITY = 0.2
_KNOWN = "digits, mnist:DIR or FILE.npz"


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """Samples of one split, as intensities or as spikes, with or without labels.

    Parameters
    ----------
    name : str
        The ``--data`` text that it came from.
    images : float64 array (N, axons) or None
        Intensities in 0..1.
    spikes : uint8 array (N, T, axons) or None
        Of 0 and 1; exactly one of `images` and `spikes` is given.
    shape : tuple of int
        Of one frame in the file.
    labels : int64 array (N,) or None
        From 0.
    """

    name: str
    shape: tuple[int, ...]
    images: np.ndarray | None = None
    spikes: np.ndarray | None = None
    labels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images if self.spikes is None else self.spikes)

    @property
    def axons(self) -> int:
        """Values in one frame."""
        return int(np.prod(self.shape))

    @property
    def timesteps(self) -> int | None:
        """T of recorded spikes; None for images."""
        return None if self.spikes is None else self.spikes.shape[1]

    @property
    def classes(self) -> int | None:
        """Largest label + 1; None without labels."""
        return None if self.labels is None else int(self.labels.max()) + 1

    def check(self, network) -> None:
        """Refuse data that do not go with a network or program.

        Raises
        ------
        UserError
            If axons, frame shape, timesteps or labels do not fit; names both sides.
        """
        if self.axons != network.axons:
            hint = ("; axis 1 seems to hold the axons, the order is [N,T,axons]"
                    if self.timesteps == network.axons else "")
            raise UserError(f"--data {self.name}: frames have {self.axons} axons, shape "
                            f"{self.shape}; the network has {network.axons}, shape "
                            f"{network.input_shape}{hint}")
        _check_order(self.name, self.shape, network.input_shape)
        if self.timesteps not in (None, network.timesteps):
            raise UserError(f"--data {self.name}: samples have {self.timesteps} timesteps, the "
                            f"network runs {network.timesteps}; say --timesteps {self.timesteps}")
        if self.images is not None and network.encoder.kind == "spikes":
            raise UserError(f"--data {self.name}: the network takes spikes, not images; choose "
                            f"--encoder bernoulli or rate")
        if self.labels is not None and self.labels.max() >= network.outputs:
            raise UserError(f"--data {self.name}: labels must be in 0..{network.outputs - 1} for "
                            f"{network.outputs} outputs, not {self.labels.max()}")

    def encoded(self, network, first: int = 0, count: int | None = None) -> np.ndarray:
        """Spikes of samples ``first .. first + count - 1``, by the encoder of `network`.

        Parameters
        ----------
        network : FloatNetwork or Program
            Already passed :meth:`check`.
        first : int
        count : int
            All that follow when None.

        Returns
        -------
        uint8 array (count, T, axons)
        """
        last = len(self) if count is None else min(len(self), first + count)
        if self.spikes is not None:
            return self.spikes[first:last]
        return encode(network.encoder, self.images[first:last], network.timesteps,
                      first_sample=first)


def _check_order(name: str, shape: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    """Equal sizes, but axes in another order, are refused; a flat side fits any."""
    have, want = (tuple(n for n in s if n != 1) for s in (shape, wanted))
    if have != want and len(have) > 1 and len(want) > 1:
        raise UserError(f"--data {name}: frames must have shape {wanted} like the network's "
                        f"input, not {shape}: the axes are in another order")


def load_data(spec: str, *, split: str = "test", counts: str = "refuse") -> Dataset:
    """Load the samples that ``--data`` names.

    ``digits``: scikit-learn's 8x8 digits over 16; held out are the samples with index % 4 == 3
    (449), the others (1,348) are the training split. ``mnist:DIR``: idx or idx.gz files over 255,
    held out is t10k. ``FILE.npz``: ``spikes[N,T,...]`` or ``images[N,...]`` (0..1, or unsigned
    bytes over 255) and optional ``labels[N]``; both splits are the whole file.

    Parameters
    ----------
    spec : str
    split : str
        ``test`` (held out) or ``train``.
    counts : str
        What to do with more than one event per axon and timestep: ``refuse`` or ``clip``.

    Raises
    ------
    UserError
        One line that names what is missing or wrong, and what would be right.
    """
    if split not in ("test", "train"):
        raise ValueError(f"split must be test or train, not {split!r}")
    if counts not in COUNTS:
        raise UserError(f"--counts must be one of {', '.join(COUNTS)}, not {counts!r}")
    if counts == "repeat":
        raise UserError("--counts repeat is not supported yet; use clip or refuse")
    kind, _, rest = spec.partition(":")
    if spec == "digits":
        return _digits(split)
    if kind == "mnist":
        return _mnist(spec, pathlib.Path(rest), split)
    if kind == "nmnist":
        raise UserError(f"--data {spec}: nmnist is not supported yet; use {_KNOWN}")
    if spec.endswith(".npz"):
        return _npz(pathlib.Path(spec), counts)
    raise UserError(f"--data must be {_KNOWN}, not {spec!r}")


def random_data(samples: int, network, *, seed: int = 0) -> Dataset:
    """Seeded random spikes for `network`, density .2, the same on every machine; no labels.

    Raises
    ------
    UserError
        If `samples` is not positive.
    """
    if samples < 1:
        raise UserError(f"random samples must be at least 1, not {samples}")
    frames = np.full((samples, network.axons), _RANDOM_DENSITY)
    spikes = encode(Encoder(kind="bernoulli", seed=seed), frames, network.timesteps)
    return Dataset(name="random", shape=tuple(network.input_shape), spikes=spikes)


def _digits(split: str) -> Dataset:
    bundle = load_digits()
    held_out = np.arange(len(bundle.data)) % _HELD_OUT_EVERY == _HELD_OUT_EVERY - 1
    chosen = held_out if split == "test" else ~held_out
    return Dataset(name="digits", shape=(8, 8), images=bundle.data[chosen] / 16.0,
                   labels=bundle.target[chosen].astype(np.int64))


def _mnist(spec: str, folder: pathlib.Path, split: str) -> Dataset:
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


def _npz(path: pathlib.Path, counts: str) -> Dataset:
    arrays = _open_npz(path)
    names = [name for name in ("spikes", "images") if name in arrays]
    if len(names) != 1:
        raise UserError(f"{path}: must hold either spikes[N,T,...] or images[N,...], "
                        f"it holds {', '.join(sorted(arrays)) or 'nothing'}")
    values = arrays[names[0]]
    least = 3 if names[0] == "spikes" else 2
    if values.ndim < least or values.size == 0 or values.dtype.kind not in "biuf":
        raise UserError(f"{path}: {names[0]} must be numbers with at least {least} dimensions "
                        f"and one sample, not {values.dtype} of shape {values.shape}")
    labels = _labels(path, arrays["labels"], names[0], values) if "labels" in arrays else None
    if names[0] == "spikes":
        spikes = _binary(path, values, counts).reshape(*values.shape[:2], -1)
        return Dataset(name=str(path), shape=values.shape[2:], spikes=spikes, labels=labels)
    images = _intensities(path, values).reshape(len(values), -1)
    return Dataset(name=str(path), shape=values.shape[1:], images=images, labels=labels)


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


def _binary(path: pathlib.Path, values: np.ndarray, counts: str) -> np.ndarray:
    wrong = ~((values >= 0) & (values == np.rint(values)))
    if wrong.any():
        raise UserError(f"{path}: spikes must be 0, 1 or counts, not {values[wrong][0]}")
    if values.max() > 1 and counts == "refuse":
        raise UserError(f"{path}: spikes must be 0 or 1, the largest count is "
                        f"{values.max():g}; use --counts clip")
    return (values > 0).astype(np.uint8)


def _intensities(path: pathlib.Path, values: np.ndarray) -> np.ndarray:
    if values.dtype == np.uint8:
        return values / 255.0
    wrong = ~((values >= 0) & (values <= 1))
    if wrong.any():
        raise UserError(f"{path}: images must be in 0..1, or unsigned bytes, "
                        f"not {values[wrong][0]}")
    return values.astype(np.float64)
