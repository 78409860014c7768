"""The golden run of a chip whose cells fail anew at every read."""

from __future__ import annotations

import numpy as np

from lamina.models.chips import is_plain_chain
from lamina.models.faults import FaultModel, seen_weights
from lamina.models.neuron import neuron_step
from lamina.models.program import Program
from lamina.models.trace import Trace

__all__ = ["run_transient"]


def run_transient(program: Program, spikes: np.ndarray, lanes: int, tiers: tuple[int, ...],
                  faults: FaultModel) -> Trace:
    """Run `program` with the weights that its memory gives back in each timestep.

    A core reads a weight at most once per timestep, so one draw per timestep is one per read; all
    samples of a call see the same draws. There is no RTL for it: only a fault that lasts can be
    written into a memory.

    Parameters
    ----------
    program : Program
        A chain of layers with exact adders and without refractory timesteps.
    spikes : uint8 array (N, T, axons)
        0 or 1.
    lanes : int
        Of the core that it is placed on.
    tiers : tuple of int
        Bits of each memory tier, most significant first.
    faults : FaultModel
        Of any kind.

    Raises
    ------
    ValueError
        If the program is no such chain.
    """
    if not is_plain_chain(program):
        raise ValueError(f"{program.name}: transient faults must act on a plain chain of layers")
    samples, timesteps, _ = spikes.shape
    membranes = [np.zeros((samples, layer.neurons), dtype=np.int64) for layer in program.layers]
    fired: list[list[np.ndarray]] = [[] for _ in program.layers]
    levels: list[list[np.ndarray]] = [[] for _ in program.layers]
    for t in range(timesteps):
        active = spikes[:, t]
        for k, weights in enumerate(seen_weights(program, lanes, tiers, faults, timestep=t)):
            drive = active.astype(np.int64) @ weights
            active, membranes[k], _ = neuron_step(
                program.layers[k], membranes[k], drive, decay_bits=program.decay_bits,
                state_bits=program.state_bits, acc_bits=program.acc_bits)
            fired[k].append(active)
            levels[k].append(membranes[k])
    layer_spikes = tuple(np.stack(each, axis=1) for each in fired)
    counts = [each.sum(axis=(1, 2), dtype=np.int64) for each in (spikes, *layer_spikes)]
    return Trace(spikes=layer_spikes[-1], final_membranes=tuple(membranes),
                 spike_counts=np.array(counts), layer_spikes=layer_spikes,
                 layer_membranes=tuple(np.stack(each, axis=1) for each in levels))
