"""Real-valued frames to spikes, the same on every machine."""

from __future__ import annotations

import numpy as np

from lamina.models.check import check_int
from lamina.models.program import Encoder

__all__ = ["encode"]

_GOLDEN = 0x9E3779B97F4A7C15
_PROBABILITY_BITS = 31
_CHUNK_DRAWS = 1 << 16


def encode(
    encoder: Encoder, frames: np.ndarray, timesteps: int, first_sample: int = 0
) -> np.ndarray:
    """Encode `frames` to spikes; sample i never depends on the samples around it.

    ``rate`` puts a spike where ``floor((t + 1) * gain * x) > floor(t * gain * x)``. ``bernoulli``
    spikes where a 31-bit draw is below ``round(gain * x * 2**31)``; the draws are splitmix64
    outputs keyed by seed, sample, timestep and axon (Steele, Lea and Flood 2014).
    ``spikes`` checks its input and passes it on.

    Parameters
    ----------
    encoder : Encoder
    frames : float array (N, axons), or array (N, timesteps, axons) for ``spikes``
        Intensities in 0..1, or spikes 0 and 1; axons in C order of the input shape.
    timesteps : int
        T, 1..65535.
    first_sample : int
        Number of ``frames[0]`` in its data set, 0..2**32.

    Returns
    -------
    uint8 array (N, timesteps, axons)

    Raises
    ------
    ValueError
        If the shape is wrong, an intensity is outside 0..1 or NaN, or a spike is not 0 or 1.
    """
    check_int("timesteps", timesteps, 1, 65535)
    check_int("first_sample", first_sample, 0, 2**32)
    frames = np.asarray(frames)
    if encoder.kind == "spikes":
        return _checked_spikes(frames, timesteps)
    _check_frames(frames)
    spikes = np.empty((len(frames), timesteps, frames.shape[1]), dtype=np.uint8)
    block = max(1, _CHUNK_DRAWS // (timesteps * frames.shape[1]))
    for start in range(0, len(frames), block):
        rates = frames[start:start + block].astype(np.float64) * encoder.gain
        if encoder.kind == "rate":
            chunk = _rate(rates, timesteps)
        else:
            samples = np.arange(first_sample + start, first_sample + start + len(rates))
            chunk = _bernoulli(rates, timesteps, encoder.seed, samples)
        spikes[start:start + block] = chunk
    return spikes


def _checked_spikes(spikes: np.ndarray, timesteps: int) -> np.ndarray:
    if spikes.ndim != 3 or spikes.shape[1] != timesteps:
        raise ValueError(f"spikes must have shape (samples, {timesteps}, axons), "
                         f"not {spikes.shape}")
    wrong = (spikes != 0) & (spikes != 1)
    if wrong.any():
        raise ValueError(f"spikes must be 0 or 1, not {spikes[wrong][0]}")
    return spikes.astype(np.uint8)


def _check_frames(frames: np.ndarray) -> None:
    if frames.ndim != 2 or frames.dtype.kind not in "fiub":
        raise ValueError("frames must be real numbers of shape (samples, axons), "
                         f"not {frames.dtype} of shape {frames.shape}")
    wrong = ~((frames >= 0) & (frames <= 1))
    if wrong.any():
        sample, axon = np.argwhere(wrong)[0]
        raise ValueError(f"frames must be in 0..1, not {frames[sample, axon]} "
                         f"at sample {sample}, axon {axon}")


def _rate(rates: np.ndarray, timesteps: int) -> np.ndarray:
    totals = np.floor(np.arange(timesteps + 1)[:, None] * rates[:, None, :])
    return totals[:, 1:] > totals[:, :-1]


def _mix(z: np.ndarray) -> np.ndarray:
    """Output function of splitmix64, in place on uint64."""
    z ^= z >> np.uint64(30)
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= z >> np.uint64(27)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return z


def _steps(count: int) -> np.ndarray:
    """``(1..count) * golden`` modulo 2**64."""
    return np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_GOLDEN)


def _bernoulli(
    rates: np.ndarray, timesteps: int, seed: int, samples: np.ndarray
) -> np.ndarray:
    """Spikes (N, T, axons); each 64-bit output serves two neighbouring axons, low half first."""
    axons = rates.shape[1]
    seed_key = _mix(np.array([seed], dtype=np.uint64) + np.uint64(_GOLDEN))
    sample_keys = _mix(seed_key + samples.astype(np.uint64) * np.uint64(_GOLDEN))
    step_keys = _mix(sample_keys[:, None] + _steps(timesteps))
    words = _mix(step_keys[:, :, None] + _steps(-(-axons // 2)))
    draws = words.astype("<u8", copy=False).view("<u4")[:, :, :axons]
    draws >>= np.uint32(1)
    limits = np.rint(rates * (1 << _PROBABILITY_BITS)).astype(np.uint32)
    return draws < limits[:, None, :]
