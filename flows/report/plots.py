"""Plots of a report, mostly SVG text: the same numbers give the same bytes."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

__all__ = ["ACCENT", "GRID", "INK", "MUTED", "PALETTE", "confusion_matrix", "energy",
           "exploration", "losses", "membranes", "png", "raster", "svg"]

INK, MUTED, GRID, ACCENT = "#22303c", "#6b7a86", "#d9e0e5", "#1f6f8b"
PALETTE = ("#1f6f8b", "#c8553d", "#6a994e", "#8d5fa8", "#e0a030",
           "#4f6d7a", "#b23a6e", "#3c8d7d", "#7a5c42", "#2f4b7c")
_STYLE = {
    "svg.hashsalt": "lamina", "svg.fonttype": "none", "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans"], "font.size": 9,
    "axes.edgecolor": GRID, "axes.labelcolor": MUTED, "text.color": INK, "xtick.color": MUTED,
    "ytick.color": MUTED, "axes.spines.top": False, "axes.spines.right": False,
}


def raster(spikes: np.ndarray, title: str) -> str:
    """Draw which neuron spikes when.

    Parameters
    ----------
    spikes : uint8 array (T, neurons)
    title : str

    Returns
    -------
    str
        SVG; every spike is one short vertical line.
    """
    timesteps, neurons = spikes.shape

    def draw(axes: Axes) -> None:
        times, ids = np.nonzero(spikes)
        half = max(0.45, neurons / 160)
        axes.vlines(times, ids - half, ids + half, color=ACCENT, linewidth=1.6)
        axes.set(xlim=(-0.5, timesteps - 0.5), ylim=(-1, neurons), xlabel="timestep",
                 ylabel="neuron")
        axes.set_title(f"{title}: {len(times)} spikes", loc="left", color=INK)
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.xaxis.get_major_locator().set_params(integer=True)

    return _svg(draw, width=3.2, height=float(np.clip(1.8 + neurons / 300, 1.9, 3.4)))


def membranes(values: np.ndarray, spikes: np.ndarray, theta: np.ndarray, most: int = 10) -> str:
    """Draw the membranes of the first `most` output neurons against the threshold.

    Parameters
    ----------
    values : int array (T, neurons)
        After each timestep [LSB].
    spikes : uint8 array (T, neurons)
        Marked by dots.
    theta : int array (neurons,)
        Threshold [LSB]; drawn as a line where all shown neurons share it, else as a band.
    most : int
    """
    shown = min(most, values.shape[1])
    theta = theta[:shown]

    def draw(axes: Axes) -> None:
        for neuron in range(shown):
            color = PALETTE[neuron % len(PALETTE)]
            axes.plot(values[:, neuron], color=color, linewidth=1.3, label=str(neuron))
            times = np.nonzero(spikes[:, neuron])[0]
            axes.plot(times, values[times, neuron], "o", color=color, markersize=4)
        axes.axhspan(int(theta.min()), int(theta.max()), color=INK, linewidth=1, alpha=0.25)
        axes.set(xlabel="timestep", ylabel="membrane after the timestep [LSB]")
        axes.annotate("threshold", (len(values) - 1, int(theta.max())), xytext=(0, 3), ha="right",
                      textcoords="offset points", color=MUTED, fontsize=8)
        axes.legend(title="neuron", frameon=False, loc="center left", bbox_to_anchor=(1, 0.5),
                    fontsize=8)
        axes.xaxis.get_major_locator().set_params(integer=True)

    return _svg(draw, width=10.6, height=3.4)


def losses(layers: list[dict]) -> str:
    """Draw how alike float network and program fire, layer by layer.

    Parameters
    ----------
    layers : list of dict
        With ``name``, ``spike_agreement`` and ``jaccard``, each share 0..1.
    """
    names = [layer["name"] for layer in layers]

    def draw(axes: Axes) -> None:
        places = np.arange(len(layers))
        for shift, key, color in ((-0.18, "spike_agreement", PALETTE[0]),
                                  (0.18, "jaccard", PALETTE[1])):
            values = [layer[key] for layer in layers]
            axes.barh(places + shift, values, height=0.32, color=color,
                      label=key.replace("_", " "))
        axes.set(yticks=places, yticklabels=names, xlim=(0, 1), xlabel="share")
        axes.invert_yaxis()
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))

    return _svg(draw, width=8, height=1.2 + 0.42 * len(layers))


def confusion_matrix(counts: np.ndarray) -> str:
    """Draw a confusion matrix.

    Parameters
    ----------
    counts : int array (classes, classes)
        Samples by label (row) and prediction (column); written out up to 12 classes.
    """
    classes = len(counts)

    def draw(axes: Axes) -> None:
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap=matplotlib.colors.LinearSegmentedColormap.from_list(
            "lamina", ["#ffffff", ACCENT]), vmin=0, vmax=1)
        if classes <= 12:
            for (row, column), count in np.ndenumerate(counts):
                axes.text(column, row, str(count) if count else "·", ha="center", va="center",
                          fontsize=8, color="white" if shares[row, column] > 0.5 else MUTED)
            axes.set(xticks=range(classes), yticks=range(classes))
        axes.set(xlabel="prediction", ylabel="label")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)

    return _svg(draw, width=4.6, height=4.4)


def energy(parts: dict[str, float]) -> str:
    """Draw where the energy of a sample goes, as one bar beside E0.

    Parameters
    ----------
    parts : dict of str to float
        Energy over E0 by part: memory tiers, the most significant first, ``adders`` and ``rest``.
    """
    total, tiers = sum(parts.values()), len(parts) - 2

    def draw(axes: Axes) -> None:
        left = 0.0
        for number, (part, share) in enumerate(parts.items()):
            color = {"adders": PALETTE[4], "rest": MUTED}.get(part, ACCENT)
            fade = 1 - 0.75 * number / max(tiers, 1) if color == ACCENT else 1
            axes.barh(0, share, left=left, height=0.8, color=color, alpha=fade, linewidth=0,
                      label=f"{part}: {share:.3f}")
            left += share
        axes.axvline(1, color=INK, linewidth=1, linestyle="--")
        axes.annotate("E0", (1, 0.4), xytext=(4, 2), textcoords="offset points", color=INK)
        axes.set(yticks=[], xlim=(0, 1.1 * max(1, total)), ylim=(-0.4, 0.6),
                 xlabel="energy of a sample / E0")
        axes.spines["left"].set_visible(False)
        axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.45, 1), fontsize=8,
                    ncols=6, handlelength=1.2)

    return _svg(draw, width=10.4, height=1.7)


def exploration(widths: list[dict], chosen: int | None, file: BinaryIO) -> None:
    """Draw accuracy or agreement and memory over the weight width, as PNG.

    Parameters
    ----------
    widths : list of dict
        With ``weight_bits``, ``agreement``, ``accuracy`` (share or None) and ``memory_bits``.
    chosen : int or None
        Width that is marked.
    file : binary file
        Open for writing.
    """
    bits = [entry["weight_bits"] for entry in widths]
    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for key, color in (("accuracy", PALETTE[0]), ("agreement", PALETTE[1])):
        if all(entry[key] is not None for entry in widths):
            axes.plot(bits, [100 * entry[key] for entry in widths], "o-", color=color, label=key)
    axes.set(xlabel="weight width [bit]", ylabel="share [%]", xticks=bits)
    memory = axes.twinx()
    memory.bar(bits, [entry["memory_bits"] / 1024 for entry in widths], width=0.5, color=GRID,
               zorder=0, label="memory")
    memory.set(ylabel="weight memory [kbit]")
    axes.set_zorder(memory.get_zorder() + 1)
    axes.patch.set_visible(False)
    if chosen is not None:
        axes.axvline(chosen, color=INK, linewidth=1, linestyle="--", label="chosen")
    axes.legend(frameon=False)
    figure.savefig(file, format="png", dpi=120, metadata={"Software": None})


def svg(draw: Callable[[Figure], None], *, width: float, height: float) -> str:
    """SVG text of what `draw` puts on a figure of that size [inch]."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True,
                       metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def png(draw: Callable[[Figure], None], file: BinaryIO, *, width: float, height: float) -> None:
    """Write what `draw` puts on a figure of that size [inch] to a binary `file`."""
    with matplotlib.rc_context({**_STYLE, "font.sans-serif": ["DejaVu Sans"]}):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        figure.savefig(file, format="png", dpi=120, metadata={"Software": None})


def _svg(draw: Callable[[Axes], None], *, width: float, height: float) -> str:
    """SVG text of one pair of axes, size in inches."""
    return svg(lambda figure: draw(figure.add_subplot()), width=width, height=height)
