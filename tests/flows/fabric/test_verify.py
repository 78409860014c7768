"""A network on a mesh is simulated and held to one golden core, by one command."""

import json
import pathlib
import shutil

import pytest

from lamina.flows import cli
from lamina.flows.fabric import verify
from lamina.flows.fabric.mapper import Activity, map_network, tile_core
from lamina.flows.frontend.compile import CompileOptions, compile_network
from lamina.models.config import HardwareConfig
from lamina.models.fabric.config import MeshConfig

NET = str(pathlib.Path(__file__).parents[3] / "examples" / "digits.nir")
WIDE = HardwareConfig(lanes=32, tiers=(8,), weight_words=128, axons=64, groups=2,
                      acc_bits=20)


def run(out, *options):
    return cli.main(["verify", NET, "--data", "digits", "--samples", "2", "--workers", "1",
                     *options, "-o", str(out)])


@pytest.fixture(scope="module")
def verified(tmp_path_factory):
    out = tmp_path_factory.mktemp("mesh") / "out"
    assert run(out, "--mesh", "2") == 0
    return out


def test_a_mesh_computes_what_one_core_computes(verified):
    found = json.loads((verified / "verify" / "verify.json").read_text())
    assert found["mismatches"] == 0
    assert found["events_compared"] > 100
    assert found["membranes_compared"] == 2 * 42
    assert found["mesh"]["size"] == [2]
    assert [each["tile"] for each in found["mesh"]["tiles"]] == [0, 1]
    assert all(0 < each["busy"] < 1 for each in found["mesh"]["tiles"])


def test_the_model_of_the_fabric_tells_its_cycles(verified):
    mesh = json.loads((verified / "verify" / "verify.json").read_text())["mesh"]
    assert mesh["expected_cycles"] == pytest.approx(mesh["cycles"], rel=0.03)


def test_a_wide_tile_takes_the_time_expected(tmp_path):
    """Masks of 32 lanes come two cycles later to an emitter whose events an outbox takes slowly."""
    compiled = compile_network(NET, CompileOptions(data="digits"))
    program, spikes = compiled.program, compiled.data.encoded(compiled.program, 0, 2)
    most = {"state_bits": 24, "acc_bits": 32}
    mapped = map_network(program, MeshConfig(size=(1,)), WIDE,
                         Activity.measured(program, spikes, WIDE.tiers), most)
    found = verify.verify_fabric(mapped, tile_core(mapped.fabric, WIDE, most), spikes, None,
                                 tmp_path, workers=1)
    assert found["mismatches"] == 0 and found["events_compared"] > 100
    assert found["mesh"]["cycles"] == found["mesh"]["expected_cycles"]


def test_its_energy_is_that_of_the_operations_counted(verified):
    """What the mapper expects of the same samples; the sum of its parts, and how it was made."""
    mesh = json.loads((verified / "verify" / "verify.json").read_text())["mesh"]
    energy, timesteps = mesh["energy"], 16
    counted = sum(each["sops"] for each in mesh["tiles"]) / 2 / timesteps
    assert energy["sops"] == pytest.approx(counted, abs=0.01)
    assert energy["cores_nj"] == pytest.approx(energy["sops"] * energy["pj_per_sop"] / 1e3,
                                               rel=1e-3)
    assert energy["nj"] == pytest.approx(
        energy["cores_nj"] + energy["flits_nj"] + energy["router_clocks_nj"], abs=2e-3)
    assert energy["flits_nj"] > energy["pj_per_flit_hop"] * mesh["flit_hops"] / 1e3
    assert energy["assumption"].startswith("estimate, dynamic energy at SkyWater 130 nm")


