"""Training shared by the example networks: two layers of leaky neurons on Bernoulli spikes.

The networks are trained for the hardware that will run them: weights and biases live on the grid
of 8-bit codes all along, the leak is a multiple of 1/256, output neurons are pushed to fire nearly
always or never, and the hidden layer pays for spikes, since each one costs a memory access.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import os
import pathlib
import time
from typing import NamedTuple

import nir
import numpy as np
import snntorch
import torch
from snntorch.export_nir import export_to_nir
from torch import nn
from torch.nn.utils import parametrize

from lamina.flows.errors import UserError
from lamina.flows.frontend.data import load_data
from lamina.models.encoder import encode
from lamina.models.program import Encoder

__all__ = ["LEVELS", "Grid", "Recipe", "Run", "build", "export", "main", "predict", "simulate",
           "train"]

LEVELS = 511.7
"""Grid steps per threshold; no integer, so that a membrane on the grid never ties with it."""

TARGET_RATE = 0.9
"""Spikes per timestep that the output neuron of the right class is asked for."""

MOST_CURRENT = 3.0
"""Input of a hidden neuron [threshold per timestep] that is free; more needs a wide membrane."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """What makes a training run reproducible.

    Parameters
    ----------
    hidden : int
        Neurons of the hidden layer.
    timesteps : int
        T of one sample.
    beta : float
        Membrane kept per timestep; a multiple of 1/256 is exact in hardware with F = 8.
    epochs, batch : int
        Passes over the training split; samples per step.
    rate : float
        Peak learning rate of the one-cycle schedule.
    hidden_spikes : float
        Spikes per timestep of the whole hidden layer above which the loss rises.
    shift : int
        Augmentation: each batch moves by up to so many pixels in x and y.
    seed : int
        Of the initial weights, the order of the samples and their spikes.
    """

    hidden: int
    timesteps: int
    beta: float
    epochs: int
    batch: int
    rate: float
    hidden_spikes: float
    shift: int
    seed: int = 0


class Grid(nn.Module):
    """8-bit weights in training: ``round(w * LEVELS) / LEVELS`` within +-127 steps.

    The gradient passes straight through.
    """

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        code = (weight * LEVELS).round().clamp(-127, 127)
        return weight + (code / LEVELS - weight).detach()


def _leaky(neurons: int, beta: float, *, output: bool = False) -> snntorch.Leaky:
    return snntorch.Leaky(beta=torch.full((neurons,), beta), threshold=torch.ones(neurons),
                          spike_grad=snntorch.surrogate.atan(alpha=2.0),
                          init_hidden=True, output=output)


def build(inputs: int, outputs: int, recipe: Recipe) -> nn.Sequential:
    """Network ``fc1 lif1 fc2 lif2`` with subtract reset, one step late as snnTorch has it."""
    return nn.Sequential(collections.OrderedDict(
        fc1=nn.Linear(inputs, recipe.hidden), lif1=_leaky(recipe.hidden, recipe.beta),
        fc2=nn.Linear(recipe.hidden, outputs), lif2=_leaky(outputs, recipe.beta, output=True)))


def _fire(leaky: snntorch.Leaky, currents: torch.Tensor) -> torch.Tensor:
    leaky.reset_mem()
    out = [leaky(current) for current in currents]
    return torch.stack([step[0] if leaky.output else step for step in out])


class Run(NamedTuple):
    """What a batch did, each tensor (T, batch, neurons): hidden currents, hidden and output spikes.

    A current is in thresholds per timestep.
    """

    currents: torch.Tensor
    hidden: torch.Tensor
    out: torch.Tensor


def simulate(net: nn.Sequential, spikes: torch.Tensor) -> Run:
    """Run input `spikes` (T, batch, inputs) from silence."""
    currents = net.fc1(spikes)
    hidden = _fire(net.lif1, currents)
    return Run(currents, hidden, _fire(net.lif2, net.fc2(hidden)))


def _loss(run: Run, labels: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Squared error of the output rates, cross entropy of the counts, price of hidden spikes.

    Currents beyond `MOST_CURRENT` cost as well: they would need a wide membrane.
    """
    counts = run.out.sum(0)
    wanted = TARGET_RATE * nn.functional.one_hot(labels, counts.shape[1])
    margin = (counts / recipe.timesteps - wanted).square().sum(1).mean()
    entropy = nn.functional.cross_entropy(counts, labels)
    excess = torch.relu(run.hidden.sum((0, 2)) / recipe.timesteps - recipe.hidden_spikes).mean()
    strong = torch.relu(run.currents.abs() - MOST_CURRENT).square().mean()
    return margin + 0.3 * entropy + 2e-3 * excess + 0.3 * strong


