"""A recurrent network of clusters on a mesh: simulated against the golden model, or only timed.

``python benchmarks/mesh.py [--size 4x4] [--neurons 256] [--timesteps 100] [--weight-bits 8]
[--simulate] [-o OUT]``

Every tile has a cluster of neurons: see :mod:`lamina.tb.clusters`. ``--simulate`` compares every
spike and membrane of one sample on the generated fabric with one golden core; the model of the
fabric's time is printed beside it, or alone.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import time

import numpy as np

from lamina.flows.fabric.mapper import Activity, mapped_as, parse_mesh, tile_core
from lamina.flows.fabric.verify import verify_fabric
from lamina.flows.progress import say, step
from lamina.models.config import HardwareConfig
from lamina.models.fabric.mapping import FabricProgram
from lamina.models.fabric.tables import sized
from lamina.models.fabric.timing import fabric_cycles
from lamina.models.network import run
from lamina.tb.clusters import CORE, MOST, cluster_spikes, clusters

__all__ = ["main"]


def main() -> None:
    """Print what was compared, and the time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="4x4")
    parser.add_argument("--neurons", type=int, default=256, help="of a tile")
    parser.add_argument("--timesteps", type=int, default=100)
    parser.add_argument("--weight-bits", type=int, choices=(4, 8), default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--simulate", action="store_true", help="the generated fabric as well")
    parser.add_argument("-o", "--out", type=pathlib.Path, default=pathlib.Path("out/clusters"))
    options = parser.parse_args()
    size = (*parse_mesh(options.size), 1)[:2]
    start = time.perf_counter()
    with step("dividing the network"):
        fabric = clusters(size, options.neurons, options.timesteps, options.seed,
                          weight_bits=options.weight_bits)
    core = dataclasses.replace(CORE, tiers=(options.weight_bits,))
    spikes, tiles = cluster_spikes(options.timesteps, options.seed), fabric.mesh.tiles
    with step("running the golden model"):
        trace = run(fabric.program, spikes, core.tiers, trace=True)
    layers = [layer[0] for layer in trace.layer_spikes]
    share = float(np.mean([layer.mean() for layer in layers]))
    print(f"{tiles} tiles, {tiles * options.neurons} neurons, {options.timesteps} "
          f"timesteps, {100 * share:.2f} % of the neurons fire per timestep")
    if options.simulate:
        simulate(fabric, core, spikes, options)
        return
    with step("timing the fabric"):
        cost = fabric_cycles(fabric, sized(fabric, tile_core(fabric, core, MOST)), spikes[0],
                             layers)
    print(f"{cost.cycles} cycles, {cost.cycles / options.timesteps:.1f} per timestep; "
          f"{cost.flits} flits, {cost.flit_hops / max(1, cost.flits):.2f} links each; "
          f"{time.perf_counter() - start:.1f} s")


def simulate(fabric: FabricProgram, core: HardwareConfig, spikes: np.ndarray,
             options: argparse.Namespace) -> None:
    """Compare, and print what the model expected."""
    mapped = mapped_as(fabric, Activity.measured(fabric.program, spikes, core.tiers))
    options.out.mkdir(parents=True, exist_ok=True)
    found = verify_fabric(mapped, tile_core(fabric, core, MOST), spikes, None, options.out,
                          workers=1, notice=say)
    mesh = found["mesh"]
    print(f"{found['events_compared']} events, {found['membranes_compared']} membranes, "
          f"{found['mismatches']} mismatches; {mesh['cycles']:.0f} cycles, expected "
          f"{mesh['expected_cycles']:.0f} ({mesh['expected_cycles'] / mesh['cycles'] - 1:+.2%}); "
          f"{found['seconds']:.1f} s")


if __name__ == "__main__":
    main()
