"""A router of the fabric, mapped, run on random flits and weighed: energy per flit."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable

from lamina.flows.backend.generate import convert
from lamina.flows.backend.simulate import run_block
from lamina.flows.sky130.activity import read_edges
from lamina.flows.sky130.energy import Energy, weigh
from lamina.flows.sky130.measure import mapped_netlist
from lamina.flows.sky130.pdk import VOLTS
from lamina.flows.sky130.synth import Synthesis, synthesise_module
from lamina.flows.sky130.table import RouterMeasurement
from lamina.models.fabric.config import MeshConfig
from lamina.rtl.fabric.router import Router
from lamina.rtl.openram import OpenRam

__all__ = ["measure_router"]

_MODULE, _DIGITS = "router", 4
_DUMP = f"""`ifdef DUMP
  initial begin
    $dumpfile("dump.vcd");
    $dumpvars(0, {_MODULE});
  end
`endif
endmodule
"""


def measure_router(config: MeshConfig, folder: pathlib.Path, *, share: float = 0.1,
                   cycles: int = 4000, notice: Callable[[str], None] | None = None
                   ) -> RouterMeasurement:
    """Map the router of `config`, run it after synthesis idle and with flits, and weigh its edges.

    In each cycle every port is held to the golden router. What it takes when nothing moves is per
    cycle; what it takes beyond that is per flit.

    Parameters
    ----------
    config : MeshConfig
    folder : pathlib.Path
        Receives the netlist (replaced) and the simulator.
    share : float
        Of the cycles in which an input that offers nothing begins to; every payload bit is drawn.
    cycles : int
        Of each run.
    notice : callable, optional
        Called with a sentence before each step.

    Raises
    ------
    UserError
        If the process kit or a tool is missing.
    SimulationError
        If the simulator does not build, or the netlist does not agree with the golden router.
    """
    say = notice or (lambda text: None)
    say("synthesis")
    verilog = convert(Router(config), _MODULE, platform=OpenRam())
    synthesis = synthesise_module(verilog, _MODULE, folder / "netlist", notice=notice)
    say("cycles without flits, then with them")
    idle, _ = _run(config, synthesis, folder, 0.0, cycles)
    loaded, flits = _run(config, synthesis, folder, share, cycles)
    blocks = loaded.blocks.values()
    per_cycle = _dynamic(idle) / idle.cycles
    return RouterMeasurement(
        ports=len(config.ports), flit_bits=config.flit_bits, fifo_depth=config.fifo_depth,
        share=share, cycles=round(loaded.cycles), flits=flits,
        cells=sum(block.cells for block in blocks),
        flip_flops=sum(block.flip_flops for block in blocks),
        clock_gates=sum(block.clock_gates for block in blocks),
        cells_um2=round(sum(block.area_um2 for block in blocks), 1),
        pj_per_flit=round((_dynamic(loaded) - per_cycle * loaded.cycles) / flits, _DIGITS),
        pj_per_cycle=round(per_cycle, _DIGITS),
        leakage_nw=round(sum(block.leakage_nw for block in blocks), _DIGITS))


def _run(config: MeshConfig, synthesis: Synthesis, folder: pathlib.Path, share: float, cycles: int
         ) -> tuple[Energy, int]:
    """Energy of a run, and flits that went through."""
    counted = folder / "counted.v"
    counted.write_text(synthesis.netlist.read_text().rstrip().removesuffix("endmodule") + _DUMP)
    run = run_block(
        "lamina.tb.bench_router_activity", _MODULE, [counted, synthesis.cells],
        folder / "simulation", environment={
            "LAMINA_CONFIG": config.to_json(), "LAMINA_SHARE": str(share),
            "LAMINA_CYCLES": str(cycles)})
    netlist = mapped_netlist(synthesis)
    energy = weigh(netlist, read_edges(run / "dump.vcd", netlist, _MODULE), VOLTS)
    return energy, json.loads((run / "flits.json").read_text())["flits"]


def _dynamic(energy: Energy) -> float:
    """Of cells, nets and clock [pJ]."""
    return sum(float(block.logic_pj + block.clock_pj) for block in energy.blocks.values())
