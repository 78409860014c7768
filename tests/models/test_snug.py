"""Cores made to measure for a program."""

import itertools

import numpy as np
import pytest

from lamina.models.config import HardwareConfig, ResetRule
from lamina.models.placement import misfits, snug
from lamina.models.program import Layer, Program

WORD_BITS = 128


def program_of(*shape, bits=8, millivolts=()):
    layers = []
    for number, (axons, neurons) in enumerate(itertools.pairwise(shape)):
        zero = np.zeros(neurons, dtype=np.int64)
        layers.append(Layer(
            name=f"fc{number}", weights=np.ones((axons, neurons), dtype=np.int64),
            decay=zero + 192, theta=zero + 9, r=zero, v_reset=zero, bias=zero,
            reset=ResetRule.SUBTRACT))
    return Program(name="net", layers=tuple(layers), timesteps=4, weight_bits=bits, decay_bits=8,
                   state_bits=12, acc_bits=14, tier_millivolts=millivolts)


@pytest.mark.parametrize(("bits", "lanes", "tiers"), [
    (8, 16, (2, 2, 2, 2)), (4, 32, (2, 2)), (3, 32, (2, 2)), (2, 64, (2,)), (1, 64, (1,))])
def test_a_weight_word_keeps_its_width(bits, lanes, tiers):
    program = program_of(784, 48, 10, bits=bits)
    config = snug(program, HardwareConfig(), WORD_BITS)
    assert (config.lanes, config.tiers) == (lanes, tiers)
    assert not misfits(program, config)
    assert (config.state_bits, config.acc_bits, config.layers) == (12, 14, 2)


def test_lanes_are_no_more_than_neurons():
    config = snug(program_of(20, 7, 3, bits=2), HardwareConfig(), WORD_BITS)
    assert config.lanes == 8 and config.axons == 32 and config.groups == 2
    assert config.weight_words == 32


def test_words_are_whole_macros():
    config = snug(program_of(784, 48, 10), HardwareConfig(), WORD_BITS)
    assert config.weight_words == 5 * 512 and config.axons == 1024


def test_tiers_that_modes_speak_of_stay():
    program = program_of(784, 48, 10, bits=4, millivolts=(1100, 1100, 1100, 800))
    config = snug(program, HardwareConfig(), WORD_BITS)
    assert config.tiers == (2, 2, 2, 2) and config.lanes == 16
