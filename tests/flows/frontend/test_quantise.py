import dataclasses

import nir
import numpy as np
import pytest

from lamina.flows.frontend.calibration import assess
from lamina.flows.frontend.float_network import FloatLayer, FloatNetwork, run_float
from lamina.flows.frontend.nir.reader import read_network
from lamina.flows.frontend.quantise import Recipe, quantise
from lamina.models.config import HardwareConfig, ResetRule
from lamina.models.network import run
from lamina.models.placement import misfits
from lamina.models.source import INPUT, Source

RNG = np.random.default_rng(42)
SPIKES = RNG.integers(0, 2, (200, 12, 24), dtype=np.uint8)
HELD_OUT = RNG.integers(0, 2, (200, 12, 24), dtype=np.uint8)


def layer(name, axons, neurons, reset, *, seed=0, strict=True, decay=0.9, bias=0.05):
    rng = np.random.default_rng(seed)
    ones = np.ones(neurons)
    theta = rng.uniform(0.8, 1.5, neurons)
    value = reset is ResetRule.VALUE
    return FloatLayer(name=name, weights=rng.normal(0.03, 0.35, (axons, neurons)),
                      bias=bias * rng.normal(size=neurons), decay=decay * ones, theta=theta,
                      v_reset=-0.1 * ones if value else 0 * ones, r=0 * ones if value else theta,
                      reset=reset, strict=strict)


def network(reset=ResetRule.SUBTRACT_DELAYED, **options):
    return FloatNetwork(name="net", timesteps=12, input_shape=(24,), layers=(
        layer("one", 24, 16, reset, seed=1, **options),
        layer("two", 16, 5, reset, seed=2, **options)))


def jaccard(program, source, recipe, spikes=HELD_OUT):
    table = assess(source, program, spikes, tiers=recipe.tiers)
    assert all(loss.float_spikes > 200 for loss in table.layers)
    return [loss.jaccard for loss in table.layers]


@pytest.mark.parametrize("reset", ResetRule)
@pytest.mark.parametrize(("bits", "least"), [(16, 0.99), (8, 0.85), (4, 0.5)])
def test_programs_fire_like_their_float_network(reset, bits, least):
    source, recipe = network(reset), Recipe.choose(bits)
    program, table = quantise(source, SPIKES, recipe=recipe)
    assert min(jaccard(program, source, recipe)) >= least
    assert program.weight_bits == bits and program.decay_bits == (16 if bits == 16 else 8)
    assert table.samples == 200 and table.float_accuracy is None
    assert [loss.scale in ("neuron", "layer") for loss in table.layers] == [True, True]
    assert run(program, HELD_OUT, recipe.tiers).wraps == 0


def test_binary_weights_keep_some_of_it():
    source, recipe = network(), Recipe.choose(1)
    program, _ = quantise(source, SPIKES, recipe=recipe)
    assert np.unique(program.layers[0].weights).tolist() == [-1, 1]
    assert jaccard(program, source, recipe)[0] > 0.3


@pytest.mark.parametrize(("strict", "theta"), [(True, 9), (False, 8)])
def test_thresholds_follow_the_comparison(strict, theta):
    ones = np.ones(1)
    cell = FloatLayer(name="a", weights=np.array([[127.0], [4.0]]), bias=0 * ones, decay=ones,
                      theta=8 * ones, v_reset=0 * ones, r=8 * ones, reset=ResetRule.SUBTRACT,
                      strict=strict)
    source = FloatNetwork(name="net", layers=(cell,), timesteps=4, input_shape=(2,))
    spikes = np.array([[[0, 1]] * 4], dtype=np.uint8)
    program, table = quantise(source, spikes)
    assert program.layers[0].weights.tolist() == [[127], [4]]
    assert program.layers[0].theta.tolist() == [theta]
    assert program.layers[0].r.tolist() == [8] and program.layers[0].decay.tolist() == [256]
    assert table.layers[0].float_spikes == (1 if strict else 2)
    assert table.layers[0].jaccard == 1.0


