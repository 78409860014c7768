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

import torch
from torch import nn

from lamina.flows import progress
from lamina.flows.frontend.data import Dataset, load_data
from lamina.flows.frontend.nir.reader import read_network
from lamina.flows.frontend.quantise import Recipe, quantise
from lamina.flows.report.published import UNDERVOLTED
from lamina.flows.study.plots import write_picture
from lamina.flows.study.undervolt import modes_of, undervolt
from lamina.flows.training.convert import convert
from lamina.models.energy import STACKED_45NM
from lamina.models.program import Program

__all__ = ["main"]

WORTH = 85.0
"""Accuracy [%] from which an entry of the paper is to be met within a point."""
BOUNDS = {"plain": None, "bounded": 0.15}
LANES, TIMESTEPS = 8, 350
CALIBRATION_SAMPLES = 100

Studies = dict[str, dict]
"""By the fill, mode to its entry of :func:`lamina.flows.study.undervolt.undervolt`."""


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


def percent(studies: Studies, fill: str, mode: str) -> float:
    """Mean accuracy over the chips [%]."""
    return 100 * studies[fill][mode]["accuracy"]


def undervolted(studies: Studies) -> bool:
    """Print ours, the paper's and the difference; whether every entry worth it is met."""
    met = True
    for volts, row in UNDERVOLTED.accuracies.items():
        cells = []
        for count, paper in enumerate(row, start=1):
            ours = percent(studies, "mid", f"UV{count}@{volts}")
            met &= ours >= paper - 1 or paper < WORTH
            cells.append(f"UV{count} {ours:6.2f} {paper:6.2f} {ours - paper:+6.2f}")
        print(f"{volts:<6}" + "   ".join(cells))
    for mode in modes_of(4, ()):
        paper = UNDERVOLTED.gated[mode.count]
        zero, mid = (percent(studies, fill, mode.text(4)) for fill in ("zero", "mid"))
        met &= zero >= paper - 1 or paper < WORTH
        print(f"{mode.count} gated: zero {zero:6.2f} {paper:6.2f} {zero - paper:+6.2f}   "
              f"mid {mid:6.2f} {paper:6.2f} {mid - paper:+6.2f}")
    return met


def gated(studies: Studies) -> None:
    """Print what the paper has no accuracies of: the last tier gated, the k above it at V."""
    print("last tier gated, the k above it undervolted: zero / mid / energy [uJ]")
    for volts in UNDERVOLTED.accuracies:
        cells = []
        for count in (1, 2, 3):
            mode = f"UV-PG{count}@{volts}"
            zero, mid = (percent(studies, fill, mode) for fill in ("zero", "mid"))
            energy = STACKED_45NM.nominal_microjoules * studies["mid"][mode]["energy"]
            cells.append(f"PG{count} {zero:.2f} / {mid:.2f} / {energy:.2f}")
        print(f"{volts:<6}" + "   ".join(cells))


def study(name: str, options: argparse.Namespace, training: Dataset, held_out: Dataset
          ) -> dict[str, dict]:
    """One network in all modes, with either fill."""
    program = prepared(name, training, options.out, options.epochs)
    spikes = held_out.encoded(program, 0, options.samples)
    modes, results = modes_of(len(UNDERVOLTED.tiers), tuple(UNDERVOLTED.accuracies)), {}
    for fill in ("mid", "zero"):
        chosen = [mode for mode in modes if fill == "mid" or mode.family != "UV"]
        with progress.step(f"{name}, fill {fill}: {options.chips} chips") as bar:
            results[fill] = undervolt(
                program, spikes, held_out.labels[:len(spikes)], options.out / "chips", lanes=LANES,
                tiers=UNDERVOLTED.tiers, modes=chosen, chips=options.chips,
                fill=fill, kind=options.kind, workers=options.workers, progress=bar)
            results[fill]["network"] = f"784-48-10 {name}"
    return results


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
    found = {}
    for name in options.networks:
        found[name] = study(name, options, *data)
        studies = {fill: {each["mode"]: each for each in result["modes"]}
                   for fill, result in found[name].items()}
        print(f"\n{name}, {options.chips} chips: accuracy [%], the paper's, difference")
        met = undervolted(studies)
        print(f"every entry of the paper from {WORTH:.0f} % on met within a point: "
              f"{'yes' if met else 'no'}")
        gated(studies)
    with (options.out / "undervolt.png").open("wb") as stream:
        write_picture([each["mid"] for each in found.values()], stream)
    (options.out / "undervolt.json").write_text(json.dumps(found, indent=1) + "\n")
    print(options.out / "undervolt.png")


if __name__ == "__main__":
    main()
