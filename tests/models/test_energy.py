"""The energy law against the printed table, operations, and the factors between processes."""

import math
import re

import pytest

from lamina.models.energy import (
    FLAVOURS,
    NODE_RULES,
    STACKED_45NM,
    node_energy,
    pj_per_neuron_update,
    pj_per_sop,
    range_from_130nm,
    scaling_factor,
)

PRINTED = {
    0.85: (3.74, 3.36, 2.98, 2.59), 0.825: (3.70, 3.29, 2.88, 2.46),
    0.80: (3.67, 3.23, 2.78, 2.34), 0.775: (3.64, 3.17, 2.69, 2.21),
    0.75: (3.61, 3.11, 2.60, 2.09), 0.70: (3.56, 2.99, 2.43, 1.87)}
"""Energy of a prediction [uJ] of UV1..UV4 by voltage, Nguyen 2023b."""


@pytest.mark.parametrize(("volts", "count", "printed"), [
    (volts, count, printed) for volts, row in PRINTED.items()
    for count, printed in enumerate(row, start=1)])
def test_the_law_gives_the_printed_energies(volts, count, printed):
    energy = STACKED_45NM.microjoules((1.1,) * (4 - count) + (volts,) * count)
    assert abs(energy - printed) < 0.0015 * STACKED_45NM.nominal_microjoules
    assert energy == pytest.approx(printed, rel=0.003)


def test_nominal_and_gated_tiers():
    assert STACKED_45NM.relative((1.1,) * 4) == pytest.approx(1)
    assert round(STACKED_45NM.microjoules((1.1,) * 4), 2) == 4.12
    assert STACKED_45NM.relative((1.1, 1.1, 1.1, 0)) == pytest.approx(0.083 + 0.917 * 3 / 4)
    assert STACKED_45NM.relative((0.8,) * 3) == pytest.approx(0.083 + 0.917 * (0.8 / 1.1) ** 2)
    assert round(STACKED_45NM.relative((1.1, 0.8, 0.8, 0.8)), 3) == 0.676
    assert round(STACKED_45NM.relative((0.8, 0.8, 0.8, 0)), 3) == 0.447


@pytest.mark.parametrize(("volts", "message"), [
    ((), r"^volts must hold at least one tier, not 0$"),
    ((1.1, 1.2), r"^volts must be in 0\.\.1\.1, not 1\.2$"),
    ((-0.1,), r"^volts must be in 0\.\.1\.1, not -0\.1$"),
    ((math.nan,), r"^volts must be in 0\.\.1\.1, not nan$")])
def test_supplies_beyond_the_law_are_refused(volts, message):
    with pytest.raises(ValueError, match=message):
        STACKED_45NM.relative(volts)


def test_both_operations():
    nominal = STACKED_45NM.nominal_microjoules
    assert pj_per_neuron_update(nominal, 48 * 351) == pytest.approx(244.28)
    assert pj_per_sop(4.0, 2_000_000) == pytest.approx(2.0)


@pytest.mark.parametrize(("of", "name"), [(pj_per_sop, "sops"), (pj_per_neuron_update, "updates")])
def test_no_operation_has_no_energy(of, name):
    with pytest.raises(ValueError, match=rf"^{name} must be positive, not 0$"):
        of(1.0, 0)


@pytest.mark.parametrize(("name", "factor"), [
    ("45 nm chips", 0.05741), ("TrueNorth", 0.18855), ("ODIN", 0.12837)])
def test_published_factors(name, factor):
    [rule] = [rule for rule in NODE_RULES if rule.name == name]
    assert rule.factor == pytest.approx(factor, rel=2e-4)


@pytest.mark.parametrize(("native", "printed"), [
    (244.28, 14.02), (191.46, 10.98), (81.16, 4.65), (20.33, 1.167), (13.28, 0.762), (8.374, 0.48),
    (11.3, 0.648), (8.797, 0.504), (5.163, 0.296), (3.057, 0.175), (5.900, 0.338), (3.898, 0.223)])
def test_the_twelve_rows_at_45_nm(native, printed):
    assert native * NODE_RULES[0].factor == pytest.approx(printed, rel=0.004)


def test_the_rows_of_other_flavours():
    assert 26 * NODE_RULES[1].factor == pytest.approx(4.902, rel=1e-3)
    assert 8.4 * NODE_RULES[2].factor == pytest.approx(1.078, rel=1e-3)


def test_factors_chain_and_every_flavour_grows_with_the_voltage():
    there = scaling_factor(("65", 1.1), ("LP45", 1.1))
    assert there * scaling_factor(("LP45", 1.1), ("LP14", 0.75)) == pytest.approx(
        scaling_factor(("65", 1.1), ("LP14", 0.75)))
    for flavour in FLAVOURS:
        assert 0 < node_energy(flavour, 0.8) < node_energy(flavour, 1.0) < node_energy(flavour, 1.2)


@pytest.mark.parametrize(("arguments", "message"), [
    (("LP7", 0.7), "flavour must be one of 130, 90, 65, HP45, LP45, LP32, HP14, LP14, not 'LP7'"),
    (("130", 1.8), "voltage of 130 must be in 0.5..1.3 V, not 1.8"),
    (("LP14", 0.4), "voltage of LP14 must be in 0.5..1.3 V, not 0.4")])
def test_what_the_fit_does_not_cover_is_refused(arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        node_energy(*arguments)


def test_130_nm_beyond_its_fit_is_a_range():
    fit = 7.171 * 1.69 - 6.709 * 1.3 + 2.904
    low45 = (1.103 * 1.21 - 0.362 * 1.1 + 0.2767) / (fit * (1.8 / 1.3) ** 2)
    assert range_from_130nm(1.8, ("LP45", 1.1)) == pytest.approx((low45, 45 / 130 * (1.1 / 1.8)**2))
    low, high = range_from_130nm(1.8, ("LP14", 0.75))
    assert 0.005 < low < high < 0.02


@pytest.mark.parametrize("volts", [1.2, 2.1])
def test_supplies_outside_of_the_range_are_refused(volts):
    with pytest.raises(ValueError, match=rf"^volts must be in 1\.3\.\.2 V, not {volts}$"):
        range_from_130nm(volts, ("LP45", 1.1))
