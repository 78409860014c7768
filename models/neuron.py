"""One timestep of a layer of leaky integrate-and-fire neurons (architecture 3)."""

from __future__ import annotations

import numpy as np

from lamina.models.adders.accumulate import accumulate
from lamina.models.adders.spec import AdderSpec
from lamina.models.config import ResetRule
from lamina.models.fixed import outside, saturate, wrap
from lamina.models.program import Layer

__all__ = ["leaked", "lif_step", "lif_wraps", "neuron_step", "neuron_wraps"]


def leaked(layer: Layer, v: np.ndarray, decay_bits: int) -> np.ndarray:
    """u: what the leak leaves of membranes `v` [LSB], int64 (..., neurons)."""
    if layer.leak == "subtract":
        return np.sign(v) * np.maximum(np.abs(v) - layer.decay, 0)
    return (v * layer.decay) >> decay_bits


def neuron_step(
    layer: Layer,
    v: np.ndarray,
    drive: np.ndarray,
    *,
    decay_bits: int,
    state_bits: int,
    acc_bits: int,
    current: np.ndarray | int = 0,
    spiked: np.ndarray | int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Leak, integrate, compare and reset the neurons of `layer`, once.

    With ``x = u + drive + bias + current`` and ``p = v >= theta``::

        a     = x - p*r under SUBTRACT_DELAYED and SUBTRACT_REDERIVED, else x
        spike = a >= theta, never of a layer that does not spike
        v_new = spike ? v_reset : a | a - spike*r | a | x - spike*r
                VALUE | SUBTRACT | SUBTRACT_DELAYED | SUBTRACT_REDERIVED

    A refractory neuron that spiked in the timestep before keeps `v_reset` and stays silent. Every
    sum is taken modulo ``2**acc_bits``; only `v_new` is saturated, to `state_bits`.

    Parameters
    ----------
    layer : Layer
        Its weights are not looked at.
    v : int64 array (..., neurons)
        Membranes before the timestep [LSB], within `state_bits`.
    drive : int64 array (..., neurons)
        Sum of the active weights of each neuron [LSB].
    decay_bits, state_bits, acc_bits : int
        F, store and accumulator widths [bit]; ``acc_bits > state_bits``.
    current : int64 array (..., neurons) or 0
        Stored membranes of the layer that ``layer.current`` names [LSB].
    spiked : array (..., neurons) or 0
        Spikes of the timestep before; needed with ``layer.refractory``.

    Returns
    -------
    spike : uint8 array (..., neurons)
    v_new : int64 array (..., neurons)
        Membranes as stored [LSB].
    a : int64 array (..., neurons)
        What was compared with theta, unsaturated [LSB].
    """
    x = wrap(leaked(layer, v, decay_bits) + drive + layer.bias + current, acc_bits)
    a = x
    if layer.reset in (ResetRule.SUBTRACT_DELAYED, ResetRule.SUBTRACT_REDERIVED):
        a = wrap(x - (v >= layer.theta) * layer.r, acc_bits)
    spike = (a >= layer.theta) & layer.spiking
    held = np.logical_and(spiked, layer.refractory)
    spike &= ~held
    if layer.reset is ResetRule.VALUE:
        v_new = np.where(spike | held, layer.v_reset, a)
    elif layer.reset is ResetRule.SUBTRACT_DELAYED:
        v_new = a
    else:
        v_new = wrap(x - spike * layer.r, acc_bits)
    return spike.astype(np.uint8), saturate(v_new, state_bits), a


def neuron_wraps(
    layer: Layer,
    v: np.ndarray,
    drive: np.ndarray,
    *,
    decay_bits: int,
    acc_bits: int,
    current: np.ndarray | int = 0,
) -> int:
    """How many sums of :func:`neuron_step` with the same arguments leave `acc_bits`.

    Counted per neuron: x, ``x - p*r`` and ``x - spike*r``. A prefix of x that leaves the range and
    returns is not counted, because modulo arithmetic makes x exact again.
    """
    x = leaked(layer, v, decay_bits) + drive + layer.bias + current
    count = outside(x, acc_bits)
    a = x = wrap(x, acc_bits)
    if layer.reset in (ResetRule.SUBTRACT_DELAYED, ResetRule.SUBTRACT_REDERIVED):
        a = x - (v >= layer.theta) * layer.r
        count += outside(a, acc_bits)
        a = wrap(a, acc_bits)
    if layer.reset in (ResetRule.SUBTRACT, ResetRule.SUBTRACT_REDERIVED):
        count += outside(x - (a >= layer.theta) * layer.r, acc_bits)
    return count


def lif_step(layer: Layer, v: np.ndarray, spikes: np.ndarray, **widths: int):
    """:func:`neuron_step` of a layer that is no convolution, from the spikes of its axons.

    Parameters
    ----------
    layer : Layer
        Its weights are used as they stand; gated tiers are applied by the caller
        (:func:`lamina.models.tiers.effective_weights`).
    v : int64 array (..., neurons)
    spikes : array (..., axons)
        0 or 1 per axon; the leading axes are those of `v`.
    **widths
        As for :func:`neuron_step`.
    """
    return neuron_step(layer, v, _drive(layer, v, spikes, widths), **widths)


def _drive(layer: Layer, v: np.ndarray, spikes: np.ndarray, widths: dict) -> np.ndarray:
    """What the spikes add to the leaked membranes by the layer's adder."""
    spec = AdderSpec.parse(layer.adder)
    if spec.is_exact:
        return spikes.astype(np.int64) @ layer.weights
    start = np.broadcast_to(leaked(layer, v, widths["decay_bits"]).reshape(-1, layer.neurons),
                            (spikes.size // layer.axons, layer.neurons))
    flat = spikes.reshape(-1, layer.axons).astype(bool)
    total = accumulate(spec, start, layer.weights, enumerate(flat.T), widths["acc_bits"])
    return (total - start).reshape(*spikes.shape[:-1], layer.neurons)


def lif_wraps(layer: Layer, v: np.ndarray, spikes: np.ndarray, **widths: int) -> int:
    """:func:`neuron_wraps` with the arguments of :func:`lif_step`."""
    return neuron_wraps(layer, v, _drive(layer, v, spikes, widths), **widths)
