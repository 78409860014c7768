"""The submission repository of Caravel: consistent, accepted by LibreLane, and it runs."""

import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from lamina.flows.backend import tools
from lamina.flows.cli import main
from lamina.flows.errors import UserError
from lamina.flows.sky130.floorplan import violations
from lamina.flows.tapeout import librelane
from lamina.flows.tapeout.caravel import floorplan_of, undervolted_tiers, write_repository
from lamina.flows.tapeout.design import macro_paths

DESIGN = "user_project_wrapper"


@pytest.fixture(autouse=True)
def _kit(kit, monkeypatch):
    monkeypatch.setenv("PDK_ROOT", str(kit))


@pytest.fixture
def undervolted(program):
    return dataclasses.replace(program, tier_millivolts=(1100, 800))


@pytest.fixture
def repository(tmp_path, undervolted, config, spikes):
    write_repository(undervolted, config, spikes, tmp_path / "repository")
    return tmp_path / "repository"


def test_the_same_network_gives_the_same_files(repository, undervolted, config, spikes, tmp_path):
    write_repository(undervolted, config, spikes, tmp_path / "again")
    files = sorted(path.relative_to(repository) for path in repository.rglob("*") if path.is_file())
    assert len(files) == 31
    for path in files:
        assert (repository / path).read_bytes() == (tmp_path / "again" / path).read_bytes(), path
    text = "".join((repository / path).read_text() for path in files if path.suffix != ".png")
    assert "@{" not in text and "@%" not in text and str(tmp_path) not in text


def test_pins_are_the_ports_of_the_wrapper(repository):
    text = (repository / "verilog/rtl" / f"{DESIGN}.v").read_text().replace("`MPRJ_IO_PADS", "38")
    text = re.sub(r"`ifdef USE_POWER_PINS.*?`endif", "", text, flags=re.DOTALL)
    ports = {}
    for kind, width, name in re.findall(r"^    (input|output|inout) (?:\[(.*?):0\] )?(\w+),?$",
                                        text, re.MULTILINE):
        high = eval(width) if width else None
        names = [name] if high is None else [f"{name}[{bit}]" for bit in range(high + 1)]
        ports |= dict.fromkeys(names, kind.upper())
    text = (repository / "openlane" / DESIGN / f"{DESIGN}.def").read_text()
    pins = dict(re.findall(r"^- (\S+) \+ NET \1 \+ DIRECTION (\w+)", text, re.MULTILINE))
    assert pins == ports
    assert len(pins) == 637


def test_macros_are_where_the_floorplan_has_them(repository, undervolted, config, sizes):
    plan = floorplan_of(undervolted, config)
    assert violations(plan, sizes) == []
    verilog = (repository / "verilog/rtl/lamina_small.v").read_text()
    names = macro_paths(verilog, "lamina_small")
    settings = json.loads((repository / "openlane" / DESIGN / "config.json").read_text())
    placed = {name: (kind, *place["location"], place["orientation"])
              for kind, macro in settings["MACROS"].items()
              for name, place in macro["instances"].items()}
    assert placed == {".".join(("mprj", *names[macro.path])): (macro.kind, macro.x, macro.y, "N")
                      for macro in plan.macros}
    lines = (repository / "openlane" / DESIGN / "macro.cfg").read_text().splitlines()
    assert lines == [f"{name} {x} {y} {turn}" for name, (_, x, y, turn) in placed.items()]
    assert len(placed) == 3


def test_undervolted_tiers_have_a_supply_of_their_own(repository, undervolted, config):
    assert undervolted_tiers(undervolted, config) == {1: 1.31}
    settings = json.loads((repository / "openlane" / DESIGN / "config.json").read_text())
    lines = settings["PDN_MACRO_CONNECTIONS"]
    assert len(lines) == 3 and all(line.endswith(" vssd1 vccd1 vssd1") for line in lines)
    low = [line.split()[0] for line in lines if line.split()[1] == "vccd2"]
    assert low and all(".tier1." in name for name in low)
    power = (repository / "power" / f"{DESIGN}.upf").read_text()
    assert re.findall(r"^    \{(\S+)\}$", power, re.MULTILINE) == [name.replace(".", "/")
                                                                   for name in low]
    assert "FULL_ON 1.31" in power
    assert "The macros of tiers 1 are on vccd2" in (repository / "README.md").read_text()


def test_nominal_tiers_leave_the_second_supply_alone(program, config, spikes, tmp_path):
    write_repository(program, config, spikes, tmp_path / "nominal")
    settings = json.loads((tmp_path / "nominal/openlane" / DESIGN / "config.json").read_text())
    assert all(" vccd1 vssd1 vccd1" in line for line in settings["PDN_MACRO_CONNECTIONS"])
    assert "PD_UNDERVOLTED" not in (tmp_path / "nominal/power" / f"{DESIGN}.upf").read_text()
    assert "vccd2 feeds nothing" in (tmp_path / "nominal/README.md").read_text()


