"""The adder catalogue: errors of every adder, and what it costs in silicon."""

from __future__ import annotations

import dataclasses

import numpy as np

from lamina.flows.adders.characterise import Characterisation
from lamina.flows.adders.names import read_netlists, shipped_files
from lamina.flows.adders.operands import Operands
from lamina.flows.errors import UserError
from lamina.models.adders.adder import add
from lamina.models.adders.errors import (
    ErrorMoments,
    closed_forms,
    error_moments,
    mean_errors,
)
from lamina.models.adders.spec import EVOLVED, EXACT, FAMILIES, AdderSpec
from lamina.models.fixed import bounds, wrap

__all__ = ["Entry", "default_adders", "entries", "mean_error"]

_TABLED = 10
_SAMPLES = 1 << 18
_SMALLEST, _LARGEST = 2, 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One adder of the catalogue.

    Parameters
    ----------
    spec : AdderSpec
    moments : ErrorMoments
        Over uniform operands.
    bias : float
        Mean error over a uniform accumulator and the weights given [LSB].
    sampled : bool
        Whether the means are of seeded samples (2**18 pairs) instead of every pair.
    silicon : Characterisation or None
        None without a PDK.
    """

    spec: AdderSpec
    moments: ErrorMoments
    bias: float
    sampled: bool
    silicon: Characterisation | None = None

    def to_dict(self) -> dict:
        """JSON-ready, flat, in the order of the table."""
        silicon = dataclasses.asdict(self.silicon) if self.silicon is not None else {}
        return {"adder": self.spec.name, "label": self.spec.label, "family": self.spec.family,
                **dataclasses.asdict(self.moments), "bias": self.bias, "sampled": self.sampled,
                **silicon}


def default_adders() -> list[AdderSpec]:
    """Every family at k = 2..8 (windows as wide), EvoApproxLib's circuits and the shipped ones."""
    names = [EXACT.name]
    for family, numbers in FAMILIES.items():
        for k in range(_SMALLEST, _LARGEST + 1):
            names += {("k",): [f"{family}:{k}"], ("k", "l"): [f"{family}:{k}:{k // 2}"],
                      ("p",): [f"{family}:{k}"], ("r",): [f"{family}:{k}"],
                      ("r", "p"): [f"{family}:{k}:2", f"{family}:{k}:4"]}.get(numbers, [])
    specs = [AdderSpec.parse(name) for name in (*names, *EVOLVED)]
    shipped = [spec for name in shipped_files() for spec in read_netlists(name)]
    return list(dict.fromkeys([*specs, *shipped]))


def entries(specs: list[AdderSpec], bits: int, operands: Operands) -> list[Entry]:
    """Errors of `specs` at `bits`, without silicon.

    Raises
    ------
    UserError
        If `bits` are too few for an adder or a weight.
    """
    low, high = bounds(bits)
    if operands.weights.min() < low or operands.weights.max() > high:
        raise UserError(f"--bits must hold the weights {operands.weights.min()}.."
                        f"{operands.weights.max()}, not {bits}")
    for spec in specs:
        if spec.low_bits >= bits:
            raise UserError(f"--bits must be above the {spec.low_bits} low bits of {spec.label}, "
                            f"not {bits}")
    return [_entry(spec, bits, operands) for spec in specs]


def _entry(spec: AdderSpec, bits: int, operands: Operands) -> Entry:
    if spec.window or spec.low_bits > _TABLED:
        return _sampled_entry(spec, bits, operands)
    return Entry(spec=spec, moments=error_moments(spec), sampled=False,
                 bias=mean_error(spec, operands.weights))


def mean_error(spec: AdderSpec, weights: np.ndarray) -> float:
    """Mean error [LSB] over a uniform accumulator and `weights`, equally likely; k up to 10."""
    low = weights & ((1 << max(1, spec.low_bits)) - 1)
    return float(mean_errors(spec)[low].mean())


def _sampled_entry(spec: AdderSpec, bits: int, operands: Operands) -> Entry:
    """Accumulators and weights over the whole width; for the bias over the operands' weights."""
    rng = np.random.default_rng(operands.seed)
    low, high = bounds(bits)
    a, b = rng.integers(low, high + 1, (2, _SAMPLES))
    errors = _errors(spec, a, b, bits)
    size = np.abs(errors)
    worst = closed_forms(spec, bits).get("worst", size.max())
    moments = ErrorMoments(worst=int(worst), mean=float(errors.mean()),
                           mean_distance=float(size.mean()), rate=float((errors != 0).mean()),
                           mean_square=float((size.astype(float) ** 2).mean()))
    bias = _errors(spec, a, rng.choice(operands.weights, _SAMPLES), bits).mean()
    return Entry(spec=spec, moments=moments, bias=float(bias), sampled=True)


def _errors(spec: AdderSpec, a: np.ndarray, b: np.ndarray, bits: int) -> np.ndarray:
    """Errors modulo ``2**bits``; windows only ever lose carries, so theirs are never positive."""
    errors = wrap(add(spec, a, b, bits) - a - b, bits)
    return np.where(errors > 0, errors - (1 << bits), errors) if spec.window else errors