def _shifted(frames: torch.Tensor, most: int) -> torch.Tensor:
    dy, dx = torch.randint(-most, most + 1, (2,)).tolist()
    return torch.roll(frames, (dy, dx), (1, 2))


def _clip(net: nn.Sequential) -> None:
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.clamp_(-127 / LEVELS, 127 / LEVELS)


def train(net: nn.Sequential, images: np.ndarray, labels: np.ndarray, recipe: Recipe) -> None:
    """Train `net` in place on `images` (N, H, W) in 0..1 and print a line per epoch."""
    frames = torch.as_tensor(images, dtype=torch.float32)
    classes = torch.as_tensor(labels, dtype=torch.int64)
    for linear in (net.fc1, net.fc2):
        parametrize.register_parametrization(linear, "weight", Grid())
        parametrize.register_parametrization(linear, "bias", Grid())
    steps = len(frames) // recipe.batch
    optimiser = torch.optim.Adam(net.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.rate, total_steps=recipe.epochs * steps, pct_start=0.2)
    for epoch in range(recipe.epochs):
        begin, total, spikes_per_step = time.monotonic(), 0.0, 0.0
        for batch in torch.randperm(len(frames))[:steps * recipe.batch].view(steps, -1):
            probability = _shifted(frames[batch], recipe.shift).flatten(1)
            spikes = torch.bernoulli(probability.expand(recipe.timesteps, -1, -1))
            run = simulate(net, spikes)
            loss = _loss(run, classes[batch], recipe)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            _clip(net)
            total += loss.item() / steps
            spikes_per_step += run.hidden.sum(2).mean().item() / steps
        print(f"epoch {epoch + 1}/{recipe.epochs}: loss {total:.4f}, {spikes_per_step:.1f} hidden "
              f"spikes per timestep, {time.monotonic() - begin:.1f} s", flush=True)
    for linear in (net.fc1, net.fc2):
        parametrize.remove_parametrizations(linear, "weight")
        parametrize.remove_parametrizations(linear, "bias")


def predict(net: nn.Sequential, images: np.ndarray, timesteps: int) -> np.ndarray:
    """Classes of `images` (N, inputs) in 0..1 on the flow's own input spikes, decoded by count."""
    classes = []
    for first in range(0, len(images), 1000):
        frames = images[first:first + 1000]
        spikes = encode(Encoder(), frames, timesteps, first_sample=first)
        with torch.no_grad():
            run = simulate(net, torch.as_tensor(spikes, dtype=torch.float32).transpose(0, 1))
        classes.append(run.out.sum(0).numpy().argmax(1))
    return np.concatenate(classes)


def export(net: nn.Sequential, timesteps: int, path: pathlib.Path) -> None:
    """Write `net` as NIR, with what the format cannot say in the graph's metadata.

    The file appears by rename, and the same network gives the same bytes.
    """
    net.lif1.reset_mem()
    net.lif2.reset_mem()
    graph = export_to_nir(net, torch.zeros(net.fc1.in_features))
    graph.edges.sort()
    graph.metadata = {
        "lamina_dt": 1e-4, "lamina_reset": "subtract-delayed", "lamina_timesteps": timesteps,
        "lamina_encoder": "bernoulli", "lamina_gain": 1.0, "lamina_seed": 0,
        "lamina_decoding": "count", "lamina_strict": True,
    }
    partial = path.with_suffix(".partial")
    nir.write(partial, graph)
    os.replace(partial, path)


def main(recipe: Recipe, data: str, output: str) -> None:
    """Train by `recipe` on the `data` set, print the held-out accuracy, write `output`."""
    parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--data", default=data, help="data set, or directory of MNIST's files")
    parser.add_argument("--epochs", type=int, default=recipe.epochs)
    parser.add_argument("--seed", type=int, default=recipe.seed)
    parser.add_argument("--threads", type=int, default=1, help="results depend on it")
    parser.add_argument("-o", "--output", type=pathlib.Path,
                        default=pathlib.Path(__file__).parent / output)
    options = parser.parse_args()
    recipe = dataclasses.replace(recipe, epochs=options.epochs, seed=options.seed)
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(options.threads)
    spec = options.data if data == "digits" else f"mnist:{options.data}"
    try:
        training, held_out = load_data(spec, split="train"), load_data(spec, split="test")
    except UserError as error:
        parser.exit(2, f"{error}\n")
    net = build(training.axons, training.classes, recipe)
    train(net, training.images.reshape(-1, *training.shape), training.labels, recipe)
    accuracy = np.mean(predict(net, held_out.images, recipe.timesteps) == held_out.labels)
    print(f"held-out accuracy {accuracy:.2%} on {len(held_out)} samples")
    export(net, recipe.timesteps, options.output)
    print(f"wrote {options.output}")
