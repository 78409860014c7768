"""Energy of a toy netlist against sums made by hand."""

import pytest

from lamina.flows.errors import UserError
from lamina.flows.sky130.activity import read_edges
from lamina.flows.sky130.energy import MACRO_VOLTS, weigh
from lamina.flows.sky130.liberty import read_cells, read_macro
from lamina.flows.sky130.netlist import Netlist

CLK, D, Q, Y, ENABLE, GATED, ANY = range(2, 9)
MODULE = {
    "ports": {"clk": {"direction": "input", "bits": [CLK]},
              "d": {"direction": "input", "bits": [D, ENABLE]},
              "y": {"direction": "output", "bits": [Y]}},
    "netnames": {"clk": {"bits": [CLK]}, "d": {"bits": [D, ENABLE]}, "lanes/q": {"bits": [Q]},
                 "y": {"bits": [Y]}, "lanes$7/gated": {"bits": [GATED]}, "\\$1": {"bits": [ANY]}},
    "cells": {
        "lanes$7/_1_": {"type": "toy_ff", "connections": {"CLK": [GATED], "D": [D], "Q": [Q]}},
        "lanes$7/_2_": {"type": "toy_gate",
                        "connections": {"CLK": [CLK], "GATE": [ENABLE], "GCLK": [GATED]}},
        "_3_": {"type": "toy_inv", "connections": {"A": [Q], "Y": [Y]}},
        "_4_": {"type": "toy_xor", "connections": {"A": [Q], "B": ["0"], "X": [ANY]}},
        "_5_": {"type": "toy_ff", "connections": {"CLK": [CLK], "D": ["0"]}},
        "state/memory/ram": {"type": "toy_ram", "connections": {
            "clk0": [GATED], "din0": [D, Y, "0"], "dout0": [100, 101]}},
    },
}
EDGES = {CLK: 20, D: 5, Q: 4, Y: 4, ENABLE: 2, GATED: 8, ANY: 4, 100: 0, 101: 0}
SAIF = """(SAIFILE
 (DURATION 100)
 (INSTANCE device_port
  (NET
   (clk (T0 50) (T1 50) (TZ 0) (TX 0) (TB 0) (TC 99))
  )
  (INSTANCE core
   (NET
    (clk (T0 50) (T1 50) (TZ 0) (TX 0) (TB 0) (TC 20))
    (d\\[0\\] (T0 50) (T1 50) (TZ 0) (TX 0) (TB 0) (TC 5))
    (d\\[1\\] (T0 50) (T1 50) (TZ 0) (TX 0) (TB 0) (TC 2))
    (lanes/q (T0 50) (T1 50) (TZ 0) (TX 0) (TB 0) (TC 4))
    (y (T0 50) (T1 50) (TZ 0) (TX 0) (TB 0) (TC 4))
    (lanes$7/gated (T0 50) (T1 50) (TZ 0) (TX 0) (TB 0) (TC 8))
    ($1 (T0 50) (T1 50) (TZ 0) (TX 0) (TB 0) (TC 4))
   )
  )
  (INSTANCE link
   (NET
    (clk (T0 50) (T1 50) (TZ 0) (TX 0) (TB 0) (TC 77))
   )
  )
 )
)
"""


@pytest.fixture
def netlist(toy, sequential, ram):
    cells = read_cells(toy, ["toy_inv", "toy_xor"]) | read_cells(sequential, ["toy_ff", "toy_gate"])
    return Netlist(MODULE, cells, {"toy_ram": read_macro(ram, "toy_ram")})


def test_nets_are_named_and_loaded(netlist):
    assert dict(netlist.names())[ENABLE] == "d[1]"
    assert dict(netlist.names())[ANY] == "$1"
    loads = netlist.loads()
    assert loads[CLK] == pytest.approx(0.004 + 0.002)
    assert loads[GATED] == pytest.approx(0.002 + 0.005)
    assert loads[D] == pytest.approx(0.001 + 0.007)
    assert loads[Q] == pytest.approx(0.002 + 0.004)
    assert (netlist.clocks(), netlist.drivers()[Y].kind) == ({CLK, GATED}, "toy_inv")
    assert netlist.instances[-1].path == ("state", "memory")


def test_edges_are_those_of_the_core(netlist, tmp_path):
    path = tmp_path / "edges.saif"
    path.write_text(SAIF)
    edges = read_edges(path, netlist, "core")
    assert edges == {net: count for net, count in EDGES.items() if net < 100}


def test_missing_nets_are_an_error(netlist, tmp_path):
    path = tmp_path / "edges.saif"
    path.write_text(SAIF.replace("lanes/q", "lanes/p"))
    with pytest.raises(UserError, match=r"^edges\.saif: counts no edges of 1 nets, lanes/q among "
                                        r"them$"):
        read_edges(path, netlist, "core")


def test_energy_by_hand(netlist):
    found = weigh(netlist, EDGES, 2.0)
    lanes, core = found.blocks["lanes"], found.blocks["core"]
    half = 2.0 ** 2 / 2
    assert found.cycles == 10
    assert core.root_pj == pytest.approx(20 * 0.002 * half + 20 / 2 * 0.03)
    assert lanes.root_pj == pytest.approx(20 * 0.004 * half)
    assert lanes.clock_pj == pytest.approx(lanes.root_pj + 8 / 2 * 0.03 + 8 * 0.002 * half)
    assert found.blocks["state"].clock_pj == pytest.approx(8 * 0.005 * half)
    assert lanes.logic_pj == pytest.approx(4 / 2 * 0.08 + 4 * 0.006 * half)
    # A of the inverter sees the slope of the flip-flop, its load over .01 pF: .6 of the way to 1.
    inverter = 4 / 2 * ((0.001 + 0.6 * 0.001) - 0.001) + 4 / 2 * (0.003 - 0.002 * 0.7
                                                                 + 0.005 + 0.002 * 0.7)
    nets = (5 * 0.008 + 4 * 0.007 + 2 * 0.003) * half
    assert core.logic_pj == pytest.approx(inverter + 4 / 2 * 0.02 + nets)
    assert core.clock_pj == pytest.approx(core.root_pj)
    pins = {CLK: 2, GATED: 2}
    assert found.wires_clock_pj == pytest.approx(0.006 * half * sum(
        EDGES[net] * count for net, count in pins.items()))
    assert (lanes.cells, lanes.flip_flops, lanes.clock_gates) == (2, 1, 1)
    assert (lanes.area_um2, lanes.leakage_nw) == (30, 3)


def test_macros_by_their_clock(netlist):
    (memory,) = weigh(netlist, EDGES, MACRO_VOLTS).memories.values()
    assert (memory.macros, memory.writes, memory.reads) == (1, 4, 0)
    assert (memory.low_pj, memory.high_pj) == (4 * 10, 4 * 17)
    (halved,) = weigh(netlist, EDGES, MACRO_VOLTS / 2).memories.values()
    assert (halved.low_pj, halved.high_pj) == (10, 17)
    assert (memory.area_um2, memory.leakage_nw) == (1000, 2000)


def test_what_stands_still_takes_nothing(netlist):
    found = weigh(netlist, dict.fromkeys(EDGES, 0) | {CLK: 2}, 2.0)
    assert sum(block.logic_pj for block in found.blocks.values()) == 0
    assert found.blocks["core"].clock_pj > 0
    for block in found.blocks.values():
        assert block.clock_pj == pytest.approx(block.root_pj)
