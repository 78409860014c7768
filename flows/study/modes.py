"""A finished program in other tier modes."""

from __future__ import annotations

import dataclasses

from lamina.flows.frontend.tier_modes import parse_tier_modes
from lamina.models.adders.spec import EXACT
from lamina.models.program import Program
from lamina.models.ranges import accumulator_bits

__all__ = ["at_nominal", "is_nominal", "with_modes"]


def with_modes(program: Program, text: str, tiers: tuple[int, ...],
               fill: str | None = None) -> Program:
    """`program` with the voltages and gates of ``--tier-modes TEXT``, whatever it had before.

    Its integers stay; the accumulator grows where failing cells could make a sum wrap.

    Parameters
    ----------
    program : Program
    text : str
        See :func:`lamina.flows.frontend.tier_modes.parse_tier_modes`; layers by their own names.
    tiers : tuple of int
        Bits of each memory tier, most significant first.
    fill : str or None
        ``mid`` or ``zero``; None: as it was.

    Raises
    ------
    UserError
        If the text is wrong.
    """
    modes = parse_tier_modes(text, len(tiers), {layer.name: layer.name for layer in program.layers})
    settings = [modes.layers.get(layer.name) for layer in program.layers]
    layers = tuple(dataclasses.replace(
        layer, gated_tiers=setting.gated if setting else 0,
        tier_millivolts=setting.millivolts if setting else ())
        for layer, setting in zip(program.layers, settings, strict=True))
    fill = fill or program.tier_fill
    needed = accumulator_bits(layers, tiers=tiers, gated=modes.program.gated, fill=fill,
                              decay_bits=program.decay_bits, state_bits=program.state_bits,
                              millivolts=modes.program.millivolts)
    return dataclasses.replace(
        program, layers=layers, gated_tiers=modes.program.gated, tier_fill=fill,
        tier_millivolts=modes.program.millivolts, acc_bits=max(program.acc_bits, needed))


def at_nominal(program: Program) -> Program:
    """`program` with exact adders and every tier on at its nominal voltage.

    Biases that take back the mean error of adders stay as they are.
    """
    layers = tuple(dataclasses.replace(layer, adder=EXACT.name, kappa=0, gated_tiers=0,
                                       tier_millivolts=()) for layer in program.layers)
    return dataclasses.replace(program, layers=layers, gated_tiers=0, tier_millivolts=())


def is_nominal(program: Program) -> bool:
    """Whether `program` has exact adders and every tier on at its nominal voltage."""
    return not (program.gated_tiers or program.tier_millivolts or any(
        layer.adder != EXACT.name or layer.gated_tiers or layer.tier_millivolts
        for layer in program.layers))
