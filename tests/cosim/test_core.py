"""The generated core against the golden network, in several shapes, and mutants of it."""

import pathlib
import re

import pytest

import lamina.tb
from lamina.models.config import HardwareConfig
from lamina.rtl import access, core, scheduler, sequencer
from lamina.rtl.core import Core
from lamina.tb.runner import run_bench

BENCH = "lamina.tb.bench_core"
SPRAM = pathlib.Path(lamina.tb.__file__).with_name("sb_spram256ka.v")
CONFIGS = {
    "even": HardwareConfig(weight_words=1024, axons=128, groups=8, acc_bits=20),
    "uneven": HardwareConfig(
        lanes=4, tiers=(3, 1, 4), bank="behavioural", weight_words=512, axons=32, groups=8,
        layers=3, decay_bits=4, state_bits=12, acc_bits=17),
    "wide": HardwareConfig(
        lanes=16, tiers=(8, 4, 4), weight_words=256, axons=64, groups=4, decay_bits=16,
        state_bits=20, acc_bits=26),
    "blocks": HardwareConfig(
        lanes=32, weight_words=1024, axons=256, groups=4, layers=4),
    "one tier": HardwareConfig(
        lanes=4, tiers=(2,), weight_words=128, axons=16, groups=4, layers=2, decay_bits=8,
        state_bits=8, acc_bits=13),
    "spram": HardwareConfig(bank="spram", weight_words=1024, axons=128, groups=8, acc_bits=20),
    "adders": HardwareConfig(
        lanes=4, tiers=(4, 4), weight_words=512, axons=32, groups=8, layers=3, state_bits=12,
        acc_bits=18, adders=("exact", "loa:4", "trua0:3", "5kb", "gear:4:2")),
    "two ports": HardwareConfig(
        lanes=4, tiers=(3, 1, 4), weight_words=512, axons=32, groups=8, layers=3, decay_bits=4,
        state_bits=12, acc_bits=17, ports=2),
    "two ports, adders": HardwareConfig(
        lanes=4, tiers=(4, 4), weight_words=512, axons=32, groups=8, layers=6, state_bits=12,
        acc_bits=18, adders=("exact", "loa:4", "trua0:3", "5kb", "gear:4:2"), ports=2,
        features=("rederived",)),
    "two ports, blocks": HardwareConfig(
        lanes=32, weight_words=1024, axons=256, groups=4, layers=4, ports=2),
    "models": HardwareConfig(
        lanes=4, tiers=(3, 1, 4), weight_words=512, axons=32, groups=8, layers=6, decay_bits=4,
        state_bits=12, acc_bits=17,
        features=("currents", "follow", "rederived", "refractory", "subtractive")),
    "follow": HardwareConfig(
        lanes=4, tiers=(2, 2), weight_words=512, axons=32, groups=8, layers=6, state_bits=10,
        acc_bits=16, features=("follow",)),
    "currents": HardwareConfig(
        lanes=4, tiers=(2, 2), weight_words=512, axons=32, groups=8, layers=6, state_bits=10,
        acc_bits=16, features=("currents",)),
    "rederived": HardwareConfig(
        lanes=4, tiers=(4,), weight_words=256, axons=16, groups=4, layers=4, state_bits=10,
        acc_bits=16, features=("rederived",)),
}
MODEL_MUTANTS = {
    "the current's row stays": (sequencer, "current_row.eq(current_row + 1)",
                                "current_row.eq(current_row)"),
    "the current is that of the layer": (sequencer, "current_row.eq(turn.next.current_row)",
                                         "current_row.eq(turn.next.state_base)"),
    "every layer takes a current": (
        sequencer, "Mux(adds, LaneStep.CURRENT, LaneStep.NONE)", "LaneStep.CURRENT"),
    "theta before reset under rederived": (
        sequencer, 'if "correct" in slots else [])]', 'if 0 else [])]'),
    "no correction": (sequencer, "Mux(rederived, LaneStep.CORRECT, LaneStep.NONE)",
                      "LaneStep.NONE"),
    "the stored membrane is not compared": (
        sequencer, "words.append((StateRegion.THETA, LaneStep.LOAD_THETA))",
        "words.append((StateRegion.THETA, LaneStep.NONE))"),
    "follows the list of the next job": (core, "with m.If(sequencer.listed_stb):", "with m.If(1):"),
    "switches stay": (sequencer, "getattr(self, name).eq(done[name])",
                      "getattr(self, name).eq(0)"),
}
PIN_MUTANTS = {
    "stands by while it is read": (
        core, "Mux(sequencer.active, sequencer.resting, ~0)", "Mux(sequencer.active, ~0, ~0)"),
    "stands by while the host writes": (core, "asked = self.request.valid &", "asked = 0 &"),
    "sleeps before the next sample": (access, "wanted & switched, waking", "wanted, waking"),
    "written while it wakes": (access, "~self.request.ready & ~waking", "~self.request.ready"),
}
MUTANTS = {
    "threshold in unused lanes": (
        sequencer, "self.finishing.eq(Mux(threshold | final[2 + last],",
        "self.finishing.eq(Mux(0,"),
    "no place asked for": (
        sequencer, "complete & (spacing == 0) & (self.free | ~reporting)",
        "complete & (spacing == 0)"),
    "groups too close": (sequencer, "                len(self._slots) - 1))]",
                         "                0))]"),
    "the next job ends too close": (sequencer, "_APART = 6", "_APART = 0"),
    "the rule of the next job": (sequencer, "[done.rule] if config.blocks == 1",
                                 "[job.rule] if config.blocks == 1"),
    "the next job decides what is reported": (sequencer, "self.report.eq(done.report)",
                                              "self.report.eq(job.report)"),
    "additions of the next job": (sequencer, "_TURN = 4", "_TURN = 0"),
    "membranes are loaded before their store": (
        sequencer, "self.ending & same & (row >= self.store_row)", "0"),
    "all rows wait for the last store": (
        sequencer, "self.ending & same & (row >= self.store_row)", "self.ending & same"),
    "leaks before the group before began": (
        sequencer, '& ~stages[1]["first"])', ')'),
    "rows of the job before are those of a layer": (
        core, "Mux(sequencer.fresh & ~taken, 0,", "Mux(0, 0,"),
    "rows of a job that ends are read early": (
        core, "Mux(taken, sequencer.ending, sequencer.active)", "~taken & sequencer.active"),
    "weight base stays": (sequencer, "base.eq(base + job.axons)", "base.eq(base)"),
    "delayed order for all rules": (
        sequencer, "late.eq(Cat(*[job.rule == rule for rule in behind]).any())", "late.eq(1)"),
    "scan one word less": (
        scheduler, "(self.job.axons + (config.lanes - 1)) >> lane_bits",
        "self.job.axons >> lane_bits"),
    "membranes survive a CLEAR": (
        core, "inside = scheduler.clear_row < config.groups", "inside = scheduler.clear_row < 0"),
    "CLEAR does not wait": (core, "scheduler.drained.eq(drained)", "scheduler.drained.eq(1)"),
    "one spike list": (scheduler, "self.scan_tag.eq(self.job.tag)", "self.scan_tag.eq(0)"),
    "a lost tier is not noticed": (
        access, "self.refused.eq((kept & ~switched).any())", "self.refused.eq(0)"),
    "modes change at once": (access, "Mux(self.between & self.idle, wanted,", "Mux(1, wanted,"),
    "memories served while busy": (access, "(to_register | rested)", "1"),
    "both sources are the bitmap": (
        core, "scanner.word.eq(Mux(job.internal, scan.data, buffer.word))",
        "scanner.word.eq(buffer.word)"),
    "reset leaves a bitmap": (core, "buffer.erase_all.eq(scheduler.resetting)",
                              "buffer.erase_all.eq(0)"),
    "silent layers report": (core, "sequencer.store[0] & sequencer.report", "sequencer.store[0]"),
}
PORT_MUTANTS = {
    "an odd end has a second weight": (
        sequencer, 'element["second"].eq(goes_on | (following == count))',
        'element["second"].eq(element["real"])'),
    "pairs overlap": (sequencer, "following.eq(following + ports)", "following.eq(following + 1)"),
    "a pair counts as one": (sequencer, "self.sops.eq(neurons << 1)", "self.sops.eq(neurons)"),
    "accesses of the second port do not count": (
        core, "weights.accesses_second[tier] if self._config.ports > 1 else 0", "0"),
}
QUICK = "weight base stays"


