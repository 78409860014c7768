"""The commands ``lamina train`` and ``lamina convert``."""

from __future__ import annotations

import argparse
import importlib

from lamina.flows.errors import UserError
from lamina.flows.frontend.data import Binning, load_data
from lamina.flows.training.recipe import Recipe

__all__ = ["convert", "main"]


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
    loop, plots = _module("run"), _module("plots")
    training, held_out = (_load(arguments, recipe, split) for split in ("train", "test"))
    history = loop.train(recipe, training, held_out, arguments.out, threads=arguments.threads,
                         resume=not arguments.no_resume)
    plots.plot_history(history, arguments.out.with_suffix(".png"))
    last = history[-1]
    return {"network": str(arguments.out), "epochs": len(history), "accuracy": last.accuracy,
            "hidden_spikes_per_sample": last.hidden_spikes, "loss": last.loss}


def convert(arguments: argparse.Namespace) -> dict:
    """Convert a ReLU network as the command line says; returns a JSON-ready summary.

    Raises
    ------
    UserError
        If torch or onnx is missing, or the file or the data cannot be used.
    """
    converter = _module("convert")
    if not arguments.ann.is_file():
        raise UserError(f"{arguments.ann}: no such file")
    ann = converter.load_ann(arguments.ann)
    data = load_data(arguments.data, split="train")
    if data.images is None:
        raise UserError(f"--data {arguments.data}: must be images to convert with")
    shape = (data.axons,) if len(data.shape) < 2 or not _is_map(ann) else (
        (1, *data.shape) if len(data.shape) == 2 else data.shape)
    balances = converter.convert(ann, data.images[:arguments.samples], arguments.out,
                                 input_shape=shape, timesteps=arguments.timesteps,
                                 percentile=arguments.percentile, encoder=arguments.encoder)
    return {"network": str(arguments.out),
            **{balance.name: round(balance.activation, 4) for balance in balances}}


def _is_map(ann) -> bool:
    """Whether the network begins with a convolution."""
    return type(next(iter(ann))).__name__ == "Conv2d"


def _module(name: str):
    """A module of this room that needs torch."""
    try:
        return importlib.import_module(f"lamina.flows.training.{name}")
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("torch"):
            raise
        raise UserError("training needs torch: pip install 'lamina[train]'") from None


def _load(arguments: argparse.Namespace, recipe: Recipe, split: str):
    events = arguments.data.split(":")[0] in ("nmnist", "events")
    binning = Binning(bins=arguments.bins or recipe.timesteps) if events else None
    return load_data(arguments.data, split=split, counts=arguments.counts or "clip",
                     binning=binning)
