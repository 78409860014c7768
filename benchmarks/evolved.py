"""Evolved adders against every published family: energy per addition and accuracy of a network.

``python benchmarks/evolved.py NET.nir DATA [--validation N] [--test N] [--energy FJ] [-o OUT]``

Every layer has the same adder. Energies are those of the catalogue in SkyWater 130 nm, with the
weights that the network's spikes really add. Three sieves, then the test split:

- adders of more than FJ are left out: what is dearer cannot beat what is cheaper;
- so is an adder to which another of its kind (families, evolved) is preferred by a tenth in the
  errors of 32 additions, at no more energy; and without ``follow`` one of a bias of 12 LSB or more;
- accuracies of the last N samples of the training split; what loses five points is not tested.

An evolved adder wins where no adder of a family costs no more and is at least as accurate. Figures,
``evolved.json`` and ``evolved.png`` are kept in OUT, and taken up again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import pathlib

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lamina.flows import progress
from lamina.flows.adders.catalogue import default_adders
from lamina.flows.adders.characterise import characterise
from lamina.flows.adders.operands import Operands
from lamina.flows.adders.shipped import BITS
from lamina.flows.adders.walk import walk_moments
from lamina.flows.frontend.adders import COMPENSATIONS
from lamina.flows.frontend.compile import Compiled, CompileOptions, compile_network
from lamina.flows.frontend.data import Dataset, load_data
from lamina.flows.search.evaluate import Setup, evaluate
from lamina.flows.search.kept import Kept, job_folder
from lamina.flows.search.space import Configuration
from lamina.flows.workspace import replaced_file
from lamina.models.adders.spec import AdderSpec
from lamina.models.network import run

__all__ = ["main", "winners"]

POINTS = 0.05
"""Loss on validation [share] above which an adder is not tested."""
CALIBRATION_SAMPLES, LANES, WEIGHTS = 60, 8, 1 << 16
ADDITIONS, BIASED, SLACK = 32, 12.0, 1.1


@dataclasses.dataclass(frozen=True)
class Candidate:
    """An adder of the network: energy per addition [fJ], bias and spread of many [LSB]."""

    spec: AdderSpec
    energy: float
    bias: float
    spread: float

    def preferred(self, other: Candidate, *, biased: bool) -> bool:
        """Whether it costs no more and errs less by a tenth; `biased`: of the spread alone."""
        errors = [(self.spread, other.spread)]
        errors += [] if biased else [(max(1.0, abs(self.bias)), max(1.0, abs(other.bias)))]
        return self.energy <= other.energy and all(
            mine * SLACK <= theirs or mine == theirs == 1.0 for mine, theirs in errors)


def heard_weights(compiled: Compiled, spikes: np.ndarray) -> np.ndarray:
    """Weights as often as `spikes` (N, T, axons) have them added, a seeded sample, flat [LSB].

    The layers must form a chain.
    """
    trace = run(compiled.program, spikes, compiled.tiers, trace=True)
    rng, found = np.random.default_rng(0), []
    shares = trace.sops.sum(axis=1) / trace.sops.sum()
    arriving = (spikes, *trace.layer_spikes[:-1])
    for layer, share, seen in zip(compiled.program.layers, shares, arriving, strict=True):
        rate = seen.mean(axis=(0, 1))
        rows = rng.choice(len(rate), round(WEIGHTS * share), p=rate / rate.sum())
        found.append(layer.weights[rows, rng.integers(layer.weights.shape[1], size=len(rows))])
    return np.concatenate(found)


def setup_of(compiled: Compiled, data: Dataset, first: int, last: int, train: Dataset,
             compensate: str) -> Setup:
    """Samples `first` to `last` of `data`; calibration on the first of `train`."""
    return Setup(program=compiled.program, spikes=data.encoded(compiled.program, first, last),
                 calibration_spikes=train.encoded(compiled.program, 0, CALIBRATION_SAMPLES),
                 labels=np.asarray(data.labels[first:last]), lanes=LANES, tiers=compiled.tiers,
                 chips=1, compensate=compensate, calibration="45nm", adder_energy={})


def accuracies(setup: Setup, specs: list[AdderSpec], folder: pathlib.Path, label: str
               ) -> dict[str, float]:
    """Accuracy of each adder in all layers, by its name."""
    job = job_folder(setup, folder)
    kept, layers = Kept(job / "evaluations.jsonl"), len(setup.program.layers)
    nominal = (",".join(["nominal"] * len(setup.tiers)),) * layers
    found = {}
    with progress.step(f"{len(specs)} adders, {label}") as bar:
        for number, spec in enumerate(specs):
            each = Configuration((spec.name,) * layers, nominal)
            if each not in kept:
                kept.add(evaluate(job / "setup", each))
            found[spec.name] = kept[each].accuracy
            bar(number + 1, len(specs))
    return found


def winners(entries: list[dict], key: str) -> list[dict]:
    """Evolved adders that nothing evolved and no family beats in both energy and accuracy.

    Parameters
    ----------
    entries : list of dict
        ``label``, ``evolved``, ``energy_fj`` and ``key``, the accuracy (None: not measured).

    Returns
    -------
    list of dict
        By rising energy, with ``beats``: labels of the families' adders that cost no less and
        are no more accurate.
    """
    measured = [entry for entry in entries if entry[key] is not None]
    found = []
    for entry in sorted(measured, key=lambda entry: entry["energy_fj"]):
        others = [other for other in measured if other is not entry]
        if not entry["evolved"] or any(_beats(other, entry, key) for other in others):
            continue
        found.append({**entry, "beats": [other["label"] for other in others if not other["evolved"]
                                         and _beats(entry, other, key)]})
    return found


def _beats(one: dict, other: dict, key: str) -> bool:
    return one["energy_fj"] <= other["energy_fj"] and one[key] >= other[key]


def draw(entries: list[dict], keys: list[str], names: list[str], path: pathlib.Path) -> None:
    """A panel per compensation: families and evolved adders, and the front of either."""
    figure = Figure(figsize=(13, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, key, name in zip(figure.subplots(1, len(keys), squeeze=False)[0], keys, names,
                               strict=True):
        for evolved, colour, label in ((False, "0.5", "families"), (True, "C0", "evolved")):
            chosen = sorted((entry["energy_fj"], entry[key], entry["label"]) for entry in entries
                            if entry["evolved"] == evolved and entry[key] is not None)
            front = [point for number, point in enumerate(chosen)
                     if point[1] > max([other[1] for other in chosen[:number]], default=-1)]
            axes.plot([point[0] for point in chosen], [100 * point[1] for point in chosen], "o",
                      color=colour, markersize=4)
            axes.step([point[0] for point in front], [100 * point[1] for point in front],
                      where="post", color=colour, label=label)
            for energy, accuracy, text in chosen if evolved else ():
                axes.annotate(text, (energy, 100 * accuracy), fontsize=7, rotation=45,
                              textcoords="offset points", xytext=(2, 3))
        best = max(entry[key] for entry in entries if entry[key] is not None)
        axes.set(xlabel="energy [fJ per addition]", title=f"compensation {name}",
                 ylim=(100 * best - 6, 100 * best + 1))
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right")
    figure.axes[0].set_ylabel("accuracy [%]")
    figure.savefig(path, format="png", dpi=120, metadata={"Software": None})


def candidates(weights: np.ndarray, folder: pathlib.Path) -> list[Candidate]:
    """The catalogue with energies and errors for `weights`; of windowed adders the errors are 0."""
    specs, found = default_adders(), []
    with progress.step(f"mapping {len(specs)} adders to cells") as bar:
        silicon = characterise(specs, BITS, Operands(weights=weights), folder, progress=bar)
    for spec, each in zip(specs, silicon, strict=True):
        bias, variance = (0.0, 0.0) if spec.window or spec.is_exact else \
            walk_moments(spec, weights, ADDITIONS)[:2]
        found.append(Candidate(spec, each.energy_fj, bias, math.sqrt(max(0.0, variance))))
    return found


def sieved(found: list[Candidate], compensate: str) -> list[Candidate]:
    """Candidates that nothing of their kind is preferred to; exact first."""
    biased = compensate == "follow"
    kept = [each for each in found if each.spec.is_exact]
    for evolved in (False, True):
        kind = [each for each in found if (each.spec.netlist is not None) == evolved
                and not each.spec.is_exact and (biased or abs(each.bias) < BIASED)]
        kept += [each for each in kind if each.spec.window or not any(
            other.preferred(each, biased=biased) for other in kind if not other.spec.window)]
    return kept


def measured(options: argparse.Namespace) -> list[dict]:
    """An entry per adder, with its accuracies under each compensation."""
    compiled = compile_network(options.net, CompileOptions(data=options.data))
    train, test = (load_data(options.data, split=split) for split in ("train", "test"))
    cut = len(train) - min(options.validation, len(train) // 2)
    weights = heard_weights(compiled, train.encoded(compiled.program, cut, len(train)))
    found = [each for each in candidates(weights, options.out / "cells")
             if each.energy <= options.energy or each.spec.is_exact]
    entries = {each.spec.name: {
        "label": each.spec.label, "evolved": each.spec.netlist is not None,
        "energy_fj": each.energy, "bias": each.bias, "spread": each.spread} for each in found}
    for compensate in options.compensate:
        specs = [each.spec for each in sieved(found, compensate)]
        judged = accuracies(setup_of(compiled, train, cut, len(train), train, compensate), specs,
                            options.out, compensate)
        worth = [spec for spec in specs if judged[spec.name] >= judged["exact"] - POINTS]
        tested = accuracies(setup_of(compiled, test, 0, options.test, train, compensate), worth,
                            options.out, f"{compensate}, test")
        for name, entry in entries.items():
            entry |= {f"{compensate}_validation": judged.get(name),
                      f"{compensate}_test": tested.get(name)}
    return list(entries.values())


def main() -> None:
    """Print the winners under every compensation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("net", type=pathlib.Path)
    parser.add_argument("data", help="data set, e.g. mnist:DIR")
    parser.add_argument("--validation", type=int, default=1000)
    parser.add_argument("--test", type=int, default=10000)
    parser.add_argument("--energy", type=float, default=520.0, metavar="FJ")
    parser.add_argument("--compensate", nargs="+", default=COMPENSATIONS, choices=COMPENSATIONS)
    parser.add_argument("-o", "--out", type=pathlib.Path, default=pathlib.Path("out/evolved"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    entries = measured(options)
    keys = {compensate: f"{compensate}_test" for compensate in options.compensate}
    best = {compensate: winners(entries, key) for compensate, key in keys.items()}
    with replaced_file(options.out / "evolved.json") as partial:
        partial.write_text(json.dumps({"entries": entries, "winners": best, "test": options.test,
                                       "validation": options.validation},
                                      indent=1, sort_keys=True) + "\n")
    with replaced_file(options.out / "evolved.png") as partial:
        draw(entries, list(keys.values()), list(keys), partial)
    for compensate, key in keys.items():
        for each in best[compensate]:
            print(f"{compensate:<7} {each['label']:<14} {each['energy_fj']:>6.1f} fJ "
                  f"{each[key]:.2%}  beats {', '.join(each['beats']) or '-'}")
    print(options.out / "evolved.json")


if __name__ == "__main__":
    main()
