"""Integer programs against the spikes of the framework that trained the network: the bars."""

import warnings

import nir
import numpy as np
import pytest

from lamina.flows.frontend.compile import CompileOptions, compile_network
from lamina.models.network import run

torch = pytest.importorskip("torch")
snntorch = pytest.importorskip("snntorch")
export_nir = pytest.importorskip("snntorch.export_nir")

STEPS, INPUTS = 25, 30
LEAST = {8: (0.98, 0.85, 0.99), 16: (0.995, 0.99, 1.0)}
"""Equal output bits, Jaccard and prediction agreement by weight width."""
HIDDEN = 24
CASES = {
    "delayed-subtract": ("Leaky", {}, {}),
    "rederived-subtract": ("Leaky", {"reset_delay": False}, {"reset": "subtract-rederived"}),
    "zero": ("Leaky", {"reset_mechanism": "zero"}, {"reset": "value"}),
    "delayed-zero": ("Synaptic", {"reset_mechanism": "zero"}, {"reset": "value", "refractory": 1}),
    "synaptic": ("Synaptic", {}, {}),
    "recurrent": ("RLeaky", {}, {}),
    "recurrent-synaptic": ("RSynaptic", {}, {}),
}
QUICK = ("delayed-subtract", "zero")


def cell(kind, neurons, **options):
    options |= {"beta": torch.full((neurons,), 0.85), "threshold": torch.ones(neurons),
                "init_hidden": True}
    if "Synaptic" in kind:
        options["alpha"] = torch.full((neurons,), 0.6)
    if kind.startswith("R"):
        options["linear_features"] = neurons
    return getattr(snntorch, kind)(**options)


def trained_like(kind, options, rng):
    """Two layers with weights of the size that training leaves, on no grid."""
    cells = [cell(kind, HIDDEN, **options), cell(kind, 6, **options)]
    net = torch.nn.Sequential(torch.nn.Linear(INPUTS, HIDDEN), cells[0],
                              torch.nn.Linear(HIDDEN, 6), cells[1])
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, torch.nn.Linear):
                spread = 0.5 if module.in_features == INPUTS else 0.3
                module.weight.copy_(torch.from_numpy(
                    rng.normal(0.02, spread, tuple(module.weight.shape)).astype(np.float32)))
    return net, cells


def spikes_of(net, cells, spikes):
    for module in cells:
        module.reset_mem()
    with torch.no_grad():
        frames = [net(torch.from_numpy(frame.astype(np.float32)))
                  for frame in spikes.transpose(1, 0, 2)]
    return np.stack([frame.numpy() for frame in frames], axis=1).astype(np.uint8)


@pytest.mark.parametrize("bits", LEAST)
@pytest.mark.parametrize("case", [
    name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in CASES])
def test_conversions_meet_the_bars(tmp_path, case, bits):
    kind, options, reading = CASES[case]
    torch.manual_seed(3)
    rng = np.random.default_rng(1)
    net, cells = trained_like(kind, options, rng)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nir.write(tmp_path / "net.nir", export_nir.export_to_nir(net, torch.zeros(INPUTS)))
    made = compile_network(tmp_path / "net.nir", CompileOptions(
        weight_bits=bits, timesteps=STEPS, **reading))
    spikes = (rng.random((300, STEPS, INPUTS)) < 0.2).astype(np.uint8)
    wanted = spikes_of(net, cells, spikes)
    got = run(made.program, spikes, made.tiers).spikes
    assert 0.03 < wanted.mean() < 0.8
    agreement = (wanted.sum(axis=1).argmax(axis=1) == got.sum(axis=1).argmax(axis=1)).mean()
    reached = ((got == wanted).mean(), (got & wanted).sum() / (got | wanted).sum(), agreement)
    assert all(a >= b for a, b in zip(reached, LEAST[bits], strict=True)), reached
