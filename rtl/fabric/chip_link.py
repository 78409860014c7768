"""Links between chips: packets over a few wires, and the two ends that make a stream of them."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped

from lamina.models.fabric.config import ChipLinkConfig, MeshConfig, Port
from lamina.rtl.fabric.router import InputBuffer

__all__ = ["ChipLink", "PacketReceiver", "PacketSender", "crc_after", "packet_layout"]

_CRC_INIT = 0xFFFF


def packet_layout(config: ChipLinkConfig) -> data.StructLayout:
    """Packet: ``full`` if it has ``flit`` and ``sequence``; ``expected`` and ``taken`` always."""
    number = unsigned(config.sequence_bits)
    return data.StructLayout({"flit": unsigned(config.flit_bits), "sequence": number,
                              "expected": number, "taken": number, "full": unsigned(1)})


def crc_after(crc: Value, word: Value) -> Value:
    """CRC-16/MCRF4XX register, 16 bit, after another `word`, lowest bit first.

    Linear: what each bit of the register and the word adds is a constant.
    """
    found = crc >> len(word)
    for place in range(len(word)):
        constant = 1 << place
        for _ in range(len(word)):
            constant = constant >> 1 ^ 0x8408 * (constant & 1)
        found ^= Mux(crc[place] ^ word[place], constant, 0)
    return found[:16]


class PacketSender(wiring.Component):
    """Put a packet and its CRC on the wires, a word per cycle.

    Latency 2 cycles to the first word; a cycle of rest is behind each packet. Golden:
    :meth:`lamina.models.fabric.chip_link.Packet.encode`.

    Parameters
    ----------
    config : ChipLinkConfig

    Members
    -------
    packet : In(packet_layout)
    start_stb : In(1)
        Send it; only while not ``busy``.
    busy : Out(1)
    frame, data : Out(1), Out(link_bits)
        Wires, from registers.
    """

    def __init__(self, config: ChipLinkConfig):
        self._config = config
        super().__init__({"packet": In(packet_layout(config)), "start_stb": In(1), "busy": Out(1),
                          "frame": Out(1), "data": Out(config.link_bits)})

    def elaborate(self, platform):
        m = Module()
        config, packet = self._config, self.packet
        bits, flit_bits = config.link_bits, config.flit_words * config.link_bits
        body = Signal(flit_bits + config.status_words * bits)
        left = Signal(range(config.full_words + 1))
        crc = Signal(16)
        status = Cat(packet.expected, packet.taken)
        full = Cat(Cat(packet.flit, packet.sequence, Const(0, flit_bits))[:flit_bits], status)
        checking = left <= config.check_words
        word = Mux(checking, crc[:bits], body[:bits])
        m.d.comb += self.busy.eq(left != 0)
        m.d.sync += [self.frame.eq(self.busy), self.data.eq(Mux(self.busy, word, 0))]
        with m.If(self.busy):
            m.d.sync += [left.eq(left - 1), body.eq(body >> bits),
                         crc.eq(Mux(checking, crc >> bits, crc_after(crc, word)))]
        with m.Elif(self.start_stb):
            m.d.sync += [body.eq(Mux(packet.full, full, status)), crc.eq(_CRC_INIT),
                         left.eq(Mux(packet.full, config.full_words, config.short_words))]
        return m


class PacketReceiver(wiring.Component):
    """Find the intact packets on the wires, whatever else is on them.

    A run of words is judged in the cycle that ends it, and leaves nothing behind. Golden:
    :meth:`lamina.models.fabric.chip_link.Packet.decode`.

    Parameters
    ----------
    config : ChipLinkConfig

    Members
    -------
    frame, data : In(1), In(link_bits)
        Wires.
    packet : Out(packet_layout)
    intact_stb : Out(1)
        ``packet`` has arrived; in this cycle only.
    malformed_stb : Out(1)
        A run ends that has a wrong length or CRC.
    """

    def __init__(self, config: ChipLinkConfig):
        self._config = config
        super().__init__({"frame": In(1), "data": In(config.link_bits),
                          "packet": Out(packet_layout(config)), "intact_stb": Out(1),
                          "malformed_stb": Out(1)})

    def elaborate(self, platform):
        m = Module()
        config, packet = self._config, self.packet
        bits, number_bits = config.link_bits, config.sequence_bits
        words = Signal(config.full_words * bits)
        crc = Signal(16, init=_CRC_INIT)
        count = Signal(range(config.full_words + 2))
        ends, good = Signal(), Signal()
        status = words[config.flit_words * bits:]
        m.d.comb += [
            ends.eq(~self.frame & (count != 0)), packet.full.eq(count == config.full_words),
            good.eq((packet.full | (count == config.short_words)) & (crc == 0)),
            self.intact_stb.eq(ends & good), self.malformed_stb.eq(ends & ~good),
            Cat(packet.flit, packet.sequence).eq(words),
            Cat(packet.expected, packet.taken).eq(status[:2 * number_bits]),
        ]
        with m.If(self.frame):
            m.d.sync += [words.eq(Cat(words, self.data)[bits:]), crc.eq(crc_after(crc, self.data)),
                         count.eq(Mux(count > config.full_words, count, count + 1))]
        with m.Else():
            m.d.sync += [count.eq(0), crc.eq(_CRC_INIT)]
        return m


class ChipLink(wiring.Component):
    """One end of a link between chips: a stream in each direction over noisy wires.

    Every flit arrives once, in order. A flit is kept until the far end has it; without an answer
    for ``retry_cycles`` all that are kept are sent again. Flits under way and in the far buffer are
    ``window`` at most, so every one that arrives has room. An end that has nothing to tell tells
    its answers every ``retry_cycles``. Both ends have one clock and are reset together. On quiet
    wires a flit takes ``full_words + 4`` cycles and those of the wires, one follows another every
    ``full_words + 1``. Golden: :class:`lamina.models.fabric.chip_link.ChipLinkEnd`.

    Parameters
    ----------
    config : MeshConfig
    tile : int
        Of the router on this chip.
    port : Port
        Of that router.

    Members
    -------
    i : In(stream of flit_bits)
        From the router.
    o : Out(stream of flit_bits)
        To the router: what it can send on. Other flits are answered, dropped and counted.
    tx_frame, tx_data, rx_frame, rx_data : Out, In
        Wires: see :class:`PacketSender`.
    malformed, resent : Out(16)
        Runs on the wires that were no packet of the far end, and flits that cannot go on; packets
        that were sent again. They stop at their highest value.
    table_write, table_address, table_port : In
        Routes of this router, see :class:`lamina.rtl.fabric.router.Router`; with
        ``routing="table"``.
    """

    def __init__(self, config: MeshConfig, tile: int, port: Port):
        self._mesh, self._config = config, config.chip_link
        self._tile, self._port = tile, port
        flits, bits = stream.Signature(config.flit_bits), config.link_bits
        tables = {} if config.routing == "order" else {
            "table_write": In(1), "table_address": In(config.address_bits),
            "table_port": In((len(config.ports) - 1).bit_length())}
        super().__init__({
            "i": In(flits), "o": Out(flits), "tx_frame": Out(1), "tx_data": Out(bits),
            "rx_frame": In(1), "rx_data": In(bits), "malformed": Out(16), "resent": Out(16),
            **tables})

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.sender = sender = PacketSender(config)
        m.submodules.receiver = receiver = PacketReceiver(config)
        m.d.comb += [self.tx_frame.eq(sender.frame), self.tx_data.eq(sender.data),
                     receiver.frame.eq(self.rx_frame), receiver.data.eq(self.rx_data)]
        due, possible, heard, dropped = (Signal(name=name) for name in (
            "due", "possible", "heard", "dropped"))
        m.d.comb += heard.eq(receiver.intact_stb & possible)
        answers = self._receive(m, receiver.packet, due, heard, dropped, sender)
        self._send(m, receiver.packet, answers, due, possible, heard, sender)
        self._count(m, self.malformed,
                    receiver.malformed_stb | (receiver.intact_stb & ~possible) | dropped)
        return m

    def _number(self, name):
        return Signal(self._config.sequence_bits, name=name)

    def _receive(self, m, packet, due, heard, dropped, sender):
        """Take the flit that is due; returns the two answers and whether they are new."""
        config = self._config
        m.submodules.buffer = buffer = InputBuffer(width=config.flit_bits,
                                                   depth=1 << config.sequence_bits)
        expected, taken = self._number("expected"), self._number("taken")
        news, leaves, takes = Signal(), Signal(), Signal()
        connect(m, buffer.o, flipped(self.o))
        m.d.comb += [
            due.eq(packet.full & (packet.sequence == expected)),
            takes.eq(heard & due), dropped.eq(takes & ~self._goes_on(m, packet.flit)),
            buffer.i.payload.eq(packet.flit), buffer.i.valid.eq(takes & ~dropped),
            leaves.eq(buffer.o.valid & buffer.o.ready),
        ]
        m.d.sync += [expected.eq(expected + takes), taken.eq(taken + leaves + dropped)]
        with m.If((heard & packet.full) | leaves):
            m.d.sync += news.eq(1)
        with m.Elif(sender.start_stb):
            m.d.sync += news.eq(0)
        return expected, taken, news

    def _send(self, m, packet, answers, due, possible, heard, sender):
        """Keep flits, send them in turn, from the oldest one on where an answer stays out.

        ``freed``, ``answered``, ``following``, ``high`` and ``head`` are in this order, ``window``
        apart at most.
        """
        expected, taken, news = answers
        freed, answered, following, high, head = (self._number(name) for name in (
            "freed", "answered", "following", "high", "head"))
        late, quiet, again = Signal(), Signal(), Signal()
        full = (expected + 1)[:len(expected)] == taken
        m.d.comb += [
            possible.eq(self._between(freed, packet.taken, packet.expected)
                        & self._between(freed, answered, packet.expected)
                        & self._between(freed, packet.expected, high) & ~(due & full)),
            sender.packet.full.eq(following != head), sender.packet.sequence.eq(following),
            sender.packet.expected.eq(expected), sender.packet.taken.eq(taken),
            sender.packet.flit.eq(self._keep(m, freed, head, following)),
            sender.start_stb.eq(~sender.busy & ~heard & ~late
                                & (sender.packet.full | news | quiet)),
            again.eq(sender.start_stb & sender.packet.full & (following != high)),
        ]
        with m.If(heard):
            m.d.sync += [freed.eq(packet.taken), answered.eq(packet.expected)]
            with m.If(~self._between(freed, packet.expected, following)):
                m.d.sync += following.eq(packet.expected)
        with m.Elif(late):
            m.d.sync += following.eq(answered)
        with m.Elif(sender.start_stb & sender.packet.full):
            m.d.sync += following.eq(following + 1)
            with m.If(~again):
                m.d.sync += high.eq(high + 1)
        self._count(m, self.resent, again)
        progress = heard & (packet.expected != answered)
        waits = self._timer(m, "unanswered", progress | late | (answered == following))
        m.d.comb += [late.eq(waits & ~heard),
                     quiet.eq(self._timer(m, "silent", sender.start_stb))]

    def _between(self, first, middle, last):
        """Whether ``middle`` is one of the numbers from ``first`` to ``last``."""
        bits = self._config.sequence_bits
        return (middle - first)[:bits] <= (last - first)[:bits]

    def _keep(self, m, freed, head, following):
        """Flits by number; returns the one that is to follow."""
        config = self._config
        m.submodules.kept = kept = Memory(shape=config.flit_bits, depth=1 << config.sequence_bits,
                                          init=[])
        write, read = kept.write_port(), kept.read_port(domain="comb")
        m.d.comb += [self.i.ready.eq((head + 1)[:len(head)] != freed),
                     write.en.eq(self.i.valid & self.i.ready), write.addr.eq(head),
                     write.data.eq(self.i.payload), read.addr.eq(following)]
        m.d.sync += head.eq(head + write.en)
        return read.data

    def _timer(self, m, name, restart):
        """Condition: ``retry_cycles`` have passed without ``restart``."""
        timer = Signal(range(self._config.retry_cycles + 1), name=name)
        done = timer == self._config.retry_cycles
        with m.If(restart):
            m.d.sync += timer.eq(0)
        with m.Elif(~done):
            m.d.sync += timer.eq(timer + 1)
        return done

    @staticmethod
    def _count(m, counter, strobe):
        m.d.sync += counter.eq(counter + (strobe & ~counter.all()))

    def _goes_on(self, m, flit):
        """Whether the router has a way for a flit that arrives at this port."""
        config = self._mesh
        layout = data.StructLayout({f"axis{axis}": bits for axis, bits in enumerate(
            config.coordinate_bits)})
        there, here = layout(flit[:config.address_bits]), config.coordinates(self._tile)
        conditions = []
        for axis, tiles in enumerate(config.size):
            low, high = self._span(axis, here[axis], tiles)
            place = there[f"axis{axis}"]
            conditions.append((place >= low) & (place <= high))
        if config.routing == "table":
            conditions.append(self._has_way(m, flit[:config.address_bits]))
        return Cat(conditions).all()

    def _span(self, axis, place, tiles):
        """Coordinates that a flit can be for, both ends included."""
        if self._mesh.routing == "table" or axis > self._port.axis:
            return 0, tiles - 1
        if axis < self._port.axis:
            return place, place
        return (place, tiles - 1) if self._port.step < 0 else (0, place)

    def _has_way(self, m, address):
        """Whether the route of an address does not lead back over this link."""
        m.submodules.ways = ways = Memory(shape=1, depth=1 << self._mesh.address_bits, init=[])
        write, read = ways.write_port(), ways.read_port(domain="comb")
        m.d.comb += [write.en.eq(self.table_write), write.addr.eq(self.table_address),
                     write.data.eq(self.table_port != self._port), read.addr.eq(address)]
        return read.data
