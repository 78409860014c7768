"""The networks of the NIR paper, as their authors wrote them, against what they published."""

import pathlib

import nir
import numpy as np
import pytest

from lamina.flows.check import check_network
from lamina.flows.frontend.data import load_data
from lamina.flows.frontend.float_network import run_float
from lamina.flows.frontend.nir.reader import read_network
from lamina.flows.frontend.quantise import Recipe, quantise
from lamina.models.network import run

SHARED = pathlib.Path(__file__).parents[4] / "shared"
NETS = SHARED / "nets"
pytestmark = pytest.mark.skipif(not NETS.is_dir(), reason="the published networks are not here")
LATE = {"lava_cpu_fixed", "lava_cpu_float", "lava_loihi_fixed", "spyx"}
MIXED = {"rockpool", "sinabs"}
SIMULATORS = sorted({"exact", "nengo", "norse", "snntorch", "spinnaker2"} | LATE | MIXED)


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_spike_times_of_the_single_neuron(simulator):
    """Four start a step later; two leak exponentially and take their input as Euler does."""
    trace = np.loadtxt(NETS / "nir_paper_lif_traces" / f"lif_{simulator}.csv", delimiter=",")
    spikes = (trace[:, 0] > 0).astype(np.uint8).reshape(1, -1, 1)
    network = read_network(NETS / "nir_paper_lif_norse.nir", dt=1e-4, recorded=len(trace),
                           integrator="mixed" if simulator in MIXED else "euler")
    recipe = Recipe.choose(8)
    program, _ = quantise(network, spikes, None, recipe=recipe)
    published = np.flatnonzero(trace[:, 2])
    for result in (run_float(network, spikes), run(program, spikes, recipe.tiers)):
        got = np.flatnonzero(result.spikes[0, :, 0])
        assert len(got) == 4
        np.testing.assert_array_equal(got + (simulator in LATE), published)


def test_flat_and_nested_recurrence_are_one_network():
    flat, nested = (read_network(NETS / f"nir_paper_braille_bias_zero{suffix}.nir")
                    for suffix in ("", "_subgraph"))
    assert nested.assumptions.pop("file") == (
        "node lif1: edges name lif, which is no node; taken for lif1, the only node without edges")
    assert flat.assumptions == nested.assumptions
    assert [layer.name for layer in flat.layers] == ["lif1.current", "lif1", "lif2.current",
                                                     "lif2"]
    for one, other in zip(flat.layers, nested.layers, strict=True):
        assert (one.name, one.sources, one.current) == (other.name, other.sources, other.current)
        for name in ("weights", "bias", "decay", "theta", "v_reset", "r"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize(("name", "mechanism", "options"), [
    ("bias_zero", "zero", {"reset": "value", "refractory": 1}),
    ("nobias_subtract", "subtract", {}),
])
def test_braille_networks_fire_as_in_their_framework(name, mechanism, options):
    torch = pytest.importorskip("torch")
    snntorch = pytest.importorskip("snntorch")
    path = NETS / f"nir_paper_braille_{name}.nir"
    nodes = nir.read(path).nodes

    def tensor(array):
        return torch.from_numpy(np.asarray(array, dtype=np.float64))

    def linear(node):
        made = torch.nn.Linear(*node.weight.shape[::-1], dtype=torch.float64)
        with torch.no_grad():
            made.weight.copy_(tensor(node.weight))
            made.bias.copy_(tensor(getattr(node, "bias", np.zeros(len(node.weight)))))
        made.register_forward_pre_hook(lambda _, values: (values[0].double(),))
        return made

    def constants(node):
        return {"alpha": tensor(1 - 1e-4 / node.tau_syn), "beta": tensor(1 - 1e-4 / node.tau_mem),
                "threshold": tensor(node.v_threshold), "reset_mechanism": mechanism,
                "init_hidden": True}

    first = snntorch.RSynaptic(linear_features=len(nodes["lif1.lif"].r),
                               **constants(nodes["lif1.lif"]))
    first.recurrent = linear(nodes["lif1.w_rec"])
    net = torch.nn.Sequential(linear(nodes["fc1"]), first, linear(nodes["fc2"]),
                              snntorch.Synaptic(**constants(nodes["lif2"])))
    for cell in (first, net[3]):
        for state in ("spk", "syn", "mem"):
            setattr(cell, state, torch.zeros(0, dtype=torch.float64))
    spikes = (np.random.default_rng(4).random((12, 100, 12)) < 0.3).astype(np.uint8)
    with torch.no_grad():
        expected = np.stack([net(tensor(spikes[:, t])).numpy() for t in range(100)], axis=1)
    trace = run_float(read_network(path, **options), spikes, trace=True)
    assert trace.spikes.mean() > 0.02 and trace.layer_spikes[1].sum() > 100
    np.testing.assert_array_equal(trace.spikes, expected)


@pytest.mark.parametrize("path", sorted(NETS.glob("*.nir")), ids=lambda path: path.stem)
def test_every_network_can_be_built(path):
    verdict = check_network(path)
    assert verdict.refusal is None and len(verdict.layers) >= 1
    assert {node.verdict for node in verdict.nodes} <= {"supported", "folded"}


@pytest.mark.long
def test_event_camera_network_recognises_real_recordings():
    data = load_data(f"nmnist:{SHARED / 'data' / 'nmnist'}", split="test", counts="clip")
    network = read_network(NETS / "nir_paper_cnn_sinabs.nir", recorded=data.timesteps)
    right = 0
    for start in range(0, 100, 10):
        spikes = data.encoded(network, start, 10)
        counts = run_float(network, spikes).spikes.sum(axis=1)
        right += int((counts.argmax(axis=1) == data.labels[start:start + 10]).sum())
    assert right >= 97
