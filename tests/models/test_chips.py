"""Many chips at once against one run after the other, and chips that fail anew at every read."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest

from lamina.models.chips import Chips
from lamina.models.config import ResetRule
from lamina.models.decoder import decode
from lamina.models.faults import FaultModel, faulty_program
from lamina.models.network import run
from lamina.models.program import Program
from lamina.models.ranges import accumulator_bits
from lamina.models.transient import run_transient

LANES, TIERS = 8, (2, 2, 2, 2)
MILLIVOLTS = (800, 750, 1100, 700)


def spread(low, high, neurons):
    return np.random.default_rng(neurons).integers(low, high, neurons)


def chain(make_layer, *, decay=200, state_bits=16, decoding="count", **changes):
    """30-12-7 neurons that fire now and then; the last layer with `changes`."""
    rng = np.random.default_rng(3)
    first = make_layer(name="a", weights=rng.integers(-60, 90, (30, 12)), decay=decay, r=300,
                       theta=spread(200, 300, 12), bias=spread(-9, 9, 12))
    fields = {"weights": rng.integers(-60, 90, (12, 7)), "decay": decay,
              "theta": spread(90, 140, 7), "r": 120} | changes
    layers = (first, make_layer(name="b", **fields))
    acc_bits = accumulator_bits(layers, tiers=TIERS, gated=0, fill="mid", decay_bits=8,
                                state_bits=state_bits, millivolts=MILLIVOLTS)
    return Program(name="chain", layers=layers, timesteps=9, weight_bits=8, acc_bits=acc_bits,
                   state_bits=state_bits, tier_millivolts=MILLIVOLTS, decoding=decoding)


def stimulus(samples=70, timesteps=9):
    return (np.random.default_rng(5).random((samples, timesteps, 30)) < 0.3).astype(np.uint8)


def one_by_one(program, spikes, chips):
    for chip in chips:
        trace = run(faulty_program(program, LANES, TIERS, chip), spikes, TIERS, plain=True,
                    trace=True)
        assert trace.wraps == 0 and trace.layer_spikes[0].any()
        yield decode(program.decoding, trace.spikes, trace.membranes)


CASES = {
    "subtract": {}, "value": {"reset": ResetRule.VALUE, "r": 0, "v_reset": spread(-9, 9, 7)},
    "delayed": {"reset": ResetRule.SUBTRACT_DELAYED}, "double": {"state_bits": 30},
    "integrate": {"decay": 256, "state_bits": 22}, "saturate": {"decay": 256, "state_bits": 10},
    "first": {"decoding": "first"}, "final": {"decoding": "v_final"},
    "readout": {"decoding": "v_sum", "spiking": False, "reset": ResetRule.VALUE, "theta": 0,
                "r": 0, "decay": 256},
    "largest": {"decoding": "v_max"},
}


@pytest.mark.parametrize("fields", CASES.values(), ids=CASES)
@pytest.mark.parametrize("kind", ["flip", "stuck"])
def test_stacked_chips_equal_single_ones(make_layer, fields, kind):
    program = chain(make_layer, **fields)
    faults = [FaultModel(kind=kind, chip=chip) for chip in range(19)]
    spikes = stimulus()
    spikes[:, :, 3] = 0
    chips = Chips(program, LANES, TIERS)
    assert chips.stacked
    got = chips.predict(spikes, faults)
    np.testing.assert_array_equal(got, list(one_by_one(program, spikes, faults)))
    assert len(np.unique(got, axis=0)) > 5 and len(np.unique(got)) > 3


@pytest.mark.parametrize("fields", [
    {"r": 0},
    {"spiking": False, "reset": ResetRule.VALUE, "theta": 0, "r": 0, "decoding": "count"}],
    ids=["ceiling", "no spikes"])
def test_saturated_membranes_and_silent_outputs(make_layer, fields):
    program = chain(make_layer, **{"decay": 256, "state_bits": 10, "decoding": "v_sum"} | fields)
    faults = [FaultModel(chip=chip) for chip in range(5)]
    got = Chips(program, LANES, TIERS).predict(stimulus(), faults)
    np.testing.assert_array_equal(got, list(one_by_one(program, stimulus(), faults)))


def test_membranes_rise_again_from_the_floor(make_layer):
    weights = np.random.default_rng(2).integers(-90, 80, (30, 7))
    layer = make_layer(weights=weights, theta=60, r=60)
    program = Program(name="floor", layers=(layer,), timesteps=9, weight_bits=8, state_bits=8,
                      acc_bits=20, tier_millivolts=MILLIVOLTS, decoding="v_final")
    faults = [FaultModel(chip=chip) for chip in range(5)]
    chips = Chips(program, LANES, TIERS)
    assert chips.stacked
    np.testing.assert_array_equal(chips.predict(stimulus(), faults),
                                  list(one_by_one(program, stimulus(), faults)))


def test_silent_samples_and_gated_tiers(make_layer):
    program = dataclasses.replace(chain(make_layer), gated_tiers=1, tier_fill="zero")
    faults = [FaultModel(chip=chip) for chip in range(3)]
    for spikes in (stimulus() * 0, stimulus(3)):
        got = Chips(program, LANES, TIERS).predict(spikes, faults)
        if spikes.any():
            np.testing.assert_array_equal(got, list(one_by_one(program, spikes, faults)))
        assert got.shape == (3, len(spikes))


def changed(program, index, **fields):
    layers = list(program.layers)
    layers[index] = dataclasses.replace(layers[index], **fields)
    return dataclasses.replace(program, layers=tuple(layers))


OTHERS = {
    "narrow": lambda program: dataclasses.replace(changed(program, 0, r=np.full(12, -32000)),
                                                  acc_bits=17),
    "lambda": lambda program: changed(program, 0, leak="subtract",
                                      decay=np.full(12, 20, dtype=np.int64)),
    "rederived": functools.partial(changed, index=1, reset=ResetRule.SUBTRACT_REDERIVED),
}


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS)
def test_what_the_stack_does_not_know_runs_chip_by_chip(make_layer, change):
    program = change(chain(make_layer, decay=256, weights=np.full((12, 7), 120)))
    faults = [FaultModel(chip=chip) for chip in range(2)]
    chips = Chips(program, LANES, TIERS)
    assert not chips.stacked
    expected = [run(faulty_program(program, LANES, TIERS, each), stimulus(), TIERS, plain=True)
                for each in faults]
    np.testing.assert_array_equal(
        chips.predict(stimulus(), faults),
        [decode("count", trace.spikes, trace.membranes) for trace in expected])


@pytest.mark.parametrize("kind", ["flip", "stuck"])
def test_lasting_faults_run_as_transient_ones_of_one_draw(make_layer, kind):
    program, faults = chain(make_layer), FaultModel(kind=kind, chip=6)
    got = run_transient(program, stimulus(), LANES, TIERS, faults)
    expected = run(faulty_program(program, LANES, TIERS, faults), stimulus(), TIERS, trace=True)
    for ours, theirs in zip((*got.layer_spikes, *got.layer_membranes, *got.final_membranes),
                            (*expected.layer_spikes, *expected.layer_membranes,
                             *expected.final_membranes), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(got.spike_counts, expected.spike_counts)


def test_transient_faults_differ_from_lasting_ones(make_layer):
    program = chain(make_layer)
    runs = [run_transient(program, stimulus(), LANES, TIERS, FaultModel(kind=kind, chip=6))
            for kind in ("transient", "transient", "flip")]
    np.testing.assert_array_equal(runs[0].layer_membranes[0], runs[1].layer_membranes[0])
    assert (runs[0].layer_membranes[0] != runs[2].layer_membranes[0]).mean() > 0.5


def test_transient_faults_need_a_chain(make_layer):
    program = OTHERS["lambda"](chain(make_layer))
    with pytest.raises(ValueError, match=r"^chain: transient faults must act on a plain chain of "
                                         r"layers$"):
        run_transient(program, stimulus(), LANES, TIERS, FaultModel(kind="transient"))


def test_voltages_are_one_per_tier(make_layer):
    program = dataclasses.replace(chain(make_layer), tier_millivolts=(800, 800))
    with pytest.raises(ValueError, match=r"^tier_millivolts must have 4 entries, one per tier, "
                                         r"not 2$"):
        Chips(program, LANES, TIERS)
