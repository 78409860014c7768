"""The pictures of a study of undervolted memory: accuracy against voltage and against energy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lamina.flows.report.plots import GRID, INK, MUTED, PALETTE, png
from lamina.flows.report.published import TECHNIQUES, UNDERVOLTED, Technique

__all__ = ["add_legend", "draw_trade", "draw_voltage", "is_comparable", "write_picture"]

_MARKERS = {"nominal": "*", "gated": "D", "UV": "o", "UV-PG": "s"}
_MEANINGS = {"UV": "the k lowest tiers at V", "UV-PG": "last tier off, the k above it at V"}
_CROSS, _PLUS = {"marker": "x", "markersize": 6}, {"marker": "+", "markersize": 10,
                                                    "markeredgewidth": 2}
_NARROW = 12
"""Width [inch] up to which a legend is two lines of short entries."""
_SHOWN_LOSS = 15
"""Points below nominal that the picture against energy shows."""


def draw_voltage(panels: Sequence[Axes], result: dict) -> None:
    """Accuracy against voltage: UV on the first of two `panels`, UV-PG on the second.

    Lines are means over the chips, bands hold 90 % of the chips, crosses are published. Those are
    drawn where the tiers are cut as in the papers.

    Parameters
    ----------
    panels : sequence of 2 Axes
    result : dict
        Of :func:`lamina.flows.study.undervolt.undervolt`.
    """
    for axes, family in zip(panels, _MEANINGS, strict=True):
        for count in sorted({each["count"] for each in result["modes"]
                             if each["family"] == family}):
            _curve(axes, result, family, count)
        if is_comparable(result):
            _published_voltage(axes, family)
        axes.set(xlabel="voltage [V]", ylim=(0, 103),
                 title=f"{result['network']}, {family}k: {_MEANINGS[family]}")
        axes.grid(color=GRID, linewidth=0.6)
    panels[0].set_ylabel("accuracy [%]")


def is_comparable(result: dict) -> bool:
    """Whether the modes of `result` are those of the papers: the same tiers."""
    return tuple(result["tiers"]) == UNDERVOLTED.tiers


def _curve(axes: Axes, result: dict, family: str, count: int) -> None:
    entries = sorted((each for each in result["modes"]
                      if (each["family"], each["count"]) == (family, count)),
                     key=lambda each: each["volts"])
    volts, color = [each["volts"] for each in entries], _color(entries[0])
    axes.plot(volts, [100 * each["accuracy"] for each in entries], _MARKERS[family] + "-",
              color=color, markersize=5, zorder=3)
    axes.fill_between(volts, [100 * each["p5"] for each in entries],
                      [100 * each["p95"] for each in entries], color=color, alpha=0.15,
                      linewidth=0)


def _color(entry: dict) -> str:
    return PALETTE[(entry["count"] - 1) % len(PALETTE)] if entry["volts"] else INK


def _published_voltage(axes: Axes, family: str) -> None:
    """UV of Nguyen 2023b; single points of Dang 2025, which have approximate adders too."""
    for index, points in enumerate(zip(*UNDERVOLTED.accuracies.values(), strict=True)):
        if family == "UV":
            axes.plot(list(UNDERVOLTED.accuracies), points, linestyle="--", linewidth=0.9,
                      color=PALETTE[index], **_CROSS)
    for each in _rows("Dang 2025"):
        name, _, volts = each.modes.partition("@")
        if name.rstrip("1234") == family:
            axes.plot(float(volts), each.accuracy, color=PALETTE[int(name[-1]) - 1], zorder=4,
                      **_PLUS)


def _rows(source: str) -> list[Technique]:
    return [each for each in TECHNIQUES if each.source == source and each.relative is not None]


def draw_trade(axes: Axes, result: dict) -> None:
    """Accuracy against energy over E0: every mode, the front with names, and published rows.

    Parameters
    ----------
    axes : Axes
    result : dict
        Of :func:`lamina.flows.study.undervolt.undervolt`.
    """
    entries = {each["mode"]: each for each in result["modes"]}
    nominal = 100 * next(each["accuracy"] for each in result["modes"]
                         if each["family"] == "nominal")
    low, high = max(0.0, nominal - _SHOWN_LOSS), min(101.0, nominal + 3)
    shown = [each for each in entries.values() if 100 * each["accuracy"] >= low]
    for each in shown:
        axes.plot(each["energy"], 100 * each["accuracy"], _MARKERS[each["family"]],
                  color=_color(each), markersize=9 if each["family"] == "nominal" else 5)
    front = [entries[mode] for mode in result["front"]]
    axes.step([each["energy"] for each in front], [100 * each["accuracy"] for each in front],
              where="pre", color=INK, linewidth=0.9, zorder=1)
    _name(axes, [each for each in front if each in shown]
          + [each for each in shown if each["volts"] is None and each not in front])
    for source, style in (("Nguyen 2023b", _CROSS), ("Dang 2025", _PLUS)):
        for each in _rows(source) if is_comparable(result) else ():
            axes.plot(each.relative, each.accuracy, color=MUTED, **style)
    axes.set(xlabel=f"energy / E0, calibration {result['calibration']['name']}", ylim=(low, high),
             xlim=(None, 1.06), ylabel="accuracy [%]", title="against energy, with the front")
    axes.grid(color=GRID, linewidth=0.6)


def _name(axes: Axes, entries: list[dict]) -> None:
    """Write the names of `entries` beside them, as far as there is room."""
    taken: list[tuple[float, float]] = []
    for each in entries:
        x, y = each["energy"], 100 * each["accuracy"]
        if all(abs(x - other) > 0.14 or abs(y - level) > 0.9 for other, level in taken):
            taken.append((x, y))
            name = f"{each['count']} gated" if each["family"] == "gated" else each["mode"]
            axes.annotate(name if each["count"] else "nominal", (x, y), xytext=(0, 8),
                          textcoords="offset points", ha="center", fontsize=7.5, color=INK)


def add_legend(figure: Figure, results: Sequence[dict], *, trade: bool) -> None:
    """One legend for all axes of `figure`, below them.

    Parameters
    ----------
    figure : Figure
    results : sequence of dict
        What is drawn on it.
    trade : bool
        Modes without a voltage are drawn as well.
    """
    kinds = {(each["family"], each["count"] if each["volts"] else 0): each
             for result in results for each in result["modes"] if trade or each["volts"]}
    handles = [Line2D([], [], color=_color(each), marker=_MARKERS[family], markersize=5,
                      linestyle="-" if count else "", label=f"{family}{count or ''}")
               for (family, count), each in kinds.items()]
    wide = bool(figure.get_figwidth() > _NARROW)
    if any(map(is_comparable, results)):
        handles += [Line2D([], [], color=MUTED, linestyle="--", linewidth=0.9, **_CROSS,
                           label="published: Nguyen 2023b" + ", 784-48-10, MNIST" * wide),
                    Line2D([], [], color=MUTED, linestyle="", **_PLUS, label="published: Dang 2025"
                           + ", 784-256-256-10, MNIST, approximate adders too" * wide)]
    figure.legend(handles=handles, loc="outside lower center", frameon=False, fontsize=8,
                  ncols=len(handles) if wide else -(-len(handles) // 2))


def write_picture(results: Sequence[dict], file: BinaryIO) -> None:
    """PNG of one or more studies: against voltage, UV and UV-PG, and against energy, a row each.

    Parameters
    ----------
    results : sequence of dict
        Of :func:`lamina.flows.study.undervolt.undervolt`.
    file : binary file
    """
    def draw(figure: Figure) -> None:
        rows = figure.subplots(len(results), 3, squeeze=False)
        for row, result in zip(rows, results, strict=True):
            draw_voltage(row[:2], result)
            draw_trade(row[2], result)
        add_legend(figure, results, trade=True)

    png(draw, file, width=16, height=5 * len(results))
