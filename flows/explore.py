"""What every weight width costs and keeps, and the narrowest that keeps enough."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib

import numpy as np

from lamina.flows import progress
from lamina.flows.errors import FitError
from lamina.flows.frontend.compile import Compiled
from lamina.flows.job import Job, compile_for
from lamina.flows.report import plots
from lamina.flows.workspace import replaced_file
from lamina.models.config import HardwareConfig
from lamina.models.cost import sample_cycles
from lamina.models.network import run
from lamina.models.program import Program

__all__ = ["WIDTHS", "choose_width", "explore", "predict_cycles"]

WIDTHS = (1, 2, 3, 4, 5, 6, 7, 8, 16)
_COSTED_SAMPLES = 10


def explore(job: Job, folder: pathlib.Path, *, keep: float, key: dict) -> dict:
    """Compile the network of `job` at every width and choose the narrowest that is good enough.

    A width that was done before with the same `key` is taken from `folder`, so that an interrupted
    exploration goes on.

    Parameters
    ----------
    job : Job
    folder : pathlib.Path
        Gets ``N.json`` for each width, ``explore.json`` and ``explore.png``; made where it lacks.
    keep : float
        Points of accuracy (of agreement without labels) that may be lost, at least 0.
    key : dict
        What the results depend on besides the width.

    Returns
    -------
    dict
        ``widths``: per width ``weight_bits``, ``accuracy``, ``float_accuracy``, ``agreement``,
        ``spike_agreement`` and ``jaccard`` of the output layer, ``memory_bits`` of all weights,
        ``state_bits``, ``acc_bits``, ``decay_bits``, ``cycles_per_sample`` as predicted (None
        where it does not fit), ``fits`` the target, ``scales`` per layer;
        ``chosen``: width or None; ``keep``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    widths = []
    with progress.step(f"quantising {job.source} at {len(WIDTHS)} widths") as bar:
        for done, bits in enumerate(WIDTHS):
            bar(done, len(WIDTHS))
            widths.append(_kept_width(job, folder / f"{bits}.json", bits, key))
        bar(len(WIDTHS), len(WIDTHS))
    result = {"widths": widths, "chosen": choose_width(widths, keep), "keep": keep}
    with replaced_file(folder / "explore.json") as partial:
        _write(partial, result)
    with replaced_file(folder / "explore.png") as partial, partial.open("wb") as stream:
        plots.exploration(widths, result["chosen"], stream)
    return result


def choose_width(widths: list[dict], keep: float) -> int | None:
    """Narrowest width that loses at most `keep` points or one sample against the float network.

    Accuracy counts, without labels the agreement of the predictions; None: no width does.
    """
    for entry in sorted(widths, key=lambda entry: entry["weight_bits"]):
        accuracy = entry["accuracy"]
        loss = 1 - entry["agreement"] if accuracy is None else entry["float_accuracy"] - accuracy
        if loss * entry["samples"] <= max(keep / 100 * entry["samples"], 1) + 1e-9:
            return entry["weight_bits"]
    return None


def predict_cycles(program: Program, config: HardwareConfig, spikes: np.ndarray) -> float:
    """Mean cycles of a sample on `config`: see :func:`lamina.models.cost.sample_cycles`.

    Parameters
    ----------
    program : Program
    config : HardwareConfig
        Of a core that runs it.
    spikes : uint8 array (N, T, axons)
        N of at least 1.
    """
    trace = run(program, spikes, config.tiers, trace=True)
    cycles = [sample_cycles(program, config, sample, [fired[index] for fired in trace.layer_spikes])
              .cycles for index, sample in enumerate(spikes)]
    return float(np.mean(cycles))


def _kept_width(job: Job, path: pathlib.Path, bits: int, key: dict) -> dict:
    """The entry of one width, from `path` where it was made for `key`."""
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    try:
        entry = json.loads(path.read_text())
        if entry.pop("key") == digest:
            return entry
    except (FileNotFoundError, ValueError, KeyError):
        pass
    entry = _judge(job, bits)
    with replaced_file(path) as partial:
        _write(partial, {"key": digest, **entry})
    return entry


def _judge(job: Job, bits: int) -> dict:
    options = dataclasses.replace(job.options, weight_bits=bits)
    job = dataclasses.replace(job, options=options)
    try:
        compiled, fits = compile_for(job, job.target.config), True
    except FitError:
        compiled, fits = compile_for(job, None), False
    program, table = compiled.program, compiled.calibration
    output = table.layers[-1]
    return {"weight_bits": bits, "samples": table.samples, "accuracy": table.integer_accuracy,
            "float_accuracy": table.float_accuracy, "agreement": table.agreement,
            "spike_agreement": output.spike_agreement, "jaccard": output.jaccard,
            "memory_bits": sum(layer.weights.size for layer in program.layers) * bits,
            "state_bits": program.state_bits, "acc_bits": program.acc_bits,
            "decay_bits": program.decay_bits, "fits": fits,
            "scales": {layer.name: layer.scale for layer in table.layers},
            "cycles_per_sample": _cycles(job, compiled) if fits else None}


def _cycles(job: Job, compiled: Compiled) -> float:
    program = compiled.program
    spikes = compiled.data.encoded(program, 0, _COSTED_SAMPLES)
    return predict_cycles(program, job.target.fitted(program).config, spikes)


def _write(path: pathlib.Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
