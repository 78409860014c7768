"""Copies of input axons: counts and levels reach the neurons exactly."""

import dataclasses

import numpy as np
import pytest

from lamina.flows.frontend.data.copies import with_copies
from lamina.flows.frontend.data.encoding import parse_encoder
from lamina.flows.frontend.float_network import FloatLayer, FloatNetwork, run_float
from lamina.flows.frontend.nir.reader import read_network
from lamina.models.config import ResetRule
from lamina.models.encoder import thermometer
from lamina.models.program import Encoder
from lamina.models.source import INPUT, Source, Window

RNG = np.random.default_rng(5)
COPIES = 3
DENSE = (Source(layer=INPUT, units=18),)
WINDOW = Window(shape=(2, 3, 3), kernel=(2, 2))
PARTS = (Source(layer=INPUT, first=10, units=8), Source(layer=INPUT, units=6, delay=1))


def integrator(sources, shape):
    """A layer without threshold: its membrane is the sum of all weights that arrived."""
    neurons = int(np.prod(shape))
    zero = np.zeros(neurons)
    weights = RNG.integers(-8, 8, (sum(source.axons for source in sources), shape[0])) / 4
    return FloatLayer(name="sum", weights=weights, bias=zero, decay=zero + 1, theta=zero,
                      v_reset=zero, r=zero, reset=ResetRule.VALUE, strict=False, sources=sources,
                      shape=shape, spiking=False)


def network(layer):
    return FloatNetwork(name="net", layers=(layer,), input_shape=(2, 3, 3), timesteps=4,
                        encoder=Encoder(kind="spikes"), decoding="v_final")


def membranes(net, spikes):
    return run_float(net, spikes, trace=True).layer_membranes[0]


@pytest.mark.parametrize(("sources", "shape"), [
    (DENSE, (5,)), ((Source(layer=INPUT, units=18, window=WINDOW),), (4, 2, 2)), (PARTS, (5,))])
def test_a_count_is_so_many_spikes(sources, shape):
    net = network(integrator(sources, shape))
    counts = RNG.integers(0, COPIES + 1, (2, 4, 18))
    copied = with_copies(net, COPIES)
    assert copied.input_shape == (3, 2, 3, 3) and copied.axons == 54 and counts.max() == COPIES
    assert copied.assumptions["input"] == "3 copies of each axon"
    wanted = sum(membranes(net, (counts > copy).astype(np.uint8)) for copy in range(COPIES))
    got = membranes(copied, thermometer(counts, COPIES))
    assert np.abs(got).max() > 1
    np.testing.assert_array_equal(got, wanted)


def test_one_copy_is_the_network_itself():
    net = network(integrator(DENSE, (5,)))
    assert with_copies(net, 1) is net


def test_only_input_axons_are_copied_and_scaled():
    layer = integrator((*DENSE, Source(layer=0, units=5, delay=1)), (5,))
    layer = dataclasses.replace(layer, spiking=True, grid=np.ones(5))
    copied = with_copies(network(layer), 2, scale=0.5).layers[0]
    np.testing.assert_array_equal(copied.weights[:18] * 2, layer.weights[:18])
    np.testing.assert_array_equal(copied.weights[18:36], copied.weights[:18])
    np.testing.assert_array_equal(copied.weights[36:], layer.weights[18:])
    assert copied.grid is None and copied.sources[1] == layer.sources[1]


def test_a_layer_behind_stays_as_it_is():
    first, second = integrator(DENSE, (5,)), integrator((Source(layer=0, units=5),), (3,))
    first = dataclasses.replace(first, spiking=True)
    copied = with_copies(dataclasses.replace(network(first), layers=(first, second)), 2)
    assert copied.layers[1] is second


def test_the_grid_follows_the_scale():
    layer = dataclasses.replace(integrator(DENSE, (5,)), grid=np.full(5, 0.25))
    assert with_copies(network(layer), 2, scale=0.5).layers[0].grid.tolist() == [0.125] * 5
    assert with_copies(network(layer), 2).layers[0].grid.tolist() == [0.25] * 5


def test_the_reader_copies_for_levels_and_for_counts(small_net):
    plain = read_network(small_net, timesteps=4, encoder="rate")
    levels = read_network(small_net, timesteps=4, encoder="constant:4")
    assert levels.encoder == Encoder(kind="constant", levels=4) and levels.input_shape == (4, 6)
    np.testing.assert_allclose(levels.layers[0].weights.reshape(4, 6, 5).sum(axis=0),
                               plain.layers[0].weights)
    assert levels.assumptions["encoder"].startswith("constant of 4 levels, gain 1")
    counted = read_network(small_net, recorded=4, repeats=2)
    assert counted.encoder.kind == "spikes" and counted.axons == 12
    signals = read_network(small_net, recorded=4, encoder="delta:0.5")
    assert signals.encoder == Encoder(kind="delta", step=0.5) and signals.axons == 6


@pytest.mark.parametrize(("text", "fields"), [
    ("rate", {"kind": "rate"}), ("delta", {"kind": "delta"}),
    ("delta:0.25", {"kind": "delta", "step": 0.25}),
    ("constant:255", {"kind": "constant", "levels": 255})])
def test_encoders_are_parsed(text, fields):
    assert parse_encoder(text) == fields


@pytest.mark.parametrize(("text", "message"), [
    ("morse", "--encoder must be one of spikes, bernoulli, rate, latency, delta, constant, "
              "not 'morse'"),
    ("rate:3", "--encoder rate takes no value, not '3'"),
    ("delta:0", "--encoder must be delta:STEP, above 0, not delta:0"),
    ("delta:nan", "--encoder must be delta:STEP, above 0, not delta:nan"),
    ("delta:inf", "--encoder must be delta:STEP, above 0, not delta:inf"),
    ("constant:", "--encoder must be constant:LEVELS, 1..255, not constant:"),
    ("constant:1.5", "--encoder must be constant:LEVELS, 1..255, not constant:1.5"),
    ("constant:256", "--encoder must be constant:LEVELS, 1..255, not constant:256")])
def test_bad_encoders_are_refused(refused, text, message):
    with refused(message):
        parse_encoder(text)
