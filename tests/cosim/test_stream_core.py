"""The core with registered streams: samples without a gap, and mutants of the registers."""

import json

import numpy as np
import pytest

from lamina.models.config import HardwareConfig
from lamina.models.network import run
from lamina.rtl import stream_core
from lamina.tb.programs import random_program, random_spikes
from lamina.tb.runner import run_bench

CONFIG = HardwareConfig(lanes=4, tiers=(4, 4), weight_words=256, axons=32, groups=4, layers=3,
                        state_bits=12, acc_bits=18)
MUTANTS = {
    "loses what came in the last moment": ("(keeping | self.i.valid) & ~free", "0"),
    "takes more than it can keep": ("self.i.ready.eq(~keeping)", "self.i.ready.eq(1)"),
    "gives again what it kept": ("(keeping | self.i.valid) & ~free",
                              "keeping | (self.i.valid & ~free)"),
    "overtakes": ("Mux(keeping, kept, self.i.payload)", "self.i.payload"),
}


def play(folder, verilog, build_dir, stall, module=stream_core, cores=1):
    """Random samples through `cores` cores; returns what the bench counted."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        program = random_program(rng, CONFIG, timesteps=4)
        spikes = random_spikes(rng, program, 6)
        if run(program, spikes, CONFIG.tiers).spike_counts.all():
            break
    program.save(folder)
    np.save(folder / "spikes.npy", spikes)
    run_bench("lamina.tb.bench_stream_core", "stream_core",
              [verilog(module.StreamCores(CONFIG, cores), "stream_core")], build_dir,
              environment={"LAMINA_CONFIG": CONFIG.to_json(), "LAMINA_CASE": str(folder),
                           "LAMINA_STALL": str(stall), "LAMINA_CORES": str(cores)})
    return json.loads((folder / "cycles.json").read_text())


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_stream_core(stall, tmp_path, verilog, build_dir):
    found = play(tmp_path, verilog, build_dir, stall)
    assert found["samples"] == 6
    assert 6 * 4 < found["events"] < found["cycles"]


def test_two_cores_take_turns(tmp_path, verilog, build_dir):
    """The samples go to both, in about half the time."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    one = play(tmp_path / "one", verilog, build_dir, 0.0)
    two = play(tmp_path / "two", verilog, build_dir, 0.0, cores=2)
    assert (two["samples"], two["events"]) == (one["samples"], one["events"])
    assert 0.4 * one["cycles"] < two["cycles"] < 0.7 * one["cycles"]


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] * (name != "overtakes")) for name in MUTANTS])
def test_mutants_die(name, tmp_path, verilog, build_dir, mutant, killed):
    with killed:
        play(tmp_path, verilog, build_dir, 0.4, mutant(stream_core, *MUTANTS[name]))


def test_other_configurations_are_refused():
    with pytest.raises(TypeError, match=r"^config must be a HardwareConfig, not 8$"):
        stream_core.StreamCore(8)
    with pytest.raises(ValueError, match=r"^count must be at least 1, not 0$"):
        stream_core.StreamCores(CONFIG, 0)
