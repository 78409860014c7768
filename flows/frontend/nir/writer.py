"""A program as a NIR file: integer codes beside the weights that they stand for."""

from __future__ import annotations

import itertools
import os
import pathlib

import nir
import numpy as np

from lamina.flows.errors import UserError
from lamina.flows.frontend.nir.linear_map import extents
from lamina.flows.frontend.quantise import floor_loss
from lamina.models.config import ResetRule
from lamina.models.program import Layer, Program
from lamina.models.source import INPUT, Source

__all__ = ["write_quantised"]

_DT = 1e-4
_LEAST_LEAK = 2.0**-60


def write_quantised(program: Program, path: pathlib.Path) -> None:
    """Write `program` as NIR that other frameworks can run and Lamina reads back to its codes.

    Every weight node has the metadata ``quant_weight`` (codes), ``quant_weight_scale`` (weight of
    one LSB: the inverse of a power of two, so that thresholds lie in .5..1) and
    ``quant_weight_zero_point`` (0). Biases are those of a leak that does not round. What NIR cannot
    say (dt, reset rule, ``>=``, the amount that a reset subtracts) is metadata ``lamina_*``.
    The file appears by rename, and the same program gives the same bytes.

    Raises
    ------
    UserError
        If the program holds something that no NIR node can say.
    """
    graph = _Writer(program, path).graph()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    nir.write(partial, graph)
    os.replace(partial, path)


