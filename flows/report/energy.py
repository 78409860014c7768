"""The report's ``energy``: by memory tier and the rest, relative and as far as known in joules."""

from __future__ import annotations

import dataclasses

import numpy as np

from lamina.flows.report.published import CHIPS_45NM, UNDERVOLTED
from lamina.flows.search.energy import CALIBRATIONS, Calibration, relative_energy
from lamina.flows.sky130.table import measurements, operation_energy
from lamina.models.adders.spec import AdderSpec
from lamina.models.energy import (
    NodeRule,
    pj_per_neuron_update,
    pj_per_sop,
    range_from_130nm,
)
from lamina.models.network import neuron_updates_per_sample
from lamina.models.program import Program

__all__ = ["ANCHORS", "Anchor", "Operations", "energy_block", "energy_rows", "measured_block"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Anchor:
    """What turns the shares of a calibration into joules.

    Parameters
    ----------
    corner : str
        Process and nominal supply.
    pj_per_sop : float
        Of the exact 8-bit network at nominal voltages, per synaptic event [pJ].
    published, derived : str
        What is printed in the source, and what follows from it with which assumption.
    rule : NodeRule or None
        How the source compares energies at 14 nm; None: its supply is outside of the rules.
    shares : dict of str to float
        Of the rest, what belongs to `lanes`, `control`, `clock` and `leakage`, where it is known.
    """

    corner: str
    pj_per_sop: float
    published: str
    derived: str
    rule: NodeRule | None = None
    shares: dict[str, float] = dataclasses.field(default_factory=dict)


_CONVERTED_SOPS = 1.634e6
"""Synaptic operations of a prediction of 784-48-10, T = 350: the network ``plain`` of
``benchmarks/undervolt.py``, mean over the first 1,000 test images."""



def _measured() -> Anchor:
    """The core that the calibration ``sky130`` is of."""
    calibration = CALIBRATIONS["sky130"]
    core = measurements()["16x8"]
    energy = operation_energy(core.lanes, core.tiers)
    rest = calibration.rest * energy.total
    adder = calibration.adder * energy.total
    return Anchor(
        corner="sky130 tt, 25 C, 1.8 V", pj_per_sop=energy.total,
        published="nothing: measured here, see docs/sky130.md",
        derived="pJ and nJ of this network: those of 784-256-256-10 on 16 lanes of 8 bit, taken to "
                "hold for every network; wires, clock tree and glitches are not in them",
        shares={"lanes": (energy.lanes - adder) / rest,
                "control": (energy.control + energy.banks) / rest, "clock": energy.clock / rest,
                "leakage": energy.leakage / rest})


ANCHORS = {
    "45nm": Anchor(
        corner="45 nm, 1.1 V", pj_per_sop=1e6 * UNDERVOLTED.microjoules / _CONVERTED_SOPS,
        published="4.12 uJ per prediction of 784-48-10 in 350 timesteps (Nguyen 2023b), and how "
                  "that falls with the voltages of the tiers",
        derived="pJ and nJ of this network: 4.12 uJ over the 1.634 million synaptic operations "
                "that a conversion of the same network needs on MNIST, taken to hold for every "
                "network",
        rule=CHIPS_45NM),
    "sky130": _measured(),
}
"""By the name of a calibration. Published pJ per neuron update are no anchor: 244.28 (Nguyen
2023b), 20.33 (Kobayashi 2024) and 8.797 (Dang 2025) differ by a factor of 28 between networks."""

MEASURED_VOLTS = 1.8
"""Supply of what is measured on SkyWater 130 [V]."""
_SHRUNK = {"45nm": ("LP45", 1.1), "14nm": ("LP14", 0.75)}
_PARTS = ("lanes", "control", "clock", "leakage")
"""Parts of the rest; what is left of it is the state memory and the spike lists."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Operations:
    """Synaptic operations of a mean sample.

    Parameters
    ----------
    by_layer : tuple of float
        Of the program as it runs.
    nominal : float
        Of all layers with exact adders at nominal voltages.
    samples : int
        That they were counted on.
    """

    by_layer: tuple[float, ...]
    nominal: float
    samples: int


def energy_block(program: Program, operations: Operations, tiers: tuple[int, ...],
                 calibration: Calibration, adder_energy: dict[str, float]) -> dict:
    """Energy of a sample of `program`, in its tier modes and with its adders.

    Parameters
    ----------
    program : Program
    operations : Operations
    tiers : tuple of int
        Bits of each memory tier.
    calibration : Calibration
    adder_energy : dict of str to float
        See :func:`lamina.flows.search.energy.relative_energy`.

    Returns
    -------
    dict
        See docs/report.md; what the calibration does not tell is None.
    """
    relative = _parts(program, operations, tiers, calibration, adder_energy)
    anchor = ANCHORS.get(calibration.name)
    names = {AdderSpec.parse(layer.adder).name for layer in program.layers}
    return {
        "calibration": dataclasses.asdict(calibration),
        "corner": anchor and anchor.corner,
        "activity": f"golden model, {operations.samples} samples",
        "published": anchor and anchor.published, "derived": anchor and anchor.derived,
        "adder_energy": {name: adder_energy.get(name, 1.0) for name in sorted(names)},
        "sops_by_layer": list(operations.by_layer), "nominal_sops": operations.nominal,
        "relative": _rounded(_total(relative)),
        "relative_breakdown": _shares(relative, 1.0),
        **_absolute(program, operations, relative, anchor)}


def measured_block(block: dict, energy: dict, samples: int) -> dict:
    """`block` with what was measured on the netlist of this run in place of what was derived.

    Parameters
    ----------
    block : dict
        Of :func:`energy_block`.
    energy : dict
        Of :func:`lamina.flows.sky130.chip.energy_figures`, with its corners.
    samples : int
        That were simulated.
    """
    figures = {name: energy[name] for name in ("pj_per_sop", "pj_per_neuron_update",
                                               "nj_per_sample", "breakdown")}
    scaled = {node: [_rounded(factor * energy["pj_per_sop"])
                     for factor in range_from_130nm(MEASURED_VOLTS, target)]
              for node, target in _SHRUNK.items()}
    return {**block, **figures, "corner": energy["corner"], "scaled": None, "published": None,
            "derived": None, "measured": {**energy, "pj_per_sop_scaled": scaled},
            "activity": f"gate-level simulation, {samples} samples"}


def _parts(program: Program, operations: Operations, tiers: tuple[int, ...],
           calibration: Calibration, adder_energy: dict[str, float]) -> dict:
    """Energy over E0 of each tier, of the adders and of the rest."""
    def part(bits: tuple[int, ...], **kept: float) -> float:
        shares = {"memory": 0.0, "adder": 0.0, "rest": 0.0, **kept}
        return relative_energy(program, np.array(operations.by_layer), operations.nominal, bits,
                               dataclasses.replace(calibration, **shares), adder_energy)

    alone = [tuple(bits * (tier == other) for other, bits in enumerate(tiers))
             for tier in range(len(tiers))]
    return {"memory": [part(bits, memory=calibration.memory) for bits in alone],
            "adders": part(tiers, adder=calibration.adder),
            "rest": part(tiers, rest=calibration.rest)}


def _total(parts: dict) -> float:
    return sum(parts["memory"]) + parts["adders"] + parts["rest"]


def _rounded(value: float) -> float:
    """Six digits: more are not known."""
    return float(f"{value:.6g}")


def _shares(parts: dict, unit: float) -> dict:
    """`parts` times `unit`."""
    return {"memory": [_rounded(unit * share) for share in parts["memory"]],
            "adders": _rounded(unit * parts["adders"]), "rest": _rounded(unit * parts["rest"])}


def _absolute(program: Program, operations: Operations, relative: dict,
              anchor: Anchor | None) -> dict:
    """What is in joules; None without an `anchor`, or where a sample has no operations."""
    if anchor is None or not operations.nominal:
        return dict.fromkeys(("pj_per_sop", "pj_per_neuron_update", "nj_per_sample", "breakdown",
                              "scaled"))
    nominal = anchor.pj_per_sop * operations.nominal / 1000
    figures = _figures(program, operations, nominal * _total(relative))
    rest = nominal * relative["rest"]
    parts = {name: _rounded(rest * anchor.shares[name]) if anchor.shares else None
             for name in _PARTS}
    return {**figures, "breakdown": {**_shares(relative, nominal), **parts},
            "scaled": anchor.rule and {
                "14nm_published": _scaled(figures, anchor.rule),
                "14nm_consistent": _scaled(figures, dataclasses.replace(
                    anchor.rule, target=CHIPS_45NM.target))}}


def _figures(program: Program, operations: Operations, nanojoules: float) -> dict:
    """Energy of a sample [nJ], and by both meanings of an operation [pJ]."""
    microjoules = nanojoules / 1000
    sops = sum(operations.by_layer)
    return {"nj_per_sample": _rounded(nanojoules),
            "pj_per_sop": _rounded(pj_per_sop(microjoules, sops)) if sops else None,
            "pj_per_neuron_update": _rounded(pj_per_neuron_update(
                microjoules, neuron_updates_per_sample(program)))}


def _scaled(figures: dict, rule: NodeRule) -> dict:
    """`figures` at 14 nm, and by which rule."""
    text = " to ".join(f"{flavour} at {volts:g} V" for flavour, volts in (rule.source, rule.target))
    return {"rule": text, "factor": _rounded(rule.factor),
            **{name: None if value is None else _rounded(value * rule.factor)
               for name, value in figures.items()}}


def energy_rows(block: dict) -> list[tuple[str, float | None]]:
    """Name and value of what is told of a sample besides its breakdown."""
    scaled = block["scaled"] or {}
    rows = [("energy over E0", block["relative"]), ("nJ per sample", block["nj_per_sample"]),
            ("pJ per synaptic event", block["pj_per_sop"]),
            ("pJ per neuron and timestep", block["pj_per_neuron_update"])]
    rows += [(f"nJ per sample at 14 nm, {each['rule']}", each["nj_per_sample"])
             for each in {each["rule"]: each for each in scaled.values()}.values()]
    return rows
