"""The repository of a Tiny Tapeout project: what it holds, what is refused, and its own test."""

import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from lamina.flows.errors import UserError
from lamina.flows.sky130.pdk import find_library
from lamina.flows.tapeout import tinytapeout as shuttle
from lamina.models.config import ResetRule
from lamina.models.network import run
from lamina.models.program import Layer, Program

FILES = [".github/workflows/docs.yaml", ".github/workflows/gds.yaml",
         ".github/workflows/test.yaml", ".gitignore", "LICENSE", "README.md", "docs/info.md",
         "info.yaml", "src/config.json", "src/tt_um_mine.v", "tapeout.json", "test/Makefile",
         "test/cells.v", "test/requirements.txt", "test/tb.v", "test/test.py", "test/vectors.json"]


def program(*, axons=12, sizes=(6,), decay=192, **changes):
    """Dense layers of 4 bit weights that fire now and then."""
    rng, layers = np.random.default_rng(5), []
    for index, neurons in enumerate(sizes):
        layers.append(Layer(
            name=f"fc{index}", weights=rng.integers(-4, 8, (axons, neurons)),
            decay=np.full(neurons, decay), theta=np.full(neurons, 9), r=np.full(neurons, 9),
            v_reset=np.zeros(neurons, dtype=int), bias=np.arange(neurons) % 3 - 1,
            reset=ResetRule.SUBTRACT))
        axons = neurons
    return Program(**{"name": "small", "layers": tuple(layers), "timesteps": 4, "weight_bits": 4,
                      "state_bits": 9, "acc_bits": 10} | changes)


def spikes(samples=1):
    return (np.random.default_rng(6).random((samples, 4, 12)) < 0.4).astype(np.uint8)


