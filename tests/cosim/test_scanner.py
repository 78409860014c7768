"""The generated scanner against the golden scan and its cost, and mutants of it."""

import pytest

from lamina.models.config import HardwareConfig
from lamina.rtl import scanner, set_bits
from lamina.tb.runner import run_bench

BENCH = "lamina.tb.bench_scanner"
CONFIGS = {
    "small": HardwareConfig(lanes=4, tiers=(4, 4), axons=32, groups=4),
    "eight": HardwareConfig(lanes=8, axons=128, groups=4),
    "wide": HardwareConfig(lanes=16, axons=64, groups=2),
}
MUTANTS = {
    "overtakes the source": ("(wanted < self.ready_words)", "1"),
    "forgets the queue": ("queued_valid.eq(queued_valid | in_flight)",
                          "queued_valid.eq(in_flight)"),
    "one slot for both": ("self.read_index | (self.read_slot << self._axon_bits)",
                          "self.read_index"),
    "ends early": ("finished & ~in_flight & ~queued_valid & advance", "wanted == total"),
    "looks at silence": ("Mux(self.silent, 0, self.words)", "self.words"),
    "wastes a cycle": ("advance.eq(~active | ~bits.several)", "advance.eq(~active | ~bits.any)"),
}
QUICK = "ends early"


def bench(module, config, verilog, build_dir):
    source = verilog(module.Scanner(config), "scanner")
    run_bench(BENCH, "scanner", [source], build_dir,
              environment={"LAMINA_CONFIG": config.to_json()})


@pytest.mark.parametrize("shape", [
    "small", *(pytest.param(shape, marks=pytest.mark.long) for shape in ("eight", "wide"))])
def test_scanner(shape, verilog, build_dir):
    bench(scanner, CONFIGS[shape], verilog, build_dir)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] * (name != QUICK)) for name in MUTANTS])
def test_mutants_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(scanner, *MUTANTS[name]), CONFIGS["small"], verilog, build_dir)


@pytest.mark.long
def test_the_lowest_bit_is_first(verilog, build_dir, mutant, killed, monkeypatch):
    changed = mutant(set_bits, '"-" * (len(word) - position - 1) + "1" + "0" * position',
                     '"0" * (len(word) - position - 1) + "1" + "-" * position')
    monkeypatch.setattr(scanner, "SetBits", changed.SetBits)
    with killed:
        bench(scanner, CONFIGS["small"], verilog, build_dir)
