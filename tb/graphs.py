"""Random programs of every kind: branches, recurrence, delays, convolutions, currents."""

from __future__ import annotations

import dataclasses

import numpy as np

from lamina.models.config import HardwareConfig, ResetRule
from lamina.models.placement import misfits
from lamina.models.program import Layer, Program
from lamina.models.ranges import accumulator_bits
from lamina.models.source import INPUT, Source, Window
from lamina.tb.programs import own_width

__all__ = ["random_graph"]

_DELAYED = (ResetRule.SUBTRACT_DELAYED, ResetRule.SUBTRACT_REDERIVED)


class _Drawer:
    """Draws the layers of one program, one after the other.

    `outputs` holds (number, shape) of every spiking layer so far, the inputs first.
    """

    def __init__(self, rng: np.random.Generator, config: HardwareConfig, count: int):
        self.rng, self.config, self.count = rng, config, count
        self.layers: list[Layer] = []
        self.inputs: list[tuple[int, tuple[int, ...]]] = []
        self.sizes: dict[int, tuple[int, ...]] = {}

    def draw_inputs(self) -> None:
        first = 0
        for _ in range(int(self.rng.integers(1, 3))):
            shape = (int(self.rng.integers(3, 20)),)
            if self.config.has("windows") and self.rng.random() < 0.7:
                shape = tuple(int(n) for n in self.rng.integers((1, 3, 3), (6, 8, 8)))
            self.inputs.append((first, shape))
            first += int(np.prod(shape))
        self.axons = first

    def source(self, number: int, shape_wanted: tuple[int, ...] | None = None
               ) -> tuple[Source, tuple[int, ...]]:
        """A source that layer `number` may hear, and its shape."""
        rng = self.rng
        known = [(INPUT, first, shape) for first, shape in self.inputs]
        known += [(layer, 0, shape) for layer, shape in self.sizes.items()]
        if shape_wanted is not None:
            known = [item for item in known if len(item[2]) == shape_wanted] or known
        layer, first, shape = known[int(rng.integers(len(known)))]
        delay = int(rng.choice([0, 0, 0, 1, 2, 3]))
        return Source(layer=layer, first=first, units=int(np.prod(shape)), delay=delay), shape

    def windowed(self, number: int) -> tuple[tuple[Source, ...], tuple[int, ...]] | None:
        """Sources and shape of a convolution, or None when no map is at hand."""
        rng = self.rng
        source, shape = self.source(number, 3)
        if len(shape) != 3:
            return None
        kernel = tuple(int(n) for n in rng.integers(1, 4, 2))
        window = Window(shape=shape, kernel=kernel,
                        stride=tuple(int(n) for n in rng.integers(1, 3, 2)),
                        padding=tuple(int(n) for n in rng.integers(0, 2, 2)),
                        dilation=tuple(int(n) for n in rng.integers(1, 3, 2)),
                        pool=tuple(int(n) for n in rng.integers(1, 3, 2)))
        channels = int(rng.integers(1, 2 * self.config.lanes))
        rows, columns = (int(n) for n in rng.integers(1, 5, 2))
        return ((dataclasses.replace(source, window=window),), (channels, rows, columns))

    def neuron(self, columns: int, neurons: int, axons: int, weights: np.ndarray, *,
               spiking: bool) -> dict:
        """Constants of a layer whose thresholds its weights reach now and then."""
        rng, config = self.rng, self.config
        limit = (1 << (config.state_bits - 1)) - 1
        scale = max(1.0, float(np.abs(weights).mean() if weights.size else 4) * np.sqrt(axons + 1))
        small = [np.clip(np.rint(rng.normal(centre, 0.5, neurons) * scale), -limit - 1, limit)
                 .astype(np.int64) for centre in (0.6, 0.7, 0.05)]
        zero = np.zeros(neurons, dtype=np.int64)
        full = 1 << config.decay_bits
        fields = {"decay": rng.choice((0, full // 2, full * 7 // 8, full), neurons),
                  "bias": small[2] // 4, "theta": zero, "r": zero, "v_reset": zero,
                  "reset": ResetRule.VALUE, "spiking": spiking}
        if config.has("subtractive") and rng.random() < 0.4:
            fields |= {"leak": "subtract", "decay": np.abs(small[1]) // 4}
        if not spiking:
            return fields
        rules = [rule for rule in ResetRule
                 if rule is not ResetRule.SUBTRACT_REDERIVED or config.has("rederived")]
        rule = rules[int(rng.integers(len(rules)))]
        fields |= {"reset": rule, "theta": np.maximum(small[0], 1) if rule in _DELAYED
                   else small[0]}
        if rule is ResetRule.VALUE:
            rest = int(config.has("refractory") and rng.random() < 0.5)
            return fields | {"v_reset": small[1] // 2, "refractory": rest}
        return fields | {"r": small[1]}

    def weights(self, axons: int, columns: int, bits: int) -> np.ndarray:
        if bits == 1:
            return self.rng.choice((-1, 1), (axons, columns))
        half = 1 << (bits - 1)
        return self.rng.integers(-half, half, (axons, columns))

    def layer(self, number: int, bits: int) -> None:
        """Append one layer, or a current with its membrane."""
        rng = self.rng
        drawn = self.windowed(number) if self.config.has("windows") and rng.random() < 0.6 else None
        if drawn is None:
            sources = tuple({self.source(number)[0] for _ in range(int(rng.integers(1, 4)))})
            sources = tuple(sorted(sources, key=repr))
            drawn = sources, (int(rng.integers(1, 3 * self.config.lanes)),)
        sources, shape = drawn
        paired = self.config.has("currents") and rng.random() < 0.4
        own = number + int(paired)
        if len(shape) == 1 and rng.random() < 0.5:
            loop = Source(layer=own, units=shape[0], delay=int(rng.integers(1, 4)))
            sources = (*sources, loop)
        elif len(shape) == 3 and rng.random() < 0.3:
            window = Window(shape=shape, kernel=(3, 3), padding=(1, 1))
            sources = (*sources, Source(layer=own, units=int(np.prod(shape)), delay=1,
                                        window=window))
        axons, neurons = sum(source.axons for source in sources), int(np.prod(shape))
        weights = self.weights(axons, shape[0], bits)
        common = {"shape": shape, "report": bool(rng.integers(2)),
                  "adder": str(rng.choice(self.config.adders)),
                  "kappa": int(self.config.has("follow") and rng.integers(-9, 10))}
        if paired:
            still = self.neuron(shape[0], neurons, axons, weights, spiking=False)
            self.layers.append(Layer(name=f"layer{number}.current", weights=weights,
                                     sources=sources, **common, **still))
            self.layers.append(Layer(
                name=f"layer{number}", weights=np.zeros((0, shape[0]), dtype=np.int64),
                current=number, **common,
                **self.neuron(shape[0], neurons, axons, weights, spiking=True)))
        else:
            self.layers.append(Layer(
                name=f"layer{number}", weights=weights, sources=sources, **common,
                **self.neuron(shape[0], neurons, axons, weights, spiking=True)))
        self.sizes[own] = shape


def random_graph(rng: np.random.Generator, config: HardwareConfig, *, timesteps: int = 6
                 ) -> Program:
    """Draw a program that fits `config` and uses what it has the features for.

    It has 1 or 2 inputs, 1..3 layers (currents not counted) with 1..4 sources each, delays of 0..3
    timesteps, loops, and with ``windows`` maps with every kind of window.
    """
    bits = min(8, config.weight_bits)
    while True:
        drawer = _Drawer(rng, config, int(rng.integers(1, 4)))
        drawer.draw_inputs()
        try:
            while len(drawer.layers) < drawer.count:
                drawer.layer(len(drawer.layers), bits)
            acc_bits = accumulator_bits(
                drawer.layers, tiers=config.tiers, gated=0, fill="mid",
                decay_bits=config.decay_bits, state_bits=config.state_bits)
            acc_bits = own_width(drawer.layers, config, acc_bits)
            program = Program(
                name="graph", layers=tuple(drawer.layers), timesteps=timesteps, weight_bits=bits,
                acc_bits=acc_bits, decay_bits=config.decay_bits, state_bits=config.state_bits,
                input_shape=(drawer.axons,))
            if not misfits(program, config):
                return program
        except ValueError:
            continue
