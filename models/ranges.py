"""Accumulator width by range analysis: the smallest one in which no sum can wrap."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from lamina.models.adders.errors import weight_errors
from lamina.models.adders.spec import EXACT, AdderSpec
from lamina.models.config import KAPPA_BITS, ResetRule
from lamina.models.fixed import bounds, signed_bits
from lamina.models.neuron import leaked
from lamina.models.program import Layer
from lamina.models.tiers import effective_weights, readable_codes
from lamina.models.voltage import failing_tiers

__all__ = ["accumulator_bits", "sum_range"]


def sum_range(
    layer: Layer, weights: np.ndarray, *, decay_bits: int, state_bits: int, acc_bits: int = 40,
    lowest: np.ndarray | None = None,
) -> tuple[int, int]:
    """Lowest and highest value [LSB] of any sum that `layer` forms with the given `weights`.

    It covers every membrane in `state_bits`, every set of active axons (of a convolution every set
    of active units in a window, pooled ones included), and every prefix of the leaked membrane plus
    weights plus bias plus current, then ``x - p*r`` or ``x - spike*r``; every addition with the
    largest error that the layer's adder can make on that weight.

    Parameters
    ----------
    layer : Layer
    weights : int array (axons, neurons)
        What the lanes see [LSB].
    decay_bits, state_bits : int
        F and store width [bit].
    acc_bits : int
        Width of the adders, which a windowed one can err by.
    lowest : int array (axons, neurons) or None
        Smallest weights that can be read where memory fails, `weights` being the largest; None:
        `weights` are certain.
    """
    v_low, v_high = bounds(state_bits)
    times = _most_spikes(layer)[:, None]
    under, over = _adder_errors(layer, weights if lowest is None else None, acc_bits)
    lowest = weights if lowest is None else lowest
    positive = _per_neuron(layer, (np.maximum(weights + over, 0) * times).sum(axis=0))
    negative = _per_neuron(layer, (np.minimum(lowest + under, 0) * times).sum(axis=0))
    low = leaked(layer, np.full(layer.neurons, v_low), decay_bits) + negative
    high = leaked(layer, np.full(layer.neurons, v_high), decay_bits) + positive
    follow = layer.kappa * layer.most_spikes >> KAPPA_BITS
    lows, highs = [low, low + layer.bias], [high, high + layer.bias]
    lows.append(lows[-1] + min(0, follow))
    highs.append(highs[-1] + max(0, follow))
    if layer.current is not None:
        lows.append(lows[-1] + v_low)
        highs.append(highs[-1] + v_high)
    least, most = lows[-1], highs[-1]
    if layer.reset in (ResetRule.SUBTRACT_DELAYED, ResetRule.SUBTRACT_REDERIVED):
        from_theta = (leaked(layer, layer.theta, decay_bits) + negative + layer.bias
                      + min(0, follow))
        lows.append(from_theta + (0 if layer.current is None else v_low) - layer.r)
        highs.append(most - layer.r)
    if layer.reset in (ResetRule.SUBTRACT, ResetRule.SUBTRACT_REDERIVED):
        fires = most >= layer.theta
        lows.append(np.maximum(layer.theta, least) - layer.r * fires)
        highs.append(most - layer.r * fires)
    return int(np.min(lows)), int(np.max(highs))


def _adder_errors(layer: Layer, weights: np.ndarray | None, acc_bits: int):
    """Lowest and highest error of adding each weight; None: of adding any weight at all."""
    adder = AdderSpec.parse(layer.adder)
    if weights is not None:
        return weight_errors(adder, weights, acc_bits)
    under, over = weight_errors(adder, np.arange(1 << min(adder.low_bits, 10)), acc_bits)
    return under.min(), over.max()


def _most_spikes(layer: Layer) -> np.ndarray:
    """How often a timestep can add each row of the weights to one neuron."""
    pools = [1 if source.window is None else int(np.prod(source.window.pool))
             for source in layer.sources]
    return np.repeat(pools or [1], [source.axons for source in layer.sources]
                     or [layer.axons]).astype(np.int64)


def _per_neuron(layer: Layer, sums: np.ndarray) -> np.ndarray:
    """Sums per weight column, repeated for every position of a convolution."""
    return np.repeat(sums, layer.neurons // len(sums))


def _bounded(layer: Layer) -> Layer:
    windowed = AdderSpec.parse(layer.adder).window
    return dataclasses.replace(layer, adder=EXACT.name) if windowed else layer


def accumulator_bits(
    layers: Iterable[Layer],
    *,
    tiers: tuple[int, ...],
    gated: int,
    fill: str,
    decay_bits: int,
    state_bits: int,
    millivolts: tuple[int, ...] = (),
) -> int:
    """Smallest accumulator width [bit] in which no sum of `layers` can wrap.

    It holds with all tiers on, with the program's lowest `gated` tiers off, and with each layer's
    own gate mask applied to either, whatever undervolted tiers give back. Windowed adders may wrap
    at any width: of their layers the exact sums count.

    Parameters
    ----------
    layers : iterable of Layer
    tiers : tuple of int
        Bits of each memory tier, most significant first; they hold every weight.
    gated : int
        Tiers switched off for the whole program.
    fill : str
        ``mid`` or ``zero``; see :func:`lamina.models.tiers.effective_weights`.
    decay_bits, state_bits : int
        F and store width [bit].
    millivolts : tuple of int
        Supply of each tier where a layer has none of its own [mV]; empty: all nominal.

    Returns
    -------
    int
        At least ``state_bits + 1``.

    Raises
    ------
    ValueError
        If a weight does not fit `tiers` or not even one tier stays on.
    """
    low, high = bounds(state_bits + 1)
    for layer in map(_bounded, layers):
        failing = failing_tiers(layer.tier_millivolts or millivolts, len(tiers))
        codes = readable_codes(layer.weights, tiers, failing)
        for off in {0, layer.gated_tiers, max(gated, layer.gated_tiers)}:
            lowest, weights = (effective_weights(part, tiers, off, fill) for part in codes)
            least, most = sum_range(layer, weights, lowest=lowest if any(failing) else None,
                                    decay_bits=decay_bits, state_bits=state_bits)
            low, high = min(low, least), max(high, most)
    return signed_bits(low, high)
