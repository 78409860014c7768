"""A configuration of the core, mapped, run on real samples and weighed: energy per operation."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

import numpy as np

from lamina.flows.backend.simulate import Simulation, all_reporting
from lamina.flows.backend.verify import mismatches
from lamina.flows.errors import UserError
from lamina.flows.sky130.activity import read_edges
from lamina.flows.sky130.energy import Accesses, Energy, weigh
from lamina.flows.sky130.liberty import read_cells, read_macro
from lamina.flows.sky130.netlist import Netlist
from lamina.flows.sky130.pdk import VOLTS, find_library, find_macros
from lamina.flows.sky130.synth import CLOCK_MHZ, Synthesis, synthesise_device
from lamina.flows.sky130.table import Measurement
from lamina.models.config import HardwareConfig
from lamina.models.network import run
from lamina.models.program import Program

__all__ = ["TIERS", "gate_simulation", "mapped_netlist", "measure"]

TIERS = "weights/tier{}/memory"
"""Path of the memory of a tier."""
_MEMORIES = {"state": "state/memory", "lists": "scanner/lists"}
_DATA_BLOCKS = ("lanes", "state", "weights")
_DIGITS = 4


def mapped_netlist(synthesis: Synthesis) -> Netlist:
    """The netlist of a synthesis, with what the libraries say of its cells.

    Raises
    ------
    UserError
        If the process kit is missing.
    """
    module, macros = synthesis.module(), find_macros()
    kinds = {cell["type"] for cell in module["cells"].values()}
    return Netlist(module, read_cells(find_library(), sorted(kinds - set(macros))),
                   {name: read_macro(path, name) for name, path in macros.items()
                    if name in kinds})


def gate_simulation(config: HardwareConfig, synthesis: Synthesis,
                    build_dir: pathlib.Path) -> Simulation:
    """A simulator of the mapped device of `config`, which counts edges; built.

    Raises
    ------
    SimulationError
        If it does not build.
    """
    sources = ["device_port.sv", "sky130_sram.v",
               *(str(path.resolve()) for path in synthesis.sources)]
    simulation = Simulation(config=config, sources=sources, build_dir=build_dir, counting=True,
                            defines={"DEVICE": f"{config.name}_device"})
    simulation.build()
    return simulation


def measure(program: Program, config: HardwareConfig, spikes: np.ndarray, folder: pathlib.Path, *,
            notice: Callable[[str], None] | None = None) -> Measurement:
    """Map the core of `config`, run `spikes` on it after synthesis, and weigh their edges.

    Parameters
    ----------
    program : Program
        Fits `config`.
    config : HardwareConfig
    spikes : uint8 array (N, T, axons)
    folder : pathlib.Path
        Receives the netlist (replaced) and the simulator.
    notice : callable, optional
        Called with a sentence before each step.

    Raises
    ------
    UserError
        If the process kit or a tool is missing, or the netlist does not agree with the golden
        model.
    SimulationError
        If the simulator does not build, or the device does not answer as it should.
    """
    say = notice or (lambda text: None)
    say("synthesis")
    synthesis = synthesise_device(config, folder / "netlist", notice=notice)
    netlist = mapped_netlist(synthesis)
    say(f"simulator of {len(netlist.instances)} cells")
    simulation = gate_simulation(config, synthesis, folder / "simulation")
    say(f"{len(spikes)} samples against the golden model")
    program = all_reporting(program)
    got, figures = simulation.run(program, spikes, workers=1)
    expected = run(program, spikes, config.tiers, trace=True)
    wrong = mismatches(program, expected, got)
    if wrong:
        raise UserError(f"{config.name}: the netlist differs from the golden model in {len(wrong)} "
                        f"places, first {wrong[0]}")
    say("edges of all nets")
    edges = read_edges(simulation.activity(program, spikes), netlist, "dut")
    compared = {
        "spikes_compared": sum(int(np.count_nonzero(layer)) for layer in expected.layer_spikes),
        "membranes_compared": sum(layer.size for layer in expected.final_membranes)}
    updates = sum(len(layer.theta) for layer in program.layers) * program.timesteps
    return _summary(config, program.name, weigh(netlist, edges, VOLTS), figures["counters"],
                    len(spikes), updates, compared)


def _summary(config: HardwareConfig, network: str, energy: Energy, counters: dict[str, int],
             samples: int, updates: int, compared: dict[str, int]) -> Measurement:
    sops, cycles = counters["sops"], counters["cycles"]
    blocks = {name: block for name, block in energy.blocks.items() if name != "link"}
    memories = {path: each for path, each in energy.memories.items()
                if not path.startswith("link/")}

    def pair(path: str) -> tuple[float, float]:
        found = memories.get(path, Accesses())
        return round(found.low_pj / sops, _DIGITS), round(found.high_pj / sops, _DIGITS)

    def leakage(nanowatts: float) -> float:
        return round(1e-3 * nanowatts * cycles / CLOCK_MHZ / sops, _DIGITS)

    waiting = 1 - cycles / energy.cycles
    clock = sum(block.clock_pj - waiting * block.root_pj for block in blocks.values())
    control = sum(block.logic_pj for name, block in blocks.items() if name not in _DATA_BLOCKS)
    return Measurement(
        lanes=config.lanes, weight_bits=config.weight_bits, tiers=config.tiers,
        state_bits=config.state_bits, acc_bits=config.acc_bits, network=network, samples=samples,
        **compared, cycles=cycles / samples, sops=sops / samples, neuron_updates=updates,
        cells=sum(block.cells for block in blocks.values()),
        flip_flops=sum(block.flip_flops for block in blocks.values()),
        clock_gates=sum(block.clock_gates for block in blocks.values()),
        macros=sum(memory.macros for memory in memories.values()),
        cells_um2=round(sum(block.area_um2 for block in blocks.values()), 1),
        macros_um2=round(sum(memory.area_um2 for memory in memories.values()), 1),
        memory=tuple(pair(TIERS.format(tier)) for tier in range(len(config.tiers))),
        state=pair(_MEMORIES["state"]), lists=pair(_MEMORIES["lists"]),
        banks=round(blocks["weights"].logic_pj / sops, _DIGITS),
        lanes_logic=round((blocks["lanes"].logic_pj + blocks["state"].logic_pj) / sops, _DIGITS),
        control=round(control / sops, _DIGITS), clock=round(clock / sops, _DIGITS),
        cells_leakage=leakage(sum(block.leakage_nw for block in blocks.values())),
        macros_leakage=leakage(sum(memory.leakage_nw for memory in memories.values())))
