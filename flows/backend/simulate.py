"""Runs a program on the generated hardware in Verilator, through the driver a board would use."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from lamina.flows.backend import tools
from lamina.flows.backend.generate import convert
from lamina.flows.backend.synth import CELL_DEFINES, synthesise_netlist
from lamina.flows.cluster import connected
from lamina.flows.errors import UserError
from lamina.flows.progress import Reporter
from lamina.models.config import HardwareConfig
from lamina.models.faults import FaultModel
from lamina.models.placement import place
from lamina.models.program import Program
from lamina.models.trace import Trace
from lamina.rtl.device import Device

__all__ = ["CHUNK_SAMPLES", "Simulation", "SimulationError", "all_reporting", "figures_of",
           "run_block", "run_rtl", "simulation_sources", "summed"]

CHUNK_SAMPLES = 10
"""Samples between two points from which an interrupted run goes on."""

_POLL_SECONDS = 0.1
_NEEDED = {"make": "GNU make", "c++": "a C++ compiler such as g++"}


class SimulationError(RuntimeError):
    """The simulator did not build or did not run to its end; the message ends with its log."""


def simulation_sources(config: HardwareConfig, folder: pathlib.Path, *, netlist: bool = False,
                       notice: tools.Notice | None = None) -> tuple[list[str], dict[str, object]]:
    """Sources and macros of the simulated device; what is generated goes to the new `folder`.

    With `netlist` the device is synthesised for the iCE40 UltraPlus first, and simulated on Yosys'
    own cell models. Relative sources are files of ``lamina.tb``.

    Raises
    ------
    UserError
        If Yosys is missing or fails.
    """
    name = f"{config.name}_device"
    folder.mkdir(parents=True, exist_ok=True)
    device = folder / f"{name}.v"
    device.write_text(convert(Device(config), name, notice=notice))
    defines: dict[str, object] = {"DEVICE": name}
    if netlist:
        (folder / "config.json").write_text(config.to_json() + "\n")
        files = synthesise_netlist(folder, folder / "netlist", notice=notice)
        sources = [str(file.resolve()) for file in files]
        defines |= CELL_DEFINES
    else:
        sources = [str(device.resolve())] + ["sb_spram256ka.v"] * (config.bank == "spram")
    return ["device_port.sv", *sources], defines


@dataclasses.dataclass(frozen=True, kw_only=True)
class Simulation:
    """A simulator of one device and where it is kept.

    Parameters
    ----------
    config : HardwareConfig
    sources : list of str
        Verilog files; relative ones are files of ``lamina.tb``.
    defines : dict
        Macros.
    build_dir : pathlib.Path
        Of simulators, logs and chunks.
    counting : bool
        The simulator counts edges where it is asked to, see :meth:`activity`.
    toplevel, bench : str
        Module that is simulated, and the bench that runs the jobs.
    blocks : tuple of str
        Verilog files, absolute, of modules that are compiled by themselves, named as their files.
    """

    config: HardwareConfig
    sources: list[str]
    defines: dict[str, object]
    build_dir: pathlib.Path
    counting: bool = False
    toplevel: str = "device_port"
    bench: str = "lamina.tb.bench_device"
    blocks: tuple[str, ...] = ()

    @classmethod
    def of(cls, config: HardwareConfig, build_dir: pathlib.Path, *, netlist: bool = False,
           notice: tools.Notice | None = None) -> Simulation:
        """Generate (and with `netlist` synthesise) the device and build its simulator.

        Raises
        ------
        UserError
            If Yosys, make or the C++ compiler is missing.
        SimulationError
            If the simulator does not build.
        """
        _need_tools()
        design = build_dir / ("netlist" if netlist else "rtl")
        sources, defines = simulation_sources(config, design, netlist=netlist, notice=notice)
        simulation = cls(config=config, sources=sources, defines=defines, build_dir=build_dir)
        simulation.build()
        return simulation

    def build(self) -> None:
        """Build the simulator if it is not there yet.

        Raises
        ------
        UserError
            If make or the C++ compiler is missing.
        SimulationError
            If it does not build.
        """
        _need_tools()
        with _stopped([self._start()]) as [process]:
            _answer(process)

    def run(self, program: Program, spikes: np.ndarray, *, trace: bool = False, workers: int = 2,
            stall: int = 0, faults: FaultModel | None = None, scheduler: str | None = None,
            progress: Reporter | None = None) -> tuple[Trace, dict]:
        """Run every sample of `spikes`; an interrupted run goes on where it stopped.

        Parameters
        ----------
        program : Program
            Fits the configuration. Layers that do not report leave no spikes in the trace.
        spikes : uint8 array (N, T, axons)
        trace : bool
            Have every layer report, and read all membranes after every timestep.
        workers : int
            Simulator processes that share the samples.
        stall : int
            Of 256: how often each side of the byte streams pauses for a cycle.
        faults : FaultModel or None
            Of undervolted tiers, injected through the memory image.
        scheduler : str or None
            Address of a Dask scheduler whose workers see `build_dir` under the same path and have
            the same packages; instead of `workers`.
        progress : callable, optional
            Called with samples done and samples.

        Returns
        -------
        trace : Trace
        figures : dict
            ``simulator``, ``cycles_per_sample``, ``sop_per_lane_cycle``, ``accesses_per_tier`` (per
            sample), ``counters`` (sums), ``seconds``.

        Raises
        ------
        SimulationError
            If the device does not answer as it should.
        UserError
            If the scheduler is not there or goes away; finished chunks are kept.
        """
        start = time.perf_counter()
        if trace:
            program = all_reporting(program)
        job = self._job(program, spikes, faults, trace=trace, stall=stall)
        chunks = self._run_chunks(job, len(spikes), workers, scheduler, progress)
        counters = summed(json.loads(str(chunk["counters"])) for chunk in chunks)
        figures = figures_of(counters, self.config.lanes, len(self.config.tiers), len(spikes))
        figures["seconds"] = round(time.perf_counter() - start, 3)
        return _collect(program, self.config, spikes, chunks, trace), figures

    def chunks(self, program: Program, spikes: np.ndarray, content: dict, *, workers: int = 2,
               scheduler: str | None = None, progress: Reporter | None = None
               ) -> list[dict[str, np.ndarray]]:
        """What the bench leaves of each chunk of samples; an interrupted run goes on.

        Parameters
        ----------
        program, spikes, workers, scheduler, progress
            See :meth:`run`.
        content : dict
            Of the job's ``job.json``.

        Raises
        ------
        SimulationError
            If the bench fails.
        """
        return self._run_chunks(self._filed(program, spikes, content), len(spikes), workers,
                                scheduler, progress)

    def record(self, program: Program, sample: np.ndarray, timestep: int, count: int,
               target: pathlib.Path, faults: FaultModel | None = None) -> None:
        """Run `sample` (T, axons) and leave the waves of `count` timesteps in `target`.

        Raises
        ------
        SimulationError
            If it fails.
        """
        job = self._job(program, sample[None], faults, trace=False, stall=0)
        part = {"dump": [0, timestep, count]}
        with _stopped([self._start_part(job, part, dump=True)]) as [process]:
            shutil.move(_answer(process) / "dump.vcd", target)

    def activity(self, program: Program, spikes: np.ndarray) -> pathlib.Path:
        """Run `spikes` (N, T, axons) and count the edges of every net from the first event on.

        Returns
        -------
        pathlib.Path
            SAIF file. It covers all samples, their CLEARs included, and no reading by the host.

        Raises
        ------
        SimulationError
            If it fails.
        """
        job = self._job(program, spikes, None, trace=False, stall=0)
        part = {"activity": [0, len(spikes)]}
        with _stopped([self._start_part(job, part)]) as [process]:
            return _answer(process) / "dump.vcd"

    def _job(self, program: Program, spikes: np.ndarray, faults: FaultModel | None, *,
             trace: bool, stall: int) -> pathlib.Path:
        """Folder of a job of one core."""
        return self._filed(program, spikes, {
            "config": self.config.to_json(), "trace": trace, "stall": stall,
            "faults": faults and dataclasses.asdict(faults)})

    def _filed(self, program: Program, spikes: np.ndarray, content: dict) -> pathlib.Path:
        """Folder of a job, named by its content: the same job finds its chunks again."""
        jobs = self.build_dir / "jobs"
        draft = jobs / f".draft-{os.getpid()}"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        program.save(draft)
        (draft / "job.json").write_text(json.dumps(content, sort_keys=True))
        np.save(draft / "spikes.npy", spikes)
        inputs = [pathlib.Path(source) for source in (*self.sources, *self.blocks)
                  if pathlib.Path(source).is_absolute()]
        key = _digest(*(path.read_bytes() for path in [*inputs, *sorted(draft.iterdir())]))
        if (jobs / key).exists():
            shutil.rmtree(draft)
        else:
            draft.rename(jobs / key)
        return jobs / key

    def _run_chunks(self, job: pathlib.Path, samples: int, workers: int, scheduler: str | None,
                    progress: Reporter | None) -> list[dict[str, np.ndarray]]:
        """Have the chunks run that are not there yet; return all."""
        chunks = [(job / f"chunk-{first}.npz", first, min(CHUNK_SAMPLES, samples - first))
                  for first in range(0, samples, CHUNK_SAMPLES)]
        left = [(first, count) for path, first, count in chunks if not path.exists()]

        def tell() -> None:
            if progress is not None:
                progress(sum(count for path, _, count in chunks if path.exists()), samples)

        if scheduler is None:
            self._run_here(job, [left[worker::workers] for worker in range(workers)
                                 if left[worker::workers]], tell)
        else:
            self._run_there(job, left, scheduler, tell)
        return [_load(path) for path, _, _ in chunks]

    def _run_here(self, job: pathlib.Path, parts: list[list[tuple[int, int]]],
                  tell: Callable[[], None]) -> None:
        """A process of this machine for each of `parts`, side by side."""
        with _stopped([self._start_part(job, {"chunks": part}) for part in parts]) as processes:
            busy = True
            while busy:
                states = [process.poll() for process in processes]
                busy = None in states and not any(states)
                tell()
                if busy:
                    time.sleep(_POLL_SECONDS)
            for process, state in zip(processes, states, strict=True):
                if state is not None:
                    _answer(process)

    def _run_there(self, job: pathlib.Path, left: list[tuple[int, int]], scheduler: str,
                   tell: Callable[[], None]) -> None:
        """A task of a cluster for each chunk; what is finished stays."""
        calls = [(str(self._request(bench=self.bench,
                                    environment=_environment(job, {"chunks": [chunk]}))),)
                 for chunk in left]
        with connected(1, scheduler) as client:
            for _ in client.results(_run_request, calls):
                tell()

    def _start_part(self, job: pathlib.Path, part: dict, **fields: object) -> subprocess.Popen:
        return self._start(bench=self.bench, environment=_environment(job, part), **fields)

    def _start(self, **fields: object) -> subprocess.Popen:
        """Start the bench runner on this simulator with `fields` of its request."""
        return _started(self._request(**fields))

    def _request(self, **fields: object) -> pathlib.Path:
        """File that tells the bench runner what to do."""
        request = {"toplevel": self.toplevel, "sources": self.sources, "defines": self.defines,
                   **({"blocks": self.blocks} if self.blocks else {}),
                   "build_dir": str(self.build_dir.resolve()),
                   **({"dump": True, "saif": True} if self.counting else {}), **fields}
        return _write_request(request, self.build_dir)


def run_block(bench: str, toplevel: str, sources: list[pathlib.Path], build_dir: pathlib.Path, *,
              environment: dict[str, str]) -> pathlib.Path:
    """Run a bench on a block whose Verilog has its edges counted where ``DUMP`` is defined.

    Parameters
    ----------
    bench, toplevel, sources, build_dir, environment
        See :func:`lamina.tb.runner.run_bench`.

    Returns
    -------
    pathlib.Path
        Folder of the run, with what the bench leaves and ``dump.vcd``, a SAIF file.

    Raises
    ------
    UserError
        If make or the C++ compiler is missing.
    SimulationError
        If the simulator does not build, or the bench fails.
    """
    _need_tools()
    request = _write_request(
        {"bench": bench, "toplevel": toplevel, "environment": environment, "dump": True,
         "saif": True, "sources": [str(source.resolve()) for source in sources],
         "build_dir": str(build_dir.resolve())}, build_dir)
    with _stopped([_started(request)]) as [process]:
        return _answer(process)


def _write_request(request: dict, folder: pathlib.Path) -> pathlib.Path:
    """File that tells the bench runner what to do."""
    text = json.dumps(request, sort_keys=True)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"request-{_digest(text.encode())}.json"
    path.write_text(text)
    return path.resolve()


def _environment(job: pathlib.Path, part: dict) -> dict[str, str]:
    return {"LAMINA_JOB": str(job.resolve()), "LAMINA_PART": json.dumps(part)}


def _started(request: pathlib.Path | str) -> subprocess.Popen:
    """A process of the bench runner, with a session of its own."""
    return subprocess.Popen([sys.executable, "-m", "lamina.tb.runner", str(request)], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            start_new_session=True)


def _run_request(request: str) -> None:
    """Do what a file asks for, to the end."""
    with _stopped([_started(request)]) as [process]:
        _answer(process)


def _need_tools() -> None:
    for command, meaning in _NEEDED.items():
        if shutil.which(command) is None:
            raise UserError(f"{command} was not found: building the simulator needs {meaning}")


@contextlib.contextmanager
def _stopped(processes: list[subprocess.Popen]) -> Iterator[list[subprocess.Popen]]:
    """Yield `processes`, and let neither them nor their simulators outlive the block."""
    try:
        yield processes
    finally:
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            process.wait()


def _answer(process: subprocess.Popen) -> pathlib.Path:
    output, errors = process.communicate()
    if process.returncode:
        raise SimulationError(errors.strip() or f"simulation ended with {process.returncode}")
    return pathlib.Path(output.strip().splitlines()[-1])


def run_rtl(program: Program, config: HardwareConfig, spikes: np.ndarray, *,
            build_dir: pathlib.Path, netlist: bool = False, trace: bool = False,
            workers: int = 2, waves: bool = False, faults: FaultModel | None = None,
            progress: Reporter | None = None,
            notice: tools.Notice | None = None) -> tuple[Trace, dict]:
    """Build the device and run every sample of `spikes` on it; see :meth:`Simulation.run`.

    Parameters
    ----------
    program, config, spikes, trace, workers, faults, progress
        See :class:`Simulation` and its ``run``.
    build_dir : pathlib.Path
        Of the simulator and of finished samples.
    netlist : bool
        Simulate the iCE40 netlist after synthesis.
    waves : bool
        Leave ``build_dir/waves.vcd`` of the first sample.
    notice : callable, optional
        Called with a sentence when a first call takes long.
    """
    simulation = Simulation.of(config, build_dir, netlist=netlist, notice=notice)
    result = simulation.run(program, spikes, trace=trace, workers=workers, faults=faults,
                            progress=progress)
    if waves:
        simulation.record(program, spikes[0], 0, spikes.shape[1], build_dir / "waves.vcd", faults)
    return result


def all_reporting(program: Program) -> Program:
    """`program` with every layer's events on the output."""
    layers = tuple(dataclasses.replace(layer, report=True) for layer in program.layers)
    return dataclasses.replace(program, layers=layers)


