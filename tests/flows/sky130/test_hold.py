"""Delay cells in a module as Yosys describes it."""

import copy

from lamina.flows.sky130.hold import DELAY_CELL, delay_pins

MODULE = {
    "ports": {"clk": {"direction": "input", "bits": [2]}},
    "netnames": {"clk": {"bits": [2]}, "d": {"bits": [3, 4]}, "q": {"bits": [5]}},
    "cells": {
        "lanes/_1_": {"type": "ff", "connections": {"CLK": [2], "D": [3], "Q": [5]}},
        "memory/macro": {"type": "ram", "connections": {"addr0": [3, 4], "clk0": [2]}},
    },
}


def test_a_pin_gets_a_cell_of_its_own():
    module = copy.deepcopy(MODULE)
    assert delay_pins(module, ["lanes/_1_/D", "memory/macro/addr0[1]"]) == 2
    (first, second) = (name for name in module["cells"] if name not in MODULE["cells"])
    delayed = {module["cells"][name]["connections"]["A"][0]:
               module["cells"][name]["connections"]["X"][0] for name in (first, second)}
    assert all(module["cells"][name]["type"] == DELAY_CELL for name in (first, second))
    assert module["cells"]["lanes/_1_"]["connections"] == {"CLK": [2], "D": [delayed[3]], "Q": [5]}
    assert module["cells"]["memory/macro"]["connections"]["addr0"] == [3, delayed[4]]
    bits = [bit for wire in module["netnames"].values() for bit in wire["bits"]]
    assert len(bits) == len(set(bits)) and {delayed[3], delayed[4]} <= set(bits)
    assert not set(module["netnames"]) & set(module["cells"])


def test_a_second_round_goes_before_the_first():
    module = copy.deepcopy(MODULE)
    delay_pins(module, ["lanes/_1_/D"])
    assert delay_pins(module, ["lanes/_1_/D"]) == 1
    sources = {cell["connections"]["X"][0]: cell["connections"]["A"][0]
               for cell in module["cells"].values() if cell["type"] == DELAY_CELL}
    pin = module["cells"]["lanes/_1_"]["connections"]["D"][0]
    assert sources[sources[pin]] == 3


def test_ports_are_left_alone():
    module = copy.deepcopy(MODULE)
    assert delay_pins(module, ["clk", "out[3]"]) == 0 and module == MODULE
