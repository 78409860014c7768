"""Setup and hold of small netlists by OpenSTA, at the corners of the real libraries."""

import dataclasses
import json
import shutil

import pytest

from lamina.flows.errors import UserError
from lamina.flows.sky130 import timing as timing_module
from lamina.flows.sky130.pdk import CORNERS, FAST, SLOW
from lamina.flows.sky130.timing import (
    MACRO_DERATE,
    constraints,
    find_sta,
    hold_endpoints,
    time_corner,
    time_corners,
)

PERIOD = 10.0
SHIFT = """
module top (input clk, input d, output q);
  wire a, b, c;
  sky130_fd_sc_hd__dfxtp_1 \\block/first (.CLK(clk), .D(d), .Q(a));
  sky130_fd_sc_hd__dfxtp_1 \\block/second (.CLK(clk), .D(a), .Q(b));
  sky130_fd_sc_hd__inv_1 \\block/invert (.A(b), .Y(c));
  sky130_fd_sc_hd__dfxtp_1 \\block/third (.CLK(clk), .D(c), .Q(q));
endmodule
"""
READ = """
module top (input clk, input [7:0] address, output [31:0] q);
  wire [31:0] word;
  sky130_sram_1kbyte_1rw1r_32x256_8 \\tier/macro (.clk0(1'b0), .csb0(1'b1), .web0(1'b1),
    .wmask0(4'b0), .addr0(8'b0), .din0(32'b0), .dout0(), .clk1(clk), .csb1(1'b0),
    .addr1(address), .dout1(word));
""" + "".join(f"  sky130_fd_sc_hd__dfxtp_1 ff{bit} (.CLK(clk), .D(word[{bit}]), .Q(q[{bit}]));\n"
              for bit in range(32)) + "endmodule\n"


@pytest.fixture
def netlist(kit, tmp_path):
    """Function ``text -> path``; skips without the process kit or OpenSTA."""
    if find_sta() is None:
        pytest.skip("OpenSTA is not installed")

    def write(text):
        path = tmp_path / "netlist.v"
        path.write_text(text)
        return path

    return write


def test_slower_corners_have_less_slack(netlist):
    path = netlist(SHIFT)
    timings = time_corners(path, "top", PERIOD, reports=path.parent)
    assert [timing.corner for timing in timings] == list(CORNERS)
    slacks = [timing.setup_slack_ns for timing in timings]
    assert slacks == sorted(slacks) and 0 < slacks[0] < PERIOD
    holds = [timing.hold_slack_ns for timing in timings]
    assert holds == sorted(holds, reverse=True)
    assert "slack" in (path.parent / f"{SLOW}.rpt").read_text()
    assert json.loads(json.dumps(timings[0].to_dict()))["setup"]["rise"]["end"]


def test_slack_goes_with_the_period(netlist):
    path = netlist(SHIFT)
    short, long = (time_corner(path, "top", period, SLOW) for period in (PERIOD, 2 * PERIOD))
    assert short.fmax_mhz > 1e3 / PERIOD
    # Pins of the chip take a tenth of the period: of what is added to it, nine tenths remain.
    assert long.setup_slack_ns - short.setup_slack_ns == pytest.approx(0.9 * PERIOD, abs=1e-3)
    assert short.hold_slack_ns == pytest.approx(long.hold_slack_ns)


def test_half_a_period_is_left_behind_a_macro(netlist, monkeypatch):
    source = netlist(READ)
    timing = time_corner(source, "top", PERIOD, SLOW)
    path = timing.setup["fall"]
    assert path.start == "tier/macro" and path.steps[0][1].startswith("sky130_sram")
    monkeypatch.setattr(timing_module, "MACRO_DERATE", 1.0)
    plain = time_corner(source, "top", PERIOD, SLOW).setup["fall"].steps[1][2] - PERIOD / 2
    # Clock to output is .383 to .529 ns in the library, by load, which is less than its least here.
    assert 0.3 < plain < 0.529
    assert path.steps[1][2] - PERIOD / 2 == pytest.approx(MACRO_DERATE * plain, abs=2e-4)
    fast = dataclasses.replace(timing, setup={"fall": path})
    assert fast.fmax_mhz == pytest.approx(1e3 / (PERIOD - 2 * path.slack_ns))


def test_what_is_early_is_named_and_mended(netlist):
    early = hold_endpoints(netlist(SHIFT), "top", PERIOD, FAST)
    assert set(early) == {"block/second/D", "block/third/D"}
    assert -0.1 < early["block/second/D"] < early["block/third/D"] < 0
    delayed = SHIFT.replace(".D(a)", ".D(e)").replace(".D(c)", ".D(f)").replace("endmodule", """
  wire e, f;
  sky130_fd_sc_hd__dlygate4sd1_1 late (.A(a), .X(e));
  sky130_fd_sc_hd__dlygate4sd1_1 later (.A(c), .X(f));
endmodule""")
    assert hold_endpoints(netlist(delayed), "top", PERIOD, FAST) == {}


def test_a_netlist_that_is_none_is_refused(netlist):
    with pytest.raises(UserError, match=rf"^OpenSTA failed at {SLOW}: Error: netlist\.v, line 1 "):
        time_corner(netlist("module top (;\n"), "top", PERIOD, SLOW)


def test_opensta_must_be_there(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UserError, match=r"^OpenSTA was not found: apt-get install opensta$"):
        time_corner(tmp_path / "netlist.v", "top", PERIOD, SLOW)


def test_constraints_have_the_period():
    text = constraints(1e3 / 66)
    assert "set period 15.152\n" in text and "PERIOD" not in text
