"""The generated emitter against the golden events and its cost, and mutants of it."""

import pytest

from lamina.models.config import HardwareConfig
from lamina.rtl import emitter
from lamina.tb.runner import run_bench

BENCH = "lamina.tb.bench_emitter"
CONFIGS = {
    "small": HardwareConfig(lanes=4, tiers=(4, 4), axons=32, groups=4),
    "sixteen": HardwareConfig(lanes=16, axons=1024, groups=32),
    "wide": HardwareConfig(lanes=32, axons=1024, groups=4),
    "values": HardwareConfig(lanes=4, tiers=(4, 4), axons=32, groups=4, features=("partial",)),
}
VALUE_MUTANTS = {
    "every lane carries the first value": ("word_select(mask.index,", "word_select(0,"),
    "a marker carries a value": ("Mux(spike, value, 0)", "value"),
    "values do not wait": ('now["values"].word_select', 'self.values.word_select'),
}
MUTANTS = {
    "drops the waiting mask": ("leaving, valid | self.push", "leaving, self.push"),
    "only one place": ("self.free.eq(~taken[1])", "self.free.eq(taken == 0)"),
    "ticks for clears": ("payload.kind.eq(EventKind.CLEAR)", "payload.kind.eq(EventKind.TICK)"),
    "releases before the marker": ("last = (spike & ~mask.several & ~marker) | ~spike",
                                   "last = ~mask.several"),
    "goes on without ready": ("~leaving & self.output.valid & self.output.ready", "~leaving"),
}
QUICK = "releases before the marker"


def bench(module, config, verilog, build_dir):
    source = verilog(module.Emitter(config), "emitter")
    run_bench(BENCH, "emitter", [source], build_dir,
              environment={"LAMINA_CONFIG": config.to_json()})


@pytest.mark.parametrize("shape", [
    "small", "values", "wide", pytest.param("sixteen", marks=pytest.mark.long)])
def test_emitter(shape, verilog, build_dir):
    bench(emitter, CONFIGS[shape], verilog, build_dir)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] * (name != QUICK)) for name in MUTANTS])
def test_mutants_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(emitter, *MUTANTS[name]), CONFIGS["small"], verilog, build_dir)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=pytest.mark.long) for name in VALUE_MUTANTS])
def test_mutants_of_the_values_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(emitter, *VALUE_MUTANTS[name]), CONFIGS["values"], verilog, build_dir)
