"""The generated spike buffer against the golden collection, and mutants of it."""

import pytest

from lamina.models.config import HardwareConfig
from lamina.rtl import spike_buffer
from lamina.tb.runner import run_bench

BENCH = "lamina.tb.bench_spike_buffer"
CONFIGS = {
    "small": HardwareConfig(lanes=4, tiers=(4, 4), axons=32, groups=4),
    "wide": HardwareConfig(lanes=16, axons=64, groups=2),
    "ahead": HardwareConfig(lanes=4, tiers=(4, 4), axons=32, groups=4, features=("ahead",)),
}
MUTANTS = {
    "no forwarding": ("last_valid & (last_address == set_address)", "last_valid & 0"),
    "forwarding from another word": ("last_valid & (last_address == set_address)", "last_valid"),
    "one axon too many": ("event.axon < self.input_axons", "event.axon <= self.input_axons"),
    "erases one side only": ("self.erase_all.replicate(2)", "self.erase_all & 0"),
    "forgets the flag": ("self.clear.eq(event.kind == EventKind.CLEAR)", "self.clear.eq(0)"),
    "silence stays": ("filled.bit_select(side, 1).eq(1)", "filled.bit_select(side, 1).eq(0)"),
    "silence never comes back": ("filled.bit_select(~open_id, 1).eq(0)", "[]"),
    "the open bitmap's silence": ("~filled.bit_select(~open_id, 1)",
                                 "~filled.bit_select(open_id, 1)"),
    "closes twice": ("self.events.valid & self.open &", "self.events.valid & ~self.hold &"),
}
QUICK = "no forwarding"
AHEAD_MUTANTS = {
    "next is now": ("side.eq(open_id ^ event.next)", "side.eq(open_id)"),
    "the other word is read": ("filling | (~self.closed & event.next)", "filling"),
    "scans are disturbed": ("filling | (~self.closed & event.next)", "filling | event.next"),
    "forwarded between bitmaps": ("setting & (side == set_id)", "setting"),
}


def bench(module, config, verilog, build_dir):
    source = verilog(module.SpikeBuffer(config), "spike_buffer")
    run_bench(BENCH, "spike_buffer", [source], build_dir,
              environment={"LAMINA_CONFIG": config.to_json()})


@pytest.mark.parametrize("shape", [
    "small", "ahead", pytest.param("wide", marks=pytest.mark.long)])
def test_spike_buffer(shape, verilog, build_dir):
    bench(spike_buffer, CONFIGS[shape], verilog, build_dir)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] * (name != QUICK)) for name in MUTANTS])
def test_mutants_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(spike_buffer, *MUTANTS[name]), CONFIGS["small"], verilog, build_dir)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] * (name != "next is now"))
    for name in AHEAD_MUTANTS])
def test_mutants_of_ahead_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(spike_buffer, *AHEAD_MUTANTS[name]), CONFIGS["ahead"], verilog, build_dir)
