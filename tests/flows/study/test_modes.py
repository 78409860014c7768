import numpy as np
import pytest

from lamina.flows.errors import UserError
from lamina.flows.study.modes import with_modes
from lamina.models.config import ResetRule
from lamina.models.program import Layer, Program
from lamina.models.ranges import accumulator_bits

TIERS = (2, 2, 2, 2)


@pytest.fixture(name="program")
def two_layers():
    def layer(name, axons, neurons):
        zero = np.zeros(neurons, dtype=np.int64)
        return Layer(name=name, weights=np.ones((axons, neurons), dtype=np.int64), decay=zero + 256,
                     theta=zero + 9, r=zero + 9, v_reset=zero, bias=zero, reset=ResetRule.SUBTRACT,
                     gated_tiers=1)
    return Program(name="n", layers=(layer("a", 784, 4), layer("b", 4, 2)), timesteps=1,
                   weight_bits=8, acc_bits=17, tier_millivolts=(700,) * 4, gated_tiers=2)


def test_new_modes_take_the_place_of_the_old(program):
    found = with_modes(program, "UV-PG1@0.8", TIERS, "zero")
    assert (found.gated_tiers, found.tier_fill) == (1, "zero")
    assert found.tier_millivolts == (1100, 1100, 800, 1100)
    assert [(layer.gated_tiers, layer.tier_millivolts) for layer in found.layers] == [(0, ())] * 2
    assert found.acc_bits == 17


def test_layers_are_named_as_in_the_program(program):
    found = with_modes(program, "b:UV-PG1@0.8", TIERS)
    assert (found.gated_tiers, found.tier_millivolts, found.tier_fill) == (0, (), "mid")
    assert [(layer.gated_tiers, layer.tier_millivolts) for layer in found.layers] == [
        (0, ()), (1, (1100, 1100, 800, 1100))]


def test_the_accumulator_grows_for_what_may_be_read(program):
    found = with_modes(program, "UV4@0.8", TIERS)
    assert found.acc_bits == 19 == accumulator_bits(
        found.layers, tiers=TIERS, gated=0, fill="mid", decay_bits=8, state_bits=16,
        millivolts=(800,) * 4)


def test_a_wrong_text_is_refused(program):
    with pytest.raises(UserError, match=r"^--tier-modes: layers are a, b, not 'c'$"):
        with_modes(program, "c:UV1@0.8", TIERS)
