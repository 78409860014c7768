"""Holds a simulated fabric to the golden model of the whole network, event for event."""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
import time
from collections.abc import Callable

import numpy as np

from lamina.flows.backend.generate import convert
from lamina.flows.backend.simulate import Simulation, all_reporting, figures_of, summed
from lamina.flows.backend.verify import comparison, mismatches
from lamina.flows.fabric.mapper import Mapped
from lamina.flows.progress import Reporter
from lamina.models.config import HardwareConfig
from lamina.models.fabric.config import FabricConfig, Port
from lamina.models.fabric.flits import forwarded, sent_flits
from lamina.models.fabric.mapping import Part
from lamina.models.fabric.tables import sized
from lamina.models.fabric.timing import fabric_cycles
from lamina.models.network import run
from lamina.models.program import Program
from lamina.models.trace import Trace
from lamina.rtl.fabric.fabric import Fabric
from lamina.rtl.fabric.flits import (
    fabric_request_layout,
    host_event_layout,
    host_output_layout,
)

__all__ = ["mesh_block", "verify_fabric"]

_TOPLEVEL = "lamina_fabric"
_LAYOUTS = {"REQUEST": fabric_request_layout, "EVENT": host_event_layout,
            "OUTPUT": host_output_layout}
"""Of what passes the mailbox, by the macros of its widths."""


def verify_fabric(mapped: Mapped, core: HardwareConfig, spikes: np.ndarray,
                  labels: np.ndarray | None, out: pathlib.Path, *, workers: int = 2,
                  scheduler: str | None = None, progress: Reporter | None = None,
                  notice: Callable[[str], None] | None = None) -> dict:
    """Run `spikes` on the simulated fabric and compare with the network on one golden core.

    Every layer reports. Compared are the spikes of every neuron in every timestep and all
    membranes after the last one.

    Parameters
    ----------
    mapped : Mapped
        Fits a mesh of `core`.
    core : HardwareConfig
    spikes : uint8 array (N, T, axons)
    labels : int array (N,) or None
        For the accuracy of the hardware.
    out : pathlib.Path
        Existing folder; finished samples are kept in it, so that an interrupted run goes on.
    workers, scheduler, progress, notice
        See :func:`lamina.flows.backend.verify.verify`.

    Returns
    -------
    dict
        As of :func:`lamina.flows.backend.verify.verify`; counters are sums over tiles, but for
        ``cycles`` of all samples, and ``mesh`` is :func:`mesh_block`.

    Raises
    ------
    UserError
        If a tool is missing.
    SimulationError
        If the simulator does not build, or the fabric does not answer as it should.
    """
    start = time.perf_counter()
    program, config = all_reporting(mapped.fabric.program), sized(mapped.fabric, core)
    simulation = _simulation(config, out / "simulation", notice)
    parts = {tile: [dataclasses.astuple(part) for part in found.parts]
             for tile, found in mapped.fabric.tiles.items()}
    content = {"fabric": config.to_json(), "parts": parts, **_ways(mapped)}
    chunks = simulation.chunks(program, spikes, content, workers=workers, scheduler=scheduler,
                               progress=progress)
    got, expected = _trace(program, spikes, chunks), run(program, spikes, core.tiers, trace=True)
    wrong = mismatches(program, expected, got)
    tiles, cycles = _tile_counters(chunks), np.concatenate([chunk["cycles"] for chunk in chunks])
    counters = summed(tiles.values()) | {"cycles": int(cycles.sum())}
    return {**figures_of(counters, core.lanes * config.mesh.tiles, len(core.tiers), len(spikes)),
            **comparison(program, expected, got, labels, wrong), "waveform": None,
            "mesh": mesh_block(mapped, config, tiles, cycles,
                               _expected_cycles(mapped, config, spikes, expected),
                               sum(chunk["hops"] for chunk in chunks),
                               _expected_hops(mapped, config, spikes, expected)),
            "seconds": round(time.perf_counter() - start, 3)}


def _ways(mapped: Mapped) -> dict:
    """What a job has of the ways: tables, and what is switched off."""
    table = mapped.fabric.mesh.routing == "table"
    return {"routes": mapped.routes.tolist() if table else None,
            "dead": [sorted(mapped.faults.links), sorted(mapped.faults.tiles)]}


def _simulation(config: FabricConfig, folder: pathlib.Path,
                notice: Callable[[str], None] | None) -> Simulation:
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for name, text in _verilog(config, notice).items():
        files[name] = (folder / f"{name}.v").resolve()
        files[name].write_text(text)
    simulation = Simulation(
        config=config.core, sources=["fabric_mailbox.sv", str(files.pop(_TOPLEVEL))],
        blocks=tuple(map(str, files.values())),
        defines={f"{name}_BITS": layout(config).size for name, layout in _LAYOUTS.items()},
        build_dir=folder, toplevel="fabric_mailbox",
        bench="lamina.tb.bench_fabric_job")
    simulation.build()
    return simulation


@functools.lru_cache(maxsize=2)
def _verilog(config: FabricConfig, notice: Callable[[str], None] | None) -> dict[str, str]:
    """Of every module that is compiled by itself."""
    fabric = Fabric(config, shared=True)
    return {name: convert(part, name, notice=notice)
            for name, part in {_TOPLEVEL: fabric, **fabric.parts}.items()}