def test_librelane_accepts_the_configuration(repository, kit):
    pytest.importorskip("librelane", reason="librelane is not installed: the extra tapeout")
    path = repository / "openlane" / DESIGN / "config.json"
    config = librelane.load_config(path, kit)
    assert config["RT_MAX_LAYER"] == "met4"
    assert [float(edge) for edge in config["DIE_AREA"]] == [0, 0, 2920, 3520]
    assert sum(len(macro.instances) for macro in config["MACROS"].values()) == 3
    assert pathlib.Path(config["PNR_SDC_FILE"]) == path.with_name(f"{DESIGN}.sdc")
    path.write_text(path.read_text().replace('"PDN_VPITCH"', '"PDN_VPICH"'))
    with pytest.raises(UserError, match=r"LibreLane refuses it: Unknown key 'PDN_VPICH' provided"):
        librelane.load_config(path, kit)


def test_without_librelane_the_way_to_it_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "librelane.flows", None)
    with pytest.raises(UserError, match=r"^LibreLane is not installed: pip install 'lamina\[tap"):
        librelane.load_config(tmp_path / "config.json", tmp_path)


def test_names_are_those_of_the_flat_netlist(repository):
    """Yosys flattens as LibreLane has it do: names of blocks joined by dots."""
    sources = [f"verilog/rtl/{name}" for name in (
        "defines.v", "sky130_sram_blackbox.v", "lamina_small.v", f"{DESIGN}.v")]
    script = (f"read_verilog -sv -DUSE_POWER_PINS verilog/dv/cocotb/cells.v {' '.join(sources)}; "
              f"hierarchy -top {DESIGN}; flatten; tee -q -o names.txt select -list t:sky130_sram*")
    tools.run("yosys", ["-q", "-p", script], folder=repository, log="yosys.log")
    found = {line.split("/", 1)[1] for line in
             (repository / "names.txt").read_text().splitlines()}
    settings = json.loads((repository / "openlane" / DESIGN / "config.json").read_text())
    assert found == {name for macro in settings["MACROS"].values() for name in macro["instances"]}


def test_what_is_too_large_is_refused_with_what_would_fit(program, config, spikes, tmp_path):
    large = dataclasses.replace(config, weight_words=65536)
    with pytest.raises(UserError, match=(
            r"^random: \d+ macros of [\d.]+ mm2 are [\d.]+ % of the 10\.28 mm2 of the user area, "
            r"[\d.]+ points above the 60 % that leave room for cells and wires; 50-\d+-6 would fit "
            r"at 4 bit$")):
        write_repository(program, large, spikes, tmp_path / "large")
    assert not (tmp_path / "large").exists()


def test_a_repository_with_a_history_is_not_replaced(repository, program, config, spikes):
    (repository / ".git").mkdir()
    with pytest.raises(UserError, match=r"repository: holds a git repository by now: give another"):
        write_repository(program, config, spikes, repository)
    assert (repository / "README.md").is_file()


def test_the_command(tmp_path, capsys):
    out = tmp_path / "out"
    network = pathlib.Path(__file__).parents[3] / "examples" / "digits.nir"
    assert main(["tapeout", "caravel", str(network), "--data", "digits", "-o", str(out),
                 "--tier-modes", "nominal,nominal,0.8,gated"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(out / "caravel")
    design = json.loads((out / "caravel" / "design.json").read_text())
    assert (design["lanes"], design["tiers"]) == (16, [2, 2, 2, 2])
    assert "| tiers on vccd2 | 2 |" in (out / "caravel" / "README.md").read_text()
    assert main(["tapeout", "moon", str(out)]) == 2
    assert main(["tapeout", "caravel", str(out), "--target", "ulx3s"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "lamina: place must be one of caravel, tinytapeout, not moon",
        "lamina: --target: caravel is made in sky130, not ulx3s"]
    assert (design["name"], design["weight_words"]) == ("digits", 160)
    if shutil.which("openroad") is None:
        assert main(["tapeout", "caravel", str(out), "--json", "--harden"]) == 2
        assert re.match(r"lamina: --harden needs OpenROAD, which is not on PATH: .*caravel is "
                        r"written, and make harden in it", capsys.readouterr().err.splitlines()[-1])


def verified(folder):
    return subprocess.run(["make", "verify", f"PYTHON={sys.executable}"], cwd=folder, text=True,
                          capture_output=True, env=dict(os.environ, MAKEFLAGS=""))


@pytest.mark.long
def test_the_repository_verifies_itself(repository):
    """By its own Makefile; and not with another expectation."""
    result = verified(repository)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    assert result.stdout.endswith("2 tests, 0 failed\n")
    path = repository / "firmware" / "vectors.c"
    head, table, rest = path.read_text().partition("membranes[] = {\n    ")
    number = re.match(r"\d+", rest)[0]
    path.write_text(f"{head}{table}{int(number) ^ 1}{rest[len(number):]}")
    result = verified(repository)
    assert result.returncode != 0
    assert "'membrane_mismatches': 1" in result.stdout + result.stderr
