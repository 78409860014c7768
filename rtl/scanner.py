"""Scanner: the set bits of a bitmap, ascending, as a spike list that every group streams."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from lamina.models.config import HardwareConfig

__all__ = ["Scanner"]


class Scanner(wiring.Component):
    """Turn bitmap words into a list of axon numbers, one spike per cycle, one cycle per empty word.

    Two lists, ``slot`` 0 and 1: one is written while the other may be read. The count of the list
    being written can be followed. Latency: the first entry is counted 5 cycles after ``start``.
    Golden: :func:`lamina.models.spike_buffer.scan`; cost: :func:`lamina.models.cost.scan_times`.

    Parameters
    ----------
    config : HardwareConfig
        ``lanes`` bits per word, ``axons`` entries per list.

    Members
    -------
    start : In(1)
        Begin a scan in this cycle; the inputs below are taken.
    slot : In(1)
    words : In
        Words of the bitmap, 0..axons/lanes.
    ready_words : In
        Words that may be read so far; grows up to ``words`` while a scan waits.
    address : Out
        Word wanted; ``word`` carries it one cycle later.
    fetch : Out(1)
        ``address`` is taken from the bitmap in this cycle.
    word : In(lanes)
    busy : Out(1)
        A scan runs; when it falls the count is final.
    found_stb : Out(1)
        A spike is being appended.
    count0, count1 : Out(log2(axons) + 1)
        Entries in the list of each slot.
    read_slot, read_index : In
        List entry wanted.
    axon : Out(log2(axons))
        That entry, one cycle later.
    """

    def __init__(self, config: HardwareConfig):
        if not isinstance(config, HardwareConfig):
            raise TypeError(f"config must be a HardwareConfig, not {config!r}")
        self._config = config
        self._axon_bits = (config.axons - 1).bit_length()
        self._lane_bits = (config.lanes - 1).bit_length()
        word_bits = self._axon_bits - self._lane_bits
        super().__init__({
            "start": In(1),
            "slot": In(1),
            "words": In(word_bits + 1),
            "ready_words": In(word_bits + 1),
            "address": Out(word_bits),
            "fetch": Out(1),
            "word": In(config.lanes),
            "busy": Out(1),
            "found_stb": Out(1),
            "count0": Out(self._axon_bits + 1),
            "count1": Out(self._axon_bits + 1),
            "read_slot": In(1),
            "read_index": In(self._axon_bits),
            "axon": Out(self._axon_bits),
        })

    def elaborate(self, platform):
        m = Module()
        running = Signal()
        slot = Signal()
        total = Signal.like(self.words)
        wanted = Signal.like(self.words)
        m.d.comb += self.address.eq(wanted)

        # Words pass `word` (in flight), `queued`, `bits`: the last one gives up a spike per cycle.
        in_flight = Signal()
        flight_index = Signal.like(self.address)
        queued_valid = Signal()
        queued = Signal(self._config.lanes)
        queued_index = Signal.like(self.address)
        bits = Signal(self._config.lanes)
        index = Signal.like(self.address)
        active = Signal()

        rest = Signal.like(bits)
        m.d.comb += rest.eq(bits & (bits - 1)[:self._config.lanes])
        advance = Signal()
        m.d.comb += advance.eq(~active | ~rest.any())
        emit = Signal()
        m.d.comb += emit.eq(active & bits.any())
        with m.If(advance):
            source_valid = queued_valid | in_flight
            m.d.sync += [
                bits.eq(Mux(queued_valid, queued, self.word)),
                index.eq(Mux(queued_valid, queued_index, flight_index)),
                active.eq(source_valid),
                queued_valid.eq(queued_valid & in_flight),
            ]
        with m.Else():
            m.d.sync += [bits.eq(rest), queued_valid.eq(queued_valid | in_flight)]
        with m.If(in_flight):
            m.d.sync += [queued.eq(self.word), queued_index.eq(flight_index)]
        room = Signal()
        m.d.comb += [
            room.eq(Mux(advance, ~(queued_valid & in_flight), ~(queued_valid | in_flight))),
            self.fetch.eq(running & (wanted != total) & (wanted < self.ready_words) & room),
        ]
        m.d.sync += [in_flight.eq(self.fetch), flight_index.eq(wanted)]
        with m.If(self.fetch):
            m.d.sync += wanted.eq(wanted + 1)
        with m.If(self.start):
            m.d.sync += [running.eq(1), slot.eq(self.slot), total.eq(self.words), wanted.eq(0)]
        with m.Elif((wanted == total) & ~in_flight & ~queued_valid & advance):
            m.d.sync += running.eq(0)
        storing = self._store(m, emit, slot, bits, index)
        m.d.comb += [self.busy.eq(running | storing), self.found_stb.eq(storing)]
        return m

    def _store(self, m, emit, slot, bits, index):
        """Register the lowest set bit as an axon number, append it; returns the append strobe."""
        storing = Signal()
        lane = Signal(self._lane_bits)
        stored_axon = Signal(self._axon_bits)
        with m.Switch(bits):
            for position in range(self._config.lanes):
                pattern = "-" * (self._config.lanes - position - 1) + "1" + "0" * position
                with m.Case(pattern):
                    m.d.comb += lane.eq(position)
        m.d.sync += [storing.eq(emit), stored_axon.eq(lane | (index << self._lane_bits))]
        m.submodules.lists = lists = Memory(shape=self._axon_bits, depth=2 * self._config.axons,
                                            init=[], attrs={"no_rw_check": 1, "ram_style": "block"})
        write, read = lists.write_port(), lists.read_port()
        counts = (self.count0, self.count1)
        count = Mux(slot, counts[1], counts[0])
        m.d.comb += [
            write.addr.eq(count[:self._axon_bits] | (slot << self._axon_bits)),
            write.data.eq(stored_axon),
            write.en.eq(storing),
            read.addr.eq(self.read_index | (self.read_slot << self._axon_bits)),
            self.axon.eq(read.data),
        ]
        for side in (0, 1):
            with m.If(self.start & (self.slot == side)):
                m.d.sync += counts[side].eq(0)
            with m.Elif(storing & (slot == side)):
                m.d.sync += counts[side].eq(counts[side] + 1)
        return storing
