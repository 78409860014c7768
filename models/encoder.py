"""Real-valued frames to spikes, the same on every machine."""

from __future__ import annotations

import numpy as np

from lamina.models.check import check_int
from lamina.models.program import Encoder

__all__ = ["encode", "thermometer"]

_GOLDEN = 0x9E3779B97F4A7C15
_PROBABILITY_BITS = 31
_CHUNK_DRAWS = 1 << 16


def encode(
    encoder: Encoder, frames: np.ndarray, timesteps: int, first_sample: int = 0
) -> np.ndarray:
    """Encode `frames` to spikes; sample i never depends on the samples around it.

    With ``y = gain * x``, T timesteps:

    - ``rate``: a spike where ``floor((t + 1) * y) > floor(t * y)``.
    - ``bernoulli``: a spike where a 31-bit draw is below ``round(y * 2**31)``; the draws are
      splitmix64 outputs keyed by seed, sample, timestep and axon (Steele, Lea and Flood 2014).
    - ``latency``: one spike at ``t = floor((1 - y) * (T - 1) + .5)``, none where x = 0.
    - ``constant``: in every timestep ``floor(y * levels + .5)`` of `levels` copies of the axon.
    - ``delta``: a spike on plane 0 where the signal rose by more than `step` since its last spike
      (since t = 0 before the first one), on plane 1 where it fell by more; `gain` scales it.
    - ``spikes`` checks its input and passes it on.

    Parameters
    ----------
    encoder : Encoder
    frames : float array (N, axons); (N, timesteps, axons) for ``spikes`` and ``delta``
        Intensities in 0..1, spikes 0 and 1, or for ``delta`` any finite numbers; axons in C order
        of the input shape.
    timesteps : int
        T, 1..65535.
    first_sample : int
        Number of ``frames[0]`` in its data set, 0..2**32.

    Returns
    -------
    uint8 array (N, timesteps, copies * axons)
        Copy-major: axon i of copy (or plane) k is ``k * axons + i``.

    Raises
    ------
    ValueError
        If the shape is wrong, an intensity is outside 0..1 or NaN, a spike is not 0 or 1, or a
        signal is not finite.
    """
    check_int("timesteps", timesteps, 1, 65535)
    check_int("first_sample", first_sample, 0, 2**32)
    frames = np.asarray(frames)
    if encoder.kind == "spikes":
        return _checked_spikes(frames, timesteps)
    if encoder.kind == "delta":
        return _delta(_checked_signals(frames, timesteps) * encoder.gain, encoder.step)
    _check_frames(frames)
    spikes = np.empty((len(frames), timesteps, encoder.copies * frames.shape[1]), dtype=np.uint8)
    block = max(1, _CHUNK_DRAWS // (timesteps * frames.shape[1]))
    for start in range(0, len(frames), block):
        rates = frames[start:start + block].astype(np.float64) * encoder.gain
        spikes[start:start + block] = _encode_chunk(encoder, rates, timesteps,
                                                    first_sample + start)
    return spikes


def _encode_chunk(encoder: Encoder, rates: np.ndarray, timesteps: int, first: int) -> np.ndarray:
    if encoder.kind == "rate":
        return _rate(rates, timesteps)
    if encoder.kind == "latency":
        return _latency(rates, timesteps)
    if encoder.kind == "constant":
        return thermometer(np.floor(rates * encoder.levels + 0.5), encoder.levels)[:, None]
    return _bernoulli(rates, timesteps, encoder.seed, np.arange(first, first + len(rates)))


def thermometer(counts: np.ndarray, copies: int) -> np.ndarray:
    """Copies of axons that stand for counts: count c sets the copies 0..c-1.

    Parameters
    ----------
    counts : number array (..., axons)
        0..copies.
    copies : int
        At least 1.

    Returns
    -------
    uint8 array (..., copies * axons)
        Copy-major: axon i of copy k is ``k * axons + i``.
    """
    planes = [counts > copy for copy in range(copies)]
    return np.concatenate(planes, axis=-1).astype(np.uint8)


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


def _checked_signals(signals: np.ndarray, timesteps: int) -> np.ndarray:
    if signals.ndim != 3 or signals.shape[1] != timesteps or signals.dtype.kind not in "fiub":
        raise ValueError(f"signals must be real numbers of shape (samples, {timesteps}, axons), "
                         f"not {signals.dtype} of shape {signals.shape}")
    wrong = ~np.isfinite(signals)
    if wrong.any():
        sample, t, axon = np.argwhere(wrong)[0]
        raise ValueError(f"signals must be finite, not {signals[sample, t, axon]} "
                         f"at sample {sample}, timestep {t}, axon {axon}")
    return signals.astype(np.float64)


def _delta(signals: np.ndarray, step: float) -> np.ndarray:
    samples, timesteps, axons = signals.shape
    spikes = np.zeros((samples, timesteps, 2, axons), dtype=np.uint8)
    last = signals[:, 0].copy()
    for t in range(1, timesteps):
        moved = signals[:, t] - last
        spikes[:, t, 0], spikes[:, t, 1] = moved > step, moved < -step
        np.copyto(last, signals[:, t], where=spikes[:, t].any(axis=1))
    return spikes.reshape(samples, timesteps, 2 * axons)


def _latency(rates: np.ndarray, timesteps: int) -> np.ndarray:
    times = np.floor((1 - rates) * (timesteps - 1) + 0.5)[:, None, :]
    return (times == np.arange(timesteps)[:, None]) & (rates > 0)[:, None, :]


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
