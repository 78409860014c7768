"""The report: keys that other tools rely on, stable bytes, and a page that stands alone."""

import html.parser
import json
import re

import numpy as np
import pytest

from lamina.flows.report import plots, report
from lamina.flows.report.energy import Operations, energy_block
from lamina.flows.report.peers import MARKS, PEERS
from lamina.flows.search.energy import CALIBRATIONS
from lamina.models.config import HardwareConfig, ResetRule
from lamina.models.program import Layer, Program
from lamina.models.source import INPUT, Source
from lamina.models.trace import Trace

QUANTISATION = {"weight_bits": 8, "state_bits": 16, "acc_bits": 18, "tiers": [2, 2, 2, 2],
                "float_accuracy": 0.98, "integer_accuracy": 0.975, "agreement": 0.995}
GOLDEN = {"samples": 100, "accuracy": 0.975, "spikes_per_sample": 81.5,
          "sops_per_sample": 1234.0, "neuron_updates_per_sample": 672, "seconds": 0.1}
VERIFY = {"simulator": "verilator 5.48", "samples": 20, "timesteps": 16, "events_compared": 12345,
          "membranes_compared": 840, "mismatches": 0, "cycles_per_sample": 5000.0,
          "sop_per_lane_cycle": 0.9, "seconds": 3.0}
SYNTH = {"target": "icebreaker", "tool_versions": {"yosys": "0.70"}, "luts": 3000, "ffs": 1000,
         "brams": 20, "sprams": 4, "dsps": 8, "cells": None, "area_um2": None, "fmax_mhz": 40.0,
         "images_per_second": None, "link_images_per_second": 55.0,
         "bitstream": "synth/digits.bin"}


def layer(name, axons, neurons, decay=240):
    rng = np.random.default_rng(axons)
    return Layer(name=name, weights=rng.integers(-128, 128, (axons, neurons)),
                 decay=np.full(neurons, decay), theta=np.full(neurons, 500),
                 r=np.full(neurons, 500), v_reset=np.zeros(neurons, int),
                 bias=np.zeros(neurons, int), reset=ResetRule.SUBTRACT)


@pytest.fixture
def program():
    return Program(name="digits", layers=(layer("fc1", 64, 32), layer("fc2", 32, 10, decay=256)),
                   timesteps=16, weight_bits=8, acc_bits=18, gated_tiers=1, input_shape=(8, 8),
                   assumptions={"dt": "1e-4 s from tau <b>"})


@pytest.fixture
def trace():
    rng = np.random.default_rng(5)
    spikes = tuple((rng.random((1, 16, n)) < 0.3).astype(np.uint8) for n in (32, 10))
    values = tuple(rng.integers(-500, 900, (1, 16, n)) for n in (32, 10))
    assert spikes[1].any()
    return Trace(spikes=spikes[1], final_membranes=tuple(v[:, -1] for v in values),
                 layer_spikes=spikes, layer_membranes=values,
                 spike_counts=np.ones((3, 1), dtype=np.int64))


@pytest.fixture
def built(program):
    return report.build_report(program, quantisation=QUANTISATION, golden=GOLDEN, verify=VERIFY,
                               synth=SYNTH)


@pytest.fixture
def page(built, program, trace):
    calibration = {"samples": 300, "layers": [
        {"name": "fc1", "agreement": 0.99, "scale": "per neuron"},
        {"name": "fc2", "agreement": 1.0, "scale": "per layer"}]}
    sample = (np.random.default_rng(6).random((16, 64)) < 0.2).astype(np.uint8)
    return report.render_html(built, program, HardwareConfig(bank="spram"), target="icebreaker",
                              calibration=calibration, sample=sample, trace=trace, label=3,
                              confusion=np.eye(10, dtype=int) * 10)


def test_the_network_is_counted(program):
    assert report.network_block(program) == {
        "name": "digits", "synapses": 64 * 32 + 32 * 10, "parameters": 64 * 32 + 32 * 10,
        "layers": [{"inputs": 64, "neurons": 32, "neuron_model": "LIF"},
                   {"inputs": 32, "neurons": 10, "neuron_model": "IF"}]}


def test_neuron_models_have_their_names(program):
    current = Layer(**{**vars(layer("syn", 64, 32)), "spiking": False, "theta": np.zeros(32, int),
                       "r": np.zeros(32, int), "reset": ResetRule.VALUE})
    fed = Layer(**{**vars(layer("lif", 64, 32)), "weights": np.zeros((0, 32), int), "current": 0})
    silent = Layer(**{**vars(layer("out", 32, 10, decay=0)), "reset": ResetRule.SUBTRACT})
    readout = Layer(**{**vars(current), "name": "li", "weights": np.ones((10, 32), int)})
    summing = Layer(**{**vars(readout), "name": "sum", "weights": np.ones((32, 32), int),
                       "decay": np.full(32, 256)})
    made = Program(**{**vars(program), "layers": (current, fed, silent, readout)})
    assert report.network_block(made)["layers"] == [
        {"inputs": 64, "neurons": 32, "neuron_model": "CubaLIF"},
        {"inputs": 32, "neurons": 10, "neuron_model": "Threshold"},
        {"inputs": 10, "neurons": 32, "neuron_model": "LI"}]
    slow = Layer(**{**vars(readout), "name": "cuba", "weights": np.zeros((0, 32), int),
                    "current": 0})
    for last, name in ((summing, "I"), (slow, "CubaLI")):
        layers = (current, last) if last is slow else (current, fed, last)
        built = Program(**{**vars(program), "layers": layers})
        assert report.network_block(built)["layers"][-1]["neuron_model"] == name


