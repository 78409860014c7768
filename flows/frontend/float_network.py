"""The float reference: a network as its framework meant it, in float64 and without a framework."""

from __future__ import annotations

import dataclasses

import numpy as np

from lamina.models.config import ResetRule
from lamina.models.program import Encoder
from lamina.models.trace import Trace

__all__ = ["FloatLayer", "FloatNetwork", "run_float"]

_VECTORS = ("bias", "decay", "theta", "v_reset", "r")
_CHUNK_ROWS = 4096


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class FloatLayer:
    """One layer of real-valued neurons with the weights that feed it.

    In timestep t, with ``v`` the membrane of the timestep before::

        x     = decay * v + (sum of the weights of the active axons) + bias
        a     = x                       reset rules value, subtract
              | x - (v > theta) * r     subtract-delayed
        spike = a > theta               ``>=`` unless `strict`, here and above
        v     = spike ? v_reset : a     value
              | a - spike * r           subtract
              | a                       subtract-delayed

    Parameters
    ----------
    name : str
        Path of the neuron node in the network.
    weights : float64 array (axons, neurons)
        Volts per spike, the input scale of the neuron included.
    bias, decay, theta, v_reset, r : float64 array (neurons,)
        Of the equations above; `decay` in 0..1.
    reset : ResetRule
    strict : bool
        Whether a membrane equal to the threshold stays silent.
    sources : tuple of str
        Paths of the nodes that were folded into `weights` and `bias`.
    """

    name: str
    weights: np.ndarray
    bias: np.ndarray
    decay: np.ndarray
    theta: np.ndarray
    v_reset: np.ndarray
    r: np.ndarray
    reset: ResetRule
    strict: bool = True
    sources: tuple[str, ...] = ()

    def __post_init__(self):
        weights = np.array(self.weights, dtype=np.float64, order="C")
        if weights.ndim != 2 or weights.size == 0:
            raise ValueError(f"{self.name}.weights must be (axons, neurons) with at least one of "
                             f"each, not {weights.shape}")
        for name in _VECTORS:
            vector = np.array(getattr(self, name), dtype=np.float64)
            if vector.shape != weights.shape[1:]:
                raise ValueError(f"{self.name}.{name} must have shape {weights.shape[1:]}, "
                                 f"not {vector.shape}")
            object.__setattr__(self, name, vector)
        object.__setattr__(self, "weights", weights)
        for name in ("weights", *_VECTORS):
            array = getattr(self, name)
            array.flags.writeable = False
            if not np.isfinite(array).all():
                raise ValueError(f"{self.name}.{name} must be finite, "
                                 f"not {array[~np.isfinite(array)][0]}")
        if self.decay.min() < 0 or self.decay.max() > 1:
            bad = self.decay[(self.decay < 0) | (self.decay > 1)][0]
            raise ValueError(f"{self.name}.decay must be in 0..1, not {bad}")

    @property
    def axons(self) -> int:
        """Input lines."""
        return self.weights.shape[0]

    @property
    def neurons(self) -> int:
        """Output units."""
        return self.weights.shape[1]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class FloatNetwork:
    """A chain of real-valued layers with everything that a file must say to run it.

    Parameters
    ----------
    name : str
    layers : tuple of FloatLayer
        The neurons of one are the axons of the next.
    input_shape : tuple of int
        Shape of one input frame; its C order is the axon order.
    timesteps : int
        T of one sample.
    encoder : Encoder
    decoding : str
        See :class:`lamina.models.program.Program`.
    assumptions : dict of str to str
        The discretisation that was used and what it rests on, one sentence each.
    """

    name: str
    layers: tuple[FloatLayer, ...]
    input_shape: tuple[int, ...]
    timesteps: int
    encoder: Encoder = dataclasses.field(default_factory=Encoder)
    decoding: str = "count"
    assumptions: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def axons(self) -> int:
        """Input lines of the network."""
        return self.layers[0].axons

    @property
    def outputs(self) -> int:
        """Neurons of the last layer."""
        return self.layers[-1].neurons


