"""The generated host access against the golden core, and mutants of it."""

import pytest

from lamina.models.config import Counter, HardwareConfig
from lamina.rtl import access
from lamina.tb.runner import run_bench

BENCH = "lamina.tb.bench_access"
CONFIGS = {
    "mixed": HardwareConfig(lanes=4, tiers=(8, 4, 4), weight_words=64, axons=32, groups=4,
                            layers=2, state_bits=20, acc_bits=26),
    "even": HardwareConfig(weight_words=1024, axons=128, groups=8, tiers=(4, 2, 2)),
    "wide": HardwareConfig(lanes=16, tiers=(8, 3, 5), weight_words=256, axons=64, groups=4,
                           state_bits=32, acc_bits=36),
    "spram": HardwareConfig(bank="spram", weight_words=256, axons=64, groups=4,
                            state_bits=20, acc_bits=26),
}
MUTANTS = {
    "does not wait for idle": ("(to_register | rested)", "1"),
    "commits every chunk": ('(space == Space.STATE) & chunk["state_last"]',
                            "(space == Space.STATE)"),
    "commits every weight chunk": ('space[3] & chunk["weight_last"]', "space[3]"),
    "one shift too few": ("shifts.eq(lane[:self._block_bits])",
                         "shifts.eq(lane[:self._block_bits] >> 1)"),
    "gates tier 0": ("request.data[:tiers] & ~Const(1, tiers)", "request.data[:tiers]"),
    "gates in mid-sample": ("self.between & self.idle", "self.idle"),
    "forgets what was lost": ("(lost & ~rewritten) | self.gated", "self.gated"),
    "answers before the counters": ("self.counter_ready | request.address[0]", "1"),
    "lets events in": ("self.hold.eq(self.request.valid & ~is_register)", "self.hold.eq(0)"),
}
PIN_MUTANTS = {
    "requests do not wait": ("~self.request.ready & ~waking", "~self.request.ready"),
    "one cycle too short": ("left.eq(SPRAM_WAKE_CYCLES - 1)", "left.eq(SPRAM_WAKE_CYCLES - 2)"),
    "sleeps before it is off": ("wanted & switched, waking", "wanted, waking"),
    "sleeps until the next sample": ("wanted & switched, waking", "switched, waking"),
}
QUICK = "does not wait for idle"


def bench(module, config, verilog, build_dir):
    counters = Counter.ACCESSES + len(config.tiers)
    source = verilog(module.HostAccess(config, int(counters)), "access")
    run_bench(BENCH, "access", [source], build_dir, environment={"LAMINA_CONFIG": config.to_json()})


@pytest.mark.parametrize("shape", [
    "mixed", "spram", *(pytest.param(shape, marks=pytest.mark.long) for shape in ("even", "wide"))])
def test_access(shape, verilog, build_dir):
    bench(access, CONFIGS[shape], verilog, build_dir)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] * (name != QUICK)) for name in MUTANTS])
def test_mutants_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(access, *MUTANTS[name]), CONFIGS["mixed"], verilog, build_dir)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] * (name != "requests do not wait"))
    for name in PIN_MUTANTS])
def test_mutants_of_the_sleep_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(access, *PIN_MUTANTS[name]), CONFIGS["spram"], verilog, build_dir)
