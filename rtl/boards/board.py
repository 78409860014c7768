"""Top of an FPGA: clock, power-on reset, serial port and LEDs around the device."""

from __future__ import annotations

import math

from amaranth.hdl import ClockDomain, ClockSignal, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from lamina.rtl.boards.config import BoardConfig
from lamina.rtl.device import Device
from lamina.rtl.link.uart import Uart

__all__ = ["RESET_SECONDS", "Board", "PowerOnReset"]

RESET_SECONDS = 20e-6
"""Reset after configuration [s]: iCE40 block RAM reads wrong for the first 15 microseconds."""


class PowerOnReset(wiring.Component):
    """Holds `reset` for `cycles` clocks, rounded up to a power of two, after `locked` rises.

    Relies on the initial values that an FPGA's configuration loads; runs in the domain
    ``start``, which has no reset.

    Parameters
    ----------
    cycles : int
        At least 2 [cycle].

    Members
    -------
    locked : In(1)
        The clock is stable; asynchronous; low starts over.
    reset : Out(1)
        Active high, from a flip-flop.
    """

    def __init__(self, cycles: int):
        self._bits = (cycles - 1).bit_length()
        super().__init__({"locked": In(1), "reset": Out(1)})

    def elaborate(self, platform):
        m = Module()
        stable = Signal()
        m.submodules.synchroniser = FFSynchronizer(self.locked, stable, o_domain="start")
        count = Signal(self._bits + 1)
        with m.If(~stable):
            m.d.start += count.eq(0)
        with m.Elif(~count[-1]):
            m.d.start += count.eq(count + 1)
        m.d.comb += self.reset.eq(~count[-1])
        return m


class Board(wiring.Component):
    """One :class:`Device` behind a serial port, 8N1 at ``config.baud``.

    Parameters
    ----------
    config : BoardConfig

    Members
    -------
    crystal : In(1)
        Clock pin.
    rx : In(1)
        Serial data into the FPGA, asynchronous, idle high.
    tx : Out(1)
        Serial data out of the FPGA.
    led_idle : Out(1)
        Lit while the core has nothing to do.
    led_error : Out(1)
        Lit while the core refuses events: a tier that lost its contents is switched on.

    Raises
    ------
    TypeError
        If `config` is not a :class:`BoardConfig`.
    """

    def __init__(self, config: BoardConfig):
        if not isinstance(config, BoardConfig):
            raise TypeError(f"config must be a BoardConfig, not {config!r}")
        self._config = config
        super().__init__({"crystal": In(1), "rx": In(1, init=1), "tx": Out(1, init=1),
                          "led_idle": Out(1), "led_error": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.device = device = Device(self._config.hardware)
        m.submodules.uart = uart = Uart(self._config.divisor)
        self._add_clock(m)
        wiring.connect(m, uart.rx, device.rx)
        wiring.connect(m, device.tx, uart.tx)
        dark = int(self._config.leds_active_low)
        m.d.comb += [
            uart.rx_line.eq(self.rx),
            self.tx.eq(uart.tx_line),
            self.led_idle.eq(device.idle ^ dark),
            self.led_error.eq(device.refused ^ dark),
        ]
        return m

    def _add_clock(self, m: Module):
        m.domains.start = start = ClockDomain("start", reset_less=True, local=True)
        m.domains.sync = sync = ClockDomain("sync", local=True)
        cycles = math.ceil(self._config.core_hz * RESET_SECONDS)
        m.submodules.power_on_reset = reset = PowerOnReset(cycles)
        pll = self._config.pll
        if pll is None:
            m.d.comb += [start.clk.eq(self.crystal), reset.locked.eq(1)]
        else:
            m.submodules.pll = pll.instance(self.crystal, start.clk, reset.locked)
        m.d.comb += [sync.clk.eq(ClockSignal("start")), sync.rst.eq(reset.reset)]
