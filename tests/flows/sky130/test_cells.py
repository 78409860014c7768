"""Verilog models of cells: their text, and their logic against Yosys' own reading."""

import shutil

import pytest

from lamina.flows.backend import tools
from lamina.flows.errors import UserError
from lamina.flows.sky130.cells import cell_models
from lamina.flows.sky130.liberty import read_cells

KINDS = ("inv_1", "nand2_1", "nor2b_1", "xnor2_1", "xor3_1", "maj3_1", "mux2_1", "mux2i_1",
         "mux4_1", "a21oi_1", "a222oi_1", "o211ai_1", "o21bai_1", "fa_1", "ha_1", "and4bb_1")


def test_combinational_cells(toy):
    text = cell_models(read_cells(toy, ["toy_inv", "toy_xor"]))
    assert ("module toy_inv (input wire A, output wire Y);\n    assign Y = (~A);\nendmodule\n"
            in text)
    assert "    assign X = (A&~B) | (~A&B);\n" in text
    assert text.index("toy_inv") < text.index("toy_xor")


def test_flip_flops_and_clock_gates(sequential):
    text = cell_models(read_cells(sequential, ["toy_ff", "toy_gate"]))
    assert "    always @(posedge CLK) IQ <= D;\n    assign Q = IQ;\n" in text
    assert ("module toy_gate (input wire CLK, input wire GATE, output wire GCLK);\n"
            "    reg open;\n    always @* if (!CLK) open = GATE;\n"
            "    assign GCLK = CLK & open;\n" in text)


@pytest.mark.parametrize(("cell", "message"), [
    ("toy_reset_ff", r"^cell toy_reset_ff: must be a flip-flop of one rising edge, without clear "
                     r"and preset$"),
    ("toy_tri", r"^cell toy_tri: no function of Z in its library$")])
def test_other_cells_are_refused(sequential, cell, message):
    with pytest.raises(UserError, match=message):
        cell_models(read_cells(sequential, [cell]))


def test_models_equal_what_yosys_reads(kit, tmp_path):
    library, _ = kit
    names = [f"sky130_fd_sc_hd__{kind}" for kind in KINDS]
    shutil.copyfile(library, tmp_path / "cells.lib")
    (tmp_path / "cells.v").write_text(cell_models(read_cells(library, names)))
    proofs = [f"miter -equiv -flatten -make_outputs {name} gold_{name} miter_{name}; "
              f"sat -verify -prove trigger 0 miter_{name}" for name in names]
    renamed = [f"rename {name} gold_{name}" for name in names]
    tools.run("yosys", ["-q", "-p", "; ".join([
        "read_liberty -ignore_miss_func cells.lib", *renamed, "delete =sky130_*",
        "read_verilog -sv cells.v", "proc", *proofs])], folder=tmp_path, log="yosys.log")
