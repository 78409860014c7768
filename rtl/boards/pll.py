"""Clock multipliers of the FPGA families: their divider settings and the instance."""

from __future__ import annotations

import dataclasses
import itertools

from amaranth.hdl import Instance, Signal

__all__ = ["Ecp5Pll", "Ice40Pll"]

_MHZ = 1_000_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ice40Pll:
    """Settings of ``SB_PLL40_PAD``: ``out = in / (divr + 1) * (divf + 1) / 2**divq``.

    Phase detector 10..133 MHz, oscillator 533..1066 MHz, simple feedback.
    Source: Lattice, iCE40 sysCLOCK PLL Design and Usage Guide.

    Parameters
    ----------
    input_hz : int
        At the pad [Hz].
    divr, divf, divq : int
        0..15, 0..127, 1..6.
    """

    input_hz: int
    divr: int
    divf: int
    divq: int

    @classmethod
    def nearest(cls, input_hz: int, output_hz: int) -> Ice40Pll:
        """Settings whose output is closest to `output_hz`, the fewest dividers first.

        Raises
        ------
        ValueError
            If no setting is within 1 %.
        """
        settings = (cls(input_hz=input_hz, divr=divr, divf=divf, divq=divq)
                    for divr, divq, divf in itertools.product(range(16), range(1, 7), range(128)))
        return _nearest(settings, input_hz, output_hz)

    @property
    def detector_hz(self) -> float:
        """Frequency at the phase detector [Hz]."""
        return self.input_hz / (self.divr + 1)

    @property
    def locks(self) -> bool:
        """Whether the phase detector and the oscillator are in their ranges."""
        return (10 * _MHZ <= self.detector_hz <= 133 * _MHZ
                and 533 * _MHZ <= self.detector_hz * (self.divf + 1) <= 1066 * _MHZ)

    @property
    def output_hz(self) -> float:
        """Frequency of the clock that comes out [Hz]."""
        return self.detector_hz * (self.divf + 1) / (1 << self.divq)

    @property
    def filter_range(self) -> int:
        """Loop filter code, 1..6, by the frequency at the phase detector."""
        limits = (17, 26, 44, 66, 101)
        return 1 + sum(self.detector_hz >= limit * _MHZ for limit in limits)

    def instance(self, pad: Signal, clock: Signal, locked: Signal) -> Instance:
        """The multiplier between the crystal's `pad` and the global `clock`."""
        return Instance("SB_PLL40_PAD",
                        p_FEEDBACK_PATH="SIMPLE", p_DIVR=self.divr, p_DIVF=self.divf,
                        p_DIVQ=self.divq, p_FILTER_RANGE=self.filter_range,
                        i_PACKAGEPIN=pad, i_RESETB=1, i_BYPASS=0,
                        o_PLLOUTGLOBAL=clock, o_LOCK=locked)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ecp5Pll:
    """Settings of ``EHXPLLL``: ``out = in / reference * feedback``, fed back from its output.

    Phase detector 3.125..400 MHz, oscillator ``out * divider`` 400..800 MHz.
    Source: Lattice, ECP5 sysCLOCK PLL/DLL Design and Usage Guide.

    Parameters
    ----------
    input_hz : int
        At the reference input [Hz].
    reference, feedback, divider : int
        1..128 each.
    """

    input_hz: int
    reference: int
    feedback: int
    divider: int

    @classmethod
    def nearest(cls, input_hz: int, output_hz: int) -> Ecp5Pll:
        """Settings whose output is closest to `output_hz`, the smallest dividers first.

        Raises
        ------
        ValueError
            If no setting is within 1 %.
        """
        divider = max(1, round(600 * _MHZ / output_hz))
        settings = (cls(input_hz=input_hz, reference=reference, feedback=feedback, divider=divider)
                    for reference, feedback in itertools.product(range(1, 17), range(1, 81)))
        return _nearest(settings, input_hz, output_hz)

    @property
    def locks(self) -> bool:
        """Whether the phase detector and the oscillator are in their ranges."""
        return (3.125 * _MHZ <= self.input_hz / self.reference <= 400 * _MHZ
                and self.divider <= 128
                and 400 * _MHZ <= self.output_hz * self.divider <= 800 * _MHZ)

    @property
    def output_hz(self) -> float:
        """Frequency of the clock that comes out [Hz]."""
        return self.input_hz / self.reference * self.feedback

    def instance(self, pad: Signal, clock: Signal, locked: Signal) -> Instance:
        """The multiplier between the crystal's `pad` and the `clock`."""
        return Instance("EHXPLLL",
                        a_ICP_CURRENT="12", a_LPF_RESISTOR="8",
                        p_PLLRST_ENA="DISABLED", p_STDBY_ENABLE="DISABLED",
                        p_OUTDIVIDER_MUXA="DIVA", p_FEEDBK_PATH="CLKOP",
                        p_CLKOP_ENABLE="ENABLED", p_CLKOP_DIV=self.divider,
                        p_CLKOP_CPHASE=self.divider - 1, p_CLKOP_FPHASE=0,
                        p_CLKI_DIV=self.reference, p_CLKFB_DIV=self.feedback,
                        i_CLKI=pad, i_CLKFB=clock, i_RST=0, i_STDBY=0, i_ENCLKOP=0,
                        o_CLKOP=clock, o_LOCK=locked)


def _nearest(settings, input_hz: int, output_hz: int):
    locking = [setting for setting in settings if setting.locks]
    best = min(locking, key=lambda setting: abs(setting.output_hz - output_hz), default=None)
    if best is None or abs(best.output_hz - output_hz) > output_hz / 100:
        raise ValueError(f"clock must be reachable within 1 % from {input_hz} Hz, "
                         f"not {output_hz} Hz")
    return best
