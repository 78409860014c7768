"""The golden executor: a whole program over many samples, plainly or fast, with equal results."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import itertools
import os
from collections.abc import Callable, Iterator

import numpy as np

from lamina.models.adders.ordered import OrderedDrive
from lamina.models.adders.spec import EXACT
from lamina.models.blas import single_threaded
from lamina.models.config import KAPPA_BITS, ResetRule
from lamina.models.drive import Drive, list_lengths
from lamina.models.fixed import bounds, signed_bits
from lamina.models.neuron import leaked, neuron_step, neuron_wraps
from lamina.models.program import Layer, Program
from lamina.models.ranges import sum_range
from lamina.models.source import INPUT, Source
from lamina.models.tiers import effective_weights
from lamina.models.trace import Trace

__all__ = ["neuron_updates_per_sample", "run", "seen_layer", "sops_per_sample"]

_BLOCK_SAMPLES = 48
"""Samples that one thread takes at once: Python's overhead per step against the caches."""
_ORDERED_SAMPLES = 1024
"""The same where sums go 64 to the word, with approximate adders."""
_SHARED_SAMPLES = 32
"""Fewer samples than this are not worth a thread pool."""
_DENSE = 0.8
"""Share of active axons from which gathering them costs more than it saves."""
_THREADS = os.cpu_count() or 1
_BUFFER_ELEMENTS = 1 << 18
"""Inputs of one matrix product."""
_FLOAT32_LIMIT = 1 << 24

Progress = Callable[[int, int], None]


def run(
    program: Program,
    spikes: np.ndarray,
    tiers: tuple[int, ...],
    *,
    trace: bool = False,
    plain: bool = False,
    progress: Progress | None = None,
    received: dict[int, np.ndarray] | None = None,
) -> Trace:
    """Run `program` over every sample, all membranes zero at its start.

    The plain executor goes timestep by timestep through
    :func:`lamina.models.neuron.neuron_step` and counts wraps. Where the range analysis excludes
    wraps, weights are summed in floating point, which is exact below 2**24 (2**53 in double
    precision), and a plain chain of layers takes several timesteps at once; all give the same
    integers.

    Parameters
    ----------
    program : Program
    spikes : uint8 or bool array (N, T, axons)
        0 or 1; any T >= 1.
    tiers : tuple of int
        Bits of each memory tier, most significant first; gated ones as the program says.
    trace : bool
        Keep spikes and membranes of every layer and timestep.
    plain : bool
        Insist on the plain executor.
    progress : callable, optional
        Called in this thread with the samples done and N.
    received : dict of int to int64 array (N, T, neurons), optional
        Partial sums that other tiles add to x, of every layer that receives some [LSB].

    Raises
    ------
    TypeError
        If `spikes` is neither uint8 nor bool.
    ValueError
        If its shape or a value is wrong, or if a weight does not fit `tiers`.
    """
    network = _prepare(program, tuple(tiers))
    spikes = _checked(spikes, program)
    result = _Result(program, spikes, trace)
    if plain or network.may_wrap or not network.is_simple:
        wraps = network.run_plain(spikes, result, progress, exact=plain, received=received or {})
    else:
        wraps = 0
        network.run_fast(spikes, result, progress)
    return result.to_trace(wraps)


def sops_per_sample(program: Program, trace: Trace) -> np.ndarray:
    """Synaptic operations of each sample, int64 (N,): a spike and each existing weight behind it.

    Raises
    ------
    ValueError
        If `trace` did not count them and `program` is no chain of full matrices.
    """
    if trace.sops is not None:
        return trace.sops.sum(axis=0)
    if not _is_chain(program):
        raise ValueError(f"{program.name}: sops must have been counted by the executor")
    neurons = np.array([layer.neurons for layer in program.layers], dtype=np.int64)
    return neurons @ trace.spike_counts[:-1]


def neuron_updates_per_sample(program: Program) -> int:
    """Leak, threshold and reset operations of one sample: all neurons in all timesteps.

    A synaptic current belongs to its neuron and is not counted again.
    """
    currents = {layer.current for layer in program.layers}
    return program.timesteps * sum(layer.neurons for index, layer in enumerate(program.layers)
                                   if index not in currents)


