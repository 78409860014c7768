"""One executor on some samples, with its trace as named arrays."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator

import numpy as np

from lamina.flows import progress
from lamina.flows.backend.board import run_board
from lamina.flows.backend.simulate import SimulationError, run_rtl
from lamina.flows.errors import FitError, UserError
from lamina.flows.frontend.data import Dataset, load_data
from lamina.flows.frontend.float_network import FloatNetwork, run_float
from lamina.flows.frontend.nir.reader import read_network
from lamina.flows.job import Job, compile_for, load_program, require_fit
from lamina.flows.sky130.measure import gate_simulation
from lamina.flows.sky130.synth import synthesise_device
from lamina.models.config import HardwareConfig
from lamina.models.decoder import decode
from lamina.models.network import run as run_golden
from lamina.models.program import Program
from lamina.models.trace import Trace

__all__ = ["EXECUTORS", "execute", "simulating"]

EXECUTORS = ("golden", "float", "rtl", "netlist")
_BUILD = pathlib.Path("out") / "simulation"
_TRACED_DECODINGS = ("v_sum", "v_max")


def execute(job: Job, on: str, *, trace: bool = False) -> dict[str, np.ndarray]:
    """Run the network or program of `job` and return its trace.

    Parameters
    ----------
    job : Job
    on : str
        One of :data:`EXECUTORS`, or a serial port (a path under ``/dev``).
    trace : bool
        Keep spikes and membranes of every layer and timestep.

    Returns
    -------
    dict of str to array
        ``spikes`` uint8 (N, T, outputs); ``membranes`` int64 [LSB] (float64 on ``float``),
        (N, outputs), with `trace` (N, T, outputs); ``predictions`` and ``labels`` int64 (N,), -1
        where there is no label; with `trace` ``layer{k}_spikes`` and ``layer{k}_membranes``.

    Raises
    ------
    UserError
        If the executor is unknown, or cannot run this network.
    """
    if on not in EXECUTORS and not on.startswith("/dev/"):
        raise UserError(f"--on must be {', '.join(EXECUTORS)} or a serial port under /dev, "
                        f"not {on}")
    if on == "float":
        network = _float_network(job)
        data, spikes = _samples(job, network, every=True)
        traced = trace or network.decoding in _TRACED_DECODINGS
        with progress.step(f"running {len(spikes)} samples on float"):
            result = run_float(network, spikes, trace=traced)
        return _arrays(result, network.decoding, data, trace)
    program, tiers = _program(job, on)
    data, spikes = _samples(job, program, every=on == "golden")
    traced = trace or program.decoding in _TRACED_DECODINGS
    with progress.step(f"running {len(spikes)} samples on {on}") as bar:
        if on == "golden":
            result = run_golden(job.faulty(program, tiers), spikes, tiers, trace=traced,
                                progress=bar)
        else:
            result = _run_hardware(job, program, spikes, on, traced, bar)
    return _arrays(result, program.decoding, data, trace)


def _run_hardware(job: Job, program: Program, spikes: np.ndarray, on: str, traced: bool,
                  bar: progress.Reporter) -> Trace:
    config = job.target.fitted(program).config
    if on.startswith("/dev/"):
        if not job.target.is_board:
            raise UserError(f"--on {on}: {job.target.name} is no board with a serial port")
        return run_board(program, config, spikes, port=on, baud=job.target.baud, trace=traced,
                         faults=job.faults(program), progress=bar)
    if on == "netlist" and not job.target.is_board:
        return _run_gates(job, program, spikes, config, traced, bar)
    with simulating():
        result, _ = run_rtl(program, config, spikes, build_dir=_BUILD, netlist=on == "netlist",
                            trace=traced, workers=job.options.workers, waves=job.options.waves,
                            faults=job.faults(program), progress=bar, notice=progress.say)
    return result


def _run_gates(job: Job, program: Program, spikes: np.ndarray, config: HardwareConfig,
               traced: bool, bar: progress.Reporter) -> Trace:
    """Run the device as cells of a chip; mapped where that was not done before."""
    folder = _BUILD / f"{job.target.name}-{config.fingerprint:08x}"
    synthesis = synthesise_device(config, folder / "netlist", notice=progress.say,
                                  native=job.options.native_tools)
    with simulating():
        simulation = gate_simulation(config, synthesis, folder / "simulation")
        result, _ = simulation.run(program, spikes, trace=traced, workers=job.options.workers,
                                   faults=job.faults(program), progress=bar)
    return result


@contextlib.contextmanager
def simulating() -> Iterator[None]:
    """Within the block a simulation that fails is told in one line.

    Raises
    ------
    UserError
    """
    try:
        yield
    except SimulationError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        told = [line for line in lines if "Error" in line] or lines[-1:]
        raise UserError(f"the simulation failed: {told[-1]}") from error


def _program(job: Job, on: str) -> tuple[Program, tuple[int, ...]]:
    """Program and tiers; the golden model also takes what fits no hardware."""
    config = job.target.config
    if job.program_folder is not None:
        program = load_program(job.program_folder)
        require_fit(program, job)
        return program, config.tiers
    with progress.step(f"compiling {job.source}"):
        try:
            return compile_for(job, config).program, config.tiers
        except FitError as error:
            if on != "golden" or job.options.target is not None:
                raise
            progress.say(f"golden model only: {error}")
            compiled = compile_for(job, None)
            return compiled.program, compiled.tiers


def _float_network(job: Job) -> FloatNetwork:
    if job.source is None:
        raise UserError(f"--on float takes a .nir file, not the program in {job.options.net}")
    given, data = job.options, None
    if given.data is not None:
        data = load_data(given.data, **given.reading)
    return read_network(job.source, **given.reader,
                        recorded=data.timesteps if data else None,
                        repeats=data.repeats if data else 1)


def _samples(job: Job, network: Program | FloatNetwork, *,
             every: bool) -> tuple[Dataset, np.ndarray]:
    """Data and the encoded samples that run: as asked for, else all or a few."""
    data = job.data(network)
    count = job.options.samples or (len(data) if every else job.samples)
    return data, data.encoded(network, 0, count)


def _arrays(result: Trace, decoding: str, data: Dataset, trace: bool) -> dict[str, np.ndarray]:
    count = len(result.spikes)
    labels = np.full(count, -1) if data.labels is None else data.labels[:count]
    arrays = {"spikes": result.spikes.astype(np.uint8),
              "membranes": result.membranes if trace else result.final_membranes[-1],
              "predictions": decode(decoding, result.spikes, result.membranes),
              "labels": labels.astype(np.int64)}
    if trace:
        for index, (spikes, membranes) in enumerate(zip(result.layer_spikes,
                                                        result.layer_membranes, strict=True)):
            arrays |= {f"layer{index}_spikes": spikes, f"layer{index}_membranes": membranes}
    return arrays
