"""The main job on the digits: everything in turn, twice, interrupted, and after synthesis."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from lamina.flows import cli

NET = "examples/digits.nir"
VOLATILE = ("seconds", "tool_versions")
KEYS = {
    "network": {"name", "layers", "synapses", "parameters"},
    "quantisation": {"weight_bits", "state_bits", "acc_bits", "tiers", "float_accuracy",
                     "integer_accuracy", "agreement"},
    "golden": {"samples", "accuracy", "spikes_per_sample", "sops_per_sample",
               "neuron_updates_per_sample", "seconds"},
    "verify": {"simulator", "samples", "timesteps", "events_compared", "membranes_compared",
               "mismatches", "cycles_per_sample", "sop_per_lane_cycle", "seconds"},
    "synth": {"target", "tool_versions", "luts", "ffs", "brams", "sprams", "dsps", "cells",
              "area_um2", "fmax_mhz", "images_per_second", "link_images_per_second",
              "bitstream"},
}

pytestmark = pytest.mark.long


def run(command, out, *arguments):
    """Run a step on three digits, and return what it found."""
    assert cli.main([command, NET, "--data", "digits", "--samples", "3", "-o", str(out),
                     *arguments]) == 0
    return json.loads((out / {"flow": "report.json"}.get(command, "verify/verify.json"))
                      .read_text())


def lasting(value):
    """`value` without what two runs may differ in."""
    if isinstance(value, dict):
        return {key: lasting(part) for key, part in value.items() if key not in VOLATILE}
    return value


@pytest.fixture(scope="module")
def folder():
    """Under the working directory, since the packaged tools see no other."""
    path = pathlib.Path("out") / "tests" / f"flow-{os.getpid()}"
    path.mkdir(parents=True)
    return path


@pytest.fixture(scope="module")
def report(folder):
    return run("flow", folder / "first")


def test_the_report_has_its_keys_and_no_mismatch(report, folder):
    for block, keys in KEYS.items():
        assert keys <= set(report[block]), block
    assert report["energy"]["relative"] == 1 and report["energy"]["nj_per_sample"] > 0
    assert report["verify"]["mismatches"] == 0
    assert report["verify"]["events_compared"] > 100
    assert report["synth"]["images_per_second"] > report["synth"]["link_images_per_second"] > 10
    assert (folder / "first" / report["synth"]["bitstream"]).stat().st_size > 100_000
    assert (folder / "first" / "report.html").exists()


def test_a_second_run_gives_the_same_bytes(report, folder):
    again = run("flow", folder / "second")
    assert lasting(again) == lasting(report)
    for path in (folder / "first" / "design").iterdir():
        assert path.read_bytes() == (folder / "second" / "design" / path.name).read_bytes(), path


def test_a_gated_tier_is_never_read(folder):
    gated = run("verify", folder / "gated", "--tier-modes", "nominal,nominal,nominal,gated")
    assert gated["mismatches"] == 0
    assert gated["accesses_per_tier"][3] == 0 < gated["accesses_per_tier"][2]
    assert cli.main(["report", str(folder / "gated")]) == 0
    assert 'class="off"' in (folder / "gated" / "report.html").read_text()


def test_undervolted_tiers_fail_alike_in_rtl_and_golden_model(folder):
    modes = ("--tier-modes", "nominal,0.75,0.75,gated")
    found = {chip: run("verify", folder / f"chip{chip}", *modes, "--chip", str(chip))
             for chip in (3, 4)}
    for chip, result in found.items():
        assert result["mismatches"] == 0 < result["events_compared"]
        assert result["faults"] == f"chip {chip}, flip, injected through the memory image"
    assert found[3]["counters"] != found[4]["counters"]
    assert cli.main(["report", str(folder / "chip3")]) == 0
    report = json.loads((folder / "chip3" / "report.json").read_text())
    assert report["quantisation"]["faults"] == report["verify"]["faults"] == found[3]["faults"]
    assert "0.75 V" in (folder / "chip3" / "report.html").read_text()


def test_verification_after_synthesis(report, folder):
    assert cli.main(["verify", str(folder / "first"), "--on", "netlist", "--samples", "2"]) == 0


def test_executors_agree(report, folder):
    traces = {}
    for executor in ("golden", "rtl"):
        out = folder / f"{executor}.npz"
        assert cli.main(["run", str(folder / "first"), "--on", executor, "--samples", "3",
                         "--trace", "-o", str(out)]) == 0
        traces[executor] = np.load(out)
    assert traces["golden"]["spikes"].any()
    for name in traces["golden"].files:
        np.testing.assert_array_equal(traces["golden"][name], traces["rtl"][name], err_msg=name)


def test_an_interrupted_verification_goes_on(report, folder):
    out = folder / "interrupted"
    command = [sys.executable, "-m", "lamina.flows", "verify", NET, "--data", "digits",
               "--samples", "3", "-o", str(out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while "simulating" not in process.stderr.readline():
            assert process.poll() is None
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        told = process.stderr.read()
    assert process.returncode == 130
    assert told.endswith("lamina: interrupted; nothing half-written is left, the same command "
                         "goes on\n")
    assert not list(out.rglob("*.partial"))
    found = run("verify", out)
    found.pop("key")
    assert lasting(found) == lasting(report["verify"])
