"""Random layers and programs that reach every branch of the golden model, and a scalar neuron."""

from __future__ import annotations

import dataclasses
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


def random_model(rng, layer, state_bits) -> Layer:
    """Turn `layer` now and then into an integrator, a refractory one, one that leaks by lambda."""
    changes = {}
    if rng.random() < 0.4:
        usual = rng.integers(0, 20, layer.neurons)
        most = (1 << state_bits - 1) - 1
        changes |= {"leak": "subtract",
                    "decay": np.where(rng.random(layer.neurons) < 0.1, most, usual)}
    if layer.reset is ResetRule.VALUE and rng.random() < 0.5:
        changes |= {"refractory": 1}
    elif layer.reset is ResetRule.VALUE and rng.random() < 0.6:
        zeros = np.zeros(layer.neurons, dtype=np.int64)
        changes |= {"spiking": False, "theta": zeros, "v_reset": zeros}
    return dataclasses.replace(layer, **changes)


def fold(value: int, bits: int) -> int:
    """`value` modulo ``2**bits``, signed."""
    return (value + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)


def scalar_step(layer, n, v, weights, *, decay_bits, state_bits, acc_bits, current=0, spiked=0):
    """Neuron `n` in Python integers, one condition after the other, folded after every addition.

    `weights` are those that arrive. Returns (spike, v_new, a).
    """
    constant = int(layer.decay[n])
    if layer.leak == "decay":
        x = v * constant // (1 << decay_bits)
    elif v >= 0:
        x = v - constant if v > constant else 0
    else:
        x = v + constant if -v > constant else 0
    for weight in (*weights, int(layer.bias[n]), current):
        x = fold(x + weight, acc_bits)
    theta, r = int(layer.theta[n]), int(layer.r[n])
    half = 1 << state_bits - 1
    late = layer.reset in (ResetRule.SUBTRACT_DELAYED, ResetRule.SUBTRACT_REDERIVED)
    a = fold(x - r, acc_bits) if late and v >= theta else x
    if layer.refractory and spiked:
        return 0, int(layer.v_reset[n]), a
    spike = layer.spiking and a >= theta
    stored = a
    if layer.reset in (ResetRule.SUBTRACT, ResetRule.SUBTRACT_REDERIVED):
        stored = fold(x - r, acc_bits) if spike else x
    elif layer.reset is ResetRule.VALUE and spike:
        stored = int(layer.v_reset[n])
    return int(spike), min(max(stored, -half), half - 1), a


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


@pytest.fixture(name="random_model")
def random_model_fixture():
    """The function :func:`random_model`."""
    return random_model


@pytest.fixture(name="scalar_step")
def scalar_step_fixture():
    """The function :func:`scalar_step`."""
    return scalar_step


@pytest.fixture(name="random_program")
def random_program_fixture():
    """The function :func:`random_program`."""
    return random_program
