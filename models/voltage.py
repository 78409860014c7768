"""Supply voltages of the memory tiers, and how often a cell fails at one."""

from __future__ import annotations

import math

from lamina.models.program import Layer, Program

__all__ = ["BIT_ERROR_RATES", "NOMINAL_MILLIVOLTS", "bit_error_rate", "can_fail",
           "failing_tiers", "supplies"]

BIT_ERROR_RATES = {0.85: 0.0, 0.825: 0.00116, 0.80: 0.01903, 0.775: 0.11519, 0.75: 0.27163,
                   0.725: 0.43982, 0.70: 0.62309}
"""Share of failing cells at a supply [V], measured at 45 nm (Nguyen 2023b)."""

NOMINAL_MILLIVOLTS = 1100
"""Supply at which a tier works as designed [mV]."""
_LOWEST, _SAFE, _NOMINAL = 0.60, 0.85, 1.10
_CURVE = (-120.19, 156.82, -50.61)
_TURN = -_CURVE[1] / (2 * _CURVE[0])


def bit_error_rate(volts: float) -> float:
    """Share of the memory cells that fail at a supply of `volts`, at 45 nm.

    ``p = Phi(-120.19 V**2 + 156.82 V - 50.61)`` below .85 V with the normal distribution's Phi, a
    fit to :data:`BIT_ERROR_RATES`, and 0 from .85 V up. The parabola turns at .652 V; below that p
    keeps its largest value .707, so that it never falls with the voltage.

    Parameters
    ----------
    volts : float
        .60 .. 1.10 [V].

    Raises
    ------
    ValueError
        If the voltage is outside: nothing was measured there.
    """
    if not _LOWEST <= volts <= _NOMINAL:
        raise ValueError(f"voltage must be in {_LOWEST:.2f}..{_NOMINAL:.2f} V, not {volts}")
    if volts >= _SAFE:
        return 0.0
    volts = max(volts, _TURN)
    square, slope, offset = _CURVE
    return 0.5 * math.erfc(-(square * volts**2 + slope * volts + offset) / math.sqrt(2))


def failing_tiers(millivolts: tuple[int, ...], tiers: int) -> tuple[bool, ...]:
    """Whether cells of each of `tiers` tiers fail at its supply [mV]; empty: all nominal.

    Raises
    ------
    ValueError
        If the voltages are not one per tier.
    """
    if len(millivolts) not in (0, tiers):
        raise ValueError(f"tier_millivolts must have {tiers} entries, one per tier, "
                         f"not {len(millivolts)}")
    return tuple(bit_error_rate(supply / 1000) > 0
                 for supply in millivolts or (NOMINAL_MILLIVOLTS,) * tiers)


def supplies(program: Program, layer: Layer, tiers: int) -> tuple[float, ...]:
    """Supply of each of `tiers` tiers while `layer` runs [V], 0 where it is gated.

    The layer's own voltages take the place of the program's.

    Raises
    ------
    ValueError
        If the voltages are not one per tier.
    """
    given = layer.tier_millivolts or program.tier_millivolts or (NOMINAL_MILLIVOLTS,) * tiers
    if len(given) != tiers:
        raise ValueError(f"{layer.name}: tier_millivolts must have {tiers} entries, one per tier, "
                         f"not {len(given)}")
    on = tiers - max(program.gated_tiers, layer.gated_tiers)
    return tuple(millivolts / 1000 if tier < on else 0.0
                 for tier, millivolts in enumerate(given))


def can_fail(program: Program, tiers: int) -> bool:
    """Whether some tier that is read has a supply at which cells fail."""
    return any(volts and bit_error_rate(volts) for layer in program.layers
               for volts in supplies(program, layer, tiers))
