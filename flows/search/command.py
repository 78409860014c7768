"""The command ``explore``: a front of named programs, verified, with its picture."""

from __future__ import annotations

import dataclasses
import json

import numpy as np

from lamina.flows import progress, steps
from lamina.flows.adders.energies import relative_energies
from lamina.flows.adders.names import read_adder
from lamina.flows.errors import UserError
from lamina.flows.frontend.data import load_data
from lamina.flows.frontend.tier_modes import parse_tier_modes
from lamina.flows.job import Job, Options, load_program, resolve
from lamina.flows.search.energy import CALIBRATIONS
from lamina.flows.search.evaluate import Evaluation, Setup, built
from lamina.flows.search.front import hypervolume
from lamina.flows.search.plots import draw_front
from lamina.flows.search.search import Outcome, search
from lamina.flows.search.space import Space
from lamina.flows.workspace import replaced_file, replaced_folder, workspace
from lamina.models.adders.spec import AdderSpec

__all__ = ["ADDERS", "MODES", "SearchOptions", "explore", "summary_lines"]

ADDERS = ("exact", "@evo2_w1", "trua1:2", "@evo4_w6", "trua1:3", "@evo6_s6", "@evo6_w16b8",
          "@evo6_s13", "@evo7_s13b64", "@evo7_s26", "@evo6_s26b64", "@evo7_s37", "trua1:7")
"""Choices of a layer: of the catalogue those of least energy for what many additions leave, by
falling energy; ``trua1`` and the names that end in b and a number need their bias taken back."""
MODES = ("nominal,nominal,nominal,nominal", "UV4@0.85", "UV1@0.8", "UV2@0.8", "UV3@0.8",
         "UV-PG1@0.8", "UV-PG2@0.8", "UV-PG3@0.8", "UV-PG3@0.85", "0.85,0.85,gated,gated",
         "0.85,0.8,gated,gated", "0.8,0.8,gated,gated", "0.85,gated,gated,gated",
         "0.8,gated,gated,gated")
"""Choices of a layer on four tiers: the published ones, and narrower weights."""
_CALIBRATION_SAMPLES = 60


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """Options of the search alone.

    Parameters
    ----------
    budget : int
        Real evaluations.
    adders, modes : tuple of str
        Choices of every layer; adders as ``--adders`` takes them for one layer, ``@NAME`` included.
    chips : int
        Sampled chips of a configuration in which cells fail, at least 1.
    validation : int
        Samples from the end of the training split that accuracies are judged on, at least 1.
    compensate : str
        ``follow``, ``bias`` or ``none``.
    calibration : str
        Key of :data:`lamina.flows.search.energy.CALIBRATIONS`.
    verify : bool
        Simulate every program of the front.
    scheduler : str or None
        Address of a Dask scheduler.
    """

    budget: int = 60
    adders: tuple[str, ...] = ADDERS
    modes: tuple[str, ...] = MODES
    chips: int = 3
    validation: int = 500
    compensate: str = "follow"
    calibration: str = "45nm"
    verify: bool = True
    scheduler: str | None = None

    def __post_init__(self):
        for name in ("budget", "chips", "validation"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name} must be at least 1, not {getattr(self, name)}")
        if self.calibration not in CALIBRATIONS:
            raise UserError(f"--calibration must be one of {', '.join(CALIBRATIONS)}, "
                            f"not {self.calibration!r}")
        try:
            names = tuple(dict.fromkeys(read_adder(name).name for name in self.adders))
        except UserError as error:
            raise UserError(f"--adder: {error}") from None
        object.__setattr__(self, "adders", names)


def explore(options: Options, wanted: SearchOptions) -> steps.Summary:
    """Search, and write the front as programs ``OUT/X1``, ``OUT/X2``, ... by falling energy.

    Raises
    ------
    UserError
        If there are no labelled training samples, or an option is wrong; finished evaluations stay.
    """
    if options.data is None:
        raise UserError("--data must name labelled samples: a search needs their accuracy")
    job = resolve(options, "explore")
    _check_modes(wanted.modes, len(job.target.config.tiers))
    compiled = steps.compile_network(dataclasses.replace(options, tier_modes=None, adders=None))
    program = load_program(compiled.path)
    setup = _setup(job, program, wanted)
    space = Space(layers=tuple(layer.name for layer in program.layers), adders=wanted.adders,
                  modes=wanted.modes)
    with workspace(job.out, job.settings), \
            progress.step(f"{wanted.budget} of {space.size} configurations are tried") as bar:
        outcome = search(setup, space, job.out / "search", budget=wanted.budget,
                         seed=options.seed or 0, workers=options.workers,
                         scheduler=wanted.scheduler, progress=bar)
    entries = [_named(job, setup, number, each)
               for number, each in enumerate(outcome.front, start=1)]
    if wanted.verify:
        for entry in entries:
            entry |= _verified(job, options, entry["name"])
    result = _result(setup, space, outcome, entries, wanted)
    with replaced_file(job.out / "front.json") as partial:
        partial.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    with replaced_file(job.out / "front.png") as partial, partial.open("wb") as stream:
        draw_front(result, stream)
    return steps.Summary(result=result, path=job.out / "front.json",
                         mismatches=sum(entry.get("mismatches", 0) for entry in entries))