def test_its_picture_is_beside_it(verified):
    assert (verified / "verify" / "mesh.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_on_a_mesh_is_not_taken_for_one_core(verified, capsys):
    assert cli.main(["synth", str(verified)]) == 2
    assert "--mesh 2: synth works on one core" in capsys.readouterr().err


def test_its_report_tells_of_the_mesh(verified):
    """The block beside that of the verification, its picture on the page, nothing of a board."""
    assert cli.main(["report", str(verified)]) == 0
    found = json.loads((verified / "report.json").read_text())
    kept = json.loads((verified / "verify" / "verify.json").read_text())
    assert found["mesh"] == kept["mesh"]
    assert "mesh" not in found["verify"] and found["verify"]["mismatches"] == 0
    assert found["synth"] is None and found["golden"]["accuracy"] > 0.9
    page = (verified / "report.html").read_text()
    assert "<h2>Mesh</h2>" in page and "data:image/png" in page
    assert "estimated nJ per timestep" in page
    assert "<h2>Weight memory</h2>" not in page and "a mesh of cores for the icebreaker" in page


def test_a_flow_on_a_mesh_is_what_it_has(tmp_path, capsys):
    """Compiled, judged, verified and reported; what has no board is left out and said so."""
    out = tmp_path / "out"
    assert cli.main(["flow", NET, "--data", "digits", "--samples", "1", "--mesh", "2",
                     "--workers", "1", "-o", str(out)]) == 0
    told = capsys.readouterr()
    assert told.err.count("generate and synth are left out: there is no board for a mesh") == 1
    assert "hardware equals golden model" in told.out
    assert json.loads((out / "report.json").read_text())["mesh"]["size"] == [2]
    assert not (out / "design").exists() and not (out / "synth").exists()


def test_a_report_does_not_take_another_mesh(verified, tmp_path):
    """What was verified on two tiles is no verification of four."""
    out = tmp_path / "out"
    shutil.copytree(verified, out)
    assert cli.main(["report", str(out), "--mesh", "2x2"]) == 0
    found = json.loads((out / "report.json").read_text())
    assert found["verify"] is None and found["mesh"] is None


def test_a_mesh_that_computes_something_else_is_told(verified, capsys, monkeypatch):
    """A golden model with another threshold: status 1, and where it began."""
    plain = verify.run

    def shifted(program, *arguments, **options):
        trace = plain(program, *arguments, **options)
        trace.layer_spikes[0][0, 3, 5] ^= 1
        return trace

    monkeypatch.setattr(verify, "run", shifted)
    assert run(verified, "--mesh", "2") == 1
    first = json.loads((verified / "verify" / "verify.json").read_text())["first_mismatches"]
    assert [(each["sample"], each["timestep"], each["neuron"]) for each in first] == [(0, 3, 5)]


NARROW = """
name = "narrow"
family = "ecp5"
device = "85k"
package = "CABGA381"
constraint = "narrow.lpf"
crystal_mhz = 25
clock_mhz = 60
baud = 3000000

[core]
weight_words = 1024
axons = 32
groups = 4
acc_bits = 20

[most]
weight_words = 4096
"""
"""A board whose core has half the axons that the digits need, and may not get more."""


@pytest.fixture
def narrow(tmp_path):
    (tmp_path / "narrow.toml").write_text(NARROW)
    (tmp_path / "narrow.lpf").write_text("")
    return str(tmp_path / "narrow.toml")


@pytest.mark.long
def test_a_layer_with_more_axons_than_a_core_is_cut(tmp_path, narrow):
    """Two tiles add up its sums; every spike and membrane as on one core, in the time expected."""
    out = tmp_path / "out"
    assert run(out, "--mesh", "2x2", "--target", narrow) == 0
    found = json.loads((out / "verify" / "verify.json").read_text())
    assert found["mismatches"] == 0
    assert found["events_compared"] > 100 and found["membranes_compared"] == 2 * 42
    parts = [part for each in found["mesh"]["tiles"] for part in each["parts"]]
    assert sorted(part[3:] for part in parts if len(part) > 3) == [[0, 31], [32, 63]]
    mesh = found["mesh"]
    assert mesh["expected_cycles"] == pytest.approx(mesh["cycles"], rel=0.03)
    assert (out / "verify" / "mesh.png").read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_cut_by_axons_is_one_line(tmp_path, narrow, capsys):
    out = str(tmp_path / "out")
    assert run(out, "--mesh", "2x2", "--target", narrow, "--adders", "loa:4") == 2
    assert "lif1 must have an exact adder to be cut by axons, not" in capsys.readouterr().err
    assert run(out, "--mesh", "2", "--target", narrow) == 2
    assert "lif1 has 64 axons, for which it takes 2 tiles; with the other layers 3, not 2" in (
        capsys.readouterr().err)


@pytest.mark.parametrize(("options", "named"), [
    (["--mesh", "2", "--on", "netlist"], "--mesh: a fabric is simulated on the rtl"),
    (["--mesh", "2", "--tier-modes", "UV3@0.8"], "cells that fail are simulated on one core"),
])
def test_what_a_mesh_cannot_do_is_one_line(tmp_path, capsys, options, named):
    assert run(tmp_path / "out", *options) == 2
    assert named in capsys.readouterr().err


@pytest.mark.long
def test_the_smallest_mesh_is_found(tmp_path):
    out = tmp_path / "out"
    assert run(out, "--mesh", "auto") == 0
    assert json.loads((out / "verify" / "verify.json").read_text())["mesh"]["size"] == [1]
