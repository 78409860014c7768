"""The golden model over a whole labelled set."""

from __future__ import annotations

import dataclasses
import time

import numpy as np

from lamina.flows.frontend.data import Dataset
from lamina.flows.progress import Reporter
from lamina.models.decoder import decode
from lamina.models.network import neuron_updates_per_sample, run
from lamina.models.program import Program

__all__ = ["Evaluation", "evaluate"]

_CHUNK_SAMPLES = 1000
_NEEDS_TRACE = ("v_sum", "v_max")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """What the golden model made of a data set.

    Parameters
    ----------
    golden : dict
        The report's ``golden``.
    confusion : int64 array (classes, classes) or None
        Samples by label and prediction; None without labels.
    sample : uint8 array (T, axons)
        Input spikes of sample 0.
    sops : float array (layers,)
        Synaptic operations of a mean sample.
    """

    golden: dict
    confusion: np.ndarray | None
    sample: np.ndarray
    sops: np.ndarray


def evaluate(program: Program, data: Dataset, tiers: tuple[int, ...], *,
             progress: Reporter | None = None) -> Evaluation:
    """Run every sample of `data` through the golden model.

    Parameters
    ----------
    program : Program
    data : Dataset
        Fits `program`.
    tiers : tuple of int
        Bits of each memory tier.
    progress : callable, optional
        Called with samples done and samples.
    """
    integer, counts, sops, seconds = [], [], [], 0.0
    traced = program.decoding in _NEEDS_TRACE
    for first in range(0, len(data), _CHUNK_SAMPLES):
        spikes = data.encoded(program, first, _CHUNK_SAMPLES)
        start = time.perf_counter()
        trace = run(program, spikes, tiers, trace=traced)
        integer.append(decode(program.decoding, trace.spikes, trace.membranes))
        seconds += time.perf_counter() - start
        counts.append(trace.spike_counts.sum(axis=0))
        sops.append(trace.sops)
        if progress is not None:
            progress(first + len(spikes), len(data))
    predictions, by_layer = np.concatenate(integer), np.concatenate(sops, axis=1)
    golden = {
        "samples": len(data),
        "accuracy": None if data.labels is None else float((predictions == data.labels).mean()),
        "spikes_per_sample": float(np.concatenate(counts).mean()),
        "sops_per_sample": float(by_layer.sum(axis=0).mean()),
        "neuron_updates_per_sample": int(neuron_updates_per_sample(program)),
        "seconds": round(seconds, 4),
    }
    return Evaluation(golden=golden, sample=data.encoded(program, 0, 1)[0],
                      sops=by_layer.mean(axis=1),
                      confusion=_confusion(predictions, data.labels, program.outputs))


def _confusion(predictions: np.ndarray, labels: np.ndarray | None,
               classes: int) -> np.ndarray | None:
    if labels is None:
        return None
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (labels, predictions), 1)
    return counts
