"""The command ``lamina train``: a recipe and data to a network."""

from __future__ import annotations

import argparse
import importlib

from lamina.flows.errors import UserError
from lamina.flows.frontend.data import Binning, load_data
from lamina.flows.training.recipe import Recipe

__all__ = ["main"]


def main(arguments: argparse.Namespace) -> dict:
    """Train as the command line says; returns a JSON-ready summary.

    Raises
    ------
    UserError
        If torch is missing, or an option, the data or the architecture are wrong.
    """
    fields = ("architecture", "weights", "timesteps", "decay", "reset", "epochs", "batch", "rate",
              "spike_penalty", "shift", "drop", "dropout", "bit_errors", "tiers", "samples",
              "seed")
    recipe = Recipe(**{name: getattr(arguments, name) for name in fields
                       if getattr(arguments, name) is not None})
    if arguments.out.suffix != ".nir":
        raise UserError(f"-o must name a .nir file, not {arguments.out}")
    try:
        loop = importlib.import_module("lamina.flows.training.run")
        plots = importlib.import_module("lamina.flows.training.plots")
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("torch"):
            raise
        raise UserError("training needs torch: pip install 'lamina[train]'") from None
    training, held_out = (_load(arguments, recipe, split) for split in ("train", "test"))
    history = loop.train(recipe, training, held_out, arguments.out, threads=arguments.threads,
                         resume=not arguments.no_resume)
    plots.plot_history(history, arguments.out.with_suffix(".png"))
    last = history[-1]
    return {"network": str(arguments.out), "epochs": len(history), "accuracy": last.accuracy,
            "hidden_spikes_per_sample": last.hidden_spikes, "loss": last.loss}


def _load(arguments: argparse.Namespace, recipe: Recipe, split: str):
    events = arguments.data.split(":")[0] in ("nmnist", "events")
    binning = Binning(bins=arguments.bins or recipe.timesteps) if events else None
    return load_data(arguments.data, split=split, counts=arguments.counts or "clip",
                     binning=binning)
