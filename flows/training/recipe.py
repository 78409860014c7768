"""What makes a training run: everything that its result depends on."""

from __future__ import annotations

import dataclasses
import math

from lamina.flows.errors import UserError
from lamina.models.config import ResetRule

__all__ = ["Recipe", "WeightGrid"]

_WIDTHS = {"binary": 1, "ternary": 2}
_REACH = {1: 1.2, 2: 1.75, 3: 2.5, 4: 4.0}
_WIDEST = 0.25
"""Largest weight of a wide grid [threshold]."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class WeightGrid:
    """Codes of one layer's weights.

    Parameters
    ----------
    low, high : int
        Of the codes; -1 and 1 without 0 at one bit.
    levels : float
        Grid steps per threshold: a weight is ``code / levels``. Never a dyadic number, so that no
        membrane ties with the threshold.
    bits : int
        Of a code in memory.
    """

    low: int
    high: int
    levels: float
    bits: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training run, reproducible from these alone on one machine and number of threads.

    Parameters
    ----------
    architecture : str
        See :func:`lamina.flows.training.spec.parse_architecture`.
    weights : str
        ``1`` .. ``8``, ``16``, ``binary`` or ``ternary``.
    timesteps : int
        T of one sample.
    decay : int
        D of the leak ``v * D / 256``, 0..256.
    reset : str
        Label of a :class:`lamina.models.config.ResetRule`.
    epochs, batch, rate
        Passes over the training split, samples per step, peak learning rate.
    spike_penalty : float
        Price of a hidden spike per neuron and timestep.
    shift : int
        Augmentation: each batch moves by up to so many units in both directions.
    drop : float
        Augmentation: share of the input spikes that are left out.
    dropout : float
        Share of the last hidden layer that is left out, per sample.
    bit_errors : tuple of float
        Probability that a bit of a weight flips, by tier, most significant first; drawn for every
        batch. Empty: none.
    tiers : tuple of int
        Bits of the tiers that `bit_errors` belongs to.
    samples : int or None
        Of the training split; None: all.
    seed : int
    """

    architecture: str
    weights: str = "8"
    timesteps: int = 10
    decay: int = 192
    reset: str = "subtract"
    epochs: int = 16
    batch: int = 128
    rate: float = 4e-3
    spike_penalty: float = 0.0
    shift: int = 1
    drop: float = 0.0
    dropout: float = 0.0
    bit_errors: tuple[float, ...] = ()
    tiers: tuple[int, ...] = (2, 2, 2, 2)
    samples: int | None = None
    seed: int = 0

    def __post_init__(self):
        if self.weights not in (*map(str, range(1, 9)), "16", *_WIDTHS):
            raise UserError(f"--weights must be 1..8, 16, binary or ternary, not {self.weights!r}")
        try:
            ResetRule.from_label(self.reset)
        except ValueError as error:
            raise UserError(f"--{error}") from None
        for name, low, high in (("timesteps", 1, 65535), ("decay", 0, 256), ("epochs", 1, 10000),
                                ("batch", 1, 65536), ("shift", 0, 64)):
            if not low <= getattr(self, name) <= high:
                raise UserError(f"--{name} must be in {low}..{high}, not {getattr(self, name)}")
        for name in ("drop", "dropout", *(["bit_errors"] if self.bit_errors else [])):
            values = getattr(self, name)
            for value in values if isinstance(values, tuple) else (values,):
                if not 0 <= value < 1:
                    raise UserError(f"--{name.replace('_', '-')} must be in 0..1, not {value}")
        if self.bit_errors and len(self.bit_errors) != len(self.tiers):
            raise UserError(f"--bit-errors must have {len(self.tiers)} entries, one per tier, "
                            f"not {len(self.bit_errors)}")
        if self.bit_errors and sum(self.tiers) != self.bits:
            raise UserError(f"--bit-errors must go with weights as wide as the tiers, "
                            f"{sum(self.tiers)} bits, not {self.bits}")

    @property
    def bits(self) -> int:
        """Of a weight code."""
        return _WIDTHS.get(self.weights) or int(self.weights)

    @property
    def rule(self) -> ResetRule:
        """The reset rule."""
        return ResetRule.from_label(self.reset)

    def grid(self, fan_in: int) -> WeightGrid:
        """Codes of a layer whose neurons have `fan_in` weights.

        Narrow codes reach as far as the sum of many of them needs to cross the threshold.
        """
        bits = self.bits
        high = max(1, (1 << (bits - 1)) - 1)
        reach = min(1.0, _REACH[bits] / math.sqrt(fan_in)) if bits in _REACH else _WIDEST
        return WeightGrid(low=-high, high=high, levels=max(1, round(high / reach)) + 0.3, bits=bits)
