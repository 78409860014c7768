"""A small core as cells and macros, simulated against the golden model and weighed."""

import dataclasses
import json

import numpy as np
import pytest

from lamina.flows.errors import UserError
from lamina.flows.sky130 import measure as measuring
from lamina.flows.sky130.measure import measure
from lamina.flows.sky130.netlist import Netlist
from lamina.flows.sky130.synth import synthesise_device
from lamina.models.config import HardwareConfig, ResetRule
from lamina.models.network import run
from lamina.models.program import Layer, Program

CONFIG = HardwareConfig(name="tiny", lanes=4, tiers=(4,), weight_words=512, axons=16, groups=4,
                        layers=2, decay_bits=4, state_bits=8, acc_bits=12, output_words=16)


@pytest.fixture
def program():
    rng = np.random.default_rng(5)
    zero = np.zeros(6, dtype=np.int64)
    layers = tuple(
        Layer(name=name, weights=rng.integers(-3, 8, (axons, 6)), decay=zero + 14, theta=zero + 9,
              r=zero + 9, v_reset=zero, bias=zero, reset=ResetRule.SUBTRACT)
        for name, axons in (("a", 12), ("b", 6)))
    return Program(name="random", layers=layers, timesteps=6, weight_bits=4, decay_bits=4,
                   state_bits=8, acc_bits=12)


@pytest.fixture
def spikes():
    return (np.random.default_rng(1).random((2, 6, 12)) < 0.5).astype(np.uint8)


def test_a_small_core(kit, program, spikes, build_dir):
    found = measure(program, CONFIG, spikes, build_dir / "sky130")
    assert found.spikes_compared > 20 and found.membranes_compared == 2 * 12
    assert (found.macros, found.samples, found.neuron_updates) == (1, 2, 72)
    assert 0 < found.slots_used < 1
    assert found.flip_flops > 400 and found.clock_gates > 20
    # One 32x256 macro holds two weight words a line, so that some reads need no access.
    sops_per_access = found.sops / found.cycles
    low, high = found.memory[0]
    assert high == pytest.approx(2 * low, rel=1e-3)
    assert 9.589 / CONFIG.lanes / 2 < low < 9.589 / min(1, sops_per_access)
    assert min(found.banks, found.lanes_logic, found.control, found.clock) > 0
    assert found.total[1] - found.total[0] == pytest.approx(low, rel=1e-3)
    assert type(found).of(dataclasses.asdict(found)) == found
    area = json.loads((build_dir / "sky130" / "netlist" / "area.json").read_text())["design"]
    # The host link is mapped too, and not weighed with the core.
    assert found.cells + found.macros < area["num_cells"]
    assert found.cells_um2 + found.macros_um2 < area["area"]


class Same:
    """A simulation that gives back what the golden model does."""

    def run(self, program, spikes, workers):
        return run(program, spikes, CONFIG.tiers, trace=True), {}


def test_a_netlist_that_differs_is_refused(program, spikes, tmp_path, monkeypatch):
    monkeypatch.setattr(measuring, "synthesise_device", lambda *arguments, **named: None)
    monkeypatch.setattr(measuring, "mapped_netlist",
                        lambda synthesis: Netlist({"cells": {}}, {}, {}))
    monkeypatch.setattr(measuring, "gate_simulation", lambda *arguments: Same())
    monkeypatch.setattr(measuring, "mismatches", lambda *traces: [{"sample": 0}])
    with pytest.raises(UserError, match=r"^tiny: the netlist differs from the golden model in 1 "
                                        r"places, first \{'sample': 0\}$"):
        measure(program, CONFIG, spikes, tmp_path)


def test_banks_of_an_fpga_are_refused(tmp_path):
    config = HardwareConfig(bank="spram")
    with pytest.raises(UserError, match=r"^bank must be inferred or behavioural on sky130, not "
                                        r"spram$"):
        synthesise_device(config, tmp_path / "netlist")
