"""The example networks hold what their training scripts promise."""

import pathlib
import re

import nir
import numpy as np
import pytest

from lamina.flows.frontend.data import load_data
from lamina.flows.frontend.float_network import run_float
from lamina.flows.frontend.nir.reader import read_network
from lamina.models.config import ResetRule

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
NETWORKS = {"digits": ((64, 32, 10), 16), "mnist_784_128_10": ((784, 128, 10), 10)}


@pytest.fixture(params=NETWORKS)
def name(request):
    return request.param


def read(name):
    return nir.read(EXAMPLES / f"{name}.nir")


def plain_spikes(graph, spikes):
    """Output spikes (N, T, 10): snnTorch's Leaky written out in float64, from the NIR fields."""
    for linear, leaky in (("fc1", "lif1"), ("fc2", "lif2")):
        linear, leaky = graph.nodes[linear], graph.nodes[leaky]
        beta = 1 - 1e-4 / leaky.tau.astype(float)
        current = spikes @ linear.weight.T.astype(float) + linear.bias
        v, out = np.zeros_like(current[:, 0]), np.zeros_like(current)
        for t in range(current.shape[1]):
            v = beta * v + current[:, t] - (v > leaky.v_threshold) * leaky.v_threshold
            out[:, t] = v > leaky.v_threshold
        spikes = out
    return spikes


def test_shapes_and_metadata(name):
    (inputs, hidden, outputs), timesteps = NETWORKS[name]
    graph = read(name)
    assert graph.nodes["fc1"].weight.shape == (hidden, inputs)
    assert graph.nodes["fc2"].weight.shape == (outputs, hidden)
    assert graph.metadata == {
        "lamina_dt": 1e-4, "lamina_reset": "subtract-delayed", "lamina_timesteps": timesteps,
        "lamina_encoder": "bernoulli", "lamina_gain": 1.0, "lamina_seed": 0,
        "lamina_decoding": "count", "lamina_strict": True}


def test_reader_takes_the_discretisation_from_the_file(name):
    sizes, timesteps = NETWORKS[name]
    network = read_network(EXAMPLES / f"{name}.nir")
    assert (network.axons, *(layer.neurons for layer in network.layers)) == sizes
    assert network.timesteps == timesteps
    assert (network.encoder.kind, network.encoder.seed) == ("bernoulli", 0)
    for layer in network.layers:
        assert layer.reset is ResetRule.SUBTRACT_DELAYED
        np.testing.assert_allclose(layer.decay * 256, 192, atol=1e-4)


def test_weights_are_eight_bit_codes(name):
    for fc in ("fc1", "fc2"):
        weight = read(name).nodes[fc].weight.astype(float)
        codes = weight * (127 / np.abs(weight).max())
        np.testing.assert_allclose(codes, np.rint(codes), atol=1e-4)
        assert np.abs(codes).max(axis=1).min() > 120


def test_float_network_fires_like_the_plain_equations():
    data, network = load_data("digits"), read_network(EXAMPLES / "digits.nir")
    spikes = data.encoded(network)
    wanted = plain_spikes(read("digits"), spikes)
    got = run_float(network, spikes).spikes
    np.testing.assert_array_equal(got, wanted)
    assert np.mean(got.sum(axis=1, dtype=int).argmax(axis=1) == data.labels) >= 0.95


def test_snntorch_fires_like_the_plain_equations(name):
    torch = pytest.importorskip("torch")
    snntorch = pytest.importorskip("snntorch")
    (inputs, _, _), timesteps = NETWORKS[name]
    graph = read(name)
    spikes = np.random.default_rng(0).random((20, timesteps, inputs)) < 0.15
    wanted = plain_spikes(graph, spikes)
    got = torch.as_tensor(spikes, dtype=torch.float32).transpose(0, 1)
    for linear, leaky in (("fc1", "lif1"), ("fc2", "lif2")):
        weight, bias = (torch.as_tensor(getattr(graph.nodes[linear], field))
                        for field in ("weight", "bias"))
        neurons = snntorch.Leaky(beta=torch.as_tensor(1 - 1e-4 / graph.nodes[leaky].tau),
                                 threshold=torch.as_tensor(graph.nodes[leaky].v_threshold),
                                 init_hidden=True)
        got = torch.stack([neurons(step @ weight.T + bias) for step in got])
    np.testing.assert_array_equal(got.transpose(0, 1), wanted)
    assert wanted.any()


def test_the_contract_page_computes_its_own_table(capsys):
    page = (ROOT / "docs" / "integers.md").read_text()
    exec(re.search(r"```python\n(.*?)```", page, re.DOTALL)[1], {})
    assert capsys.readouterr().out == "0 [60] [0] [60]\n1 [105] [1] [5]\n2 [63] [0] [63]\n"
    for row in ("| 0 | 0 | 60 | 0 | 60 |", "| 105 | 1 | 5 |", "| 63 | 0 | 63 |"):
        assert row in page
