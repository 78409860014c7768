"""The generated counters against plain sums, and mutants of them."""

import json

import pytest

from lamina.rtl import counters
from lamina.tb.runner import run_bench

BENCH = "lamina.tb.bench_counters"
SHAPES = {"few": (4000, 1, 63), "core": (1, 1, 1, 64, 64, 1, 1, 1, 1, 1)}
MUTANTS = {
    "no carry": ("since.eq(added[16])", "since.eq(0)"),
    "short of a bit": ("self._span(len(self._most))).bit_length()",
                       "self._span(len(self._most))).bit_length() - 1"),
    "compares all bits": ("(short - read.data)[:len(short)] & mask",
                          "(short - read.data)[:len(short)]"),
    "hands over any counter": ("self.read & (index == self.index) &", "self.read &"),
    "zeroes low words only": ("Mux(zeroing.any(), 0, added[:16])",
                              "Mux(zeroing.any() & ~phase[1], 0, added[:16])"),
}
QUICK = "no carry"


def bench(module, most, verilog, build_dir):
    source = verilog(module.Counters(most), "counters")
    run_bench(BENCH, "counters", [source], build_dir, environment={"LAMINA_MOST": json.dumps(most)})


@pytest.mark.parametrize("shape", ["few", pytest.param("core", marks=pytest.mark.long)])
def test_counters(shape, verilog, build_dir):
    bench(counters, SHAPES[shape], verilog, build_dir)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] * (name != QUICK)) for name in MUTANTS])
def test_mutants_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(counters, *MUTANTS[name]), SHAPES["few"], verilog, build_dir)
