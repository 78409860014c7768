"""Accuracy of a converted ReLU network while its weight memory is undervolted, beside the paper's.

``python benchmarks/undervolt.py DIR [--chips N] [--samples N]`` trains 784-48-10 on MNIST (DIR
holds its idx files) once as it is and once with its weights kept within a bound, converts both to
integrate-and-fire neurons with Poisson inputs over 350 timesteps, 8 bit in tiers of 2+2+2+2, and
runs them on many chips in the modes of Nguyen 2023b. Networks, finished chips, ``undervolt.json``
and ``undervolt.png`` are kept in OUT, and taken up again. Needs the extra ``train``.
"""

from __future__ import annotations

import argparse
import json
import pathlib

import matplotlib

matplotlib.use("Agg")
import torch
from matplotlib import pyplot
from torch import nn

from lamina.flows import progress
from lamina.flows.frontend.data import Dataset, load_data
from lamina.flows.frontend.nir.reader import read_network
from lamina.flows.frontend.quantise import Recipe, quantise
from lamina.flows.study.modes import with_modes
from lamina.flows.study.monte_carlo import Accuracies, monte_carlo
from lamina.flows.training.convert import convert
from lamina.models.energy import STACKED_45NM
from lamina.models.program import Program
from lamina.models.voltage import supplies

__all__ = ["main"]

PAPER = {0.85: (95.35, 95.35, 95.35, 95.35), 0.825: (94.86, 94.91, 94.69, 91.97),
         0.80: (95.05, 94.84, 92.38, 39.2), 0.775: (94.79, 94.06, 72.45, 14.35),
         0.75: (94.89, 92.85, 49.74, 12.14), 0.70: (94.65, 88.71, 37.1, 10.78)}
"""Mean accuracy [%] of UV1..UV4 over 1,000 chips."""
GATED = {"nominal,nominal,nominal,nominal": 95.32, "nominal,nominal,nominal,gated": 94.98,
         "nominal,nominal,gated,gated": 83.28}
WORTH = 85.0
"""Accuracy [%] from which an entry of the paper is to be met within a point."""
BOUNDS = {"plain": None, "bounded": 0.15}
TIERS, LANES, TIMESTEPS = (2, 2, 2, 2), 8, 350
CALIBRATION_SAMPLES = 100

Studies = dict[tuple[str, str], Accuracies]


