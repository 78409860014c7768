"""The device: a core behind the host link, bytes in and bytes out."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from lamina.models.config import HardwareConfig
from lamina.rtl.core import Core
from lamina.rtl.link.host import HostLink

__all__ = ["Device"]


class Device(wiring.Component):
    """One :class:`Core` and its :class:`HostLink`; what every board and simulation runs.

    Golden: :class:`lamina.models.link.device.GoldenDevice`.

    Parameters
    ----------
    config : HardwareConfig

    Members
    -------
    rx : In(stream of 8 bit)
        Requests of the host, framed.
    tx : Out(stream of 8 bit)
        Replies, framed.
    idle : Out(1)
        The core has nothing to do.
    tick_ready : Out(1)
        A timestep that arrives now would be taken at once.
    refused : Out(1)
        The core takes no events: a tier that lost its contents is switched on.

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
            "rx": In(stream.Signature(8)),
            "tx": Out(stream.Signature(8)),
            "idle": Out(1),
            "tick_ready": Out(1),
            "refused": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = core = Core(self._config)
        m.submodules.link = link = HostLink(self._config)
        connect(m, flipped(self.rx), link.rx)
        connect(m, link.tx, flipped(self.tx))
        connect(m, link.events, core.events)
        connect(m, core.output, link.output)
        connect(m, link.request, core.request)
        connect(m, core.response, link.response)
        m.d.comb += [
            link.idle.eq(core.idle),
            link.tick_ready.eq(core.tick_ready),
            link.refused.eq(core.refused),
            self.idle.eq(core.idle),
            self.tick_ready.eq(core.tick_ready),
            self.refused.eq(core.refused),
        ]
        return m
