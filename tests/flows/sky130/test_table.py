"""Measurements as they are kept, and energies of other cores from them."""

import dataclasses

import pytest

from lamina.flows.sky130.table import (
    FIGURES,
    Measurement,
    keep,
    measurements,
    operation_energy,
)

FIRST = Measurement(
    lanes=16, weight_bits=8, state_bits=16, acc_bits=18, tiers=(2, 2, 2, 2), network="a",
    samples=1, spikes_compared=10, membranes_compared=20, cycles=100.0, sops=1280.0,
    neuron_updates=30, cells=40, flip_flops=10, clock_gates=5, macros=6, cells_um2=1.5,
    macros_um2=2.5, memory=((1.0, 2.0),) * 4, state=(0.5, 1.0), lists=(0.25, 0.5), banks=0.4,
    lanes_logic=0.8, control=1.0, clock=3.0, cells_leakage=0.1, macros_leakage=1.5)

ORIGIN = {"clock_mhz": 50}


@pytest.fixture
def path(tmp_path):
    """Three measurements of parts that follow the law."""
    path = tmp_path / "kept" / "figures.json"
    for name, changes in {
            "16x8": {}, "64x8": {"lanes": 64, "control": 0.25},
            "16x2": {"weight_bits": 2, "tiers": (2,), "clock": 1.5,
                     "memory": ((1.0, 2.0),)}}.items():
        keep(name, dataclasses.replace(FIRST, **changes), ORIGIN, path)
    return path


def test_measurements_are_kept_byte_for_byte(path):
    before = path.read_bytes()
    assert measurements(path)["16x8"] == FIRST
    keep("16x8", FIRST, ORIGIN, path)
    assert path.read_bytes() == before
    assert list(measurements(path)) == ["16x2", "16x8", "64x8"]


def test_sums():
    assert FIRST.slots_used == 0.8
    assert FIRST.total == (pytest.approx(4 + 0.75 + 6.8), pytest.approx(8 + 1.5 + 6.8))


def test_measured_cores_are_met(path):
    for found in measurements(path).values():
        for bound, total in zip(("low", "high"), found.total, strict=True):
            energy = operation_energy(found.lanes, found.tiers, bound=bound, path=path)
            assert energy.total == pytest.approx(total)


def test_supplies_act_on_the_memory_alone(path):
    nominal = operation_energy(16, (2, 2, 2, 2), path=path)
    lower = operation_energy(16, (2, 2, 2, 2), supplies=(1, 1, 0.5, 0), path=path)
    assert lower.memory == pytest.approx((2, 2, 0.5, 0))
    assert lower.rest == nominal.rest


def test_tiers_take_whole_macros(path):
    assert operation_energy(16, (1,), path=path).memory == pytest.approx((2,))
    assert operation_energy(64, (1,), path=path).memory == pytest.approx((1,))


def test_parts_follow_lanes_and_bits(path):
    shared = [operation_energy(lanes, (2,), path=path).control for lanes in (16, 32, 64)]
    assert shared == pytest.approx([1, 0.5, 0.25])
    grown = [operation_energy(16, tiers, path=path).clock for tiers in ((2,), (2, 2), (8,))]
    assert grown == pytest.approx([1.5, 2, 3])


@pytest.mark.parametrize(("arguments", "message"), [
    ({"bound": "mean"}, r"^bound must be one of low, high, not 'mean'$"),
    ({"supplies": (1.0,)}, r"^supplies must be as many as tiers, 2, not 1$")])
def test_wrong_arguments(path, arguments, message):
    with pytest.raises(ValueError, match=message):
        operation_energy(16, (2, 2), path=path, **arguments)


def test_lanes_and_bits_must_be_told_apart(tmp_path):
    path = tmp_path / "line.json"
    for lanes, bits in ((16, 8), (32, 4), (64, 2)):
        keep(f"{lanes}x{bits}", dataclasses.replace(FIRST, lanes=lanes, weight_bits=bits), ORIGIN,
             path)
    with pytest.raises(ValueError, match=r"^line\.json must hold measurements that tell lanes from "
                                         r"bits, not 16x8, 32x4, 64x2 alone$"):
        operation_energy(16, (2,), path=path)


def test_what_is_shipped():
    found = measurements()
    assert {"16x2", "16x8", "32x4", "64x2"} <= set(found)
    for name, each in found.items():
        assert name == f"{each.lanes}x{each.weight_bits}"
        assert each.spikes_compared > 100 and each.slots_used > 0.7
        energy = operation_energy(each.lanes, each.tiers)
        assert energy.total == pytest.approx(each.total[1], rel=0.02)
    assert FIGURES.read_text().endswith("}\n")
