"""``lamina adders``: table, JSON, plot, and one line where something is wrong."""

import json

import pytest

from lamina.flows import cli
from lamina.flows.backend import tools


def run(capsys, *arguments):
    assert cli.main(["adders", *map(str, arguments)]) == 0
    return capsys.readouterr()


def test_the_catalogue_in_silicon(library, tmp_path, capsys):
    out = tmp_path / "cat"
    printed = run(capsys, "--adders", "exact,loa:4", "-o", out, "--json").out
    result = json.loads(printed)
    assert result | {"path": ""} == json.loads((out / "catalogue.json").read_text()) | {"path": ""}
    assert (out / "catalogue.png").read_bytes().startswith(b"\x89PNG")
    exact, loa = result["adders"]
    assert exact["energy_fj"] > loa["energy_fj"] and exact["area_um2"] > loa["area_um2"]
    assert (loa["worst"], loa["mean"], loa["bias"]) == (8, 0.25, 0.25)
    assert result["tool_versions"] == {"yosys": tools.version("yosys")}
    again = run(capsys, "--adders", "exact,loa:4", "-o", out).out.splitlines()
    assert again[0].split() == ["adder", "WCE", "ME", "MED", "MSE", "ER", "bias", "area", "um2",
                                "delay", "ns", "energy", "fJ"]
    assert [line.split()[0] for line in again[1:3]] == ["exact", "loa:4"]
    assert again[3:] == [str(out / "catalogue.png")]


def test_errors_alone_without_a_pdk(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PDK_ROOT", str(tmp_path))
    out = tmp_path / "cat"
    captured = run(capsys, "-o", out)
    assert captured.err.startswith("errors only, no area, delay and energy: PDK_ROOT must hold ")
    lines = captured.out.splitlines()
    assert lines[0].split() == ["adder", "WCE", "ME", "MED", "MSE", "ER", "bias"]
    assert len(lines) > 120
    result = json.loads((out / "catalogue.json").read_text())
    assert result["library"] is None and result["tool_versions"] is None
    first = (out / "catalogue.png").read_bytes()
    run(capsys, "-o", out)
    assert (out / "catalogue.png").read_bytes() == first


def test_weights_of_a_network(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PDK_ROOT", str(tmp_path))
    arguments = ("--adders", "trua0:4", "-o", tmp_path / "cat", "--json")
    uniform = json.loads(run(capsys, *arguments).out)
    digits = json.loads(run(capsys, *arguments, "--net", "examples/digits.nir").out)
    assert uniform["adders"][0]["bias"] == -15 != digits["adders"][0]["bias"]
    assert digits["weights"] == "examples/digits.nir"


@pytest.mark.parametrize(("arguments", "message"), [
    (["--adders", "lao:4"], None),
    (["--adders", "loa:4:1"], "adder loa must have 1 parameters (k), not 2"),
    (["--adders", "@none.net"], "none.net: no such file, nor one of constraints/adders"),
    (["--bits", "40"], "argument --bits: must be in 4..32, not 40"),
    (["--bits", "8"], "--bits must be above the 8 low bits of loa:8, not 8"),
    (["--net", "none.nir"], "none.nir: no such file or folder"),
    (["--operands", "some"], None),
    (["--seed", "-1"], "argument --seed: must be in 0..4294967295, not -1"),
])
def test_mistakes_are_one_line(tmp_path, capsys, arguments, message):
    try:
        status = cli.main(["adders", *arguments, "-o", str(tmp_path / "cat")])
    except SystemExit as error:
        status = error.code
    captured = capsys.readouterr()
    assert status == 2 and captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("lamina: ")
    assert message is None or line == f"lamina: {message}"
    assert not (tmp_path / "cat").exists()
