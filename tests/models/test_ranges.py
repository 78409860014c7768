"""The accumulator bound against every membrane, spike pattern and prefix of tiny layers."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from lamina.models.config import ResetRule
from lamina.models.fixed import bounds, signed_bits
from lamina.models.neuron import lif_wraps
from lamina.models.ranges import accumulator_bits, sum_range
from lamina.models.tiers import effective_weights

WIDTHS = {"decay_bits": 4, "state_bits": 5}
MODES = {"tiers": (2, 2), "gated": 0, "fill": "mid"}


def sums_of(layer, n, weights):
    """Every sum that neuron `n` forms, over all membranes, currents and sets of active axons."""
    bias, theta, r = int(layer.bias[n]), int(layer.theta[n]), int(layer.r[n])
    subsets = {0}
    for weight in weights[:, n].tolist():
        subsets |= {total + weight for total in subsets}
    low, high = bounds(WIDTHS["state_bits"])
    currents = [0] if layer.current is None else range(low, high + 1)
    for v, total, current in itertools.product(range(low, high + 1), subsets, currents):
        prefix = leaked_by_hand(layer, n, v) + total
        a = prefix + bias + current
        yield from (prefix, prefix + bias, a)
        if layer.reset is ResetRule.SUBTRACT_DELAYED and v >= theta:
            yield a - r
        if layer.reset is ResetRule.SUBTRACT and a >= theta:
            yield a - r
        if layer.reset is ResetRule.SUBTRACT_REDERIVED:
            held = a - r * (v >= theta)
            yield from (held, a - r * (held >= theta))


def leaked_by_hand(layer, n, v):
    """u of neuron `n` in Python integers."""
    constant = int(layer.decay[n])
    if layer.leak == "decay":
        return v * constant >> WIDTHS["decay_bits"]
    return max(v - constant, 0) if v > 0 else min(v + constant, 0)


def test_every_model_by_exhaustion(random_layer, random_model):
    rng = np.random.default_rng(3)
    exact, models = 0, set()
    for number in range(60):
        layer = random_layer(rng, name="l", axons=int(rng.integers(1, 3)), neurons=1,
                             weight_bits=4, **WIDTHS)
        layer = dataclasses.replace(random_model(rng, layer, WIDTHS["state_bits"]),
                                    current=(None, 0)[number % 2])
        sums = [*sums_of(layer, 0, layer.weights)]
        low, high = sum_range(layer, layer.weights, **WIDTHS)
        assert low <= min(sums) and max(sums) <= high
        exact += (low, high) == (min(sums), max(sums))
        models |= {layer.reset, layer.leak, layer.current, layer.spiking + 10}
    assert exact >= 50
    assert models == {*ResetRule, "decay", "subtract", None, 0, 10, 11}


def test_sufficient_and_tight_by_exhaustion(random_layer):
    rng = np.random.default_rng(0)
    exact, rules = 0, []
    for _ in range(150):
        layer = random_layer(rng, name="l", axons=int(rng.integers(1, 6)), neurons=2,
                             weight_bits=4, **WIDTHS)
        sums = [*sums_of(layer, 0, layer.weights), *sums_of(layer, 1, layer.weights)]
        low, high = sum_range(layer, layer.weights, **WIDTHS)
        assert low <= min(sums) and max(sums) <= high
        floor = WIDTHS["state_bits"] + 1
        needed = max(floor, signed_bits(min(sums), max(sums)))
        bits = accumulator_bits([layer], **MODES, **WIDTHS)
        assert needed <= bits <= needed + 1
        exact += bits == needed
        rules.append(layer.reset)
    assert exact >= 145 and set(rules) == set(ResetRule)


@pytest.mark.parametrize(("constants", "reset", "expected"), [
    ({}, ResetRule.VALUE, (-16 - 7, 15 + 9)),
    ({"decay": 8}, ResetRule.VALUE, (-8 - 7, 7 + 9)),
    ({"decay": 0, "bias": 3}, ResetRule.VALUE, (-7, 12)),
    ({"decay": 0, "bias": -3}, ResetRule.VALUE, (-10, 9)),
    ({"decay": 0, "r": 15, "theta": 2}, ResetRule.SUBTRACT, (2 - 15, 9)),
    ({"decay": 0, "r": 15, "theta": 10}, ResetRule.SUBTRACT, (-7, 9)),
    ({"decay": 0, "r": -15, "theta": 9}, ResetRule.SUBTRACT, (-7, 24)),
    ({"decay": 0, "r": -15, "theta": 10}, ResetRule.SUBTRACT, (-7, 9)),
    ({"decay": 16, "r": 15, "theta": 2}, ResetRule.SUBTRACT_DELAYED, (-23, 24)),
    ({"decay": 0, "r": 15, "theta": 2}, ResetRule.SUBTRACT_DELAYED, (-22, 9)),
    ({"decay": 16, "r": -15, "theta": 2}, ResetRule.SUBTRACT_DELAYED, (-23, 39))])
def test_range_worked_by_hand(make_layer, constants, reset, expected):
    constants = {"decay": 16, "theta": 10} | constants
    layer = make_layer(weights=[[5], [-7], [4]], reset=reset, **constants)
    assert sum_range(layer, layer.weights, **WIDTHS) == expected


def test_every_tier_mode_is_covered(make_layer):
    layer = make_layer(weights=[[-3]] * 10, decay=0, theta=15)
    assert accumulator_bits([layer], **MODES, **WIDTHS) == 6
    for fill, weight in [("zero", -4), ("mid", -2)]:
        assert effective_weights([-3], (2, 2), 1, fill).tolist() == [weight]
    worse = make_layer(weights=[[-3]] * 9, decay=0, theta=15)
    for gated in ({"gated": 1}, {"gated": 0}):
        modes = MODES | gated | {"fill": "zero"}
        assert accumulator_bits([worse], **modes, **WIDTHS) == (7 if gated["gated"] else 6)
    own = make_layer(weights=[[-3]] * 9, decay=0, theta=15, gated_tiers=1)
    assert accumulator_bits([own], **(MODES | {"fill": "zero"}), **WIDTHS) == 7
    nominal = make_layer(weights=[[-3]] * 11, decay=0, theta=15)
    assert accumulator_bits([nominal], **(MODES | {"gated": 1}), **WIDTHS) == 7


def test_a_layer_gated_alone_is_covered(make_layer):
    def bits(layer_gated, gated):
        layer = make_layer(weights=[[6]] * 5, decay=0, theta=15, gated_tiers=layer_gated)
        return accumulator_bits([layer], tiers=(2, 1, 1), gated=gated, fill="mid", **WIDTHS)

    assert effective_weights([6], (2, 1, 1), 1, "mid").tolist() == [7]
    assert effective_weights([6], (2, 1, 1), 2, "mid").tolist() == [6]
    assert [bits(0, 0), bits(0, 1), bits(0, 2), bits(1, 2)] == [6, 7, 6, 7]


def test_the_widest_layer_decides(make_layer):
    small, large = (make_layer(weights=[[7]] * axons, decay=16, theta=15) for axons in (2, 100))
    alone = accumulator_bits([large], **MODES, **WIDTHS)
    assert accumulator_bits([small], **MODES, **WIDTHS) == 6 < alone
    assert accumulator_bits([small, large], **MODES, **WIDTHS) == alone
    assert accumulator_bits([], **MODES, **WIDTHS) == 6


def test_one_bit_less_really_wraps(make_layer):
    layer = make_layer(weights=[[7]] * 7, decay=16, theta=15)
    bits = accumulator_bits([layer], **MODES, **WIDTHS)
    worst = np.array([[15]]), np.ones((1, 7), dtype=np.uint8)
    assert bits == 8
    assert lif_wraps(layer, *worst, decay_bits=4, acc_bits=bits) == 0
    assert lif_wraps(layer, *worst, decay_bits=4, acc_bits=bits - 1) == 1


def test_refusal(make_layer):
    with pytest.raises(ValueError, match=r"^weights must be in -8\.\.7 for tiers \(2, 2\), not 8$"):
        accumulator_bits([make_layer(weights=[[8]])], **MODES, **WIDTHS)


def test_a_failing_sign_reaches_both_ways(make_layer):
    """Codes 0100 may read as 1000: -8 by 40 axons below the store's -16."""
    layer = make_layer(weights=[[4]] * 40, reset=ResetRule.VALUE, decay=16, theta=15)
    assert accumulator_bits([layer], **MODES, **WIDTHS) == 9
    assert accumulator_bits([layer], **MODES, **WIDTHS, millivolts=(800, 1100)) == 10


def test_whatever_failing_tiers_give_back_cannot_wrap(random_layer):
    """Every weight that tier 1 of two may read as, by exhaustion."""
    rng = np.random.default_rng(4)
    wider = 0
    for _ in range(40):
        layer = random_layer(rng, name="l", axons=2, neurons=1, weight_bits=4, **WIDTHS)
        sums = []
        for low_bits in itertools.product(range(4), repeat=2):
            sums += sums_of(layer, 0, layer.weights & ~3 | np.array(low_bits)[:, None])
        needed = max(WIDTHS["state_bits"] + 1, signed_bits(min(sums), max(sums)))
        bits = accumulator_bits([layer], **MODES, **WIDTHS, millivolts=(1100, 800))
        assert needed <= bits <= needed + 1
        own = dataclasses.replace(layer, tier_millivolts=(1100, 800))
        assert accumulator_bits([own], **MODES, **WIDTHS) == bits
        wider += bits > accumulator_bits([layer], **MODES, **WIDTHS)
    assert wider
