"""From real numbers to integers: scales, thresholds and biases chosen by calibration."""

from __future__ import annotations

import dataclasses

import numpy as np

from lamina.flows.frontend.calibration import Calibration, assess
from lamina.flows.frontend.float_network import FloatLayer, FloatNetwork, run_float
from lamina.models.config import HardwareConfig, ResetRule
from lamina.models.fixed import signed_bits
from lamina.models.network import run
from lamina.models.program import Layer, Program
from lamina.models.ranges import accumulator_bits

__all__ = ["Recipe", "quantise"]

_NARROW_TIERS = (2, 2, 2, 2)
_WIDE_TIERS = (4, 4, 4, 4)
_HEADROOM_BITS = 2
_SEARCH_STATE_BITS = {False: 22, True: 32}
_LARGEST_SPREAD = 16.0
_SMALLEST = 1e-30
_RATIOS = {
    "fine": (1.0, 0.97, 0.94, 0.91, 0.88, 0.85, 0.8, 0.75, 0.7, 1.05, 1.1, 1.2, 1.35, 1.5),
    "coarse": (1.0, 0.9, 0.8, 0.7, 1.15, 1.3, 1.5, 1.75, 2.0, 2.3, 2.7, 3.2, 4.0, 5.0),
}
_COARSE_BITS = 5
_REFINEMENTS = (
    ("theta", (0, 1, -1, 2, -2, 3, -3, 4, -4, 6, -6, 8, -8)),
    ("bias", (0, 1, -1)),
    ("decay", (0, 1, -1)),
    ("r", (0, 1, -1, 2, -2, 4, -4)),
    ("theta", (0, 1, -1, 2, -2)),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """Widths and memory that a program is quantised for.

    Parameters
    ----------
    weight_bits : int
        1 ({-1, +1}), 2..8 or 16.
    decay_bits, state_bits, acc_bits : int or None
        F, store and accumulator; None for the latter two: as wide as needed.
    tiers : tuple of int
        Bits of the memory tiers, most significant first.
    gated_tiers : int
        Lowest tiers that are off for the whole program.
    layer_gated : dict of str to int
        Lowest tiers that a layer does not access, by its name.
    tier_fill : str
        ``mid`` or ``zero``.
    """

    weight_bits: int = 8
    decay_bits: int = 8
    state_bits: int | None = None
    acc_bits: int | None = None
    tiers: tuple[int, ...] = _NARROW_TIERS
    gated_tiers: int = 0
    layer_gated: dict[str, int] = dataclasses.field(default_factory=dict)
    tier_fill: str = "mid"

    @classmethod
    def choose(cls, weight_bits: int = 8, config: HardwareConfig | None = None,
               **rest) -> Recipe:
        """The recipe for `config`, or for no hardware where its memory is too narrow or None.

        Without hardware F is 16 at 16 bit and 8 below, and the tiers are 2+2+2+2 or 4+4+4+4.
        """
        if config is not None and max(2, weight_bits) <= config.weight_bits:
            return cls(weight_bits=weight_bits, decay_bits=config.decay_bits,
                       state_bits=config.state_bits, acc_bits=config.acc_bits,
                       tiers=config.tiers, **rest)
        wide = weight_bits == 16
        return cls(weight_bits=weight_bits, decay_bits=16 if wide else 8,
                   tiers=_WIDE_TIERS if wide else _NARROW_TIERS, **rest)

    @property
    def search_state_bits(self) -> int:
        """Store width while scales are searched."""
        return self.state_bits or _SEARCH_STATE_BITS[self.weight_bits > 8]

    @property
    def code_range(self) -> tuple[int, int]:
        """Lowest and highest weight code."""
        half = 1 << (self.weight_bits - 1)
        return (-half, half - 1) if self.weight_bits > 1 else (-1, 1)

    @property
    def ratios(self) -> tuple[float, ...]:
        """Multiples of the scale that just holds the largest weight; above 1 they clip."""
        return _RATIOS["coarse" if self.weight_bits <= _COARSE_BITS else "fine"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Choice:
    """Scale of each neuron [LSB per unit] and what was added to its integers."""

    scale: np.ndarray
    theta: np.ndarray
    bias: np.ndarray
    decay: np.ndarray
    r: np.ndarray

    @classmethod
    def plain(cls, scale: np.ndarray) -> _Choice:
        zero = np.zeros(scale.shape, dtype=np.int64)
        return cls(scale=scale, theta=zero, bias=zero, decay=zero, r=zero)

    def pick(self, best: np.ndarray) -> _Choice:
        """Of choices stacked as (candidates, neurons), the one that `best` names per neuron."""
        index = np.arange(best.size)
        return _Choice(**{field.name: getattr(self, field.name)[best, index]
                          for field in dataclasses.fields(self)})

    def stack(self, name: str, values: np.ndarray) -> _Choice:
        """Candidates (len(values), neurons) that differ in `name`."""
        shape = np.broadcast_shapes(values.shape, (1, self.scale.size))
        fields = {field.name: np.broadcast_to(getattr(self, field.name), shape)
                  for field in dataclasses.fields(self)}
        return _Choice(**fields | {name: np.broadcast_to(values, shape)})


def _codes(layer: FloatLayer, scale: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Weight codes (axons, neurons)."""
    if recipe.weight_bits == 1:
        return np.where(layer.weights >= 0, 1, -1)
    return np.clip(np.rint(layer.weights * scale), *recipe.code_range).astype(np.int64)


def _floor_loss(decay: np.ndarray, decay_bits: int) -> np.ndarray:
    """Mean of ``v * D / 2**F`` less its floor [LSB], over evenly spread v."""
    fraction = np.gcd(decay, 1 << decay_bits)
    return 0.5 - 0.5 * fraction / (1 << decay_bits)


def _integers(layer: FloatLayer, choice: _Choice, recipe: Recipe) -> dict[str, np.ndarray]:
    """Decay, theta, r, v_reset and bias [LSB], each shaped like ``choice.scale``."""
    scale = choice.scale
    half = 1 << (recipe.search_state_bits - 1)
    decay = np.rint(layer.decay * (1 << recipe.decay_bits)).astype(np.int64) + choice.decay
    decay = np.where((layer.decay == 0) | (layer.decay == 1), decay - choice.decay, decay)
    decay = np.clip(decay, 0, 1 << recipe.decay_bits)
    level = layer.theta * scale
    theta = np.floor(level) + 1 if layer.strict else np.ceil(level)
    least = 1 if layer.reset is ResetRule.SUBTRACT_DELAYED else -half
    bias = layer.bias * scale + _floor_loss(decay, recipe.decay_bits)
    value = layer.reset is ResetRule.VALUE
    fields = {"theta": np.clip(theta + choice.theta, least, half - 1),
              "r": 0 * level if value else np.rint(layer.r * scale) + choice.r,
              "v_reset": np.rint(layer.v_reset * scale) if value else 0 * level,
              "bias": np.rint(bias) + choice.bias}
    return {"decay": decay} | {name: np.clip(vector, -half, half - 1).astype(np.int64)
                               for name, vector in fields.items()}


def _build(layer: FloatLayer, choice: _Choice, recipe: Recipe) -> Layer:
    return Layer(name=layer.name, weights=_codes(layer, choice.scale, recipe), reset=layer.reset,
                 gated_tiers=recipe.layer_gated.get(layer.name, 0),
                 **_integers(layer, choice, recipe))


def _flat(layer: FloatLayer, choice: _Choice, recipe: Recipe) -> Layer:
    """All candidates (candidates, neurons) of `choice` as neurons of one integer layer."""
    vectors = {name: vector.ravel() for name, vector in _integers(layer, choice, recipe).items()}
    codes = [_codes(layer, scale, recipe) for scale in choice.scale]
    return Layer(name=layer.name, weights=np.concatenate(codes, axis=1), reset=layer.reset,
                 gated_tiers=recipe.layer_gated.get(layer.name, 0), **vectors)


def _program(network: FloatNetwork, layers: tuple[Layer, ...], recipe: Recipe,
             state_bits: int) -> Program:
    acc_bits = accumulator_bits(layers, tiers=recipe.tiers, gated=recipe.gated_tiers,
                                fill=recipe.tier_fill, decay_bits=recipe.decay_bits,
                                state_bits=state_bits)
    return Program(name=network.name, layers=layers, timesteps=network.timesteps,
                   weight_bits=recipe.weight_bits, acc_bits=acc_bits, state_bits=state_bits,
                   decay_bits=recipe.decay_bits, encoder=network.encoder,
                   decoding=network.decoding, gated_tiers=recipe.gated_tiers,
                   tier_fill=recipe.tier_fill, assumptions=dict(network.assumptions))


class _Search:
    """Fits the integers of one layer to the spikes of its float counterpart.

    Parameters
    ----------
    spikes : uint8 array (N, T, axons)
        What arrives from the layer before, already quantised.
    target : uint8 array (N, T, neurons)
        What the float network fires.
    peak : float array (neurons,)
        Largest membrane that the float network stores [unit of the network].
    """

    def __init__(self, network: FloatNetwork, layer: FloatLayer, recipe: Recipe,
                 spikes: np.ndarray, target: np.ndarray, peak: np.ndarray):
        self.network, self.layer, self.recipe = network, layer, recipe
        self.spikes, self.target = spikes, target
        self.largest_scale = self._limit()
        self.roomy_scale = np.minimum(self.largest_scale, self._holding(peak))

    def _holding(self, level: np.ndarray) -> np.ndarray:
        """Scale per neuron at which the store holds `level` with its headroom."""
        room = 1 << (self.recipe.search_state_bits - 1 - _HEADROOM_BITS)
        return room / np.maximum(level, _SMALLEST)

    def _limit(self) -> np.ndarray:
        """Scale per neuron at which parameters fill the store or sums the accumulator."""
        recipe, layer = self.recipe, self.layer
        limit = self._holding(np.max([np.abs(vector) for vector in (
            layer.theta, layer.r, layer.v_reset, layer.bias)], axis=0))
        if recipe.acc_bits is not None:
            reach = np.maximum(np.maximum(layer.weights, 0).sum(axis=0),
                               np.maximum(-layer.weights, 0).sum(axis=0))
            room = (1 << (recipe.acc_bits - 1)) - (1 << (recipe.search_state_bits - 1))
            limit = np.minimum(limit, 0.9 * room / np.maximum(reach, _SMALLEST))
        return limit

    def base(self) -> np.ndarray:
        """Scale per neuron that just holds its weights; the layer's own for silent weights."""
        weights, (low, high) = self.layer.weights, self.recipe.code_range
        if self.recipe.weight_bits == 1:
            size = np.abs(weights).mean(axis=0)
            base = 1 / np.where(size > 0, size, size.max() or 1.0)
        else:
            size = np.maximum(weights.max(axis=0) / high, weights.min(axis=0) / low)
            largest = size.max() if size.max() > 0 else 1.0
            base = 1 / np.maximum(size, largest / _LARGEST_SPREAD)
        return np.minimum(base, self.largest_scale)

    def errors(self, choice: _Choice) -> np.ndarray:
        """Wrong spikes of each candidate, int64 (candidates, neurons)."""
        candidates, neurons = choice.scale.shape
        layer = _flat(self.layer, choice, self.recipe)
        program = _program(self.network, (layer,), self.recipe, self.recipe.search_state_bits)
        got = run(program, self.spikes, self.recipe.tiers).spikes
        got = got.reshape(*got.shape[:2], candidates, neurons)
        return (got != self.target[:, :, None, :]).sum(axis=(0, 1), dtype=np.int64)

    def fit(self, kind: str) -> tuple[_Choice, int]:
        """Best choice with one scale per ``neuron`` or one per ``layer``, and its wrong spikes."""
        base = self.base()
        if kind == "layer":
            base = np.full_like(base, base.min())
        ratios = np.array(self.recipe.ratios)[:, None]
        scales = np.minimum(base * ratios, self.largest_scale)
        scales = np.concatenate([scales, np.minimum(base, self.roomy_scale)[None]])
        if kind == "layer":
            scales = np.broadcast_to(scales.min(axis=1, keepdims=True), scales.shape)
        stack = _Choice.plain(base).stack("scale", scales)
        errors = self.errors(stack)
        if kind == "layer":
            best = np.full(base.size, errors.sum(axis=1).argmin())
        else:
            best = errors.argmin(axis=0)
        return self._refine(stack.pick(best))

    def _refine(self, choice: _Choice) -> tuple[_Choice, int]:
        """Move the free integers one after the other to where the fewest spikes are wrong."""
        for name, deltas in _REFINEMENTS:
            if name == "r" and self.layer.reset is ResetRule.VALUE:
                continue
            values = getattr(choice, name) + np.array(deltas)[:, None]
            stack = choice.stack(name, values)
            errors = self.errors(stack)
            choice = stack.pick(errors.argmin(axis=0))
        return choice, int(errors.min(axis=0).sum())


def _state_bits(layers: tuple[Layer, ...], membranes: tuple[np.ndarray, ...]) -> int:
    """Store width: parameters and highest membrane with two bits to spare, the lowest as it is."""
    peak = max(int(np.abs(array).max()) for layer, v in zip(layers, membranes, strict=True)
               for array in (np.maximum(v, 0), layer.theta, layer.r, layer.v_reset, layer.bias))
    lowest = min(int(v.min()) for v in membranes)
    return min(32, max(8, signed_bits(min(lowest, -1), peak << _HEADROOM_BITS)))


def quantise(network: FloatNetwork, spikes: np.ndarray, labels: np.ndarray | None = None, *,
             recipe: Recipe | None = None) -> tuple[Program, Calibration]:
    """Turn a float network into a program that fires like it.

    Layer by layer, on what the quantised layers before it fire: scales (per neuron and per layer)
    and clipping ratios are tried, then theta, bias, D and r are moved by a few steps, and for
    every neuron (or layer) those are kept that give the fewest wrong spikes; nominal values win
    ties. With scale s: ``code = round(w s)`` clipped to the whole code range,
    ``theta = floor(theta s) + 1`` (``ceil(theta s)`` where the framework fires at equality),
    ``D = round(decay 2**F)``, ``bias = round(bias s + mean loss of the floor shift)``. Gated tiers
    are seen as the hardware sees them. The result is a function of the arguments alone.

    Parameters
    ----------
    network : FloatNetwork
    spikes : uint8 array (N, T, axons)
        Calibration samples, not those that accuracies are quoted for; N of at least 1.
    labels : int array (N,) or None
    recipe : Recipe
        8 bit for no particular hardware when None.

    Returns
    -------
    program : Program
        ``state_bits`` as the recipe says, else by rule: all parameters and the highest calibrated
        membrane with two bits of headroom, the lowest as it is, 8..32; ``acc_bits`` by range
        analysis. A given store keeps that headroom for the parameters only: whether membranes far
        from the threshold may saturate is left to the wrong spikes it would cost.
    calibration : Calibration
        On the calibration samples.
    """
    recipe = recipe or Recipe()
    reference = run_float(network, spikes, trace=True)
    layers, kinds, arriving = [], [], spikes
    for layer, target, membranes in zip(network.layers, reference.layer_spikes,
                                        reference.layer_membranes, strict=True):
        search = _Search(network, layer, recipe, arriving, target, membranes.max(axis=(0, 1)))
        fits = {kind: search.fit(kind) for kind in ("neuron", "layer")}
        kind = min(fits, key=lambda kind: fits[kind][1])
        layers.append(_build(layer, fits[kind][0], recipe))
        kinds.append(kind)
        program = _program(network, (layers[-1],), recipe, recipe.search_state_bits)
        arriving = run(program, arriving, recipe.tiers).spikes
    program = _finish(network, tuple(layers), recipe, spikes)
    return program, assess(network, program, spikes, labels, tiers=recipe.tiers,
                           scales=tuple(kinds))


def _finish(network: FloatNetwork, layers: tuple[Layer, ...], recipe: Recipe,
            spikes: np.ndarray) -> Program:
    """The program with its input shape and its final store and accumulator widths."""
    program = _program(network, layers, recipe, recipe.search_state_bits)
    if recipe.state_bits is None:
        trace = run(program, spikes, recipe.tiers, trace=True)
        program = _program(network, layers, recipe, _state_bits(layers, trace.layer_membranes))
    return dataclasses.replace(program, input_shape=network.input_shape)