def _digest(*texts: bytes) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(hashlib.sha256(text).digest())
    return digest.hexdigest()[:16]


def _load(path: pathlib.Path) -> dict[str, np.ndarray]:
    with np.load(path) as arrays:
        return dict(arrays)


def summed(counters: Iterable[dict[str, int]]) -> dict[str, int]:
    """Counters of several chunks or tiles as one."""
    totals: collections.Counter[str] = collections.Counter()
    for each in counters:
        totals.update(each)
    return dict(totals)


def figures_of(counters: dict[str, int], lanes: int, tiers: int, samples: int) -> dict:
    """What the counters of `samples` on so many lanes say: see :meth:`Simulation.run`."""
    slots = lanes * counters["cycles"]
    return {
        "simulator": f"Verilator {importlib.metadata.version('verilator')}",
        "cycles_per_sample": round(counters["cycles"] / samples, 1),
        "sop_per_lane_cycle": round(counters["sops"] / slots, 4) if slots else 0.0,
        "accesses_per_tier": [round(counters[f"accesses_{tier}"] / samples, 1)
                              for tier in range(tiers)],
        "counters": counters,
    }


def _collect(program: Program, config: HardwareConfig, spikes: np.ndarray, chunks: list[dict],
             traced: bool) -> Trace:
    """Trace of the layers from the events of the core's neurons."""
    events = np.concatenate([chunk["events"] for chunk in chunks])
    fired = tuple(events[:, :, placed.units]
                  for placed in place(program, config.lanes, len(config.tiers)).layers)
    membranes = tuple(np.concatenate([chunk[f"membranes{k}"] for chunk in chunks])
                      for k in range(len(fired)))
    counts = [spikes.sum(axis=(1, 2), dtype=np.int64),
              *(layer.sum(axis=(1, 2), dtype=np.int64) for layer in fired)]
    return Trace(
        spikes=fired[-1], spike_counts=np.array(counts), layer_spikes=fired,
        final_membranes=tuple(layer[:, -1] if traced else layer for layer in membranes),
        layer_membranes=membranes if traced else ())
