"""A device on a Wishbone bus: core, host link and their registers."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from lamina.models.config import HardwareConfig
from lamina.rtl.device import Device
from lamina.rtl.link.wishbone import WishbonePort

__all__ = ["WishboneDevice"]


class WishboneDevice(wiring.Component):
    """One :class:`Device` behind a :class:`WishbonePort`; what a chip's user area holds.

    Golden: :class:`lamina.models.link.wishbone.GoldenWishbone`.

    Parameters
    ----------
    config : HardwareConfig

    Members
    -------
    cyc, stb, we, address, write_data, read_data, ack, waiting
        Bus and interrupt, see :class:`WishbonePort`.
    idle, tick_ready, refused : Out(1)
        See :class:`Device`.

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
            "cyc": In(1),
            "stb": In(1),
            "we": In(1),
            "address": In(2),
            "write_data": In(32),
            "read_data": Out(32),
            "ack": Out(1),
            "waiting": Out(1),
            "idle": Out(1),
            "tick_ready": Out(1),
            "refused": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.device = device = Device(self._config)
        m.submodules.port = port = WishbonePort(self._config.fingerprint)
        connect(m, port.rx, device.rx)
        connect(m, device.tx, port.tx)
        m.d.comb += [getattr(port, name).eq(getattr(self, name))
                     for name in ("cyc", "stb", "we", "address", "write_data")]
        m.d.comb += [getattr(self, name).eq(getattr(port, name))
                     for name in ("read_data", "ack", "waiting")]
        for name in ("idle", "tick_ready", "refused"):
            m.d.comb += [getattr(port, name).eq(getattr(device, name)),
                         getattr(self, name).eq(getattr(device, name))]
        return m
