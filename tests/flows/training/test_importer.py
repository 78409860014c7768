"""snnTorch networks and ReLU networks become files that fire alike."""

import numpy as np
import pytest

from lamina.flows.cli import main
from lamina.flows.frontend.data import load_data
from lamina.flows.frontend.float_network import run_float
from lamina.flows.frontend.nir.reader import read_network

torch = pytest.importorskip("torch", reason="training needs the extra train")
snntorch = pytest.importorskip("snntorch", reason="training needs the extra train")
convert = pytest.importorskip("lamina.flows.training.convert")
importer = pytest.importorskip("lamina.flows.training.importer")
nn = torch.nn


def fire(net, spikes):
    """Output spikes (N, T, outputs) of a Sequential that keeps its states hidden."""
    for module in net:
        for name in ("reset_mem", "reset_hidden"):
            if hasattr(module, name):
                getattr(module, name)()
                break
    out = []
    for step in torch.as_tensor(spikes).float().transpose(0, 1):
        for module in net:
            step = module(step)
            step = step[0] if isinstance(step, tuple) else step
        out.append(step)
    return torch.stack(out, dim=1).detach().numpy()


@pytest.mark.parametrize("reset", ["subtract", "zero"])
@pytest.mark.parametrize("delay", [True, False])
def test_leaky_networks_keep_their_reset(tmp_path, reset, delay):
    torch.manual_seed(0)
    options = {"beta": 0.75, "reset_mechanism": reset, "reset_delay": delay, "init_hidden": True}
    net = nn.Sequential(nn.Linear(12, 20), nn.Dropout(0.5), snntorch.Leaky(**options),
                        nn.Linear(20, 6), snntorch.Leaky(**options)).eval()
    with torch.no_grad():
        for module in (net[0], net[3]):
            module.weight.mul_(3)
    importer.from_snntorch(net, torch.zeros(7, 12), tmp_path / "net.nir", timesteps=30)
    network = read_network(tmp_path / "net.nir", recorded=30)
    spikes = np.random.default_rng(2).integers(0, 2, (20, 30, 12), dtype=np.uint8)
    wanted = fire(net, spikes)
    assert wanted.mean() > 0.02
    assert np.mean(run_float(network, spikes).spikes == wanted) > 0.999


def test_batch_norm_is_folded(tmp_path):
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(3)
    norm.running_mean.uniform_(-1, 1)
    norm.running_var.uniform_(0.5, 2)
    net = nn.Sequential(nn.Conv2d(1, 3, 3), norm, snntorch.Leaky(beta=0.5, init_hidden=True),
                        nn.AvgPool2d(2), nn.Flatten(), nn.Linear(12, 4),
                        snntorch.Leaky(beta=0.5, init_hidden=True)).eval()
    with torch.no_grad():
        net[0].weight.mul_(4)
        net[5].weight.mul_(4)
    importer.from_snntorch(net, torch.zeros(1, 1, 6, 6), tmp_path / "net.nir", timesteps=12)
    network = read_network(tmp_path / "net.nir", recorded=12)
    spikes = np.random.default_rng(3).integers(0, 2, (10, 12, 1, 6, 6), dtype=np.uint8)
    wanted = fire(net, spikes)
    assert wanted.any()
    got = run_float(network, spikes.reshape(10, 12, 36)).spikes
    assert np.mean(got == wanted) > 0.99


def test_mixed_resets_are_refused(tmp_path, refused):
    net = nn.Sequential(nn.Linear(2, 2), snntorch.Leaky(beta=0.5, init_hidden=True),
                        snntorch.Leaky(beta=0.5, init_hidden=True, reset_mechanism="zero"))
    with refused("the network must have neurons with one reset rule, not [('subtract-delayed', "
                 "0), ('value', 0)]"):
        importer.from_snntorch(net, torch.zeros(2), tmp_path / "net.nir", timesteps=2)


def test_relu_networks_convert(tmp_path):
    training, held_out = load_data("digits", split="train"), load_data("digits")
    images, labels = (torch.as_tensor(training.images).float(), torch.as_tensor(training.labels))
    torch.manual_seed(0)
    ann = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 10))
    optimiser = torch.optim.Adam(ann.parameters(), 1e-2)
    for _ in range(120):
        loss = nn.functional.cross_entropy(ann(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    balances = convert.convert(ann, training.images[:300], tmp_path / "net.nir",
                               input_shape=(64,), timesteps=64)
    assert len(balances) == 1 and balances[0].activation > 0 and balances[0].clipped < 0.01
    network = read_network(tmp_path / "net.nir")
    guesses = run_float(network, held_out.encoded(network)).final_membranes[-1].argmax(1)
    with torch.no_grad():
        ideal = ann(torch.as_tensor(held_out.images).float()).argmax(1).numpy()
    assert np.mean(ideal == held_out.labels) > 0.95
    assert np.mean(guesses == held_out.labels) > np.mean(ideal == held_out.labels) - 0.02


def test_onnx_files_convert_by_command(tmp_path, capsys):
    onnx = pytest.importorskip("onnx", reason="needs the extra train")
    rng = np.random.default_rng(0)
    arrays = {"w1": rng.normal(0, 0.3, (20, 64)), "b1": rng.normal(0, 0.1, 20),
              "w2": rng.normal(0, 0.3, (20, 10)), "b2": rng.normal(0, 0.1, 10)}
    make = onnx.helper.make_node
    graph = onnx.helper.make_graph(
        [make("Gemm", ["x", "w1", "b1"], ["h"], transB=1), make("Relu", ["h"], ["a"]),
         make("MatMul", ["a", "w2"], ["m"]), make("Add", ["m", "b2"], ["y"])], "net",
        [onnx.helper.make_tensor_value_info("x", 1, ["N", 64])],
        [onnx.helper.make_tensor_value_info("y", 1, ["N", 10])],
        [onnx.numpy_helper.from_array(value.astype(np.float32), name)
         for name, value in arrays.items()])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "net.onnx")
    assert main(["convert", str(tmp_path / "net.onnx"), "--data", "digits", "-o",
                 str(tmp_path / "net.nir"), "--timesteps", "64"]) == 0
    network = read_network(tmp_path / "net.nir")
    images = load_data("digits").images[:60]
    hidden = np.maximum(images @ arrays["w1"].T + arrays["b1"], 0)
    ideal = (hidden @ arrays["w2"] + arrays["b2"]).argmax(1)
    spikes = load_data("digits").encoded(network, 0, 60)
    assert np.mean(run_float(network, spikes).final_membranes[-1].argmax(1) == ideal) > 0.9
    (tmp_path / "bad.onnx").write_text("hello")
    assert main(["convert", str(tmp_path / "bad.onnx"), "--data", "digits", "-o", "x.nir"]) == 2
    assert "not an ONNX file" in capsys.readouterr().err