def _is_chain(program: Program) -> bool:
    """Whether each layer sees all spikes of the one before, whole and at once."""
    return program.axons == program.layers[0].axons and all(
        layer.axons and layer.sources == (Source(layer=index - 1, units=layer.axons),)
        for index, layer in enumerate(program.layers))


def _is_plain_lif(layer: Layer) -> bool:
    """Whether the fast executor knows the neuron model, and no adder cares for the order."""
    return (layer.adder == EXACT.name and layer.spiking and layer.current is None
            and not layer.refractory and layer.leak == "decay" and not layer.kappa
            and not layer.receives
            and layer.reset is not ResetRule.SUBTRACT_REDERIVED)


def _checked(spikes: np.ndarray, program: Program) -> np.ndarray:
    if spikes.dtype not in (np.uint8, np.bool_):
        raise TypeError(f"spikes must be uint8 or bool, not {spikes.dtype}")
    if spikes.ndim != 3 or spikes.shape[1] == 0 or spikes.shape[2] != program.axons:
        raise ValueError(f"spikes must have shape (samples, timesteps, {program.axons}), "
                         f"not {spikes.shape}")
    spikes = spikes.view(np.uint8)
    if spikes.size and spikes.max() > 1:
        raise ValueError(f"spikes must be 0 or 1, not {spikes.max()}")
    return spikes