class _Writer:
    """Collects nodes and edges."""

    def __init__(self, program: Program, path: pathlib.Path):
        self.program, self.path = program, path
        self.nodes: dict[str, nir.NIRNode] = {}
        self.edges: list[tuple[str, str]] = []
        self.carried = {layer.current: layer for layer in program.layers
                        if layer.current is not None}
        self.inputs = self._inputs()

    def graph(self) -> nir.NIRGraph:
        """The whole network."""
        for first, (name, shape) in self.inputs.items():
            units = int(np.prod(shape))
            self.nodes[name] = nir.Input(np.array(self._seen(INPUT, first, units) or shape))
        for number, layer in enumerate(self.program.layers):
            if number not in self.carried:
                self._add(number, layer)
        last = self.program.layers[-1]
        output = self._free("output")
        self.nodes[output] = nir.Output(np.array(last.shape))
        self.edges.append((last.name, output))
        return nir.NIRGraph(nodes=self.nodes, edges=sorted(self.edges), type_check=False,
                            metadata=self._metadata())

    def _refuse(self, layer: Layer, sentence: str) -> UserError:
        return UserError(f"{self.path}: layer {layer.name} {sentence}, which NIR cannot say")

    def _free(self, name: str) -> str:
        taken = {layer.name for layer in self.program.layers} | set(self.nodes)
        while name in taken:
            name += "_"
        return name

    def _inputs(self) -> dict[int, tuple[str, tuple[int, ...]]]:
        """Name and shape of the input nodes by their first axon."""
        inputs = self.program.inputs or ((self._free("input"), self.program.input_shape),)
        firsts = np.cumsum([0] + [int(np.prod(shape)) for _, shape in inputs])
        return {int(first): entry for first, entry in zip(firsts, inputs, strict=False)}

    def _seen(self, number: int, first: int, units: int) -> tuple[int, ...]:
        """Shape of the map that windows see in a source; empty when none does."""
        shapes = {source.window.shape for layer in self.program.layers for source in layer.sources
                  if source.window and (source.layer, source.first, source.units)
                  == (number, first, units)}
        return min(shapes, default=())

    def _metadata(self) -> dict:
        program = self.program
        spiking = [layer for layer in program.layers if layer.spiking and not _compares(layer)]
        rules = {(layer.reset, layer.refractory) for layer in spiking}
        if len(rules) > 1:
            raise UserError(f"{self.path}: the layers must share one reset rule in NIR, they have "
                            f"{', '.join(sorted({rule.label for rule, _ in rules}))}")
        rule, rest = next(iter(rules), (ResetRule.VALUE, 0))
        return {"lamina_dt": _DT, "lamina_reset": rule.label, "lamina_refractory": rest,
                "lamina_strict": False, "lamina_timesteps": program.timesteps,
                "lamina_decoding": program.decoding, "lamina_encoder": program.encoder.kind,
                "lamina_gain": program.encoder.gain, "lamina_seed": program.encoder.seed}

    def _add(self, number: int, layer: Layer) -> None:
        if layer.leak != "decay":
            raise self._refuse(layer, f"leaks by {layer.leak}")
        feed = layer if layer.current is None else self.program.layers[layer.current]
        if feed is not layer and layer.sources:
            raise self._refuse(layer, "has weights beside its synaptic current")
        if feed is not layer and feed.current is not None:
            raise self._refuse(layer, "has a current of a current")
        last = number == len(self.program.layers) - 1
        if not layer.spiking and not last:
            raise self._refuse(layer, "does not spike and is not the last")
        unit = _unit(layer)
        bias = _mean_bias(feed, self.program.decay_bits) / unit
        rest = np.zeros_like(bias)
        if feed is not layer:
            rest = _mean_bias(layer, self.program.decay_bits) / unit
        self.nodes[layer.name] = self._neuron(number, layer, feed, rest, unit, bias)
        start = 0
        for index, source in enumerate(feed.sources):
            codes = feed.weights[start:start + source.axons]
            start += source.axons
            self._weigh(layer, feed, f"{layer.name}.w{index}", source, codes, unit,
                        bias if index == 0 else None)

    def _neuron(self, number: int, layer: Layer, feed: Layer, rest: np.ndarray, unit: float,
                bias: np.ndarray) -> nir.NIRNode:
        """The node of neurons; a bias that differs within a channel becomes its `v_leak`."""
        shape = self._seen(number, 0, layer.neurons) or layer.shape
        if feed is layer and not _uniform(bias, layer):
            rest, bias[:] = bias.copy(), 0
        if _compares(layer):
            if rest.any():
                raise self._refuse(layer, "has a bias that differs within a channel")
            return nir.Threshold((layer.theta / unit).reshape(shape))
        tau, leak = self._time(layer)
        values = {"r": 1 / leak, "v_leak": rest / leak}
        metadata = {}
        if layer.spiking:
            values |= {"v_threshold": layer.theta / unit, "v_reset": layer.v_reset / unit}
            metadata = {} if layer.reset is ResetRule.VALUE else {"lamina_r": layer.r / unit}
        if feed is layer:
            kind, values["tau"] = (nir.LIF if layer.spiking else nir.LI), tau
        else:
            kind, values["tau_mem"] = (nir.CubaLIF if layer.spiking else nir.CubaLI), tau
            values["tau_syn"] = self._time(feed)[0]
            values["w_in"] = values["tau_syn"] / _DT
        node = kind(**{name: value.reshape(shape) for name, value in values.items()})
        node.metadata = metadata
        return node

    def _time(self, layer: Layer) -> tuple[np.ndarray, np.ndarray]:
        """Time constant [s] and leak per timestep; no leak becomes one that vanishes in float64."""
        leak = np.maximum(1 - layer.decay / (1 << self.program.decay_bits), _LEAST_LEAK)
        return _DT / leak, leak

    def _weigh(self, layer: Layer, feed: Layer, name: str, source: Source, codes: np.ndarray,
               unit: float, bias: np.ndarray | None) -> None:
        """The nodes between a source and the neurons."""
        chain: dict[str, nir.NIRNode] = {}
        if source.delay > (source.layer == self.program.layers.index(layer)):
            seen = self._seen(source.layer, source.first, source.units) or (source.units,)
            chain[f"{name}.delay"] = nir.Delay(np.full(seen, source.delay * _DT))
        if source.window is None:
            if bias is None:
                bias = np.zeros(codes.shape[1])
            flat = nir.Flatten({"input": np.array(self._shape(source))}, 0, -1)
            chain |= {f"{name}.flat": flat} if len(self._shape(source)) > 1 else {}
            chain[name] = nir.Affine(weight=codes.T / unit, bias=bias)
            codes = codes.T
        else:
            codes = self._convolve(feed, name, source, codes, unit, bias, chain)
        chain[name].metadata = {"quant_weight": codes.astype(np.int32),
                                "quant_weight_scale": 1 / unit, "quant_weight_zero_point": 0}
        self.nodes |= chain
        origin = self.inputs[source.first][0] if source.layer == INPUT \
            else self.program.layers[source.layer].name
        path = [origin, *chain, layer.name]
        self.edges += itertools.pairwise(path)

    def _shape(self, source: Source) -> tuple[int, ...]:
        seen = self._seen(source.layer, source.first, source.units)
        if source.layer == INPUT:
            return seen or self.inputs[source.first][1]
        return seen or self.program.layers[source.layer].shape

    def _convolve(self, feed: Layer, name: str, source: Source, codes: np.ndarray, unit: float,
                  bias: np.ndarray | None, chain: dict) -> np.ndarray:
        """Add pool and convolution to `chain`; the codes in the order of NIR's kernels."""
        window = source.window
        covered = extents(window.pooled, window.kernel, window.stride, window.padding,
                          window.dilation)
        if covered != feed.shape[1:]:
            raise self._refuse(feed, f"sees {feed.shape[1:]} positions of {covered}")
        if window.pool != (1, 1):
            pool = np.array(window.pool)
            chain[f"{name}.pool"] = nir.SumPool2d(kernel_size=pool, stride=pool, padding=0 * pool)
        codes = codes.reshape(*window.kernel, window.shape[0], -1).transpose(3, 2, 0, 1)
        offsets = np.zeros(len(codes)) if bias is None else bias.reshape(len(codes), -1)[:, 0]
        chain[name] = nir.Conv2d(input_shape=window.pooled, weight=codes / unit, bias=offsets,
                                 stride=window.stride, padding=window.padding,
                                 dilation=window.dilation, groups=1)
        return codes


def _compares(layer: Layer) -> bool:
    """Whether a layer is a Threshold node: no memory, no rest."""
    return layer.spiking and layer.reset is ResetRule.VALUE and not (
        layer.decay.any() or layer.v_reset.any() or layer.refractory)


def _unit(layer: Layer) -> float:
    """LSB per unit of the file."""
    largest = int(np.abs(layer.theta).max())
    return float(1 << max(largest - 1, 0).bit_length())


def _mean_bias(layer: Layer, decay_bits: int) -> np.ndarray:
    return layer.bias - floor_loss(layer.decay, decay_bits)


def _uniform(bias: np.ndarray, layer: Layer) -> bool:
    rows = bias.reshape(layer.weights.shape[1], -1)
    return bool((rows == rows[:, :1]).all())
