"""What a board top is generated with: the core's dimensions, its clock and its serial port."""

from __future__ import annotations

import dataclasses
import functools

from lamina.models.check import check_int, check_one_of
from lamina.models.config import HardwareConfig
from lamina.rtl.boards.pll import Ecp5Pll, Ice40Pll

__all__ = ["FAMILIES", "BoardConfig"]

FAMILIES = ("ice40", "ecp5")
_PLLS = {"ice40": Ice40Pll, "ecp5": Ecp5Pll}


@dataclasses.dataclass(frozen=True, kw_only=True)
class BoardConfig:
    """Clock and pins of a board around one core.

    Parameters
    ----------
    hardware : HardwareConfig
    family : str
        ``ice40`` or ``ecp5``.
    crystal_hz : int
        Clock at the pin, 1 MHz..400 MHz [Hz]; on an iCE40 with a multiplier it is a PLL pad.
    clock_hz : int
        Clock of the core; equal to `crystal_hz`: without a multiplier [Hz].
    baud : int
        Of the serial port; at least 8 clocks per bit, met within 1 % [bit/s].
    leds_active_low : bool
        Whether a 0 lights the LEDs.

    Raises
    ------
    ValueError
        If a number is out of range or cannot be met by the clock.
    """

    hardware: HardwareConfig
    family: str
    crystal_hz: int
    clock_hz: int
    baud: int
    leds_active_low: bool = False

    def __post_init__(self):
        if not isinstance(self.hardware, HardwareConfig):
            raise TypeError(f"hardware must be a HardwareConfig, not {self.hardware!r}")
        check_one_of("family", self.family, FAMILIES)
        check_int("crystal", self.crystal_hz, 1_000_000, 400_000_000)
        check_int("clock", self.clock_hz, 1_000_000, 400_000_000)
        check_int("baud", self.baud, 1200, 12_000_000)
        exact = self.core_hz / self.baud
        if self.divisor < 8 or abs(self.divisor - exact) > exact / 100:
            raise ValueError(f"baud must be the clock divided by an integer >= 8 within 1 %, "
                             f"not {self.baud} at {self.core_hz:.0f} Hz")

    @functools.cached_property
    def pll(self) -> Ice40Pll | Ecp5Pll | None:
        """Settings of the clock multiplier, None without one."""
        if self.clock_hz == self.crystal_hz:
            return None
        return _PLLS[self.family].nearest(self.crystal_hz, self.clock_hz)

    @property
    def core_hz(self) -> float:
        """Clock that the core really gets [Hz]."""
        return self.crystal_hz if self.pll is None else self.pll.output_hz

    @property
    def divisor(self) -> int:
        """Clocks per bit of the serial port."""
        return round(self.core_hz / self.baud)
