"""Accumulator width by range analysis: the smallest one in which no sum can wrap."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from lamina.models.config import ResetRule
from lamina.models.fixed import bounds, signed_bits
from lamina.models.program import Layer
from lamina.models.tiers import effective_weights

__all__ = ["accumulator_bits", "sum_range"]


def sum_range(
    layer: Layer, weights: np.ndarray, *, decay_bits: int, state_bits: int
) -> tuple[int, int]:
    """Lowest and highest value [LSB] of any sum that `layer` forms with the given `weights`.

    It covers every membrane in `state_bits`, every set of active axons, and every prefix of the
    leaked membrane plus weights plus bias, then ``x - p*r`` or ``a - spike*r``.

    Parameters
    ----------
    layer : Layer
    weights : int array (axons, neurons)
        What the lanes see [LSB].
    decay_bits, state_bits : int
        F and store width [bit].
    """
    v_low, v_high = bounds(state_bits)
    positive = np.maximum(weights, 0).sum(axis=0)
    negative = np.minimum(weights, 0).sum(axis=0)
    low = ((v_low * layer.decay) >> decay_bits) + negative
    high = ((v_high * layer.decay) >> decay_bits) + positive
    lows = [low, low + layer.bias]
    highs = [high, high + layer.bias]
    if layer.reset is ResetRule.SUBTRACT_DELAYED:
        lows.append(((layer.theta * layer.decay) >> decay_bits) + negative + layer.bias - layer.r)
        highs.append(high + layer.bias - layer.r)
    elif layer.reset is ResetRule.SUBTRACT:
        fires = high + layer.bias >= layer.theta
        lows.append(np.maximum(layer.theta, low + layer.bias) - layer.r * fires)
        highs.append(high + layer.bias - layer.r * fires)
    return int(np.min(lows)), int(np.max(highs))


def accumulator_bits(
    layers: Iterable[Layer],
    *,
    tiers: tuple[int, ...],
    gated: int,
    fill: str,
    decay_bits: int,
    state_bits: int,
) -> int:
    """Smallest accumulator width [bit] in which no sum of `layers` can wrap.

    It holds with all tiers on, with the program's lowest `gated` tiers off, and with each layer's
    own gate mask applied to either.

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
    for layer in layers:
        for off in {0, layer.gated_tiers, max(gated, layer.gated_tiers)}:
            weights = effective_weights(layer.weights, tiers, off, fill)
            least, most = sum_range(
                layer, weights, decay_bits=decay_bits, state_bits=state_bits)
            low, high = min(low, least), max(high, most)
    return signed_bits(low, high)
