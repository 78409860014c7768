"""Payloads of the fabric's streams, and two streams made one."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from lamina.models.fabric.config import FabricConfig
from lamina.rtl.streams import request_layout

__all__ = ["Merge", "fabric_request_layout", "flit_layout", "host_event_layout",
           "host_output_layout"]


def flit_layout(config: FabricConfig) -> data.StructLayout:
    """Flit with the members of its payload: see :attr:`FabricConfig.flit_fields`."""
    return data.StructLayout({name: unsigned(bits) for name, bits in config.flit_fields.items()})


def host_event_layout(config: FabricConfig) -> data.StructLayout:
    """Event of the host: ``kind`` (:class:`EventKind`) and, of a SPIKE, input line ``neuron``."""
    return data.StructLayout({"kind": unsigned(2), "neuron": unsigned(config.input_bits)})


def host_output_layout(config: FabricConfig) -> data.StructLayout:
    """Event for the host: ``kind``, the ``tile`` that sends it and, of a SPIKE, its ``neuron``."""
    fields = config.payload_fields
    return data.StructLayout({"kind": unsigned(2), "tile": unsigned(fields["channel"]),
                              "neuron": unsigned(fields["number"])})


def fabric_request_layout(config: FabricConfig) -> data.StructLayout:
    """Access to a word of a tile: a core's request, then ``tile``; the last one is the host's."""
    return data.StructLayout({**dict(request_layout().members),
                              "tile": unsigned(config.host_tile.bit_length())})


class Merge(wiring.Component):
    """Two streams to one, through a register: latency 1 cycle, throughput 1 per cycle.

    Parameters
    ----------
    shape : ShapeLike
        Of a payload.
    fair : bool
        Whether the streams take turns; else ``first`` goes before ``second``.

    Members
    -------
    first, second : In(stream of shape)
    o : Out(stream of shape)
    """

    def __init__(self, shape, *, fair: bool):
        self._fair = fair
        payloads = stream.Signature(shape)
        super().__init__({"first": In(payloads), "second": In(payloads), "o": Out(payloads)})

    def elaborate(self, platform):
        m = Module()
        free = Signal()
        favoured = Signal()
        chosen = Signal()
        m.d.comb += [
            free.eq(~self.o.valid | self.o.ready),
            chosen.eq(Mux(favoured, self.second.valid, ~self.first.valid)),
            self.first.ready.eq(free & ~chosen),
            self.second.ready.eq(free & chosen),
        ]
        with m.If(free):
            m.d.sync += [
                self.o.valid.eq(self.first.valid | self.second.valid),
                self.o.payload.eq(Mux(chosen, self.second.payload, self.first.payload)),
            ]
            if self._fair:
                with m.If(self.first.valid | self.second.valid):
                    m.d.sync += favoured.eq(~chosen)
        return m
