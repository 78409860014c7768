"""The study of undervolted memory: modes, figures, table and pictures, on the digits example."""

import io
import json
import pathlib

import pytest

from lamina.flows import cli, steps
from lamina.flows.errors import UserError
from lamina.flows.report.published import OPERATIONS, TECHNIQUES, UNDERVOLTED
from lamina.flows.study import plots
from lamina.flows.study.undervolt import Mode, modes_of, table_rows
from lamina.models.energy import STACKED_45NM

NET = "examples/digits.nir"


@pytest.fixture(name="folder", scope="module")
def finished_study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "out"
    assert cli.main(["undervolt", NET, "--data", "digits", "--chips", "2", "--samples", "60",
                     "--volts", "0.75", "0.85", "0.75", "-o", str(folder)]) == 0
    return folder


@pytest.fixture(name="result")
def result_of_the_study(folder):
    return json.loads((folder / "undervolt.json").read_text())


def test_modes_have_their_texts():
    texts = [mode.text(4) for mode in modes_of(4, (0.8,))]
    assert texts == ["nominal,nominal,nominal,nominal", "nominal,nominal,nominal,gated",
                     "nominal,nominal,gated,gated", "UV1@0.8", "UV2@0.8", "UV3@0.8", "UV4@0.8",
                     "UV-PG1@0.8", "UV-PG2@0.8", "UV-PG3@0.8"]
    assert [mode.text(1) for mode in modes_of(1, (0.8,))] == ["nominal", "UV1@0.8"]
    assert [mode.volts for mode in modes_of(1)] == [None, 0.85, 0.825, 0.8, 0.775, 0.75, 0.7]
    assert len(modes_of(2, ())) == 2


@pytest.mark.parametrize(("volts", "message"), [
    (0.5, r"^--volts: voltage must be in 0\.60\.\.1\.10 V, not 0\.5$"),
    (0.80005, r"^--volts must be whole numbers of millivolts, not 0\.80005$")])
def test_a_wrong_voltage_is_refused(volts, message):
    with pytest.raises(UserError, match=message):
        modes_of(4, (0.8, volts))


def test_the_study_has_every_mode_with_accuracy_and_energy(result):
    assert [each["mode"] for each in result["modes"]] == [
        mode.text(4) for mode in modes_of(4, (0.75, 0.85))]
    assert (result["chips"], result["samples"], result["fill"]) == (2, 60, "mid")
    found = {each["mode"]: each for each in result["modes"]}
    nominal = found[Mode(family="nominal").text(4)]
    assert nominal["accuracy"] > 0.9 and nominal["energy"] == 1
    assert found["UV4@0.75"]["accuracy"] < 0.6 < found["UV1@0.75"]["accuracy"]
    for each in found.values():
        assert each["low"] <= each["p5"] <= each["accuracy"] <= each["p95"] <= each["high"]
    assert found["UV-PG2@0.75"]["energy"] == pytest.approx(
        STACKED_45NM.relative((1.1, 0.75, 0.75, 0)), abs=1e-6)


def test_the_front_is_what_none_beats(result):
    found = {each["mode"]: each for each in result["modes"]}
    front = [found[mode] for mode in result["front"]]
    assert len(front) > 1
    for each in found.values():
        assert any(one["accuracy"] >= each["accuracy"] and one["energy"] <= each["energy"]
                   for one in front)
    assert [one["energy"] for one in front] == sorted((one["energy"] for one in front),
                                                      reverse=True)


def test_the_table_has_a_line_per_voltage(result):
    rows = dict(table_rows(result))
    assert list(rows)[1:] == ["nominal", "1 gated", "2 gated", "0.85 V", "0.75 V", "front"]
    assert rows["nominal"].endswith(" / 1.000") and rows["0.75 V"].count(" / ") == 7


