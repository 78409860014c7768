"""Graphs of layers on the core: branches, loops, delays, windows, currents, all reset rules."""

import pytest

from lamina.models.config import FEATURES, HardwareConfig
from lamina.rtl import core, scanner, scheduler, window
from lamina.rtl.core import Core
from lamina.tb.runner import run_bench

ALONE = set(FEATURES) - {"partial"}
"""What a core can have outside of a fabric."""
SMALL = {"lanes": 4, "tiers": (2, 2), "weight_words": 4096, "axons": 1024, "groups": 256,
         "layers": 32, "mask_rows": 1024, "state_bits": 12, "acc_bits": 22}
CONFIGS = {
    "sources": SMALL | {"features": ("sources",)},
    "neurons": SMALL | {"features": tuple(sorted(ALONE - {"windows"}))},
    "windows": SMALL | {"features": ("sources", "windows")},
    "binary": SMALL | {"tiers": (1,), "features": ("sources", "windows")},
    "adders": SMALL | {"tiers": (4, 4), "acc_bits": 26, "features": tuple(sorted(ALONE)),
                       "adders": ("exact", "loa:4", "trua0:3", "5kb")},
    "two ports": SMALL | {"features": tuple(sorted(ALONE)), "ports": 2},
    "everything": SMALL | {"lanes": 8, "tiers": (4, 3, 1), "features": tuple(sorted(ALONE))},
}


@pytest.mark.parametrize("name", CONFIGS)
def test_random_graphs_agree(name, verilog, build_dir):
    config = HardwareConfig(name="graphs", **CONFIGS[name])
    sources = [verilog(Core(config), "graphs_core")]
    run_bench("lamina.tb.bench_graphs", "graphs_core", sources, build_dir,
              environment={"LAMINA_CONFIG": config.to_json()})


MUTANTS = {
    "relays one word short": (scheduler, "self.copy_index + 1 >= self.job.words",
                              "self.copy_index + 2 >= self.job.words"),
    "no barrier before a relay": (scheduler, "with m.If(state.relay & barrier):",
                                  "with m.If(state.relay):"),
    "positions do not move on": (scheduler, "(state.offset_row + self.job.groups)",
                                 "(state.offset_row)"),
    "closing at every position": (scheduler,
                                  "self.job.closing.eq(state.closing & self._last_position(state))",
                                  "self.job.closing.eq(state.closing)"),
    "sources share their axons": (scanner, "before = Mux(self.append, following, 0)", "before = 0"),
    "every source begins the list anew": (
        scanner, "for side in (0, 1):\n            fresh = ~self.append", "for side in (0, 1):\n"
        "            fresh = Const(1)"),
    "whole words of packed maps": (scanner, "with m.If(view.pack.any()), m.Switch(view.slot):",
                                   "with m.If(0), m.Switch(view.slot):"),
    "the map has no left edge": (window, "(x >= 0) & (x < view.columns)", "(x < view.columns)"),
    "pools see one row": (window, "tap.eq(tap_row), row.eq(row + view.pitch)]",
                          "tap.eq(tap_row), row.eq(row)]"),
    "taps count on over the pool": (window, "tap.eq(tap_row), row.eq(row + view.pitch)]",
                                    "tap.eq(tap + view.step), row.eq(row + view.pitch)]"),
    "the bitmap is erased at once": (core, "& ~job.internal & ~job.keep", "& ~job.internal"),
    "a running layer is read early": (
        core, "behind = behind & (job.source_row == sequencer.base_row)",
        "behind = behind & 0"),
    "a scan waits for any layer that runs": (
        core, "behind = behind & (job.source_row == sequencer.base_row)", "behind = behind & 1"),
    "positions wait for each other": (
        scheduler, "at_once = ~windowed | state.further | state.positions_begun",
        "at_once = ~windowed | state.further"),
}
CHANGED = {"scheduler": "Scheduler", "scanner": "Scanner", "window": "WindowWalker"}


@pytest.mark.long
@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_die(name, verilog, build_dir, mutant, killed, monkeypatch):
    module, old, new = MUTANTS[name]
    changed = mutant(module, old, new)
    block = module.__name__.rsplit(".", 1)[1]
    if block == "window":
        monkeypatch.setattr(scanner, "WindowWalker", changed.WindowWalker)
    elif block != "core":
        monkeypatch.setattr(core, CHANGED[block], getattr(changed, CHANGED[block]))
    where = "sources" if name.endswith(("is read early", "that runs")) else "windows"
    config = HardwareConfig(name="graphs", **CONFIGS[where])
    design = (changed if block == "core" else core).Core(config)
    with killed:
        run_bench("lamina.tb.bench_graphs", "graphs_core", [verilog(design, "graphs_core")],
                  build_dir, environment={"LAMINA_CONFIG": config.to_json(),
                                          "LAMINA_PROGRAMS": "12"})
