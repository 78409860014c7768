"""A tile: a core between its inbox and its outbox."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from lamina.models.fabric.config import FabricConfig, TileSpace
from lamina.rtl.core import Core
from lamina.rtl.fabric.flits import Merge, flit_layout
from lamina.rtl.fabric.inbox import Inbox
from lamina.rtl.fabric.outbox import Outbox
from lamina.rtl.streams import request_layout

__all__ = ["Tile", "tile_members"]


def tile_members(config: FabricConfig) -> dict:
    """Of the signature of a :class:`Tile`."""
    flits = stream.Signature(flit_layout(config))
    return {"here": In(config.mesh.address_bits), "arriving": In(flits), "leaving": Out(flits),
            "request": In(stream.Signature(request_layout())),
            "response": Out(stream.Signature(16)), "idle": Out(1)}


class Tile(wiring.Component):
    """Flits in, flits out; what the tile sends to itself stays inside.

    CREDITs go before the flits of events; both wait in one register for the router. Flits that
    arrive and those of the tile itself take turns. Golden:
    :func:`lamina.models.fabric.run.run_fabric`.

    Parameters
    ----------
    config : FabricConfig

    Members
    -------
    here : In(address bits)
        Address of the tile; constant.
    arriving : In(stream of flit_layout)
    leaving : Out(stream of flit_layout)
        Never to the tile itself, but for the host.
    request : In(stream of request_layout)
        Spaces of the core, and :class:`TileSpace`, write only. For a tile at rest, but for
        registers.
    response : Out(stream of 16 bit)
    idle : Out(1)
        Of the core.
    """

    def __init__(self, config: FabricConfig):
        self._config = config
        super().__init__(tile_members(config))

    def elaborate(self, platform):
        m = Module()
        config = self._config
        layout = flit_layout(config)
        m.submodules.core = core = Core(config.core)
        m.submodules.inbox = inbox = Inbox(config)
        m.submodules.outbox = outbox = Outbox(config)
        m.submodules.ingress = ingress = Merge(layout, fair=True)
        m.submodules.egress = egress = Merge(layout, fair=False)
        connect(m, flipped(self.arriving), ingress.first)
        connect(m, ingress.o, inbox.i)
        connect(m, inbox.events, core.events)
        connect(m, core.output, outbox.events)
        connect(m, inbox.credits, egress.first)
        connect(m, outbox.flits, egress.second)
        own = Signal()
        flit = egress.o.payload
        m.d.comb += [
            inbox.able.eq(core.tick_ready), inbox.freed_stb.eq(core.freed_stb),
            outbox.credit_stb.eq(inbox.credit_stb), outbox.credit_target.eq(inbox.credit_target),
            own.eq((flit.address == self.here) & ~flit.host),
            ingress.second.payload.eq(flit), ingress.second.valid.eq(egress.o.valid & own),
            self.leaving.payload.eq(flit), self.leaving.valid.eq(egress.o.valid & ~own),
            egress.o.ready.eq((ingress.second.ready & own) | (self.leaving.ready & ~own)),
            self.idle.eq(core.idle),
        ]
        if config.value_bits:
            flit = inbox.i.payload
            m.d.comb += [inbox.ended_stb.eq(core.ended_stb),
                         core.partial_stb.eq(inbox.value_stb),
                         core.partial_neuron.eq(flit.number), core.partial_value.eq(flit.value),
                         core.partial_next.eq(inbox.events.payload.next)]
        self._serve(m, core, inbox, outbox)
        return m

    def _serve(self, m, core, inbox, outbox):
        """Tables are written in a cycle; all else is the core's."""
        request = self.request.payload
        connect(m, core.response, flipped(self.response))
        tables = {TileSpace.CHANNELS: inbox.write, TileSpace.RANGES: outbox.range_write,
                  TileSpace.CREDITS: outbox.credit_write}
        m.d.comb += [core.request.payload.eq(request), core.request.valid.eq(self.request.valid),
                     self.request.ready.eq(core.request.ready)]
        for space, write in tables.items():
            with m.If(request.write & (request.space == space)):
                m.d.comb += [write.eq(self.request.valid), core.request.valid.eq(0),
                             self.request.ready.eq(1)]
        for block in (inbox, outbox):
            m.d.comb += [block.address.eq(request.address), block.data.eq(request.data)]