@pytest.mark.parametrize("decay, bits", [(192, 4), (200, 5), (256, 4), (0, 4), (193, 8)])
def test_reduced_programs_do_the_same(decay, bits):
    before = program(sizes=(6, 3), decay=decay)
    after = shuttle.reduced(before)
    assert after.decay_bits == bits
    first, second = (run(each, spikes(3), (4,), trace=True) for each in (before, after))
    assert first.layer_spikes[0].any()
    for got, want in zip(second.layer_membranes, first.layer_membranes, strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_leak_by_subtraction_does_not_change():
    layer = dataclasses.replace(program().layers[0], leak="subtract", decay=np.full(6, 2))
    after = shuttle.reduced(program(layers=(layer,)))
    assert after.decay_bits == 4
    assert after.layers[0].decay.tolist() == [2] * 6


def test_the_core_is_as_large_as_the_program():
    config = shuttle.fitted(program(axons=16, sizes=(16, 10)))
    assert (config.weight_words, config.axons, config.groups, config.layers) == (112, 32, 8, 2)
    assert (config.tiers, config.state_bits, config.acc_bits) == ((4,), 9, 10)
    assert (config.payload_bytes, config.window) == (12, 1)


def test_a_program_that_no_core_runs():
    with pytest.raises(UserError, match=r"^small: needs 300 axons, has 256 on Tiny Tapeout$"):
        shuttle.fitted(program(axons=300))


@pytest.mark.parametrize("um2, tiles", [(1e3, "1x1"), (20e3, "1x2"), (43e3, "2x2"),
                                        (120e3, "6x2"), (181_400.0, "8x2")])
def test_smallest_tiles(um2, tiles):
    area = shuttle.Area(cells=1, latches=0, flip_flops=0, clock_gates=0, um2=um2)
    assert shuttle.smallest_tiles(area) == tiles
    assert area.density(tiles) <= 0.6


def test_too_large_for_all_tiles():
    area = shuttle.Area(cells=1, latches=0, flip_flops=0, clock_gates=0, um2=200e3)
    with pytest.raises(UserError, match=re.escape(
            "the core must take at most 60% of 8x2 tiles, not 66% (200000 um2)") + "$"):
        shuttle.smallest_tiles(area)


def test_rows_of_a_tile_are_those_of_the_template():
    area = shuttle.Area(cells=1, latches=0, flip_flops=0, clock_gates=0, um2=2984 * .46 * 81 * 2.72)
    assert area.density("8x2") == pytest.approx(1)


@pytest.mark.parametrize("options, message", [
    ({"tiles": "3x3"}, "--tiles must be one of 1x1, 1x2, 2x2, 3x2, 4x2, 6x2, 8x2, not '3x3'"),
    ({"name": "?!"}, "--name must hold letters or digits, not '?!'"),
])
def test_refused(options, message, tmp_path):
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        shuttle.write(program(), spikes(), tmp_path / "repo", **options)
    assert not (tmp_path / "repo").exists()


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A repository of the small program; Yosys does not see every temporary folder."""
    try:
        find_library()
    except UserError as error:
        pytest.skip(str(error))
    folder = pathlib.Path(__file__).parents[3] / "out" / "tapeout-test" / "repo"
    facts = shuttle.write(program(), spikes(), folder, author='A "quoted" name', name="Mine")
    return folder, facts


@pytest.mark.long
def test_the_repository_is_complete(repository):
    folder, facts = repository
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")
                  if path.is_file()) == FILES
    assert json.loads((folder / "tapeout.json").read_text()) == facts
    assert facts["density"] <= 0.6 and facts["area"]["latches"] > 1000
    assert json.loads((folder / "src" / "config.json").read_text())["CLOCK_PERIOD"] == 40
    verilog = (folder / "src" / "tt_um_mine.v").read_text()
    for port in ("input clk", "input rst_n", "input ena", "input [7:0] ui_in", "input [7:0] uio_in",
                 "output [7:0] uo_out", "output [7:0] uio_out", "output [7:0] uio_oe"):
        assert f"  {port};" in verilog
    assert not re.findall(r"^\s*reg .* = \d+'", verilog, re.MULTILINE)
    texts = "".join((folder / name).read_text() for name in FILES)
    assert "[[" not in texts.replace((folder / "test" / "vectors.json").read_text(), "")
    assert str(pathlib.Path.home()) not in texts


@pytest.mark.long
def test_the_project_is_described(repository):
    yaml = pytest.importorskip("yaml")
    folder, facts = repository
    info = yaml.safe_load((folder / "info.yaml").read_text())
    project = info["project"]
    assert info["yaml_version"] == 6
    assert project["top_module"] == facts["top"] == "tt_um_mine"
    assert project["source_files"] == ["tt_um_mine.v"]
    assert project["tiles"] == facts["tiles"] in shuttle.TILES
    assert project["author"] == 'A "quoted" name'
    assert sorted(info["pinout"]) == sorted(f"{group}[{bit}]" for group in ("ui", "uo", "uio")
                                            for bit in range(8))
    assert info["pinout"]["uio[3]"] == "sck"
    for workflow in ("gds", "docs", "test"):
        yaml.safe_load((folder / ".github" / "workflows" / f"{workflow}.yaml").read_text())


def make(folder):
    """Run the emitted test in Icarus; its results, whatever status make ends with."""
    (folder / "test" / "results.xml").unlink(missing_ok=True)
    scripts = pathlib.Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    environment = {name: value for name, value in environment.items()
                   if not name.startswith("COCOTB")}
    subprocess.run(["make"], cwd=folder / "test", check=False, env=environment, timeout=800,
                   stdout=subprocess.DEVNULL)
    return (folder / "test" / "results.xml").read_text()


@pytest.mark.long
@pytest.mark.skipif(shutil.which("iverilog") is None, reason="iverilog is not installed")
def test_its_own_test_passes_and_can_fail(repository, tmp_path):
    folder, _ = repository
    copy = shutil.copytree(folder, tmp_path / "copy")
    results = make(copy)
    assert results.count("<testcase") == 2 and "<failure" not in results
    vectors = json.loads((copy / "test" / "vectors.json").read_text())
    vectors["samples"][0]["events"][-1].append(0)
    (copy / "test" / "vectors.json").write_text(json.dumps(vectors))
    assert make(copy).count("<failure") == 1
