"""What quantisation costs a network, on a whole labelled set and at several weight widths.

``python benchmarks/accuracy.py examples/digits.nir digits``
``python benchmarks/accuracy.py examples/mnist_784_128_10.nir mnist:../shared/data/mnist``
"""

from __future__ import annotations

import argparse
import pathlib
import time

import numpy as np

from lamina.flows.designs import TARGETS
from lamina.flows.frontend.compile import Compiled, CompileOptions, compile_network
from lamina.models.config import HardwareConfig
from lamina.models.cost import sample_cycles
from lamina.models.network import run
from lamina.models.program import Program

__all__ = ["main"]

BOARD = "icebreaker"
COSTED_SAMPLES = 300


def show(compiled: Compiled, inputs: int, seconds: float) -> None:
    """Print what was lost; `inputs` is the number of spikes into the network over all samples."""
    program, result = compiled.program, compiled.calibration
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


def show_cycles(program: Program, config: HardwareConfig, spikes: np.ndarray) -> None:
    """Print the predicted cycles of `spikes` (N, T, axons)."""
    trace = run(program, spikes, config.tiers, trace=True)
    costs = [sample_cycles(program, config, spikes[k], [fired[k] for fired in trace.layer_spikes])
             for k in range(len(spikes))]
    cycles, sops = (sum(getattr(cost, field) for cost in costs) for field in ("cycles", "sops"))
    print(f"  {config.lanes} lanes, {len(spikes)} samples: {cycles / len(spikes):.0f} cycles per "
          f"sample, {sops / (config.lanes * cycles):.3f} SOP per lane and cycle")


def main() -> None:
    """Parse the command line and print the figures for every width asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("net", type=pathlib.Path)
    parser.add_argument("data")
    parser.add_argument("--weight-bits", type=int, nargs="+", default=[8, 16])
    options = parser.parse_args()
    for weight_bits in options.weight_bits:
        start = time.monotonic()
        config = TARGETS[BOARD].config if weight_bits <= 8 else None
        compiled = compile_network(
            options.net, CompileOptions(data=options.data, weight_bits=weight_bits), config)
        spikes = compiled.data.encoded(compiled.program)
        show(compiled, int(spikes.sum(dtype=np.int64)), time.monotonic() - start)
        if config is not None:
            show_cycles(compiled.program, config, spikes[:COSTED_SAMPLES])


if __name__ == "__main__":
    main()
