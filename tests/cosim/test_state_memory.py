"""The generated state memory against an array, and mutants of it."""

import pytest

from lamina.models.config import HardwareConfig
from lamina.rtl import lanes
from lamina.tb.runner import run_bench

BENCH = "lamina.tb.bench_state_memory"
CONFIGS = {
    "odd": HardwareConfig(lanes=4, tiers=(4, 4), axons=32, groups=2, decay_bits=13,
                          state_bits=9, acc_bits=12),
    "wide": HardwareConfig(lanes=16, axons=64, groups=4, state_bits=20, acc_bits=24),
    "blocks": HardwareConfig(lanes=32, axons=64, groups=2),
    "deep blocks": HardwareConfig(lanes=32, axons=512, groups=16),
}
MUTANTS = {
    "writes every lane": ('stored["write_lanes"][0].word_select(block, lanes)',
                          'stored["write_lanes"][0].any().replicate(lanes)'),
    "shifts by a bit too few": ("word >> config.slot_bits", "word >> config.slot_bits - 1"),
    "a written row stands": ("(self.address != last) | wrote |", "(self.address != last) |"),
    "a shifted row stands": ("| wrote | self.shift.any()", "| wrote"),
    "another row is not seen": ("(self.address != last) | wrote", "wrote"),
    "reads where it writes": ("if distributed else self.address)",
                             "if distributed else self.write_address)"),
}
QUICK = "writes every lane"


def bench(module, config, verilog, build_dir):
    source = verilog(module.StateMemory(config), "state_memory")
    run_bench(BENCH, "state_memory", [source], build_dir,
              environment={"LAMINA_CONFIG": config.to_json()})


@pytest.mark.parametrize("shape", ["odd", "blocks", *(
    pytest.param(shape, marks=pytest.mark.long) for shape in ("wide", "deep blocks"))])
def test_state_memory(shape, verilog, build_dir):
    bench(lanes, CONFIGS[shape], verilog, build_dir)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] * (name != QUICK)) for name in MUTANTS])
def test_mutants_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(lanes, *MUTANTS[name]), CONFIGS["odd"], verilog, build_dir)