def test_copied_sources_are_inputs_once(program):
    source = Source(layer=INPUT, units=64)
    twice = Layer(**{**vars(layer("fc1", 128, 32)), "sources": (source, source)})
    block = report.network_block(Program(**{**vars(program),
                                            "layers": (twice, program.layers[1])}))
    assert block["layers"][0]["inputs"] == 64
    assert block["synapses"] == block["parameters"] == 128 * 32 + 32 * 10


def test_losses_are_drawn_and_the_first_disagreement_told(built, program):
    first = {"sample": 3, "timestep": 5, "layer": "fc2", "neuron": 7, "float_spike": 1,
             "integer_spike": 0, "float_membrane": 0.25, "float_theta": 1.0,
             "integer_membrane": 120, "integer_theta": 127}
    losses = [{"name": name, "scale": "layer", "spike_agreement": 0.99, "jaccard": 0.9,
               "first": None} for name in ("fc1", "fc2")]
    page = report.render_html(built, program, None, target="icebreaker", calibration={
        "samples": 10, "layers": losses, "first_disagreement": first})
    assert ("Sample 3, timestep 5, layer fc2, neuron 7: only the float network fires; membranes "
            "after it 0.25 (threshold 1) and 120 (threshold 127)") in page
    assert page.count("data:image/svg+xml;base64,") == 1 and "NeuroBench" not in page


def test_the_page_has_neurobench(program):
    block = {"samples": 3, "synaptic_operations": {"Effective_ACs": 1234.5, "Dense": 99999}}
    made = report.build_report(program, quantisation=QUANTISATION, golden=GOLDEN, verify=None,
                               synth=None, neurobench=block)
    assert made["neurobench"] == block
    page = report.render_html(made, program, None, target="icebreaker")
    assert "<h2>NeuroBench</h2>" in page and "99,999" in page


def test_an_exploration_is_a_line_per_width():
    entry = {"weight_bits": 4, "accuracy": None, "agreement": 0.995, "jaccard": 0.91,
             "memory_bits": 4096, "cycles_per_sample": None, "fits": False}
    rows = report.result_rows({"widths": [entry, entry | {
        "weight_bits": 8, "accuracy": 0.98, "cycles_per_sample": 1234.0, "fits": True}],
        "chosen": None})
    assert rows == [
        ("4 bit", "agreement 99.50 %, Jaccard 0.9100, 4,096 bit of weights, cycles not predicted, "
                  "does not fit"),
        ("8 bit", "accuracy 98.00 %, Jaccard 0.9100, 4,096 bit of weights, "
                  "1,234 cycles per sample, fits"),
        ("chosen", "none keeps enough")]


def test_used_biases_are_parameters(program):
    biased = Layer(**{**vars(layer("fc1", 64, 32)), "bias": np.full(32, 3)})
    with_bias = Program(**{**vars(program), "layers": (biased, program.layers[1])})
    assert report.network_block(with_bias)["parameters"] == 64 * 32 + 32 * 10 + 32


def test_the_rate_follows_from_clock_and_cycles(built):
    assert built["synth"]["images_per_second"] == 8000.0
    assert SYNTH["images_per_second"] is None


def test_steps_that_did_not_run_are_null(program):
    bare = report.build_report(program, quantisation=QUANTISATION, golden=GOLDEN, verify=None,
                               synth=None)
    assert (bare["verify"], bare["synth"], bare["energy"]) == (None, None, None)
    alone = report.build_report(program, quantisation=QUANTISATION, golden=GOLDEN, verify=None,
                                synth=SYNTH)
    assert alone["synth"]["images_per_second"] is None


def test_the_text_is_json_with_a_version(built):
    text = report.report_text(built)
    assert json.loads(text) == built
    assert built["schema_version"] == report.SCHEMA_VERSION == 1
    with pytest.raises(ValueError, match=r"^Out of range float values are not JSON compliant"):
        report.report_text({"x": float("nan")})


def test_the_page_stands_alone(page):
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "http" not in re.sub(r"data:[^\"]*", "", page)
    assert page.count("data:image/svg+xml;base64,") == 5


def test_the_page_tells_what_matters(page):
    for text in ("64-32-10", "97.50 %", "hardware equals golden model", "12,345", "8,000",
                 "label 3", "fc1: words 0..255", "fc2: words 256..319", "1e-4 s from tau &lt;b&gt;",
                 "99.00 %", "Spiker+", "per layer"):
        assert text in page, text