def trained(data: Dataset, epochs: int, bound: float | None) -> nn.Sequential:
    """A ReLU MLP; a `bound` holds its weights, three times as much those of the last layer."""
    torch.manual_seed(0)
    images = torch.as_tensor(data.images, dtype=torch.float32).reshape(-1, 784)
    labels = torch.as_tensor(data.labels)
    ann = nn.Sequential(nn.Linear(784, 48), nn.ReLU(), nn.Linear(48, 10))
    optimiser = torch.optim.Adam(ann.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 4e-3, total_steps=epochs * -(-len(images) // 128))
    for _ in range(epochs):
        for chosen in torch.randperm(len(images)).split(128):
            loss = nn.functional.cross_entropy(ann(images[chosen]), labels[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            if bound is not None:
                ann[0].weight.data.clamp_(-bound, bound)
                ann[2].weight.data.clamp_(-3 * bound, 3 * bound)
    return ann


def prepared(name: str, data: Dataset, out: pathlib.Path, epochs: int) -> Program:
    """The program in ``OUT/NAME``, trained and converted where it is not there yet."""
    folder = out / name
    if not (folder / "program.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        ann = trained(data, epochs, BOUNDS[name])
        convert(ann, data.images[:2000], folder / "net.nir", input_shape=(784,),
                timesteps=TIMESTEPS, encoder="bernoulli")
        network = read_network(folder / "net.nir")
        program, _ = quantise(network, data.encoded(network, 0, CALIBRATION_SAMPLES),
                              recipe=Recipe.choose(8))
        program.save(folder)
    return Program.load(folder)


def modes_of(fill: str) -> list[str]:
    """What is run with `fill`: it matters to gated tiers only."""
    gating = [*GATED, *(f"UV-PG{k}@{volts}" for volts in PAPER for k in (1, 2, 3))]
    return gating + [f"UV{k}@{volts}" for volts in PAPER for k in (1, 2, 3, 4)] * (fill == "mid")


def energy(program: Program, mode: str) -> float:
    """Of a prediction by the law of the 45 nm chips [uJ]."""
    changed = with_modes(program, mode, TIERS)
    return STACKED_45NM.microjoules(supplies(changed, changed.layers[0], len(TIERS)))


def percent(studies: Studies, fill: str, mode: str) -> float:
    """Mean accuracy over the chips [%]."""
    return 100 * studies[fill, mode].mean


def undervolted(studies: Studies) -> bool:
    """Print ours, the paper's and the difference; whether every entry worth it is met."""
    met = True
    for volts, row in PAPER.items():
        cells = []
        for count, paper in enumerate(row, start=1):
            ours = percent(studies, "mid", f"UV{count}@{volts}")
            met &= ours >= paper - 1 or paper < WORTH
            cells.append(f"UV{count} {ours:6.2f} {paper:6.2f} {ours - paper:+6.2f}")
        print(f"{volts:<6}" + "   ".join(cells))
    for mode, paper in GATED.items():
        zero, mid = (percent(studies, fill, mode) for fill in ("zero", "mid"))
        met &= zero >= paper - 1 or paper < WORTH
        print(f"{mode.count('gated')} gated: zero {zero:6.2f} {paper:6.2f} {zero - paper:+6.2f}   "
              f"mid {mid:6.2f} {paper:6.2f} {mid - paper:+6.2f}")
    return met


def gated(studies: Studies, program: Program) -> None:
    """Print what the paper has no accuracies of: the last tier gated, the k above it at V."""
    print("last tier gated, the k above it undervolted: zero / mid / energy [uJ]")
    for volts in PAPER:
        cells = []
        for count in (1, 2, 3):
            mode = f"UV-PG{count}@{volts}"
            zero, mid = (percent(studies, fill, mode) for fill in ("zero", "mid"))
            cells.append(f"PG{count} {zero:.2f} / {mid:.2f} / {energy(program, mode):.2f}")
        print(f"{volts:<6}" + "   ".join(cells))


def plot(found: dict[str, Studies], path: pathlib.Path) -> None:
    """Accuracy against voltage, a panel per network, the paper's points beside the curves."""
    figure, panels = pyplot.subplots(1, len(found), figsize=(6 * len(found), 4.5), sharey=True,
                                     squeeze=False)
    for panel, (name, studies) in zip(panels[0], found.items(), strict=True):
        for count in (1, 2, 3, 4):
            each = [studies["mid", f"UV{count}@{volts}"] for volts in PAPER]
            [line] = panel.plot(list(PAPER), [100 * one.mean for one in each], "o-",
                                label=f"UV{count}")
            panel.fill_between(list(PAPER), [100 * one.percentile(5) for one in each],
                               [100 * one.percentile(95) for one in each], alpha=0.2,
                               color=line.get_color())
            panel.plot(list(PAPER), [row[count - 1] for row in PAPER.values()], "x--",
                       color=line.get_color(), alpha=0.6)
        panel.set(title=f"784-48-10, {name}", xlabel="voltage [V]", ylim=(0, 100))
        panel.grid(alpha=0.3)
        panel.legend(title="o ours, x paper")
    panels[0, 0].set_ylabel("accuracy [%]")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def study(name: str, options: argparse.Namespace, training: Dataset, held_out: Dataset
          ) -> tuple[Program, Studies]:
    """One network in all modes."""
    program = prepared(name, training, options.out, options.epochs)
    spikes = held_out.encoded(program, 0, options.samples)
    studies: Studies = {}
    for fill in ("mid", "zero"):
        with progress.step(f"{name}, fill {fill}: {options.chips} chips") as bar:
            found = monte_carlo(
                program, modes_of(fill), spikes, held_out.labels[:len(spikes)],
                options.out / "chips", lanes=LANES, tiers=TIERS, chips=options.chips, fill=fill,
                kind=options.kind, workers=options.workers, progress=bar)
        studies |= {(fill, each.mode): each for each in found}
    return program, studies


def main() -> None:
    """Print the tables and leave the plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", metavar="DIR")
    parser.add_argument("--chips", type=int, default=20)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--kind", choices=("flip", "stuck"), default="flip")
    parser.add_argument("--networks", nargs="+", choices=tuple(BOUNDS), default=list(BOUNDS))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("-o", "--out", type=pathlib.Path, default=pathlib.Path("out/undervolt"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = [load_data(f"mnist:{options.data}", split=split) for split in ("train", "test")]
    found: dict[str, Studies] = {}
    for name in options.networks:
        program, found[name] = study(name, options, *data)
        print(f"\n{name}, {options.chips} chips: accuracy [%], the paper's, difference")
        met = undervolted(found[name])
        print(f"every entry of the paper from {WORTH:.0f} % on met within a point: "
              f"{'yes' if met else 'no'}")
        gated(found[name], program)
    plot(found, options.out / "undervolt.png")
    figures = {name: {f"{mode}, {fill}": {"mean": each.mean, "min": each.low, "max": each.high}
                      for (fill, mode), each in studies.items()} for name, studies in found.items()}
    (options.out / "undervolt.json").write_text(json.dumps(figures, indent=1) + "\n")
    print(options.out / "undervolt.png")


if __name__ == "__main__":
    main()
