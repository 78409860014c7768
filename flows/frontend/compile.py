"""From a network file, options and data to a program that fits: the first step of every flow."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable

import numpy as np

from lamina.flows.errors import FitError, UserError
from lamina.flows.frontend.adders import COMPENSATIONS, compensated, parse_adders, with_adders
from lamina.flows.frontend.calibration import Calibration, assess, samples_at_once
from lamina.flows.frontend.data import Binning, Dataset, Encoded, load_data, random_data
from lamina.flows.frontend.float_network import FloatNetwork
from lamina.flows.frontend.nir.reader import read_network
from lamina.flows.frontend.quantise import Recipe, quantise
from lamina.flows.frontend.tier_modes import parse_tier_modes
from lamina.models.config import HardwareConfig
from lamina.models.placement import grown, misfits
from lamina.models.program import Layer, Program

__all__ = ["CompileOptions", "Compiled", "check_fit", "compile_network"]

_COPIES = (16, 4)
_COMPENSATION_SAMPLES = 100
"""Most copies of their sources that layers may list, where the hardware takes several anyway."""
_LEAK_ERROR = 2e-3
"""Relative error of a leak that a free choice of F tolerates."""
_WEIGHT_BITS = (1, 2, 3, 4, 5, 6, 7, 8, 16)
Sized = Iterable[tuple[str, HardwareConfig]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompileOptions:
    """What the command line may say about a compilation; None: the file or the default decides.

    Parameters
    ----------
    weight_bits : int
        1..8 or 16.
    dt, reset, integrator, refractory, cut, timesteps, encoder, decoding, seed
        See :func:`lamina.flows.frontend.nir.reader.read_network`.
    data, counts, max_count, binning
        See :func:`lamina.flows.frontend.data.load_data`; without data: seeded random spikes.
    tier_modes, tier_fill : str
        See :func:`lamina.flows.frontend.tier_modes.parse_tier_modes`.
    adders : str or None
        See :func:`lamina.flows.frontend.adders.parse_adders`; None: exact.
    compensate : str
        How the mean error of the adders is taken back: ``bias`` (no hardware), ``follow`` (a bias
        per spike) or ``none``.
    calibration_samples : int
        Of the training split (of the file where it has none); at least 1, and fewer where the
        network is large.
    random_samples : int
        How many to make without data.
    """

    weight_bits: int = 8
    dt: float | None = None
    reset: str | None = None
    integrator: str | None = None
    refractory: int | None = None
    cut: tuple[str, ...] = ()
    timesteps: int | None = None
    encoder: str | None = None
    decoding: str | None = None
    seed: int | None = None
    data: str | None = None
    counts: str = "refuse"
    max_count: int = 4
    binning: Binning | None = None
    tier_modes: str | None = None
    adders: str | None = None
    compensate: str = "bias"
    tier_fill: str = "mid"
    calibration_samples: int = 500
    random_samples: int = 64

    def __post_init__(self):
        if self.weight_bits not in _WEIGHT_BITS:
            raise UserError(f"--weight-bits must be 1..8 or 16, not {self.weight_bits}")
        if self.compensate not in COMPENSATIONS:
            raise UserError(f"--compensate must be {', '.join(COMPENSATIONS[:-1])} or "
                            f"{COMPENSATIONS[-1]}, not {self.compensate!r}")
        if self.tier_fill not in ("mid", "zero"):
            raise UserError(f"--tier-fill must be mid or zero, not {self.tier_fill!r}")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Compiled:
    """A program with everything that it was made and judged with.

    Parameters
    ----------
    program : Program
    network : FloatNetwork
    calibration : Calibration
        Over all samples of `data`; accuracies None without labels.
    data : Dataset
        Held-out samples, or random ones.
    tiers : tuple of int
        Bits of the memory tiers that the program was made for.
    """

    program: Program
    network: FloatNetwork
    calibration: Calibration
    data: Dataset
    tiers: tuple[int, ...]


def compile_network(net: pathlib.Path, options: CompileOptions,
                    config: HardwareConfig | None = None, targets: Sized = (),
                    most: dict[str, int] | None = None) -> Compiled:
    """Read, quantise and judge a network.

    Scales are calibrated on the training split (or random spikes); the losses are then measured
    on all held-out samples.

    Parameters
    ----------
    net : pathlib.Path
        A .nir file.
    options : CompileOptions
    config : HardwareConfig or None
        The hardware that the program must fit; None: golden model only, every width free.
    targets : iterable of (name, HardwareConfig)
        What to recommend when it does not fit.
    most : dict of str to int or None
        How far `config` may grow: see :func:`lamina.models.placement.grown`. A network that needs
        that chooses its own widths.

    Raises
    ------
    UserError
        One line about file, node, data or option; or the resources that are short.
    """
    recorded = _load(options) if options.data else None
    network = read_network(
        net, dt=options.dt, reset=options.reset, integrator=options.integrator,
        refractory=options.refractory, cuts=tuple(options.cut), timesteps=options.timesteps,
        encoder=options.encoder, decoding=options.decoding, seed=options.seed,
        recorded=recorded.timesteps if recorded else None,
        repeats=recorded.repeats if recorded else 1)
    network = dataclasses.replace(network, assumptions=network.assumptions
                                  | (recorded.record if recorded else {}))
    data, spikes, labels = _samples(network, recorded, options)
    recipe = _recipe(network, options, config)
    if config is not None:
        outline = _outline(network, recipe, config)
        wide = grown(outline, config, most or {})
        if most and wide != config:
            recipe = dataclasses.replace(recipe, state_bits=None, acc_bits=None,
                                         decay_bits=_decay_bits(network, recipe.decay_bits))
        check_fit(outline, wide, targets)
    program, fitted = _quantised(network, spikes, labels, recipe, config, most or {})
    program = _with_adders(program, network, spikes, options, recipe, config)
    if config is not None:
        check_fit(program, grown(program, config, most or {}), targets)
    calibration = assess(network, program, Encoded(data, network), data.labels, tiers=recipe.tiers,
                         scales=tuple(layer.scale for layer in fitted.layers))
    return Compiled(program=program, network=network, calibration=calibration, data=data,
                    tiers=recipe.tiers)


def _with_adders(program: Program, network: FloatNetwork, spikes: np.ndarray,
                 options: CompileOptions, recipe: Recipe, config: HardwareConfig | None) -> Program:
    """`program` with the adders that were asked for, their mean error taken back."""
    adders = parse_adders(options.adders, _names(network))
    if not adders:
        return program
    program = with_adders(program, adders, recipe.tiers,
                          acc_bits=None if config is None else config.acc_bits)
    if options.compensate == "none":
        return program
    return compensated(program, spikes[:_COMPENSATION_SAMPLES], recipe.tiers,
                       follow=options.compensate == "follow")


def _names(network: FloatNetwork) -> dict[str, str]:
    """Name of the layer by each name that a user may call it."""
    return {name: layer.name for layer in network.layers for name in (layer.name, *layer.nodes)}


def _load(options: CompileOptions, split: str = "test") -> Dataset:
    return load_data(options.data, split=split, counts=options.counts,
                     max_count=options.max_count, binning=options.binning)


def _samples(network: FloatNetwork, recorded: Dataset | None, options: CompileOptions):
    """Held-out data, calibration spikes and their labels."""
    count = min(options.calibration_samples, 2 * samples_at_once(network))
    if recorded is None:
        seed = options.seed or 0
        return (random_data(options.random_samples, network, seed=seed),
                random_data(count, network, seed=(seed + 1) % 2**32).encoded(network), None)
    recorded.check(network)
    train = _load(options, split="train")
    train.check(network)
    labels = None if train.labels is None else train.labels[:count]
    return recorded, train.encoded(network, 0, count), labels


def _recipe(network: FloatNetwork, options: CompileOptions,
            config: HardwareConfig | None) -> Recipe:
    recipe = Recipe.choose(options.weight_bits, config, tier_fill=options.tier_fill)
    modes = parse_tier_modes(options.tier_modes, len(recipe.tiers), _names(network))
    return dataclasses.replace(
        recipe, gated_tiers=modes.program.gated, tier_millivolts=modes.program.millivolts,
        layer_gated={name: setting.gated for name, setting in modes.layers.items()},
        layer_millivolts={name: setting.millivolts for name, setting in modes.layers.items()})


def _quantised(network: FloatNetwork, spikes: np.ndarray, labels: np.ndarray | None,
               recipe: Recipe, config: HardwareConfig | None, most: dict[str, int]
               ) -> tuple[Program, Calibration]:
    """Program and calibration with as many copies of the sources as help and fit.

    A convolution takes copies only where precision was asked for: 16 bit.
    """
    several = any(len(layer.sources) > 1 for layer in network.layers)
    windows = any(source.window for layer in network.layers for source in layer.sources)
    if (several or windows) and recipe.weight_bits > (8 if windows else 1):
        if config is None:
            recipe = dataclasses.replace(recipe, decay_bits=_decay_bits(network, recipe.decay_bits))
        for copies in _COPIES:
            finer = dataclasses.replace(recipe, copies=copies)
            found = quantise(network, spikes, labels, recipe=finer)
            if config is None or not misfits(found[0], grown(found[0], config, most)):
                return found
    return quantise(network, spikes, labels, recipe=recipe)


def _decay_bits(network: FloatNetwork, least: int) -> int:
    """Smallest F, `least` at least, at which every leak is met within `_LEAK_ERROR`."""
    decays = np.concatenate([layer.decay for layer in network.layers])
    leaks = np.where(decays < 1, 1 - decays, 1.0)
    for bits in (8, 10, 12, 14):
        error = np.abs(np.rint(decays * (1 << bits)) / (1 << bits) - decays)
        if bits >= least and (error <= _LEAK_ERROR * leaks).all():
            return bits
    return max(least, 16)


def _outline(network: FloatNetwork, recipe: Recipe, config: HardwareConfig) -> Program:
    """A program of the same dimensions without content, to judge the fit before the search."""
    def layer(source) -> Layer:
        zero = np.zeros(source.neurons, dtype=np.int64)
        weights = np.full(source.weights.shape, int(recipe.weight_bits == 1))
        return Layer(name=source.name, weights=weights, decay=zero, theta=zero + source.spiking,
                     r=zero, v_reset=zero, bias=zero, reset=source.reset, sources=source.sources,
                     shape=source.shape, spiking=source.spiking, current=source.current,
                     refractory=source.refractory,
                     gated_tiers=recipe.layer_gated.get(source.name, 0))

    return Program(name=network.name, layers=tuple(map(layer, network.layers)),
                   timesteps=network.timesteps, weight_bits=recipe.weight_bits,
                   state_bits=config.state_bits, acc_bits=config.acc_bits,
                   input_shape=network.input_shape,
                   decay_bits=recipe.decay_bits, gated_tiers=recipe.gated_tiers)


def check_fit(program: Program, config: HardwareConfig, targets: Sized = ()) -> None:
    """Refuse a program that `config` cannot run.

    Raises
    ------
    FitError
        Names every resource that is short and the smallest of `targets` that would do.
    """
    short = misfits(program, config)
    if not short:
        return
    targets = list(targets)
    name = next((name for name, other in targets if other == config), config.name)
    fitting = [(other.lanes * other.weight_words * other.weight_bits, other_name)
               for other_name, other in targets if _would_do(program, other)]
    advice = (f"the smallest target that would do is {min(fitting)[1]}" if fitting
              else "no known target would do")
    raise FitError(f"{program.name} does not fit {name}: {'; '.join(short)}; {advice}")


def _would_do(program: Program, config: HardwareConfig) -> bool:
    """Whether the network fits once it is quantised for `config`."""
    try:
        same = dataclasses.replace(
            program, state_bits=config.state_bits, acc_bits=config.acc_bits,
            decay_bits=config.decay_bits,
            layers=tuple(dataclasses.replace(layer, decay=np.zeros_like(layer.decay))
                         for layer in program.layers))
    except ValueError:
        return False
    return not misfits(same, config)