def test_hardware_gives_the_widths():
    config = HardwareConfig(tiers=(4, 4), decay_bits=6, state_bits=14, acc_bits=17)
    recipe = Recipe.choose(8, config)
    assert recipe == Recipe(weight_bits=8, decay_bits=6, state_bits=14, acc_bits=17, tiers=(4, 4))
    program, _ = quantise(network(), SPIKES, recipe=recipe)
    assert (program.state_bits, program.decay_bits) == (14, 6)
    assert misfits(program, config) == []
    assert Recipe.choose(16, config) == Recipe.choose(16)
    assert Recipe.choose(1, dataclasses.replace(config, tiers=(2,))).tiers == (2,)


def test_a_narrow_store_and_accumulator_bound_the_scales():
    config = HardwareConfig(state_bits=8, acc_bits=10)
    source = network()
    program, table = quantise(source, SPIKES, recipe=Recipe.choose(8, config))
    assert misfits(program, config) == []
    assert max(loss.theta_high for loss in table.layers) < 32 + 8
    assert table.agreement > 0.5


def test_the_store_is_as_wide_as_the_rule_says():
    program, table = quantise(network(), SPIKES)
    peak = max(max(loss.membrane_high, loss.theta_high, *layer.r.tolist())
               for loss, layer in zip(table.layers, program.layers, strict=True))
    lowest = min(loss.membrane_low for loss in table.layers)
    assert (peak << 2) < 1 << (program.state_bits - 1)
    assert lowest >= -(1 << (program.state_bits - 1))
    assert (peak << 2) >= 1 << (program.state_bits - 2) or lowest < -(1 << (program.state_bits - 2))
    assert sum(loss.saturations for loss in table.layers) == 0


def test_gated_tiers_are_seen_while_calibrating():
    source = network()
    recipe = Recipe.choose(8, layer_gated={"two": 1}, gated_tiers=2)
    program, _ = quantise(source, SPIKES, recipe=recipe)
    assert program.gated_tiers == 2
    assert [layer.gated_tiers for layer in program.layers] == [0, 1]
    blind, _ = quantise(source, SPIKES)
    blind = dataclasses.replace(blind, gated_tiers=2)
    assert jaccard(program, source, recipe)[1] > jaccard(blind, source, recipe)[1]


def test_silent_neurons_do_not_blow_up_the_scales():
    cell = layer("a", 24, 4, ResetRule.SUBTRACT)
    weights = cell.weights.copy()
    weights[:, 2] = 0
    source = FloatNetwork(name="net", timesteps=12, input_shape=(24,),
                          layers=(dataclasses.replace(cell, weights=weights),))
    program, _ = quantise(source, SPIKES)
    assert not program.layers[0].weights[:, 2].any()
    assert program.layers[0].theta[2] < 16 * program.layers[0].theta[[0, 1, 3]].max()
    assert program.state_bits <= 16
    none = dataclasses.replace(source, layers=(dataclasses.replace(cell, weights=0 * weights),))
    assert not run(quantise(none, SPIKES)[0], SPIKES, (2, 2, 2, 2)).spikes.any()


