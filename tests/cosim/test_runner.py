"""The runner itself: a bench that fails, crashes or tests nothing is an error."""

import re

import pytest

from lamina.tb.runner import BenchError, main, run_bench

SOURCE = """
module passer(input clk, input rst, input i__valid, output i__ready, input [7:0] i__payload,
              output o__valid, input o__ready, output [7:0] o__payload);
  assign o__valid = i__valid, o__payload = i__payload, i__ready = o__ready;
endmodule
"""
BENCH = "lamina.tb.bench_streams"


@pytest.fixture
def passer(tmp_path):
    path = tmp_path / "passer.v"
    path.write_text(SOURCE)
    return path


def test_a_passing_bench_is_built_once(passer, build_dir):
    folder = run_bench(BENCH, "passer", [passer], build_dir)
    simulator = next(build_dir.glob("passer-*/passer"))
    built = simulator.stat().st_mtime_ns
    assert run_bench(BENCH, "passer", [passer], build_dir) == folder
    assert simulator.stat().st_mtime_ns == built
    assert (folder / "results.xml").exists()


def test_a_block_is_compiled_by_itself(passer, build_dir, tmp_path):
    """What a module of its own file does counts, and a change of it is another build."""
    passer.write_text(SOURCE.replace("o__payload = i__payload", "o__payload = found").replace(
        "  assign", "  wire [7:0] found;\n  same inner(.i(i__payload), .o(found));\n  assign"))
    block = tmp_path / "same.v"
    block.write_text("module same(input [7:0] i, output [7:0] o); assign o = i; endmodule\n")
    run_bench(BENCH, "passer", [passer], build_dir, blocks=[block])
    block.write_text(block.read_text().replace("o = i", "o = i ^ 128"))
    with pytest.raises(BenchError, match=re.escape(f"{BENCH}: 1 of 1 tests failed\n")):
        run_bench(BENCH, "passer", [passer], build_dir, blocks=[block])


def test_waves_are_left_on_request(passer, build_dir):
    folder = run_bench(BENCH, "passer", [passer], build_dir, waves=True)
    assert "o__payload" in (folder / "dump.vcd").read_text()


def test_a_failing_test_is_an_error(passer, build_dir):
    passer.write_text(SOURCE.replace("o__payload = i__payload", "o__payload = i__payload ^ 128"))
    with pytest.raises(BenchError, match=re.escape(f"{BENCH}: 1 of 1 tests failed\n")) as error:
        run_bench(BENCH, "passer", [passer], build_dir)
    assert "AssertionError" in str(error.value)


def test_no_test_is_an_error(passer, build_dir):
    with pytest.raises(BenchError, match=re.escape(f"{BENCH}: 0 of 0 tests failed\n")):
        run_bench(BENCH, "passer", [passer], build_dir, testcase="nothing_like_it")


def test_a_crash_is_an_error(passer, build_dir):
    with pytest.raises(BenchError, match=r"^lamina\.tb\.none: the simulation ended abnormally\n"):
        run_bench("lamina.tb.none", "passer", [passer], build_dir)


def test_bad_verilog_is_an_error(passer, build_dir, capsys):
    passer.write_text("module passer(")
    with pytest.raises(BenchError, match=r"^verilator_bin ended with status 1\n"):
        run_bench(BENCH, "passer", [passer], build_dir)
    request = build_dir / "request.json"
    request.write_text(
        f'{{"bench": "{BENCH}", "toplevel": "passer", "sources": ["{passer}"], '
        f'"build_dir": "{build_dir}"}}')
    assert main([str(request)]) == 1
    assert "verilator_bin ended with status 1" in capsys.readouterr().err
    passer.write_text(SOURCE)
    assert main([str(request)]) == 0
    assert capsys.readouterr().out.startswith(str(build_dir))
