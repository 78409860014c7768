"""The compiled network: integers and small enums only; what all three executors run."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import pathlib

import numpy as np

from lamina.models.adders.spec import EXACT, AdderSpec
from lamina.models.check import check_int, check_one_of
from lamina.models.config import KAPPA_BITS, ResetRule
from lamina.models.source import INPUT, Source, Window

__all__ = ["DECODINGS", "ENCODINGS", "FORMAT_VERSION", "LEAKS", "Encoder", "Layer", "Program"]

FORMAT_VERSION = 2
LEAKS = ("decay", "subtract")
DECODINGS = ("count", "first", "v_final", "v_sum", "v_max")
ENCODINGS = ("spikes", "bernoulli", "rate", "latency", "delta", "constant")
_VECTORS = ("decay", "theta", "r", "v_reset", "bias")
_PLAIN = ("name", "adder", "report", "gated_tiers", "shape", "spiking", "current", "refractory",
          "leak", "kappa", "tier_millivolts")


def _integers(name: str, value: object, ndim: int) -> np.ndarray:
    array = np.asarray(value)
    if array.ndim != ndim or array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be a {ndim}-dimensional integer array, "
                        f"not {array.dtype} of shape {array.shape}")
    array = np.ascontiguousarray(array, dtype=np.int64)
    array.flags.writeable = False
    return array


def _check_range(name: str, array: np.ndarray, low: int, high: int) -> None:
    if array.size and (array.min() < low or array.max() > high):
        bad = array[(array < low) | (array > high)].flat[0]
        raise ValueError(f"{name} must be in {low}..{high}, not {bad}")


def _millivolts(name: str, value: object) -> tuple[int, ...]:
    """`value` as a tuple of at most eight supplies that the fault model knows."""
    supplies = tuple(value)
    check_int(f"entries of {name}", len(supplies), 0, 8)
    return tuple(check_int(name, supply, 600, 1100) for supply in supplies)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """One layer of neurons with the weights that feed it.

    Parameters
    ----------
    name : str
        Path of the neuron node in the network.
    weights : int array (axons, neurons) or (axons, channels)
        Two's-complement codes [LSB]; the axons of all `sources` in turn. With a `shape` of three
        extents one column serves all positions of a channel.
    decay, theta, r, v_reset, bias : int array (neurons,)
        D (or lambda under the leak ``subtract``), threshold, reset amount, reset value and bias of
        architecture 3 [LSB]. `r` acts under the subtract rules, `v_reset` under ``VALUE``; the
        other one must be zero.
    reset : ResetRule
    adder : str
        Name of the accumulation adder: :class:`lamina.models.adders.spec.AdderSpec`.
    report : bool
        Whether the host receives this layer's events; the last layer always reports.
    gated_tiers : int
        How many of the lowest tiers this layer does not access (their contents are kept).
    tier_millivolts : tuple of int
        Supply of each tier while this layer runs, highest tier first, 600..1100 [mV]; that of a
        gated tier is not used. Empty: as the program says.
    sources : tuple of Source
        Empty: the layer before, or for the first one the input; a :class:`Program` fills it in.
    shape : tuple of int
        ``(neurons,)``, or ``(channels, rows, columns)`` of a convolution, whose neurons are
        numbered in C order; empty stands for the former.
    spiking : bool
        False: an integrator that is never compared, e.g. a synaptic current or a readout; `theta`,
        `r` and `v_reset` must be zero and the rule ``VALUE``.
    current : int or None
        Number of an earlier, not spiking layer of the same size: its stored membrane of this
        timestep is added to x, neuron by neuron (the synaptic current of CubaLIF).
    refractory : int
        Timesteps after a spike, 0 or 1, for which v stays `v_reset` and nothing fires (``VALUE``).
    kappa : int
        Bias per spike: ``(kappa * N_t) >> 4`` [LSB] is added to x, exactly, with N_t the entries
        of the neuron's spike list in the timestep; takes back the mean error of approximate adders.
    leak : str
        ``decay`` (floor((v * D) / 2**F)) or ``subtract`` (towards 0 by lambda, never past it).
    receives, sends : bool
        Of a share of a layer that is cut by axons, in the program of a tile only: the partial sums
        of another tile are added to x; x leaves as a partial sum, which takes a layer that does
        not spike. Both with the exact adder.
    """

    name: str
    weights: np.ndarray
    decay: np.ndarray
    theta: np.ndarray
    r: np.ndarray
    v_reset: np.ndarray
    bias: np.ndarray
    reset: ResetRule
    adder: str = "exact"
    report: bool = False
    gated_tiers: int = 0
    tier_millivolts: tuple[int, ...] = ()
    sources: tuple[Source, ...] = ()
    shape: tuple[int, ...] = ()
    spiking: bool = True
    current: int | None = None
    refractory: int = 0
    leak: str = "decay"
    kappa: int = 0
    receives: bool = False
    sends: bool = False

    def __post_init__(self):
        object.__setattr__(self, "weights", _integers(f"{self.name}.weights", self.weights, 2))
        object.__setattr__(self, "sources", tuple(self.sources))
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape)
                           or (self.weights.shape[1],))
        self._check_shape()
        for name in _VECTORS:
            vector = _integers(f"{self.name}.{name}", getattr(self, name), 1)
            if vector.shape != (self.neurons,):
                raise ValueError(f"{self.name}.{name} must have {self.neurons} entries, "
                                 f"not {vector.shape[0]}")
            object.__setattr__(self, name, vector)
        if self.neurons == 0 or (self.axons == 0 and self.current is None):
            raise ValueError(f"{self.name} must have at least one axon and one neuron, "
                             f"not {self.axons} x {self.neurons}")
        object.__setattr__(self, "reset", ResetRule(self.reset))
        object.__setattr__(self, "adder", AdderSpec.parse(self.adder).name)
        check_int(f"{self.name}.gated_tiers", self.gated_tiers, 0, 7)
        object.__setattr__(self, "tier_millivolts", _millivolts(
            f"{self.name}.tier_millivolts", self.tier_millivolts))
        unused = "r" if self.reset is ResetRule.VALUE else "v_reset"
        if getattr(self, unused).any():
            raise ValueError(f"{self.name}.{unused} must be 0 under reset {self.reset.label}")
        delayed = (ResetRule.SUBTRACT_DELAYED, ResetRule.SUBTRACT_REDERIVED)
        if self.reset in delayed and (self.theta < 1).any():
            raise ValueError(f"{self.name}.theta must be at least 1 under reset "
                             f"{self.reset.label}, not {self.theta.min()}")
        self._check_model()

    def _check_shape(self) -> None:
        if len(self.shape) not in (1, 3) or self.shape[0] != self.weights.shape[1]:
            raise ValueError(f"{self.name}.shape must be (neurons,) or (channels, rows, columns) "
                             f"for {self.weights.shape[1]} weight columns, not {self.shape}")
        if any((source.window is None) is (len(self.shape) == 3) for source in self.sources):
            raise ValueError(f"{self.name}.sources must have a window each in a convolution, and "
                             f"none elsewhere")
        axons = sum(source.axons for source in self.sources)
        if self.sources and axons != self.weights.shape[0]:
            raise ValueError(f"{self.name}.weights must have a row for each of the {axons} axons "
                             f"of its sources, not {self.weights.shape[0]}")

    def _check_model(self) -> None:
        check_one_of(f"{self.name}.leak", self.leak, LEAKS)
        check_int(f"{self.name}.kappa", self.kappa, -(1 << 15), (1 << 15) - 1)
        check_int(f"{self.name}.refractory", self.refractory, 0, 1)
        if self.refractory and self.reset is not ResetRule.VALUE:
            raise ValueError(f"{self.name}.refractory must be 0 under reset {self.reset.label}, "
                             f"not {self.refractory}")
        if not self.spiking and (self.reset is not ResetRule.VALUE or self.theta.any()
                                 or self.v_reset.any() or self.refractory):
            raise ValueError(f"{self.name} must have reset value, and theta, v_reset and "
                             f"refractory 0, when it does not spike")
        if self.sends and self.spiking:
            raise ValueError(f"{self.name} must not spike when its sums leave")
        if self.receives and self.current is not None:
            raise ValueError(f"{self.name} must have no current when it receives sums")
        if (self.receives or self.sends) and (self.adder != EXACT.name or self.kappa):
            raise ValueError(f"{self.name} must have an exact adder and kappa 0 when it is cut by "
                             f"axons, not {AdderSpec.parse(self.adder).label}, {self.kappa}")

    @property
    def axons(self) -> int:
        """Rows of the weight matrix: input lines, or taps of a convolution."""
        return self.weights.shape[0]

    @property
    def neurons(self) -> int:
        """Output units."""
        return int(np.prod(self.shape))

    @property
    def most_spikes(self) -> int:
        """Entries that the spike list of a neuron can have in a timestep."""
        if not self.sources:
            return self.axons
        return sum(source.axons * (1 if source.window is None else int(np.prod(source.window.pool)))
                   for source in self.sources)

    @property
    def is_convolution(self) -> bool:
        """Whether each weight column serves a whole map."""
        return len(self.shape) == 3


def _source(fields: dict) -> Source:
    """Inverse of ``dataclasses.asdict`` after a passage through JSON."""
    window = fields.pop("window")
    return Source(**fields, window=None if window is None else Window(**window))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Encoder:
    """How real-valued inputs become spikes before the network.

    Parameters
    ----------
    kind : str
        ``spikes`` (the data are spikes), ``bernoulli`` (spike with probability `gain * x`, x in
        0..1), ``rate`` (the same rate, evenly spaced), ``latency`` (one spike, the earlier the
        larger), ``delta`` (changes of a signal) or ``constant`` (a level in every timestep); see
        :func:`lamina.models.encoder.encode`.
    gain : float
        0 < gain <= 1.
    seed : int
        Of the counter-based generator; sample, timestep and axon are its counter.
    step : float
        Change that ``delta`` answers, positive.
    levels : int
        Of ``constant``, 1..255: copies of each axon.
    """

    kind: str = "bernoulli"
    gain: float = 1.0
    seed: int = 0
    step: float = 0.1
    levels: int = 4

    def __post_init__(self):
        check_one_of("encoder", self.kind, ENCODINGS)
        if not 0 < self.gain <= 1:
            raise ValueError(f"encoder gain must be in 0..1 and not 0, not {self.gain}")
        check_int("encoder seed", self.seed, 0, 2**32 - 1)
        if not 0 < self.step < math.inf:
            raise ValueError(f"encoder step must be positive and finite, not {self.step}")
        check_int("encoder levels", self.levels, 1, 255)

    @property
    def copies(self) -> int:
        """Spiking axons for each real-valued input; copy-major: all of copy 0 come first."""
        return {"delta": 2, "constant": self.levels}.get(self.kind, 1)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Program:
    """A network compiled to integers; see architecture 2 and 3.

    Parameters
    ----------
    name : str
    layers : tuple of Layer
        In the order in which a core runs them within a timestep. A spike of a layer reaches the
        layers behind it in its own timestep (plus the delay of the source), itself and the layers
        before it at least one timestep later. The last layer is the output.
    timesteps : int
        T of one sample, 1..65535.
    decay_bits, weight_bits, state_bits, acc_bits : int
        F 4..16; code width 1, 2..8 or 16 (1 is {-1, +1}); store width 8..32; accumulator width.
    encoder : Encoder
    decoding : str
        ``count``, ``first``, ``v_final``, ``v_sum`` or ``v_max`` over the last layer.
    input_shape : tuple of int
        Shape of one input frame; its C order is the axon order. Several inputs, or none given:
        ``(axons,)``.
    inputs : tuple of (str, tuple of int)
        Name and shape of every input node, in axon order; empty: one input of `input_shape`.
    gated_tiers : int
        How many of the lowest tiers are switched off for the whole program.
    tier_fill : str
        ``mid`` (10..0 in the highest gated tier) or ``zero``.
    tier_millivolts : tuple of int
        Supply of each tier, highest first, 600..1100 [mV]; that of a gated tier is not used. Empty:
        all nominal, 1100.
    assumptions : dict of str to str
        The discretisation that was used, word by word (dt, integrator, reset, ...).
    """

    name: str
    layers: tuple[Layer, ...]
    timesteps: int
    weight_bits: int
    acc_bits: int
    decay_bits: int = 8
    state_bits: int = 16
    encoder: Encoder = dataclasses.field(default_factory=Encoder)
    decoding: str = "count"
    input_shape: tuple[int, ...] = ()
    inputs: tuple[tuple[str, tuple[int, ...]], ...] = ()
    gated_tiers: int = 0
    tier_fill: str = "mid"
    tier_millivolts: tuple[int, ...] = ()
    assumptions: dict[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if not self.layers:
            raise ValueError("layers must hold at least one layer, not 0")
        check_int("timesteps", self.timesteps, 1, 65535)
        check_int("decay_bits", self.decay_bits, 4, 16)
        check_int("state_bits", self.state_bits, 8, 32)
        check_int("acc_bits", self.acc_bits, self.state_bits + 1, 62)
        if self.weight_bits not in (1, 2, 3, 4, 5, 6, 7, 8, 16):
            raise ValueError(f"weight_bits must be 1..8 or 16, not {self.weight_bits}")
        check_one_of("decoding", self.decoding, DECODINGS)
        check_one_of("tier_fill", self.tier_fill, ("mid", "zero"))
        check_int("gated_tiers", self.gated_tiers, 0, 7)
        object.__setattr__(self, "tier_millivolts", _millivolts(
            "tier_millivolts", self.tier_millivolts))
        self._fill_in()
        self._check_graph()
        for layer in self.layers:
            self._check_layer(layer)

    def _fill_in(self):
        """Give layers without sources the layer before them, and the frame its shape."""
        layers = []
        for index, layer in enumerate(self.layers):
            if not layer.sources and layer.axons:
                before = Source(layer=index - 1, units=layer.axons)
                layer = dataclasses.replace(layer, sources=(before,))
            layers.append(layer)
        object.__setattr__(self, "layers", tuple(layers))
        inputs = tuple((str(name), tuple(shape)) for name, shape in self.inputs)
        object.__setattr__(self, "inputs", inputs)
        shape = tuple(self.input_shape) or (max(
            (source.first + source.units for layer in layers for source in layer.sources
             if source.layer == INPUT), default=1),)
        object.__setattr__(self, "input_shape", shape)

    def _check_graph(self):
        names = [layer.name for layer in self.layers]
        if len(set(names)) != len(names):
            raise ValueError(f"layer names must differ, not {names}")
        if self.inputs and sum(int(np.prod(shape)) for _, shape in self.inputs) != self.axons:
            raise ValueError(f"inputs must hold {self.axons} axons like input_shape, "
                             f"not {self.inputs}")
        for index, layer in enumerate(self.layers):
            for source in layer.sources:
                self._check_source(index, layer, source)
            self._check_current(index, layer)

    def _check_source(self, index: int, layer: Layer, source: Source):
        if source.layer == INPUT:
            if source.first + source.units > self.axons:
                raise ValueError(f"{layer.name} must take its axons from the {self.axons} of the "
                                 f"input, not {source.first}..{source.first + source.units - 1}")
            return
        if source.layer >= len(self.layers):
            raise ValueError(f"{layer.name}.sources must name one of {len(self.layers)} layers, "
                             f"not {source.layer}")
        other = self.layers[source.layer]
        if not other.spiking:
            raise ValueError(f"{layer.name}.sources must name spiking layers, not {other.name}")
        if source.units != other.neurons:
            raise ValueError(f"{layer.name} must have {other.neurons} axons like {other.name} has "
                             f"neurons, not {source.units}")
        if source.layer >= index and source.delay == 0:
            raise ValueError(f"{layer.name} must have a delay of at least 1 from {other.name}, "
                             f"which does not come before it, not 0")

    def _check_current(self, index: int, layer: Layer):
        if layer.current is None:
            return
        check_int(f"{layer.name}.current", layer.current, 0, index - 1)
        other = self.layers[layer.current]
        if other.spiking or other.neurons != layer.neurons:
            raise ValueError(f"{layer.name}.current must name an integrator of {layer.neurons} "
                             f"neurons, not {other.name}")

    def _check_layer(self, layer: Layer):
        half = 1 << (self.state_bits - 1)
        for name in ("theta", "r", "v_reset", "bias"):
            _check_range(f"{layer.name}.{name}", getattr(layer, name), -half, half - 1)
        most = layer.kappa * layer.most_spikes >> KAPPA_BITS
        _check_range(f"{layer.name}.kappa times its axons", np.array([most]), -half, half - 1)
        highest = 1 << self.decay_bits if layer.leak == "decay" else half - 1
        _check_range(f"{layer.name}.decay", layer.decay, 0, highest)
        if self.weight_bits == 1:
            if not np.isin(layer.weights, (-1, 1)).all():
                raise ValueError(f"{layer.name}.weights must be -1 or +1 at 1 bit")
        else:
            half = 1 << (self.weight_bits - 1)
            _check_range(f"{layer.name}.weights", layer.weights, -half, half - 1)

    @property
    def axons(self) -> int:
        """Input lines of the network."""
        return int(np.prod(self.input_shape))

    @property
    def adders(self) -> tuple[str, ...]:
        """Adders of its layers, each once, ``exact`` first."""
        return tuple(sorted({layer.adder for layer in self.layers},
                            key=lambda name: (name != EXACT.name, name)))

    @property
    def outputs(self) -> int:
        """Neurons of the last layer."""
        return self.layers[-1].neurons

    @property
    def stored_bits(self) -> int:
        """Two's-complement bits that a weight code needs in memory."""
        return max(2, self.weight_bits)

    def save(self, folder: pathlib.Path) -> None:
        """Write ``program.json`` and ``program.npz`` into the existing `folder`."""
        arrays, layers = {}, []
        for index, layer in enumerate(self.layers):
            for name in ("weights", *_VECTORS):
                arrays[f"layer{index}_{name}"] = getattr(layer, name)
            plain = {name: getattr(layer, name) for name in _PLAIN}
            layers.append({**plain, "reset": layer.reset.label,
                           "sources": [dataclasses.asdict(source) for source in layer.sources]})
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        fields |= {"layers": layers, "encoder": dataclasses.asdict(self.encoder),
                   "format_version": FORMAT_VERSION}
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        (folder / "program.npz").write_bytes(buffer.getvalue())
        (folder / "program.json").write_text(json.dumps(fields, indent=1, sort_keys=True) + "\n")

    @classmethod
    def load(cls, folder: pathlib.Path) -> Program:
        """Inverse of :meth:`save`; raises :class:`ValueError` on another format version."""
        fields = json.loads((folder / "program.json").read_text())
        version = fields.pop("format_version", None)
        if version != FORMAT_VERSION:
            raise ValueError(f"{folder / 'program.json'}: format_version must be "
                             f"{FORMAT_VERSION}, not {version}")
        layers = []
        with np.load(folder / "program.npz") as arrays:
            for index, layer in enumerate(fields.pop("layers")):
                vectors = {name: arrays[f"layer{index}_{name}"] for name in ("weights", *_VECTORS)}
                layer["reset"] = ResetRule.from_label(layer["reset"])
                layer["sources"] = tuple(map(_source, layer["sources"]))
                layers.append(Layer(**layer, **vectors))
        fields |= {"layers": tuple(layers), "encoder": Encoder(**fields["encoder"]),
                   "input_shape": tuple(fields["input_shape"]),
                   "inputs": tuple((name, tuple(shape)) for name, shape in fields["inputs"])}
        return cls(**fields)
