"""Outbox of a tile or of the host: events become flits, by ranges, as far as credits allow."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from lamina.models.config import EventKind
from lamina.models.fabric.config import FabricConfig, RangeField
from lamina.rtl.fabric.flits import flit_layout, host_event_layout
from lamina.rtl.streams import output_layout

__all__ = ["Outbox"]


class Outbox(wiring.Component):
    """Go through the table of ranges for each event, an entry per cycle, a flit for each that fits.

    Before the first event of a slot every target must have a credit; one cycle takes one of each.
    Flits are offered only then, so a slot that waits holds nothing up. An event takes as many
    cycles as the table has entries. Golden: :class:`lamina.models.fabric.outbox.Outbox`.

    Parameters
    ----------
    config : FabricConfig
    host : bool
        Of the host's node: a target per tile, events are input lines.

    Members
    -------
    events : In(stream of output_layout, of the host: host_event_layout)
    flits : Out(stream of flit_layout)
    credit_stb, credit_target : In(1), In(channel bits)
        A target has done with a slot.
    range_write, credit_write : In(1)
        Set a word of a range, or the credits of a target, at rest.
    address, data : In(20), In(16)
        ``range * 8 +`` :class:`RangeField`, or the target.
    """

    def __init__(self, config: FabricConfig, *, host: bool = False):
        self._config = config
        self._targets = config.mesh.tiles if host else config.targets
        self._depth = config.host_ranges if host else config.ranges
        events = host_event_layout(config) if host else output_layout(config.core)
        self._carries = bool(config.value_bits) and not host
        self._neuron_bits = events["neuron"].width
        super().__init__({
            "events": In(stream.Signature(events)),
            "flits": Out(stream.Signature(flit_layout(config))),
            "credit_stb": In(1), "credit_target": In(config.payload_fields["channel"]),
            "range_write": In(1), "credit_write": In(1), "address": In(20), "data": In(16),
        })

    def elaborate(self, platform):
        m = Module()
        place, following = Signal(range(self._depth)), Signal(range(self._depth))
        entry = {field: self._column(m, field, width, following)
                 for field, width in self._widths().items()}
        flags = data.View(data.StructLayout({"closes": 1, "host": 1, "ends": 1}),
                          entry[RangeField.FLAGS])
        event, flit = self.events.payload, self.flits.payload
        begun, hit, step = (Signal(name=name) for name in ("begun", "hit", "step"))
        spike = event.kind == EventKind.SPIKE
        fits = (entry[RangeField.FIRST] <= event.neuron) & (event.neuron <= entry[RangeField.LAST])
        number = (event.neuron - entry[RangeField.FIRST] + entry[RangeField.BASE])
        m.d.comb += [
            hit.eq(Mux(spike, fits, flags.closes)),
            self.flits.valid.eq(self.events.valid & begun & hit),
            step.eq(self.events.valid & begun & (~hit | self.flits.ready)),
            self.events.ready.eq(step & flags.ends),
            following.eq(Mux(step, Mux(flags.ends, 0, place + 1), place)),
            flit.kind.eq(event.kind),
            flit.address.eq(entry[RangeField.TARGET]),
            flit.channel.eq(entry[RangeField.CHANNEL]),
            flit.number.eq(Mux(spike, number, 0)),
            flit.host.eq(flags.host),
            *([flit.value.eq(event.value)] if self._carries else []),
        ]
        m.d.sync += place.eq(following)
        begins = self._credits(m, begun)
        with m.If(begins):
            m.d.sync += begun.eq(1)
        with m.Elif(self.events.ready & ~spike):
            m.d.sync += begun.eq(0)
        return m

    def _widths(self):
        """Of the fields of an entry [bit]."""
        fields = self._config.flit_fields
        return {RangeField.FIRST: self._neuron_bits, RangeField.LAST: self._neuron_bits,
                RangeField.TARGET: fields["address"], RangeField.CHANNEL: fields["channel"],
                RangeField.BASE: fields["number"], RangeField.FLAGS: 3}

    def _column(self, m, field, width, place):
        """Words of one field of every entry; ``place`` is asked for a cycle before."""
        m.submodules[field.name.lower()] = memory = Memory(
            shape=unsigned(width), depth=self._depth, init=[], attrs={"no_rw_check": 1})
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [write.en.eq(self.range_write & (self.address[:3] == field)),
                     write.addr.eq(self.address[3:]), write.data.eq(self.data),
                     read.addr.eq(place)]
        return read.data

    def _credits(self, m, begun):
        """Credits of every target; a slot begins when none that is used has run out."""
        levels = [Signal(2, name=f"credits{index}") for index in range(self._targets)]
        used = Signal(self._targets)
        begins = Signal()
        m.d.comb += begins.eq(self.events.valid & ~begun
                              & (Cat(level.any() for level in levels) | ~used).all())
        for index, level in enumerate(levels):
            with m.If(self.credit_write & (self.address == index)):
                m.d.sync += [level.eq(self.data), used[index].eq(self.data != 0)]
            with m.Else():
                earned = self.credit_stb & (self.credit_target == index)
                m.d.sync += level.eq(level + earned - (begins & used[index]))
        return begins
