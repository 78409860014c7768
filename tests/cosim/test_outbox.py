"""The generated outbox against the golden one, and mutants of it."""

import pytest

from lamina.models.config import HardwareConfig
from lamina.models.fabric.config import FabricConfig
from lamina.rtl.fabric import outbox
from lamina.tb.runner import run_bench

CONFIG = FabricConfig(core=HardwareConfig(lanes=4, axons=64, groups=8), size=(3, 2), inputs=100,
                      targets=3, ranges=12, host_ranges=20)
VALUES = FabricConfig(core=HardwareConfig(lanes=4, axons=64, groups=8, features=("partial",)),
                      size=(3, 2), inputs=100, targets=3, ranges=12, host_ranges=20)
MUTANTS = {
    "the last neuron is left out": ("(event.neuron <= entry", "(event.neuron < entry"),
    "the first neuron is left out": ("(entry[RangeField.FIRST] <=", "(entry[RangeField.FIRST] <"),
    "ticks go everywhere": ("fits, flags.closes)", "fits, 1)"),
    "numbers are not moved": ("+ entry[RangeField.BASE])", ")"),
    "slots without a credit": ("| ~used).all())", "| 1).all())"),
    "a slot per credit of any target": ("| ~used).all())", "& used).any())"),
    "every event takes a credit": ("with m.Elif(self.events.ready & ~spike):",
                                   "with m.Elif(self.events.ready):"),
    "a credit is lost beside a beginning": ("level + earned - (begins", "Mux(begins, level, level "
                                            "+ earned) - (begins"),
}
QUICK = "slots without a credit"


def bench(module, verilog, build_dir, *, host=False, config=CONFIG):
    run_bench("lamina.tb.bench_outbox", "outbox",
              [verilog(module.Outbox(config, host=host), "outbox")], build_dir,
              environment={"LAMINA_CONFIG": config.to_json(), "LAMINA_HOST": str(int(host))})


@pytest.mark.parametrize("config", [CONFIG, VALUES], ids=["spikes", "values"])
@pytest.mark.parametrize("host", [False, True], ids=["tile", "host"])
def test_outbox(host, config, verilog, build_dir):
    bench(outbox, verilog, build_dir, host=host, config=config)


@pytest.mark.long
def test_values_that_stay_behind_are_missed(verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(outbox, "flit.value.eq(event.value)", "flit.value.eq(0)"), verilog,
              build_dir, config=VALUES)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] * (name != QUICK)) for name in MUTANTS])
def test_mutants_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(outbox, *MUTANTS[name]), verilog, build_dir)