def test_a_second_study_takes_the_chips_and_gives_the_same_bytes(folder, result):
    kept = {path: path.stat().st_mtime_ns for path in folder.rglob("chips-*.npz")}
    before = (folder / "undervolt.json").read_bytes(), (folder / "undervolt.png").read_bytes()
    found = steps.undervolt(steps.Options(net=folder, samples=60), chips=2, volts=(0.75, 0.85))
    assert found.result == {name: value for name, value in result.items() if name != "key"}
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("chips-*.npz")} == kept
    assert before == ((folder / "undervolt.json").read_bytes(),
                      (folder / "undervolt.png").read_bytes())


def test_the_report_shows_the_study_of_its_program_alone(folder, tmp_path):
    found = steps.report(steps.Options(net=folder)).result
    page = (folder / "report.html").read_text()
    assert "<h2>Voltage</h2>" in page and "modes of the papers" in page
    assert "<h2>Front</h2>" not in page and found["energy"]["relative"] == 1
    other = steps.Options(net=pathlib.Path(NET), data="digits", out=tmp_path / "out",
                          tier_modes="UV-PG1@0.8")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "lamina.json").write_text("{}")
    (tmp_path / "out" / "undervolt.json").write_bytes((folder / "undervolt.json").read_bytes())
    energy = steps.report(other).result["energy"]
    assert "<h2>Voltage</h2>" not in (tmp_path / "out" / "report.html").read_text()
    assert energy["relative"] == pytest.approx(STACKED_45NM.relative((1.1, 1.1, 0.8, 0)), rel=0.02)


def test_published_points_are_drawn_where_the_tiers_are_theirs(result):
    other = {**result, "tiers": [4, 4]}
    assert plots.is_comparable(result) and not plots.is_comparable(other)
    pictures = []
    for each in (result, other):
        pictures.append(io.BytesIO())
        plots.write_picture([each], pictures[-1])
    assert pictures[0].getvalue() != pictures[1].getvalue()


@pytest.mark.parametrize(("options", "message"), [
    ({"data": None}, "^--data must name labelled samples: a study needs their accuracy$"),
    ({"tier_modes": "UV1@0.8"}, "^--tier-modes: undervolt tries modes of its own$"),
    ({"chip": 3}, "^--chip: undervolt takes --chips$"),
    ({"calibration": "7nm"}, "^--calibration must be one of 45nm, sky130, not '7nm'$")])
def test_what_cannot_be_studied_is_refused(options, message, tmp_path):
    with pytest.raises(UserError, match=message):
        steps.undervolt(steps.Options(**{"net": pathlib.Path(NET), "data": "digits",
                                         "out": tmp_path / "out", **options}))
    assert not (tmp_path / "out").exists()


def test_a_wrong_voltage_leaves_nothing(capsys, tmp_path):
    assert cli.main(["undervolt", NET, "--data", "digits", "--volts", "0.5",
                     "-o", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == "lamina: --volts: voltage must be in 0.60..1.10 V, not 0.5\n"
    assert not (tmp_path / "out").exists()


def test_published_energies_follow_the_law():
    for volts, row in UNDERVOLTED.energies.items():
        for count, energy in enumerate(row, start=1):
            law = STACKED_45NM.microjoules((1.1,) * (4 - count) + (volts,) * count)
            assert energy == pytest.approx(law, abs=0.0065)


def test_published_ratios_are_those_of_the_slides():
    ratios = [each.relative for each in TECHNIQUES if each.source == "Dang 2025"]
    assert ratios == pytest.approx([1, 0.587, 0.3475, 0.671, 0.443], abs=5e-4)
    assert {each.source for each in TECHNIQUES} == {"Dang 2025", "Nguyen 2023b", "Kobayashi 2024"}


def test_published_energies_at_14_nm_follow_their_rules():
    for each in OPERATIONS:
        factor = 1 if each.rule is None else each.rule.factor
        assert each.at_14nm == pytest.approx(each.picojoules * factor, rel=3e-3)