def bench(config, verilog, build_dir):
    """Run the bench; returns the folder of the run."""
    sources = [verilog(Core(config), "lamina_core")]
    if config.bank == "spram":
        sources.append(SPRAM)
    return run_bench(BENCH, "lamina_core", sources, build_dir,
                     environment={"LAMINA_CONFIG": config.to_json()},
                     defines={"SPRAM_REPORT": 1} if config.bank == "spram" else {})


@pytest.mark.parametrize("shape", [
    "even", "uneven", "models", "adders", "follow", "blocks", "two ports", "two ports, adders",
    pytest.param("two ports, blocks", marks=pytest.mark.long),
    pytest.param("currents", marks=pytest.mark.long),
    pytest.param("rederived", marks=pytest.mark.long), pytest.param("wide", marks=pytest.mark.long),
    pytest.param("one tier", marks=pytest.mark.long)])
def test_core(shape, verilog, build_dir):
    bench(CONFIGS[shape], verilog, build_dir)


@pytest.mark.parametrize("ports", [1, 2])
@pytest.mark.parametrize("lanes", [8, pytest.param(32, marks=pytest.mark.long),
                                   pytest.param(64, marks=pytest.mark.long)])
def test_lanes_are_used(lanes, ports, verilog, build_dir):
    groups = 128 // lanes
    config = HardwareConfig(lanes=lanes, axons=1024, groups=groups, weight_words=1024 * groups,
                            ports=ports)
    run_bench(BENCH, "lamina_core", [verilog(Core(config), "lamina_core")], build_dir,
              environment={"LAMINA_CONFIG": config.to_json()}, testcase="lanes_are_used")


