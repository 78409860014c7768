"""Sums by adders that depend on the order of their operands: plainly, or 64 sums in a word."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from lamina.models.adders.adder import add, low_sum
from lamina.models.adders.spec import AdderSpec
from lamina.models.fixed import wrap

__all__ = ["accumulate", "accumulate_sliced"]

Events = Iterable[tuple[int, np.ndarray]]
"""Row of the weights, and which sums it is added to (boolean), in the order of the additions."""


def accumulate(
    spec: AdderSpec, start: np.ndarray, weights: np.ndarray, events: Events, bits: int
) -> np.ndarray:
    """``start (+) w (+) w ...`` of every sum, one addition after the other.

    Parameters
    ----------
    spec : AdderSpec
    start : int64 array (sums, columns)
        What each sum begins with [LSB].
    weights : int64 array (rows, columns)
    events : iterable of (int, bool array (sums,))
    bits : int
        Width of the adder.

    Returns
    -------
    int64 array (sums, columns)
        Modulo ``2**bits``.
    """
    total = wrap(start, bits)
    for row, active in events:
        total[active] = add(spec, total[active], weights[row], bits)
    return total


def accumulate_sliced(
    spec: AdderSpec, start: np.ndarray, weights: np.ndarray, events: Events, bits: int,
    upper: np.ndarray | None,
) -> np.ndarray:
    """:func:`accumulate` with bit i of 64 sums side by side in one machine word.

    Only the k low bits depend on the order; above them the sum of ``w >> k`` and of the carries is
    exact.

    Parameters
    ----------
    spec, start, weights, events, bits
        As above.
    upper : int64 array (sums, columns)
        Sums of the active ``weights >> k``; None for windowed adders.
    """
    if spec.is_exact:
        return wrap(start + upper, bits)
    k = bits if spec.window else spec.low_bits
    sums, columns = start.shape
    planes = [_to_words(start >> place & 1) for place in range(k)]
    masks = [np.where(weights >> place & 1, ~np.uint64(0), np.uint64(0))[:, :, None]
             for place in range(k)]
    carries: list[np.ndarray] = []
    for row, active in events:
        act = _to_words(active[:, None])
        low, carry = low_sum(spec, planes, [mask[row] for mask in masks])
        planes = [plane ^ ((plane ^ new) & act) for plane, new in zip(planes, low, strict=True)]
        if upper is not None:
            _count(carries, carry & act)
    low = sum(_from_words(plane, sums) << place for place, plane in enumerate(planes))
    if upper is None:
        return wrap(low, bits)
    carried = sum((_from_words(plane, sums) << place for place, plane in enumerate(carries)),
                  start=np.zeros((sums, columns), dtype=np.int64))
    return wrap((((start >> k) + upper + carried) << k) + low, bits)


def _to_words(bits: np.ndarray) -> np.ndarray:
    """0/1 (sums, columns) to uint64 (columns, sums / 64)."""
    sums, columns = bits.shape
    padded = np.zeros((columns, -(-sums // 64) * 64), dtype=np.uint8)
    padded[:, :sums] = bits.T
    return np.packbits(padded, axis=1, bitorder="little").view(np.uint64)


def _from_words(words: np.ndarray, sums: int) -> np.ndarray:
    """Inverse of :func:`_to_words`, int64."""
    bits = np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=1, bitorder="little")
    return bits[:, :sums].T.astype(np.int64)


def _count(counts: list[np.ndarray], carry: np.ndarray) -> None:
    """Add the bits of `carry` to counters whose bits are `counts`."""
    for place, plane in enumerate(counts):
        if not carry.any():
            return
        counts[place], carry = plane ^ carry, plane & carry
    if carry.any():
        counts.append(carry)
