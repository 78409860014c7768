"""Energy of stacked weight memory under voltage, per operation, and from one process to another."""

from __future__ import annotations

import dataclasses

__all__ = ["FLAVOURS", "NODE_RULES", "STACKED_45NM", "MemoryLaw", "NodeRule", "node_energy",
           "pj_per_neuron_update", "pj_per_sop", "range_from_130nm", "scaling_factor"]

FLAVOURS = {
    "130": (7.171, -6.709, 2.904), "90": (4.762, -4.781, 2.092), "65": (3.755, -4.398, 1.975),
    "HP45": (1.018, -0.3107, 0.1539), "LP45": (1.103, -0.362, 0.2767),
    "LP32": (0.9559, -0.7823, 0.471), "HP14": (0.2363, -0.09675, 0.02239),
    "LP14": (0.1556, -0.06472, 0.03066),
}
"""Node [nm] and flavour to a2, a1, a0 of :func:`node_energy` (Stillmaker 2017)."""

_LOWEST, _HIGHEST = 0.5, 1.3


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemoryLaw:
    """How the energy of one prediction follows the supplies of the memory tiers.

    ``E = nominal * (fixed + scaled * mean((V / nominal_volts)**2))`` over tiers of equal width; a
    tier that is off counts as 0 V.

    Parameters
    ----------
    name : str
        Process, network and number of timesteps that it was calibrated on.
    nominal_volts : float
        [V]
    nominal_microjoules : float
        One prediction with all tiers at `nominal_volts` [uJ].
    fixed, scaled : float
        Shares of what does not follow the supplies and what does; they add up to 1.
    """

    name: str
    nominal_volts: float
    nominal_microjoules: float
    fixed: float
    scaled: float

    def relative(self, volts: tuple[float, ...]) -> float:
        """E over its nominal value, by the supply of each tier [V], 0 where it is off.

        Raises
        ------
        ValueError
            If there is no tier, or a supply is outside 0..`nominal_volts`.
        """
        if not volts:
            raise ValueError("volts must hold at least one tier, not 0")
        for supply in volts:
            if not 0 <= supply <= self.nominal_volts:
                raise ValueError(f"volts must be in 0..{self.nominal_volts}, not {supply}")
        squares = [(supply / self.nominal_volts) ** 2 for supply in volts]
        return self.fixed + self.scaled * sum(squares) / len(squares)

    def microjoules(self, volts: tuple[float, ...]) -> float:
        """Energy of one prediction [uJ]; see :meth:`relative`."""
        return self.nominal_microjoules * self.relative(volts)


STACKED_45NM = MemoryLaw(
    name="45 nm, 784-48-10, T = 350", nominal_volts=1.1, nominal_microjoules=244.28e-6 * 48 * 351,
    fixed=0.083, scaled=0.917)
"""Fitted to the 24 printed energies of Nguyen 2023b, 2+2+2+2 bit: within .15 % of the nominal
4.12 uJ, which are 244.28 pJ for each of 48 neurons in 351 timesteps."""


def pj_per_sop(microjoules: float, sops: float) -> float:
    """Energy of a sample [uJ] per synaptic event [pJ]: one weight added because of one spike.

    What ODIN, Loihi and SENECA call an operation.

    Raises
    ------
    ValueError
        If `sops` of that sample is not positive.
    """
    return _per("sops", microjoules, sops)


def pj_per_neuron_update(microjoules: float, updates: float) -> float:
    """Energy of a sample [uJ] per neuron and timestep [pJ].

    What the papers on stacked memory call a synaptic operation.

    Raises
    ------
    ValueError
        If `updates` of that sample is not positive.
    """
    return _per("updates", microjoules, updates)


def _per(name: str, microjoules: float, count: float) -> float:
    if not count > 0:
        raise ValueError(f"{name} must be positive, not {count}")
    return 1e6 * microjoules / count


def node_energy(flavour: str, volts: float) -> float:
    """Energy of a gate in a process at a supply, ``a2 V**2 + a1 V + a0``, in one unit for all.

    Parameters
    ----------
    flavour : str
        One of :data:`FLAVOURS`.
    volts : float
        .5 .. 1.3 [V]; the 1.8 V of older 130 nm cells are no part of the fit.

    Raises
    ------
    ValueError
        If the flavour is unknown or the voltage outside.
    """
    if flavour not in FLAVOURS:
        raise ValueError(f"flavour must be one of {', '.join(FLAVOURS)}, not {flavour!r}")
    if not _LOWEST <= volts <= _HIGHEST:
        raise ValueError(f"voltage of {flavour} must be in {_LOWEST}..{_HIGHEST} V, not {volts}")
    square, slope, offset = FLAVOURS[flavour]
    return square * volts**2 + slope * volts + offset


def scaling_factor(source: tuple[str, float], target: tuple[str, float]) -> float:
    """By what an energy is multiplied on its way from `source` to `target`.

    Parameters
    ----------
    source, target : (str, float)
        Flavour and supply [V].
    """
    return node_energy(*target) / node_energy(*source)


def range_from_130nm(volts: float, target: tuple[str, float]) -> tuple[float, float]:
    """Between what an energy at 130 nm is multiplied on its way to `target`; lower bound first.

    The fit of 130 nm ends at 1.3 V. Two ways lead beyond: the fit at 1.3 V grown by the square of
    the supply, and ``C V**2`` with capacitances in proportion to the node.

    Parameters
    ----------
    volts : float
        Supply at 130 nm, 1.3 .. 2 [V].
    target : (str, float)
        Flavour, its node in its name, and supply [V].

    Raises
    ------
    ValueError
        If the supply is outside, or the target is as in :func:`node_energy`.
    """
    if not _HIGHEST <= volts <= 2:
        raise ValueError(f"volts must be in {_HIGHEST}..2 V, not {volts}")
    flavour, supply = target
    fitted = node_energy(flavour, supply) / (node_energy("130", _HIGHEST) * (volts / _HIGHEST)**2)
    square = int(flavour.lstrip("HLP")) / 130 * (supply / volts)**2
    return min(fitted, square), max(fitted, square)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NodeRule:
    """A published way to compare energies at 14 nm.

    Parameters
    ----------
    name : str
        The chips that it was applied to.
    source, target : (str, float)
        Flavour and supply [V].
    """

    name: str
    source: tuple[str, float]
    target: tuple[str, float]

    @property
    def factor(self) -> float:
        """By what an energy is multiplied."""
        return scaling_factor(self.source, self.target)


NODE_RULES = (
    NodeRule(name="45 nm chips", source=("LP45", 1.1), target=("LP14", 0.75)),
    NodeRule(name="TrueNorth", source=("LP32", 0.775), target=("HP14", 0.75)),
    NodeRule(name="ODIN", source=("LP32", 1.0), target=("HP14", 0.75)),
)
"""What the 14 nm column of Dang 2025 was made with. It mixes flavours: the 45 nm chips end at low
power, the others at high performance, which alone is a factor of 1.19 at .75 V. With LP14 as the
target of all the comparison is consistent."""
