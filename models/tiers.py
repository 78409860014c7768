"""Weights sliced over the stacked memory tiers, and what is read when tiers are off."""

from __future__ import annotations

import numpy as np

from lamina.models.check import check_int, check_one_of

__all__ = ["TIER_FILLS", "effective_weights", "join_slices", "readable_codes", "slice_weights"]

TIER_FILLS = ("zero", "mid")
"""What replaces gated bits; the index is the code in the ``TIER_FILL`` register."""


def slice_weights(codes: np.ndarray, tiers: tuple[int, ...]) -> list[np.ndarray]:
    """Cut signed `codes` into one slice per tier, most significant first.

    A single tier of one bit holds -1 as 0 and +1 as 1.

    Parameters
    ----------
    codes : int array
        Two's-complement weights [LSB], within ``sum(tiers)`` bits, any shape.
    tiers : tuple of int
        Bits of each tier, most significant slice first.

    Returns
    -------
    list of int64 arrays
        Unsigned slices, ``0 .. 2**bits - 1``, shaped like `codes`.

    Raises
    ------
    ValueError
        If a code needs more than ``sum(tiers)`` bits.
    """
    codes = np.asarray(codes, dtype=np.int64)
    if sum(tiers) == 1:
        return [_signs(codes)]
    half = 1 << (sum(tiers) - 1)
    beyond = codes[(codes < -half) | (codes >= half)]
    if beyond.size:
        raise ValueError(f"weights must be in {-half}..{half - 1} for tiers {tiers}, "
                         f"not {beyond.flat[0]}")
    slices, shift = [], sum(tiers)
    for bits in tiers:
        shift -= bits
        slices.append((codes >> shift) & ((1 << bits) - 1))
    return slices


def _signs(codes: np.ndarray) -> np.ndarray:
    """1 for +1 and 0 for -1; zeros of padding read as -1, in lanes that do not add."""
    beyond = codes[~np.isin(codes, (-1, 1))]
    if beyond.size:
        raise ValueError(f"weights must be -1 or +1 for tiers (1,), not {beyond.flat[0]}")
    return (codes + 1) // 2


def join_slices(slices: list[np.ndarray], tiers: tuple[int, ...]) -> np.ndarray:
    """Inverse of :func:`slice_weights`: signed int64 codes [LSB] from unsigned slices."""
    word = np.zeros_like(np.asarray(slices[0], dtype=np.int64))
    for bits, part in zip(tiers, slices, strict=True):
        word = (word << bits) | part
    if sum(tiers) == 1:
        return 2 * word - 1
    half = 1 << (sum(tiers) - 1)
    return (word ^ half) - half


def readable_codes(
    codes: np.ndarray, tiers: tuple[int, ...], failing: tuple[bool, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest code [LSB] that each of `codes` may read as when `failing` tiers err.

    Parameters
    ----------
    codes : int array
        Two's-complement weights [LSB], within ``sum(tiers)`` bits, any shape.
    tiers : tuple of int
        Bits of each tier, most significant slice first.
    failing : tuple of bool
        Of each tier: whether any of its bits may be wrong.

    Returns
    -------
    two int64 arrays, shaped like `codes`
    """
    if not any(failing):
        return codes, codes
    low, high = slice_weights(codes, tiers), slice_weights(codes, tiers)
    for tier, bits in enumerate(tiers):
        if failing[tier]:
            sign = 1 << (bits - 1) if tier == 0 and sum(tiers) > 1 else 0
            low[tier] = np.full_like(low[tier], sign)
            high[tier] = np.full_like(high[tier], ((1 << bits) - 1) ^ sign)
    return join_slices(low, tiers), join_slices(high, tiers)


def effective_weights(
    codes: np.ndarray, tiers: tuple[int, ...], gated: int, fill: str
) -> np.ndarray:
    """What the lanes see of `codes` when the lowest `gated` tiers are off.

    The bits of the gated tiers read as zero, under ``mid`` as 10..0 in the highest gated tier and
    zero below it.

    Parameters
    ----------
    codes : int array
        Two's-complement weights [LSB], within ``sum(tiers)`` bits, any shape.
    tiers : tuple of int
        Bits of each tier, most significant slice first.
    gated : int
        0 .. number of tiers - 1.
    fill : str
        ``mid`` or ``zero``.

    Returns
    -------
    int64 array
        Signed weights [LSB], shaped like `codes`.

    Raises
    ------
    ValueError
        If `gated` or `fill` is out of range or a code needs more than ``sum(tiers)`` bits.
    """
    check_int("gated tiers", gated, 0, len(tiers) - 1)
    check_one_of("tier fill", fill, TIER_FILLS)
    slices = slice_weights(codes, tiers)
    first = len(tiers) - gated
    for tier in range(first, len(tiers)):
        middle = 1 << (tiers[tier] - 1) if fill == "mid" and tier == first else 0
        slices[tier] = np.full_like(slices[tier], middle)
    return join_slices(slices, tiers)
