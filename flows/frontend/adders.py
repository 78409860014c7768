"""Approximate adders in a program: which layer has which, and what makes up for their bias."""

from __future__ import annotations

import dataclasses

import numpy as np

from lamina.flows.adders.names import read_adder
from lamina.flows.errors import UserError
from lamina.models.adders.ordered import OrderedDrive
from lamina.models.adders.spec import EXACT, AdderSpec
from lamina.models.config import KAPPA_BITS
from lamina.models.drive import Drive
from lamina.models.fixed import bounds
from lamina.models.network import run
from lamina.models.neuron import leaked
from lamina.models.program import Layer, Program
from lamina.models.ranges import accumulator_bits
from lamina.models.source import INPUT
from lamina.models.tiers import effective_weights

__all__ = ["COMPENSATIONS", "AdderError", "adder_error", "compensated", "parse_adders",
           "with_adders"]

COMPENSATIONS = ("bias", "follow", "none")
_ROUNDS = 3


def parse_adders(text: str | None, layers: dict[str, str]) -> dict[str, str]:
    """Read ``loa:4`` (every layer) or ``fc1=loa:4;fc2=exact``: adder by layer name.

    Parameters
    ----------
    text : str or None
        None: every layer exact.
    layers : dict of str to str
        Name of the layer by each name that a user may call it.

    Raises
    ------
    UserError
        On an unknown adder or layer, a parameter out of range, or a layer named twice.
    """
    if text is None:
        return {}
    if "=" not in text:
        return dict.fromkeys(layers.values(), _known(text))
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, _, adder = part.partition("=")
        if name not in layers:
            raise UserError(f"--adders: layers are {', '.join(dict.fromkeys(layers))}, "
                            f"not {name!r}")
        if layers[name] in found:
            raise UserError(f"--adders: layer {name} must be named once, not twice")
        found[layers[name]] = _known(adder)
    return found


def _known(name: str) -> str:
    try:
        return read_adder(name.strip()).name
    except UserError as error:
        raise UserError(f"--adders: {error}") from None


def with_adders(program: Program, adders: dict[str, str], tiers: tuple[int, ...], *,
                acc_bits: int | None = None) -> Program:
    """`program` with the adders of the layers named, and accumulators that hold their errors.

    Parameters
    ----------
    program : Program
    adders : dict of str to str
        Name of an adder by layer; layers that are not named keep theirs.
    tiers : tuple of int
        Bits of the memory tiers.
    acc_bits : int or None
        Width of the hardware, which windowed adders run at; None: as the range analysis says.
    """
    layers = tuple(dataclasses.replace(layer, adder=adders.get(layer.name, layer.adder))
                   for layer in program.layers)
    needed = accumulator_bits(layers, tiers=tiers, gated=program.gated_tiers,
                              fill=program.tier_fill, decay_bits=program.decay_bits,
                              state_bits=program.state_bits)
    windowed = any(AdderSpec.parse(layer.adder).window for layer in layers)
    width = max(needed, acc_bits or needed) if windowed else needed
    return dataclasses.replace(program, layers=layers, acc_bits=width)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdderError:
    """What a layer adds in error, against exact sums of its codes, over calibration samples.

    Parameters
    ----------
    per_step : float array (neurons,)
        Mean error of a timestep [LSB].
    per_spike : float
        Mean error of an addition [LSB].
    """

    per_step: np.ndarray
    per_spike: float


