"""Linked routers against the golden mesh; a million flits, none lost, doubled or overtaken."""

import json

import pytest

from lamina.models.fabric.config import MeshConfig
from lamina.rtl.fabric import mesh, router
from lamina.tb.runner import run_bench

BENCH = "lamina.tb.bench_mesh"
SOLID = MeshConfig(size=(3, 3, 2), payload_bits=24)
RUNS = {
    "line": (MeshConfig(size=(5,), fifo_depth=2, payload_bits=20), 5_000),
    "plane": (MeshConfig(size=(4, 3), payload_bits=24), 5_000),
    "solid": (SOLID, 10_000),
    "million": (SOLID, 1_000_000),
    "chips": (MeshConfig(size=(4, 2), chips=(2, 2), payload_bits=20), 3_000),
    "chips by table": (MeshConfig(size=(3, 2), chips=(3, 1), routing="table", link_bits=16),
                       3_000),
}
MUTANTS = {
    "wrong end of the link": ("routers[other].inputs[port.opposite]",
                              "routers[other].inputs[port]"),
    "all routers at 0": ("Const(self._config.address(tile),", "Const(0,"),
    "link without back-pressure": ("source.ready.eq(sink.ready & ~dead)", "source.ready.eq(~dead)"),
}
DEAF = {
    "dead links take flits": ("source.ready.eq(sink.ready & ~dead)", "source.ready.eq(sink.ready)"),
    "dead links bring flits": ("source.valid & ~dead", "source.valid"),
    "one end does not count": ("dead[tile][port] | dead[other][port.opposite]", "dead[tile][port]"),
    "the links of all tiles": ("self.dead_write & (self.table_tile == tile)", "self.dead_write"),
}
COUNTER_MUTANTS = {
    "flits for tiles are hops": (router, "if port is not Port.LOCAL]", "]"),
    "flits that wait are hops": (router, "self.outputs[port].valid & self.outputs[port].ready",
                                 "self.outputs[port].valid"),
    "one hop per cycle": (router, "moved.eq(sum(leaving))", "moved.eq(Cat(leaving).any())"),
    "halves change places": (mesh, "counters[1], counters[0]", "counters[0], counters[1]"),
    "all routers answer": (mesh, "with m.If((self.count_tile == tile) & (self",
                           "with m.If((self.count_tile >= tile) & (self"),
}
CHIP_MUTANTS = {
    "wires cross": ("far = ends[config.neighbour(tile, port), port.opposite]", "far = end"),
    "chips are joined by other links": ("end.o, routers[tile].inputs[port]",
                                        "end.o, routers[tile].inputs[port.opposite]"),
    "an end is elsewhere": ("ChipLink(config, tile, port) for", "ChipLink(config, 0, port) for"),
}


DEAD = ((0, 1), (4, 5), (3, 6))


def bench(module, config, flits, verilog, build_dir, dead=()):
    run_bench(BENCH, "mesh", [verilog(module.RouterMesh(config), "mesh")], build_dir,
              environment={"LAMINA_CONFIG": config.to_json(), "LAMINA_FLITS": str(flits),
                           "LAMINA_DEAD": json.dumps(dead)})


@pytest.mark.parametrize("name", ["line", *(
    pytest.param(name, marks=pytest.mark.long) for name in RUNS if name != "line")])
def test_mesh(name, verilog, build_dir):
    bench(mesh, *RUNS[name], verilog, build_dir)


def test_dead_links_are_avoided(verilog, build_dir):
    bench(mesh, MeshConfig(size=(3, 3), routing="table"), 3_000, verilog, build_dir, DEAD)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] * (name != "all routers at 0"))
    for name in MUTANTS])
def test_mutants_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(mesh, *MUTANTS[name]), MeshConfig(size=(3, 2)), 2_000, verilog, build_dir)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] * (name != "flits that wait are hops"))
    for name in COUNTER_MUTANTS])
def test_mutants_of_the_counters_die(name, verilog, build_dir, mutant, killed, monkeypatch):
    module, old, new = COUNTER_MUTANTS[name]
    changed = mutant(module, old, new)
    if module is router:
        monkeypatch.setattr(mesh, "Router", changed.Router)
    with killed:
        bench(mesh if module is router else changed, MeshConfig(size=(3, 2)), 1_000, verilog,
              build_dir)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] * (name != "dead links take flits"))
    for name in DEAF])
def test_mutants_with_dead_links_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(mesh, *DEAF[name]), MeshConfig(size=(3, 3), routing="table"), 2_000, verilog,
              build_dir, DEAD)


@pytest.mark.long
@pytest.mark.parametrize("name", CHIP_MUTANTS)
def test_mutants_of_chips_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(mesh, *CHIP_MUTANTS[name]), RUNS["chips"][0], 500, verilog, build_dir)
