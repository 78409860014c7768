"""Accuracy of a network over many chips with undervolted memory, and how long that takes.

``python benchmarks/monte_carlo.py NET mnist:DIR [--modes UV3@0.8 ...] [--adders A] [--chips N]``

NET is a ``.nir`` file, or the folder of a program, which keeps its adders. Every chip runs the same
held-out samples. Finished chips are kept in OUT; the time is of those that this run added.
"""

from __future__ import annotations

import argparse
import pathlib
import time

from lamina.flows import progress
from lamina.flows.frontend.adders import COMPENSATIONS
from lamina.flows.frontend.compile import CompileOptions, compile_network
from lamina.flows.frontend.data import load_data
from lamina.flows.job import load_program
from lamina.flows.study.monte_carlo import Accuracies, monte_carlo

__all__ = ["main"]


def row(found: Accuracies) -> str:
    """Mode, then mean, worst, 1st percentile, median and best chip [%]."""
    figures = (found.mean, found.low, found.percentile(1), found.percentile(50), found.high)
    return f"{found.mode:<14}" + "".join(f"{100 * figure:>9.2f}" for figure in figures)


def subject(options: argparse.Namespace):
    """Program, labelled samples and tiers."""
    if options.net.is_dir():
        return load_program(options.net), load_data(options.data), options.tiers
    compiled = compile_network(options.net, CompileOptions(
        data=options.data, adders=options.adders, compensate=options.compensate))
    return compiled.program, compiled.data, compiled.tiers


def main() -> None:
    """Print a line per mode and the time of all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("net", type=pathlib.Path)
    parser.add_argument("data", help="data set, e.g. mnist:DIR")
    parser.add_argument("--modes", nargs="+", default=["UV3@0.8"])
    parser.add_argument("--fill", choices=("mid", "zero"), default="mid")
    parser.add_argument("--kind", choices=("flip", "stuck"), default="flip")
    parser.add_argument("--chips", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--adders", help="of all layers or LAYER=NAME;..., for a .nir file")
    parser.add_argument("--compensate", choices=COMPENSATIONS, default="bias")
    parser.add_argument("--lanes", type=int, default=8)
    parser.add_argument("--tiers", type=int, nargs="+", default=(2, 2, 2, 2),
                        help="of a program")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("-o", "--out", type=pathlib.Path, default=pathlib.Path("out/monte_carlo"))
    options = parser.parse_args()
    program, data, tiers = subject(options)
    spikes = data.encoded(program, 0, options.samples)
    start = time.perf_counter()
    with progress.step(f"{options.chips} chips, {len(spikes)} samples") as bar:
        found = monte_carlo(
            program, options.modes, spikes, data.labels[:len(spikes)], options.out,
            lanes=options.lanes, tiers=tuple(tiers), chips=options.chips, fill=options.fill,
            kind=options.kind, workers=options.workers, progress=bar)
    seconds = time.perf_counter() - start
    print(f"{'mode':<14}" + "".join(f"{name:>9}" for name in ("mean", "min", "1 %", "50 %", "max")))
    for each in found:
        print(row(each))
    print(f"{seconds:.1f} s")


if __name__ == "__main__":
    main()
