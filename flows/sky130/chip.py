"""The target sky130: a device mapped and timed; then simulated as gates, and weighed."""

from __future__ import annotations

import collections
import pathlib
from collections.abc import Callable

import numpy as np

from lamina.flows.backend import tools
from lamina.flows.backend.simulate import all_reporting
from lamina.flows.backend.verify import comparison, mismatches
from lamina.flows.designs import Process
from lamina.flows.sky130.activity import read_edges
from lamina.flows.sky130.energy import Energy, weigh
from lamina.flows.sky130.liberty import read_cells
from lamina.flows.sky130.measure import TIERS, gate_simulation, mapped_netlist
from lamina.flows.sky130.pdk import FAST, SLOW, TYPICAL, corner_volts, find_library
from lamina.flows.sky130.synth import Synthesis, synthesise_device
from lamina.flows.sky130.timing import REMEDY, find_sta, sta_version, time_corners
from lamina.models.config import HardwareConfig
from lamina.models.network import neuron_updates_per_sample, run
from lamina.models.program import Program

__all__ = ["CORNERS_LOW", "chip_metrics", "energy_figures", "failing", "mapped",
           "simulate_gates"]

CORNERS_LOW = ("ss_n40C_1v76", "ss_n40C_1v60", "ss_n40C_1v44", "ss_n40C_1v40", "ss_n40C_1v35",
               "ss_n40C_1v28")
"""Corners of lower and lower supply at which the logic is timed and weighed again."""
_DATA = ("lanes", "state", "weights", "link")
_DIGITS = 6


def mapped(folder: pathlib.Path, config: HardwareConfig) -> Synthesis:
    """The synthesis that :func:`chip_metrics` left in `folder`."""
    return Synthesis(folder=folder, top=f"{config.name}_device")


def chip_metrics(config: HardwareConfig, target: Process, out: pathlib.Path, *,
                 native: bool = False, notice: Callable[[str], None] | None = None) -> dict:
    """Map the device of `config` and time it at three corners.

    Parameters
    ----------
    config : HardwareConfig
    target : Process
    out : pathlib.Path
        Replaced; receives the netlist, the log of Yosys, the areas and what OpenSTA printed.
    native, notice
        See :func:`lamina.flows.backend.tools.run`.

    Returns
    -------
    dict
        The report's ``synth``: counts, areas by block, ``fmax_mhz`` at ss, ``timing`` by corner;
        what OpenSTA tells is None where it is not installed.

    Raises
    ------
    UserError
        If the process kit or a tool is missing or fails.
    """
    synthesis = synthesise_device(config, out, native=native, notice=notice)
    period = 1e3 / target.clock_mhz
    timings = [] if find_sta() is None else time_corners(
        synthesis.netlist, synthesis.top, period, reports=out)
    if not timings and notice is not None:
        notice(f"no timing, and no delay cells: OpenSTA was not found ({REMEDY})")
    low = _low_voltage(synthesis, period) if timings else []
    areas, counts = _areas(synthesis)
    return {
        "target": target.name,
        "tool_versions": {"yosys": tools.version("yosys", native=native),
                          "opensta": sta_version()},
        "luts": None, "ffs": counts["flip_flops"], "brams": None, "sprams": None, "dsps": None,
        "cells": counts["cells"], "macros": counts["macros"],
        "area_um2": round(sum(areas.values()), 1),
        "macro_area_um2": round(sum(area for name, area in areas.items() if "/" in name), 1),
        "area_by_block": areas,
        "fmax_mhz": next((round(each.fmax_mhz, 2) for each in timings if each.corner == SLOW),
                         None),
        "clock_mhz": target.clock_mhz, "timing": [each.to_dict() for each in timings],
        "low_voltage": low, "bitstream": None, "netlist": synthesis.netlist.name,
    }


def failing(metrics: dict) -> list[str]:
    """What does not hold at the corner that decides, a sentence each."""
    found = []
    for timing in metrics["timing"]:
        for kind, corner in (("setup", SLOW), ("hold", FAST)):
            if timing["corner"] == corner:
                found += [f"{kind} at {corner}: {path['start']} to {path['end']} misses "
                          f"{metrics['clock_mhz']:g} MHz by {-path['slack_ns']:.3f} ns"
                          for path in timing[kind].values() if path["slack_ns"] < 0]
    return found


def _low_voltage(synthesis: Synthesis, period_ns: float) -> list[dict]:
    """Clock that the logic keeps up with at every low supply; macros as at 1.8 V."""
    return [{"corner": each.corner, "volts": corner_volts(each.corner),
             "fmax_mhz": round(each.fmax_mhz, 2)}
            for each in time_corners(synthesis.netlist, synthesis.top, period_ns, CORNERS_LOW)]


def _areas(synthesis: Synthesis) -> tuple[dict[str, float], dict[str, int]]:
    """Area by block [um2], of macros by the path of their memory, and counts."""
    netlist = mapped_netlist(synthesis)
    areas: dict[str, float] = collections.defaultdict(float)
    counts = dict.fromkeys(("cells", "flip_flops", "macros"), 0)
    for instance in netlist.instances:
        if instance.kind in netlist.macros:
            areas["/".join(instance.path)] += netlist.macros[instance.kind].area
            counts["macros"] += 1
        else:
            cell = netlist.cells[instance.kind]
            areas[instance.path[0] if instance.path else "core"] += cell.area
            counts["cells"] += 1
            counts["flip_flops"] += cell.flip_flop is not None
    return {name: round(area, 1) for name, area in sorted(areas.items())}, counts


