"""The device through the host link: samples, traces, interruptions, mismatches, netlist."""

import re
import subprocess
import sys

import numpy as np
import pytest

from lamina.flows.backend import simulate
from lamina.flows.backend import verify as verifier
from lamina.flows.backend.simulate import Simulation, SimulationError, all_reporting, run_rtl
from lamina.flows.backend.verify import verify
from lamina.flows.errors import UserError
from lamina.models.config import HardwareConfig
from lamina.models.link.driver import Exchange
from lamina.models.network import run
from lamina.tb.device_port import DevicePort
from lamina.tb.programs import random_program, random_spikes

CONFIG = HardwareConfig(weight_words=256, axons=64, groups=4, acc_bits=20, output_words=16)
SPRAM = HardwareConfig(bank="spram", weight_words=256, axons=64, groups=4, acc_bits=20)


def case(seed, samples=2, config=CONFIG):
    """Random program that fires, and spikes for it."""
    rng = np.random.default_rng(seed)
    while True:
        program = random_program(rng, config, timesteps=4)
        spikes = random_spikes(rng, program, samples)
        if run(program, spikes, config.tiers).spike_counts.all():
            return program, spikes


def check(program, spikes, trace):
    """`trace`, of a device, against the golden one; every layer reported."""
    golden = run(program, spikes, CONFIG.tiers, trace=True, plain=True)
    for ours, theirs in zip(trace.layer_spikes, golden.layer_spikes, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(trace.final_membranes, golden.final_membranes, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert golden.spike_counts[1:].any()
    return golden


@pytest.fixture(scope="module")
def simulation(build_dir):
    return Simulation.of(CONFIG, build_dir / "device")


def test_samples_agree_in_any_company(simulation):
    """Stalled links, one or two processes: the same results; unstalled, also the same cycles."""
    program, spikes = case(1, samples=simulate.CHUNK_SAMPLES + 2)
    program = all_reporting(program)
    seen = []
    trace, figures = simulation.run(program, spikes, progress=lambda *done: seen.append(done))
    check(program, spikes, trace)
    assert seen[-1] == (len(spikes), len(spikes))
    assert figures["counters"]["ticks"] == len(spikes) * 4
    stalled, _ = simulation.run(program, spikes[:2], stall=120, workers=1)
    check(program, spikes[:2], stalled)
    alone, again = simulation.run(program, spikes[-2:], workers=1)
    np.testing.assert_array_equal(alone.spikes, trace.spikes[-2:])
    assert again["cycles_per_sample"] > 0


def test_an_interrupted_run_goes_on(simulation, monkeypatch):
    """What was finished is not run again, and the figures do not tell."""
    program, spikes = case(2, samples=simulate.CHUNK_SAMPLES + 1)
    trace, figures = simulation.run(program, spikes, workers=1)
    job = simulation._job(program, spikes, None, trace=False, stall=0)
    (job / f"chunk-{simulate.CHUNK_SAMPLES}.npz").unlink()
    started = []
    start = simulation._start_part
    monkeypatch.setattr(Simulation, "_start_part",
                        lambda self, job, part: started.append(part) or start(job, part))
    repeated, figures_again = simulation.run(program, spikes, workers=2)
    assert started == [{"chunks": [(simulate.CHUNK_SAMPLES, 1)]}]
    np.testing.assert_array_equal(repeated.spikes, trace.spikes)
    assert figures_again["counters"] == figures["counters"]


def test_traces_hold_every_timestep(build_dir):
    program, spikes = case(3)
    trace, _ = run_rtl(program, CONFIG, spikes, build_dir=build_dir / "device", trace=True)
    golden = check(program, spikes, trace)
    for ours, theirs in zip(trace.layer_membranes, golden.layer_membranes, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_silent_layers_stay_silent(build_dir):
    """Layers that do not report leave no events; the last one always reports."""
    program, spikes = case(4)
    trace, _ = run_rtl(program, CONFIG, spikes, build_dir=build_dir / "device", workers=1)
    golden = run(program, spikes, CONFIG.tiers, trace=True)
    for layer, ours, theirs in zip(program.layers[:-1], trace.layer_spikes, golden.layer_spikes,
                                   strict=False):
        np.testing.assert_array_equal(ours, theirs if layer.report else 0 * theirs)
    np.testing.assert_array_equal(trace.spikes, golden.spikes)


def test_verification_counts_what_it_compared(tmp_path, build_dir, monkeypatch):
    program, spikes = case(5)
    shared(monkeypatch, build_dir)
    golden = run(program, spikes, CONFIG.tiers, trace=True)
    labels = golden.spikes.sum(axis=1).argmax(axis=1)
    result = verify(program, CONFIG, spikes, labels, tmp_path, workers=1)
    assert result["mismatches"] == 0
    assert result["samples"] == 2
    assert result["timesteps"] == 8
    assert result["events_compared"] == sum(fired.sum() for fired in golden.layer_spikes) > 0
    assert result["membranes_compared"] == 2 * sum(layer.neurons for layer in program.layers)
    assert result["accuracy"] == 1.0
    assert result["waveform"] is None


def shared(monkeypatch, build_dir):
    """Have verification use the simulators of these tests."""
    build = Simulation.of
    monkeypatch.setattr(Simulation, "of", lambda config, folder, **options: build(
        config, build_dir / "device", **options))


@pytest.mark.long
def test_a_mismatch_is_named_and_leaves_waves(tmp_path, build_dir, monkeypatch, capsys):
    """The golden run of one sample is changed: that neuron and timestep are reported."""
    program, spikes = case(6)
    shared(monkeypatch, build_dir)

    def changed(program, spikes, tiers, trace):
        golden = run(program, spikes, tiers, trace=trace)
        golden.layer_spikes[0][-1, 2, 0] ^= 1
        golden.final_membranes[-1][-1, 0] += 1
        return golden

    monkeypatch.setattr(verifier, "run", changed)
    result = verify(program, CONFIG, spikes, None, tmp_path, workers=1)
    first = result["first_mismatches"][0]
    name = program.layers[0].name
    assert (first["sample"], first["timestep"], first["layer"], first["neuron"]) == (1, 2, name, 0)
    assert result["mismatches"] == 2
    assert result["accuracy"] is None
    assert re.search(rf"^mismatch at sample 1, timestep 2, layer {name}, neuron 0, quantity spike, "
                     rf"expected {first['expected']}, got {1 - first['expected']}$",
                     capsys.readouterr().err, re.MULTILINE)
    assert "tx_payload" in (tmp_path / "mismatch.vcd").read_text()
    monkeypatch.setattr(verifier, "run", run)
    assert verify(program, CONFIG, spikes, None, tmp_path, waves=True)["waveform"] == "waves.vcd"
    assert (tmp_path / "waves.vcd").stat().st_size > 0


@pytest.mark.long
def test_the_netlist_agrees(build_dir):
    """After synthesis for the UltraPlus: logic cells, block RAM, DSP and SPRAM as Yosys models."""
    program, spikes = case(7, samples=4, config=SPRAM)
    program = all_reporting(program)
    trace, _ = run_rtl(program, SPRAM, spikes, build_dir=build_dir.relative_to(build_dir.cwd())
                       / "netlist", netlist=True)
    check(program, spikes, trace)


def test_a_missing_compiler_is_named(build_dir, monkeypatch):
    monkeypatch.setattr(simulate.shutil, "which", lambda command: None)
    with pytest.raises(UserError, match=r"^make was not found: building the simulator needs "
                                        r"GNU make$"):
        Simulation.of(CONFIG, build_dir / "device")


def test_a_simulator_that_dies_without_a_word_is_an_error():
    with pytest.raises(SimulationError, match=r"^simulation ended with 3$"):
        simulate._answer(subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"], text=True,
                                          stdout=subprocess.PIPE, stderr=subprocess.PIPE))


def test_an_exchange_has_a_limit():
    with pytest.raises(ValueError, match=r"^data must hold at most 2560 bytes, not 2561$"):
        DevicePort(None).exchange(Exchange(data=bytes(2561))).send(None)


def test_a_device_that_does_not_answer_is_an_error(simulation, monkeypatch):
    """A device of another configuration: the driver refuses it, and the log says so."""
    program, spikes = case(8)
    stranger = Simulation(config=HardwareConfig(weight_words=512, axons=64, groups=4, acc_bits=20),
                          sources=simulation.sources, defines=simulation.defines,
                          build_dir=simulation.build_dir)
    with pytest.raises(SimulationError, match=r"LinkError: configuration lamina must have "
                                              r"fingerprint [0-9a-f]{8}, not [0-9a-f]{8}"):
        stranger.run(program, spikes, workers=1)
