"""Inbox of a tile: flits of many channels become the events of its core, slot by slot."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from lamina.models.config import EventKind
from lamina.models.fabric.config import ChannelField, FabricConfig, FlitKind
from lamina.rtl.fabric.flits import flit_layout
from lamina.rtl.streams import event_layout

__all__ = ["Inbox"]


class Inbox(wiring.Component):
    """Take a flit per cycle, count what each channel has closed, close the slot with the last one.

    A SPIKE goes on to the core at once, as one of the next timestep where its channel has closed
    the open slot already. A slot closes, in a cycle that takes no flit, once every used channel has
    closed it and the core has no closed bitmap. Delayed channels alone close nothing, so that
    channels may be written in any order. What the core frees is answered by one CREDIT to each
    channel's source. SPIKEs of a channel of values go past the bitmaps, in the cycle in which they
    are taken. Golden: :class:`lamina.models.fabric.inbox.Inbox`.

    Parameters
    ----------
    config : FabricConfig

    Members
    -------
    i : In(stream of flit_layout)
        Ready but in the cycles that close a slot, and while the core holds SPIKEs.
    events : Out(stream of event_layout)
        A TICK or CLEAR may go before a SPIKE that was not taken.
    able : In(1)
        The core would take a TICK now.
    freed_stb : In(1)
        The core has done with the bitmap of a slot.
    ended_stb : In(1)
        The core has done with the values of a slot; with the feature ``partial`` only.
    credits : Out(stream of flit_layout)
    value_stb : Out(1)
        A SPIKE is a partial sum: ``i`` holds its neuron and value, and of ``events`` only ``next``
        is of it. With the feature ``partial`` only.
    credit_stb, credit_target : Out(1), Out(channel bits)
        A CREDIT arrived, for that target of the tile's own.
    write : In(1)
        Set a word of a channel, for a tile at rest; FLAGS begin it anew.
    address, data : In(20), In(16)
        ``channel * 4 +`` :class:`ChannelField`.
    """

    def __init__(self, config: FabricConfig):
        self._config = config
        flits = stream.Signature(flit_layout(config))
        super().__init__({
            "i": In(flits), "events": Out(stream.Signature(event_layout(config.core))),
            "able": In(1), "freed_stb": In(1), "credits": Out(flits),
            "credit_stb": Out(1), "credit_target": Out(config.payload_fields["channel"]),
            "write": In(1), "address": In(20), "data": In(16),
            **({"value_stb": Out(1), "ended_stb": In(1)} if config.value_bits else {}),
        })

    def elaborate(self, platform):
        m = Module()
        count = self._config.channels
        flit, event = self.i.payload, self.events.payload
        used, delayed, hosted, summed = (Signal(count, name=name) for name in (
            "used", "delayed", "hosted", "summed"))
        ahead = [Signal(2, name=f"ahead{index}") for index in range(count)]
        spike, closing = Signal(), Signal()
        mine = Signal(count)
        m.d.comb += [
            mine.eq(1 << flit.channel),
            spike.eq(self._spike(m, (mine & summed).any())),
            closing.eq(self.able & (used & ~delayed).any()
                       & (Cat(level.any() for level in ahead) | ~used).all()),
            self.i.ready.eq(~closing & (~spike | self.events.ready)),
            self.events.valid.eq(closing | (self.i.valid & spike)),
            event.axon.eq(flit.number),
            event.next.eq((mine & Cat(level.any() for level in ahead)).any()),
            self.credit_stb.eq(self.i.valid & self.i.ready & (flit.kind == FlitKind.CREDIT)),
            self.credit_target.eq(flit.channel),
        ]
        closes = Signal()
        m.d.comb += closes.eq(self.i.valid & self.i.ready & (
            (flit.kind == FlitKind.TICK) | (flit.kind == FlitKind.CLEAR)))
        self._count(m, ahead, mine, closes, closing)
        clears = self._mark(m, closes & (flit.kind == FlitKind.CLEAR) & ~(mine & delayed).any(),
                            event.next, closing)
        m.d.comb += event.kind.eq(Mux(closing, Mux(clears[0], EventKind.CLEAR, EventKind.TICK),
                                      EventKind.SPIKE))
        self._set_up(m, ahead, used, delayed, hosted, summed)
        self._answer(m, used, hosted, self._done(summed))
        return m

    def _spike(self, m, of_values):
        """Whether the flit is a SPIKE for the bitmaps, not one of a channel of values."""
        spike = self.i.payload.kind == FlitKind.SPIKE
        if not self._config.value_bits:
            return spike
        m.d.comb += self.value_stb.eq(self.i.valid & self.i.ready & spike & of_values)
        return spike & ~of_values

    def _done(self, summed):
        """By channel, whether the core has done with what it brought for a slot."""
        if not self._config.value_bits:
            return self.freed_stb.replicate(len(summed))
        return Cat(Mux(values, self.ended_stb, self.freed_stb) for values in summed)

    @staticmethod
    def _count(m, ahead, mine, closes, closing):
        for index, level in enumerate(ahead):
            with m.If(closing):
                m.d.sync += level.eq(level - 1)
            with m.Elif(closes & mine[index]):
                m.d.sync += level.eq(level + 1)

    @staticmethod
    def _mark(m, clear, later, closing):
        """Whether the open slot, and the one behind it, end with CLEAR."""
        clears = Signal(2)
        with m.If(closing):
            m.d.sync += clears.eq(clears[1])
        with m.Elif(clear):
            m.d.sync += clears.eq(clears | Mux(later, 2, 1))
        return clears

    def _set_up(self, m, ahead, used, delayed, hosted, summed):
        field, channel = self.address[:2], self.address[2:]
        for index, level in enumerate(ahead):
            with m.If(self.write & (field == ChannelField.FLAGS) & (channel == index)):
                m.d.sync += [used[index].eq(self.data[0]), delayed[index].eq(self.data[1]),
                             hosted[index].eq(self.data[2]), level.eq(self.data[1])]
                if self._config.value_bits:
                    m.d.sync += summed[index].eq(self.data[3])

    def _answer(self, m, used, hosted, done):
        """Owe every source a CREDIT for each slot that was freed; pay one per cycle."""
        count = self._config.channels
        owed = [Signal(2, name=f"owed{index}") for index in range(count)]
        owing, chosen = Signal(count), Signal(count)
        number = Signal(range(count))
        free = Signal()
        flit = self.credits.payload
        source, target = (self._column(m, field, number) for field in (
            ChannelField.SOURCE, ChannelField.CREDIT))
        m.d.comb += [owing.eq(Cat(level.any() for level in owed)),
                     chosen.eq(Mux(free, owing & ~(owing - 1)[:count], 0)),
                     free.eq(~self.credits.valid | self.credits.ready)]
        for index, level in enumerate(owed):
            with m.If(chosen[index]):
                m.d.comb += number.eq(index)
            m.d.sync += level.eq(level + (done[index] & used[index]) - chosen[index])
        with m.If(free):
            m.d.sync += [self.credits.valid.eq(owing.any()), flit.address.eq(source),
                         flit.kind.eq(FlitKind.CREDIT), flit.channel.eq(target),
                         flit.host.eq((chosen & hosted).any())]

    def _column(self, m, field, number):
        """Words of one field of every channel, read at once."""
        fields = self._config.flit_fields
        width = fields["address" if field is ChannelField.SOURCE else "channel"]
        m.submodules[field.name.lower()] = memory = Memory(
            shape=width, depth=max(2, self._config.channels), init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        m.d.comb += [write.en.eq(self.write & (self.address[:2] == field)),
                     write.addr.eq(self.address[2:]), write.data.eq(self.data),
                     read.addr.eq(number)]
        return read.data
