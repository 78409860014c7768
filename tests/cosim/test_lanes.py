"""The generated lanes against the golden neuron, and mutants of them."""

import pytest

from lamina.models.config import HardwareConfig
from lamina.rtl import lanes
from lamina.tb.runner import run_bench

BENCH = "lamina.tb.bench_lanes"
ADDERS = ("exact", "loa:4", "loawa:3", "oloca:5:2", "heaa:4", "eta1:5", "trua0:4", "trua1:6",
          "copy:5", "ama1:4", "ama3:3", "ama5:4", "gear:4:2", "5kb", "5y6",
          "net:sample:2:and.0.2,xor.1.3,not.6.0:7,8,4")
"""One of each kind, as many as a core can have."""
MODELS = ("currents", "follow", "rederived", "refractory", "subtractive")
CONFIGS = {
    "narrow": HardwareConfig(lanes=4, tiers=(3, 1), axons=32, groups=4, decay_bits=4,
                             state_bits=8, acc_bits=9),
    "even": HardwareConfig(axons=64, groups=8),
    "wide": HardwareConfig(lanes=16, tiers=(8, 4, 4), axons=64, groups=4, decay_bits=16,
                           state_bits=32, acc_bits=34),
    "blocks": HardwareConfig(lanes=32, tiers=(4, 4), axons=64, groups=2, state_bits=12,
                             acc_bits=16),
    "coarse": HardwareConfig(lanes=8, axons=64, groups=4, decay_bits=16, state_bits=12,
                             acc_bits=20),
    "models": HardwareConfig(lanes=8, tiers=(3, 1), axons=32, groups=4, decay_bits=4,
                             state_bits=8, acc_bits=10, features=MODELS),
    "wide models": HardwareConfig(lanes=4, tiers=(8, 4), axons=64, groups=4, decay_bits=15,
                                  state_bits=17, acc_bits=20, features=MODELS),
    "sums": HardwareConfig(lanes=4, tiers=(3, 1), axons=32, groups=4, decay_bits=4, state_bits=8,
                           acc_bits=12, features=(*MODELS, "partial")),
    "one adder": HardwareConfig(lanes=4, tiers=(4, 4), axons=32, groups=4, state_bits=12,
                                acc_bits=16, adders=("trua0:4",)),
    "adders": HardwareConfig(lanes=4, tiers=(4, 4), axons=32, groups=4, state_bits=12,
                             acc_bits=16, adders=ADDERS),
    "two ports": HardwareConfig(lanes=4, tiers=(4, 4), axons=32, groups=4, state_bits=12,
                                acc_bits=16, adders=("exact", *ADDERS[4:7], "5kb"), ports=2),
    "two ports, blocks": HardwareConfig(lanes=32, tiers=(4, 4), axons=64, groups=2, state_bits=12,
                                        acc_bits=16, ports=2),
    **{feature: HardwareConfig(lanes=4, axons=32, groups=4, state_bits=12, acc_bits=15,
                               features=(feature,)) for feature in MODELS},
}
MODEL_MUTANTS = {
    "the stored membrane is compared strictly": (
        "~(membrane + self.word[lane] + 1)[-1]", "~(membrane + self.word[lane])[-1]"),
    "r is never given back": ("correcting & (above != self.spikes[lane])",
                              "correcting & ~above & self.spikes[lane]"),
    "r is not taken off by the spike": ("correcting & (above != self.spikes[lane])",
                                        "correcting & above & ~self.spikes[lane]"),
    "r is given back one too much": ("subtract | (correcting & ~above)", "subtract | correcting"),
    "the flag does not travel with its sum": ("above.eq(summed)", "above.eq(loaded)"),
    "a refractory neuron fires": ("fires & ~rests", "fires"),
    "a refractory neuron integrates": ("hit | rests", "hit"),
    "every neuron is refractory": ("self.refractory & self.spiked[lane]", "self.spiked[lane]"),
    "the leak passes zero": ("Mux(past, 0, nearer)", "nearer"),
    "the leak only falls": ("Mux(membrane < 0, membrane + decay, membrane - decay)",
                            "membrane - decay"),
    "every leak is subtractive": ("Mux(self.subtractive, Mux(past, 0, nearer), leaked)",
                                  "Mux(past, 0, nearer)"),
    "the bias per spike is not added": ("adding = adding | following", "pass"),
    "the bias per spike is the state word": (
        "Mux(following, self.follow.as_unsigned(), operand)", "operand"),
    "no current": ("adding | control.at(LaneStep.CURRENT)", "adding"),
    "integrators spike": ("fires & ~self.silent", "fires"),
    "the current replaces the sum": ("Mux(replacing, 0,",
                                     "Mux(replacing | control.at(LaneStep.CURRENT), 0,"),
}
SUM_MUTANTS = {
    "sums are as wide as membranes": ("Mux(receiving, self.partial[lane],",
                                      "Mux(receiving, self.partial[lane][:8].as_signed(),"),
    "every current is a sum": ("control.at(LaneStep.CURRENT) & self.receives",
                               "control.at(LaneStep.CURRENT)"),
    "a sum is added with every step": ("control.at(LaneStep.CURRENT) & self.receives",
                                       "self.receives"),
    "what leaves is saturated": ("self.totals[lane].eq(total)",
                                 "self.totals[lane].eq(saturate(total, config.state_bits, 1))"),
}
MUTANTS = {
    "strict threshold": ("~result[-1] & self.finishing[lane]",
                         "~result[-1] & result.any() & self.finishing[lane]"),
    "idle lanes add": ("(control.add | control.first) & self.enabled[lane]",
                       "control.add | control.first"),
    "leak rounds towards zero": (
        "((membrane * decay) >> config.decay_bits)",
        "((membrane * decay + Mux(membrane < 0, 2 ** config.decay_bits - 1, 0))"
        " >> config.decay_bits)"),
    "idle lanes spike": ("~result[-1] & self.finishing[lane]", "~result[-1]"),
    "delayed rule looks at the new spike": ("Mux(delayed, self.spiked[lane], self.spikes[lane])",
                                            "self.spikes[lane]"),
    "no carry when subtracting r": (
        "control.at(LaneStep.THETA) | control.at(LaneStep.RESET)", "control.at(LaneStep.THETA)"),
    "an empty group keeps its sum": ("(control.add | control.first) &", "control.add &"),
    "wraps on store": ("saturate(total, config.state_bits, control.store)",
                       "Mux(control.store, total[:config.state_bits], 0)"),
}
QUICK = "strict threshold"
QUICK_SHAPES = ("narrow", "models", "adders", "sums", "two ports")
PORT_MUTANTS = {
    "the second weight is the first": ("total, self.weights_second[lane],",
                                       "total, self.weights[lane],"),
    "an odd end passes the adder twice": ("self._added(m, control.add_second,",
                                          "self._added(m, control.add,"),
    "both weights are added to the sum before": (
        "control.add_second, total, self.weights_second", "control.add_second, base, "
        "self.weights_second"),
}


