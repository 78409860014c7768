"""The generated weight memory against the golden tiers, for every bank, and mutants of it."""

import pathlib

import pytest

import lamina.tb
from lamina.models.config import HardwareConfig
from lamina.rtl import weight_memory
from lamina.tb.runner import run_bench

BENCH = "lamina.tb.bench_weight_memory"
SPRAM = pathlib.Path(lamina.tb.__file__).with_name("sb_spram256ka.v")
CONFIGS = {
    "uneven": HardwareConfig(lanes=4, tiers=(3, 1, 4), bank="behavioural", weight_words=50,
                             axons=32, groups=4),
    "spram": HardwareConfig(bank="spram", weight_words=16384),
    "wide": HardwareConfig(lanes=16, tiers=(8, 4, 4), weight_words=256, axons=64, groups=4),
    "two ports": HardwareConfig(lanes=4, tiers=(3, 1, 4), weight_words=64, axons=32, groups=4,
                                ports=2),
    "single": HardwareConfig(lanes=8, tiers=(8,), weight_words=64, axons=64, groups=4),
}
MUTANTS = {
    "reads gated tiers": ("reading = access & ~self.gated[tier]", "reading = access"),
    "fills every gated tier": ("self.gated[tier] & (~self.gated[tier - 1] if tier else 1)",
                               "self.gated[tier]"),
    "keeps the weights in bubbles": ("rests.eq(~reading)", "rests.eq(0)"),
    "the host's tier rests": ("reading if suffix else reading | self.host_read[tier]",
                              "reading"),
    "least significant first": ("for tier in reversed(range(len(config.tiers)))",
                                "for tier in range(len(config.tiers))"),
}
PORT_MUTANTS = {
    "both ports read one word": ('getattr(self, f"address{suffix}")', "self.address"),
    "the second port rests with the first": ("rests.eq(~reading), filled.eq(access &",
                                             "rests.eq(~self.access), filled.eq(access &"),
    "the second port is filled with the first": ("filled.eq(access & highest",
                                                 "filled.eq(self.access & highest"),
}
PIN_MUTANTS = {
    "pins swapped": ("i_STANDBY=self.standby", "i_STANDBY=self.sleep"),
    "never sleeps": ("i_SLEEP=self.sleep", "i_SLEEP=Const(0, 1)"),
    "never stands by": ("i_STANDBY=self.standby", "i_STANDBY=Const(0, 1)"),
    "all tiers rest": ("getattr(self, pin)[tier]", "getattr(self, pin).any()"),
}
QUICK = "reads gated tiers"


def bench(module, config, verilog, build_dir):
    sources = [verilog(module.WeightMemory(config), "weight_memory")]
    if config.bank == "spram":
        sources.append(SPRAM)
    run_bench(BENCH, "weight_memory", sources, build_dir,
              environment={"LAMINA_CONFIG": config.to_json()})


@pytest.mark.parametrize("shape", [
    "uneven", "spram", "two ports", *(pytest.param(shape, marks=pytest.mark.long)
                         for shape in ("wide", "single"))])
def test_weight_memory(shape, verilog, build_dir):
    bench(weight_memory, CONFIGS[shape], verilog, build_dir)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] * (name != QUICK)) for name in MUTANTS])
def test_mutants_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(weight_memory, *MUTANTS[name]), CONFIGS["uneven"], verilog, build_dir)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] * (name != "both ports read one word"))
    for name in PORT_MUTANTS])
def test_mutants_of_the_ports_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(weight_memory, *PORT_MUTANTS[name]), CONFIGS["two ports"], verilog, build_dir)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] * (name != "never sleeps"))
    for name in PIN_MUTANTS])
def test_mutants_of_the_pins_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(weight_memory, *PIN_MUTANTS[name]), CONFIGS["spram"], verilog, build_dir)