def _check_modes(modes: tuple[str, ...], tiers: int) -> None:
    for mode in modes:
        if ":" in mode:
            raise UserError(f"--mode is a choice of every layer: leave names out, not {mode!r}")
        try:
            parse_tier_modes(mode, tiers, {})
        except UserError as error:
            raise UserError(str(error).replace("--tier-modes", "--mode", 1)) from None


def _setup(job: Job, program, wanted: SearchOptions) -> Setup:
    train = load_data(job.options.data, split="train", **job.options.reading)
    train.check(program)
    if train.labels is None:
        raise UserError(f"{job.options.data}: a search needs labels, there are none")
    count = min(wanted.validation, max(1, len(train) // 2))
    first = len(train) - count
    return Setup(
        program=program, calibration_spikes=train.encoded(program, 0, min(
            _CALIBRATION_SAMPLES, max(1, first))),
        spikes=train.encoded(program, first, len(train)), labels=np.asarray(train.labels[first:]),
        lanes=job.target.config.lanes, tiers=job.target.config.tiers, chips=wanted.chips,
        compensate=wanted.compensate, calibration=wanted.calibration,
        adder_energy=relative_energies([AdderSpec.parse(name) for name in wanted.adders],
                                       job.out / "cells", native=job.options.native_tools))


def _named(job: Job, setup: Setup, number: int, each: Evaluation) -> dict:
    """Write a program of the front; returns its line."""
    name = f"X{number}"
    with replaced_folder(job.out / name) as partial:
        built(setup, each.configuration).save(partial)
    layers = [layer.name for layer in setup.program.layers]
    return {"name": name, "accuracy": each.accuracy, "accuracies": list(each.accuracies),
            "energy": each.energy, "layers": [
                {"name": layer, "adder": adder, "tier_modes": mode}
                for layer, adder, mode in zip(layers, each.adders, each.modes, strict=True)]}


def _verified(job: Job, options: Options, name: str) -> dict:
    """Figures of the simulated core, and the accuracy over the held-out samples."""
    base = dataclasses.replace(
        options, net=job.out / name, out=job.out / "front" / name,
        **dict.fromkeys(("weight_bits", "dt", "reset", "integrator", "refractory", "cut",
                         "timesteps", "encoder", "tier_modes", "tier_fill", "adders",
                         "compensate")))
    base.out.parent.mkdir(exist_ok=True)
    found = steps.verify(base).result
    return {"mismatches": found["mismatches"], "samples": found["samples"],
            "events_compared": found["events_compared"]}


def _result(setup: Setup, space: Space, outcome: Outcome, entries: list[dict],
            wanted: SearchOptions) -> dict:
    best = outcome.evaluations[0].accuracy
    points = np.array([(best - each.accuracy, each.energy) for each in outcome.evaluations])
    calibration = CALIBRATIONS[wanted.calibration]
    return {
        "neurons": [layer.neurons for layer in setup.program.layers],
        "nominal_accuracy": best, "evaluations": len(outcome.evaluations),
        "configurations": space.size, "hypervolume": hypervolume(points),
        "chips": wanted.chips, "samples": len(setup.spikes), "compensate": wanted.compensate,
        "calibration": dataclasses.asdict(calibration), "front": entries,
        "tried": [{"accuracy": each.accuracy, "energy": each.energy,
                   "configuration": each.configuration.text(space.layers)}
                  for each in outcome.evaluations]}


def summary_lines(result: dict) -> list[str]:
    """Lines of a finished search, for people."""
    lines = [f"nominal  {result['nominal_accuracy']:.2%}  1.000 E0"]
    for entry in result["front"]:
        layers = "; ".join(f"{layer['name']} {AdderSpec.parse(layer['adder']).label} "
                           f"{layer['tier_modes']}" for layer in entry["layers"])
        lines.append(f"{entry['name']:<7}  {entry['accuracy']:.2%}  {entry['energy']:.3f} E0  "
                     f"{layers}")
    return lines
