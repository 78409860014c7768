"""A network on a mesh: simulated against the golden model, or only timed.

``python benchmarks/mesh.py [--kind recurrent|classifier] [--size 4x4] [--neurons 256] [--far N]
[--widths 1024-1024-1024-10] [--lanes 8] [--timesteps 100] [--weight-bits 8] [--rate R] [--simulate]
[-o OUT]``

``recurrent``: every tile has a cluster of neurons: see :mod:`lamina.tb.clusters`. ``classifier``:
see :mod:`lamina.tb.classifier`. ``--simulate`` compares every spike and membrane of one sample on
the generated fabric with one golden core; the model of the fabric's time is printed beside it, or
alone, with what each part of the fabric has to do. ``--rate`` draws the spikes of all neurons and
inputs instead of computing them.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import time

import numpy as np

from lamina.flows.fabric.energy import mesh_energy
from lamina.flows.fabric.mapper import Activity, mapped_as, parse_mesh, tile_core
from lamina.flows.fabric.verify import verify_fabric
from lamina.flows.progress import say, step
from lamina.models.config import HardwareConfig
from lamina.models.fabric.config import FabricConfig, Port
from lamina.models.fabric.mapping import HOST, FabricProgram
from lamina.models.fabric.tables import nodes_of, sized, table_bits
from lamina.models.fabric.timing import FabricCost, fabric_cycles
from lamina.models.network import run, sops_per_sample
from lamina.models.program import Program
from lamina.models.source import INPUT
from lamina.tb import classifier, clusters

__all__ = ["main"]


def main() -> None:
    """Print what was compared, and the time."""
    options = arguments()
    with step("dividing the network"):
        fabric, core, most, spikes = network(options)
    if options.rate is None:
        with step("running the golden model"):
            trace = run(fabric.program, spikes, core.tiers, trace=True)
        layers = [layer[0] for layer in trace.layer_spikes]
        sops = float(sops_per_sample(fabric.program, trace)[0])
    else:
        rng = np.random.default_rng(options.seed)
        spikes, *layers = (
            (rng.random((options.timesteps, width)) < options.rate).astype(np.uint8)
            for width in (spikes.shape[2], *(each.neurons for each in fabric.program.layers)))
        spikes, sops = spikes[None], drawn_sops(fabric.program, spikes, layers)
    neurons = sum(layer.shape[1] for layer in layers)
    share = sum(int(layer.sum()) for layer in layers) / neurons / options.timesteps
    print(f"{len(fabric.tiles)} of {fabric.mesh.tiles} tiles, {neurons} neurons, "
          f"{options.timesteps} timesteps, {100 * share:.2f} % of the neurons fire per timestep")
    core = tile_core(fabric, core, most)
    if options.simulate:
        simulate(fabric, core, spikes, options)
        return
    config, start = sized(fabric, core), time.process_time()
    with step("timing the fabric"):
        cost = fabric_cycles(fabric, config, spikes[0], layers)
    print_cost(cost, options.timesteps, time.process_time() - start)
    print_memory(fabric, config)
    print_energy(config, cost, sops, options.timesteps)


def arguments() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", choices=("recurrent", "classifier"), default="recurrent")
    parser.add_argument("--size", default="4x4")
    parser.add_argument("--neurons", type=int, default=256, help="of a cluster")
    parser.add_argument("--far", type=int, default=0,
                        help="clusters anywhere that each cluster hears instead of neighbours")
    parser.add_argument("--widths", default="1024-1024-1024-10",
                        help="inputs and layers of the classifier")
    parser.add_argument("--lanes", type=int, default=8)
    parser.add_argument("--timesteps", type=int, default=100)
    parser.add_argument("--weight-bits", type=int, choices=(4, 8), default=8,
                        help="of the recurrent network")
    parser.add_argument("--rate", type=float, help="draw spikes, so many of a neuron and timestep")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--simulate", action="store_true", help="the generated fabric as well")
    parser.add_argument("-o", "--out", type=pathlib.Path, default=pathlib.Path("out/clusters"))
    return parser.parse_args()


def network(options: argparse.Namespace
            ) -> tuple[FabricProgram, HardwareConfig, dict[str, int], np.ndarray]:
    """On its mesh, the core to begin with, how far it may grow, and the spikes of a sample."""
    size = (*parse_mesh(options.size), 1)[:2]
    seeds = options.timesteps, options.seed
    if options.kind == "classifier":
        widths = tuple(map(int, options.widths.split("-")))
        fabric = classifier.classifier(widths, size, *seeds, lanes=options.lanes)
        core = dataclasses.replace(classifier.CORE, lanes=options.lanes)
        return fabric, core, classifier.MOST, classifier.classifier_spikes(widths[0], *seeds)
    fabric = clusters.clusters(size, options.neurons, *seeds, weight_bits=options.weight_bits,
                               far=options.far, lanes=options.lanes)
    core = dataclasses.replace(clusters.CORE, tiers=(options.weight_bits,), lanes=options.lanes)
    return fabric, core, clusters.MOST, clusters.cluster_spikes(*seeds, fabric.program.axons)


def drawn_sops(program: Program, spikes: np.ndarray, layers: list[np.ndarray]) -> int:
    """Synaptic operations of drawn spikes, those of the input (T, axons) first."""
    return sum(
        layer.neurons * int((spikes if source.layer == INPUT else layers[source.layer])[
            :program.timesteps - source.delay, source.first:source.first + source.units].sum())
        for layer in program.layers for source in layer.sources)


def print_cost(cost: FabricCost, timesteps: int, seconds: float) -> None:
    """Time and traffic, and the share of the cycles in which the busiest of each kind works."""
    cycles, flits = cost.cycles, max(1, cost.flits)
    print(f"{cycles} cycles, {cycles / timesteps:.1f} per timestep; {cost.flits} flits, "
          f"{cost.flits / timesteps:.1f} per timestep, {cost.flits / cycles:.2f} per cycle, "
          f"{cost.flit_hops / flits:.2f} links each, waiting {cost.waited / flits:.1f} cycles; "
          f"{seconds:.1f} s of processor time")
    busiest = {
        "core": cost.busy,
        "outbox": {tile: spent for tile, (_, spent, _) in cost.sending.items() if tile != HOST},
        "link": cost.link_flits or {(0, Port.LOCAL): 0}}
    for what, counts in busiest.items():
        print(f"busiest {what} {max(counts.values()) / cycles:.3f} of the cycles, the mean one "
              f"{np.mean(list(counts.values())) / cycles:.3f}")
    _, spent, held = cost.sending[HOST]
    print(f"outbox of the host {spent / cycles:.3f}; outboxes wait for the mesh in "
          f"{np.mean([each[2] for each in cost.sending.values()]) / cycles:.3f} of the cycles, "
          f"the host's in {held / cycles:.3f}")


def print_memory(fabric: FabricProgram, config: FabricConfig) -> None:
    """Weights and tables in use, on all tiles and on the fullest."""
    weights = [config.core.weight_bits * sum(layer.weights.size for layer in tile.program.layers)
               for tile in fabric.tiles.values()]
    tables = [table_bits(node) for node in nodes_of(fabric, config).values()]
    for what, bits in (("weights", weights), ("tables", tables)):
        print(f"{what}: {sum(bits) / 8192:.1f} KiB, at most {max(bits) / 8192:.1f} in a place")


def print_energy(config: FabricConfig, cost: FabricCost, sops: float, timesteps: int) -> None:
    """Of a timestep."""
    found = mesh_energy(config.core, config.mesh, sops=sops / timesteps,
                        routed=cost.routed / timesteps, hops=cost.flit_hops / timesteps,
                        cycles=cost.cycles / timesteps)
    print(f"{sops / timesteps:.0f} operations of {found['pj_per_sop']} pJ, "
          f"{found['pj_per_flit_hop']} pJ per flit and hop of {found['link_mm']} mm: "
          f"{found['nj']:.1f} nJ per timestep, {found['cores_nj']:.1f} in cores, "
          f"{found['flits_nj']:.1f} by flits, {found['router_clocks_nj']:.1f} by clocks of routers")
    print(f"({found['assumption']})")


def simulate(fabric: FabricProgram, core: HardwareConfig, spikes: np.ndarray,
             options: argparse.Namespace) -> None:
    """Compare, and print what the model expected."""
    mapped = mapped_as(fabric, Activity.measured(fabric.program, spikes, core.tiers))
    options.out.mkdir(parents=True, exist_ok=True)
    found = verify_fabric(mapped, core, spikes, None, options.out, workers=1, notice=say)
    mesh = found["mesh"]
    print(f"{found['events_compared']} events, {found['membranes_compared']} membranes, "
          f"{found['mismatches']} mismatches; {mesh['cycles']:.0f} cycles, expected "
          f"{mesh['expected_cycles']:.0f} ({mesh['expected_cycles'] / mesh['cycles'] - 1:+.2%}); "
          f"{found['seconds']:.1f} s")


if __name__ == "__main__":
    main()
