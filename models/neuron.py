"""One timestep of a layer of leaky integrate-and-fire neurons (architecture 3)."""

from __future__ import annotations

import numpy as np

from lamina.models.config import ResetRule
from lamina.models.fixed import outside, saturate, wrap
from lamina.models.program import Layer

__all__ = ["lif_step", "lif_wraps"]


def _integrate(layer: Layer, v: np.ndarray, spikes: np.ndarray, decay_bits: int) -> np.ndarray:
    """``((v * D) >> F) + sum of the active weights + bias``, not wrapped."""
    leaked = (v * layer.decay) >> decay_bits
    return leaked + spikes.astype(np.int64) @ layer.weights + layer.bias


def lif_step(
    layer: Layer,
    v: np.ndarray,
    spikes: np.ndarray,
    *,
    decay_bits: int,
    state_bits: int,
    acc_bits: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Leak, integrate, compare and reset the neurons of `layer`, once.

    With ``x = ((v * D) >> F) + active weights + bias`` and ``p = v >= theta``::

        a     = x - p*r under SUBTRACT_DELAYED, else x
        spike = a >= theta
        v_new = spike ? v_reset : a | a - spike*r | a    VALUE | SUBTRACT | SUBTRACT_DELAYED

    Every sum is taken modulo ``2**acc_bits``; only `v_new` is saturated, to `state_bits`.

    Parameters
    ----------
    layer : Layer
        Its weights are used as they stand; gated tiers are applied by the caller
        (:func:`lamina.models.tiers.effective_weights`).
    v : int64 array (..., neurons)
        Membranes before the timestep [LSB], within `state_bits`.
    spikes : array (..., axons)
        0 or 1 per axon; the leading axes are those of `v`.
    decay_bits, state_bits, acc_bits : int
        F, store and accumulator widths [bit]; ``acc_bits > state_bits``.

    Returns
    -------
    spike : uint8 array (..., neurons)
    v_new : int64 array (..., neurons)
        Membranes as stored [LSB].
    a : int64 array (..., neurons)
        What was compared with theta, unsaturated [LSB].
    """
    a = wrap(_integrate(layer, v, spikes, decay_bits), acc_bits)
    if layer.reset is ResetRule.SUBTRACT_DELAYED:
        a = wrap(a - (v >= layer.theta) * layer.r, acc_bits)
    spike = a >= layer.theta
    if layer.reset is ResetRule.VALUE:
        v_new = np.where(spike, layer.v_reset, a)
    elif layer.reset is ResetRule.SUBTRACT:
        v_new = wrap(a - spike * layer.r, acc_bits)
    else:
        v_new = a
    return spike.astype(np.uint8), saturate(v_new, state_bits), a


def lif_wraps(
    layer: Layer,
    v: np.ndarray,
    spikes: np.ndarray,
    *,
    decay_bits: int,
    acc_bits: int,
) -> int:
    """How many sums of :func:`lif_step` with the same arguments leave `acc_bits`.

    Counted per neuron: x, ``x - p*r`` and ``a - spike*r``. A prefix of x that leaves the range and
    returns is not counted, because modulo arithmetic makes x exact again.
    """
    x = _integrate(layer, v, spikes, decay_bits)
    count = outside(x, acc_bits)
    a = wrap(x, acc_bits)
    if layer.reset is ResetRule.SUBTRACT_DELAYED:
        count += outside(a - (v >= layer.theta) * layer.r, acc_bits)
    elif layer.reset is ResetRule.SUBTRACT:
        count += outside(a - (a >= layer.theta) * layer.r, acc_bits)
    return count
