"""A network on a mesh with random dead links: every draw simulated and held to one golden core.

``python benchmarks/dead_links.py [NET] [DATA] [--size 4x4] [--share 0.3] [--draws 20] [-o OUT]``

Draws that cut a tile off are counted and drawn again. The table-routed fabric is generated and
built once; each draw has places, routes and dead links of its own, which are loaded.
"""

from __future__ import annotations

import argparse
import pathlib

import numpy as np

from lamina.flows.fabric.mapper import Activity, map_network, parse_mesh, tile_core
from lamina.flows.fabric.verify import verify_fabric
from lamina.flows.frontend.compile import CompileOptions, compile_network
from lamina.models.config import HardwareConfig
from lamina.models.fabric.config import MeshConfig
from lamina.models.fabric.routes import Faults
from lamina.models.program import Program
from lamina.tb.faults import connected_draws

__all__ = ["main", "simulate"]

CORE = HardwareConfig(lanes=4, weight_words=256, axons=64, groups=8, layers=4)
MOST = {"weight_words": 65536, "axons": 16384, "groups": 1024, "mask_rows": 1024, "layers": 64,
        "state_bits": 24, "acc_bits": 32, "decay_bits": 16}
"""Few lanes, so that a small network fills many tiles; how far a core may grow."""


def simulate(program: Program, spikes: np.ndarray, faults: Faults, out: pathlib.Path) -> dict:
    """Map `program` around `faults` and compare; what ``verify.json`` has of it."""
    activity = Activity.measured(program, spikes, CORE.tiers)
    mapped = map_network(program, faults.config, CORE, activity, MOST, faults=faults)
    out.mkdir(parents=True, exist_ok=True)
    core = tile_core(mapped.fabric, CORE, MOST)
    return verify_fabric(mapped, core, spikes, None, out, workers=1)


def main() -> None:
    """Print a line per draw, and the sums."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("net", nargs="?", default="examples/digits.nir", metavar="NET")
    parser.add_argument("data", nargs="?", default="digits", metavar="DATA")
    parser.add_argument("--size", default="4x4")
    parser.add_argument("--share", type=float, default=0.3, help="of the links")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("-o", "--out", type=pathlib.Path, default=pathlib.Path("out/dead_links"))
    options = parser.parse_args()
    compiled = compile_network(pathlib.Path(options.net), CompileOptions(data=options.data))
    spikes = compiled.data.encoded(compiled.program, 0, options.samples)
    mesh = MeshConfig(size=parse_mesh(options.size), routing="table")
    draws, attempts = connected_draws(mesh, options.share, options.draws, options.seed)
    found = [simulate(compiled.program, spikes, faults, options.out)
             for faults in (Faults(mesh), *draws)]
    for name, each in zip(("no dead link", *(str(sorted(faults.links)) for faults in draws)),
                          found, strict=True):
        block = each["mesh"]
        print(f"{len(block['tiles'])} tiles, {each['events_compared']} events, "
              f"{each['membranes_compared']} membranes, {each['mismatches']} mismatches, "
              f"{block['cycles']:.0f} cycles ({block['expected_cycles']:.0f} expected), "
              f"{block['flit_hops'] / block['flits']:.2f} links per flit: {name}")
    found = found[1:]
    hops, cycles = ([each["mesh"][name] for each in found] for name in ("flit_hops", "cycles"))
    flits = sum(each["mesh"]["flits"] for each in found)
    print(f"{len(found)} connected draws of {attempts}: "
          f"{sum(each['events_compared'] for each in found)} events, "
          f"{sum(each['membranes_compared'] for each in found)} membranes, "
          f"{sum(each['mismatches'] for each in found)} mismatches; {np.mean(cycles):.0f} cycles "
          f"({min(cycles):.0f} to {max(cycles):.0f}), {sum(hops) / flits:.2f} links per flit")


if __name__ == "__main__":
    main()
