"""Networks as snnTorch writes and runs them, against the float reference."""

import warnings

import nir
import numpy as np
import pytest

from lamina.flows.frontend.float_network import run_float
from lamina.flows.frontend.nir.reader import read_network

torch = pytest.importorskip("torch")
snntorch = pytest.importorskip("snntorch")
export_nir = pytest.importorskip("snntorch.export_nir")

RULES = {
    "subtract": ({"reset_mechanism": "subtract"}, {}),
    "zero": ({"reset_mechanism": "zero"}, {"reset": "value", "refractory": 1}),
}
STEPS = 30


def linear(outputs, inputs, rng):
    module = torch.nn.Linear(inputs, outputs)
    with torch.no_grad():
        for parameter, spread in ((module.weight, 48), (module.bias, 6)):
            values = rng.integers(-spread // 2, spread, tuple(parameter.shape)) / 64
            parameter.copy_(torch.from_numpy(values.astype(np.float32)))
    return module


def vector(rng, neurons, values):
    return torch.from_numpy(rng.choice(values, neurons).astype(np.float32))


def cell(kind, neurons, rng, **options):
    """A cell with different constants per neuron."""
    options |= {"beta": vector(rng, neurons, [0.5, 0.75, 0.875]), "init_hidden": True,
                "threshold": vector(rng, neurons, [1.0, 1.5, 2.0])}
    if "Synaptic" in kind:
        options |= {"alpha": vector(rng, neurons, [0.5, 0.75])}
    if kind.startswith("R"):
        options |= {"linear_features": neurons}
    made = getattr(snntorch, kind)(**options)
    if kind.startswith("R"):
        made.recurrent = linear(neurons, neurons, rng)
    return made


def expected(net, cells, spikes):
    """Spikes (N, T, neurons) of the framework."""
    for module in cells:
        module.reset_mem()
    with torch.no_grad():
        frames = [net(torch.from_numpy(spikes[:, t].astype(np.float32)))
                  for t in range(spikes.shape[1])]
    return np.stack([frame.numpy().reshape(len(spikes), -1) for frame in frames], axis=1)


def exported(net, sample, path, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nir.write(path, export_nir.export_to_nir(net, sample, **options))
    return path


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", ["Synaptic", "RSynaptic", "RLeaky"])
def test_spikes_equal_those_of_the_framework(tmp_path, kind, rule):
    options, reading = RULES[rule]
    rng = np.random.default_rng(len(kind) + len(rule))
    cells = [cell(kind, 14, rng, **options), cell(kind, 5, rng, **options)]
    net = torch.nn.Sequential(linear(14, 9, rng), cells[0], linear(5, 14, rng), cells[1])
    spikes = rng.integers(0, 2, (40, STEPS, 9), dtype=np.uint8)
    path = exported(net, torch.zeros(9), tmp_path / "net.nir")
    got = run_float(read_network(path, **reading), spikes).spikes
    assert 0.05 < got.mean() < 0.95
    np.testing.assert_array_equal(got, expected(net, cells, spikes))


@pytest.mark.parametrize(("mechanism", "delayed", "reading"), [
    ("subtract", True, {}), ("subtract", False, {"reset": "subtract-rederived"}),
    ("zero", True, {"reset": "value"}), ("zero", False, {"reset": "value"}),
])
def test_every_reset_of_leaky_has_a_rule(tmp_path, mechanism, delayed, reading):
    rng = np.random.default_rng(8)
    leaky = cell("Leaky", 12, rng, reset_mechanism=mechanism, reset_delay=delayed)
    net = torch.nn.Sequential(linear(12, 20, rng), leaky)
    spikes = rng.integers(0, 2, (40, STEPS, 20), dtype=np.uint8)
    path = exported(net, torch.zeros(20), tmp_path / "net.nir")
    got = run_float(read_network(path, **reading), spikes).spikes
    assert 0.05 < got.mean() < 0.95
    np.testing.assert_array_equal(got, expected(net, [leaky], spikes))


def shaped(shape, threshold=1.0):
    ones = torch.ones(shape)
    return snntorch.Leaky(beta=0.75 * ones, threshold=threshold * ones, init_hidden=True)


def test_convolutions_equal_those_of_the_framework(tmp_path):
    rng = np.random.default_rng(3)
    convolution = torch.nn.Conv2d(2, 4, 3, stride=2, padding=1)
    with torch.no_grad():
        for parameter in convolution.parameters():
            values = rng.integers(-20, 32, tuple(parameter.shape)) / 64
            parameter.copy_(torch.from_numpy(values.astype(np.float32)))
    cells = [shaped((4, 6, 6), 3.0), shaped((5,), 2.0)]
    net = torch.nn.Sequential(convolution, cells[0], torch.nn.AvgPool2d(2), torch.nn.Flatten(),
                              linear(5, 36, rng), cells[1])
    spikes = rng.integers(0, 2, (20, STEPS, 2, 11, 11), dtype=np.uint8)
    path = exported(net, torch.zeros(1, 2, 11, 11), tmp_path / "net.nir", ignore_dims=[0])
    network = read_network(path)
    assert network.layers[0].shape == (4, 6, 6) and network.layers[0].weights.shape == (18, 4)
    trace = run_float(network, spikes.reshape(20, STEPS, -1), trace=True)
    assert all(0.05 < layer.mean() < 0.95 for layer in trace.layer_spikes)
    np.testing.assert_array_equal(trace.spikes, expected(net, cells, spikes))
