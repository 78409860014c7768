"""The complexity metrics of NeuroBench, under NeuroBench's names, of an integer program."""

from __future__ import annotations

import dataclasses

import numpy as np

from lamina.models.config import ResetRule
from lamina.models.drive import Drive
from lamina.models.network import run
from lamina.models.program import Layer, Program
from lamina.models.source import INPUT

__all__ = ["connections", "measurable_samples", "measure_neurobench"]

_WORDS = (8, 16, 32, 64)
_TRACED_STATES = 20_000_000


def connections(layer: Layer) -> int:
    """Weights that reach a neuron of `layer` when every unit before it fires once."""
    everything = [np.ones((1, source.units)) for source in layer.sources]
    return _operations(layer, np.ones_like(layer.weights), everything)


def measurable_samples(program: Program) -> int:
    """Samples whose whole trace fits into memory, 1 or more."""
    return max(1, _TRACED_STATES // (program.timesteps * sum(
        layer.neurons for layer in program.layers)))


def measure_neurobench(program: Program, spikes: np.ndarray, tiers: tuple[int, ...],
                       accuracy: float | None = None, faulty: Program | None = None) -> dict:
    """Measure what NeuroBench's harness measures of a torch model.

    Parameters
    ----------
    program : Program
    spikes : uint8 array (N, T, axons)
        N of at least 1.
    tiers : tuple of int
        Bits of the memory tiers.
    accuracy : float or None
        Of the whole labelled set.
    faulty : Program or None
        As undervolted memory gives it back: what runs, where sizes are those of `program`.

    Returns
    -------
    dict
        ``footprint`` [byte]: weights, used constants and states, each in whole words of 8, 16, 32
        or 64 bit; ``footprint_packed`` [byte]: each in the bits that it has in the core;
        ``parameter_count``; ``connection_sparsity``: weights that are 0, of all weights;
        ``activation_sparsity``: neurons that do not fire, of all in all timesteps;
        ``synaptic_operations`` per sample: ``Effective_ACs`` (spikes times weights that are not
        0), ``Effective_MACs`` (0: nothing is multiplied by an activation), ``Dense`` (all
        weights in all timesteps); ``membrane_updates`` per sample: membranes that change, and
        all in the first timestep; ``classification_accuracy``; ``samples``.
    """
    trace = run(faulty or program, spikes, tiers, trace=True)
    fired = [trains for layer, trains in zip(program.layers, trace.layer_spikes, strict=True)
             if layer.spiking]
    states = sum(trains.size for trains in fired)
    active = sum(int(np.count_nonzero(trains)) for trains in fired)
    weights = sum(layer.weights.size for layer in program.layers)
    zeros = sum(int(np.count_nonzero(layer.weights == 0)) for layer in program.layers)
    return {
        "samples": len(spikes), **_footprint(program),
        "connection_sparsity": round(zeros / weights, 4),
        "activation_sparsity": 1 - active / states if states else None,
        "synaptic_operations": _synaptic_operations(program, spikes, trace.layer_spikes),
        "membrane_updates": _membrane_updates(program, trace.layer_membranes) / len(spikes),
        "classification_accuracy": accuracy,
    }


def _operations(layer: Layer, weights: np.ndarray, frames: list[np.ndarray]) -> int:
    """Sum over all neurons of `weights` times `frames`, one array (1, units) per source."""
    sums, _ = Drive(dataclasses.replace(layer, weights=weights), np.float64)(frames)
    return int(sums.sum(dtype=np.int64)) if frames else 0


def _synaptic_operations(program: Program, spikes: np.ndarray,
                         layer_spikes: tuple[np.ndarray, ...]) -> dict:
    effective = dense = 0
    for layer in program.layers:
        counts = []
        for source in layer.sources:
            sent = spikes[:, :, source.first:source.first + source.units] \
                if source.layer == INPUT else layer_spikes[source.layer]
            arrived = sent[:, :max(0, sent.shape[1] - source.delay)]
            counts.append(arrived.sum(axis=(0, 1), dtype=np.float64)[None])
        effective += _operations(layer, (layer.weights != 0).astype(np.int64), counts)
        dense += connections(layer) * spikes.shape[1]
    return {"Effective_MACs": 0, "Effective_ACs": effective / len(spikes), "Dense": dense}


def _membrane_updates(program: Program, membranes: tuple[np.ndarray, ...]) -> int:
    """Of all samples; a synaptic current is no membrane."""
    currents = {layer.current for layer in program.layers}
    return sum(int(np.count_nonzero(np.diff(v, axis=1))) + v[:, 0].size
               for index, v in enumerate(membranes) if index not in currents)


def _footprint(program: Program) -> dict:
    """Bytes of weights, constants and states, and the number of weights and constants."""
    stored, parameters = [], 0
    for layer in program.layers:
        constants = _constants(layer) * layer.neurons
        parameters += layer.weights.size + constants + layer.neurons
        stored += [(layer.weights.size, program.weight_bits),
                   (constants + layer.neurons, program.state_bits),
                   (layer.neurons, program.decay_bits + 1)]
    packed = sum(count * bits for count, bits in stored)
    whole = sum(count * next(word for word in _WORDS if word >= bits) for count, bits in stored)
    return {"footprint": whole // 8, "footprint_packed": -(-packed // 8),
            "parameter_count": parameters}


def _constants(layer: Layer) -> int:
    """Constants per neuron besides D: bias; threshold and reset where it spikes."""
    resets = layer.v_reset.any() if layer.reset is ResetRule.VALUE else True
    return 1 + (1 + int(resets) if layer.spiking else 0)
