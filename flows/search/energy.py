"""Energy of an inference relative to the exact network at nominal voltages."""

from __future__ import annotations

import dataclasses

import numpy as np

from lamina.flows.adders.shipped import BITS, shipped_energies
from lamina.flows.sky130.table import measurements, operation_energy
from lamina.models.adders.spec import EXACT, AdderSpec
from lamina.models.program import Program
from lamina.models.voltage import supplies

__all__ = ["CALIBRATIONS", "Calibration", "relative_energy"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration:
    """Where the energy of an exact synaptic operation on nominal 8-bit memory goes.

    Parameters
    ----------
    name : str
    nominal_volts : float
        Of the memory [V].
    memory, adder, rest : float
        Shares that follow the bits read and the square of their supplies, that follow the adder,
        and that stay; they add up to 1.
    source : str
        Where the shares come from.
    """

    name: str
    nominal_volts: float
    memory: float
    adder: float
    rest: float
    source: str


_MEASURED = "16x8"
"""Core of :func:`lamina.flows.sky130.table.measurements` that the shares are of."""


def _sky130() -> Calibration:
    """Shares as measured: the adder is that of the catalogue at the width of the accumulators."""
    core = measurements()[_MEASURED]
    energy = operation_energy(core.lanes, core.tiers)
    adder = shipped_energies()[EXACT.name] / 1000 * core.acc_bits / BITS
    memory, added = sum(energy.memory) / energy.total, adder / energy.total
    return Calibration(
        name="sky130", nominal_volts=1.1, memory=memory, adder=added, rest=1 - memory - added,
        source=f"measured after synthesis, 16 lanes of 8 bit, tt 1.8 V, 50 MHz, macros at their "
               f"high bound: {energy.total:.1f} pJ per operation, of which the weight memory "
               f"{sum(energy.memory):.2f} and the adder {adder:.2f} pJ; the supplies of the memory "
               f"taken in proportion to 1.1 V")


CALIBRATIONS = {
    "45nm": Calibration(
        name="45nm", nominal_volts=1.1, memory=0.917, adder=0.083 * 0.28, rest=0.083 * 0.72,
        source="law of Nguyen 2023b; of the rest .28 belongs to the adder, the largest saving that "
               "Kobayashi 2024 reports for a neuron by its adder"),
    "sky130": _sky130(),
}
_FULL_BITS = 8


def relative_energy(program: Program, sops: np.ndarray, nominal_sops: float,
                    tiers: tuple[int, ...], calibration: Calibration,
                    adder_energy: dict[str, float]) -> float:
    """Energy per inference over that of the exact 8-bit network at nominal voltages.

    Parameters
    ----------
    program : Program
        With adders and voltages.
    sops : float array (layers,)
        Synaptic operations of a mean sample.
    nominal_sops : float
        Of the exact network, all layers.
    tiers : tuple of int
        Bits of each memory tier.
    calibration : Calibration
    adder_energy : dict of str to float
        Energy of an addition over that of the exact adder, by name; 1 where it is not known.
    """
    total = 0.0
    for layer, count in zip(program.layers, sops, strict=True):
        volts = supplies(program, layer, len(tiers))
        memory = sum(bits / _FULL_BITS * (supply / calibration.nominal_volts) ** 2
                     for bits, supply in zip(tiers, volts, strict=True))
        adder = adder_energy.get(AdderSpec.parse(layer.adder).name, 1.0)
        total += count * (calibration.memory * memory + calibration.adder * adder
                          + calibration.rest)
    return float(total / nominal_sops)
