"""The picture of a search: every try, and the front."""

from __future__ import annotations

from typing import BinaryIO

from lamina.flows.report.published import TECHNIQUES

__all__ = ["draw_front"]

_SOURCE, _NEURONS = "Dang 2025", [256, 256, 10]


def draw_front(result: dict, stream: BinaryIO) -> None:
    """Accuracy against energy as a PNG; the published cases for a network of the same kind.

    Parameters
    ----------
    result : dict
        Of :func:`lamina.flows.search.command.explore`.
    stream : binary file
    """
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    axes.scatter([each["energy"] for each in result["tried"]],
                 [100 * each["accuracy"] for each in result["tried"]], s=14, color="0.6",
                 label=f"{len(result['tried'])} tries")
    front = result["front"]
    axes.step([each["energy"] for each in front], [100 * each["accuracy"] for each in front],
              where="pre", marker="o", color="C0", label="front")
    for each in front:
        axes.annotate(each["name"], (each["energy"], 100 * each["accuracy"]),
                      textcoords="offset points", xytext=(4, -11), fontsize=8)
    cases = [each for each in TECHNIQUES if each.source == _SOURCE]
    for number, each in enumerate(cases[1:] if result["neurons"] == _NEURONS else (), start=2):
        axes.plot(each.relative, each.accuracy, "x", color="C3")
        axes.annotate(f"{_SOURCE}, case {number}", (each.relative, each.accuracy),
                      textcoords="offset points", xytext=(5, 3), fontsize=8, color="C3")
    low = min([100 * each["accuracy"] for each in front] + [94.0]) - 1
    axes.set(xlabel="energy per inference / exact, nominal", ylabel="accuracy on validation [%]",
             ylim=(low, 100), title=f"calibration {result['calibration']['name']}")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(stream, format="png", dpi=120, metadata={"Software": None})
