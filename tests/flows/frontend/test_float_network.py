import dataclasses

import numpy as np
import pytest

from lamina.flows.frontend.float_network import FloatLayer, FloatNetwork, run_float
from lamina.models.config import ResetRule


def make_layer(reset, *, weights=((1.0,),), bias=0.0, decay=0.5, theta=1.0, v_reset=0.0, r=None,
               strict=True, name="lif"):
    ones = np.ones(np.shape(weights)[1])
    r = (0.0 if reset is ResetRule.VALUE else theta) if r is None else r
    return FloatLayer(name=name, weights=np.array(weights), bias=bias * ones, decay=decay * ones,
                      theta=theta * ones, v_reset=v_reset * ones, r=r * ones, reset=reset,
                      strict=strict)


def make_network(*layers, timesteps=4):
    return FloatNetwork(name="net", layers=layers, timesteps=timesteps,
                        input_shape=(layers[0].axons,))


def run_one(layer, train):
    spikes = np.array(train, dtype=np.uint8).reshape(1, len(train), -1)
    trace = run_float(make_network(layer, timesteps=len(train)), spikes, trace=True)
    return trace.spikes[0, :, 0].tolist(), trace.layer_membranes[0][0, :, 0].tolist()


@pytest.mark.parametrize(("reset", "fired", "membranes"), [
    # drive .75 each step, decay .5, theta 1
    (ResetRule.VALUE, [0, 1, 0, 1], [0.75, 0.25, 0.875, 0.25]),
    (ResetRule.SUBTRACT, [0, 1, 0, 1], [0.75, 0.125, 0.8125, 0.15625]),
    (ResetRule.SUBTRACT_DELAYED, [0, 1, 0, 0], [0.75, 1.125, 0.3125, 0.90625]),
])
def test_reset_rules_by_hand(reset, fired, membranes):
    layer = make_layer(reset, weights=((0.75,),),
                       v_reset=0.25 if reset is ResetRule.VALUE else 0.0)
    assert run_one(layer, [1, 1, 1, 1]) == (fired, membranes)


@pytest.mark.parametrize(("reset", "strict", "fired"), [
    (ResetRule.VALUE, True, [0, 1, 0]), (ResetRule.VALUE, False, [1, 1, 0]),
    (ResetRule.SUBTRACT_DELAYED, True, [0, 1, 0]), (ResetRule.SUBTRACT_DELAYED, False, [1, 1, 0]),
])
def test_the_comparison_decides_at_equality(reset, strict, fired):
    layer = make_layer(reset, decay=1.0, strict=strict)
    spikes, membranes = run_one(layer, [1, 1, 0])
    assert spikes == fired
    if reset is ResetRule.SUBTRACT_DELAYED:
        assert membranes == ([1.0, 2.0, 1.0] if strict else [1.0, 1.0, 0.0])


def test_bias_acts_in_every_timestep():
    layer = make_layer(ResetRule.VALUE, bias=0.25, decay=1.0, theta=5.0)
    assert run_one(layer, [0, 1, 0])[1] == [0.25, 1.5, 1.75]


def test_layers_pass_spikes_on_in_the_same_timestep():
    first = make_layer(ResetRule.VALUE, weights=((2.0, 0.0),), name="one")
    second = make_layer(ResetRule.VALUE, weights=((3.0,), (0.0,)), name="two")
    trace = run_float(make_network(first, second, timesteps=3),
                      np.array([[[0], [1], [0]]], dtype=np.uint8), trace=True)
    assert trace.layer_spikes[0][0].tolist() == [[0, 0], [1, 0], [0, 0]]
    assert trace.spikes[0].tolist() == [[0], [1], [0]]
    assert trace.spike_counts.tolist() == [[1], [1], [1]]


