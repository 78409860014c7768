"""Flip-flops, clock gates and macros of a library; combinational cells are in tests of adders."""

import numpy as np
import pytest

from lamina.flows.errors import UserError
from lamina.flows.sky130.liberty import read_cells, read_macro


def test_flip_flops_and_clock_gates(sequential):
    cells = read_cells(sequential, ["toy_ff", "toy_gate"])
    flip_flop, gate = cells["toy_ff"], cells["toy_gate"]
    assert flip_flop.flip_flop == {"clocked_on": "CLK", "next_state": "D", "state": "IQ",
                                   "inverse": "IQ_N"}
    assert (flip_flop.leakage_nw, flip_flop.is_clock_gate, gate.is_clock_gate) == (3, False, True)
    assert [pin for pin, found in flip_flop.pins.items() if found.is_clock] == ["CLK"]
    assert [found.direction for found in gate.pins.values()] == ["input", "input", "output",
                                                                "internal"]
    assert [arc.source for arc in flip_flop.pins["Q"].arcs] == ["CLK"]


def test_macros_are_read_in_nanowatts_and_the_mean_of_their_states(ram):
    macro = read_macro(ram, "toy_ram")
    assert (macro.area, macro.leakage_nw) == (1000, 2000)
    assert macro.capacitance == {"din0": 0.007, "clk0": 0.005}
    assert macro.clock_energy == {"clk0": (10, 7)}


def test_macros_must_exist(ram):
    with pytest.raises(UserError, match=r"^ram\.lib: has no cell toy_rom$"):
        read_macro(ram, "toy_rom")


@pytest.mark.parametrize(("slope", "load", "delay"), [
    (0, 0, 0.1), (0, 0.01, 0.2), (1, 0.01, 0.4), (0.5, 0.005, 0.25), (2, 0, 0.3), (0, 0.02, 0.2)])
def test_tables_of_many_pairs_end_at_their_border(toy, slope, load, delay):
    (arc,) = read_cells(toy, ["toy_inv"])["toy_inv"].pins["Y"].arcs
    assert arc.delay["fall"].at(np.array([slope, 0]), np.array([load, 0])) == pytest.approx(
        [delay, 0.1])


def test_tables_of_many_slopes_without_loads(toy):
    (power,) = read_cells(toy, ["toy_inv"])["toy_inv"].pins["A"].powers
    assert power.energy["fall"].at(np.array([0.5]), np.array([7.0])) == pytest.approx([0.0015])


def test_the_real_kit(kit):
    library, macros = kit
    cells = read_cells(library, ["sky130_fd_sc_hd__dfxtp_1", "sky130_fd_sc_hd__dlclkp_1"])
    assert cells["sky130_fd_sc_hd__dfxtp_1"].flip_flop["next_state"] == "D"
    assert cells["sky130_fd_sc_hd__dlclkp_1"].is_clock_gate
    energies = {name: read_macro(path, name).clock_energy for name, path in macros.items()}
    assert energies["sky130_sram_2kbyte_1rw1r_32x512_8"]["clk1"] == pytest.approx((13.8084,) * 2)
    assert energies["sky130_sram_1kbyte_1rw1r_32x256_8"]["clk0"] == pytest.approx((9.589466,) * 2)
