"""Samples of one split: intensities, signals or spikes, and what is known of them."""

from __future__ import annotations

import dataclasses

import numpy as np

from lamina.flows.errors import UserError
from lamina.flows.frontend.data.recorded import RecordedSpikes
from lamina.models.encoder import encode

__all__ = ["Dataset", "Encoded"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """Samples of one split, as intensities, signals or spikes, with or without labels.

    Parameters
    ----------
    name : str
        The ``--data`` text that it came from.
    images : float64 array (N, axons) or None
        Intensities in 0..1.
    signals : float64 array (N, T, axons) or None
        Finite numbers that change with time, for the encoder ``delta``.
    spikes : uint8 array (N, T, axons), RecordedSpikes or None
        Of 0 and 1; exactly one of `images`, `signals` and `spikes` is given.
    shape : tuple of int
        Of one frame, without copies.
    labels : int64 array (N,) or None
        From 0.
    repeats : int
        Copies of every axon that stand for counts, copy-major; see :class:`CountRule`.
    record : dict of str to str
        How recordings became frames, for a program's assumptions and the report.
    """

    name: str
    shape: tuple[int, ...]
    images: np.ndarray | None = None
    signals: np.ndarray | None = None
    spikes: np.ndarray | RecordedSpikes | None = None
    labels: np.ndarray | None = None
    repeats: int = 1
    record: dict[str, str] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(v for v in (self.images, self.signals, self.spikes) if v is not None))

    @property
    def axons(self) -> int:
        """Values in one frame, copies included."""
        return self.repeats * int(np.prod(self.shape))

    @property
    def timesteps(self) -> int | None:
        """T of recorded spikes or signals; None for images."""
        timed = self.signals if self.spikes is None else self.spikes
        return None if timed is None else timed.shape[1]

    @property
    def classes(self) -> int | None:
        """Largest label + 1; None without labels."""
        return None if self.labels is None else int(self.labels.max()) + 1

    def check(self, network) -> None:
        """Refuse data that do not go with a network or program.

        Raises
        ------
        UserError
            If axons, frame shape, timesteps, encoder or labels do not fit; names both sides.
        """
        self._check_encoder(network.encoder.kind)
        copies = self.repeats if self.spikes is not None else network.encoder.copies
        axons, shape = copies * int(np.prod(self.shape)), tuple(network.input_shape)
        if axons != network.axons:
            hint = ("; axis 1 seems to hold the axons, the order is [N,T,axons]"
                    if self.timesteps == network.axons else "")
            times = f" {copies} times" if copies > 1 else ""
            raise UserError(f"--data {self.name}: frames have {axons} axons, shape {self.shape}"
                            f"{times}; the network has {network.axons}, shape {shape}{hint}")
        _check_order(self.name, self.shape, shape[1:] if copies > 1 else shape)
        if self.timesteps not in (None, network.timesteps):
            raise UserError(f"--data {self.name}: samples have {self.timesteps} timesteps, the "
                            f"network runs {network.timesteps}; say --timesteps {self.timesteps}")
        if self.labels is not None and self.labels.max() >= network.outputs:
            raise UserError(f"--data {self.name}: labels must be in 0..{network.outputs - 1} for "
                            f"{network.outputs} outputs, not {self.labels.max()}")

    def _check_encoder(self, kind: str) -> None:
        if self.images is not None and kind in ("spikes", "delta"):
            wanted = "spikes" if kind == "spikes" else "signals"
            raise UserError(f"--data {self.name}: the network takes {wanted}, not images; choose "
                            f"--encoder bernoulli, rate, latency or constant")
        if self.signals is not None and kind != "delta":
            raise UserError(f"--data {self.name}: signals must be encoded by --encoder delta, "
                            f"not {kind}")

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

        Raises
        ------
        UserError
            If a recording is not as it should be: recordings are read when they are used.
        """
        last = len(self) if count is None else min(len(self), first + count)
        if self.spikes is not None:
            return self.spikes[first:last]
        frames = self.images if self.signals is None else self.signals
        return encode(network.encoder, frames[first:last], network.timesteps, first_sample=first)


class Encoded:
    """Spikes of a data set: like an array (N, T, axons) of which slices of samples are taken.

    Every slice is encoded, or read, when it is taken.

    Parameters
    ----------
    data : Dataset
    network : FloatNetwork or Program
        Whose encoder and timesteps count; already passed :meth:`Dataset.check`.
    """

    def __init__(self, data: Dataset, network):
        self._data, self._network = data, network

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, samples: slice) -> np.ndarray:
        first, last, _ = samples.indices(len(self))
        return self._data.encoded(self._network, first, last - first)


def _check_order(name: str, shape: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    """Equal sizes, but axes in another order, are refused; a flat side fits any."""
    have, want = (tuple(n for n in s if n != 1) for s in (shape, wanted))
    if have != want and len(have) > 1 and len(want) > 1:
        raise UserError(f"--data {name}: frames must have shape {wanted} like the network's "
                        f"input, not {shape}: the axes are in another order")
