"""Random programs and spikes that fit a hardware configuration and do make it spike."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable

import numpy as np

from lamina.models.adders.spec import AdderSpec
from lamina.models.config import HardwareConfig, ResetRule
from lamina.models.placement import misfits
from lamina.models.program import Layer, Program
from lamina.models.ranges import accumulator_bits

__all__ = ["has_windows", "own_width", "random_program", "random_spikes"]

_DENSITIES = (0.0, 0.1, 0.3, 0.6, 1.0)


def _random_layer(rng: np.random.Generator, name: str, axons: int, neurons: int, weight_bits: int,
                  config: HardwareConfig) -> Layer:
    """One layer whose thresholds lie where a third of its axons reach them now and then."""
    half = 1 << (weight_bits - 1)
    weights = rng.integers(-half, half, (axons, neurons))
    if weight_bits == 1:
        weights = rng.choice((-1, 1), (axons, neurons))
    limit = (1 << (config.state_bits - 1)) - 1
    scale = max(1.0, float(np.abs(weights).mean()) * np.sqrt(axons))
    small = [np.clip(np.rint(rng.normal(centre, 0.5, neurons) * scale), -limit - 1, limit)
             .astype(np.int64) for centre in (0.7, 0.7, 0.0)]
    reset = ResetRule(int(rng.integers(3 + config.has("rederived"))))
    zero = np.zeros(neurons, dtype=np.int64)
    late = reset in (ResetRule.SUBTRACT_DELAYED, ResetRule.SUBTRACT_REDERIVED)
    theta = np.maximum(small[0], 1) if late else small[0]
    full = 1 << config.decay_bits
    decay = rng.choice((0, full // 2, full * 7 // 8, full - 1, full), neurons)
    return Layer(
        name=name, weights=weights, decay=decay, theta=theta, bias=small[2] // 4, reset=reset,
        r=zero if reset is ResetRule.VALUE else small[1],
        v_reset=small[1] // 2 if reset is ResetRule.VALUE else zero,
        report=bool(rng.integers(2)), adder=str(rng.choice(config.adders)),
        gated_tiers=int(len(config.tiers) > 1 and rng.random() < 0.25))


def _random_model(rng: np.random.Generator, layer: Layer, config: HardwareConfig) -> Layer:
    """`layer`, if `config` can now and then with another leak, a rest or a bias per spike."""
    changes = {}
    if config.has("subtractive") and rng.random() < 0.4:
        changes |= {"leak": "subtract", "decay": np.abs(layer.theta) // 8}
    if config.has("refractory") and layer.reset is ResetRule.VALUE and rng.random() < 0.6:
        changes |= {"refractory": 1}
    if config.has("follow") and rng.random() < 0.6:
        changes |= {"kappa": int(rng.integers(-40, 41))}
    return dataclasses.replace(layer, **changes)


def _with_currents(rng: np.random.Generator, layers: list[Layer]) -> tuple[Layer, ...]:
    """Split some of `layers` into a synaptic current and its neuron; the last one may integrate."""
    found: list[Layer] = []
    for number, layer in enumerate(layers):
        draw, zero = rng.random(), np.zeros(layer.neurons, dtype=np.int64)
        still = dataclasses.replace(
            layer, name=f"{layer.name}.current", reset=ResetRule.VALUE, spiking=False, theta=zero,
            r=zero, v_reset=zero, refractory=0)
        if 0 < number == len(layers) - 1 and draw < 0.3:
            found.append(still)
        elif draw < 0.6:
            found += [still, dataclasses.replace(
                layer, weights=layer.weights[:0], current=len(found), gated_tiers=0)]
        else:
            found.append(layer)
    return tuple(found)


def _random_sizes(rng: np.random.Generator, config: HardwareConfig) -> list[int]:
    """Axons, then neurons of 1..3 layers, biased to ragged last groups."""
    count = int(rng.integers(1, min(3, config.layers, config.groups) + 1))
    room = config.groups // count * config.lanes
    axons = int(rng.integers(1, config.axons + 1))
    return [axons, *(int(rng.integers(1, min(room, 4 * config.lanes) + 1)) for _ in range(count))]


def has_windows(layers: Iterable[Layer]) -> bool:
    """Whether some layer has a windowed adder, whose errors may wrap a sum."""
    return any(AdderSpec.parse(layer.adder).window for layer in layers)


def own_width(layers: Iterable[Layer], config: HardwareConfig, acc_bits: int) -> int:
    """`acc_bits`, or of layers with windowed adders, which depend on it, the core's width."""
    return config.acc_bits if has_windows(layers) and acc_bits <= config.acc_bits else acc_bits


def random_program(rng: np.random.Generator, config: HardwareConfig, *,
                   timesteps: int = 6) -> Program:
    """Draw a program of 1..3 layers that fits `config`: any neuron model, ragged groups, gates.

    The layers are a chain; synaptic currents come on top of them where `config` has them. Its
    accumulator width is the one that the range analysis asks for.
    """
    while True:
        sizes = _random_sizes(rng, config)
        gateable = len(config.tiers) - 1
        widths = [bits for bits in (1, 2, 3, 4, 8, 16)
                  if max(2, bits) <= config.weight_bits] or [1]
        weight_bits = int(rng.choice(widths))
        gated = int(rng.integers(2)) if gateable > 1 else 0
        layers = tuple(_random_model(rng, _random_layer(
            rng, f"layer{k}", before, after, weight_bits, config), config)
            for k, (before, after) in enumerate(itertools.pairwise(sizes)))
        if config.has("currents"):
            layers = _with_currents(rng, layers)
        fill = str(rng.choice(("mid", "zero")))
        acc_bits = accumulator_bits(layers, tiers=config.tiers, gated=gated, fill=fill,
                                    decay_bits=config.decay_bits, state_bits=config.state_bits)
        acc_bits = own_width(layers, config, acc_bits)
        program = Program(
            name="random", layers=layers, timesteps=timesteps, weight_bits=weight_bits,
            acc_bits=acc_bits, decay_bits=config.decay_bits, state_bits=config.state_bits,
            gated_tiers=gated, tier_fill=fill)
        if not misfits(program, config):
            return program


def random_spikes(rng: np.random.Generator, program: Program, samples: int) -> np.ndarray:
    """Spikes, uint8 (samples, timesteps, axons); each timestep silent, sparse, dense or full."""
    shape = (samples, program.timesteps, program.axons)
    density = rng.choice(_DENSITIES, (*shape[:2], 1))
    return (rng.random(shape) < density).astype(np.uint8)