def test_chunks_and_traces_agree():
    rng = np.random.default_rng(3)
    layers = (make_layer(ResetRule.SUBTRACT, weights=rng.normal(size=(7, 5)), name="a"),
              make_layer(ResetRule.VALUE, weights=rng.normal(size=(5, 2)), name="b"))
    spikes = rng.integers(0, 2, (9000, 2, 7), dtype=np.uint8)
    network = make_network(*layers, timesteps=2)
    whole, parts = run_float(network, spikes), run_float(network, spikes[4097:4100], trace=True)
    assert whole.spikes.shape == (9000, 2, 2) and 0 < whole.spikes.mean() < 1
    assert whole.layer_spikes == () and whole.layer_membranes == ()
    np.testing.assert_array_equal(whole.spikes[4097:4100], parts.spikes)
    np.testing.assert_array_equal(whole.spike_counts[:, 4097:4100], parts.spike_counts)
    for index in range(2):
        np.testing.assert_array_equal(whole.final_membranes[index][4097:4100],
                                      parts.layer_membranes[index][:, -1])


@pytest.mark.parametrize("axons", [100, 5000])
def test_sums_do_not_depend_on_the_order_of_the_axons(axons):
    rng = np.random.default_rng(axons)
    weights = rng.normal(size=(axons, 3)) * 10.0 ** rng.integers(-6, 3, (axons, 3))
    spikes = rng.integers(0, 2, (4, 5, axons), dtype=np.uint8)
    order = rng.permutation(axons)
    runs = [run_float(make_network(make_layer(ResetRule.SUBTRACT, weights=w, theta=5.0)), s,
                      trace=True)
            for w, s in ((weights, spikes), (weights[order], spikes[:, :, order]))]
    assert runs[0].spikes.any()
    np.testing.assert_array_equal(runs[0].layer_membranes[0], runs[1].layer_membranes[0])


def test_weights_of_zero_run():
    spikes = np.ones((1, 2, 1), dtype=np.uint8)
    network = make_network(make_layer(ResetRule.VALUE, weights=((0.0,),)))
    assert not run_float(network, spikes).spikes.any()


@pytest.mark.parametrize("shape", [(2, 4), (2, 4, 3), (2, 0, 1)])
def test_spikes_of_the_wrong_shape_are_refused(shape):
    network = make_network(make_layer(ResetRule.VALUE))
    with pytest.raises(ValueError, match=r"^spikes must have shape \(N, T, 1\) with T of at least "
                                         rf"1, not \({', '.join(map(str, shape))}\)$"):
        run_float(network, np.zeros(shape, dtype=np.uint8))


@pytest.mark.parametrize(("change", "message"), [
    ({"weights": np.zeros((0, 1))},
     r"lif\.weights must be \(axons, neurons\) with at least one of each, not \(0, 1\)"),
    ({"bias": np.zeros(2)}, r"lif\.bias must have shape \(1,\), not \(2,\)"),
    ({"theta": np.array([np.nan])}, r"lif\.theta must be finite, not nan"),
    ({"decay": np.array([1.5])}, r"lif\.decay must be in 0\.\.1, not 1\.5"),
])
def test_bad_layers_are_refused(change, message):
    layer = make_layer(ResetRule.VALUE)
    with pytest.raises(ValueError, match=f"^{message}$"):
        dataclasses.replace(layer, **change)


def test_spikes_equal_those_of_snntorch():
    torch = pytest.importorskip("torch")
    snntorch = pytest.importorskip("snntorch")
    rng = np.random.default_rng(11)
    weights = (rng.integers(-40, 60, (20, 12)) / 64).astype(np.float32)
    spikes = rng.integers(0, 2, (30, 25, 20), dtype=np.uint8)
    cell = snntorch.Leaky(beta=0.875, threshold=1.5, reset_mechanism="subtract")
    v = cell.reset_mem()
    expected = []
    with torch.no_grad():
        for t in range(25):
            drive = torch.from_numpy(spikes[:, t].astype(np.float32) @ weights)
            fired, v = cell(drive, v)
            expected.append(fired.numpy())
    layer = make_layer(ResetRule.SUBTRACT_DELAYED, weights=weights, decay=0.875, theta=1.5)
    got = run_float(make_network(layer, timesteps=25), spikes).spikes
    assert 0.05 < got.mean() < 0.95
    np.testing.assert_array_equal(got, np.stack(expected, axis=1).astype(np.uint8))
