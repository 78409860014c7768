"""A recurrent, sparse network of clusters in a plane, as large as one likes.

A cluster hears those to the west and to the south within a timestep, itself and the one to the east
a timestep later; a tenth of the synapses are there, and constant currents keep a few per cent of
the neurons firing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lamina.models.config import HardwareConfig, ResetRule
from lamina.models.fabric.config import MeshConfig
from lamina.models.fabric.mapping import FabricProgram, Part, assemble
from lamina.models.program import Encoder, Layer, Program
from lamina.models.source import INPUT, Source

__all__ = ["CORE", "MOST", "cluster_spikes", "clusters"]

DENSITY, LARGEST = 0.1, 12
"""Share of the synapses that are there, and their largest weight [LSB], if it has the bits."""
THETA, DECAY, CURRENTS = 400, 192, (60, 112)
"""Threshold, D of the leak, range of the currents [LSB]: above 100 a neuron fires by itself."""
INPUTS, INPUT_SHARE = 64, 0.2
CORE = HardwareConfig(lanes=8, tiers=(8,), weight_words=16, axons=64, groups=8, layers=4,
                      state_bits=14, acc_bits=18, features=("sources",))
MOST = {"weight_words": 65536, "axons": 16384, "groups": 128, "layers": 64, "mask_rows": 4096}
"""Core of a tile for weights of 8 bit, and how far it may grow."""


def clusters(size: tuple[int, int], neurons: int, timesteps: int, seed: int = 0, *,
             weight_bits: int = 8, far: int = 0, lanes: int = CORE.lanes) -> FabricProgram:
    """The network, a cluster on each tile; layer ``x + y * width`` is the one at (x, y).

    Parameters
    ----------
    size : (int, int)
        Clusters along x and y.
    neurons : int
        Of a cluster.
    timesteps, seed : int
    weight_bits : int
        Narrow ones load faster, and fire a little more rarely.
    far : int
        If there are any, clusters do not hear their neighbours. Those on every other tile hear
        so many of the others within the timestep, these as many of them a timestep later, drawn
        from the whole plane; and these, which are the first layers, the only input line.
    lanes : int
        Of the cores.
    """
    rng = np.random.default_rng(seed)
    width, height = size
    largest = min(LARGEST, (1 << weight_bits - 1) - 1)
    layers = []
    for number, sources in enumerate(
            _far_sources(size, neurons, far, seed) if far else _near_sources(size, neurons)):
        axons = sum(source.units for source in sources)
        weights = rng.integers(-largest, largest + 1, (axons, neurons))
        weights[rng.random(weights.shape) >= DENSITY] = 0
        constant = {"decay": DECAY, "theta": THETA, "r": THETA, "v_reset": 0}
        layers.append(Layer(
            name=f"cluster{number}", weights=weights, reset=ResetRule.SUBTRACT,
            bias=rng.integers(*CURRENTS, neurons), sources=tuple(sources),
            **{name: np.full(neurons, value) for name, value in constant.items()}))
    program = Program(name="clusters", layers=tuple(layers), timesteps=timesteps,
                      weight_bits=weight_bits,
                      acc_bits=CORE.acc_bits, state_bits=CORE.state_bits,
                      input_shape=(1 if far else INPUTS,), encoder=Encoder(kind="spikes"))
    tiles = range(width * height)
    order = sorted(tiles, key=lambda tile: sum(divmod(tile, width)) % 2) if far else tiles
    return assemble(program, MeshConfig(size=size), {
        tile: (Part(number, 0, neurons),) for number, tile in enumerate(order)}, lanes)


def _near_sources(size: tuple[int, int], neurons: int) -> Iterator[list[Source]]:
    """West and south, itself and east."""
    width, height = size
    for number in range(width * height):
        x, y = number % width, number // width
        heard = [(number - 1, 0)] * (x > 0) + [(number - width, 0)] * (y > 0)
        heard += [(number, 1)] + [(number + 1, 1)] * (x < width - 1)
        inputs = [Source(layer=INPUT, first=0, units=INPUTS, delay=0)] * (number == 0)
        yield inputs + [Source(layer=layer, first=0, units=neurons, delay=delay)
                        for layer, delay in heard]


def _far_sources(size: tuple[int, int], neurons: int, far: int, seed: int
                 ) -> Iterator[list[Source]]:
    """Drawn ones of the other half, and itself."""
    rng, count = np.random.default_rng((seed, far)), size[0] * size[1]
    half = count - count // 2
    for number in range(count):
        first = number < half
        others = rng.choice(np.arange(half, count) if first else half, far, replace=False)
        inputs = [Source(layer=INPUT, first=0, units=1, delay=0)] * first
        yield inputs + [Source(layer=int(layer), first=0, units=neurons, delay=int(delay))
                        for layer, delay in [(number, True), *((other, first)
                                                               for other in np.sort(others))]]


def cluster_spikes(timesteps: int, seed: int = 0, lines: int = INPUTS) -> np.ndarray:
    """Input of one sample, uint8 (1, timesteps, lines)."""
    rng = np.random.default_rng(seed)
    return (rng.random((1, timesteps, lines)) < INPUT_SHARE).astype(np.uint8)
