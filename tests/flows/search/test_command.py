"""``lamina explore``: a small search of digits, again, and one line where something is wrong."""

import json

import pytest

from lamina.flows import cli, cluster
from lamina.flows.adders.names import read_adder
from lamina.flows.adders.shipped import shipped_energies
from lamina.flows.search import workers
from lamina.flows.search.command import ADDERS, MODES, SearchOptions, summary_lines
from lamina.flows.search.evaluate import evaluate

NOMINAL = "nominal,nominal,nominal,nominal"
SMALL = ("--data", "digits", "--workers", "1", "--validation", "40", "--chips", "1", "--no-verify",
         "--adder", "exact", "--adder", "@evo4_w4", "--mode", NOMINAL, "--mode", "UV3@0.8")


def explore(capsys, out, *arguments):
    """Status, standard output and the last line of the log."""
    status = cli.main(["explore", "examples/digits.nir", "-o", str(out), *arguments])
    captured = capsys.readouterr()
    return status, captured.out, (captured.err.splitlines() or [""])[-1]


def kept(out):
    """Lines of the evaluations."""
    (path,) = (out / "search").glob("*/evaluations.jsonl")
    return path.read_text().splitlines()


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A search of five configurations."""
    out = tmp_path_factory.mktemp("explored") / "front"
    arguments = ["explore", "examples/digits.nir", "-o", str(out), *SMALL, "--budget", "5"]
    assert cli.main([*arguments, "--json"]) == 0
    return out, json.loads((out / "front.json").read_text())


def test_the_front_is_programs(searched):
    out, result = searched
    assert result["evaluations"] == 5 and result["configurations"] == 16
    assert len(kept(out)) == 5 and (out / "front.png").read_bytes().startswith(b"\x89PNG")
    energies = [entry["energy"] for entry in result["front"]]
    assert energies == sorted(energies, reverse=True) and energies[-1] < 0.7
    for entry in result["front"]:
        assert (out / entry["name"] / "program.json").is_file()
        assert {layer["adder"] for layer in entry["layers"]} <= {
            "exact", read_adder("@evo4_w4").name}
    lines = summary_lines(result)
    assert lines[0].split()[0] == "nominal" and len(lines) == 1 + len(result["front"])


def test_adders_save_what_the_catalogue_says(searched):
    """The energy falls by the share of the adder, times what it saves; the spikes differ a bit."""
    _, result = searched
    energy = {each["configuration"]: each["energy"] for each in result["tried"]}
    saved = 1 - shipped_energies()[read_adder("@evo4_w4").name] / shipped_energies()["exact"]
    exact, evolved = (next(found for text, found in energy.items() if
                           text.count(adder) == 2 and text.count(NOMINAL) == 2)
                      for adder in ("exact", "evo4_w4"))
    assert exact - evolved == pytest.approx(0.083 * 0.28 * saved, rel=0.25)


def test_a_larger_budget_takes_what_is_there(searched, capsys, monkeypatch, tmp_path):
    out, before = searched
    asked = []
    monkeypatch.setattr(workers, "evaluate", lambda folder, each: (
        asked.append(each), evaluate(folder, each))[1])
    assert explore(capsys, out, *SMALL, "--budget", "6")[0] == 0
    after = json.loads((out / "front.json").read_text())
    assert len(asked) == 1 and len(kept(out)) == 6
    assert after["tried"][:5] == before["tried"]
    assert explore(capsys, tmp_path / "anew", *SMALL, "--budget", "6")[0] == 0
    assert (tmp_path / "anew" / "front.json").read_bytes() == (out / "front.json").read_bytes()


def test_an_absent_scheduler_leaves_what_was_finished(searched, capsys, monkeypatch):
    monkeypatch.setattr(cluster, "_CONNECT_SECONDS", 1)
    out, _ = searched
    before = kept(out)
    status, printed, last = explore(capsys, out, *SMALL, "--budget", "8", "--scheduler",
                                    "tcp://127.0.0.1:1")
    assert (status, printed) == (2, "")
    assert last == ("lamina: --scheduler must be a Dask scheduler that answers, "
                    "not tcp://127.0.0.1:1")
    assert kept(out) == before


@pytest.mark.parametrize(("arguments", "message"), [
    (["--budget", "0"], "--budget must be at least 1, not 0"),
    (["--chips", "0"], "--chips must be at least 1, not 0"),
    (["--validation", "0"], "--validation must be at least 1, not 0"),
    (["--calibration", "7nm"], "--calibration must be one of 45nm, sky130, not '7nm'"),
    (["--adder", "loa:0"], "--adder: adder loa k must be in 1..16, not 0"),
    (["--adder", "@none"], "--adder: none: no such file, nor one of constraints/adders"),
    (["--adders", "loa:4"],
     "--adders fixes what a search chooses: give its choices by --adder"),
    (["--mode", "UV9@0.8"], "--mode: UV9@0.8 must undervolt 1..4 of 4 tiers, not 9"),
    (["--mode", "nominal"], "--mode must have 4 entries, one per tier, not 1"),
    (["--mode", "low,nominal,nominal,nominal"],
     "--mode entries must be nominal, gated or a voltage, not 'low'"),
    (["--mode", "fc1:UV1@0.8"],
     "--mode is a choice of every layer: leave names out, not 'fc1:UV1@0.8'"),
])
def test_mistakes_are_one_line(capsys, tmp_path, arguments, message):
    status = cli.main(["explore", "examples/digits.nir", "--data", "digits", *arguments,
                       "-o", str(tmp_path / "front")])
    captured = capsys.readouterr()
    assert (status, captured.out, captured.err) == (2, "", f"lamina: {message}\n")
    assert not list(tmp_path.iterdir())


def test_a_search_needs_labels(capsys, tmp_path):
    status = cli.main(["explore", "examples/digits.nir", "-o", str(tmp_path / "front")])
    assert status == 2
    assert capsys.readouterr().err == ("lamina: --data must name labelled samples: "
                                       "a search needs their accuracy\n")


def test_the_default_choices_are_as_many_as_published_and_have_energies():
    options = SearchOptions()
    assert len(options.adders) == len(ADDERS) == 13 and options.modes == MODES
    assert set(options.adders) <= set(shipped_energies())
    assert options.adders[0] == "exact" and sum("net:" in name for name in options.adders) >= 3