def test_the_page_is_well_formed(page):
    open_tags = []

    class Checker(html.parser.HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag not in ("meta", "img"):
                open_tags.append(tag)

        def handle_endtag(self, tag):
            assert open_tags.pop() == tag

    Checker().feed(page)
    assert open_tags == []


def test_the_gated_tier_is_striped(page):
    bars = page.split('<div class="bar">')[1:]
    assert len(bars) == 4
    assert ['class="off"' in bar for bar in bars] == [False, False, False, True]
    assert "off</span>" in bars[3]


def test_a_layer_gate_shows_only_in_its_layer(program):
    gated = Layer(**{**vars(layer("fc2", 32, 10)), "gated_tiers": 2})
    mixed = Program(**{**vars(program), "layers": (program.layers[0], gated), "gated_tiers": 0})
    memory = report._memory(mixed, HardwareConfig())
    assert [[part["gated"] for part in tier["parts"]] for tier in memory["tiers"]] == [
        [False, False], [False, False], [False, True], [False, True]]
    assert memory["tiers"][3]["text"].endswith("off in fc2")


def test_the_page_goes_without_what_is_missing(program):
    nothing = dict.fromkeys(QUANTISATION) | {"weight_bits": 8}
    bare = report.build_report(program, quantisation=nothing, golden=GOLDEN, verify=None,
                               synth=None)
    page = report.render_html(bare, program, None, target="icebreaker")
    assert "not verified" in page
    assert "<img" not in page
    assert "Weight memory" not in page


def test_the_page_shows_energy_and_front(program):
    counts = Operations(by_layer=(900.0, 100.0), nominal=1000.0, samples=100)
    energy = energy_block(program, counts, (2, 2, 2, 2), CALIBRATIONS["45nm"], {})
    made = report.build_report(program, quantisation=QUANTISATION, golden=GOLDEN, verify=None,
                               synth=None, energy=energy)
    front = {"neurons": [32, 10], "nominal_accuracy": 0.98, "evaluations": 20, "chips": 3,
             "configurations": 400, "samples": 500, "calibration": {"name": "45nm"}, "tried": [
                 {"accuracy": 0.9, "energy": 0.5, "configuration": ""}], "front": [
                 {"name": "X1", "accuracy": 0.9321, "energy": 0.4567, "layers": [
                     {"name": name, "adder": "loa:4", "tier_modes": "UV3@0.8"}
                     for name in ("fc1", "fc2")]}]}
    page = report.render_html(made, program, None, target="icebreaker", front=front)
    for text in ("<h2>Energy</h2>", "<h2>Front</h2>", "93.21 %", "0.457", "1 gated", "20 of 400",
                 "4.12 uJ per prediction", "Kobayashi 2024: MNIST", "data:image/png;base64,"):
        assert text in page, text
    assert "<h2>Voltage</h2>" not in page
    assert dict(report.result_rows(made))["energy / E0"] == "0.7708"


def test_mismatches_are_shouted(program):
    wrong = report.build_report(program, quantisation=QUANTISATION, golden=GOLDEN,
                                verify={**VERIFY, "mismatches": 3}, synth=None)
    page = report.render_html(wrong, program, None, target="icebreaker")
    assert 'class="verdict bad">3 mismatches' in page


def test_the_same_run_gives_the_same_bytes(trace):
    spikes = trace.layer_spikes[0][0]
    assert plots.raster(spikes, "x") == plots.raster(spikes, "x")
    assert "<dc:date>" not in plots.raster(spikes, "x")


def test_a_raster_counts_its_spikes():
    assert "x: 0 spikes" in plots.raster(np.zeros((4, 3), dtype=np.uint8), "x")
    assert "x: 12 spikes" in plots.raster(np.ones((4, 3), dtype=np.uint8), "x")


def test_every_figure_of_a_peer_is_marked():
    marks = "".join(MARKS)
    for peer in PEERS:
        for value in (peer.cycles, peer.resources, peer.clock, peer.accuracy):
            assert value == "-" or re.search(rf"\[[{marks}]\]$", value), (peer.system, value)


def test_the_headlines_of_a_report_are_short(built):
    rows = dict(report.result_rows(built))
    assert rows["verification"].startswith("hardware equals golden model")
    assert rows["samples per second, computing"] == "8,000"
    assert rows["bitstream"] == "synth/digits.bin"
    assert len(rows) < 15


def test_other_results_are_shown_whole():
    rows = report.result_rows({"golden": GOLDEN, "samples": 3, "accuracy": 0.5, "none": None,
                               "network": {"name": "x"}})
    assert ("golden: accuracy", "97.50 %") in rows
    assert ("samples", "3") in rows
    assert ("accuracy", "50.00 %") in rows
    assert all("none" not in name and "network" not in name for name, _ in rows)
