"""Meshes over several chips: what divides them, and that nothing but the time changes."""

import json
import pathlib

import pytest

from lamina.flows import cli
from lamina.flows.job import Options, resolve

NET = str(pathlib.Path(__file__).parents[3] / "examples" / "digits.nir")


@pytest.mark.parametrize(("options", "message"), [
    (["--mesh", "3x2", "--chips", "2x1"],
     "--chips 2x1: chips along x must divide its 3 tiles, not 2"),
    (["--mesh", "4", "--chips", "2x2"],
     "--chips 2x2: chips along y must divide its 1 tiles, not 2"),
    (["--mesh", "4", "--chips", "2x"], "--chips must be like 2, 2x1 or 2x2x2, not '2x'"),
    (["--mesh", "4", "--chips", "0"], "--chips must be like 2, 2x1 or 2x2x2, not '0'"),
    (["--chips", "2"], "--chips needs a --mesh of a given size, not 1x1x1"),
    (["--mesh", "auto", "--chips", "2"], "--chips needs a --mesh of a given size, not auto"),
    (["--mesh", "4", "--link-bits", "4"], "--link-bits needs --chips, one chip has no such links"),
    (["--link-bits", "4"], "--link-bits needs a --mesh of a given size, not 1x1x1"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else None)
def test_what_cannot_be_is_one_line_and_leaves_nothing(options, message, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(["verify", NET, *options, "-o", str(out)]) == 2
    assert capsys.readouterr().err == f"lamina: {message}\n"
    assert not out.exists()


def test_a_width_that_no_link_has_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit, match=r"^2$"):
        cli.main(["verify", NET, "--mesh", "4", "--chips", "2", "--link-bits", "3"])
    assert "--link-bits: invalid choice: 3" in capsys.readouterr().err


def test_chips_belong_to_their_mesh(tmp_path):
    """A later command on the folder has them too, but not with another mesh."""
    (tmp_path / "program").mkdir()
    (tmp_path / "program" / "program.json").write_text("{}")
    (tmp_path / "lamina.json").write_text(json.dumps(
        {"mesh": "4x2", "mesh_chips": "2x2", "link_bits": 4, "dead_links": "0-1"}))
    kept = resolve(Options(net=tmp_path), "verify").mesh_config
    assert (kept.chips, kept.link_bits, kept.routing) == ((2, 2), 4, "table")
    other = resolve(Options(net=tmp_path, mesh="2x2"), "verify").mesh_config
    assert (other.chips, other.routing) == ((), "order")


@pytest.mark.parametrize("command", ["explore", "undervolt"])
def test_sampled_chips_are_no_chips_of_a_mesh(command, capsys):
    with pytest.raises(SystemExit, match=r"^0$"):
        cli.main([command, "--help"])
    told = capsys.readouterr().out
    assert "--chips N" in told and "--link-bits" not in told


def test_two_chips_compute_what_one_core_computes(tmp_path):
    """And say so in the report; a report does not take it for a mesh of one chip."""
    out = tmp_path / "out"
    assert cli.main(["verify", NET, "--data", "digits", "--samples", "1", "--workers", "1",
                     "--mesh", "2", "--chips", "2", "--link-bits", "4", "-o", str(out)]) == 0
    found = json.loads((out / "verify" / "verify.json").read_text())
    assert found["mismatches"] == 0 and found["events_compared"] > 50
    mesh = found["mesh"]
    assert (mesh["chips"], mesh["link_bits"]) == ([2], 4)
    assert mesh["expected_cycles"] == pytest.approx(mesh["cycles"], rel=0.01)
    assert [each["hops"] for each in mesh["routers"]] == [
        each["expected_hops"] for each in mesh["routers"]] and mesh["routers"][1]["hops"] > 20
    assert (out / "verify" / "mesh.png").read_bytes().startswith(b"\x89PNG")
    assert cli.main(["report", str(out)]) == 0
    assert json.loads((out / "report.json").read_text())["mesh"] == mesh
    assert "data wires between chips" in (out / "report.html").read_text()
    assert cli.main(["report", str(out), "--link-bits", "8"]) == 0
    assert json.loads((out / "report.json").read_text())["mesh"] is None