def _blocks(samples: int, size: int = _BLOCK_SAMPLES) -> list[tuple[int, int]]:
    """Split ``range(samples)`` evenly, small enough for the caches, enough for all threads."""
    count = -(-samples // size)
    if samples >= _SHARED_SAMPLES:
        count = -(-count // _THREADS) * _THREADS
    edges = [samples * k // count for k in range(count + 1)] if count else []
    return list(itertools.pairwise(edges))


def _in_threads(
    work: Callable[[tuple[int, int]], int], blocks: list[tuple[int, int]]
) -> Iterator[int]:
    """Results of `work` on every block, in order; NumPy lets its threads run side by side."""
    workers = min(len(blocks), _THREADS)
    if workers < 2:
        yield from map(work, blocks)
        return
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        yield from pool.map(work, blocks)


def _without_silent_axons(spikes: np.ndarray) -> tuple[np.ndarray, np.ndarray | slice]:
    """Drop the axons of (samples, timesteps, axons) that never spike, and say which remain.

    They are kept where dropping them costs more than their share of the matrix product.
    """
    samples, timesteps, axons = spikes.shape
    flat = spikes.reshape(samples * timesteps, axons)
    active = np.flatnonzero(np.bitwise_or.reduce(flat, axis=0))
    if len(active) > _DENSE * axons:
        return spikes, slice(None)
    return flat[:, active].reshape(samples, timesteps, len(active)), active


def _count(spikes: np.ndarray) -> np.ndarray:
    """Spikes of each sample, exact, of float (timesteps, samples, lines)."""
    timesteps, samples, lines = spikes.shape
    per_step = spikes.reshape(timesteps * samples, lines) @ np.ones(lines, dtype=spikes.dtype)
    return per_step.reshape(timesteps, samples).sum(axis=0, dtype=np.float64).astype(np.int64)


class _Result:
    """The arrays of a :class:`Trace`, filled block by block."""

    def __init__(self, program: Program, spikes: np.ndarray, trace: bool):
        samples, timesteps, _ = spikes.shape
        widths = [layer.neurons for layer in program.layers]
        self.spikes = np.empty((samples, timesteps, widths[-1]), dtype=np.uint8)
        self.finals = tuple(np.empty((samples, width), dtype=np.int64) for width in widths)
        self.counts = np.zeros((len(widths) + 1, samples), dtype=np.int64)
        self.sops = np.zeros((len(widths), samples), dtype=np.int64)
        shapes = [(samples, timesteps, width) for width in widths] if trace else []
        self.layer_spikes = tuple(np.empty(shape, dtype=np.uint8) for shape in shapes)
        self.layer_membranes = tuple(np.empty(shape, dtype=np.int64) for shape in shapes)
        if trace:
            self.spikes = self.layer_spikes[-1]

    def to_trace(self, wraps: int) -> Trace:
        """Freeze the result."""
        return Trace(spikes=self.spikes, final_membranes=self.finals, spike_counts=self.counts,
                     layer_spikes=self.layer_spikes, layer_membranes=self.layer_membranes,
                     wraps=wraps, sops=self.sops)


class _FastLayer:
    """Constants of one layer in floating point, for exact integer arithmetic."""

    def __init__(self, layer: Layer, program: Program, dtype: type):
        self.rule = layer.reset
        self.weights = layer.weights.astype(dtype)
        leak = layer.decay / (1 << program.decay_bits)
        low, high = bounds(program.state_bits)
        self._vectors = [np.asarray(vector, dtype=dtype) for vector in (
            leak, layer.bias, layer.theta, layer.r, layer.v_reset,
            np.full(layer.neurons, low), np.full(layer.neurons, high))]
        self._constants = functools.lru_cache(maxsize=4)(self._tile)

    def _tile(self, samples: int) -> list[np.ndarray]:
        return [np.tile(vector, samples) for vector in self._vectors]

    def block(self, samples: int, axons: np.ndarray | slice = slice(None)) -> _FastBlock:
        """State and constants for `samples` samples side by side, fed by some of the axons."""
        return _FastBlock(self.rule, self.weights[axons], *self._constants(samples))


class _FastBlock:
    """One layer over a block of samples; vectors are flat (samples * neurons).

    p of the delayed rule is the spike of the timestep before: v is 0 < theta at first, and
    saturation never carries a membrane across a threshold that fits the store.
    """

    def __init__(self, rule, weights, leak, bias, theta, r, v_reset, low, high):
        self.v = np.zeros_like(leak)
        self._rule, self._weights, self._leak, self._bias = rule, weights, leak, bias
        self._theta, self._r, self._v_reset, self._low, self._high = theta, r, v_reset, low, high
        self._change = np.zeros_like(leak)

    def advance(
        self, inputs: np.ndarray, timesteps: int, membranes: np.ndarray | None
    ) -> np.ndarray:
        """Spikes (timesteps * samples, neurons) for inputs (timesteps * samples, axons)."""
        sums = inputs @ self._weights
        drives = sums.reshape(timesteps, -1)
        drives += self._bias
        for t, drive in enumerate(drives):
            self._step(drive)
            if membranes is not None:
                membranes[t] = self.v
        return sums

    def _step(self, drive: np.ndarray) -> None:
        """Advance `v` by one timestep; `drive` holds weights + bias and receives the spikes."""
        v, change = self.v, self._change
        np.multiply(v, self._leak, out=v)
        np.floor(v, out=v)
        np.add(v, drive, out=v)
        if self._rule is ResetRule.SUBTRACT_DELAYED:
            np.subtract(v, change, out=v)
        np.greater_equal(v, self._theta, out=drive)
        if self._rule is ResetRule.VALUE:
            np.subtract(v, self._v_reset, out=change)
            np.multiply(change, drive, out=change)
        else:
            np.multiply(drive, self._r, out=change)
        if self._rule is not ResetRule.SUBTRACT_DELAYED:
            np.subtract(v, change, out=v)
        np.maximum(v, self._low, out=v)
        np.minimum(v, self._high, out=v)


class _State:
    """Membranes and all spikes so far of a block of samples, timestep by timestep."""

    def __init__(self, program: Program, spikes: np.ndarray, received: dict[int, np.ndarray]):
        samples, timesteps, _ = spikes.shape
        self.inputs, self.received = spikes, received
        self.membranes = [np.zeros((samples, layer.neurons), np.int64) for layer in program.layers]
        self.spikes = [np.zeros((samples, timesteps, layer.neurons), np.uint8)
                       for layer in program.layers]

    def arriving(self, t: int, source: Source) -> np.ndarray:
        """Spikes (samples, units) of `source` that arrive in timestep `t`."""
        sent = self.inputs[:, :, source.first:source.first + source.units] \
            if source.layer == INPUT else self.spikes[source.layer]
        when = t - source.delay
        return sent[:, when] if when >= 0 else np.zeros_like(sent[:, 0])


class _Network:
    """A program with the weights that its lanes see, ready for either executor."""

    def __init__(self, program: Program, tiers: tuple[int, ...]):
        self._program = program
        self._layers = [seen_layer(layer, program, tiers) for layer in program.layers]
        ranges = [sum_range(layer, layer.weights, decay_bits=program.decay_bits,
                            state_bits=program.state_bits, acc_bits=program.acc_bits)
                  for layer in self._layers]
        self.may_wrap = any(signed_bits(*span) > program.acc_bits for span in ranges)
        self.is_simple = _is_chain(program) and all(map(_is_plain_lif, program.layers))
        if self.is_simple:
            dtype = np.float32 if self._fits_float32(ranges) else np.float64
            self._fast = [_FastLayer(layer, program, dtype) for layer in self._layers]
            self._dtype = dtype

    def drives(self, exact: bool) -> list[Drive | OrderedDrive]:
        """What sums the weights of each layer: integers, or floats in which nothing is lost."""
        def dtype(layer: Layer) -> type:
            pool = max((int(np.prod(source.window.pool)) for source in layer.sources
                        if source.window is not None), default=1)
            gross = int(np.abs(layer.weights).sum(axis=0).max(initial=0)) * pool
            return np.float32 if gross <= _FLOAT32_LIMIT else np.float64
        return [Drive(layer, np.int64 if exact else dtype(layer)) if layer.adder == EXACT.name
                else OrderedDrive(self._program, layer, plain=exact) for layer in self._layers]

    def _fits_float32(self, ranges: list[tuple[int, int]]) -> bool:
        """Whether products, partial sums in any order and reset differences stay below 2**24."""
        half = 1 << (self._program.state_bits - 1)
        largest = max(int(layer.decay.max()) * half for layer in self._layers)
        for layer, (low, high) in zip(self._layers, ranges, strict=True):
            gross = int(np.abs(layer.weights).sum(axis=0).max())
            largest = max(largest, gross + 2 * half, half - low, half + high)
        return largest <= _FLOAT32_LIMIT

    def run_plain(self, spikes: np.ndarray, result: _Result, progress: Progress | None,
                  exact: bool, received: dict[int, np.ndarray]) -> int:
        """Fill `result` timestep by timestep, block by block; returns the wraps."""
        wraps, drives = 0, self.drives(exact)
        work = functools.partial(self._plain_block, drives, spikes, result, received)
        with single_threaded():
            ordered = any(isinstance(drive, OrderedDrive) for drive in drives)
            blocks = _blocks(len(spikes), _ORDERED_SAMPLES if ordered else _BLOCK_SAMPLES)
            for (_, stop), found in zip(blocks, _in_threads(work, blocks), strict=True):
                wraps += found
                if progress:
                    progress(stop, len(spikes))
        return wraps

    def _plain_block(self, drives: list[Drive], spikes: np.ndarray, result: _Result,
                     received: dict[int, np.ndarray], block: tuple[int, int]) -> int:
        rows = slice(*block)
        state = _State(self._program, spikes[rows],
                       {k: sums[rows] for k, sums in received.items()})
        wraps = 0
        for t in range(spikes.shape[1]):
            for k, (layer, drive) in enumerate(zip(self._layers, drives, strict=True)):
                arriving = [state.arriving(t, source) for source in layer.sources]
                if isinstance(drive, OrderedDrive):
                    sums, sops = drive(arriving, leaked(layer, state.membranes[k],
                                                        self._program.decay_bits))
                else:
                    sums, sops = drive(arriving)
                if layer.kappa:
                    sums = sums + (layer.kappa * list_lengths(layer, arriving) >> KAPPA_BITS)
                result.sops[k, rows] += sops
                wraps += self._advance(state, k, t, layer, sums)
                result.counts[k + 1, rows] += state.spikes[k][:, t].sum(axis=1, dtype=np.int64)
                if result.layer_spikes:
                    result.layer_membranes[k][rows, t] = state.membranes[k]
            result.spikes[rows, t] = state.spikes[-1][:, t]
        result.counts[0, rows] = spikes[rows].sum(axis=(1, 2), dtype=np.int64)
        for k, final in enumerate(result.finals):
            final[rows] = state.membranes[k]
            if result.layer_spikes:
                result.layer_spikes[k][rows] = state.spikes[k]
        return wraps

    def _advance(self, state: _State, k: int, t: int, layer: Layer, sums: np.ndarray) -> int:
        """Run layer `k` in timestep `t`; returns its wraps."""
        program, v = self._program, state.membranes[k]
        current = 0 if layer.current is None else state.membranes[layer.current]
        if layer.receives:
            current = state.received[k][:, t]
        wraps = 0
        if self.may_wrap:
            wraps = neuron_wraps(layer, v, sums, decay_bits=program.decay_bits,
                                 acc_bits=program.acc_bits, current=current)
        spiked = state.spikes[k][:, t - 1] if t and layer.refractory else 0
        state.spikes[k][:, t], state.membranes[k], _ = neuron_step(
            layer, v, sums, current=current, spiked=spiked, decay_bits=program.decay_bits,
            state_bits=program.state_bits, acc_bits=program.acc_bits)
        return wraps

    def run_fast(self, spikes: np.ndarray, result: _Result, progress: Progress | None) -> None:
        """Fill `result` by one thread per processor, each on its own blocks of samples."""
        work = functools.partial(self._fast_block, spikes, result)
        with single_threaded():
            for stop in _in_threads(work, _blocks(len(spikes))):
                if progress:
                    progress(stop, len(spikes))
        neurons = np.array([layer.neurons for layer in self._layers], dtype=np.int64)
        result.sops[:] = neurons[:, None] * result.counts[:-1]

    def _fast_block(self, spikes: np.ndarray, result: _Result, block: tuple[int, int]) -> int:
        rows = slice(*block)
        spikes, axons = _without_silent_axons(spikes[rows])
        samples, timesteps, lines = spikes.shape
        stretch = min(timesteps, max(1, _BUFFER_ELEMENTS // max(1, samples * lines)))
        layers = [self._fast[0].block(samples, axons)]
        layers += [layer.block(samples) for layer in self._fast[1:]]
        inputs = np.empty((stretch, samples, lines), dtype=self._dtype)
        for start in range(0, timesteps, stretch):
            steps = slice(start, min(start + stretch, timesteps))
            active = inputs[:steps.stop - start]
            active[:] = spikes[:, steps].transpose(1, 0, 2)
            self._fast_stretch(active, layers, result, rows, steps)
        for final, layer in zip(result.finals, layers, strict=True):
            final[rows] = layer.v.reshape(samples, -1)
        return rows.stop

    def _fast_stretch(
        self, active: np.ndarray, layers: list[_FastBlock], result: _Result, rows: slice,
        steps: slice,
    ) -> None:
        """Run all layers over timesteps `steps` of samples `rows`; `active` is time-major."""
        timesteps, samples, _ = active.shape
        result.counts[0, rows] += _count(active)
        for k, layer in enumerate(layers):
            membranes = None
            if result.layer_spikes:
                membranes = np.empty((timesteps, len(layer.v)), dtype=self._dtype)
            active = layer.advance(active.reshape(timesteps * samples, -1), timesteps, membranes)
            active = active.reshape(timesteps, samples, -1)
            result.counts[k + 1, rows] += _count(active)
            if result.layer_spikes:
                result.layer_spikes[k][rows, steps] = active.transpose(1, 0, 2)
                result.layer_membranes[k][rows, steps] = membranes.reshape(
                    active.shape).transpose(1, 0, 2)
        result.spikes[rows, steps] = active.transpose(1, 0, 2)


def seen_layer(layer: Layer, program: Program, tiers: tuple[int, ...]) -> Layer:
    """`layer` with the weights that are read while its or the program's tiers are gated."""
    gated = max(program.gated_tiers, layer.gated_tiers)
    seen = effective_weights(layer.weights, tiers, gated, program.tier_fill)
    return dataclasses.replace(layer, weights=seen)


_prepare = functools.lru_cache(maxsize=4)(_Network)
