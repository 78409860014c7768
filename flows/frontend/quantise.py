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
from lamina.models.source import INPUT, Source

__all__ = ["Recipe", "floor_loss", "quantise"]

_NARROW_TIERS = (2, 2, 2, 2)
_WIDE_TIERS = (4, 4, 4, 4)
_HEADROOM_BITS = 2
_SEARCH_STATE_BITS = {False: 22, True: 32}
_LARGEST_SPREAD = 16.0
_SMALLEST = 1e-30
_RATIOS = {
    "fine": (1.0, 0.97, 0.94, 0.91, 0.88, 0.85, 0.8, 0.75, 0.7, 1.05, 1.1, 1.2, 1.35, 1.5, 1.75,
             2.0, 2.4, 2.8, 3.3, 4.0, 5.0, 6.5, 8.0, 10.0, 12.0),
    "coarse": (1.0, 0.9, 0.8, 0.7, 1.15, 1.3, 1.5, 1.75, 2.0, 2.3, 2.7, 3.2, 4.0, 5.0),
}
_COARSE_BITS = 5
_NEURON_STEPS = 60_000_000
"""Neuron updates of one trial of candidates beyond which fewer samples and candidates are tried."""
_FEWEST_CANDIDATES = 5
_ON_GRID = 1e-4
_WORTH_COPYING = 0.8
_DELAYED = (ResetRule.SUBTRACT_DELAYED, ResetRule.SUBTRACT_REDERIVED)
_REFINEMENTS = (
    ("theta", (0, 1, -1, 2, -2, 3, -3, 4, -4, 6, -6, 8, -8)),
    ("bias", (0, 1, -1)),
    ("feed", (0, 1, -1)),
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
    tier_millivolts : tuple of int
        Supply of each tier [mV]; empty: all nominal. It widens the accumulator for what failing
        cells may read as; scales are fitted without faults.
    layer_millivolts : dict of str to tuple of int
        The same while a layer runs, by its name.
    copies : int
        How often a layer may list its sources, at least 1: a weight is then the sum of as many
        codes, which makes the scale finer where a few weights are much larger than the threshold.
        Copies double while each doubling saves a fifth of the wrong spikes; above 8 bit, where
        precision was asked for, all are taken.
    """

    weight_bits: int = 8
    decay_bits: int = 8
    state_bits: int | None = None
    acc_bits: int | None = None
    tiers: tuple[int, ...] = _NARROW_TIERS
    gated_tiers: int = 0
    layer_gated: dict[str, int] = dataclasses.field(default_factory=dict)
    tier_fill: str = "mid"
    tier_millivolts: tuple[int, ...] = ()
    layer_millivolts: dict[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    copies: int = 1

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
    """Scale of each weight column [LSB per unit] and what was added to its neurons' integers.

    `feed` is added to the bias of a synaptic current, `bias` to that of the membrane.
    """

    scale: np.ndarray
    theta: np.ndarray
    bias: np.ndarray
    feed: np.ndarray
    decay: np.ndarray
    r: np.ndarray

    @classmethod
    def plain(cls, scale: np.ndarray) -> _Choice:
        zero = np.zeros(scale.shape, dtype=np.int64)
        return cls(scale=scale, theta=zero, bias=zero, feed=zero, decay=zero, r=zero)

    def pick(self, best: np.ndarray) -> _Choice:
        """Of choices stacked as (candidates, columns), the one that `best` names per column."""
        index = np.arange(best.size)
        return _Choice(**{field.name: getattr(self, field.name)[best, index]
                          for field in dataclasses.fields(self)})

    def stack(self, name: str, values: np.ndarray) -> _Choice:
        """Candidates (len(values), columns) that differ in `name`."""
        shape = np.broadcast_shapes(values.shape, (1, self.scale.size))
        fields = {field.name: np.broadcast_to(getattr(self, field.name), shape)
                  for field in dataclasses.fields(self)}
        return _Choice(**fields | {name: np.broadcast_to(values, shape)})

    def row(self, index: int) -> _Choice:
        """One candidate of a stack."""
        return _Choice(**{field.name: getattr(self, field.name)[index]
                          for field in dataclasses.fields(self)})


def _codes(layer: FloatLayer, scale: np.ndarray, recipe: Recipe, copies: int) -> np.ndarray:
    """Weight codes (copies * axons, columns); those of all copies add up to the weight."""
    if recipe.weight_bits == 1:
        return np.where(layer.weights >= 0, 1, -1)
    low, high = (bound * copies for bound in recipe.code_range)
    codes = np.clip(np.rint(layer.weights * scale), low, high).astype(np.int64)
    return np.concatenate([(codes + number) // copies for number in range(copies)])


def floor_loss(decay: np.ndarray, decay_bits: int) -> np.ndarray:
    """Mean of ``v * D / 2**F`` less its floor [LSB], over evenly spread v."""
    fraction = np.gcd(decay, 1 << decay_bits)
    return 0.5 - 0.5 * fraction / (1 << decay_bits)


def _integers(layer: FloatLayer, choice: _Choice, recipe: Recipe, bias: str) -> dict:
    """Decay, theta, r, v_reset and bias [LSB] per neuron; `bias` names the offset of the choice."""
    repeat = layer.neurons // layer.weights.shape[1]
    added = {name: np.repeat(getattr(choice, name), repeat) for name in ("theta", "r", bias)}
    scale = np.repeat(choice.scale, repeat)
    half = 1 << (recipe.search_state_bits - 1)
    shift = np.repeat(choice.decay, repeat) if layer.spiking else 0
    nominal = np.rint(layer.decay * (1 << recipe.decay_bits)).astype(np.int64)
    decay = np.where((layer.decay == 0) | (layer.decay == 1), nominal, nominal + shift)
    decay = np.clip(decay, 0, 1 << recipe.decay_bits)
    level = layer.theta * scale
    theta = np.floor(level) + 1 if layer.strict else np.ceil(level)
    least = 1 if layer.reset in _DELAYED else -half
    offset = layer.bias * scale + floor_loss(decay, recipe.decay_bits)
    value = layer.reset is ResetRule.VALUE
    fields = {"theta": np.clip(theta + added["theta"], least, half - 1) * layer.spiking,
              "r": 0 * level if value else np.rint(layer.r * scale) + added["r"],
              "v_reset": np.rint(layer.v_reset * scale) if value else 0 * level,
              "bias": np.rint(offset) + added[bias]}
    return {"decay": decay} | {name: np.clip(vector, -half, half - 1).astype(np.int64)
                               for name, vector in fields.items()}


def _build(layer: FloatLayer, choice: _Choice, recipe: Recipe, copies: int, *, bias: str = "bias",
           **changes) -> Layer:
    """The integer layer; `changes` replace fields."""
    fields = {"sources": layer.sources, "shape": layer.shape, "current": layer.current} | changes
    fields["sources"] *= copies
    return Layer(name=layer.name, weights=_codes(layer, choice.scale, recipe, copies),
                 reset=layer.reset, spiking=layer.spiking, refractory=layer.refractory,
                 gated_tiers=recipe.layer_gated.get(layer.name, 0),
                 tier_millivolts=recipe.layer_millivolts.get(layer.name, ()), **fields,
                 **_integers(layer, choice, recipe, bias))


def _side_by_side(layers: list[Layer]) -> Layer:
    """Layers that differ in their integers only as columns (channels) of one layer."""
    first = layers[0]
    vectors = {name: np.concatenate([getattr(layer, name) for layer in layers])
               for name in ("decay", "theta", "r", "v_reset", "bias")}
    return dataclasses.replace(
        first, weights=np.concatenate([layer.weights for layer in layers], axis=1),
        shape=(len(layers) * first.shape[0], *first.shape[1:]), **vectors)


def _program(network: FloatNetwork, layers: tuple[Layer, ...], recipe: Recipe,
             state_bits: int, shape: tuple[int, ...] = ()) -> Program:
    acc_bits = accumulator_bits(layers, tiers=recipe.tiers, gated=recipe.gated_tiers,
                                fill=recipe.tier_fill, decay_bits=recipe.decay_bits,
                                state_bits=state_bits, millivolts=recipe.tier_millivolts)
    return Program(name=network.name, layers=layers, timesteps=network.timesteps,
                   weight_bits=recipe.weight_bits, acc_bits=acc_bits, state_bits=state_bits,
                   decay_bits=recipe.decay_bits, encoder=network.encoder, input_shape=shape,
                   decoding=network.decoding, gated_tiers=recipe.gated_tiers,
                   tier_fill=recipe.tier_fill, tier_millivolts=recipe.tier_millivolts,
                   assumptions=dict(network.assumptions))


class _Search:
    """Fits the integers of one layer, its synaptic current included, to its float counterpart.

    Parameters
    ----------
    network : FloatNetwork
    number : int
        Of the layer in `network`.
    trains : list of uint8 arrays (N, T, units)
        What arrives from each source, delays included.
    target : uint8 array (N, T, neurons)
        What the float network fires.
    peak : float array (neurons,)
        Largest membrane that the float network stores [unit of the network].
    """

    def __init__(self, network: FloatNetwork, number: int, recipe: Recipe,
                 trains: list[np.ndarray], target: np.ndarray, peak: np.ndarray):
        self.network, self.recipe = network, recipe
        self.layer = network.layers[number]
        current = self.layer.current
        self.feed = self.layer if current is None else network.layers[current]
        self.parts = [self.layer] if current is None else [self.feed, self.layer]
        self.spikes, self.target = np.concatenate(trains, axis=2), target
        self.sources = _outside(self.feed.sources)
        self.repeat = self.layer.neurons // self.feed.weights.shape[1]
        self.copies = 1
        self.largest_scale = self._limit()
        self.roomy_scale = np.minimum(self.largest_scale, self._holding(self._least(peak, np.max)))

    def _least(self, vector: np.ndarray, of=np.min) -> np.ndarray:
        """A value per neuron to one per column."""
        return of(vector.reshape(-1, self.repeat), axis=1)

    def _holding(self, level: np.ndarray) -> np.ndarray:
        """Scale at which the store holds `level` with its headroom."""
        room = 1 << (self.recipe.search_state_bits - 1 - _HEADROOM_BITS)
        return room / np.maximum(level, _SMALLEST)

    def _limit(self) -> np.ndarray:
        """Scale per column at which parameters fill the store or sums the accumulator."""
        recipe = self.recipe
        largest = np.max([np.abs(getattr(part, name)) for part in self.parts
                          for name in ("theta", "r", "v_reset", "bias")], axis=0)
        limit = self._holding(self._least(largest, np.max))
        if recipe.acc_bits is not None:
            times = np.concatenate([np.full(
                source.axons, np.prod(source.window.pool) if source.window else 1)
                for source in self.feed.sources])[:, None]
            weights = self.feed.weights * times
            reach = np.maximum(np.maximum(weights, 0).sum(axis=0),
                               np.maximum(-weights, 0).sum(axis=0))
            room = (1 << (recipe.acc_bits - 1)) - (1 << (recipe.search_state_bits - 1))
            limit = np.minimum(limit, 0.9 * room / np.maximum(reach, _SMALLEST))
        return limit

    def base(self) -> np.ndarray:
        """Scale per column that just holds its weights; the layer's own for silent weights."""
        weights, (low, high) = self.feed.weights, self.recipe.code_range
        if self.recipe.weight_bits == 1:
            size = np.abs(weights).mean(axis=0)
            base = 1 / np.where(size > 0, size, size.max() or 1.0)
        else:
            size = np.maximum(weights.max(axis=0) / high, weights.min(axis=0) / low) / self.copies
            largest = size.max() if size.max() > 0 else 1.0
            base = 1 / np.maximum(size, largest / _LARGEST_SPREAD)
        return np.minimum(base, self.largest_scale)

    def grid(self) -> np.ndarray | None:
        """Finest scale per column at which the weights are codes already, or None."""
        weights, (low, high) = self.feed.weights, self.recipe.code_range
        scale = None if self.feed.grid is None else 1 / self.feed.grid
        if scale is None:
            largest = np.abs(weights).max()
            trials = np.arange(1, -low + 1) / largest if largest > 0 else np.ones(1)
            scale = next((np.full(weights.shape[1], trial) for trial in trials
                          if np.abs(weights * trial - np.rint(weights * trial)).max() < _ON_GRID),
                         None)
        if scale is None:
            return None
        codes = weights * scale
        times = np.floor(np.min([(high + 0.5) / np.maximum(codes.max(axis=0), 1),
                                 (low - 0.5) / np.minimum(codes.min(axis=0), -1),
                                 self.largest_scale / scale], axis=0)).min()
        on_grid = np.abs(codes - np.rint(codes)).max() < _ON_GRID
        return scale * times if on_grid and times >= 1 else None

    def layers(self, stack: _Choice) -> tuple[Layer, ...]:
        """All candidates of `stack` as neurons of one integer layer, behind its current if any."""
        outside = {"sources": self.sources}
        choices = [stack.row(index) for index in range(len(stack.scale))]
        if self.feed is self.layer:
            return (_side_by_side([_build(self.layer, choice, self.recipe, self.copies, **outside)
                                   for choice in choices]),)
        return (_side_by_side([_build(self.feed, choice, self.recipe, self.copies, bias="feed",
                                      **outside) for choice in choices]),
                _side_by_side([_build(self.layer, choice, self.recipe, 1, current=0)
                               for choice in choices]))

    def final(self, choice: _Choice) -> list[Layer]:
        """The layers of the program, as many as `parts`."""
        if self.feed is self.layer:
            return [_build(self.layer, choice, self.recipe, self.copies)]
        return [_build(self.feed, choice, self.recipe, self.copies, bias="feed"),
                _build(self.layer, choice, self.recipe, 1)]

    def _samples(self, candidates: int) -> int:
        """Calibration samples that a trial of so many candidates may take."""
        steps = candidates * self.layer.neurons * self.spikes.shape[1] * len(self.parts)
        return int(np.clip(_NEURON_STEPS // steps, 1, len(self.spikes)))

    def errors(self, stack: _Choice) -> np.ndarray:
        """Wrong spikes of each candidate, int64 (candidates, columns)."""
        candidates, columns = stack.scale.shape
        samples = self._samples(candidates)
        program = _program(self.network, self.layers(stack), self.recipe,
                           self.recipe.search_state_bits, (self.spikes.shape[2],))
        got = run(program, self.spikes[:samples], self.recipe.tiers).spikes
        got = got.reshape(*got.shape[:2], candidates, -1)
        wrong = (got != self.target[:samples, :, None, :]).sum(axis=(0, 1), dtype=np.int64)
        return wrong.reshape(candidates, columns, -1).sum(axis=2)

    def fit(self, kind: str) -> tuple[_Choice, int]:
        """Best choice with one scale per ``neuron`` or one per ``layer``, and its wrong spikes."""
        base = self.base()
        if kind == "layer":
            base = np.full_like(base, base.min())
        ratios = np.array(self.recipe.ratios)[:, None]
        if self._samples(len(ratios)) < 2:
            ratios = ratios[:_FEWEST_CANDIDATES]
        scales = np.minimum(base * ratios, self.largest_scale)
        scales = np.concatenate([scales, np.minimum(base, self.roomy_scale)[None]])
        if kind == "layer":
            scales = np.broadcast_to(scales.min(axis=1, keepdims=True), scales.shape)
        return self._best(scales, kind)

    def keep(self, grid: np.ndarray) -> tuple[_Choice, int]:
        """The choice that keeps the codes of the file, and its wrong spikes."""
        return self._best(grid[None], "layer")

    def _best(self, scales: np.ndarray, kind: str) -> tuple[_Choice, int]:
        stack = _Choice.plain(scales[0]).stack("scale", scales)
        if not self.layer.spiking:
            return stack.row(0), 0
        errors = self.errors(stack)
        if kind == "layer":
            best = np.full(scales.shape[1], errors.sum(axis=1).argmin())
        else:
            best = errors.argmin(axis=0)
        return self._refine(stack.pick(best))

    def _refine(self, choice: _Choice) -> tuple[_Choice, int]:
        """Move the free integers one after the other to where the fewest spikes are wrong."""
        for name, deltas in _REFINEMENTS:
            if (name == "r" and self.layer.reset is ResetRule.VALUE) or (
                    name == "feed" and self.feed is self.layer):
                continue
            if self._samples(len(deltas)) < 2:
                deltas = deltas[:3]
            values = getattr(choice, name) + np.array(deltas)[:, None]
            stack = choice.stack(name, values)
            errors = self.errors(stack)
            choice = stack.pick(errors.argmin(axis=0))
        return choice, int(errors.min(axis=0).sum())

    def chosen(self) -> tuple[str, _Choice]:
        """What is kept, and which kind of scale it has."""
        grid = self.grid()
        if grid is not None:
            return "given", self.keep(grid)[0]
        best = self.copies = self.recipe.copies if self.recipe.weight_bits > 8 else 1
        kind, choice, wrong = self._fitted()
        while wrong and 2 * self.copies <= min(self.recipe.copies, 4 * best):
            self.copies *= 2
            finer = self._fitted()
            if finer[2] <= _WORTH_COPYING ** np.log2(self.copies / best) * wrong:
                best, (kind, choice, wrong) = self.copies, finer
        self.copies = best
        return (kind if best == 1 else f"{kind}, {best} copies"), choice

    def _fitted(self) -> tuple[str, _Choice, int]:
        """The better kind of scale, its choice and the wrong spikes, with so many copies."""
        comparing = not self.layer.spiking or (
            self.layer is self.network.layers[-1] and self.network.decoding.startswith("v_"))
        kinds = ("layer",) if comparing else ("neuron", "layer")
        fits = {kind: self.fit(kind) for kind in kinds}
        kind = min(fits, key=lambda kind: fits[kind][1])
        return kind, *fits[kind]


def _outside(sources: tuple[Source, ...]) -> tuple[Source, ...]:
    """`sources` as ranges of one input, side by side and without delay."""
    first, outside = 0, []
    for source in sources:
        outside.append(Source(layer=INPUT, units=source.units, first=first, window=source.window))
        first += source.units
    return tuple(outside)


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
    fired = list(reference.layer_spikes)
    layers: dict[int, Layer] = {}
    kinds: dict[int, str] = {}
    currents = {layer.current for layer in network.layers}
    for number, layer in enumerate(network.layers):
        if number in currents:
            continue
        feed = layer if layer.current is None else network.layers[layer.current]
        trains = [source.arriving(spikes if source.layer == INPUT else fired[source.layer])
                  for source in feed.sources]
        peak = reference.layer_membranes[number].max(axis=(0, 1))
        search = _Search(network, number, recipe, trains, reference.layer_spikes[number], peak)
        kind, choice = search.chosen()
        numbers = [number] if layer.current is None else [layer.current, number]
        for place, built in zip(numbers, search.final(choice), strict=True):
            layers[place], kinds[place] = built, kind
        alone = _program(network, search.layers(choice.stack("theta", choice.theta[None])), recipe,
                         recipe.search_state_bits, (search.spikes.shape[2],))
        fired[number] = run(alone, search.spikes, recipe.tiers).spikes
    program = _finish(network, tuple(layers[number] for number in sorted(layers)), recipe, spikes)
    return program, assess(network, program, spikes, labels, tiers=recipe.tiers,
                           scales=tuple(kinds[number] for number in sorted(kinds)))


def _finish(network: FloatNetwork, layers: tuple[Layer, ...], recipe: Recipe,
            spikes: np.ndarray) -> Program:
    """The program with its input shape and its final store and accumulator widths."""
    program = _program(network, layers, recipe, recipe.search_state_bits, network.input_shape)
    if recipe.state_bits is None:
        trace = run(program, spikes, recipe.tiers, trace=True)
        program = _program(network, layers, recipe, _state_bits(layers, trace.layer_membranes),
                           network.input_shape)
    return dataclasses.replace(program, inputs=network.inputs)
