"""Training on the handwritten digits: what is exported is what was trained."""

import dataclasses

import numpy as np
import pytest

from lamina.flows.frontend.data import load_data
from lamina.flows.frontend.float_network import run_float
from lamina.flows.frontend.nir.reader import read_network
from lamina.flows.frontend.quantise import Recipe as Widths
from lamina.flows.frontend.quantise import quantise
from lamina.flows.training.recipe import Recipe

torch = pytest.importorskip("torch", reason="training needs the extra train")
run = pytest.importorskip("lamina.flows.training.run")
model = pytest.importorskip("lamina.flows.training.model")

RECIPE = Recipe(architecture="64-24-10", timesteps=8, epochs=3, batch=32, rate=2e-2, shift=0,
                samples=320)


@pytest.fixture(scope="module")
def digits():
    return load_data("digits", split="train"), load_data("digits")


def test_it_learns_and_tells(digits, tmp_path, capsys):
    history = run.train(dataclasses.replace(RECIPE, epochs=8), *digits, tmp_path / "net.nir")
    assert history[-1].accuracy > 0.7 and history[-1].hidden_spikes > 1
    assert capsys.readouterr().err.count("held-out") == 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.json", "net.nir"]


@pytest.mark.parametrize("reset", ["value", "subtract", "subtract-delayed", "subtract-rederived"])
@pytest.mark.parametrize("architecture", ["64-24r-10", "1x8x8-6c3s2p1-p2-10"])
def test_the_file_fires_like_the_model(digits, tmp_path, reset, architecture):
    recipe = dataclasses.replace(RECIPE, architecture=architecture, reset=reset, weights="4",
                                 epochs=1)
    torch.manual_seed(0)
    network = model.SpikingNetwork(recipe).eval()
    with torch.no_grad():
        for layer in network.layers:
            layer.weight.mul_(3)
    network.clip()
    run.export(network, tmp_path / "net.nir", encoder="bernoulli")
    read = read_network(tmp_path / "net.nir")
    spikes = digits[1].encoded(read, 0, 40)
    trains = torch.as_tensor(spikes).float().transpose(0, 1)
    with torch.no_grad():
        out, hidden, _ = network(trains.reshape(*trains.shape[:2], *network.input_shape))
    trace = run_float(read, spikes, trace=True)
    wanted = [part.flatten(2).transpose(0, 1).numpy() for part in (*hidden, out)]
    got = trace.layer_spikes
    assert all(part.any() for part in wanted)
    assert np.mean([np.mean(a == b) for a, b in zip(got, wanted, strict=True)]) > 0.999


@pytest.mark.parametrize("weights", ["binary", "ternary", "3", "8"])
def test_conversion_keeps_the_codes(digits, tmp_path, weights):
    recipe = dataclasses.replace(RECIPE, weights=weights, epochs=1)
    run.train(recipe, *digits, tmp_path / "net.nir")
    read = read_network(tmp_path / "net.nir")
    program, _ = quantise(read, digits[0].encoded(read, 0, 60),
                          recipe=Widths.choose(recipe.bits))
    for layer, source in zip(program.layers, read.layers, strict=True):
        codes = source.weights / source.grid
        times = np.abs(layer.weights).max() / np.abs(codes).max()
        np.testing.assert_array_equal(layer.weights, np.rint(codes * times))


def test_an_interrupted_run_gives_the_same_bytes(digits, tmp_path, monkeypatch):
    run.train(RECIPE, *digits, tmp_path / "whole.nir")
    once = run._epoch
    calls = []

    def stopping(*arguments):
        calls.append(None)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return once(*arguments)

    monkeypatch.setattr(run, "_epoch", stopping)
    with pytest.raises(KeyboardInterrupt):
        run.train(RECIPE, *digits, tmp_path / "parts.nir")
    assert (tmp_path / "parts.nir.checkpoint").is_file()
    monkeypatch.setattr(run, "_epoch", once)
    run.train(RECIPE, *digits, tmp_path / "parts.nir")
    assert (tmp_path / "parts.nir").read_bytes() == (tmp_path / "whole.nir").read_bytes()


def test_the_shortest_run_ends(digits, tmp_path):
    recipe = dataclasses.replace(RECIPE, epochs=5, batch=32, samples=32)
    assert len(run.train(recipe, *digits, tmp_path / "net.nir")) == 5


def test_bits_flip_as_often_as_asked():
    recipe = Recipe(architecture="4-2", bit_errors=(0.0, 0.0, 0.25, 0.5))
    torch.manual_seed(1)
    codes = torch.randint(-128, 128, (20000,)).float()
    words = (codes.to(torch.int64) ^ model._flipped(codes, recipe).to(torch.int64)).numpy() & 255
    rates = [np.mean(words >> bit & 1) for bit in range(7, -1, -1)]
    np.testing.assert_allclose(rates, [0, 0, 0, 0, 0.25, 0.25, 0.5, 0.5], atol=0.02)


def test_a_penalty_silences_hidden_neurons(digits, tmp_path):
    spikes = [run.train(dataclasses.replace(RECIPE, spike_penalty=price, epochs=6), *digits,
                        tmp_path / "net.nir")[-1].hidden_spikes for price in (0.0, 3.0)]
    assert 0 < spikes[1] < 0.8 * spikes[0]


def test_data_that_do_not_fit_are_refused(digits, tmp_path, refused):
    with refused("--data digits: frames have 64 values, the architecture begins with 65"):
        run.train(dataclasses.replace(RECIPE, architecture="65-10"), *digits,
                  tmp_path / "net.nir")