def test_the_same_input_gives_the_same_program(small_net):
    source = read_network(small_net)
    spikes = SPIKES[:, :, :6]
    first, second = (quantise(source, spikes)[0] for _ in range(2))
    for one, two in zip(first.layers, second.layers, strict=True):
        for name in ("weights", "theta", "r", "bias", "decay", "v_reset"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert first.assumptions == source.assumptions and first.input_shape == (6,)


def test_the_table_counts_by_hand(write_nir, lif):
    path = write_nir({"input": nir.Input(np.array([2])), "fc": nir.Linear(np.eye(2) * 1.5),
                      "lif": lif(2), "output": nir.Output(np.array([2]))})
    source = read_network(path, reset="subtract")
    spikes = np.zeros((4, 3, 2), dtype=np.uint8)
    spikes[0, 0, 0] = spikes[1, 0, 1] = spikes[2, 1, 1] = 1
    program, _ = quantise(source, spikes)
    theta = np.array([program.layers[0].theta[0], 500])
    deaf = dataclasses.replace(program.layers[0], theta=theta)
    program = dataclasses.replace(program, layers=(deaf,))
    table = assess(source, program, spikes, np.array([0, 1, 1, 1]), tiers=(2, 2, 2, 2))
    assert run_float(source, spikes).spikes.sum() == 3
    loss = table.layers[0]
    assert (loss.float_spikes, loss.integer_spikes, loss.jaccard) == (3, 1, 1 / 3)
    assert loss.spike_agreement == 22 / 24 and loss.scale == "given"
    assert (table.float_accuracy, table.integer_accuracy, table.agreement) == (0.75, 0.25, 0.5)
    assert table.to_dict()["layers"][0]["name"] == "lif"


def recurrent(largest):
    """One layer that hears itself, some of whose weights are `largest` times the others."""
    rng = np.random.default_rng(7)
    weights = rng.normal(0, 0.3, (24 + 10, 10))
    weights[:12:2] *= largest
    cell = dataclasses.replace(
        layer("a", 24, 10, ResetRule.SUBTRACT_DELAYED), weights=weights,
        sources=(Source(layer=INPUT, units=24), Source(layer=0, units=10, delay=1)))
    return FloatNetwork(name="net", layers=(cell,), timesteps=12, input_shape=(24,))


def test_copies_of_sources_make_scales_finer():
    source, tiers = recurrent(20.0), Recipe().tiers
    once, plain = quantise(source, SPIKES)
    program, table = quantise(source, SPIKES, recipe=Recipe(copies=4))
    assert plain.layers[0].scale in ("neuron", "layer")
    assert table.layers[0].scale in ("neuron, 4 copies", "layer, 4 copies"), table.layers
    assert program.layers[0].sources == 4 * once.layers[0].sources
    assert program.layers[0].weights.shape == (4 * 34, 10)
    assert np.abs(program.layers[0].weights).max() <= 128
    before, after = (assess(source, made, HELD_OUT, tiers=tiers).layers[0]
                     for made in (once, program))
    assert before.float_spikes > 200
    assert after.jaccard > before.jaccard and 1 - after.jaccard < 0.6 * (1 - before.jaccard)


def test_copies_are_not_taken_without_need():
    source = recurrent(0.5)
    cell = dataclasses.replace(source.layers[0], weights=np.rint(source.layers[0].weights * 4) / 4)
    source = dataclasses.replace(source, layers=(cell,))
    program, table = quantise(source, SPIKES, recipe=Recipe(copies=4))
    assert table.layers[0].float_spikes > 200
    assert table.layers[0].scale == "given" and len(program.layers[0].sources) == 2


def test_the_first_disagreement_is_told():
    source = network()
    program, _ = quantise(source, SPIKES)
    theta = program.layers[0].theta.copy()
    theta[3] = (1 << (program.state_bits - 1)) - 1
    deaf = dataclasses.replace(program.layers[0], theta=theta)
    broken = dataclasses.replace(program, layers=(deaf, program.layers[1]))
    table = assess(source, broken, HELD_OUT, tiers=(2, 2, 2, 2))
    wanted = run_float(source, HELD_OUT, trace=True)
    got = run(broken, HELD_OUT, (2, 2, 2, 2), trace=True)
    wrong = [a != b for a, b in zip(wanted.layer_spikes, got.layer_spikes, strict=True)]
    places = sorted((*map(int, place[:2]), index, int(place[2]))
                    for index, bits in enumerate(wrong) for place in np.argwhere(bits))
    sample, timestep, index, neuron = places[0]
    first = table.first
    assert (first.sample, first.timestep, first.neuron) == (sample, timestep, neuron)
    assert first.layer == source.layers[index].name and first.float_spike != first.integer_spike
    where = (sample, timestep, neuron)
    assert first.float_membrane == wanted.layer_membranes[index][where]
    assert first.integer_membrane == got.layer_membranes[index][where]
    assert first.integer_theta == broken.layers[index].theta[neuron]
    assert first.float_theta == source.layers[index].theta[neuron]
    assert table.to_dict()["first_disagreement"]["sample"] == sample
    assert [loss.float_high for loss in table.layers] == [
        v.max() for v in wanted.layer_membranes]


def test_without_a_disagreement_there_is_none_to_tell():
    source = network()
    program, _ = quantise(source, SPIKES, recipe=Recipe.choose(16))
    silent = np.zeros_like(SPIKES[:3])
    table = assess(source, program, silent, tiers=(4, 4, 4, 4))
    assert table.first is None and table.to_dict()["first_disagreement"] is None
