"""Saturation and wrap-around of two's-complement integers, written once for all models."""

from __future__ import annotations

import numpy as np

__all__ = ["bounds", "outside", "saturate", "signed_bits", "wrap"]


def bounds(bits: int) -> tuple[int, int]:
    """Lowest and highest value of a two's-complement number of `bits` 1..64."""
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def saturate(x: np.ndarray, bits: int) -> np.ndarray:
    """Limit `x` [LSB], any shape, int64, to the range of `bits` 1..63."""
    return np.clip(x, *bounds(bits))


def wrap(x: np.ndarray, bits: int) -> np.ndarray:
    """Reduce `x` [LSB], any shape, int64, modulo ``2**bits`` into the range of `bits` 1..62."""
    half = 1 << (bits - 1)
    return ((x + half) & ((1 << bits) - 1)) - half


def outside(x: np.ndarray, bits: int) -> int:
    """How many elements of `x` [LSB] :func:`wrap` would change."""
    low, high = bounds(bits)
    return int(np.count_nonzero((x < low) | (x > high)))


def signed_bits(low: int, high: int) -> int:
    """Smallest two's-complement width [bit] that holds every value of ``low..high``."""
    return max(low.bit_length() if low >= 0 else (~low).bit_length(),
               high.bit_length() if high >= 0 else (~high).bit_length()) + 1