def bench(module, config, verilog, build_dir):
    source = verilog(module.Lanes(config), "lanes")
    run_bench(BENCH, "lanes", [source], build_dir, environment={"LAMINA_CONFIG": config.to_json()})


@pytest.mark.parametrize("shape", [
    *QUICK_SHAPES, *(pytest.param(shape, marks=pytest.mark.long) for shape in CONFIGS
                     if shape not in QUICK_SHAPES)])
def test_lanes(shape, verilog, build_dir):
    bench(lanes, CONFIGS[shape], verilog, build_dir)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] * (name != QUICK)) for name in MUTANTS])
def test_mutants_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(lanes, *MUTANTS[name]), CONFIGS["narrow"], verilog, build_dir)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] * (name != "r is never given back"))
    for name in MODEL_MUTANTS])
def test_mutants_of_the_models_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(lanes, *MODEL_MUTANTS[name]), CONFIGS["models"], verilog, build_dir)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] * (name != "an odd end passes the adder twice"))
    for name in PORT_MUTANTS])
def test_mutants_of_the_ports_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(lanes, *PORT_MUTANTS[name]), CONFIGS["two ports"], verilog, build_dir)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=pytest.mark.long) for name in SUM_MUTANTS])
def test_mutants_of_the_sums_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(lanes, *SUM_MUTANTS[name]), CONFIGS["sums"], verilog, build_dir)
