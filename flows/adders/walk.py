"""Additions one after the other: a Markov chain over the low bits of the accumulator."""

from __future__ import annotations

import numpy as np

from lamina.models.adders.errors import error_table
from lamina.models.adders.spec import AdderSpec

__all__ = ["Walk", "walk_moments"]

_STREAMS = 64


class Walk:
    """Sums of N weights, drawn independently, onto accumulators that begin uniform.

    An adder is given by its errors, int64 (2**k, 2**k) [LSB], by the k low bits of weight and
    accumulator: the low bits of its sum are those of ``accumulator + weight + error``.

    Parameters
    ----------
    likelihood : float array (2**k,)
        Share of the weights by their low bits.
    additions : int
        N, at least 2.
    seed : int
        Of the 64 streams that edges are counted on.
    """

    def __init__(self, likelihood: np.ndarray, additions: int, seed: int):
        self._likelihood, self._additions = likelihood, additions
        rng = np.random.default_rng(seed)
        values = len(likelihood)
        self._weights = rng.choice(values, (additions, _STREAMS), p=likelihood)
        self._begin = rng.integers(0, values, _STREAMS)
        self._plain = np.arange(values)[:, None] + np.arange(values)

    def moments(self, errors: np.ndarray) -> tuple[float, float, float]:
        """Of the sum S of the N errors: E[S] / N, var S / N and E[S**2] / N, by recursion.

        With P the chain's transitions, and P1 and P2 these weighted by the error and its square:
        ``q' = P q``, ``u' = P u + P1 q``, ``v' = P v + 2 P1 u + P2 q`` for the shares q of the
        accumulators and the first and second moments u and v of S in each.
        """
        values = len(self._likelihood)
        place = (self._after(errors) * values + np.arange(values)).ravel()
        chain, first, second = (np.bincount(
            place, (self._likelihood[:, None] * errors ** power).ravel(), values * values
        ).reshape(values, values) for power in range(3))
        state = np.zeros((values, 3))
        state[:, 0] = 1 / values
        for _ in range(self._additions):
            moved = chain @ state
            weighted = first @ state[:, :2]
            moved[:, 1] += weighted[:, 0]
            moved[:, 2] += 2 * weighted[:, 1] + second @ state[:, 0]
            state = moved
        mean, square = state[:, 1].sum(), state[:, 2].sum()
        count = self._additions
        return (float(mean / count), float((square - mean * mean) / count), float(square / count))

    def moves(self, planes: np.ndarray, errors: np.ndarray) -> list[float]:
        """Edges per addition of signals, over the streams.

        Parameters
        ----------
        planes : uint64 array (signals, 2**k, words)
            Their values by weight, an accumulator in each bit.
        errors : int64 array (2**k, 2**k)
        """
        after, low = self._after(errors), self._begin
        sums = np.empty_like(self._weights)
        for step, weights in enumerate(self._weights):
            sums[step] = low
            low = after[weights, low]
        bits = planes[:, self._weights, sums >> 6] >> (sums & 63).astype(np.uint64) & np.uint64(1)
        return (bits[:, 1:] != bits[:, :-1]).mean(axis=(1, 2)).tolist()

    def _after(self, errors: np.ndarray) -> np.ndarray:
        """Low bits of the sum, by weight and accumulator."""
        return (self._plain + errors) & (len(self._likelihood) - 1)


def walk_moments(spec: AdderSpec, weights: np.ndarray, additions: int
                 ) -> tuple[float, float, float]:
    """:meth:`Walk.moments` of an adder with k up to 10 and of `weights`, equally likely [LSB].

    Raises
    ------
    ValueError
        If k is above 10.
    """
    values = 1 << max(1, spec.low_bits)
    likelihood = np.bincount(weights & (values - 1), minlength=values) / weights.size
    return Walk(likelihood, additions, seed=0).moments(error_table(spec, 0).T)
