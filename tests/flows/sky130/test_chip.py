"""The flow to SkyWater 130: figures by hand, then the whole way with a small network."""

import json
import shutil

import numpy as np
import pytest

from lamina.flows import cli
from lamina.flows.designs import TARGETS, Process, load_target
from lamina.flows.errors import UserError
from lamina.flows.sky130.chip import energy_figures, failing, mapped
from lamina.flows.sky130.energy import Accesses, Block, Energy
from lamina.flows.sky130.fourstate import simulate_from_unknown
from lamina.flows.sky130.pdk import CORNERS, FAST, SLOW, corner_volts
from lamina.flows.sky130.timing import find_sta
from lamina.models.config import HardwareConfig
from lamina.models.program import Program

SAMPLES = 3
NETWORK = ["examples/digits4x4.nir", "--data", "examples/digits4x4.npz", "--weight-bits", "4"]
"""Of 16-16-10: the digits at 4 x 4 pixels."""


def energy_of(**changes):
    fields = {
        "cycles": 100.0, "wires_pj": 40.0, "wires_clock_pj": 10.0,
        "blocks": {"lanes": Block(logic_pj=30, clock_pj=20, root_pj=8, leakage_nw=1000),
                   "state": Block(logic_pj=6), "weights": Block(logic_pj=4),
                   "scanner": Block(logic_pj=2), "core": Block(logic_pj=1, clock_pj=4, root_pj=4),
                   "link": Block(logic_pj=9)},
        "memories": {"weights/tier0/memory": Accesses(low_pj=50, high_pj=100),
                     "weights/tier1/memory": Accesses(low_pj=20, high_pj=40),
                     "scanner/lists": Accesses(low_pj=3, high_pj=6, leakage_nw=500),
                     "link/sender/memory": Accesses(low_pj=5, high_pj=10)}}
    return Energy(**{**fields, **changes})


def test_figures_by_hand():
    counts = {"sops": 10, "cycles": 75, "samples": 2, "updates": 5}
    found = energy_figures(energy_of(), counts, 2, 50.0)
    # A quarter of the clock's pins is waited through; 1,500 nW for 1.5 us are 2.25 pJ.
    clock = 24 - 12 / 4
    low = 70 + 3 + 4 + 36 + 3 + 14 + clock + 2.25
    high = 140 + 6 + 4 + 36 + 3 + 19 + clock + 2.25
    assert found["bounds"]["low"]["pj_per_sop"] == pytest.approx(low / 10)
    assert found["pj_per_sop"] == pytest.approx(high / 10)
    assert found["pj_per_neuron_update"] == pytest.approx(high / 5)
    assert found["nj_per_sample"] == pytest.approx(high / 2000)
    assert found["breakdown"] == {
        "memory": [0.05, 0.02], "state": 0, "lists": 0.003, "banks": 0.002, "lanes": 0.018,
        "control": 0.0015, "host_link": 0.0095, "clock": clock / 2000, "leakage": 0.001125}
    assert found["pj_per_sop_with_wires"] == pytest.approx(high / 10 + 5)
    assert (found["sops"], found["busy_cycles"], found["all_cycles"]) == (5, 37.5, 50)


def test_only_the_corner_that_decides_fails():
    def timing(corner, setup, hold):
        path = {"start": "a", "end": "b"}
        return {"corner": corner, "setup": {"rise": {**path, "slack_ns": setup}},
                "hold": {"rise": {**path, "slack_ns": hold}}}

    good = [timing(SLOW, 0.1, -1), timing(FAST, -1, 0.0)]
    assert failing({"clock_mhz": 66, "timing": good}) == []
    bad = [timing(SLOW, -0.25, 1), timing(FAST, 1, -0.004)]
    assert failing({"clock_mhz": 66, "timing": bad}) == [
        f"setup at {SLOW}: a to b misses 66 MHz by 0.250 ns",
        f"hold at {FAST}: a to b misses 66 MHz by 0.004 ns"]


def test_the_process_is_a_target():
    target = load_target("sky130")
    assert isinstance(target, Process) and not target.is_board
    assert TARGETS["icebreaker"].is_board and target.clock_mhz == 66


