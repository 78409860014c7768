"""Output spikes and membranes to a class."""

from __future__ import annotations

import numpy as np

from lamina.models.check import check_one_of
from lamina.models.program import DECODINGS

__all__ = ["decode"]


def decode(decoding: str, spikes: np.ndarray, membranes: np.ndarray) -> np.ndarray:
    """Predicted class of each sample: the output neuron that scores highest, the lowest at ties.

    The score is the number of spikes (``count``), how early the first one came (``first``; a silent
    neuron comes last), the last membrane (``v_final``), or the sum or maximum of the membrane over
    the timesteps (``v_sum``, ``v_max``).

    Parameters
    ----------
    decoding : str
        One of ``DECODINGS``.
    spikes : uint8 array (N, T, outputs)
        Of the last layer.
    membranes : array (N, outputs) or (N, T, outputs)
        Of the last layer after the last or after every timestep [LSB]; every one is needed by
        ``v_sum`` and ``v_max``.

    Returns
    -------
    int64 array (N,)

    Raises
    ------
    ValueError
        If `decoding` is unknown or needs the membranes of every timestep and got the last only.
    """
    check_one_of("decoding", decoding, DECODINGS)
    if decoding == "count":
        score = spikes.sum(axis=1, dtype=np.int64)
    elif decoding == "first":
        fired = spikes.any(axis=1)
        score = np.where(fired, spikes.shape[1] - spikes.argmax(axis=1), 0)
    elif decoding == "v_final":
        score = membranes[:, -1] if membranes.ndim == 3 else membranes
    elif membranes.ndim != 3:
        raise ValueError(f"decoding {decoding} must get membranes of shape (samples, timesteps, "
                         f"outputs), not {membranes.shape}")
    else:
        score = membranes.sum(axis=1) if decoding == "v_sum" else membranes.max(axis=1)
    return score.argmax(axis=1).astype(np.int64)
