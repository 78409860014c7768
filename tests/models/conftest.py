"""Random layers and programs that reach every branch of the golden model."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from lamina.models.config import ResetRule
from lamina.models.program import Layer, Program
from lamina.models.ranges import accumulator_bits


def make_layer(*, weights, reset=ResetRule.SUBTRACT, name="layer", **vectors) -> Layer:
    """Build a layer from nested lists; scalars are repeated for every neuron."""
    weights = np.array(weights, dtype=np.int64)
    reach = {"decay": 256, "theta": 100, "r": 0, "v_reset": 0, "bias": 0}
    fields = {key: np.broadcast_to(np.array(vectors.pop(key, value), dtype=np.int64),
                                   weights.shape[1]) for key, value in reach.items()}
    return Layer(name=name, weights=weights, reset=reset, **fields, **vectors)


def random_layer(rng, *, name, axons, neurons, weight_bits, state_bits, decay_bits) -> Layer:
    """Draw a layer; one in four constants is an extreme of its range."""
    def draw(low, high, spread):
        usual = np.clip(rng.integers(-spread, spread + 1, neurons), low, high)
        return np.where(rng.random(neurons) < 0.25, rng.choice([low, high], neurons), usual)

    half = 1 << (state_bits - 1)
    code = 1 << (weight_bits - 1)
    spread = min(half - 1, 4 * code)
    rule = ResetRule(int(rng.integers(len(ResetRule))))
    delayed = rule in (ResetRule.SUBTRACT_DELAYED, ResetRule.SUBTRACT_REDERIVED)
    lowest = 1 if delayed else -half
    usual = np.abs(draw(-half, half - 1, spread)) // 2
    theta = np.where(rng.random(neurons) < 0.1, rng.choice([lowest, half - 1], neurons), usual)
    amount = draw(-half, half - 1, spread)
    zeros = np.zeros(neurons, dtype=np.int64)
    weights = rng.integers(-code, code, (axons, neurons))
    if rng.random() < 0.3:
        weights = np.where(rng.random(weights.shape) < 0.5, -code, code - 1)
    return Layer(
        name=name, weights=weights, reset=rule, theta=np.clip(theta, lowest, half - 1),
        decay=rng.choice([0, 1, 1 << decay_bits, (1 << decay_bits) - 1,
                          int(rng.integers(1 << decay_bits))], neurons),
        r=zeros if rule is ResetRule.VALUE else amount,
        v_reset=amount if rule is ResetRule.VALUE else zeros,
        bias=draw(-half, half - 1, spread // 4 + 1))


def random_program(rng, *, tiers=(2, 2, 2, 2), timesteps=6, **fixed) -> Program:
    """Draw a program of 1..3 layers whose accumulators cannot wrap."""
    weight_bits = sum(tiers)
    widths = {"decay_bits": int(rng.integers(4, 17)), "state_bits": int(rng.integers(8, 33))}
    widths |= {key: fixed.pop(key) for key in ("decay_bits", "state_bits") if key in fixed}
    sizes = [int(rng.integers(1, 20)) for _ in range(int(rng.integers(2, 5)))]
    layers = tuple(
        random_layer(rng, name=f"layer{k}", axons=before, neurons=after, weight_bits=weight_bits,
                     **widths)
        for k, (before, after) in enumerate(itertools.pairwise(sizes)))
    modes = {"gated_tiers": 0, "tier_fill": "mid"} | fixed
    acc_bits = accumulator_bits(layers, tiers=tiers, gated=modes["gated_tiers"],
                                fill=modes["tier_fill"], **widths)
    return Program(name="random", layers=layers, timesteps=timesteps, weight_bits=weight_bits,
                   acc_bits=acc_bits, **widths, **modes)


@pytest.fixture(name="make_layer")
def make_layer_fixture():
    """The function :func:`make_layer`."""
    return make_layer


@pytest.fixture(name="random_layer")
def random_layer_fixture():
    """The function :func:`random_layer`."""
    return random_layer


@pytest.fixture(name="random_program")
def random_program_fixture():
    """The function :func:`random_program`."""
    return random_program
