"""What training with injected bit errors is worth: a network before and after, in every mode.

``python benchmarks/retraining.py BEFORE.nir AFTER.nir mnist:DIR [--chips N] [--samples N]`` runs
both on the same chips and samples, prints the gain of every mode, and leaves ``retraining.png`` and
``retraining.json`` in OUT, where finished chips are kept. AFTER is BEFORE's command with
``--bit-errors`` (docs/training.md).
"""

from __future__ import annotations

import argparse
import json
import pathlib

from lamina.flows import progress
from lamina.flows.frontend.compile import CompileOptions, compile_network
from lamina.flows.study.plots import write_picture
from lamina.flows.study.undervolt import VOLTS, modes_of, undervolt

__all__ = ["main"]


def studied(net: pathlib.Path, options: argparse.Namespace) -> dict:
    """The study of one network."""
    compiled = compile_network(net, CompileOptions(data=options.data))
    spikes = compiled.data.encoded(compiled.program, 0, options.samples)
    with progress.step(f"{net.stem} on {options.chips} chips") as bar:
        return undervolt(compiled.program, spikes, compiled.data.labels[:len(spikes)],
                         options.out / "chips", lanes=options.lanes, tiers=compiled.tiers,
                         modes=modes_of(len(compiled.tiers), VOLTS), chips=options.chips,
                         workers=options.workers, progress=bar)


def main() -> None:
    """Print a line per mode: accuracy before, after, and the gain [points]."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=pathlib.Path)
    parser.add_argument("after", type=pathlib.Path)
    parser.add_argument("data")
    parser.add_argument("--chips", type=int, default=20)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--lanes", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("-o", "--out", type=pathlib.Path, default=pathlib.Path("out/retraining"))
    options = parser.parse_args()
    results = [studied(net, options) for net in (options.before, options.after)]
    print(f"{'mode':<40}{'before':>8}{'after':>8}{'gain':>8}")
    for before, after in zip(*(result["modes"] for result in results), strict=True):
        pair = [100 * each["accuracy"] for each in (before, after)]
        print(f"{before['mode']:<40}{pair[0]:>8.2f}{pair[1]:>8.2f}{pair[1] - pair[0]:>8.2f}")
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "retraining.json").write_text(json.dumps(results, indent=1, sort_keys=True))
    with (options.out / "retraining.png").open("wb") as stream:
        write_picture(results, stream)


if __name__ == "__main__":
    main()