@pytest.mark.parametrize(("old", "new", "message"), [
    ("word_bits = 128\n", "word_bits = 16\n", "word_bits must be in 32..1024, not 16"),
    ("word_bits = 128\n", "", "missing key 'word_bits'"),
    ("word_bits = 128\n", "word_bits = 128\nbaud = 9600\n", "unknown key 'baud'"),
    ("lanes = 16", 'lanes = 8\nbank = "spram"', "bank must be inferred or behavioural on sky130, "
                                                "not spram")])
def test_bad_processes_are_refused(tmp_path, old, new, message):
    source = TARGETS["sky130"].constraint
    shutil.copyfile(source, tmp_path / source.name)
    text = source.with_suffix(".toml").read_text()
    assert text.count(old) == 1
    path = tmp_path / "own.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(UserError, match=rf"{message}$"):
        load_target(str(path))


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Folder of a whole flow of the digits on the netlist."""
    if find_sta() is None:
        pytest.skip("OpenSTA is not installed")
    out = tmp_path_factory.mktemp("chip") / "digits"
    status = cli.main(["flow", *NETWORK, "--target", "sky130", "--samples", str(SAMPLES),
                       "-o", str(out)])
    assert status == 0
    return out


def test_the_whole_flow(kit, digits):
    report = json.loads((digits / "report.json").read_text())
    synth, energy = report["synth"], report["energy"]
    gates = synth["gates"]
    assert (gates["samples"], gates["mismatches"]) == (SAMPLES, 0)
    assert gates["events_compared"] > 50 and gates["membranes_compared"] == 26 * SAMPLES
    assert [timing["corner"] for timing in synth["timing"]] == list(CORNERS)
    assert synth["fmax_mhz"] >= synth["clock_mhz"] and synth["bitstream"] is None
    assert synth["timing"][-1]["hold_slack_ns"] >= 0
    assert sum(synth["area_by_block"].values()) == pytest.approx(synth["area_um2"], rel=1e-6)
    low, high = (energy["measured"]["bounds"][bound]["pj_per_sop"] for bound in ("low", "high"))
    assert 0 < low < high == energy["pj_per_sop"] < energy["measured"]["pj_per_sop_with_wires"]
    corners = sorted(energy["measured"]["corners"].items(), key=lambda item: corner_volts(item[0]))
    energies = [energy for _, energy in corners]
    assert len(corners) == 7 and energies == sorted(energies)
    page = (digits / "report.html").read_text()
    assert "<h2>Chip</h2>" in page and SLOW in page
    assert (digits / synth["netlist"]).is_file()


@pytest.mark.long
def test_from_unknown_contents(kit, digits, tmp_path):
    if shutil.which("iverilog") is None:
        pytest.skip("Icarus Verilog is not installed")
    config = HardwareConfig.from_json((digits / "design" / "config.json").read_text())
    program = Program.load(digits / "program")
    with np.load(digits / "golden" / "golden.npz") as kept:
        spikes = kept["sample"][None]
    found = simulate_from_unknown(program, config, spikes, mapped(digits / "synth", config),
                                  tmp_path / "four_state")
    assert found["samples"] == 1 and found["bytes_compared"] > 500


@pytest.mark.long
def test_a_device_that_answers_otherwise_is_caught(kit, digits, tmp_path):
    if shutil.which("iverilog") is None:
        pytest.skip("Icarus Verilog is not installed")
    config = HardwareConfig.from_json((digits / "design" / "config.json").read_text())
    other = HardwareConfig.from_json(config.to_json().replace('"layers": 2', '"layers": 3'))
    program = Program.load(digits / "program")
    spikes = np.zeros((1, program.timesteps, program.axons), dtype=np.uint8)
    with pytest.raises(UserError, match=r"the netlist differs in four states: FAIL another byte "
                                        r"than expected, cycle \d+, byte \d+$"):
        simulate_from_unknown(program, other, spikes, mapped(digits / "synth", config),
                              tmp_path / "four_state")
