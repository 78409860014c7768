"""Cells of a library: what is read of them, and what is not there."""

import pytest

from lamina.flows.errors import UserError
from lamina.flows.sky130.liberty import read_cells


def test_cells_are_read(toy):
    cell = read_cells(toy, ["toy_inv"])["toy_inv"]
    assert (cell.area, list(cell.pins)) == (2.5, ["A", "Y"])
    entry, result = cell.pins["A"], cell.pins["Y"]
    assert (entry.capacitance, entry.function, entry.arcs) == (0.002, None, ())
    assert (result.function, result.capacitance) == ("(!A)", 0)
    assert [arc.source for arc in result.arcs] == ["A"]
    assert [power.source for power in (*entry.powers, *result.powers)] == [None, "A"]


@pytest.mark.parametrize(("slope", "load", "delay"), [
    (0, 0, 0.1), (0, 0.01, 0.2), (1, 0.01, 0.4), (0.5, 0.005, 0.25), (2, 0, 0.5), (0, 0.02, 0.3)])
def test_tables_are_bilinear(toy, slope, load, delay):
    (arc,) = read_cells(toy, ["toy_inv"])["toy_inv"].pins["Y"].arcs
    assert arc.delay["fall"](slope, load) == pytest.approx(delay)


def test_tables_without_loads(toy):
    (power,) = read_cells(toy, ["toy_inv"])["toy_inv"].pins["A"].powers
    assert power.energy["fall"](0.5, 7) == pytest.approx(0.0015)


def test_cells_must_exist(toy):
    with pytest.raises(UserError, match=r"^toy\.lib: has no cell toy_or$"):
        read_cells(toy, ["toy_or"])


def test_the_real_library(library):
    cell = read_cells(library, ["sky130_fd_sc_hd__nand2_1"])["sky130_fd_sc_hd__nand2_1"]
    assert cell.area == 3.7536
    assert cell.pins["Y"].function == "(!A) | (!B)"
    assert [arc.source for arc in cell.pins["Y"].arcs] == ["A", "B"]
    assert cell.pins["Y"].arcs[0].delay["fall"](0.01, 0.0005) == pytest.approx(0.0206305)
    assert cell.pins["A"].powers[0].energy["rise"](0.01, 0) == pytest.approx(-0.0038955)