def adder_error(program: Program, number: int, spikes: np.ndarray, tiers: tuple[int, ...]
                ) -> AdderError:
    """Measure the adder of layer `number`, and the fill of its gated tiers, in the running network.

    Parameters
    ----------
    program : Program
    number : int
    spikes : uint8 array (N, T, axons)
        Calibration samples.
    tiers : tuple of int
        Bits of the memory tiers.
    """
    trace = run(program, spikes, tiers, trace=True)
    layer = program.layers[number]
    gated = max(program.gated_tiers, layer.gated_tiers)
    seen = dataclasses.replace(layer, weights=effective_weights(
        layer.weights, tiers, gated, program.tier_fill))
    ordered, exact = OrderedDrive(program, seen, plain=False), Drive(layer, np.float64)
    membranes = trace.layer_membranes[number]
    total, additions = np.zeros(layer.neurons), 0
    for t in range(spikes.shape[1]):
        before = membranes[:, t - 1] if t else np.zeros_like(membranes[:, 0])
        frames = [_arriving(source, spikes, trace.layer_spikes, t) for source in layer.sources]
        drive, sops = ordered(frames, leaked(layer, before, program.decay_bits))
        total += (drive - exact(frames)[0]).sum(axis=0)
        additions += int(sops.sum())
    return AdderError(per_step=total / (spikes.shape[0] * spikes.shape[1]),
                      per_spike=float(total.sum()) / max(1, additions))


def _arriving(source, spikes, layer_spikes, t: int) -> np.ndarray:
    sent = spikes[:, :, source.first:source.first + source.units] if source.layer == INPUT \
        else layer_spikes[source.layer]
    when = t - source.delay
    return sent[:, when] if when >= 0 else np.zeros_like(sent[:, 0])


def compensated(program: Program, spikes: np.ndarray, tiers: tuple[int, ...], *,
                follow: bool = False) -> Program:
    """`program` whose biases take back the mean error of its adders and of the fill of gated tiers.

    After N additions of an adder with mean error ME a membrane is off by N * ME, over and over in
    every timestep. The expected value goes into the bias, at no cost in hardware; or the bias
    follows N, spike by spike, and only what is left of each neuron goes into its constant bias.
    Layer by layer, each on the spikes that the layers before it fire with their compensation.

    Parameters
    ----------
    program : Program
        With its adders.
    spikes : uint8 array (N, T, axons)
        Calibration samples.
    tiers : tuple of int
    follow : bool
        Use ``kappa``.
    """
    low, high = bounds(program.state_bits)
    for number, layer in enumerate(program.layers):
        if layer.adder == EXACT.name and not max(program.gated_tiers, layer.gated_tiers):
            continue
        nominal = layer.bias
        for _ in range(_ROUNDS):
            error = adder_error(program, number, spikes, tiers)
            kappa = round(-error.per_spike * (1 << KAPPA_BITS)) if follow else 0
            kappa = _within(kappa, layer, high)
            rest = error.per_step + kappa / (1 << KAPPA_BITS) * _mean_list(
                error, follow and error.per_spike)
            bias = np.clip(nominal - np.rint(rest).astype(np.int64), low, high)
            now = program.layers[number]
            if np.array_equal(bias, now.bias) and kappa == now.kappa:
                break
            program = _with_layer(program, number, dataclasses.replace(
                now, bias=bias, kappa=kappa), tiers)
    return program


def _within(kappa: int, layer: Layer, high: int) -> int:
    """`kappa` as far as the store holds its product with the longest list."""
    most = min((1 << 15) - 1, (high << KAPPA_BITS) // layer.most_spikes)
    return max(-most, min(most, kappa))


def _mean_list(error: AdderError, per_spike: float) -> float:
    """Mean length of the spike lists, from the two means of the error."""
    return float(error.per_step.mean()) / per_spike if per_spike else 0.0


def _with_layer(program: Program, number: int, layer: Layer, tiers: tuple[int, ...]) -> Program:
    """`program` with another layer, and accumulators that hold its biases."""
    layers = list(program.layers)
    layers[number] = layer
    needed = accumulator_bits([layer], tiers=tiers, gated=program.gated_tiers,
                              fill=program.tier_fill, decay_bits=program.decay_bits,
                              state_bits=program.state_bits)
    return dataclasses.replace(program, layers=tuple(layers),
                               acc_bits=max(program.acc_bits, needed))
