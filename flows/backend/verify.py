"""Holds the simulated hardware to the golden model, event for event and membrane for membrane."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable

import numpy as np

from lamina.flows.backend.simulate import Simulation, all_reporting
from lamina.flows.progress import Reporter, say
from lamina.models.config import HardwareConfig
from lamina.models.decoder import decode
from lamina.models.faults import FaultModel, faulty_program
from lamina.models.network import run
from lamina.models.program import Program
from lamina.models.trace import Trace

__all__ = ["Mismatch", "comparison", "mismatches", "verify"]

_SHOWN = 5

Mismatch = dict[str, object]
"""``sample timestep layer neuron quantity expected got``; `quantity` is spike or membrane."""


def verify(program: Program, config: HardwareConfig, spikes: np.ndarray,
           labels: np.ndarray | None, out: pathlib.Path, *, workers: int = 2, waves: bool = False,
           netlist: bool = False, faults: FaultModel | None = None,
           scheduler: str | None = None, progress: Reporter | None = None,
           notice: Callable[[str], None] | None = None) -> dict:
    """Run `spikes` on the simulated device and compare with the golden model.

    Every layer reports. Compared are the spikes of every neuron in every timestep and all
    membranes after the last one. The first mismatches are printed; their sample is run again to
    find the timestep where it began, and the waves of that one are left in ``out/mismatch.vcd``.

    Parameters
    ----------
    program : Program
        Fits `config`.
    config : HardwareConfig
    spikes : uint8 array (N, T, axons)
    labels : int array (N,) or None
        For the accuracy of the hardware.
    out : pathlib.Path
        Existing folder; finished samples are kept in it, so that an interrupted run goes on.
    workers, netlist, faults, progress, notice
        See :func:`lamina.flows.backend.simulate.run_rtl`.
    scheduler : str or None
        See :meth:`lamina.flows.backend.simulate.Simulation.run`.
    waves : bool
        Leave the waves of the first sample in ``out/waves.vcd``.

    Returns
    -------
    dict
        ``simulator, samples, timesteps`` (of all samples), ``events_compared`` (spikes that either
        side has), ``membranes_compared, mismatches, first_mismatches, cycles_per_sample,
        sop_per_lane_cycle, accesses_per_tier`` (per sample), ``counters`` (sums), ``accuracy``
        (None if unknown), ``waveform`` (in `out`, None unless one was left), ``seconds``.

    Raises
    ------
    UserError
        If a tool is missing.
    SimulationError
        If the simulator does not build, or the device does not answer as it should.
    """
    start = time.perf_counter()
    program = all_reporting(program)
    simulation = Simulation.of(config, out / "simulation", netlist=netlist, notice=notice)
    got, figures = simulation.run(program, spikes, workers=workers, faults=faults,
                                  scheduler=scheduler, progress=progress)
    golden = program if faults is None else faulty_program(program, config.lanes, config.tiers,
                                                           faults)
    expected = run(golden, spikes, config.tiers, trace=True)
    wrong = mismatches(program, expected, got)
    waveform = None
    if wrong:
        wrong = _origin(simulation, program, golden, spikes, faults, wrong)
        waveform = _record(simulation, program, spikes, out / "mismatch.vcd", wrong[0], 2, faults)
        _print(wrong, waveform)
    elif waves:
        first = {"sample": 0, "timestep": 0}
        waveform = _record(simulation, program, spikes, out / "waves.vcd", first, spikes.shape[1],
                           faults)
    return {**figures, **comparison(program, expected, got, labels, wrong),
            "waveform": None if waveform is None else waveform.name,
            "seconds": round(time.perf_counter() - start, 3)}


def comparison(program: Program, expected: Trace, got: Trace, labels: np.ndarray | None,
               wrong: list[Mismatch]) -> dict:
    """What was compared and found: see :func:`verify`."""
    samples, steps = expected.spikes.shape[:2]
    return {
        "samples": samples, "timesteps": samples * steps,
        "events_compared": sum(int(np.count_nonzero(ours | theirs)) for ours, theirs in
                               zip(got.layer_spikes, expected.layer_spikes, strict=True)),
        "membranes_compared": sum(layer.size for layer in expected.final_membranes),
        "mismatches": len(wrong), "first_mismatches": wrong[:_SHOWN],
        "accuracy": _accuracy(program, got, labels),
    }


def mismatches(program: Program, expected: Trace, got: Trace) -> list[Mismatch]:
    """Every difference between two traces of the same samples, by sample, timestep and layer.

    Final membranes belong to the last timestep; membranes of every timestep are compared when both
    traces have them.
    """
    found = []
    steps = expected.spikes.shape[1]
    for index, layer in enumerate(program.layers):
        found += _differences(layer.name, index, "spike", expected.layer_spikes[index],
                              got.layer_spikes[index], 0)
        if expected.layer_membranes and got.layer_membranes:
            found += _differences(layer.name, index, "membrane", expected.layer_membranes[index],
                                  got.layer_membranes[index], 0)
        else:
            found += _differences(layer.name, index, "membrane",
                                  expected.final_membranes[index][:, None],
                                  got.final_membranes[index][:, None], steps - 1)
    found.sort(key=lambda each: each[0])
    return [mismatch for _, mismatch in found]


def _differences(name: str, index: int, quantity: str, expected: np.ndarray, got: np.ndarray,
                 first: int) -> list[tuple[tuple[int, ...], Mismatch]]:
    """Sort key and mismatch of every differing element; axis 1 begins at timestep `first`."""
    return [((sample, first + step, index, neuron),
             {"sample": sample, "timestep": first + step, "layer": name, "neuron": neuron,
              "quantity": quantity, "expected": int(expected[sample, step, neuron]),
              "got": int(got[sample, step, neuron])})
            for sample, step, neuron in np.argwhere(expected != got).tolist()]


def _origin(simulation: Simulation, program: Program, golden: Program, spikes: np.ndarray,
            faults: FaultModel | None, wrong: list[Mismatch]) -> list[Mismatch]:
    """`wrong`, preceded by where the first wrong sample leaves the golden run, if it still does."""
    sample = wrong[0]["sample"]
    alone = spikes[sample:sample + 1]
    got, _ = simulation.run(program, alone, trace=True, workers=1, faults=faults)
    traced = mismatches(program, run(golden, alone, simulation.config.tiers, trace=True), got)
    for mismatch in traced:
        mismatch["sample"] = sample
    first = [mismatch for mismatch in traced[:1] if mismatch not in wrong]
    return first + wrong


def _record(simulation: Simulation, program: Program, spikes: np.ndarray, target: pathlib.Path,
            first: Mismatch, count: int, faults: FaultModel | None) -> pathlib.Path:
    simulation.record(program, spikes[first["sample"]], first["timestep"], count, target, faults)
    return target


def _print(wrong: list[Mismatch], waveform: pathlib.Path) -> None:
    for mismatch in wrong[:_SHOWN]:
        say("mismatch at " + ", ".join(f"{name} {value}" for name, value in mismatch.items()))
    if len(wrong) > _SHOWN:
        say(f"and {len(wrong) - _SHOWN} more")
    say(f"waves of sample {wrong[0]['sample']}, timestep {wrong[0]['timestep']}: {waveform}")


def _accuracy(program: Program, got: Trace, labels: np.ndarray | None) -> float | None:
    """Of the hardware; None without labels, or if decoding needs the membranes of all timesteps."""
    if labels is None or program.decoding in ("v_sum", "v_max"):
        return None
    predictions = decode(program.decoding, got.spikes, got.membranes)
    return round(float(np.mean(predictions == labels)), 6)
