"""From the text of ``--data`` to samples; or random spikes without one."""

from __future__ import annotations

import pathlib

import numpy as np

from lamina.flows.errors import UserError
from lamina.flows.frontend.data.counts import CountRule
from lamina.flows.frontend.data.dataset import Dataset
from lamina.flows.frontend.data.folders import read_event_folder, read_nmnist
from lamina.flows.frontend.data.images import read_digits, read_mnist
from lamina.flows.frontend.data.npz_file import read_npz
from lamina.flows.frontend.data.recorded import Binning
from lamina.models.encoder import encode
from lamina.models.program import Encoder

__all__ = ["load_data", "random_data"]

_RANDOM_DENSITY = 0.2
_KNOWN = "digits, mnist:DIR, nmnist:DIR, events:DIR or FILE.npz"
_EVENT_FOLDERS = {"nmnist": read_nmnist, "events": read_event_folder}


def load_data(spec: str, *, split: str = "test", counts: str = "refuse", max_count: int = 4,
              binning: Binning | None = None) -> Dataset:
    """Load the samples that ``--data`` names.

    ``digits``: scikit-learn's 8x8 digits over 16; held out are the samples with index % 4 == 3
    (449), the others (1,348) are the training split. ``mnist:DIR``: idx or idx.gz files over 255,
    held out is t10k. ``FILE.npz``: ``spikes[N,T,...]``, ``signals[N,T,...]`` or ``images[N,...]``
    (0..1, or unsigned bytes over 255) and optional ``labels[N]``; both splits are the whole file.
    ``nmnist:DIR`` and ``events:DIR``: recordings, see :mod:`lamina.flows.frontend.data.folders`;
    they are read when their spikes are.

    Parameters
    ----------
    spec : str
    split : str
        ``test`` (held out) or ``train``.
    counts, max_count : str, int
        What to do with more than one event per axon and timestep, see :class:`CountRule`.
    binning : Binning or None
        Of recordings; refused elsewhere if it says anything.

    Raises
    ------
    UserError
        One line that names what is missing or wrong, and what would be right.
    """
    if split not in ("test", "train"):
        raise ValueError(f"split must be test or train, not {split!r}")
    rule, binning = CountRule(kind=counts, most=max_count), binning or Binning()
    kind, _, rest = spec.partition(":")
    if kind in _EVENT_FOLDERS and rest:
        return _EVENT_FOLDERS[kind](spec, pathlib.Path(rest), split, binning, rule)
    if binning != Binning():
        raise UserError(f"--data {spec}: is no set of recordings, and takes no options of binning")
    if spec == "digits":
        return read_digits(split)
    if kind == "mnist":
        return read_mnist(spec, pathlib.Path(rest), split)
    if spec.endswith(".npz"):
        return read_npz(pathlib.Path(spec), rule)
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
