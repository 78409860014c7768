"""The generated scanner against the golden scan and its cost, and mutants of it."""

import pytest

from lamina.models.config import HardwareConfig
from lamina.rtl import scanner, set_bits
from lamina.tb.runner import run_bench

BENCH = "lamina.tb.bench_scanner"
CONFIGS = {
    "small": HardwareConfig(lanes=4, tiers=(4, 4), axons=32, groups=4),
    "two ports": HardwareConfig(lanes=4, tiers=(4, 4), axons=32, groups=4, ports=2),
    "eight": HardwareConfig(lanes=8, axons=128, groups=4),
    "sixteen": HardwareConfig(lanes=16, axons=64, groups=2),
    "wide": HardwareConfig(lanes=32, axons=128, groups=2),
}
MUTANTS = {
    "overtakes the source": ("(wanted < self.ready_words)", "1"),
    "forgets the queue": ("queued_valid.eq(queued_valid | in_flight)",
                          "queued_valid.eq(in_flight)"),
    "one slot for both": ("self.read_index | (self.read_slot << index_bits)",
                          "self.read_index"),
    "ends early": ("finished & ~in_flight & ~queued_valid & ~bits.waiting & advance",
                   "wanted == total"),
    "looks at silence": ("Mux(self.silent, 0, self.words)", "self.words"),
    "wastes a cycle": ("advance.eq(~bits.valid | ~bits.several)",
                       "advance.eq(~bits.valid | ~bits.any)"),
}
PORT_MUTANTS = {
    "every entry is in both lists": ("storing & (count[0] == port)", "storing"),
    "the second entry is the first": ("(count[0] == port)", "(count[0] != port)"),
    "one slot for both": ("self.read_index | (self.read_slot << index_bits)", "self.read_index"),
}
QUICK = "ends early"


def bench(module, config, verilog, build_dir):
    source = verilog(module.Scanner(config), "scanner")
    run_bench(BENCH, "scanner", [source], build_dir,
              environment={"LAMINA_CONFIG": config.to_json()})


@pytest.mark.parametrize("shape", [
    "small", "wide", "two ports",
    *(pytest.param(shape, marks=pytest.mark.long) for shape in ("eight", "sixteen"))])
def test_scanner(shape, verilog, build_dir):
    bench(scanner, CONFIGS[shape], verilog, build_dir)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] * (name != QUICK)) for name in MUTANTS])
def test_mutants_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(scanner, *MUTANTS[name]), CONFIGS["small"], verilog, build_dir)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] * (name != "every entry is in both lists"))
    for name in PORT_MUTANTS])
def test_mutants_of_the_ports_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(scanner, *PORT_MUTANTS[name]), CONFIGS["two ports"], verilog, build_dir)


SET_BITS_MUTANTS = {
    "the highest bit is first": (
        "small", '"-" * (len(word) - position - 1) + "1" + "0" * position',
        '"0" * (len(word) - position - 1) + "1" + "-" * position'),
    "leaves blocks behind": ("wide", "self.several | self._left.any()", "self.several"),
    "the first block is the lowest": (
        "wide", "self._ahead.word_select(self._first, self._size)",
        "self._ahead[:self._size]"),
    "one block twice": ("wide", "_without_lowest(self._left)", "self._left"),
    "overruns a word": ("wide", "leaving | ~self.waiting if self._wide",
                        "self.waiting | 1 if self._wide"),
    "forgets the third block": ("wide", "self._next.eq(following)", "self._next.eq(0)"),
}


@pytest.mark.long
@pytest.mark.parametrize("name", SET_BITS_MUTANTS)
def test_mutants_of_the_set_bits_die(name, verilog, build_dir, mutant, killed, monkeypatch):
    shape, *change = SET_BITS_MUTANTS[name]
    monkeypatch.setattr(scanner, "SetBits", mutant(set_bits, *change).SetBits)
    with killed:
        bench(scanner, CONFIGS[shape], verilog, build_dir)
