"""The power controller's rule against worked decisions, and what its parameters refuse."""

import dataclasses

import pytest

from lamina.models.config import PowerConfig
from lamina.models.energy import STACKED_45NM
from lamina.models.power import PowerState, decide, estimated_power, power_config

CONFIG = PowerConfig(tier_power=((40, 30), (20, 15)), fixed_power=5, hysteresis=2,
                     activity_bits=4)


def walk(state, budgets, *, activity=16, acknowledge=False):
    """Voltages and the request after each decision."""
    seen = []
    for budget in budgets:
        state = decide(CONFIG, state, budget=budget, activity=activity, acknowledge=acknowledge)
        seen.append((*state.voltages, state.rewriting))
    return seen


def test_the_least_significant_tier_goes_first_and_tier_0_stays():
    assert walk(PowerState.nominal(CONFIG), [65, 64, 60, 59, 44, 0, 0]) == [
        (0, 0, False), (0, 1, False), (0, 1, False), (0, 2, False), (1, 2, False), (1, 2, False),
        (1, 2, False)]


def test_the_way_back_leaves_room_and_waits_for_the_weights():
    lowest = PowerState(voltages=(1, 2))
    assert walk(lowest, [46, 47, 61, 62, 99, 99]) == [
        (1, 2, False), (0, 2, False), (0, 2, False), (0, 1, True), (0, 1, True), (0, 1, True)]
    waiting = PowerState(voltages=(0, 1), rewriting=True)
    assert waiting.gated(CONFIG) == (False, True)
    assert walk(waiting, [60], acknowledge=True) == [(0, 1, False)]
    assert walk(PowerState(voltages=(0, 1)), [66, 67]) == [(0, 1, False), (0, 0, False)]


def test_a_tier_goes_although_it_is_being_rewritten():
    waiting = PowerState(voltages=(0, 1), rewriting=True)
    for acknowledge in (False, True):
        assert walk(waiting, [59], acknowledge=acknowledge) == [(0, 2, False)]


def test_no_tier_comes_on_while_an_old_acknowledge_is_there():
    state = PowerState(voltages=(0, 2))
    assert state.gated(CONFIG) == (False, True)
    assert walk(state, [99], acknowledge=True) == [(0, 2, False)]
    assert walk(PowerState(voltages=(1, 2)), [99], acknowledge=True) == [(0, 2, False)]


def test_a_constant_budget_is_no_reason_to_oscillate():
    for budget in range(70):
        state = PowerState.nominal(CONFIG)
        for _ in range(6):
            state = decide(CONFIG, state, budget=budget, activity=16, acknowledge=False)
        assert decide(CONFIG, state, budget=budget, activity=16, acknowledge=False) == state


@pytest.mark.parametrize(("voltages", "activity", "power"), [
    ((0, 0), 16, 65), ((0, 0), 0, 5), ((0, 0), 1, 9), ((0, 1), 8, 33), ((1, 2), 16, 35)])
def test_power_is_rounded_up(voltages, activity, power):
    assert estimated_power(CONFIG, voltages, activity) == power


def test_powers_follow_the_law():
    config = power_config(STACKED_45NM, (1100, 800), tiers=4, full_power=10000, hysteresis=7,
                          activity_bits=3)
    assert config == PowerConfig(tier_power=((2292, 1213),) * 4, fixed_power=830, hysteresis=7,
                                 activity_bits=3)
    power = estimated_power(config, (0, 0, 0, 1), 8)
    assert power == pytest.approx(10000 * STACKED_45NM.relative((1.1, 1.1, 1.1, 0.8)), abs=3)


def test_derived_widths():
    assert (CONFIG.tiers, CONFIG.steps, CONFIG.off) == (2, 1, 2)
    assert (CONFIG.full_power, CONFIG.budget_bits) == (65, 7)


def test_json_keeps_everything():
    assert PowerConfig.from_json(CONFIG.to_json()) == CONFIG


@pytest.mark.parametrize(("changes", "message"), [
    ({"tier_power": ()}, r"^number of tiers must be in 1\.\.8, not 0$"),
    ({"tier_power": ((),)}, r"^voltages of a tier must be in 1\.\.16, not 0$"),
    ({"tier_power": ((2, 0),)}, r"^tier_power must be in 1\.\.65535, not 0$"),
    ({"tier_power": ((4, 3), (3, 3))},
     r"^tier_power must fall with every step, not \(3, 3\)$"),
    ({"tier_power": ((4, 3), (3,))},
     r"^tier_power must have as many voltages in every tier, not \(2, 1\)$"),
    ({"fixed_power": -1}, r"^fixed_power must be in 0\.\.65535, not -1$"),
    ({"hysteresis": 65536}, r"^hysteresis must be in 0\.\.65535, not 65536$"),
    ({"activity_bits": 0}, r"^activity_bits must be in 1\.\.16, not 0$")])
def test_bad_values_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CONFIG, **changes)


@pytest.mark.parametrize("table", [[(4, 3)], ([4, 3],)])
def test_a_table_of_tuples_is_wanted(table):
    with pytest.raises(TypeError, match=r"^tier_power must be a tuple of tuples, "
                                        r"not (\[\(4, 3\)\]|\(\[4, 3\],\))$"):
        PowerConfig(tier_power=table)