def test_tiers_rest(verilog, build_dir):
    """Every tier stands by at times, all but tier 0 sleep, and never all the time."""
    log = (bench(CONFIGS["spram"], verilog, build_dir) / "run.log").read_text()
    rests = re.findall(r"tier(\d)\.\S+: (\d+) clocks, (\d+) in STANDBY, (\d+) in SLEEP", log)
    assert [tier for tier, *_ in rests] == ["0", "1", "2", "3"]
    for tier, *counts in rests:
        clocks, standby, sleep = map(int, counts)
        assert 0 < standby < clocks
        assert (sleep > 0) == (tier != "0")


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] * (name != QUICK)) for name in MUTANTS])
def test_mutants_die(name, verilog, build_dir, mutant, killed, monkeypatch):
    change(monkeypatch, mutant, MUTANTS[name])
    with killed:
        bench(CONFIGS["uneven"], verilog, build_dir)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] * (name != "written while it wakes"))
    for name in PIN_MUTANTS])
def test_mutants_of_the_pins_die(name, verilog, build_dir, mutant, killed, monkeypatch):
    change(monkeypatch, mutant, PIN_MUTANTS[name])
    with killed:
        bench(CONFIGS["spram"], verilog, build_dir)


def change(monkeypatch, mutant, place):
    """Put a mutant of a block, or of the core itself, into the core."""
    module, *_ = place
    changed = mutant(*place)
    for block in ("Sequencer", "Scheduler", "HostAccess"):
        if module is not core and hasattr(changed, block):
            monkeypatch.setattr(core, block, getattr(changed, block))
    if module is core:
        monkeypatch.setitem(globals(), "Core", changed.Core)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] * (name != "an odd end has a second weight"))
    for name in PORT_MUTANTS])
def test_mutants_of_the_ports_die(name, verilog, build_dir, mutant, killed, monkeypatch):
    change(monkeypatch, mutant, PORT_MUTANTS[name])
    with killed:
        bench(CONFIGS["two ports"], verilog, build_dir)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] * (name != "no correction"))
    for name in MODEL_MUTANTS])
def test_mutants_of_the_models_die(name, verilog, build_dir, mutant, killed, monkeypatch):
    change(monkeypatch, mutant, MODEL_MUTANTS[name])
    with killed:
        bench(CONFIGS["models"], verilog, build_dir)
