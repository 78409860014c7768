"""The report's energy: parts that add up, what is relative, and what is derived."""

import dataclasses
import json

import numpy as np
import pytest

from lamina.flows.report.energy import ANCHORS, Operations, energy_block, energy_rows
from lamina.flows.report.techniques import front_rows, operation_rows, own_groups, published_groups
from lamina.flows.search.energy import CALIBRATIONS, relative_energy
from lamina.flows.study.modes import at_nominal, is_nominal, with_modes
from lamina.models.config import ResetRule
from lamina.models.program import Layer, Program

TIERS = (2, 2, 2, 2)
COUNTS = Operations(by_layer=(3000.0, 1100.0), nominal=4000.0, samples=7)


@pytest.fixture(name="program")
def two_layers():
    def layer(name, axons, neurons, adder):
        zero = np.zeros(neurons, dtype=np.int64)
        return Layer(name=name, weights=np.ones((axons, neurons), dtype=np.int64), decay=zero + 256,
                     theta=zero + 9, r=zero + 9, v_reset=zero, bias=zero, reset=ResetRule.SUBTRACT,
                     adder=adder)
    return Program(name="n", layers=(layer("a", 40, 20, "exact"), layer("b", 20, 5, "loa:4")),
                   timesteps=8, weight_bits=8, acc_bits=17)


@pytest.fixture(name="block")
def block_of_a_mode(program):
    return energy_block(with_modes(program, "UV-PG2@0.8", TIERS), COUNTS, TIERS,
                        CALIBRATIONS["45nm"], {"exact": 1.0, "loa:4": 0.5})


def test_the_parts_add_up_to_the_calibrated_energy(program, block):
    whole = relative_energy(with_modes(program, "UV-PG2@0.8", TIERS), np.array(COUNTS.by_layer),
                            4000.0, TIERS, CALIBRATIONS["45nm"], {"exact": 1.0, "loa:4": 0.5})
    parts = block["relative_breakdown"]
    assert block["relative"] == pytest.approx(whole, rel=1e-5)
    assert sum(parts["memory"]) + parts["adders"] + parts["rest"] == pytest.approx(whole, rel=1e-5)
    top, second, third, last = parts["memory"]
    assert top == pytest.approx(0.917 / 4 * 4100 / 4000, rel=1e-5)
    assert second == third == pytest.approx(top * (0.8 / 1.1) ** 2, rel=1e-5) and last == 0
    assert parts["adders"] == pytest.approx(0.02324 * (3000 + 1100 * 0.5) / 4000, rel=1e-5)


def test_both_meanings_of_an_operation(block):
    assert block["nj_per_sample"] == pytest.approx(4 * ANCHORS["45nm"].pj_per_sop
                                                   * block["relative"], rel=1e-5)
    assert block["pj_per_sop"] == pytest.approx(block["nj_per_sample"] / 4.1, rel=1e-5)
    assert block["pj_per_neuron_update"] == pytest.approx(
        1000 * block["nj_per_sample"] / (25 * 8), rel=1e-5)
    parts = block["breakdown"]
    assert sum(parts["memory"]) + parts["adders"] + parts["rest"] == pytest.approx(
        block["nj_per_sample"], rel=1e-5)
    assert [parts[name] for name in ("lanes", "control", "clock", "leakage")] == [None] * 4


def test_keys_of_the_contract(block):
    assert {"corner", "activity", "pj_per_sop", "pj_per_neuron_update", "nj_per_sample",
            "breakdown", "scaled"} <= set(block)
    assert {"memory", "lanes", "control", "clock", "leakage"} <= set(block["breakdown"])
    assert json.loads(json.dumps(block)) == block
    for scaled in block["scaled"].values():
        assert scaled["factor"] == 0.0574093
        assert scaled["pj_per_sop"] == pytest.approx(block["pj_per_sop"] * 0.0574093, rel=1e-5)


def test_without_an_anchor_only_ratios(program):
    other = dataclasses.replace(CALIBRATIONS["45nm"], name="unheard")
    block = energy_block(program, COUNTS, TIERS, other, {})
    assert block["relative"] == pytest.approx(4100 / 4000)
    assert block["corner"] is block["nj_per_sample"] is block["breakdown"] is None
    assert [name for name, value in energy_rows(block) if value is not None] == ["energy over E0"]
    assert len(operation_rows(block)) == len(operation_rows(None))


def test_the_nominal_program_is_exact(program):
    changed = with_modes(program, "a:UV1@0.8;b:UV-PG1@0.7", TIERS)
    assert not is_nominal(program) and not is_nominal(changed)
    assert is_nominal(at_nominal(changed))
    assert [layer.adder for layer in at_nominal(changed).layers] == ["exact", "exact"]


def test_own_rows_are_those_of_the_files(program, block):
    report = {"energy": block, "golden": {"samples": 1234},
              "quantisation": {"tiers": TIERS, "integer_accuracy": 0.9, "faults": "chip 0"}}
    front = {"samples": 500, "chips": 1, "calibration": {"name": "45nm"}, "front": [
        {"name": "X1", "accuracy": 0.98, "energy": 0.4, "layers": [
            {"name": "a", "adder": "exact", "tier_modes": "nominal,nominal,gated,gated"},
            {"name": "b", "adder": "exact", "tier_modes": "UV1@0.8"}]}]}
    undervolted = {"samples": 60, "chips": 2, "calibration": {"name": "45nm"}, "modes": [
        {"mode": "UV3@0.8", "accuracy": 0.97, "energy": 0.676},
        {"mode": "UV3@0.81", "accuracy": 0.97, "energy": 0.68}]}
    mixed = with_modes(program, "UV-PG2@0.8", TIERS)
    groups = own_groups(report, mixed, undervolted, front)
    assert [group.note for group in groups] == [
        "1,234 samples, faults: chip 0, calibration 45nm", "60 samples, 2 chips, calibration 45nm",
        "500 validation samples, 1 chip, calibration 45nm"]
    assert [(row.modes, row.adders) for group in groups for row in group.rows] == [
        ("nominal,0.8,0.8,gated", "a exact; b loa:4"), ("UV3@0.8", "a exact; b loa:4"),
        ("a 2 gated; b UV1@0.8", "exact")]
    assert groups[2].rows == front_rows(front)
    assert own_groups({**report, "energy": None}, program, None, None)[0].rows[0].modes == "nominal"


def test_published_rows_come_by_source():
    groups = published_groups()
    assert [group.title.split(":")[0] for group in groups] == [
        "Dang 2025", "Nguyen 2023b", "Kobayashi 2024"]
    assert not any(group.ours for group in groups)
    assert [row.modes for row in groups[1].rows][-2:] == ["1 gated", "2 gated"]
    assert groups[1].rows[-1].printed == "-" and groups[1].rows[-1].energy is None
