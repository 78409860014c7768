"""The host's node: events of the host become flits, flits for the host become its events."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from lamina.models.fabric.config import FabricConfig, FlitKind
from lamina.rtl.fabric.flits import (
    Merge,
    flit_layout,
    host_event_layout,
    host_output_layout,
)
from lamina.rtl.fabric.outbox import Outbox

__all__ = ["HostNode"]


class HostNode(wiring.Component):
    """Stands between tile 0 and its router; flits with ``host`` set end here.

    Parameters
    ----------
    config : FabricConfig

    Members
    -------
    events : In(stream of host_event_layout)
        SPIKEs of a timestep in any order, then TICK; CLEAR behind the last TICK of a sample.
    output : Out(stream of host_output_layout)
        Events of every tile in their order; must be taken whether or not ``events`` is ready.
    from_tile, from_router : In(stream of flit_layout)
    to_tile, to_router : Out(stream of flit_layout)
    range_write, credit_write, address, data : In
        See :class:`Outbox`.
    """

    def __init__(self, config: FabricConfig):
        self._config = config
        flits = stream.Signature(flit_layout(config))
        super().__init__({
            "events": In(stream.Signature(host_event_layout(config))),
            "output": Out(stream.Signature(host_output_layout(config))),
            "from_tile": In(flits), "from_router": In(flits),
            "to_tile": Out(flits), "to_router": Out(flits),
            "range_write": In(1), "credit_write": In(1), "address": In(20), "data": In(16),
        })

    def elaborate(self, platform):
        m = Module()
        layout = flit_layout(self._config)
        m.submodules.outbox = outbox = Outbox(self._config, host=True)
        m.submodules.inward = inward = Merge(layout, fair=True)
        m.submodules.tileward = tileward = Merge(layout, fair=True)
        m.submodules.meshward = meshward = Merge(layout, fair=True)
        connect(m, flipped(self.events), outbox.events)
        connect(m, tileward.o, flipped(self.to_tile))
        connect(m, meshward.o, flipped(self.to_router))
        near = outbox.flits.payload.address == self._config.mesh.address(0)
        self._part(m, self.from_router, self.from_router.payload.host, inward.first,
                   tileward.first)
        self._part(m, self.from_tile, self.from_tile.payload.host, inward.second, meshward.first)
        self._part(m, outbox.flits, near, tileward.second, meshward.second)
        self._receive(m, inward.o, outbox)
        m.d.comb += [getattr(outbox, name).eq(getattr(self, name))
                     for name in ("range_write", "credit_write", "address", "data")]
        return m

    @staticmethod
    def _part(m, source, condition, taken, other):
        """Lead a stream to ``taken`` where the condition holds, else to ``other``."""
        m.d.comb += [
            taken.payload.eq(source.payload), other.payload.eq(source.payload),
            taken.valid.eq(source.valid & condition), other.valid.eq(source.valid & ~condition),
            source.ready.eq((taken.ready & condition) | (other.ready & ~condition)),
        ]

    def _receive(self, m, flits, outbox):
        flit, event = flits.payload, self.output.payload
        credit = Signal()
        m.d.comb += [
            credit.eq(flit.kind == FlitKind.CREDIT),
            outbox.credit_stb.eq(flits.valid & credit), outbox.credit_target.eq(flit.channel),
            self.output.valid.eq(flits.valid & ~credit), flits.ready.eq(credit | self.output.ready),
            event.kind.eq(flit.kind), event.tile.eq(flit.channel), event.neuron.eq(flit.number),
        ]
