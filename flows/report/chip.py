"""The report's chapter of a chip: timing by corner, area by block, measured energy by part."""

from __future__ import annotations

from matplotlib.figure import Figure

from lamina.flows.report.plots import ACCENT, INK, MUTED, PALETTE, svg

__all__ = ["NESTED", "chip_section"]

NESTED = ("timing", "low_voltage", "area_by_block", "gates")
"""Parts of ``synth`` that this chapter shows, and no table of figures."""
_MACROS = "macros of "
_LEAST_SHARE = 0.01


def chip_section(report: dict) -> dict | None:
    """What the template shows of a chip; None for anything else.

    Returns
    -------
    dict
        ``timing``: rows (corner, clock [MHz], setup and hold slack [ns], path that decides);
        ``areas``, ``parts``, ``voltages``: SVG, the latter two None where nothing was measured;
        ``gates``: a sentence on the simulation of the netlist, or None.
    """
    synth = report["synth"] or {}
    if "area_by_block" not in synth:
        return None
    measured = (report["energy"] or {}).get("measured")
    return {"timing": [_timing_row(timing) for timing in synth["timing"]],
            "clock": synth["clock_mhz"],
            "areas": svg(lambda figure: _draw_areas(figure, synth["area_by_block"]), width=10.4,
                         height=1.4 + 0.24 * len(_large(synth["area_by_block"]))),
            "parts": measured and svg(lambda figure: _draw_parts(figure, measured), width=10.4,
                                      height=2.2),
            "wires": measured and measured["pj_per_sop_with_wires"],
            "voltages": measured and synth["low_voltage"] and svg(
                lambda figure: _draw_voltages(figure, synth, measured["corners"]), width=7,
                height=3.2),
            "gates": _gates(synth.get("gates"))}


def _timing_row(timing: dict) -> tuple[str, str, str, str, str]:
    edge, path = min(timing["setup"].items(), key=lambda item: item[1]["slack_ns"])
    half = " (half a period)" if edge == "fall" else ""
    return (timing["corner"], f"{timing['fmax_mhz']:.1f}", f"{timing['setup_slack_ns']:.3f}",
            f"{timing['hold_slack_ns']:.3f}", f"{path['start']} to {path['end']}{half}")


def _gates(gates: dict | None) -> str | None:
    if gates is None:
        return None
    return (f"{gates['samples']} samples on the netlist: {gates['events_compared']:,} events and "
            f"{gates['membranes_compared']:,} membranes, {gates['mismatches']} mismatches")


def _large(areas: dict[str, float]) -> dict[str, float]:
    """Areas [mm2], the largest first; macros of all tiers together, small blocks as others."""
    joined: dict[str, float] = {}
    for name, area in areas.items():
        block = _MACROS + name.partition("/")[0] if "/" in name else name
        joined[block] = joined.get(block, 0.0) + area / 1e6
    least = _LEAST_SHARE * sum(joined.values())
    shown = {name: area for name, area in joined.items() if area >= least}
    others = sum(joined.values()) - sum(shown.values())
    ordered = dict(sorted(shown.items(), key=lambda item: -item[1]))
    return {**ordered, "others": others} if others else ordered


def _draw_areas(figure: Figure, areas: dict[str, float]) -> None:
    axes, shown = figure.add_subplot(), _large(areas)
    colors = [ACCENT if name.startswith(_MACROS) else PALETTE[1] for name in shown]
    bars = axes.barh(list(shown), list(shown.values()), color=colors, height=0.7)
    axes.bar_label(bars, fmt="%.3f", padding=3, color=MUTED, fontsize=8)
    axes.invert_yaxis()
    axes.set(xlabel="area [mm2]")
    axes.margins(x=0.1)


def _draw_parts(figure: Figure, measured: dict) -> None:
    axes = figure.add_subplot()
    for row, figures in enumerate(measured["bounds"].values()):
        left, scale = 0.0, 1e3 / measured["sops"]
        for number, (part, energy) in enumerate(figures["breakdown"].items()):
            value = scale * (sum(energy) if isinstance(energy, list) else energy)
            axes.barh(row, value, left=left, height=0.7, color=PALETTE[number],
                      label=None if row else part.replace("_", " "))
            left += value
        axes.annotate(f"{left:.2f}", (left, row), xytext=(4, 0), textcoords="offset points",
                      va="center", color=INK)
        axes.set_yticks(range(len(measured["bounds"])), labels=list(measured["bounds"]))
    axes.set(xlabel="pJ per synaptic operation")
    axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.45, 1), ncols=9, fontsize=8,
                handlelength=1.2)


def _draw_voltages(figure: Figure, synth: dict, energies: dict[str, float]) -> None:
    """Clock and energy of the logic at corners of lower supply."""
    axes = figure.add_subplot()
    volts = [each["volts"] for each in synth["low_voltage"]]
    axes.plot(volts, [each["fmax_mhz"] for each in synth["low_voltage"]], "o-", color=ACCENT,
              label="clock, ss -40 C")
    axes.set(xlabel="supply [V]", ylabel="clock [MHz]", ylim=(0, None))
    energy = axes.twinx()
    energy.plot(volts, [energies[each["corner"]] for each in synth["low_voltage"]], "s--",
                color=PALETTE[1], label="pJ per synaptic operation")
    energy.set(ylabel="pJ per synaptic operation", ylim=(0, None))
    energy.spines["right"].set_visible(True)
    lines = [*axes.lines, *energy.lines]
    axes.legend(lines, [line.get_label() for line in lines], frameon=False, loc="lower right")
