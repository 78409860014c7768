"""The generated memory of partial sums against an array, and mutants of it."""

import pytest

from lamina.models.config import HardwareConfig
from lamina.rtl import partial_memory
from lamina.tb.runner import run_bench

CONFIGS = {
    "small": HardwareConfig(lanes=4, axons=32, groups=4, state_bits=9, acc_bits=13,
                            features=("partial",)),
    "wide": HardwareConfig(lanes=16, axons=64, groups=4, state_bits=20, acc_bits=30,
                           features=("partial",)),
}
MUTANTS = {
    "one side only": ("Cat(row, self.side)", "Cat(row, 0)"),
    "reads the side that is written": ("self.read_side)", "self.side)"),
    "writes every lane": ("self.write << lane", "self.write.replicate(config.lanes)"),
    "writes always": ("self.write << lane", "1 << lane"),
}
QUICK = "one side only"


def bench(module, config, verilog, build_dir):
    source = verilog(module.PartialMemory(config), "partial_memory")
    run_bench("lamina.tb.bench_partial_memory", "partial_memory", [source], build_dir,
              environment={"LAMINA_CONFIG": config.to_json()})


@pytest.mark.parametrize("shape", ["small", pytest.param("wide", marks=pytest.mark.long)])
def test_partial_memory(shape, verilog, build_dir):
    bench(partial_memory, CONFIGS[shape], verilog, build_dir)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] * (name != QUICK)) for name in MUTANTS])
def test_mutants_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(partial_memory, *MUTANTS[name]), CONFIGS["small"], verilog, build_dir)
