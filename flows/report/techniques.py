"""The table of techniques: published rows beside those of this network."""

from __future__ import annotations

import dataclasses
import itertools

from lamina.flows.report.published import OPERATIONS, TECHNIQUES, Technique
from lamina.models.adders.spec import AdderSpec
from lamina.models.program import Program
from lamina.models.voltage import supplies

__all__ = ["Group", "Row", "front_rows", "operation_rows", "own_groups", "published_groups"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One configuration.

    Parameters
    ----------
    modes, adders : str
    accuracy : float or None
        0..1.
    energy : float or None
        Over that of the exact network at nominal voltages.
    name : str
        Of a program.
    printed : str
        Energy as a source prints it.
    """

    modes: str
    adders: str
    accuracy: float | None
    energy: float | None
    name: str = ""
    printed: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Group:
    """Rows of one origin.

    Parameters
    ----------
    title, note : str
        Network and source; what was run, and the unit of energy.
    rows : list of Row
    ours : bool
    """

    title: str
    note: str
    rows: list[Row]
    ours: bool = True


def published_groups() -> list[Group]:
    """A group for each paper."""
    return [_published(list(each)) for _, each in
            itertools.groupby(TECHNIQUES, key=lambda each: each.source)]


def _published(techniques: list[Technique]) -> Group:
    first = techniques[0]
    rows = [Row(modes=_brief(each.modes), adders=each.adders, accuracy=each.accuracy / 100,
                energy=each.relative, printed="-" if each.energy is None else f"{each.energy:g}")
            for each in techniques]
    return Group(title=f"{first.source}: {first.network}", note=f"published, {first.unit}",
                 rows=rows, ours=False)


def own_groups(report: dict, program: Program, undervolted: dict | None, front: dict | None
               ) -> list[Group]:
    """This network as it is, in the modes of the papers, and the front of a search."""
    energy, faults = report["energy"], report["quantisation"].get("faults")
    title = f"This network: {program.name}"
    notes = [f"{report['golden']['samples']:,} samples", faults and f"faults: {faults}",
             energy and f"calibration {energy['calibration']['name']}"]
    groups = [Group(title=f"{title}, this program", rows=[_as_it_is(report, program)],
                    note=", ".join(filter(None, notes)))]
    if undervolted:
        groups.append(Group(title=f"{title}, modes of the papers",
                            note=_conditions(undervolted, "samples"),
                            rows=_in_published_modes(undervolted, program)))
    if front:
        groups.append(Group(title=f"{title}, front of the search", rows=front_rows(front),
                            note=_conditions(front, "validation samples")))
    return groups


def _conditions(result: dict, unit: str) -> str:
    chips = f"{result['chips']:,} chip{'s' * (result['chips'] != 1)}"
    return f"{result['samples']:,} {unit}, {chips}, calibration {result['calibration']['name']}"


def _in_published_modes(undervolted: dict, program: Program) -> list[Row]:
    papers = {each.modes for each in TECHNIQUES}
    adders = _joined([(layer.name, AdderSpec.parse(layer.adder).label) for layer in program.layers])
    return [Row(modes=_brief(each["mode"]), adders=adders, accuracy=each["accuracy"],
                energy=each["energy"]) for each in undervolted["modes"] if each["mode"] in papers]


def front_rows(front: dict) -> list[Row]:
    """Rows of what a search found, by falling energy; what holds for all layers is said once."""
    return [Row(name=each["name"],
                modes=_joined([(layer["name"], _brief(layer["tier_modes"]))
                               for layer in each["layers"]]),
                adders=_joined([(layer["name"], AdderSpec.parse(layer["adder"]).label)
                                for layer in each["layers"]]),
                accuracy=each["accuracy"], energy=each["energy"]) for each in front["front"]]


def _as_it_is(report: dict, program: Program) -> Row:
    energy, quantisation = report["energy"], report["quantisation"]
    tiers = len(quantisation["tiers"] or ())
    modes = [(layer.name, _supplied(supplies(program, layer, tiers)) if tiers else "-")
             for layer in program.layers]
    adders = [(layer.name, AdderSpec.parse(layer.adder).label) for layer in program.layers]
    return Row(modes=_joined(modes), adders=_joined(adders),
               accuracy=quantisation["integer_accuracy"], energy=energy and energy["relative"])


def _supplied(volts: tuple[float, ...]) -> str:
    """Supplies of the tiers [V] as ``--tier-modes`` takes them, or a brief name."""
    return _brief(",".join("gated" if not supply else "nominal" if supply == 1.1 else f"{supply:g}"
                           for supply in volts))


def _brief(modes: str) -> str:
    """``nominal`` where no tier is anything else, and how many of the lowest are off."""
    entries = modes.split(",")
    off = entries.count("gated")
    if set(entries[:len(entries) - off]) != {"nominal"}:
        return modes
    return f"{off} gated" if off else "nominal"


def _joined(layers: list[tuple[str, str]]) -> str:
    """What holds for all layers once, else by layer."""
    texts = list(dict.fromkeys(text for _, text in layers))
    return texts[0] if len(texts) == 1 else "; ".join(f"{name} {text}" for name, text in layers)


def operation_rows(energy: dict | None) -> list[tuple[str, str, float, float, float]]:
    """System, its operation, energy of one [pJ], and at 14 nm: as published, low power for all."""
    rows = [(each.system, each.unit, each.picojoules, each.at_14nm, each.consistent)
            for each in OPERATIONS]
    if energy is not None and "measured" in energy:
        at_14nm = energy["measured"]["pj_per_sop_scaled"]["14nm"]
        name = f"this network, {energy['corner']}, measured before layout; at 14 nm a range"
        return [*rows, (name, "event", energy["pj_per_sop"], *at_14nm)]
    if energy is None or energy["scaled"] is None:
        return rows
    published, consistent = (energy["scaled"][name] for name in ("14nm_published",
                                                                 "14nm_consistent"))
    return rows + [(f"this network, {energy['corner']}, derived", unit, energy[key],
                    published[key], consistent[key])
                   for unit, key in (("event", "pj_per_sop"),
                                     ("neuron update", "pj_per_neuron_update"))
                   if energy[key] is not None]
