"""Plot of the catalogue: errors over energy, a line per family."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lamina.flows.adders.catalogue import Entry
from lamina.flows.report.plots import GRID, INK, PALETTE

__all__ = ["plot_catalogue"]

_MARKERS = "osD^v"
_LINEAR = 0.1
"""Errors [LSB] below which the axis is linear."""


def plot_catalogue(entries: Sequence[Entry], path: pathlib.Path) -> None:
    """Write mean error distance and bias over the energy per addition to the PNG file `path`.

    Without silicon the horizontal axis is the number of approximate low bits, where windowed adders
    have no place.
    """
    figure = Figure(figsize=(11, 5.4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharex=True)
    families: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.silicon is not None or not entry.spec.window:
            families.setdefault(entry.spec.family, []).append(entry)
    for number, (family, members) in enumerate(families.items()):
        style = {"marker": _MARKERS[number // len(PALETTE)], "markersize": 4, "linewidth": 0.8,
                 "color": PALETTE[number % len(PALETTE)], "label": family,
                 "linestyle": "" if family in ("net", "gear") else "-"}
        x = [_cost(entry) for entry in members]
        left.plot(x, [entry.moments.mean_distance for entry in members], **style)
        right.plot(x, [entry.bias for entry in members], **style)
    _dress(left, "mean error distance [LSB]", entries)
    _dress(right, "bias on these weights [LSB]", entries)
    left.set_ylim(bottom=0)
    figure.legend(*left.get_legend_handles_labels(), loc="outside right upper", frameon=False,
                  fontsize=8)
    figure.savefig(path, format="png", dpi=120, metadata={"Software": None})


def _cost(entry: Entry) -> float:
    return entry.spec.low_bits if entry.silicon is None else entry.silicon.energy_fj


def _dress(axes: Axes, label: str, entries: Sequence[Entry]) -> None:
    measured = entries[0].silicon is not None
    axes.set_yscale("symlog", linthresh=_LINEAR)
    axes.set(xlabel="energy [fJ per addition]" if measured else "low bits k", ylabel=label)
    axes.axhline(0, color=INK, linewidth=0.6)
    axes.grid(color=GRID, linewidth=0.5)
