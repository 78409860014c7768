"""The course of a training run as a picture."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import matplotlib.figure

from lamina.flows.training.run import Epoch

__all__ = ["plot_history"]


def plot_history(history: Sequence[Epoch], path: pathlib.Path) -> None:
    """Write loss and held-out accuracy over the epochs to the PNG file `path`."""
    figure = matplotlib.figure.Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.subplots()
    epochs = range(1, len(history) + 1)
    (loss,) = axes.plot(epochs, [epoch.loss for epoch in history], color="tab:gray", label="loss")
    axes.set(xlabel="epoch", ylabel="loss")
    right = axes.twinx()
    (rate,) = right.plot(epochs, [100 * epoch.accuracy for epoch in history], color="tab:blue",
                         label="held-out accuracy")
    right.set(ylabel="held-out accuracy [%]")
    axes.legend(handles=[loss, rate], loc="center right")
    figure.savefig(path, dpi=120, metadata={"Software": None})
