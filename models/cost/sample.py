"""Cycles of one sample from its spikes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from lamina.models.config import HardwareConfig
from lamina.models.cost.graph import jobs_of, relays_of
from lamina.models.cost.scheduler import Scheduler
from lamina.models.program import Program

__all__ = ["SampleCost", "sample_cycles"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleCost:
    """Where the cycles of one sample go.

    Parameters
    ----------
    cycles : int
        From the first TICK taken to the last output taken [cycle].
    sops : int
        Weights added to existing neurons.
    lane_use : float
        ``sops / (lanes * cycles)``, 0..1.
    """

    cycles: int
    sops: int
    lane_use: float


def sample_cycles(
    program: Program, config: HardwareConfig, spikes: np.ndarray, layer_spikes: Sequence[np.ndarray]
) -> SampleCost:
    """Cycles of one sample whose events arrive one per cycle and whose outputs are taken at once.

    Exact for every program that runs on `config`: its time grows with the jobs (layers, or output
    positions of convolutions), their groups and their spikes.

    Parameters
    ----------
    program : Program
    config : HardwareConfig
    spikes : uint8 array (T, axons)
    layer_spikes : sequence of uint8 arrays (T, neurons)
        Of every layer, as traced by the golden model.
    """
    layers = jobs_of(program, config, spikes, layer_spikes)
    relays, scheduler, tick = relays_of(program, config), Scheduler(config), 0
    for t, events in enumerate(spikes.sum(axis=1, dtype=np.int64).tolist()):
        tick = max(tick + events, scheduler.erased) + 1 if t else 0
        scheduler.run(t, tick, layers, relays)
    cycles, sops = scheduler.emitter.done, scheduler.sops
    return SampleCost(cycles=cycles, sops=sops, lane_use=sops / (config.lanes * cycles))
