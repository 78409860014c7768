"""The float reference: a network as its framework meant it, in float64 and without a framework."""

from __future__ import annotations

import dataclasses

import numpy as np

from lamina.models.config import ResetRule
from lamina.models.drive import window_taps
from lamina.models.program import Encoder
from lamina.models.source import INPUT, Source
from lamina.models.trace import Trace

__all__ = ["FloatLayer", "FloatNetwork", "run_float"]

_VECTORS = ("bias", "decay", "theta", "v_reset", "r")
_CHUNK_ELEMENTS = 1 << 22
_DELAYED = (ResetRule.SUBTRACT_DELAYED, ResetRule.SUBTRACT_REDERIVED)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class FloatLayer:
    """One layer of real-valued neurons with the weights that feed it.

    In timestep t, with ``v`` the membrane of the timestep before::

        x     = decay * v + (sum of the weights of the active axons) + bias + current
        a     = x                       reset rules value, subtract
              | x - (v > theta) * r     subtract-delayed, subtract-rederived
        spike = a > theta               ``>=`` unless `strict`, here and above
        v     = spike ? v_reset : a     value
              | a - spike * r           subtract
              | a                       subtract-delayed
              | x - spike * r           subtract-rederived

    Parameters
    ----------
    name : str
        The layer's, from the path of the neuron node.
    weights : float64 array (axons, neurons) or (axons, channels)
        Volts per spike, the input scale of the neuron included; the axons of all `sources` in turn.
    bias, decay, theta, v_reset, r : float64 array (neurons,)
        Of the equations above; `decay` in 0..1.
    reset : ResetRule
    strict : bool
        Whether a membrane equal to the threshold stays silent.
    sources, shape, spiking, current, refractory
        As in :class:`lamina.models.program.Layer`.
    nodes : tuple of str
        Paths of the nodes that were folded into `weights` and `bias`.
    kind : str
        NIR type of the neuron node.
    grid : float64 array (neurons or channels,) or None
        Weight of one LSB where the file holds quantised weights: ``weights / grid`` are codes.
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
    sources: tuple[Source, ...] = ()
    shape: tuple[int, ...] = ()
    spiking: bool = True
    current: int | None = None
    refractory: int = 0
    nodes: tuple[str, ...] = ()
    kind: str = "LIF"
    grid: np.ndarray | None = None

    def __post_init__(self):
        weights = np.array(self.weights, dtype=np.float64, order="C")
        if weights.ndim != 2 or weights.shape[1] == 0 or (
                weights.size == 0 and self.current is None):
            raise ValueError(f"{self.name}.weights must be (axons, neurons) with at least one of "
                             f"each, not {weights.shape}")
        object.__setattr__(self, "shape", tuple(self.shape) or weights.shape[1:])
        for name in _VECTORS:
            vector = np.array(getattr(self, name), dtype=np.float64)
            if vector.shape != (self.neurons,):
                raise ValueError(f"{self.name}.{name} must have shape {(self.neurons,)}, "
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
        """Rows of the weight matrix: input lines, or taps of a convolution."""
        return self.weights.shape[0]

    @property
    def neurons(self) -> int:
        """Output units."""
        return int(np.prod(self.shape))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class FloatNetwork:
    """Real-valued layers with everything that a file must say to run them.

    Parameters
    ----------
    name : str
    layers : tuple of FloatLayer
        In the order in which they run within a timestep; the last one is the output. One without
        sources takes the layer before it, the first one the input.
    input_shape : tuple of int
        Shape of one input frame; its C order is the axon order. ``(axons,)`` of several inputs.
    timesteps : int
        T of one sample.
    inputs : tuple of (str, tuple of int)
        Name and shape of every input node, in axon order.
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
    inputs: tuple[tuple[str, tuple[int, ...]], ...] = ()
    encoder: Encoder = dataclasses.field(default_factory=Encoder)
    decoding: str = "count"
    assumptions: dict[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        layers = []
        for index, layer in enumerate(self.layers):
            if not layer.sources and layer.axons:
                before = Source(layer=index - 1, units=layer.axons)
                layer = dataclasses.replace(layer, sources=(before,))
            layers.append(layer)
        object.__setattr__(self, "layers", tuple(layers))

    @property
    def axons(self) -> int:
        """Input lines of the network."""
        return int(np.prod(self.input_shape))

    @property
    def outputs(self) -> int:
        """Neurons of the last layer."""
        return self.layers[-1].neurons

    @property
    def is_recurrent(self) -> bool:
        """Whether a layer hears itself or a later one."""
        return any(source.layer >= index for index, layer in enumerate(self.layers)
                   for source in layer.sources)


def _summable(layer: FloatLayer) -> np.ndarray:
    """Weights of `layer` on a grid so coarse that sums over all axons are exact in float64.

    The grid is ``2**-k`` of the power of two above the largest weight, ``k = 40`` up to 4096
    additions and fewer beyond: every partial sum is then a multiple of the grid below 2**53 of it,
    so the result depends neither on the order of the summation nor on fused operations.
    """
    weights = layer.weights
    largest = np.abs(weights).max(initial=0)
    if largest == 0:
        return weights
    most = sum(source.axons * (int(np.prod(source.window.pool)) if source.window else 1)
               for source in layer.sources)
    _, exponent = np.frexp(largest)
    bits = min(40, 52 - (most - 1).bit_length())
    shift = int(exponent) - bits
    return np.ldexp(np.rint(np.ldexp(weights, -shift)), shift)


class _Weights:
    """The weights of one layer, split by source."""

    def __init__(self, layer: FloatLayer):
        self._layer = layer
        edges = np.cumsum([0] + [source.axons for source in layer.sources])
        weights = _summable(layer)
        self._parts = [(source, weights[start:stop]) for source, start, stop
                       in zip(layer.sources, edges, edges[1:], strict=False)]

    def drive(self, frames: list[np.ndarray], rows: int) -> np.ndarray:
        """Sums (rows, neurons) of the weights of `frames`, one array (rows, units) per source."""
        drive = np.zeros((rows, self._layer.neurons))
        for (source, weights), frame in zip(self._parts, frames, strict=True):
            if source.window is None:
                drive += frame.astype(np.float64) @ weights
            else:
                drive += self._windowed(source, weights, frame)
        return drive

    def _windowed(self, source: Source, weights: np.ndarray, frame: np.ndarray) -> np.ndarray:
        positions = self._layer.shape[1:]
        seen = source.axons * positions[0] * positions[1]
        block = max(1, _CHUNK_ELEMENTS // seen)
        out = np.empty((len(frame), self._layer.neurons))
        for start in range(0, len(frame), block):
            taps = window_taps(source.window, frame[start:start + block].astype(np.float64),
                               positions)
            sums = taps.reshape(-1, source.axons) @ weights
            sums = sums.reshape(len(taps), -1, self._layer.shape[0]).transpose(0, 2, 1)
            out[start:start + block] = sums.reshape(len(taps), -1)
        return out


def _above(v: np.ndarray, layer: FloatLayer) -> np.ndarray:
    return v > layer.theta if layer.strict else v >= layer.theta


def _step(layer: FloatLayer, v: np.ndarray, drive: np.ndarray, spiked: np.ndarray
          ) -> tuple[np.ndarray, np.ndarray]:
    """Spikes and new membranes (..., neurons) of one timestep.

    `drive` is the sum of weights and current, `spiked` the spikes of the timestep before.
    """
    a = v * layer.decay
    a += drive
    a += layer.bias
    if not layer.spiking:
        return np.zeros(a.shape, dtype=bool), a
    x = a
    if layer.reset in _DELAYED:
        a = x - _above(v, layer) * layer.r
    spikes = _above(a, layer)
    if layer.refractory:
        spikes &= ~spiked.astype(bool)
        a = np.where(spiked, layer.v_reset, a)
    if layer.reset is ResetRule.VALUE:
        a = np.where(spikes, layer.v_reset, a)
    elif layer.reset is not ResetRule.SUBTRACT_DELAYED:
        a = x - spikes * layer.r
    return spikes, a


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
    weights = [_Weights(layer) for layer in network.layers]
    widest = max(network.axons, *(layer.neurons for layer in network.layers))
    rows = max(1, 4 * _CHUNK_ELEMENTS // (spikes.shape[1] * widest))
    chunks = [_run_chunk(network, weights, spikes[first:first + rows], trace)
              for first in range(0, max(1, len(spikes)), rows)]
    counts, final, layer_spikes, layer_membranes = zip(*chunks, strict=True)
    join = [tuple(np.concatenate(parts) for parts in zip(*lists, strict=True))
            for lists in (final, layer_spikes, layer_membranes)]
    return Trace(spikes=join[1][-1], final_membranes=join[0],
                 spike_counts=np.concatenate(counts, axis=1),
                 layer_spikes=join[1] if trace else (), layer_membranes=join[2])


class _Chunk:
    """Everything that happens to some samples; arrays are time-major (T, N, units)."""

    def __init__(self, network: FloatNetwork, weights: list[_Weights], spikes: np.ndarray,
                 trace: bool):
        self.network, self.weights = network, weights
        self.inputs = np.ascontiguousarray(spikes.transpose(1, 0, 2))
        self.timesteps, self.samples, _ = self.inputs.shape
        shapes = [(self.timesteps, self.samples, layer.neurons) for layer in network.layers]
        kept = [trace or any(other.current == index for other in network.layers)
                for index in range(len(shapes))]
        self.spikes = [np.zeros(shape, dtype=np.uint8) for shape in shapes]
        self.v = [np.zeros(shape[1:]) for shape in shapes]
        self.membranes = [np.empty(shape) if keep else None
                          for shape, keep in zip(shapes, kept, strict=True)]

    def sent(self, source: Source) -> np.ndarray:
        if source.layer == INPUT:
            return self.inputs[:, :, source.first:source.first + source.units]
        return self.spikes[source.layer]

    def arriving(self, source: Source, start: int, stop: int) -> np.ndarray:
        """Spikes (steps * N, units) of `source` that arrive in timesteps `start` to `stop` - 1."""
        sent, first, last = self.sent(source), start - source.delay, stop - source.delay
        frames = sent[max(0, first):max(0, last)]
        missing = (stop - start) - len(frames)
        if missing:
            silent = np.zeros((missing, *sent.shape[1:]), dtype=np.uint8)
            frames = np.concatenate([silent, frames])
        return frames.reshape(-1, source.units)

    def advance(self, index: int, start: int, stop: int) -> None:
        """Run layer `index` over timesteps `start` to `stop` - 1."""
        layer, rows = self.network.layers[index], (stop - start) * self.samples
        frames = [self.arriving(source, start, stop) for source in layer.sources]
        drive = self.weights[index].drive(frames, rows).reshape(stop - start, self.samples, -1)
        for t in range(start, stop):
            total = drive[t - start]
            if layer.current is not None:
                total = total + self.membranes[layer.current][t]
            before = self.spikes[index][t - 1] if t else np.zeros(total.shape, dtype=np.uint8)
            self.spikes[index][t], self.v[index] = _step(layer, self.v[index], total, before)
            if self.membranes[index] is not None:
                self.membranes[index][t] = self.v[index]


def _run_chunk(network: FloatNetwork, weights: list[_Weights], spikes: np.ndarray, trace: bool):
    """Counts (layers + 1, N), final membranes, spikes and (if traced) membranes of all layers."""
    chunk = _Chunk(network, weights, spikes, trace)
    stretch = 1 if network.is_recurrent else chunk.timesteps
    for start in range(0, chunk.timesteps, stretch):
        for index in range(len(network.layers)):
            chunk.advance(index, start, min(start + stretch, chunk.timesteps))
    counts = [part.sum(axis=(0, 2), dtype=np.int64) for part in (chunk.inputs, *chunk.spikes)]
    layer_spikes = [part.transpose(1, 0, 2) for part in chunk.spikes]
    membranes = [part.transpose(1, 0, 2) for part in chunk.membranes] if trace else []
    return np.array(counts), chunk.v, layer_spikes, membranes
