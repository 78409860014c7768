"""The same network at less energy: weights of few bits, trained for it, at the lowest safe voltage.

``python benchmarks/free_choice.py BASE.nir mnist:DIR NARROW.nir:BITS:LANES ... [--volts V ...]``

BASE is the 8-bit network, exact and nominal: E0. The others have the same layers and were trained
for BITS; their weights lie in one tier of that width, on a core of LANES. Accuracy is of the whole
test split (mean over chips where cells fail), energy per inference with the operations of the
narrow network: by the 45 nm law, whose missing bits are tiers that are off, and by what was
measured of cores on SkyWater 130.
"""

from __future__ import annotations

import argparse
import pathlib

import numpy as np

from lamina.flows.frontend.compile import Compiled, CompileOptions, compile_network
from lamina.flows.search.energy import CALIBRATIONS, relative_energy
from lamina.flows.sky130.table import operation_energy
from lamina.flows.study.modes import with_modes
from lamina.models.decoder import decode
from lamina.models.faults import FaultModel, faulty_program
from lamina.models.network import run, sops_per_sample
from lamina.models.program import Program
from lamina.models.voltage import can_fail

__all__ = ["main"]

BASE_LANES, BASE_TIERS = 16, (2, 2, 2, 2)


def compiled(net: pathlib.Path, data: str, bits: int) -> Compiled:
    """The program of a network at so many bits."""
    return compile_network(net, CompileOptions(data=data, weight_bits=bits))


def accuracy(found: Compiled, program: Program, lanes: int, tiers: tuple[int, ...], chips: int
             ) -> tuple[list[float], float]:
    """Accuracy on every chip, and operations of a mean sample."""
    spikes, labels = found.data.encoded(program, 0, len(found.data)), np.asarray(found.data.labels)
    accuracies, sops = [], []
    for chip in range(chips if can_fail(program, len(tiers)) else 1):
        faulty = faulty_program(program, lanes, tiers, FaultModel(chip=chip))
        trace = run(faulty, spikes, tiers)
        guesses = decode(program.decoding, trace.spikes, trace.membranes)
        accuracies.append(float((guesses == labels).mean()))
        sops.append(float(sops_per_sample(faulty, trace).mean()))
    return accuracies, float(np.mean(sops))


def main() -> None:
    """Print a line per network and voltage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", type=pathlib.Path)
    parser.add_argument("data")
    parser.add_argument("narrow", nargs="+", help="NET.nir:BITS:LANES")
    parser.add_argument("--volts", type=float, nargs="+", default=[1.1, 0.85, 0.8])
    parser.add_argument("--chips", type=int, default=10)
    options = parser.parse_args()
    base = compiled(options.base, options.data, 8)
    accuracies, nominal = accuracy(base, base.program, BASE_LANES, BASE_TIERS, 1)
    sky_nominal = operation_energy(BASE_LANES, BASE_TIERS).total * nominal
    print(f"{'network':<24}{'V':>6}{'accuracy':>10}{'worst':>8}{'SOPs':>10}{'45nm':>8}{'sky130':>8}")
    print(f"{options.base.stem:<24}{1.1:>6}{100 * accuracies[0]:>10.2f}{100 * accuracies[0]:>8.2f}"
          f"{nominal:>10.0f}{1:>8.3f}{1:>8.3f}")
    for text in options.narrow:
        name, bits, lanes = text.rsplit(":", 2)
        found, tiers = compiled(pathlib.Path(name), options.data, int(bits)), (int(bits),)
        for volts in options.volts:
            program = with_modes(found.program, ";".join(
                f"{layer.name}:{volts}" for layer in found.program.layers), tiers)
            accuracies, sops = accuracy(found, program, int(lanes), tiers, options.chips)
            law = CALIBRATIONS["45nm"]
            share = relative_energy(program, np.array([sops / len(program.layers)] * len(
                program.layers)), nominal, tiers, law, {})
            sky = operation_energy(int(lanes), tiers, supplies=(volts / law.nominal_volts,))
            print(f"{text.rsplit('/', 1)[-1]:<24}{volts:>6}{100 * np.mean(accuracies):>10.2f}"
                  f"{100 * min(accuracies):>8.2f}{sops:>10.0f}{share:>8.3f}"
                  f"{sky.total * sops / sky_nominal:>8.3f}", flush=True)


if __name__ == "__main__":
    main()
