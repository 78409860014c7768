"""A core with an event camera at its input, and no host in the way of the events."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from lamina.models.config import AerConfig, HardwareConfig
from lamina.rtl.core import Core
from lamina.rtl.link.aer import AerReceiver
from lamina.rtl.streams import output_layout, request_layout

__all__ = ["EventCore"]


class EventCore(wiring.Component):
    """:class:`lamina.rtl.core.Core` behind an :class:`lamina.rtl.link.aer.AerReceiver`.

    The host loads the program over ``request``; events come from the camera alone. Address-events
    number the axons of the core (:func:`lamina.models.placement.place` gives them).

    Parameters
    ----------
    config : HardwareConfig
    aer : AerConfig

    Members
    -------
    req, address, ack, raw, tick_stb, clear_stb, taken_stb, dropped_stb
        Of the bridge.
    output, request, response, idle
        Of the core.
    """

    def __init__(self, config: HardwareConfig, aer: AerConfig):
        self._config, self._aer = config, aer
        super().__init__({
            "req": In(1),
            "address": In(aer.address_bits),
            "ack": Out(1),
            "raw": In(stream.Signature(aer.address_bits)),
            "tick_stb": In(1),
            "clear_stb": In(1),
            "taken_stb": Out(1),
            "dropped_stb": Out(1),
            "output": Out(stream.Signature(output_layout(config))),
            "request": In(stream.Signature(request_layout())),
            "response": Out(stream.Signature(16)),
            "idle": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = core = Core(self._config)
        m.submodules.bridge = bridge = AerReceiver(self._config, self._aer)
        connect(m, flipped(self.raw), bridge.raw)
        connect(m, bridge.events, core.events)
        connect(m, core.output, flipped(self.output))
        connect(m, flipped(self.request), core.request)
        connect(m, core.response, flipped(self.response))
        m.d.comb += [
            bridge.req.eq(self.req), bridge.address.eq(self.address), self.ack.eq(bridge.ack),
            bridge.tick_stb.eq(self.tick_stb), bridge.clear_stb.eq(self.clear_stb),
            self.taken_stb.eq(bridge.taken_stb), self.dropped_stb.eq(bridge.dropped_stb),
            self.idle.eq(core.idle),
        ]
        return m
