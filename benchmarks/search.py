"""Real evaluations that the search needs, against plain NSGA-II on the same space.

``python benchmarks/search.py NET.nir DATA [--budget N] [--seeds 0 1 2] [--factor 15] [-o OUT]``

The search of ``lamina explore`` tries N configurations. NSGA-II of pymoo, population 30, tries as
many as it needs for the same hypervolume, at most FACTOR times N, configurations that it meets
again not counted. Both have the same choices, samples, chips and genes. Evaluations are kept in
OUT, so that nothing is computed twice; counts are those of each search alone. ``search.json`` and
``search.png`` show the hypervolume after every evaluation.
"""

from __future__ import annotations

import argparse
import json
import pathlib

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.problem import Problem
from pymoo.operators.crossover.ux import UniformCrossover
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling

from lamina.flows import progress
from lamina.flows.adders.energies import relative_energies
from lamina.flows.frontend.compile import CompileOptions, compile_network
from lamina.flows.frontend.data import load_data
from lamina.flows.search.command import SearchOptions
from lamina.flows.search.evaluate import Evaluation, Setup, evaluate
from lamina.flows.search.front import hypervolume
from lamina.flows.search.kept import Kept, job_folder
from lamina.flows.search.search import search
from lamina.flows.search.space import Space
from lamina.flows.workspace import replaced_file
from lamina.models.adders.spec import AdderSpec

__all__ = ["main", "needed"]

POPULATION = 30
CALIBRATION_SAMPLES, LANES = 60, 8


