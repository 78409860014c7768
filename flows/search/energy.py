"""Energy of an inference relative to the exact network at nominal voltages."""

from __future__ import annotations

import dataclasses

import numpy as np

from lamina.models.adders.spec import AdderSpec
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


CALIBRATIONS = {
    "45nm": Calibration(
        name="45nm", nominal_volts=1.1, memory=0.917, adder=0.083 * 0.28, rest=0.083 * 0.72,
        source="law of Nguyen 2023b; of the rest .28 belongs to the adder, the largest saving that "
               "Kobayashi 2024 reports for a neuron by its adder"),
    "sky130": Calibration(
        name="sky130", nominal_volts=1.1, memory=7.1 / 12.7, adder=0.13 / 12.7, rest=5.47 / 12.7,
        source="16 lanes on OpenRAM macros at 50 MHz, tt 1.8 V, high bound per access: memory 7.1, "
               "leakage 1.0, lanes and control 2.2, clock 2.4 pJ per operation; an 18-bit ripple "
               "adder .13 pJ; the supplies of the memory taken in proportion to 1.1 V"),
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
