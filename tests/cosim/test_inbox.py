"""The generated inbox against the golden one, and mutants of it."""

import pytest

from lamina.models.config import HardwareConfig
from lamina.models.fabric.config import FabricConfig
from lamina.rtl.fabric import inbox
from lamina.tb.runner import run_bench

CONFIG = FabricConfig(core=HardwareConfig(lanes=4, axons=64, groups=8), size=(3, 2), channels=5)
VALUES = FabricConfig(core=HardwareConfig(lanes=4, axons=64, groups=8, features=("partial",)),
                      size=(3, 2), channels=5)
VALUE_MUTANTS = {
    "values are spikes too": ("return spike & ~of_values", "return spike"),
    "spikes are values too": ("self.i.ready & spike & of_values)", "self.i.ready & spike)"),
    "values wait for nothing": ("self.i.valid & self.i.ready & spike & of_values",
                                "self.i.valid & spike & of_values"),
    "values are answered with the bitmap": ("Mux(values, self.ended_stb, self.freed_stb)",
                                            "self.freed_stb"),
    "spikes are answered with the values": ("Mux(values, self.ended_stb, self.freed_stb)",
                                            "self.ended_stb"),
    "all channels bring values": ("summed[index].eq(self.data[3])", "summed[index].eq(1)"),
}
MUTANTS = {
    "all spikes are of the open slot": (
        "event.next.eq((mine & Cat(level.any() for level in ahead)).any())", "event.next.eq(0)"),
    "closes with the first channel": ("| ~used).all())", "& used).any())"),
    "delayed channels alone close": ("(used & ~delayed).any()", "used.any()"),
    "unused channels are waited for": ("| ~used).all())", ").all())"),
    "a delayed CLEAR is a CLEAR": ("& ~(mine & delayed).any()", "& 1"),
    "no initial token": ("level.eq(self.data[1])", "level.eq(0)"),
    "marks stay": ("clears.eq(clears[1])", "clears.eq(clears)"),
    "flits are lost while a slot closes": ("~closing & (~spike", "(~spike"),
    "one CREDIT is owed at most": ("level.eq(level + (done[index] & used[index])",
                                   "level.eq((level | (done[index] & used[index]))"),
    "credits go to the tile": ("(chosen & hosted).any()", "0"),
}
QUICK = "all spikes are of the open slot"


def bench(module, verilog, build_dir, config=CONFIG):
    run_bench("lamina.tb.bench_inbox", "inbox", [verilog(module.Inbox(config), "inbox")], build_dir,
              environment={"LAMINA_CONFIG": config.to_json()})


@pytest.mark.parametrize("config", [CONFIG, VALUES], ids=["spikes", "values"])
def test_inbox(config, verilog, build_dir):
    bench(inbox, verilog, build_dir, config)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=pytest.mark.long) for name in VALUE_MUTANTS])
def test_mutants_of_the_values_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(inbox, *VALUE_MUTANTS[name]), verilog, build_dir, VALUES)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] * (name != QUICK)) for name in MUTANTS])
def test_mutants_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(inbox, *MUTANTS[name]), verilog, build_dir)