def _summable(weights: np.ndarray) -> np.ndarray:
    """`weights` on a grid so coarse that sums over all axons are exact in float64.

    The grid is ``2**-k`` of the power of two above the largest weight, ``k = 40`` up to 4096
    axons and fewer beyond: every partial sum is then a multiple of the grid below 2**53 of it, so
    the result depends neither on the order of the summation nor on fused operations.
    """
    largest = np.abs(weights).max()
    if largest == 0:
        return weights
    _, exponent = np.frexp(largest)
    bits = min(40, 52 - (weights.shape[0] - 1).bit_length())
    shift = int(exponent) - bits
    return np.ldexp(np.rint(np.ldexp(weights, -shift)), shift)


def _above(v: np.ndarray, layer: FloatLayer) -> np.ndarray:
    return v > layer.theta if layer.strict else v >= layer.theta


def _step(layer: FloatLayer, v: np.ndarray, drive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spikes and new membranes (..., neurons) of one timestep; `drive` is the sum of weights."""
    a = v * layer.decay
    a += drive
    a += layer.bias
    if layer.reset is ResetRule.SUBTRACT_DELAYED:
        a -= _above(v, layer) * layer.r
    spikes = _above(a, layer)
    if layer.reset is ResetRule.VALUE:
        a = np.where(spikes, layer.v_reset, a)
    elif layer.reset is ResetRule.SUBTRACT:
        a -= spikes * layer.r
    return spikes, a


def _run_layer(layer: FloatLayer, weights: np.ndarray, spikes: np.ndarray):
    """Spikes uint8 and membranes float64, both (T, N, neurons), from `spikes` (T, N, axons)."""
    timesteps, samples, axons = spikes.shape
    drive = spikes.reshape(-1, axons).astype(np.float64) @ weights
    drive = drive.reshape(timesteps, samples, layer.neurons)
    out = np.empty(drive.shape, dtype=np.uint8)
    v = np.zeros(drive.shape[1:])
    for t in range(timesteps):
        out[t], v = _step(layer, v, drive[t])
        drive[t] = v
    return out, drive


def run_float(network: FloatNetwork, spikes: np.ndarray, trace: bool = False) -> Trace:
    """Run `network` on encoded samples, membranes from 0.

    Bit-identical on every machine: weights are rounded to a grid on which sums are exact
    (2**-40 of the largest one), the rest is elementwise without fused operations.

    Parameters
    ----------
    network : FloatNetwork
    spikes : uint8 array (N, T, axons)
        Of 0 and 1.
    trace : bool
        Also keep spikes and membranes of every layer and timestep.

    Returns
    -------
    Trace
        Membranes float64, in the units of the network.

    Raises
    ------
    ValueError
        If `spikes` has another number of dimensions or axons, or no timestep.
    """
    if spikes.ndim != 3 or spikes.shape[1] == 0 or spikes.shape[2] != network.axons:
        raise ValueError(f"spikes must have shape (N, T, {network.axons}) with T of at least 1, "
                         f"not {spikes.shape}")
    weights = [_summable(layer.weights) for layer in network.layers]
    rows = max(1, _CHUNK_ROWS // max(1, spikes.shape[1]))
    chunks = [_run_chunk(network, weights, spikes[first:first + rows], trace)
              for first in range(0, max(1, len(spikes)), rows)]
    counts, final, layer_spikes, layer_membranes = zip(*chunks, strict=True)
    join = [tuple(np.concatenate(parts) for parts in zip(*lists, strict=True))
            for lists in (final, layer_spikes, layer_membranes)]
    return Trace(spikes=join[1][-1], final_membranes=join[0],
                 spike_counts=np.concatenate(counts, axis=1),
                 layer_spikes=join[1] if trace else (), layer_membranes=join[2])


def _run_chunk(network: FloatNetwork, weights: list[np.ndarray], spikes: np.ndarray, trace: bool):
    """Counts (layers + 1, N), final membranes, spikes and (if traced) membranes of all layers."""
    train = np.ascontiguousarray(spikes.transpose(1, 0, 2))
    counts = [train.sum(axis=(0, 2), dtype=np.int64)]
    final, layer_spikes, layer_membranes = [], [], []
    for layer, matrix in zip(network.layers, weights, strict=True):
        train, membranes = _run_layer(layer, matrix, train)
        counts.append(train.sum(axis=(0, 2), dtype=np.int64))
        final.append(membranes[-1].copy())
        layer_spikes.append(train.transpose(1, 0, 2))
        if trace:
            layer_membranes.append(membranes.transpose(1, 0, 2))
    return np.array(counts), final, layer_spikes, layer_membranes
