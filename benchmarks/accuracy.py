"""What quantisation costs a network, on a whole labelled set and at several weight widths.

``python benchmarks/accuracy.py examples/digits.nir digits``
``python benchmarks/accuracy.py examples/mnist_784_128_10.nir mnist:../shared/data/mnist``
"""

from __future__ import annotations

import argparse
import pathlib
import time

from lamina.flows.frontend.calibration import Calibration, assess
from lamina.flows.frontend.data import load_data
from lamina.flows.frontend.float_network import FloatNetwork
from lamina.flows.frontend.nir_reader import read_network
from lamina.flows.frontend.quantise import Recipe, quantise
from lamina.models.program import Program

__all__ = ["main"]

CALIBRATION_SAMPLES = 300


def figures(network: FloatNetwork, spec: str, samples: int | None,
            weight_bits: int) -> tuple[Program, Calibration]:
    """Quantise `network` on the training split of `spec`, assess it on the held-out split."""
    recipe = Recipe.choose(weight_bits)
    training = load_data(spec, split="train")
    program, _ = quantise(network, training.encoded(network, 0, CALIBRATION_SAMPLES),
                          training.labels[:CALIBRATION_SAMPLES], recipe=recipe)
    data = load_data(spec)
    spikes = data.encoded(network, 0, samples)
    return program, assess(network, program, spikes, data.labels[:len(spikes)],
                           tiers=recipe.tiers)


def show(program: Program, result: Calibration, inputs: int, seconds: float) -> None:
    """Print the figures; `inputs` is the number of spikes into the network over all samples."""
    steps = result.samples * program.timesteps
    print(f"{program.weight_bits} bit, F = {program.decay_bits}, state {program.state_bits}, "
          f"accumulator {program.acc_bits} bit, {result.samples} samples ({seconds:.1f} s)")
    print(f"  accuracy: float {result.float_accuracy:.2%}, integer {result.integer_accuracy:.2%}; "
          f"equal predictions {result.agreement:.2%}")
    spikes, sops = inputs, 0
    for layer, loss in zip(program.layers, result.layers, strict=True):
        sops += spikes * layer.neurons
        spikes = loss.integer_spikes
        print(f"  {loss.name}: Jaccard {loss.jaccard:.4f}, {spikes / steps:.2f} spikes per "
              f"timestep, membranes {loss.membrane_low}..{loss.membrane_high}, "
              f"{loss.saturations} saturated")
    print(f"  {inputs / steps:.2f} input spikes per timestep, {sops / result.samples:.0f} synaptic "
          f"operations per sample")


def main() -> None:
    """Parse the command line and print the figures for every width asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("net", type=pathlib.Path)
    parser.add_argument("data")
    parser.add_argument("--weight-bits", type=int, nargs="+", default=[8, 16])
    parser.add_argument("--samples", type=int, help="first so many of the held-out set; all")
    options = parser.parse_args()
    network = read_network(options.net)
    inputs = int(load_data(options.data).encoded(network, 0, options.samples).sum(dtype="int64"))
    for weight_bits in options.weight_bits:
        start = time.monotonic()
        program, result = figures(network, options.data, options.samples, weight_bits)
        show(program, result, inputs, time.monotonic() - start)


if __name__ == "__main__":
    main()
