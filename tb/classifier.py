"""A wide classifier, as wide and as sparse in spikes as one likes, spread over a mesh.

Weights are drawn, every one of them is there; the thresholds are such that a share of the neurons
fires in each timestep.
"""

from __future__ import annotations

import itertools

import numpy as np

from lamina.models.config import HardwareConfig, ResetRule
from lamina.models.fabric.config import MeshConfig
from lamina.models.fabric.division import divide
from lamina.models.fabric.mapping import FabricProgram, assemble
from lamina.models.program import Encoder, Layer, Program
from lamina.models.source import INPUT, Source

__all__ = ["CORE", "MOST", "classifier", "classifier_spikes"]

LARGEST = 16
"""Of a weight [LSB]."""
DECAY, ACTIVE, REACH = 192, 0.05, 1.645
"""D of the leak; share of the axons that spike in a timestep; thresholds in standard deviations of
a membrane without reset, beyond which a twentieth lies."""
CORE = HardwareConfig(lanes=8, tiers=(8,), weight_words=16, axons=1024, groups=8, layers=4,
                      state_bits=16, acc_bits=22)
MOST = {"weight_words": 65536, "axons": 16384, "groups": 512, "layers": 64}
"""Core of a tile, and how far it may grow."""


def classifier(widths: tuple[int, ...], size: tuple[int, ...], timesteps: int, seed: int = 0, *,
               lanes: int = 8) -> FabricProgram:
    """The network; its shares stand in the order of its layers, along x first.

    Parameters
    ----------
    widths : tuple of int
        Of the input and of every layer.
    size : tuple of int
        Of the mesh. A share is no smaller than a group of `lanes` neurons.
    timesteps, seed, lanes : int
    """
    rng = np.random.default_rng(seed)
    layers = []
    for number, (axons, neurons) in enumerate(itertools.pairwise(widths)):
        weights = rng.integers(-LARGEST, LARGEST + 1, (axons, neurons), dtype=np.int16)
        spread = np.sqrt(ACTIVE * axons * LARGEST * (LARGEST + 1) / 3 / (1 - (DECAY / 256) ** 2))
        constant = {"decay": DECAY, "theta": round(REACH * spread), "r": round(REACH * spread),
                    "v_reset": 0, "bias": 0}
        layers.append(Layer(
            name=f"wide{number}", weights=weights.astype(np.int64), reset=ResetRule.SUBTRACT,
            sources=(Source(layer=number - 1 if number else INPUT, first=0, units=axons, delay=0),),
            **{name: np.full(neurons, value) for name, value in constant.items()}))
    program = Program(name="classifier", layers=tuple(layers), timesteps=timesteps, weight_bits=8,
                      acc_bits=CORE.acc_bits, state_bits=CORE.state_bits,
                      input_shape=(widths[0],), encoder=Encoder(kind="spikes"))
    mesh = MeshConfig(size=size)
    parts = divide(program, mesh.tiles, lanes, ACTIVE * np.array(widths[:-1]))
    return assemble(program, mesh, dict(enumerate(parts)), lanes)


def classifier_spikes(inputs: int, timesteps: int, seed: int = 0) -> np.ndarray:
    """Input of one sample, uint8 (1, timesteps, inputs)."""
    rng = np.random.default_rng(seed)
    return (rng.random((1, timesteps, inputs)) < ACTIVE).astype(np.uint8)
