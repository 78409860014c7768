"""Input spikes of the running and of the next timestep: two bitmaps that change roles."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from lamina.models.config import EventKind, HardwareConfig
from lamina.rtl.streams import event_layout

__all__ = ["SpikeBuffer"]


class SpikeBuffer(wiring.Component):
    """Collect SPIKEs of any order in the open bitmap while the closed one is scanned and erased.

    A SPIKE sets a bit (read, modify, write with forwarding: one event per cycle, equal axons
    merge).
    A TICK or CLEAR closes the bitmap as soon as no closed one is left, then the roles change.
    Words hold ``lanes`` axons, lowest first. Golden: :func:`lamina.models.spike_buffer.collect`.
    With the feature ``ahead`` a SPIKE that says ``next`` sets its bit in the other bitmap, from the
    second cycle after ``done_stb`` on; it belongs to what is closed after the open bitmap.

    Parameters
    ----------
    config : HardwareConfig
        ``axons`` bits per bitmap.

    Members
    -------
    events : In(stream of event_layout)
        Ready is low for a TICK or CLEAR while ``closed``, and for all while ``hold``.
    input_axons : In(log2(axons) + 1)
        SPIKEs at or above it are dropped.
    hold : In(1)
        Take nothing (no program, or a tier without contents).
    closed, clear : Out(1)
        A closed bitmap waits; it was closed by CLEAR.
    silent : Out(1)
        No spike set a bit of the closed bitmap.
    address : In(log2(axons / lanes))
        Word of the closed bitmap.
    word : Out(lanes)
        That word, one cycle later.
    erase : In(1)
        Zero the word at ``address`` one cycle later, after it was read.
    erase_all : In(1)
        ``erase`` acts on both bitmaps (after reset).
    done_stb : In(1)
        The closed bitmap is all zero and may be opened again.
    open : Out(1)
        A TICK or CLEAR would be taken now.
    dropped_stb : Out(1)
        A SPIKE was dropped.
    fresh_stb : Out(1)
        A bit is set that was not; with the feature ``sources`` only, where several layers read.
    open_id : Out(1)
        Which bitmap is open; with the feature ``partial`` only.
    """

    def __init__(self, config: HardwareConfig):
        if not isinstance(config, HardwareConfig):
            raise TypeError(f"config must be a HardwareConfig, not {config!r}")
        self._config = config
        self._lane_bits = (config.lanes - 1).bit_length()
        self._words = config.axons // config.lanes
        axon_bits = (config.axons - 1).bit_length()
        super().__init__({
            "events": In(stream.Signature(event_layout(config))),
            "input_axons": In(axon_bits + 1),
            "hold": In(1),
            "closed": Out(1),
            "clear": Out(1),
            "silent": Out(1),
            "address": In(axon_bits - self._lane_bits),
            "word": Out(config.lanes),
            "erase": In(1),
            "erase_all": In(1),
            "done_stb": In(1),
            "open": Out(1),
            "dropped_stb": Out(1),
            **({"fresh_stb": Out(1)} if config.has("sources") else {}),
            **({"open_id": Out(1)} if config.has("partial") else {}),
        })

    def elaborate(self, platform):
        m = Module()
        event = self.events.payload
        spike = Signal()
        close = Signal()
        m.d.comb += [
            self.open.eq(~self.closed & ~self.hold),
            spike.eq(self.events.valid & ~self.hold & (event.kind == EventKind.SPIKE)),
            close.eq(self.events.valid & self.open & (event.kind != EventKind.SPIKE)),
            self.events.ready.eq(~self.hold & ((event.kind == EventKind.SPIKE) | ~self.closed)),
        ]
        known = Signal()
        m.d.comb += [known.eq(event.axon < self.input_axons), self.dropped_stb.eq(spike & ~known)]

        open_id = self.open_id if self._config.has("partial") else Signal()
        side = open_id
        if self._config.has("ahead"):
            side = Signal()
            m.d.comb += side.eq(open_id ^ event.next)
        with m.If(close):
            m.d.sync += [self.closed.eq(1), self.clear.eq(event.kind == EventKind.CLEAR),
                         open_id.eq(~open_id)]
        with m.Elif(self.done_stb):
            m.d.sync += self.closed.eq(0)
        filled = Signal(2)
        m.d.comb += self.silent.eq(~filled.bit_select(~open_id, 1))
        with m.If(self.done_stb):
            m.d.sync += filled.bit_select(~open_id, 1).eq(0)
        with m.If(spike & known):
            m.d.sync += filled.bit_select(side, 1).eq(1)

        setting = Signal()
        set_id = Signal()
        set_axon = Signal.like(event.axon)
        m.d.sync += [setting.eq(spike & known), set_id.eq(side), set_axon.eq(event.axon)]
        erasing = Signal(2)
        erase_address = Signal.like(self.address)
        both = self.erase_all.replicate(2)
        m.d.sync += [
            erasing.eq(self.erase.replicate(2) & (both | Cat(open_id, ~open_id))),
            erase_address.eq(self.address),
        ]

        set_address = set_axon[self._lane_bits:]
        before = Signal(self._config.lanes)
        after = Signal(self._config.lanes)
        last = Signal(self._config.lanes)
        last_address = Signal.like(self.address)
        last_valid = Signal()
        m.d.comb += after.eq(before | (1 << set_axon[:self._lane_bits]))
        if self._config.has("sources"):
            m.d.comb += self.fresh_stb.eq(setting & (after != before))
        m.d.sync += [last.eq(after), last_address.eq(set_address),
                     last_valid.eq(setting & (side == set_id))]
        ports = [self._bitmap(m, number, open_id) for number in (0, 1)]
        words = [read.data for read, _ in ports]
        m.d.comb += [
            self.word.eq(Mux(open_id, words[0], words[1])),
            before.eq(Mux(last_valid & (last_address == set_address), last,
                          Mux(set_id, words[1], words[0]))),
        ]
        for number, (_, write) in enumerate(ports):
            mine = setting & (set_id == number)
            m.d.comb += [
                write.addr.eq(Mux(mine, set_address, erase_address)),
                write.data.eq(Mux(mine, after, 0)),
                write.en.eq(mine | erasing[number]),
            ]
        return m

    def _bitmap(self, m, number, open_id):
        """Memory of one bitmap, open while ``open_id == number``; returns its two ports."""
        m.submodules[f"bitmap{number}"] = memory = Memory(
            shape=self._config.lanes, depth=self._words, init=[], attrs={"no_rw_check": 1})
        read, write = memory.read_port(), memory.write_port()
        event, filling = self.events.payload, open_id == number
        if self._config.has("ahead"):
            filling = filling | (~self.closed & event.next)
        m.d.comb += read.addr.eq(Mux(filling, event.axon[self._lane_bits:], self.address))
        return read, write
