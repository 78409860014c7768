"""One program on many chips at once: the same samples, every chip with its own failing cells."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from lamina.models.blas import single_threaded
from lamina.models.config import ResetRule
from lamina.models.decoder import decode
from lamina.models.faults import FaultModel, faulty_program, seen_weights
from lamina.models.fixed import bounds, signed_bits
from lamina.models.network import run
from lamina.models.program import Layer, Program
from lamina.models.ranges import sum_range
from lamina.models.source import Source
from lamina.models.tiers import effective_weights, readable_codes
from lamina.models.voltage import failing_tiers

__all__ = ["Chips", "is_plain_chain"]

_BLOCK_SAMPLES = 64
_STATE_ELEMENTS = 1 << 16
"""Membranes of the widest layer that are advanced together: chips x samples x neurons."""
_MOST_CHIPS = 16
_BUFFER_ELEMENTS = 1 << 19
"""Inputs or sums of one stretch of timesteps."""
_FLOAT32_LIMIT = 1 << 24
_EVERY_STEP = ("v_sum", "v_max")


class Chips:
    """A program in the memories of many chips.

    Chips are stacked: spikes are converted once for all of them, and each step of the neurons is
    one of all. Weights are summed in floating point wide enough to hold any sum of any chip
    exactly, so that predictions equal those of :func:`lamina.models.network.run`; a program that is
    no chain of leaky or integrating neurons with exact adders runs there, chip by chip.

    Parameters
    ----------
    program : Program
        With its voltages.
    lanes : int
        Of the core that it is placed on.
    tiers : tuple of int
        Bits of each memory tier, most significant first.
    """

    def __init__(self, program: Program, lanes: int, tiers: tuple[int, ...]):
        self._program, self._lanes, self._tiers = program, lanes, tiers
        spans = [self._span(layer) for layer in program.layers]
        self.stacked = is_plain_chain(program) and all(
            signed_bits(low, high) <= program.acc_bits for low, high, _ in spans)
        half = 1 << (program.state_bits - 1)
        largest = [max(gross + 2 * half, half - low, half + high, _leak_size(layer, program))
                   for layer, (low, high, gross) in zip(program.layers, spans, strict=True)]
        self._dtype = np.float32 if max(largest) <= _FLOAT32_LIMIT else np.float64
        self._layers = [_Neurons(layer, program, self._dtype) for layer in program.layers]
        widest = _BLOCK_SAMPLES * max(layer.neurons for layer in program.layers)
        self._together = min(_MOST_CHIPS, max(1, _STATE_ELEMENTS // widest))

    def _span(self, layer: Layer) -> tuple[int, int, int]:
        """Lowest and highest sum that any chip can form, and the largest sum of magnitudes."""
        program, tiers = self._program, self._tiers
        failing = failing_tiers(layer.tier_millivolts or program.tier_millivolts, len(tiers))
        gated = max(program.gated_tiers, layer.gated_tiers)
        lowest, most = (effective_weights(codes, tiers, gated, program.tier_fill)
                        for codes in readable_codes(layer.weights, tiers, failing))
        low, high = sum_range(layer, most, lowest=lowest, decay_bits=program.decay_bits,
                              state_bits=program.state_bits)
        gross = np.maximum(np.abs(lowest), np.abs(most)).sum(axis=0).max(initial=0)
        return low, high, int(gross)

    def predict(self, spikes: np.ndarray, faults: Sequence[FaultModel]) -> np.ndarray:
        """Class of every sample on every chip.

        Parameters
        ----------
        spikes : uint8 array (N, T, axons)
            0 or 1.
        faults : sequence of FaultModel
            Persistent ones, of one chip each.

        Returns
        -------
        int64 array (chips, N)
        """
        if not self.stacked:
            return np.stack([self._alone(spikes, each) for each in faults])
        parts = []
        with single_threaded():
            for start in range(0, len(faults), self._together):
                weights = self._weights(faults[start:start + self._together])
                parts.append(np.concatenate(
                    [self._block(spikes[first:first + _BLOCK_SAMPLES], weights)
                     for first in range(0, len(spikes), _BLOCK_SAMPLES)], axis=1))
        return np.concatenate(parts)

    def _alone(self, spikes: np.ndarray, faults: FaultModel) -> np.ndarray:
        program = faulty_program(self._program, self._lanes, self._tiers, faults)
        trace = run(program, spikes[:], self._tiers, trace=program.decoding in _EVERY_STEP)
        return decode(program.decoding, trace.spikes, trace.membranes)

    def _weights(self, faults: Sequence[FaultModel]) -> list[np.ndarray]:
        """What the lanes of each chip add, (chips, axons, neurons) of each layer."""
        seen = [seen_weights(self._program, self._lanes, self._tiers, each) for each in faults]
        return [np.stack([part.astype(self._dtype) for part in layer])
                for layer in zip(*seen, strict=True)]

    def _block(self, spikes: np.ndarray, weights: list[np.ndarray]) -> np.ndarray:
        """Classes (chips, samples) of some samples (samples, T, axons) on stacked chips."""
        samples, timesteps, _ = spikes.shape
        heard = np.flatnonzero(spikes.any(axis=(0, 1)))
        first, *rest = weights
        weights = [first[:, heard], *rest]
        chips, widest = len(first), max(layer.shape[2] for layer in weights)
        stretch = max(1, _BUFFER_ELEMENTS // (samples * max(len(heard), chips * widest)))
        states = [layer.start(chips, samples) for layer in self._layers]
        fired, membranes = [], []
        for start in range(0, timesteps, stretch):
            part = spikes[:, start:start + stretch, heard].transpose(1, 0, 2)
            active = part.astype(self._dtype).reshape(len(part) * samples, len(heard))
            for state, matrices in zip(states, weights, strict=True):
                active = np.matmul(active, matrices)
                levels = state.advance(active.reshape(chips, len(part), -1),
                                       state is states[-1] and self._keeps_membranes)
            fired.append(active.reshape(chips, len(part), samples, -1).astype(np.uint8))
            membranes.append(levels)
        return self._decoded(np.concatenate(fired, axis=1), membranes, states[-1].v)

    @property
    def _keeps_membranes(self) -> bool:
        return self._program.decoding in _EVERY_STEP

    def _decoded(self, fired: np.ndarray, membranes: list[np.ndarray], final: np.ndarray
                 ) -> np.ndarray:
        """Classes (chips, samples) from spikes (chips, T, samples, outputs) and membranes."""
        chips, timesteps, samples, outputs = fired.shape
        flat = fired.transpose(0, 2, 1, 3).reshape(chips * samples, timesteps, outputs)
        levels = final.reshape(chips * samples, outputs)
        if self._keeps_membranes:
            levels = np.concatenate(membranes, axis=1).reshape(fired.shape).transpose(
                0, 2, 1, 3).reshape(flat.shape)
        return decode(self._program.decoding, flat, levels).reshape(chips, samples)


def is_plain_chain(program: Program) -> bool:
    """Whether each layer sees all spikes of the one before and the stack knows its neurons."""
    return program.axons == program.layers[0].axons and all(
        layer.axons and layer.sources == (Source(layer=index - 1, units=layer.axons),)
        and layer.current is None and not layer.refractory and layer.leak == "decay"
        and layer.adder == "exact" and layer.reset is not ResetRule.SUBTRACT_REDERIVED
        for index, layer in enumerate(program.layers))


def _leaks(layer: Layer, program: Program) -> bool:
    return bool((layer.decay != 1 << program.decay_bits).any())


def _leak_size(layer: Layer, program: Program) -> int:
    """Largest product that the leak forms; none where nothing leaks."""
    return int(layer.decay.max()) << (program.state_bits - 1) if _leaks(layer, program) else 0


class _Neurons:
    """Constants of one layer in floating point."""

    def __init__(self, layer: Layer, program: Program, dtype: type):
        self.layer, self.leaks = layer, _leaks(layer, program)
        low, high = bounds(program.state_bits)
        self._vectors = [np.asarray(vector, dtype=dtype) for vector in (
            layer.decay / (1 << program.decay_bits), layer.bias, layer.theta, layer.r,
            layer.v_reset)]
        self.low, self.high = dtype(low), dtype(high)
        self._tiled = functools.lru_cache(maxsize=2)(self._tile)

    def _tile(self, samples: int) -> list[np.ndarray]:
        return [np.tile(vector, samples) for vector in self._vectors]

    def start(self, chips: int, samples: int) -> _Membranes:
        """Membranes at the start of `samples` samples on `chips` chips."""
        return _Membranes(self, chips, self._tiled(samples))


class _Membranes:
    """State of one layer; vectors hold samples x neurons, arrays (chips, samples * neurons)."""

    def __init__(self, neurons: _Neurons, chips: int, vectors: list[np.ndarray]):
        self._neurons = neurons
        self._leak, self._bias, self._theta, self._r, self._v_reset = vectors
        self.v = np.zeros((chips, len(self._leak)), dtype=self._leak.dtype)
        self._change = np.zeros_like(self.v)

    def advance(self, drives: np.ndarray, keep: bool) -> np.ndarray | None:
        """Replace weight sums (chips, T, samples * neurons) by spikes; membranes, if to `keep`."""
        levels = np.empty_like(drives) if keep else None
        drives += self._bias
        for t in range(drives.shape[1]):
            self._step(drives[:, t])
            if keep:
                levels[:, t] = self.v
        return levels

    def _step(self, drive: np.ndarray) -> None:
        """Advance `v` by one timestep; `drive` holds weights + bias and receives the spikes.

        p of the delayed rule is the spike of the timestep before, as in the network's fast path.
        """
        v, change, neurons = self.v, self._change, self._neurons
        rule = neurons.layer.reset
        if neurons.leaks:
            np.multiply(v, self._leak, out=v)
            np.floor(v, out=v)
        np.add(v, drive, out=v)
        if not neurons.layer.spiking:
            drive[:] = 0
        else:
            if rule is ResetRule.SUBTRACT_DELAYED:
                np.subtract(v, change, out=v)
            np.greater_equal(v, self._theta, out=drive)
            if rule is ResetRule.VALUE:
                np.subtract(v, self._v_reset, out=change)
                np.multiply(change, drive, out=change)
            else:
                np.multiply(drive, self._r, out=change)
            if rule is not ResetRule.SUBTRACT_DELAYED:
                np.subtract(v, change, out=v)
        np.maximum(v, neurons.low, out=v)
        np.minimum(v, neurons.high, out=v)
