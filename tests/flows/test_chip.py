"""Whose cells fail: the option, its default, and what the report says."""

import pathlib

import numpy as np
import pytest

from lamina.flows import cli, steps
from lamina.flows.job import load_program, resolve
from lamina.models.faults import FaultModel

NET = pathlib.Path("examples/digits.nir")


@pytest.fixture(name="compiled", scope="module")
def compiled_at_800_millivolts(tmp_path_factory):
    """Folder of a program with its two lowest tiers at .8 V; treated as read-only."""
    folder = tmp_path_factory.mktemp("chip") / "digits"
    assert cli.main(["compile", str(NET), "--data", "digits", "--tier-modes", "UV2@0.8",
                     "-o", str(folder)]) == 0
    return folder


def job_of(folder, chip=None):
    job = resolve(steps.Options(net=folder, chip=chip), "compile")
    return job, load_program(folder / "program")


@pytest.mark.parametrize(("chip", "note"), [
    (None, "chip 0 (no --chip given), flip, injected through the memory image"),
    (0, "chip 0, flip, injected through the memory image"),
    (7, "chip 7, flip, injected through the memory image")])
def test_a_chip_is_drawn_where_cells_can_fail(compiled, chip, note):
    job, program = job_of(compiled, chip)
    assert program.tier_millivolts == (1100, 1100, 800, 800)
    assert job.faults(program) == FaultModel(chip=chip or 0)
    assert job.fault_note(program) == note
    assert (job.faulty(program).layers[0].weights != program.layers[0].weights).any()


@pytest.mark.parametrize(("modes", "note"), [
    ("nominal,nominal,nominal,gated", None),
    ("UV4@0.85", "none: no cell fails at the voltages of the tiers that are read"),
    ("UV-PG2@0.9", "none: no cell fails at the voltages of the tiers that are read")])
def test_no_faults_where_no_cell_fails(tmp_path, modes, note):
    assert cli.main(["compile", str(NET), "--tier-modes", modes, "-o", str(tmp_path / "n")]) == 0
    job, program = job_of(tmp_path / "n", chip=3)
    assert job.faults(program) is None
    assert job.fault_note(program) == note
    assert job.faulty(program) is program


def test_accuracies_are_those_of_the_chip(compiled, tmp_path):
    """Of a copy, since the golden run of another chip replaces the first one."""
    results = [steps.report(steps.Options(net=compiled, chip=chip, out=tmp_path / str(chip))).result
               for chip in (None, 0, 1)]
    accuracies = [result["golden"]["accuracy"] for result in results]
    assert accuracies[0] == accuracies[1] != accuracies[2]
    assert results[2]["quantisation"]["faults"].startswith("chip 1, flip")


def test_layers_have_voltages_of_their_own(tmp_path):
    modes = "lif1:UV1@0.7;lif2:UV-PG1@0.8"
    assert cli.main(["compile", str(NET), "--tier-modes", modes, "-o", str(tmp_path / "n")]) == 0
    program = load_program(tmp_path / "n" / "program")
    assert [(layer.tier_millivolts, layer.gated_tiers) for layer in program.layers] == [
        ((1100, 1100, 1100, 700), 0), ((1100, 1100, 800, 1100), 1)]


def test_executors_run_the_faulty_weights(compiled, tmp_path):
    spikes = []
    for chip in ("0", "1"):
        out = tmp_path / f"{chip}.npz"
        assert cli.main(["run", str(compiled), "--data", "digits", "--samples", "20", "--chip",
                         chip, "--trace", "-o", str(out)]) == 0
        spikes.append(np.load(out)["layer0_membranes"])
    assert (spikes[0] != spikes[1]).any()


def test_a_narrow_program_keeps_its_size(tmp_path):
    """Faulty codes may fill the memory; what is stored is still 4 bit."""
    command = ["compile", str(NET), "--data", "digits", "--weight-bits", "4", "--samples", "4"]
    packed = []
    for name, modes in (("n", "UV1@1.0"), ("f", "UV4@0.75")):
        assert cli.main([*command, "--tier-modes", modes, "-o", str(tmp_path / name)]) == 0
        report = steps.report(steps.Options(net=tmp_path / name)).result
        packed.append(report["neurobench"]["footprint_packed"])
    assert packed[0] == packed[1]


def test_more_tiers_than_the_target_has(tmp_path):
    """16 bit fit no board here: the golden model runs them in tiers of 4+4+4+4."""
    out = tmp_path / "wide.npz"
    assert cli.main(["run", str(NET), "--data", "digits", "--weight-bits", "16", "--samples", "5",
                     "--tier-modes", "UV1@0.7", "--chip", "2", "-o", str(out)]) == 0
    assert np.load(out)["spikes"].any()