def _trace(program: Program, spikes: np.ndarray, chunks: list[dict]) -> Trace:
    layers = range(len(program.layers))
    fired = tuple(np.concatenate([chunk[f"spikes{k}"] for chunk in chunks]) for k in layers)
    counts = [spikes.sum(axis=(1, 2), dtype=np.int64),
              *(layer.sum(axis=(1, 2), dtype=np.int64) for layer in fired)]
    return Trace(spikes=fired[-1], spike_counts=np.array(counts), layer_spikes=fired,
                 final_membranes=tuple(np.concatenate([chunk[f"membranes{k}"] for chunk in chunks])
                                       for k in layers))


def _tile_counters(chunks: list[dict]) -> dict[int, dict[str, int]]:
    """Of every tile, over all chunks."""
    found = [json.loads(str(chunk["counters"])) for chunk in chunks]
    return {int(tile): summed(each[tile] for each in found)
            for tile in sorted(found[0], key=int)}


def _expected_cycles(mapped: Mapped, config: FabricConfig, spikes: np.ndarray, trace: Trace
                     ) -> float:
    """Of a mean sample without its CLEAR, by the model of the fabric's time."""
    fabric, every = mapped.fabric, tuple(range(len(mapped.fabric.program.layers)))
    return float(np.mean([
        fabric_cycles(fabric, config, sample, [layer[number] for layer in trace.layer_spikes],
                      every, mapped.routes).cycles for number, sample in enumerate(spikes)]))


def _expected_hops(mapped: Mapped, config: FabricConfig, spikes: np.ndarray, trace: Trace
                   ) -> np.ndarray:
    """Flits that each router sends on, of all samples and their CLEARs, int (tiles,)."""
    fabric, every = mapped.fabric, tuple(range(len(mapped.fabric.program.layers)))
    flits = sum(sent_flits(fabric, config, sample,
                           [layer[number] for layer in trace.layer_spikes], every)
                for number, sample in enumerate(spikes))
    return forwarded(fabric.mesh, mapped.routes, flits)


def mesh_block(mapped: Mapped, config: FabricConfig, counters: dict[int, dict[str, int]],
               cycles: np.ndarray, expected_cycles: float, hops: np.ndarray,
               expected_hops: np.ndarray) -> dict:
    """Size, what each tile and router did, and the expected traffic, time and energy.

    Parameters
    ----------
    mapped : Mapped
    config : FabricConfig
    counters : dict of int to dict
        Of each tile over all samples.
    cycles : int array (samples, 2)
        Of timesteps and of CLEAR.
    expected_cycles : float
        Of the timesteps of a mean sample.
    hops, expected_hops : int arrays (tiles,)
        Flits that each router sent on over its links, counted by it, and by spikes and ways.

    Returns
    -------
    dict
        ``size``; ``chips`` along each axis, none for one chip, and then no ``link_bits``;
        ``dead_links`` (pairs of tiles) and ``dead_tiles``; ``tiles``, a list of ``tile``,
        ``parts`` (layer, first neuron, neurons, and where the layer is cut by axons the first and
        the last one), ``busy`` (share of all cycles in which its core had work), ``sops``; expected
        per timestep: ``flits``, ``flit_hops``, and ``links``, a list of ``tile``, ``port``,
        ``flits``, and ``energy``, an estimate: see
        :func:`lamina.flows.fabric.energy.mesh_energy`, and the expected ``sops`` per timestep. Of
        a mean sample without its CLEAR: ``cycles``, and ``expected_cycles`` by the
        model of the fabric. ``routers``: a list of ``tile``, ``hops``, ``expected_hops`` of all
        samples and their CLEARs.
    """
    fabric = mapped.fabric
    described = [
        {"tile": tile, "parts": [_part(fabric.program, part) for part in fabric.tiles[tile].parts],
         "busy": round(found["cycles"] / int(cycles.sum()), 4), "sops": found["sops"]}
        for tile, found in counters.items()]
    chips = {"link_bits": fabric.mesh.link_bits} if fabric.mesh.chips else {}
    return {"size": list(fabric.mesh.size), "chips": list(fabric.mesh.chips), **chips,
            "tiles": described,
            "dead_links": [list(link) for link in sorted(mapped.faults.links)],
            "dead_tiles": sorted(mapped.faults.tiles),
            "cycles": round(float(cycles[:, 0].mean()), 1),
            "expected_cycles": round(expected_cycles, 1),
            "flits": round(float(mapped.traffic.sum()), 2), "flit_hops": round(mapped.flit_hops, 2),
            "routers": [{"tile": tile, "hops": found, "expected_hops": wanted}
                        for tile, (found, wanted) in enumerate(zip(
                            hops.tolist(), expected_hops.tolist(), strict=True))],
            "energy": {"sops": round(mapped.sops, 2), **mapped.energy(
                config, expected_cycles / fabric.program.timesteps)},
            "links": [{"tile": tile, "port": Port(port).name.lower(), "flits": round(flits, 2)}
                      for (tile, port), flits in sorted(mapped.link_flits.items())]}


def _part(program: Program, part: Part) -> list:
    """What the picture says about a part."""
    layer = program.layers[part.layer]
    behind = part.first_axon + part.axons if part.is_partial else layer.axons
    axons = [part.first_axon, behind - 1] if part.is_partial or part.first_axon else []
    return [layer.name, part.first, part.neurons, *axons]
