"""Synthesis: the whole chain on small boards, its results, and what goes wrong."""

import dataclasses
import json
import re

import pytest

from lamina.flows.backend import synth
from lamina.flows.backend.synth import synthesis_script, synthesise, synthesise_netlist
from lamina.flows.designs import TARGETS
from lamina.flows.errors import UserError

SMALL_BOARD = """
module lamina_{target} (input crystal, input rx, output reg tx, output led_idle, output led_error);
    reg [11:0] count = 0;
    (* no_rw_check *) reg [7:0] memory [0:511];
    reg [7:0] word;
    always @(posedge crystal) begin
        count <= count + rx;
        word <= memory[count[8:0]];
        if (rx) memory[count[8:0]] <= count[11:4];
        tx <= ^word;
    end
    assign led_idle = count[11];
    assign led_error = ~count[10];
endmodule
"""
SMALL_DEVICE = """
module lamina_device (input clk, input [7:0] i, output reg [7:0] o);
    always @(posedge clk) o <= o + i;
endmodule
"""


@pytest.fixture
def design(tmp_path):
    """Folder that holds a small board top for each target and a small device."""
    folder = tmp_path / "design"
    folder.mkdir()
    for name in TARGETS:
        (folder / f"lamina_{name}.v").write_text(SMALL_BOARD.format(target=name))
    (folder / "lamina_device.v").write_text(SMALL_DEVICE)
    (folder / "config.json").write_text(TARGETS["icebreaker"].config.to_json())
    return folder


def test_icebreaker_from_verilog_to_bitstream(design, tmp_path):
    seen = []
    result = synthesise(design, TARGETS["icebreaker"], tmp_path / "synth",
                        progress=lambda *step: seen.append(step))
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert list(result) == [
        "target", "tool_versions", "luts", "ffs", "brams", "sprams", "dsps", "cells", "area_um2",
        "fmax_mhz", "clock_mhz", "images_per_second", "link_images_per_second", "bitstream"]
    placed = json.loads((tmp_path / "synth" / "place.json").read_text())
    assert result["luts"] == placed["utilization"]["ICESTORM_LC"]["used"]
    assert (result["ffs"], result["brams"], result["sprams"], result["dsps"]) == (13, 1, 0, 0)
    assert result["fmax_mhz"] > result["clock_mhz"] == TARGETS["icebreaker"].core_mhz
    assert set(result["tool_versions"]) == {"yosys", "nextpnr-ice40", "icepack"}
    assert json.loads((tmp_path / "synth" / "metrics.json").read_text()) == result | {"seed": 1}
    bitstream = (tmp_path / "synth" / result["bitstream"]).read_bytes()
    assert bitstream.find(b"\x7e\xaa\x99\x7e") >= 0
    assert not list(tmp_path.glob("*.failed"))
    again = synthesise(design, TARGETS["icebreaker"], tmp_path / "elsewhere")
    assert again == result
    assert (tmp_path / "elsewhere" / again["bitstream"]).read_bytes() == bitstream


@pytest.mark.long
def test_ulx3s_from_verilog_to_bitstream(design, tmp_path):
    result = synthesise(design, TARGETS["ulx3s"], tmp_path / "synth")
    assert (result["ffs"], result["brams"], result["sprams"], result["dsps"]) == (13, 1, 0, 0)
    assert result["luts"] > 10
    assert result["fmax_mhz"] > 60
    assert (tmp_path / "synth" / result["bitstream"]).read_bytes().find(b"\xbd\xb3") >= 0


def test_a_netlist_is_made_of_cells(design, tmp_path):
    netlist, cells = synthesise_netlist(design, tmp_path / "netlist")
    text = netlist.read_text()
    assert re.search(r"^module lamina_device\(", text, re.MULTILINE)
    assert len(re.findall(r"^  SB_DFF ", text, re.MULTILINE)) == 8
    assert "(*" not in text
    assert "module SB_DFF " in cells.read_text()


def test_a_failure_keeps_its_logs_and_the_former_result(design, tmp_path):
    out = tmp_path / "synth"
    out.mkdir()
    (out / "metrics.json").write_text("{}\n")
    (design / "lamina_icebreaker.v").write_text("module lamina_icebreaker (input crystal;\n")
    message = (r"^yosys failed: lamina_icebreaker\.v:1: ERROR: syntax error, .* "
               rf"\(yosys-messages\.log\); logs in {re.escape(str(tmp_path / 'synth.failed'))}$")
    with pytest.raises(UserError, match=message):
        synthesise(design, TARGETS["icebreaker"], out)
    assert "ERROR" in (tmp_path / "synth.failed" / "yosys.log").read_text()
    assert [path.name for path in out.iterdir()] == ["metrics.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["design", "synth", "synth.failed"]


def test_seeds_are_tried_until_the_clock_is_met(tmp_path, monkeypatch):
    reached = {1: 20.0, 2: 25.0, 3: 31.0, 4: 22.0, 5: 23.0, 6: 24.0}
    tried = []

    def place(run, target, seed):
        tried.append(seed)
        report = {"fmax": {"clk": {"achieved": reached[seed]}, "other": {"achieved": 99.0}}}
        (run.folder / "place.json").write_text(json.dumps(report))

    monkeypatch.setattr(synth, "place_and_route", place)
    run = synth._Run(folder=tmp_path, native=False, notice=None)
    target = dataclasses.replace(TARGETS["icebreaker"], clock_mhz=30)
    assert synth._place_in_time(run, target, 1) == 3
    assert tried == [1, 2, 3]
    reached[3] = 29.0
    with pytest.raises(UserError, match=r"^clock_mhz of icebreaker must be at most 29\.0 for this "
                                        r"design, the best of 4 placements, not 30$"):
        synth._place_in_time(run, target, 2)


def test_a_folder_without_a_design(tmp_path):
    with pytest.raises(UserError, match=rf"^{re.escape(str(tmp_path))}: must hold a generated "
                                        r"design, found no config\.json$"):
        synthesise(tmp_path, TARGETS["icebreaker"], tmp_path / "synth")


def test_a_design_for_another_board(design, tmp_path):
    (design / "lamina_ulx3s.v").unlink()
    with pytest.raises(UserError, match=rf"^{re.escape(str(design))}: must be generated for "
                                        r"ulx3s, found no lamina_ulx3s\.v$"):
        synthesise(design, TARGETS["ulx3s"], tmp_path / "synth")
    with pytest.raises(UserError, match=rf"^{re.escape(str(tmp_path))}: must hold a generated "
                                        r"design, found no config\.json$"):
        synthesise_netlist(tmp_path, tmp_path / "netlist")


def test_multipliers_are_used_where_there_are_some():
    ultraplus = TARGETS["icebreaker"]
    config = dataclasses.replace(ultraplus.config, bank="inferred")
    larger = dataclasses.replace(ultraplus, device="hx8k", package="ct256", config=config)
    assert "synth_ice40 -device u -dsp " in synthesis_script(ultraplus, "top", "top.json")
    assert "synth_ice40 -device hx -top " in synthesis_script(larger, "top", "top.json")