def setup_of(options: argparse.Namespace) -> tuple[Setup, Space]:
    """Samples from the end of the training split, and the choices of ``lamina explore``."""
    compiled = compile_network(options.net, CompileOptions(data=options.data))
    wanted, program = SearchOptions(chips=options.chips), compiled.program
    train = load_data(options.data, split="train")
    first = len(train) - min(options.validation, len(train) // 2)
    setup = Setup(
        program=program, spikes=train.encoded(program, first, len(train)),
        calibration_spikes=train.encoded(program, 0, CALIBRATION_SAMPLES),
        labels=np.asarray(train.labels[first:]), lanes=LANES, tiers=compiled.tiers,
        chips=options.chips, compensate=wanted.compensate, calibration=wanted.calibration,
        adder_energy=relative_energies([AdderSpec.parse(name) for name in wanted.adders],
                                       options.out / "cells"))
    return setup, Space(layers=tuple(layer.name for layer in program.layers),
                        adders=wanted.adders, modes=wanted.modes)


def curve(evaluations: list[Evaluation], nominal: float) -> list[float]:
    """Hypervolume after each evaluation; `nominal` is the accuracy that losses are of."""
    points = np.array([(nominal - each.accuracy, each.energy) for each in evaluations])
    return [hypervolume(points[:count]) for count in range(1, len(points) + 1)]


def needed(found: list[float], wanted: float) -> int | None:
    """Evaluations after which a curve reaches `wanted`; None: it does not."""
    return next((count for count, volume in enumerate(found, start=1) if volume >= wanted), None)


class Plain(Problem):
    """The space as NSGA-II sees it: (loss, energy) of integer genes, each configuration once."""

    def __init__(self, setup: Setup, space: Space, folder: pathlib.Path):
        limits = np.array(space.limits)
        super().__init__(n_var=len(limits), n_obj=2, xl=0, xu=limits - 1, vtype=int)
        self._space, self._job = space, job_folder(setup, folder)
        self._kept = Kept(self._job / "evaluations.jsonl")
        self.tried: dict[object, Evaluation] = {}

    def _evaluate(self, x, out, *args, **kwargs):
        rows = []
        for genes in x:
            each = self._space.decode(tuple(map(int, genes)))
            if each not in self.tried:
                if each not in self._kept:
                    self._kept.add(evaluate(self._job / "setup", each))
                self.tried[each] = self._kept[each]
            rows.append((1 - self.tried[each].accuracy, self.tried[each].energy))
        out["F"] = np.array(rows)


def plain(setup: Setup, space: Space, folder: pathlib.Path, *, nominal: float, wanted: float,
          budget: int, seed: int) -> list[float]:
    """Curve of NSGA-II until it has the hypervolume `wanted`, or tried `budget` configurations."""
    problem = Plain(setup, space, folder)
    algorithm = NSGA2(pop_size=POPULATION, sampling=IntegerRandomSampling(),
                      crossover=UniformCrossover(),
                      mutation=PM(prob_var=1 / problem.n_var, eta=3.0, vtype=float,
                                  repair=RoundingRepair()), eliminate_duplicates=True)
    algorithm.setup(problem, termination=("n_gen", 10 ** 6), seed=seed, verbose=False)
    found: list[float] = []
    with progress.step(f"NSGA-II, seed {seed}") as bar:
        while len(problem.tried) < budget and needed(found, wanted) is None:
            algorithm.next()
            found = curve(list(problem.tried.values()), nominal)
            bar(min(budget, len(found)), budget)
    return found[:budget]


def draw(result: dict, path: pathlib.Path) -> None:
    """Hypervolume over evaluations, a line per seed."""
    figure = Figure(figsize=(7, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for kind, colour in (("search", "C0"), ("nsga2", "C3")):
        for number, each in enumerate(result["seeds"]):
            axes.plot(range(1, len(each[kind]) + 1), each[kind], color=colour, linewidth=1,
                      label={"search": "lamina explore", "nsga2": "NSGA-II"}[kind]
                      if not number else None)
    axes.set(xlabel="real evaluations", ylabel="hypervolume", xscale="log")
    axes.grid(alpha=0.3, which="both")
    axes.legend(loc="lower right")
    figure.savefig(path, format="png", dpi=120, metadata={"Software": None})


def compared(options: argparse.Namespace) -> dict:
    """Curves and counts, JSON-ready."""
    setup, space = setup_of(options)
    seeds = []
    for seed in options.seeds:
        with progress.step(f"search, seed {seed}") as bar:
            outcome = search(setup, space, options.out, budget=options.budget, seed=seed,
                             progress=bar)
        nominal = outcome.evaluations[0].accuracy
        ours = curve(list(outcome.evaluations), nominal)
        theirs = plain(setup, space, options.out, nominal=nominal, wanted=ours[-1],
                       budget=options.factor * options.budget, seed=seed)
        seeds.append({"seed": seed, "search": ours, "nsga2": theirs,
                      "needed": [needed(theirs, volume) for volume in ours]})
    return {"budget": options.budget, "factor": options.factor, "configurations": space.size,
            "population": POPULATION, "samples": len(setup.spikes), "chips": setup.chips,
            "seeds": seeds}


def _shown(budget: int) -> list[int]:
    """Evaluations of ours that are printed."""
    return sorted({*range(20, budget, 10), budget})


def main() -> None:
    """Print what NSGA-II needs for the hypervolume that the search has after so many."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("net", type=pathlib.Path)
    parser.add_argument("data", help="data set, e.g. digits")
    parser.add_argument("--budget", type=int, default=75)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--factor", type=int, default=15)
    parser.add_argument("--validation", type=int, default=500)
    parser.add_argument("--chips", type=int, default=3)
    parser.add_argument("-o", "--out", type=pathlib.Path, default=pathlib.Path("out/search"))
    options = parser.parse_args()
    result = compared(options)
    with replaced_file(options.out / "search.json") as partial:
        partial.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    with replaced_file(options.out / "search.png") as partial:
        draw(result, partial)
    print("seed  " + "".join(f"{count:>12}" for count in _shown(options.budget)))
    for each in result["seeds"]:
        counts = ((count, each["needed"][count - 1]) for count in _shown(options.budget))
        print(f"{each['seed']:<6}" + "".join(
            f"{found} ({found / count:.1f}x)".rjust(12) if found else
            f"> {len(each['nsga2'])}".rjust(12) for count, found in counts))
    print(options.out / "search.json")


if __name__ == "__main__":
    main()
