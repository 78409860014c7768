"""Top of a Tiny Tapeout project: the shuttle's pins, reset, and SPI around the device."""

from __future__ import annotations

from amaranth.hdl import Cat, ClockDomain, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from lamina.models.config import HardwareConfig
from lamina.rtl.device import Device
from lamina.rtl.link.spi import Spi

__all__ = ["PINOUT", "TinyTapeout"]

_CS_N, _COPI, _CIPO, _SCK = range(4)
PINOUT = {
    "uio[0]": "cs_n", "uio[1]": "copi", "uio[2]": "cipo", "uio[3]": "sck",
    "uo[0]": "ready", "uo[1]": "idle", "uo[2]": "tick_ready", "uo[3]": "refused",
}
"""What the pins are; the others stay unconnected, as outputs 0."""


class TinyTapeout(wiring.Component):
    """One :class:`lamina.rtl.device.Device` behind :class:`lamina.rtl.link.spi.Spi`.

    The four wires of SPI lie on the lower bidirectional pins, as on a PMOD. ``rst_n`` passes two
    flip-flops and resets all that has a reset, which no value at power-on replaces: it must be low
    for 4 cycles or more.

    Parameters
    ----------
    config : HardwareConfig

    Members
    -------
    clk, rst_n : In(1)
    ena : In(1)
        The project is selected; nothing depends on it.
    ui_in : In(8)
        Not used.
    uo_out : Out(8)
        ``ready``, ``idle``, ``tick_ready``, ``refused`` in bits 0..3.
    uio_in, uio_out, uio_oe : In(8), Out(8), Out(8)
        ``cs_n``, ``copi``, ``cipo``, ``sck`` in bits 0..3; ``cipo`` is driven while selected.

    Raises
    ------
    TypeError
        If `config` is not a :class:`HardwareConfig`.
    """

    def __init__(self, config: HardwareConfig):
        if not isinstance(config, HardwareConfig):
            raise TypeError(f"config must be a HardwareConfig, not {config!r}")
        self._config = config
        super().__init__({
            "clk": In(1), "rst_n": In(1), "ena": In(1), "ui_in": In(8), "uo_out": Out(8),
            "uio_in": In(8), "uio_out": Out(8), "uio_oe": Out(8)})

    def elaborate(self, platform):
        m = Module()
        m.domains.start = start = ClockDomain("start", reset_less=True, local=True)
        m.domains.sync = sync = ClockDomain("sync", local=True)
        running = Signal()
        m.submodules.reset = FFSynchronizer(self.rst_n, running, o_domain="start")
        m.d.comb += [start.clk.eq(self.clk), sync.clk.eq(self.clk), sync.rst.eq(~running)]
        m.submodules.device = device = Device(self._config)
        m.submodules.spi = spi = Spi()
        wiring.connect(m, spi.rx, device.rx)
        wiring.connect(m, device.tx, spi.tx)
        m.d.comb += [
            spi.cs_n.eq(self.uio_in[_CS_N]), spi.copi.eq(self.uio_in[_COPI]),
            spi.sck.eq(self.uio_in[_SCK]),
            self.uio_out.eq(spi.cipo << _CIPO), self.uio_oe.eq(~self.uio_in[_CS_N] << _CIPO),
            self.uo_out.eq(Cat(spi.ready, device.idle, device.tick_ready, device.refused)),
        ]
        return m
