"""Meshes of tiles against the golden fabric, which is the network on one core; and mutants."""

import pytest

from lamina.models.config import HardwareConfig
from lamina.models.fabric.config import FabricConfig
from lamina.rtl import core
from lamina.rtl.fabric import fabric, host, tile
from lamina.tb.runner import run_bench

CHAIN = HardwareConfig(lanes=4, tiers=(4, 4), weight_words=1024, axons=64, groups=16, layers=4,
                       state_bits=12, acc_bits=18)
GRAPH = HardwareConfig(
    lanes=4, tiers=(4, 4), weight_words=2048, axons=128, groups=32, layers=32, mask_rows=128,
    state_bits=12, acc_bits=20, features=("currents", "refractory", "sources"))
CUT_CHAIN = HardwareConfig(lanes=4, tiers=(4, 4), weight_words=1024, axons=32, groups=8, layers=4,
                           state_bits=12, acc_bits=18, features=("partial",))
CUT_GRAPH = HardwareConfig(
    lanes=4, tiers=(4, 4), weight_words=2048, axons=32, groups=32, layers=32, mask_rows=128,
    state_bits=12, acc_bits=20, features=("partial", "refractory", "rederived", "sources"))
ROOM = {"inputs": 128, "channels": 8, "targets": 8, "ranges": 32, "host_ranges": 64}
CONFIGS = {
    "one": FabricConfig(core=CHAIN, size=(1,), **ROOM),
    "line": FabricConfig(core=CHAIN, size=(4,), fifo_depth=2, **ROOM),
    "plane": FabricConfig(core=GRAPH, size=(2, 2), **ROOM),
    "table": FabricConfig(core=CHAIN, size=(2, 2), routing="table", **ROOM),
    "cut pair": FabricConfig(core=CUT_CHAIN, size=(2,), **ROOM),
    "cut line": FabricConfig(core=CUT_CHAIN, size=(5,), fifo_depth=2, **ROOM),
    "cut plane": FabricConfig(core=CUT_CHAIN, size=(2, 2), **ROOM),
    "cut graphs": FabricConfig(core=CUT_GRAPH, size=(3, 2), **ROOM),
    "solid": FabricConfig(core=GRAPH, size=(2, 2, 2), **ROOM),
    "chips": FabricConfig(core=GRAPH, size=(2, 2), chips=(2, 1), **ROOM),
    "line of chips": FabricConfig(core=CHAIN, size=(3,), chips=(3,), link_bits=4, **ROOM),
    "chips by table": FabricConfig(core=CHAIN, size=(2, 2), routing="table", chips=(2, 2),
                                   link_bits=2, **ROOM),
}
MUTANTS = {
    "nothing comes back to the tile": (tile, "own.eq((flit.address == self.here) & ~flit.host)",
                                       "own.eq(0)"),
    "slots are never answered": (tile, "inbox.freed_stb.eq(core.freed_stb)",
                                 "inbox.freed_stb.eq(0)"),
    "credits do not count": (tile, "outbox.credit_stb.eq(inbox.credit_stb)",
                             "outbox.credit_stb.eq(0)"),
    "the host's flits go round the mesh": (host, "self._config.mesh.address(0)", "-1"),
    "credits are events for the host": (host, "flits.valid & ~credit)", "flits.valid)"),
    "all tiles are tile 0": (fabric, "Const(config.mesh.address(number),", "Const(0,"),
}
CHIP_MUTANTS = {
    "counters are those of tile 0": (fabric, "mesh.count_tile.eq(request.tile)",
                                     "mesh.count_tile.eq(0)"),
    "counters are told twice": (fabric, "told.eq(~self.request.ready)", "told.eq(1)"),
    "cores see what is asked of links": (
        fabric, "with m.If(asked):\n            m.d.comb += [tile.request.valid.eq(0) for",
        "with m.If(asked):\n            m.d.comb += [tile.request.valid.eq(1) for"),
}
CUT_MUTANTS = {
    "sums may be written while they are read": (
        "(sequencer.push & sequencer.tick) | scheduler.cleared_stb),", "scheduler.done_stb),"),
    "a clearing is not answered": (
        "(sequencer.push & sequencer.tick) | scheduler.cleared_stb),",
        "sequencer.push & sequencer.tick),"),
    "one side for all sums": ("scheduler.side.eq(~buffer.open_id)", "scheduler.side.eq(0)"),
    "sums of the bitmap that was closed last": ("partial.read_side.eq(sequencer.side)",
                                                "partial.read_side.eq(~buffer.open_id)"),
    "all sums are of the open slot": ("partial.side.eq(buffer.open_id ^ self.partial_next)",
                                      "partial.side.eq(buffer.open_id)"),
    "idle lanes send": ("mask.eq(sequencer.finishing)", "mask.eq(-1)"),
    "sums of a row too far": ("partial.address.eq(sequencer.mask_row)",
                              "partial.address.eq(sequencer.mask_row + 1)"),
    "every layer sends": ("with m.If(sequencer.store[0] & sequencer.sends):",
                          "with m.If(sequencer.store[0]):"),
}

AHEAD = "all sums are of the open slot"
"""Of two tiles none is a slot ahead of what else the other one hears."""


def bench(config, verilog, build_dir, **environment):
    source = verilog(fabric.Fabric(config), "lamina_fabric")
    run_bench("lamina.tb.bench_fabric", "lamina_fabric", [source], build_dir,
              environment={"LAMINA_CONFIG": config.to_json(), **environment})


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] * (name not in ("plane", "chips")))
    for name in CONFIGS])
def test_fabric(name, verilog, build_dir):
    bench(CONFIGS[name], verilog, build_dir)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=pytest.mark.long) for name in (*MUTANTS, *CHIP_MUTANTS)])
def test_mutants_die(name, verilog, build_dir, mutant, killed, monkeypatch):
    module, old, new = (MUTANTS | CHIP_MUTANTS)[name]
    changed = mutant(module, old, new)
    if module is fabric:
        monkeypatch.setattr(fabric, "Fabric", changed.Fabric)
    else:
        block = {tile: "Tile", host: "HostNode"}[module]
        monkeypatch.setattr(fabric, block, getattr(changed, block))
    with killed:
        bench(CONFIGS["line of chips" if name in CHIP_MUTANTS else "plane"], verilog, build_dir)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=pytest.mark.long) for name in CUT_MUTANTS])
def test_mutants_of_the_sums_die(name, verilog, build_dir, mutant, killed, monkeypatch):
    monkeypatch.setattr(tile, "Core", mutant(core, *CUT_MUTANTS[name]).Core)
    with killed:
        bench(CONFIGS["cut line" if name == AHEAD else "cut pair"], verilog, build_dir)
