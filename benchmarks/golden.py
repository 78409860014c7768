"""Throughput of the golden model, beside the float network of the same shape in snnTorch.

``python benchmarks/golden.py examples/mnist_784_128_10.nir mnist:../shared/data/mnist``

Both get spikes that are already encoded (snnTorch as float tensors of its layout) and keep the
output spikes only. The second half is left out where torch and snntorch are not installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import pathlib
import time
from collections.abc import Callable

import numpy as np

from lamina.flows.frontend.data import load_data
from lamina.flows.frontend.nir.reader import read_network
from lamina.flows.frontend.quantise import Recipe, quantise
from lamina.models.network import run
from lamina.models.program import Program

__all__ = ["main"]

BATCHES = (1, 16, 64, 256, 1024, 4000)
CALIBRATION_SAMPLES = 100


def prepare(net: pathlib.Path, spec: str) -> tuple[Program, tuple[int, ...], np.ndarray]:
    """Quantise `net` to 8 bit and encode held-out samples: program, tiers, spikes (N, T, axons)."""
    network, recipe = read_network(net), Recipe.choose(8)
    training = load_data(spec, split="train")
    program, _ = quantise(network, training.encoded(network, 0, CALIBRATION_SAMPLES),
                          training.labels[:CALIBRATION_SAMPLES], recipe=recipe)
    spikes = load_data(spec).encoded(network, 0, max(BATCHES))
    return program, recipe.tiers, spikes


def best_rate(job: Callable[[], object], images: int, seconds: float) -> float:
    """Images per second of the fastest run of `job` within `seconds`, at least five runs."""
    times, stop = [], time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < stop:
        start = time.perf_counter()
        job()
        times.append(time.perf_counter() - start)
    return images / min(times)


def snntorch_forward(program: Program) -> Callable[[np.ndarray], Callable[[], object]]:
    """Float network with the weights of `program`; binds spikes (N, T, axons) to a forward pass."""
    import snntorch
    import torch

    weights = [torch.tensor(layer.weights.T, dtype=torch.float32) for layer in program.layers]
    neurons = [snntorch.Leaky(beta=float(layer.decay[0]) / (1 << program.decay_bits),
                              threshold=float(layer.theta[0])) for layer in program.layers]

    def forward(steps):
        states, outputs = [neuron.init_leaky() for neuron in neurons], []
        for active in steps:
            for k, neuron in enumerate(neurons):
                active, states[k] = neuron(torch.nn.functional.linear(active, weights[k]),
                                           states[k])
            outputs.append(active)
        return torch.stack(outputs)

    def bind(spikes):
        steps = torch.tensor(spikes.transpose(1, 0, 2), dtype=torch.float32)
        return torch.inference_mode()(lambda: forward(steps))

    return bind


def main() -> None:
    """Print images per second by batch size, and the ratio of the two."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("net", type=pathlib.Path)
    parser.add_argument("data", help="data set, e.g. mnist:DIR")
    parser.add_argument("--seconds", type=float, default=2.0, help="time per figure")
    options = parser.parse_args()
    program, tiers, spikes = prepare(options.net, options.data)
    installed = all(map(importlib.util.find_spec, ("torch", "snntorch")))
    bind = snntorch_forward(program) if installed else None
    print(f"{program.name}: {spikes.shape[1]} timesteps, input density {spikes.mean():.3f}, "
          f"{os.cpu_count()} processors")
    print(f"{'batch':>6} {'golden/s':>10} {'ms/batch':>9} {'snnTorch/s':>11} {'ratio':>6}")
    best = [0.0, 0.0]
    for batch in BATCHES:
        part = spikes[:batch]
        rates = [best_rate(lambda part=part: run(program, part, tiers), batch, options.seconds)]
        if bind:
            rates.append(best_rate(bind(part), batch, options.seconds))
        show(batch, rates)
        best = [max(pair) for pair in zip(best, [*rates, 0.0], strict=False)]
    print("best of each:")
    show("", best if bind else best[:1])


def show(batch: int | str, rates: list[float]) -> None:
    """Print one row; `rates` holds one or two figures in images per second."""
    row = f"{batch:>6} {rates[0]:>10,.0f} "
    row += f"{1e3 * batch / rates[0]:>9.3f}" if batch else " " * 9
    if len(rates) == 2:
        row += f" {rates[1]:>11,.0f} {rates[0] / rates[1]:>6.2f}"
    print(row)


if __name__ == "__main__":
    main()
