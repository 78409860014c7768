"""The training loop: seeded, resumable, with a line and a checkpoint per epoch."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import time

import numpy as np
import torch
from torch import nn

from lamina.flows import progress
from lamina.flows.errors import UserError
from lamina.flows.frontend.data import Dataset
from lamina.flows.training.export import export
from lamina.flows.training.model import SpikingNetwork
from lamina.flows.training.recipe import Recipe
from lamina.flows.training.spec import parse_architecture
from lamina.models.encoder import encode
from lamina.models.program import Encoder

__all__ = ["Epoch", "accuracy", "train"]

_TARGET_RATE = 0.9
"""Spikes per timestep that the output neuron of the right class is asked for."""
_MOST_CURRENT = 3.0
"""Input of a hidden neuron [threshold per timestep] that is free; more needs a wide membrane."""
_TEST_BATCH = 500
_FEWEST_STEPS = 10
"""The schedule needs more than one step to rise."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Epoch:
    """What one pass over the training split gave.

    Parameters
    ----------
    loss, accuracy : float
        Mean over the batches; share of right predictions on the held-out samples.
    hidden_spikes : float
        Of all hidden layers, per held-out sample.
    seconds : float
    """

    loss: float
    accuracy: float
    hidden_spikes: float
    seconds: float


class _Samples:
    """A data set as batches of spikes (T, B, *shape)."""

    def __init__(self, data: Dataset, recipe: Recipe, shape: tuple[int, ...]):
        if data.labels is None:
            raise UserError(f"--data {data.name}: must have labels to train with")
        if data.axons != int(np.prod(shape)):
            raise UserError(f"--data {data.name}: frames have {data.axons} values, the "
                            f"architecture begins with {'x'.join(map(str, shape))}")
        count = len(data) if recipe.samples is None else min(len(data), recipe.samples)
        self.recipe, self.shape = recipe, shape
        self.plane = data.shape if len(shape) == 1 else shape
        self.labels = torch.as_tensor(data.labels[:count])
        self.frames = self.spikes = None
        if data.images is not None:
            self.frames = torch.as_tensor(data.images[:count], dtype=torch.float32)
        else:
            self.spikes = torch.as_tensor(np.asarray(data.spikes[:count]))

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, chosen: torch.Tensor) -> torch.Tensor:
        """Augmented training spikes of the `chosen` samples."""
        recipe = self.recipe
        if self.frames is not None:
            frames = self._moved(self.frames[chosen].reshape(len(chosen), *self.plane))
            spikes = torch.bernoulli(frames.expand(recipe.timesteps, *frames.shape))
        else:
            trains = self.spikes[chosen].float().transpose(0, 1)
            spikes = self._moved(trains.reshape(*trains.shape[:2], *self.plane))
        if recipe.drop:
            spikes = spikes * (torch.rand(spikes.shape) >= recipe.drop)
        return spikes.reshape(*spikes.shape[:2], *self.shape)

    def _moved(self, values: torch.Tensor) -> torch.Tensor:
        """Moved by up to `shift`: a batch of images together, recordings each by itself."""
        most = self.recipe.shift
        if not most or len(self.plane) < 2:
            return values
        if self.frames is not None:
            dy, dx = torch.randint(-most, most + 1, (2,)).tolist()
            return torch.roll(values, (dy, dx), (-2, -1))
        moves = torch.randint(-most, most + 1, (values.shape[1], 2)).tolist()
        return torch.stack([torch.roll(values[:, index], (dy, dx), (-2, -1))
                            for index, (dy, dx) in enumerate(moves)], dim=1)

    def held_out(self, first: int, last: int) -> torch.Tensor:
        """The flow's own spikes of samples `first` to `last` - 1."""
        if self.spikes is not None:
            spikes = self.spikes[first:last].float()
        else:
            frames = self.frames[first:last].numpy().astype(np.float64)
            spikes = torch.as_tensor(encode(Encoder(), frames, self.recipe.timesteps,
                                            first_sample=first)).float()
        return spikes.transpose(0, 1).reshape(self.recipe.timesteps, -1, *self.shape)


def accuracy(network: SpikingNetwork, samples: _Samples) -> tuple[float, float]:
    """Share of right predictions by spike count, and hidden spikes per sample."""
    network.eval()
    right, spikes = 0, 0.0
    with torch.no_grad():
        for first in range(0, len(samples), _TEST_BATCH):
            last = min(len(samples), first + _TEST_BATCH)
            out, hidden, _ = network(samples.held_out(first, last))
            right += int((out.sum(0).argmax(1) == samples.labels[first:last]).sum())
            spikes += sum(float(part.sum()) for part in hidden)
    network.train()
    return right / len(samples), spikes / len(samples)


