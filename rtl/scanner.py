"""Scanner: the set bits of a bitmap, ascending, as a spike list that every group streams."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from lamina.models.config import KAPPA_BITS, HardwareConfig
from lamina.rtl.set_bits import SetBits
from lamina.rtl.window import WindowWalker, aim_layout

__all__ = ["Scanner"]


class Scanner(wiring.Component):
    """Turn bitmap words into a list of axon numbers, one spike per cycle, one cycle per empty word.

    Two lists, ``slot`` 0 and 1: one is written while the other may be read. The count of the list
    being written can be followed. Latency: the first entry is counted 5 cycles after
    ``start``, 6 in a wide core.
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
    silent : In(1)
        No word has a spike: none is looked at, but under a window.
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
        That entry, one cycle later. With two ports ``read_index`` counts pairs of entries, and
        ``axon_second`` is the second one of the pair.
    append : In(1)
        The scan goes on with the list of the slot, behind the axons of the scan before; with the
        feature ``sources`` only.
    kappa : In(signed(16))
        What a spike adds to ``follow`` of its list, in 1/16; with the feature ``follow`` only.
    follow0, follow1 : Out(signed(state_bits))
        Sum over the entries of each list, binary places cut off; changes like its count.
    window, aim : In
        The scan takes the words under a window, which must not change while it runs; ``words``
        are then those of its taps. With the feature ``windows`` only.
    """

    def __init__(self, config: HardwareConfig):
        if not isinstance(config, HardwareConfig):
            raise TypeError(f"config must be a HardwareConfig, not {config!r}")
        self._config = config
        self._axon_bits = (config.axons - 1).bit_length()
        self._lane_bits = (config.lanes - 1).bit_length()
        self._index_bits = self._axon_bits - (config.ports - 1)
        word_bits = self._axon_bits - self._lane_bits
        super().__init__({
            "start": In(1),
            "slot": In(1),
            "words": In(word_bits + 1),
            "silent": In(1),
            "ready_words": In(word_bits + 1),
            "address": Out((max(config.mask_rows, config.axons // config.lanes) - 1).bit_length()
                           if config.has("windows") else word_bits),
            "fetch": Out(1),
            "word": In(config.lanes),
            "busy": Out(1),
            "found_stb": Out(1),
            "count0": Out(self._axon_bits + 1),
            "count1": Out(self._axon_bits + 1),
            "read_slot": In(1),
            "read_index": In(self._index_bits),
            "axon": Out(self._axon_bits),
            **({"axon_second": Out(self._axon_bits)} if config.ports > 1 else {}),
            **({"kappa": In(signed(16)), "follow0": Out(signed(config.state_bits)),
                "follow1": Out(signed(config.state_bits))} if config.has("follow") else {}),
            **({"append": In(1)} if config.has("sources") else {}),
            **({"window": In(1), "aim": In(aim_layout(config))} if config.has("windows") else {}),
        })

    def elaborate(self, platform):
        m = Module()
        running = Signal()
        slot = Signal()
        total = Signal.like(self.words)
        wanted = Signal.like(self.words)
        m.d.comb += self.address.eq(wanted)

        # Words pass `word` (in flight), `queued`, `bits`: the last one gives up a spike per cycle.
        word = Signal(self._config.lanes)
        m.d.comb += word.eq(self.word)
        in_flight = Signal()
        flight_index = Signal(self._axon_bits - self._lane_bits)
        queued_valid = Signal()
        queued = Signal(self._config.lanes)
        queued_index = Signal.like(flight_index)

        bits = SetBits(m, self._config, "bits", {"index": flight_index})
        advance, taken = Signal(), Signal()
        m.d.comb += [advance.eq(~bits.valid | ~bits.several), taken.eq(bits.free(advance))]
        with m.If(~advance):
            bits.take(m)
        bits.feed(m, advance, queued_valid | in_flight, Mux(queued_valid, queued, word),
                  {"index": Mux(queued_valid, queued_index, flight_index)})
        with m.If(taken):
            m.d.sync += queued_valid.eq(queued_valid & in_flight)
        with m.Else():
            m.d.sync += queued_valid.eq(queued_valid | in_flight)
        with m.If(in_flight):
            m.d.sync += [queued.eq(word), queued_index.eq(flight_index)]
        room = Signal()
        ready = Signal()
        m.d.comb += [
            room.eq(Mux(taken, ~(queued_valid & in_flight), ~(queued_valid | in_flight))),
            ready.eq((wanted != total) & (wanted < self.ready_words)),
            self.fetch.eq(running & ready & room),
        ]
        number, finished = wanted, wanted == total
        if self._config.has("sources"):
            offset = self._offset(m)
            number = wanted + offset
        if self._config.has("windows"):
            walker = self._walk(m, ready, word)
            number = Mux(self.window, walker.tap + offset, number)
            finished = Mux(self.window, walker.done, finished)
        m.d.sync += [in_flight.eq(self.fetch), flight_index.eq(number)]
        with m.If(self.fetch):
            m.d.sync += wanted.eq(wanted + 1)
        with m.If(self.start):
            m.d.sync += [running.eq(1), slot.eq(self.slot), wanted.eq(0),
                         total.eq(Mux(self.silent, 0, self.words))]
        with m.Elif(finished & ~in_flight & ~queued_valid & ~bits.waiting & advance):
            m.d.sync += running.eq(0)
        storing = self._store(m, bits.valid & bits.any, slot, bits.index, bits.tag["index"])
        m.d.comb += [self.busy.eq(running | storing), self.found_stb.eq(storing)]
        return m

    def _follow(self, m, storing, slot):
        """Add kappa with every entry of a list."""
        state_bits = self._config.state_bits
        for side, follow in enumerate((self.follow0, self.follow1)):
            total = Signal(signed(state_bits + KAPPA_BITS), name=f"follow_total{side}")
            fresh = ~self.append if self._config.has("sources") else Const(1)
            with m.If(self.start & (self.slot == side) & fresh):
                m.d.sync += total.eq(0)
            with m.Elif(storing & (slot == side)):
                m.d.sync += total.eq(total + self.kappa)
            m.d.comb += follow.eq(total >> KAPPA_BITS)

    def _offset(self, m):
        """Words of the list that earlier scans for it took."""
        offset, following = Signal.like(self.words), Signal.like(self.words)
        with m.If(self.start):
            before = Mux(self.append, following, 0)
            m.d.sync += [offset.eq(before), following.eq(before + self.words)]
        return offset

    def _walk(self, m, ready, word):
        """Take words under a window instead, and of each the position that is looked at."""
        config, view = self._config, self.aim.view
        m.submodules.walker = walker = WindowWalker(config)
        shift = Signal.like(walker.shift)
        mask = Signal(config.lanes, init=(1 << config.lanes) - 1)
        m.d.comb += [
            walker.start.eq(self.start & self.window), walker.take.eq(self.fetch),
            *[getattr(walker, name).eq(self.aim[name])
              for name in ("view", "y", "x", "row", "unit")],
            mask.eq((1 << config.lanes) - 1),
        ]
        m.d.sync += shift.eq(walker.shift)
        with m.If(view.pack.any()), m.Switch(view.slot):
            for slot in range(self._lane_bits):
                with m.Case(slot):
                    m.d.comb += mask.eq((1 << (1 << slot)) - 1)
        with m.If(self.window):
            m.d.comb += [ready.eq(walker.valid), self.address.eq(walker.address),
                         word.eq((self.word >> (shift << view.slot)) & mask)]
        return walker

    def _store(self, m, emit, slot, lane, index):
        """Register the lowest set bit as an axon number, append it; returns the append strobe."""
        storing = Signal()
        stored_axon = Signal(self._axon_bits)
        m.d.sync += [storing.eq(emit), stored_axon.eq(Cat(lane, index))]
        counts = (self.count0, self.count1)
        count = Mux(slot, counts[1], counts[0])
        ports, index_bits = self._config.ports, self._index_bits
        for port, axon in enumerate([self.axon] if ports == 1 else [self.axon, self.axon_second]):
            lists = Memory(shape=self._axon_bits, depth=2 << index_bits, init=[],
                           attrs={"no_rw_check": 1, "ram_style": "block"})
            m.submodules["lists_second" if port else "lists"] = lists
            write, read = lists.write_port(), lists.read_port()
            m.d.comb += [
                write.addr.eq(count[ports - 1:self._axon_bits] | (slot << index_bits)),
                write.data.eq(stored_axon),
                write.en.eq(storing if ports == 1 else storing & (count[0] == port)),
                read.addr.eq(self.read_index | (self.read_slot << index_bits)),
                axon.eq(read.data),
            ]
        if self._config.has("follow"):
            self._follow(m, storing, slot)
        for side in (0, 1):
            fresh = ~self.append if self._config.has("sources") else Const(1)
            with m.If(self.start & (self.slot == side) & fresh):
                m.d.sync += counts[side].eq(0)
            with m.Elif(storing & (slot == side)):
                m.d.sync += counts[side].eq(counts[side] + 1)
        return storing
