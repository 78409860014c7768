"""The generated lanes against the golden neuron, and mutants of them."""

import pytest

from lamina.models.config import HardwareConfig
from lamina.rtl import lanes
from lamina.tb.runner import run_bench

BENCH = "lamina.tb.bench_lanes"
CONFIGS = {
    "narrow": HardwareConfig(lanes=4, tiers=(3, 1), axons=32, groups=4, decay_bits=4,
                             state_bits=8, acc_bits=9),
    "even": HardwareConfig(axons=64, groups=8),
    "wide": HardwareConfig(lanes=16, tiers=(8, 4, 4), axons=64, groups=4, decay_bits=16,
                           state_bits=32, acc_bits=34),
    "coarse": HardwareConfig(lanes=8, axons=64, groups=4, decay_bits=16, state_bits=12,
                             acc_bits=20),
}
MUTANTS = {
    "strict threshold": ("~result[-1] & self.finishing[lane]",
                         "~result[-1] & result.any() & self.finishing[lane]"),
    "idle lanes add": ("(self.add | self.first) & self.enabled[lane]", "self.add | self.first"),
    "leak rounds towards zero": (
        "((membrane * decay) >> config.decay_bits)",
        "((membrane * decay + Mux(membrane < 0, 2 ** config.decay_bits - 1, 0))"
        " >> config.decay_bits)"),
    "idle lanes spike": ("~result[-1] & self.finishing[lane]", "~result[-1]"),
    "delayed rule looks at the new spike": ("Mux(delayed, self.spiked[lane], self.spikes[lane])",
                                            "self.spikes[lane]"),
    "no carry when subtracting r": (
        "((self.step == LaneStep.RESET) & (self.rule != ResetRule.VALUE))", "0"),
    "an empty group keeps its sum": ("(self.add | self.first) &", "self.add &"),
    "wraps on store": ("saturate(total, config.state_bits, self.store)",
                       "Mux(self.store, total[:config.state_bits], 0)"),
}
QUICK = "strict threshold"


def bench(module, config, verilog, build_dir):
    source = verilog(module.Lanes(config), "lanes")
    run_bench(BENCH, "lanes", [source], build_dir, environment={"LAMINA_CONFIG": config.to_json()})


@pytest.mark.parametrize("shape", [
    "narrow", *(pytest.param(shape, marks=pytest.mark.long)
                for shape in ("even", "wide", "coarse"))])
def test_lanes(shape, verilog, build_dir):
    bench(lanes, CONFIGS[shape], verilog, build_dir)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] * (name != QUICK)) for name in MUTANTS])
def test_mutants_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(lanes, *MUTANTS[name]), CONFIGS["narrow"], verilog, build_dir)
