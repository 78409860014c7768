"""Run-time controller of the supplies: tiers are lowered and gated to stay within a budget."""

from __future__ import annotations

import dataclasses

from lamina.models.config import PowerConfig
from lamina.models.energy import MemoryLaw

__all__ = ["PowerState", "decide", "estimated_power", "power_config"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PowerState:
    """What the tiers are supplied with.

    Parameters
    ----------
    voltages : tuple of int
        Code per tier, tier 0 first: 0 nominal .. ``steps`` V_min, ``off`` no supply.
    rewriting : bool
        The lowest tier with a supply waits for its weights.
    """

    voltages: tuple[int, ...]
    rewriting: bool = False

    @classmethod
    def nominal(cls, config: PowerConfig) -> PowerState:
        """After reset: every tier at its nominal voltage."""
        return cls(voltages=(0,) * config.tiers)

    def lowest_on(self, config: PowerConfig) -> int:
        """k: the highest-numbered, least significant tier with a supply."""
        return max(tier for tier, code in enumerate(self.voltages) if code != config.off)

    def gated(self, config: PowerConfig) -> tuple[bool, ...]:
        """Per tier, whether the data path must not use it: without supply or not yet rewritten."""
        on = self.lowest_on(config) + (not self.rewriting)
        return tuple(tier >= on for tier in range(config.tiers))


def power_config(law: MemoryLaw, millivolts: tuple[int, ...], *, tiers: int, full_power: int,
                 hysteresis: int = 0, activity_bits: int = 8) -> PowerConfig:
    """Controller of `tiers` equal tiers whose power follows `law`, ``V**2`` and a fixed part.

    Parameters
    ----------
    law : MemoryLaw
    millivolts : tuple of int
        Supplies from nominal down to V_min [mV].
    tiers : int
    full_power : int
        What all tiers at the nominal voltage of `law` are to amount to [LSB], up to rounding.
    hysteresis, activity_bits : int
        See :class:`lamina.models.config.PowerConfig`.
    """
    squares = [(supply / 1000 / law.nominal_volts) ** 2 for supply in millivolts]
    powers = tuple(round(full_power * law.scaled * square / tiers) for square in squares)
    return PowerConfig(tier_power=(powers,) * tiers, fixed_power=round(full_power * law.fixed),
                       hysteresis=hysteresis, activity_bits=activity_bits)


def estimated_power(config: PowerConfig, voltages: tuple[int, ...], activity: int) -> int:
    """``fixed + ceil(activity * sum_i P_i(V_i) / 2**F)`` [LSB], 0 for a tier that is off.

    Parameters
    ----------
    config : PowerConfig
    voltages : tuple of int
        Code per tier.
    activity : int
        0..2**F, e.g. the share of cycles with an access to the memory.
    """
    supplied = sum(powers[code] for powers, code in zip(config.tier_power, voltages, strict=True)
                   if code != config.off)
    return config.fixed_power - (-activity * supplied >> config.activity_bits)


def decide(config: PowerConfig, state: PowerState, *, budget: int, activity: int,
           acknowledge: bool) -> PowerState:
    """State after one decision: one step down, one step up, or none.

    With k the lowest tier that is on: above the budget V_k falls by a step; at V_min tier k is
    gated, unless it is tier 0. Otherwise, if the power after it and the hysteresis are within the
    budget, V_k rises by a step; at the nominal voltage tier k + 1 is switched on at V_min and its
    weights are asked for. Until they are acknowledged nothing is raised; a tier that has to go
    before that goes without them. Source: the patented run-time controller of stacked tiers; their
    voltages: Nguyen 2023b (see README, References).

    Parameters
    ----------
    config : PowerConfig
    state : PowerState
    budget : int
        [LSB]
    activity : int
        0..2**F, what both estimates assume.
    acknowledge : bool
        The weights that were asked for are written. While it is still given for an earlier
        request no tier is switched on.
    """
    voltages, lowest = list(state.voltages), state.lowest_on(config)
    if estimated_power(config, state.voltages, activity) > budget:
        if lowest == 0 and voltages[0] == config.steps:
            return state
        voltages[lowest] += 1
        return PowerState(voltages=tuple(voltages),
                          rewriting=state.rewriting and voltages[lowest] != config.off)
    if state.rewriting:
        return dataclasses.replace(state, rewriting=not acknowledge)
    raised = lowest if voltages[lowest] else lowest + 1
    if raised == config.tiers or (raised != lowest and acknowledge):
        return state
    voltages[raised] -= 1
    if estimated_power(config, tuple(voltages), activity) + config.hysteresis > budget:
        return state
    return PowerState(voltages=tuple(voltages), rewriting=raised != lowest)