def _loss(network: SpikingNetwork, spikes: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Squared error of the output rates, cross entropy of the counts, prices of hidden activity."""
    recipe = network.recipe
    out, hidden, currents = network(spikes)
    counts = out.sum(0)
    wanted = _TARGET_RATE * nn.functional.one_hot(labels, counts.shape[1])
    loss = (counts / len(out) - wanted).square().sum(1).mean()
    loss = loss + 0.3 * nn.functional.cross_entropy(counts, labels)
    for part, current in zip(hidden, currents, strict=True):
        loss = loss + 0.3 * torch.relu(current.abs() - _MOST_CURRENT).square().mean()
        loss = loss + recipe.spike_penalty * part.mean()
    return loss


class _Run:
    """A run with everything that a checkpoint must hold."""

    def __init__(self, recipe: Recipe, steps: int):
        torch.manual_seed(recipe.seed)
        self.recipe, self.network = recipe, SpikingNetwork(recipe)
        self.optimiser = torch.optim.Adam(self.network.parameters())
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, recipe.rate, pct_start=0.2,
            total_steps=max(_FEWEST_STEPS, recipe.epochs * steps))
        self.history: list[Epoch] = []

    def save(self, path: pathlib.Path) -> None:
        partial = path.with_name(path.name + ".partial")
        torch.save({"recipe": dataclasses.asdict(self.recipe),
                    "network": self.network.state_dict(),
                    "optimiser": self.optimiser.state_dict(),
                    "schedule": self.schedule.state_dict(), "random": torch.get_rng_state(),
                    "history": [dataclasses.asdict(epoch) for epoch in self.history]}, partial)
        os.replace(partial, path)

    def restore(self, path: pathlib.Path) -> bool:
        """Go on from `path` if it belongs to the same recipe."""
        try:
            kept = torch.load(path, weights_only=True)
        except (OSError, RuntimeError, ValueError, EOFError, KeyError):
            return False
        if kept.get("recipe") != dataclasses.asdict(self.recipe):
            return False
        self.network.load_state_dict(kept["network"])
        self.optimiser.load_state_dict(kept["optimiser"])
        self.schedule.load_state_dict(kept["schedule"])
        torch.set_rng_state(kept["random"])
        self.history = [Epoch(**epoch) for epoch in kept["history"]]
        return True


def train(recipe: Recipe, training: Dataset, held_out: Dataset, path: pathlib.Path, *,
          threads: int = 1, resume: bool = True) -> tuple[Epoch, ...]:
    """Train by `recipe` and write the network to `path`.

    A checkpoint ``PATH.checkpoint`` is kept after each epoch and removed at the end; a run with the
    same recipe goes on from it and gives the same bytes as an uninterrupted one.

    Parameters
    ----------
    recipe : Recipe
    training, held_out : Dataset
    path : pathlib.Path
        ``.nir`` file to write; ``PATH`` with the suffix ``.json`` tells how it came about.
    threads : int
        Of torch; the result depends on it.
    resume : bool
        Take an earlier checkpoint.

    Raises
    ------
    UserError
        If the data have no labels or do not fit the architecture.
    """
    torch.set_num_threads(threads)
    shape = parse_architecture(recipe.architecture)[0].inputs
    samples, tests = (_Samples(data, recipe, shape) for data in (training, held_out))
    steps = max(1, len(samples) // recipe.batch)
    run = _Run(recipe, steps)
    path.parent.mkdir(parents=True, exist_ok=True)
    checkpoint = path.with_name(path.name + ".checkpoint")
    if resume and run.restore(checkpoint):
        progress.say(f"going on after epoch {len(run.history)} of {recipe.epochs}")
    while len(run.history) < recipe.epochs:
        run.history.append(_epoch(run, samples, tests, steps))
        run.save(checkpoint)
        last = run.history[-1]
        progress.say(f"epoch {len(run.history)}/{recipe.epochs}: loss {last.loss:.4f}, held-out "
                     f"{last.accuracy:.2%}, {last.hidden_spikes:.0f} hidden spikes, "
                     f"{last.seconds:.1f} s")
    export(run.network, path, encoder="bernoulli" if samples.spikes is None else "spikes")
    story = {"recipe": dataclasses.asdict(recipe),
             "history": [{key: value for key, value in dataclasses.asdict(epoch).items()
                          if key != "seconds"} for epoch in run.history]}
    path.with_suffix(".json").write_text(json.dumps(story, indent=1) + "\n")
    checkpoint.unlink()
    return tuple(run.history)


def _epoch(run: _Run, samples: _Samples, tests: _Samples, steps: int) -> Epoch:
    begin, total = time.monotonic(), 0.0
    run.network.train()
    size = min(run.recipe.batch, len(samples))
    for chosen in torch.randperm(len(samples))[:steps * size].view(steps, size):
        loss = _loss(run.network, samples.batch(chosen), samples.labels[chosen])
        run.optimiser.zero_grad()
        loss.backward()
        run.optimiser.step()
        run.schedule.step()
        run.network.clip()
        total += loss.item() / steps
    right, spikes = accuracy(run.network, tests)
    return Epoch(loss=total, accuracy=right, hidden_spikes=spikes,
                 seconds=time.monotonic() - begin)
