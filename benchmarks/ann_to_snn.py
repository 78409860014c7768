"""How much a ReLU network loses when it becomes integrate-and-fire neurons.

``python benchmarks/ann_to_snn.py DIR [--epochs N] [--timesteps T]`` trains 784-256-10 on MNIST
(DIR holds its idx files), converts it by threshold balancing and prints the accuracies of the ANN,
the float network and the 8-bit program over the 10,000 test images. Needs the extra ``train``.
"""

from __future__ import annotations

import argparse
import pathlib

import numpy as np
import torch
from torch import nn

from lamina.flows.frontend.calibration import assess
from lamina.flows.frontend.data import load_data
from lamina.flows.frontend.nir.reader import read_network
from lamina.flows.frontend.quantise import Recipe, quantise
from lamina.flows.training.convert import convert


def trained(images: torch.Tensor, labels: torch.Tensor, epochs: int) -> nn.Sequential:
    """A ReLU MLP after `epochs` of Adam."""
    torch.manual_seed(0)
    ann = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
    optimiser = torch.optim.Adam(ann.parameters(), 1e-3)
    for _ in range(epochs):
        for chosen in torch.randperm(len(images)).split(128):
            loss = nn.functional.cross_entropy(ann(images[chosen]), labels[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return ann


def main() -> None:
    """Print one line per network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", metavar="DIR")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--timesteps", type=int, default=32)
    parser.add_argument("-o", "--out", type=pathlib.Path, default=pathlib.Path("out/ann.nir"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    training, held_out = (load_data(f"mnist:{options.data}", split=split)
                          for split in ("train", "test"))
    images = torch.as_tensor(training.images, dtype=torch.float32)
    ann = trained(images, torch.as_tensor(training.labels), options.epochs)
    with torch.no_grad():
        guesses = ann(torch.as_tensor(held_out.images, dtype=torch.float32)).argmax(1).numpy()
    print(f"ANN                 {np.mean(guesses == held_out.labels):.2%}")
    balances = convert(ann, training.images[:2000], options.out, input_shape=(784,),
                       timesteps=options.timesteps)
    for balance in balances:
        print(f"  {balance.name}: activation {balance.activation:.2f} is one spike per timestep, "
              f"{balance.clipped:.2%} above")
    network = read_network(options.out)
    recipe = Recipe.choose(8)
    program, _ = quantise(network, training.encoded(network, 0, 200), recipe=recipe)
    found = assess(network, program, held_out.encoded(network), held_out.labels,
                   tiers=recipe.tiers)
    print(f"float, T = {options.timesteps:<7}  {found.float_accuracy:.2%}")
    print(f"8 bit, T = {options.timesteps:<7}  {found.integer_accuracy:.2%}, agreement "
          f"{found.agreement:.2%}")


if __name__ == "__main__":
    main()
