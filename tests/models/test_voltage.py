"""The error rate against its table and shape, and which supply a tier has."""

import dataclasses
import json
import math
import re

import numpy as np
import pytest

from lamina.models.config import HardwareConfig
from lamina.models.placement import misfits
from lamina.models.program import Program
from lamina.models.voltage import BIT_ERROR_RATES, bit_error_rate, can_fail, failing_tiers, supplies


@pytest.mark.parametrize(("volts", "rate"), BIT_ERROR_RATES.items())
def test_the_curve_meets_the_table(volts, rate):
    assert bit_error_rate(volts) == pytest.approx(rate, abs=0.03, rel=0.03)


def test_the_rate_never_falls_with_the_voltage():
    rates = [bit_error_rate(millivolts / 1000) for millivolts in range(600, 1101)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == rates[40] == pytest.approx(0.7066, abs=1e-4)
    assert rates[249] > 0 and not any(rates[250:])
    assert bit_error_rate(0.8) == pytest.approx(0.0190, abs=1e-4)


@pytest.mark.parametrize("volts", [0.599, 0.0, -1.0, 1.101, math.nan, math.inf])
def test_voltages_without_a_measurement_are_refused(volts):
    with pytest.raises(ValueError, match=rf"^voltage must be in 0\.60\.\.1\.10 V, "
                                         rf"not {re.escape(str(volts))}$"):
        bit_error_rate(volts)


@pytest.fixture(name="program")
def two_layers(make_layer):
    first = make_layer(name="a", weights=np.ones((3, 2)))
    second = make_layer(name="b", weights=np.ones((2, 2)), tier_millivolts=(1000, 800),
                        gated_tiers=1)
    return Program(name="n", layers=(first, second), timesteps=1, weight_bits=4, acc_bits=18)


def test_a_layers_own_voltages_go_first_and_a_gate_above_all(program):
    first, second = program.layers
    assert supplies(program, first, 2) == (1.1, 1.1)
    assert supplies(program, second, 2) == (1.0, 0.0)
    program = dataclasses.replace(program, tier_millivolts=(1100, 700))
    assert supplies(program, first, 2) == (1.1, 0.7)
    assert supplies(program, second, 2) == (1.0, 0.0)
    assert supplies(dataclasses.replace(program, gated_tiers=1), first, 2) == (1.1, 0.0)


def test_only_tiers_that_are_read_can_fail(program):
    assert not can_fail(program, 2)
    program = dataclasses.replace(program, tier_millivolts=(1100, 840))
    assert can_fail(program, 2)
    assert not can_fail(dataclasses.replace(program, tier_millivolts=(850, 850)), 2)
    assert not can_fail(dataclasses.replace(program, gated_tiers=1), 2)


def test_voltages_are_one_per_tier(program):
    with pytest.raises(ValueError, match=r"^b: tier_millivolts must have 4 entries, one per tier, "
                                         r"not 2$"):
        supplies(program, program.layers[1], 4)


def test_voltages_are_kept_with_the_program(program, tmp_path):
    program = dataclasses.replace(program, tier_millivolts=[1100, 650])
    program.save(tmp_path)
    loaded = Program.load(tmp_path)
    assert loaded.tier_millivolts == (1100, 650)
    assert [layer.tier_millivolts for layer in loaded.layers] == [(), (1000, 800)]


def test_programs_from_before_voltages_are_nominal(program, tmp_path):
    dataclasses.replace(program, layers=program.layers[:1]).save(tmp_path)
    fields = json.loads((tmp_path / "program.json").read_text())
    del fields["tier_millivolts"], fields["layers"][0]["tier_millivolts"]
    (tmp_path / "program.json").write_text(json.dumps(fields))
    loaded = Program.load(tmp_path)
    assert supplies(loaded, loaded.layers[0], 2) == (1.1, 1.1)


@pytest.mark.parametrize(("millivolts", "message"), [
    ((1100, 599), r"^tier_millivolts must be in 600\.\.1100, not 599$"),
    ((1101,), r"^tier_millivolts must be in 600\.\.1100, not 1101$"),
    ((800,) * 9, r"^entries of tier_millivolts must be in 0\.\.8, not 9$")])
def test_voltages_out_of_range_are_refused(program, millivolts, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(program, tier_millivolts=millivolts)
    with pytest.raises(ValueError, match=message.replace("tier_milli", r"a\.tier_milli", 1)):
        dataclasses.replace(program.layers[0], tier_millivolts=millivolts)


def test_voltages_are_whole_numbers(program):
    with pytest.raises(TypeError, match=r"^tier_millivolts must be an int, not 0\.8$"):
        dataclasses.replace(program, tier_millivolts=(1.1, 0.8)[1:])


def test_a_core_has_a_tier_for_every_voltage(program):
    config = HardwareConfig(lanes=4, tiers=(4, 2, 2))
    assert misfits(program, config) == ["needs 2 tiers for its voltages, has 3"]
    assert misfits(program, HardwareConfig(lanes=4, tiers=(4, 4))) == []


def test_tiers_below_850_millivolts_fail():
    assert failing_tiers((1100, 850, 849, 600), 4) == (False, False, True, True)
    assert failing_tiers((), 2) == (False, False)
    with pytest.raises(ValueError, match=r"^tier_millivolts must have 2 entries, one per tier, "
                                         r"not 1$"):
        failing_tiers((800,), 2)
