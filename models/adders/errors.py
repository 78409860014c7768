"""How far approximate adders err: exactly, by enumeration of the low part, and in closed form."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from lamina.models.adders.adder import add
from lamina.models.adders.spec import AdderSpec

__all__ = ["ErrorMoments", "closed_forms", "error_moments", "error_table", "mean_errors",
           "weight_errors"]

_LARGEST_TABLE = 10
"""Low bits up to which all pairs of operands are tried."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ErrorMoments:
    """Error ``approximate - exact`` [LSB] over uniform operands.

    Parameters
    ----------
    worst : int
        Largest absolute error (WCE).
    mean, mean_distance, mean_square : float
        ME, MED and MSE.
    rate : float
        Share of additions that err (ER), 0..1.
    """

    worst: int
    mean: float
    mean_distance: float
    mean_square: float
    rate: float


@functools.lru_cache(maxsize=64)
def error_table(spec: AdderSpec, bits: int) -> np.ndarray:
    """Errors [LSB], int64 (2**n, 2**n), of every pair of n low bits of accumulator and weight.

    n is k, of a windowed adder `bits` (unsigned operands, with one bit more for the sum).

    Raises
    ------
    ValueError
        If n is above 10: too many pairs.
    """
    n = bits if spec.window else max(1, spec.low_bits)
    if n > _LARGEST_TABLE:
        raise ValueError(f"errors of {spec.label} are tabulated up to {_LARGEST_TABLE} bits, "
                         f"not {n}")
    values = np.arange(1 << n)
    if spec.window:
        return _window_errors(spec, values, n)
    return add(spec, values[:, None], values, n + 3) - (values[:, None] + values)


def _window_errors(spec: AdderSpec, values: np.ndarray, bits: int) -> np.ndarray:
    """The carry of the last window counts as a sum bit."""
    total = np.zeros((len(values), len(values)), dtype=np.int64)
    for first, end, kept in spec.windows(bits):
        mask = (1 << (end - first)) - 1
        part = (values[:, None] >> first & mask) + (values >> first & mask)
        cut = -1 if end == bits else (1 << (end - first)) - 1
        total += ((part & cut) >> (kept - first)) << kept
    return total - (values[:, None] + values)


def error_moments(spec: AdderSpec, bits: int = 8) -> ErrorMoments:
    """Moments over all pairs of operands; `bits` matters to windowed adders only."""
    errors = error_table(spec, bits)
    size = np.abs(errors)
    return ErrorMoments(worst=int(size.max()), mean=float(errors.mean()),
                        mean_distance=float(size.mean()),
                        mean_square=float((size.astype(float) ** 2).mean()),
                        rate=float((errors != 0).mean()))


def mean_errors(spec: AdderSpec, bits: int = 8) -> np.ndarray:
    """Mean error [LSB] of adding a weight to a uniform accumulator, by the weight's n low bits."""
    return error_table(spec, bits).mean(axis=0)


def weight_errors(spec: AdderSpec, weights: np.ndarray, bits: int
                  ) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest error [LSB] of adding each weight to any accumulator, int64.

    Proved bounds: by enumeration up to k = 10, above that ``2**(k+1) - 1`` on either side, which no
    low part can exceed. A windowed adder errs by anything up to ``2**bits``.
    """
    weights = np.asarray(weights, dtype=np.int64)
    if spec.is_exact:
        return np.zeros_like(weights), np.zeros_like(weights)
    k = spec.low_bits
    if spec.window or k > _LARGEST_TABLE:
        reach = 1 << bits if spec.window else (2 << k) - 1
        return np.full_like(weights, -reach), np.full_like(weights, reach)
    table = error_table(spec, bits)
    low = weights & ((1 << k) - 1)
    return table.min(axis=0)[low], table.max(axis=0)[low]


def closed_forms(spec: AdderSpec, bits: int = 8) -> dict[str, float]:
    """What theory says of :func:`error_moments`, by field name; only what has a closed form.

    Sources: docs/adders.md. GeAr holds for `bits` that its windows fill.
    """
    k = spec.low_bits
    m = 1 << k
    if spec.window:
        return _gear_forms(*spec.window, bits)
    forms = {
        "loa": (m / 2, 1 / 4, 3 * m / 16 - 1 / 8, 4.0 ** (k - 2), 1 - 0.75 ** k),
        "loawa": (m - 1, -(m - 1) / 4, (m - 1) / 4, (4 ** k - 2 ** k) / 8, 1 - 0.75 ** k),
        "oloca": (m / 2 + (1 << spec.ones) - 1 if spec.ones < k else None,
                  (1 << spec.ones) / 4, None, None, None),
        "heaa": (m / 2 - 1, -(m / 2 - 1) / 4, (m / 2 - 1) / 4,
                 (4 ** (k - 1) - 2 ** (k - 1)) / 8, 1 - 0.75 ** (k - 1)),
        "eta1": (m - 1, -m / 5 * (1 - 0.375 ** k), m / 5 * (1 - 0.375 ** k), None, 1 - 0.75 ** k),
        "trua0": (2 * m - 2, -(m - 1), m - 1, None, 1 - 4.0 ** -k),
        "trua1": (m - 1, 0, (m * m - 1) / (3 * m), (m * m - 1) / 6, 1 - 1 / m),
        "copy": (m - 1, -(m - 1) / 2, (m - 1) / 2, (m - 1) * (2 * m - 1) / 6, 1 - 1 / m),
        "ama1": (m - 1, 0, None, None, None), "ama2": (m - 1, k / 4, None, None, None),
        "ama3": (m - 1, 1 - 1 / m, None, None, None),
        "ama4": (m - 1, -(m - 2) / 8, None, None, None),
        "ama5": (m / 2, 1 / 2, m / 4, (4 ** k + 2) / 12, 1 - 1 / m),
        "exact": (0, 0, 0, 0, 0),
    }
    names = ("worst", "mean", "mean_distance", "mean_square", "rate")
    found = zip(names, forms.get(spec.family, ()), strict=False)
    return {name: value for name, value in found if value is not None}


def _gear_forms(r: int, p: int, bits: int) -> dict[str, float]:
    stride = r * -(-(p + 1) // r)
    worst, place = 0, bits - r
    while place >= r + p:
        worst += 1 << place
        place -= stride
    mean = ((1 << (bits - r - p)) - 1) / 2
    filled = (bits - r - p) % r == 0
    return {"worst": worst} | ({"mean": -mean, "mean_distance": mean} if filled else {})
