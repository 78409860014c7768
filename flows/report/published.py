"""Published accuracies and energies of undervolted memory and approximate adders, with sources."""

from __future__ import annotations

import dataclasses

from lamina.models.energy import NODE_RULES, NodeRule, scaling_factor

__all__ = ["CHIPS_45NM", "OPERATIONS", "TECHNIQUES", "UNDERVOLTED", "Operation", "Technique",
           "Undervolted"]

_SHARED_TARGET = ("LP14", 0.75)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Undervolted:
    """Accuracy and energy of a network while tiers of its weight memory are undervolted.

    Parameters
    ----------
    source, network : str
        Author and year; layers, data and timesteps.
    tiers : tuple of int
        Bits of each memory tier.
    accuracy : float
        At nominal voltage [%].
    microjoules : float
        Of a prediction at nominal voltage [uJ].
    accuracies, energies : dict of float to tuple of float
        Of UV1, UV2, ... by voltage [V]: mean over 1,000 chips [%], and [uJ].
    gated : dict of int to float
        Accuracy with that many of the lowest tiers gated [%].
    """

    source: str
    network: str
    tiers: tuple[int, ...]
    accuracy: float
    microjoules: float
    accuracies: dict[float, tuple[float, ...]]
    energies: dict[float, tuple[float, ...]]
    gated: dict[int, float]


UNDERVOLTED = Undervolted(
    source="Nguyen 2023b", network="784-48-10, MNIST, T = 350", tiers=(2, 2, 2, 2), accuracy=95.35,
    microjoules=4.12,
    accuracies={0.85: (95.35, 95.35, 95.35, 95.35), 0.825: (94.86, 94.91, 94.69, 91.97),
                0.80: (95.05, 94.84, 92.38, 39.2), 0.775: (94.79, 94.06, 72.45, 14.35),
                0.75: (94.89, 92.85, 49.74, 12.14), 0.70: (94.65, 88.71, 37.1, 10.78)},
    energies={0.85: (3.74, 3.36, 2.98, 2.59), 0.825: (3.70, 3.29, 2.88, 2.46),
              0.80: (3.67, 3.23, 2.78, 2.34), 0.775: (3.64, 3.17, 2.69, 2.21),
              0.75: (3.61, 3.11, 2.60, 2.09), 0.70: (3.56, 2.99, 2.43, 1.87)},
    gated={0: 95.32, 1: 94.98, 2: 83.28})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Technique:
    """A row of a published comparison.

    Parameters
    ----------
    source, network, modes, adders : str
        Author and year; layers; modes of the memory tiers as ``--tier-modes`` takes them; adders.
    accuracy : float
        On MNIST [%].
    energy, nominal : float or None
        Of the row, and of the exact row at nominal voltage, both in `unit`; None: not published.
    unit : str
    """

    source: str
    network: str
    modes: str
    adders: str
    accuracy: float
    energy: float | None
    nominal: float
    unit: str

    @property
    def relative(self) -> float | None:
        """Energy over that of the exact row: a quotient of two published figures."""
        return None if self.energy is None else self.energy / self.nominal


_ALL_NOMINAL = "nominal,nominal,nominal,nominal"
_DANG = ((_ALL_NOMINAL, "exact", 97.74, 8.797), ("UV3@0.8", "X_1 (unpublished)", 97.11, 5.163),
         ("UV-PG3@0.8", "X_1 (unpublished)", 94.57, 3.057),
         ("UV-PG1@0.7", "Y_3 (unpublished)", 90.30, 5.900),
         ("UV-PG3@0.8", "Y_3 (unpublished)", 86.38, 3.898))
_KOBAYASHI = (("exact", 94.8, 4.039), ("5KB", 94.5, 3.604), ("5QT", 94.3, 3.976),
              ("5L8", 94.1, 3.036), ("5QC", 94.0, 3.942), ("5RL", 93.5, 3.328),
              ("5RP", 93.3, 3.192), ("5SV", 83.0, 3.668), ("5YE", 41.4, 2.919))


def _of_nguyen() -> tuple[Technique, ...]:
    """Every tier count at .8 V, and gating, whose energies are not published."""
    paper = UNDERVOLTED
    rows = [(_ALL_NOMINAL, paper.accuracy, paper.microjoules)]
    rows += [(f"UV{count}@0.8", accuracy, energy) for count, (accuracy, energy) in enumerate(
        zip(paper.accuracies[0.8], paper.energies[0.8], strict=True), start=1)]
    rows += [(",".join(["nominal"] * (4 - count) + ["gated"] * count), paper.gated[count], None)
             for count in (1, 2)]
    return tuple(Technique(source=paper.source, network="784-48-10", modes=modes, adders="exact",
                           accuracy=accuracy, energy=energy, nominal=paper.microjoules,
                           unit="uJ per prediction") for modes, accuracy, energy in rows)


TECHNIQUES = (
    *(Technique(source="Dang 2025", network="784-256-256-10", modes=modes, adders=adders,
                accuracy=accuracy, energy=energy, nominal=_DANG[0][-1],
                unit="pJ per neuron update") for modes, adders, accuracy, energy in _DANG),
    *_of_nguyen(),
    *(Technique(source="Kobayashi 2024", network="MNIST", modes=_ALL_NOMINAL,
                adders=f"add12se_{name}" if name != "exact" else name, accuracy=accuracy,
                energy=energy, nominal=_KOBAYASHI[0][-1], unit="nJ per neuron")
      for name, accuracy, energy in _KOBAYASHI),
)
"""Dang 2025, cases 1 to 5; Nguyen 2023b at .8 V and gated; Kobayashi 2024, adders of neurons."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Operation:
    """Energy of what a paper calls an operation, and the same at 14 nm.

    Parameters
    ----------
    system, source : str
    unit : str
        ``event``, ``neuron update``, or that the source does not say.
    picojoules, at_14nm : float
        As Dang 2025 lists them [pJ].
    rule : NodeRule or None
        What takes one to the other; None: the chip is a 14 nm one.
    """

    system: str
    source: str
    unit: str
    picojoules: float
    at_14nm: float
    rule: NodeRule | None

    @property
    def consistent(self) -> float:
        """At 14 nm with the low-power process as the target of all [pJ]."""
        if self.rule is None:
            return self.picojoules
        return self.picojoules * scaling_factor(self.rule.source, _SHARED_TARGET)


CHIPS_45NM, _TRUENORTH, _ODIN = NODE_RULES
OPERATIONS = tuple(
    Operation(system=system, source="Dang 2025", unit=unit, picojoules=native, at_14nm=scaled,
              rule=rule) for system, unit, native, scaled, rule in (
        ("TrueNorth, 28 nm", "event", 26.0, 4.902, _TRUENORTH),
        ("Loihi, 14 nm", "event", 23.6, 23.6, None),
        ("ODIN, 28 nm", "event", 8.4, 1.078, _ODIN),
        ("NASH, 45 nm", "not said", 11.3, 0.648, CHIPS_45NM),
        ("Nguyen 2023b, nominal, 45 nm", "neuron update", 244.28, 14.02, CHIPS_45NM),
        ("Kobayashi 2024, exact, 45 nm", "neuron update", 20.33, 1.167, CHIPS_45NM),
        ("Dang 2025, case 1, 45 nm", "neuron update", 8.797, 0.504, CHIPS_45NM)))