def simulate_gates(program: Program, config: HardwareConfig, target: Process, spikes: np.ndarray,
                   labels: np.ndarray | None, synthesis: Synthesis, folder: pathlib.Path, *,
                   notice: Callable[[str], None] | None = None) -> dict:
    """Run `spikes` on the mapped device, hold it to the golden model, and weigh the edges.

    Parameters
    ----------
    program : Program
    config : HardwareConfig
    target : Process
        Whose clock leakage is taken over.
    spikes : uint8 array (N, T, axons)
    labels : int array (N,) or None
    synthesis : Synthesis
    folder : pathlib.Path
        Receives the simulator.
    notice : callable, optional
        Called with a sentence before each step.

    Returns
    -------
    dict
        ``gates``: what was compared, as :func:`lamina.flows.backend.verify.verify` has it, and
        ``energy`` (None where the netlist differs): see :func:`energy_figures`.

    Raises
    ------
    UserError
        If the process kit or a tool is missing.
    SimulationError
        If the simulator does not build, or the device does not answer as it should.
    """
    say = notice or (lambda text: None)
    netlist = mapped_netlist(synthesis)
    say(f"building a simulator of {len(netlist.instances)} cells")
    simulation = gate_simulation(config, synthesis, folder)
    program = all_reporting(program)
    got, figures = simulation.run(program, spikes, workers=1)
    expected = run(program, spikes, config.tiers, trace=True)
    wrong = mismatches(program, expected, got)
    found = {**figures, **comparison(program, expected, got, labels, wrong)}
    if wrong:
        return {"gates": found, "energy": None}
    say("counting the edges of all nets")
    edges = read_edges(simulation.activity(program, spikes), netlist, "dut")
    counts = {**figures["counters"], "samples": len(spikes),
              "updates": len(spikes) * neuron_updates_per_sample(program)}
    corners = {}
    for corner in (TYPICAL, *CORNERS_LOW):
        netlist.cells = read_cells(find_library(corner), sorted(netlist.cells))
        corners[corner] = energy_figures(
            weigh(netlist, edges, corner_volts(corner)), counts, len(config.tiers),
            target.clock_mhz)
    return {"gates": found, "energy": {**corners[TYPICAL], "corner": TYPICAL, "corners": {
        corner: each["pj_per_sop"] for corner, each in corners.items()}}}


def energy_figures(energy: Energy, counts: dict[str, int], tiers: int, clock_mhz: float) -> dict:
    """Energy of a mean sample, by part.

    Parameters
    ----------
    energy : Energy
    counts : dict of str to int
        ``sops``, ``cycles`` in which the core is at work, ``samples``, ``updates``.
    tiers : int
    clock_mhz : float
        Leakage is that of the cycles at work at this clock.

    Returns
    -------
    dict
        ``bounds``: for ``low`` and ``high`` (the library's energy for one edge of a macro's clock
        per access, or for both) ``pj_per_sop``, ``pj_per_neuron_update``, ``nj_per_sample`` and
        ``breakdown`` [nJ]: ``memory`` by tier, ``state``, ``lists``, ``banks``, ``lanes``,
        ``control``, ``host_link``, ``clock``, ``leakage``. The high bound's figures stand beside
        it, and ``pj_per_sop_with_wires``. Cycles in which the core waits for the host take no
        clock; what the host link itself does is counted whole.
    """
    waiting = max(0.0, 1 - counts["cycles"] / energy.cycles)
    bounds = {bound: _bound(energy, counts, tiers, clock_mhz, waiting, bound)
              for bound in ("low", "high")}
    wires = (energy.wires_pj + energy.wires_clock_pj) / counts["sops"]
    return {**bounds["high"], "bounds": bounds,
            "pj_per_sop_with_wires": _rounded(bounds["high"]["pj_per_sop"] + wires),
            "sops": counts["sops"] / counts["samples"],
            "busy_cycles": counts["cycles"] / counts["samples"],
            "all_cycles": energy.cycles / counts["samples"]}


def _bound(energy: Energy, counts: dict[str, int], tiers: int, clock_mhz: float, waiting: float,
           bound: str) -> dict:
    """Figures by one reading of the macros' library."""
    blocks, memories = energy.blocks, energy.memories

    def accesses(path: str) -> float:
        return getattr(memories[path], f"{bound}_pj") if path in memories else 0.0

    def logic(*names: str) -> float:
        return sum(blocks[name].logic_pj for name in names if name in blocks)

    weights = [TIERS.format(tier) for tier in range(tiers)]
    named = {*weights, "state/memory", "scanner/lists"}
    nanowatts = sum(each.leakage_nw for each in (*blocks.values(), *memories.values()))
    parts = {
        "memory": [accesses(path) for path in weights],
        "state": accesses("state/memory"), "lists": accesses("scanner/lists"),
        "banks": logic("weights"), "lanes": logic("lanes", "state"),
        "control": logic(*(name for name in blocks if name not in _DATA)),
        "host_link": logic("link") + sum(accesses(path) for path in memories if path not in named),
        "clock": sum(block.clock_pj - waiting * block.root_pj for block in blocks.values()),
        "leakage": 1e-3 * nanowatts * counts["cycles"] / clock_mhz,
    }
    total = sum(sum(part) if isinstance(part, list) else part for part in parts.values())
    unit = 1e-3 / counts["samples"]
    return {
        "pj_per_sop": _rounded(total / counts["sops"]),
        "pj_per_neuron_update": _rounded(total / counts["updates"]),
        "nj_per_sample": _rounded(total * unit),
        "breakdown": {name: [_rounded(tier * unit) for tier in part] if isinstance(part, list)
                      else _rounded(part * unit) for name, part in parts.items()},
    }


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")

