"""Delay and energy of two gates by hand."""

import numpy as np
import pytest

from lamina.flows.adders.mapped import Mapped
from lamina.flows.sky130.liberty import read_cells

LOAD, SLOPE, VOLTS = 0.001, 0.5, 2.0
MODULE = {
    "ports": {"a": {"direction": "input", "bits": [2]}, "b": {"direction": "input", "bits": [3]},
              "o": {"direction": "output", "bits": [5, "1"]}},
    "cells": {
        "first": {"type": "toy_xor", "connections": {"A": [4], "B": [3], "X": [5]}},
        "second": {"type": "toy_inv", "connections": {"A": [2], "Y": [4]}},
    },
}
"""o = ~a ^ b, and a constant."""


@pytest.fixture
def mapped(toy):
    return Mapped(MODULE, read_cells(toy, ["toy_inv", "toy_xor"]))


def words(*values):
    return np.array([values], dtype=np.uint64)


def test_logic(mapped):
    values = mapped.simulate(a=words(0b0011), b=words(0b0101))
    assert (mapped.output("o", values) & np.uint64(15)).tolist() == [[0b1001], [0b1111]]
    assert mapped.cells == 2


def test_loads(mapped):
    assert mapped.loads(LOAD) == pytest.approx({2: 0.002, 3: 0.003, 4: 0.004, 5: 0.001, "1": 0.001})


def test_delay(mapped):
    rise = 0.2 + 0.2 * SLOPE + 20 * 0.004
    timing = mapped.timing(LOAD, SLOPE)
    assert timing.arrival["rise"][4] == pytest.approx(rise)
    assert (timing.slope["rise"][4], timing.slope["fall"][4]) == pytest.approx((0.8, 0.4))
    assert mapped.delay(LOAD, SLOPE) == pytest.approx(rise + 1)


def energy(mapped, before, after):
    start, end = (mapped.simulate(a=words(a), b=words(b)) for a, b in (before, after))
    return mapped.energy(start, end, LOAD, SLOPE, VOLTS)


def test_energy_of_one_edge(mapped):
    """b rises, o falls: two nets, and the XOR's power for B."""
    switching = (0.003 + 0.001) * VOLTS ** 2 / 2
    assert energy(mapped, (1, 0), (1, 1)) == pytest.approx(switching + 0.04)


def test_energy_of_a_chain(mapped):
    """a rises, the inverter's output falls and with it o: input and output power of both cells."""
    switching = (0.002 + 0.004 + 0.001) * VOLTS ** 2 / 2
    inverter = -0.001 + 0.003 - 0.002 * 0.4
    assert energy(mapped, (0, 0), (1, 0)) == pytest.approx(switching + inverter + 0.01)


def test_energy_of_nothing(mapped):
    assert energy(mapped, (1, 0), (1, 0)) == 0


def test_edges_are_shared_by_inputs_that_moved(mapped):
    """b moves in both of two patterns and alone moves o; a moves in the one where o stays."""
    switching = (2 * 0.003 + 0.001 + 0.002 + 0.004) * VOLTS ** 2 / 2
    inverter = -0.001 + 0.003 - 0.002 * 0.4
    assert energy(mapped, (0b00, 0b00), (0b01, 0b11)) == pytest.approx(
        switching + inverter + 0.04)
