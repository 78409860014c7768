"""Host link: executes the requests of the byte protocol on the core."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped

from lamina.models.config import (
    PROTOCOL_VERSION,
    EventKind,
    HardwareConfig,
    LinkStatus,
    Opcode,
    Space,
)
from lamina.rtl.link.framing import (
    COUNT_ADDRESS,
    SEQUENCE_ADDRESS,
    TAIL_ADDRESS,
    FrameReceiver,
    FrameSender,
)
from lamina.rtl.streams import event_layout, output_layout, request_layout

__all__ = ["HostLink", "OutputBuffer"]

_HELLO_BYTES, _STATUS_BYTES = 6, 3


class OutputBuffer(wiring.Component):
    """First in, first out memory for the events of the core, as 16-bit words.

    One event per cycle in; a word is at ``data`` two cycles after it became the oldest one.

    Parameters
    ----------
    config : HardwareConfig
        ``output_words`` is the depth.

    Members
    -------
    i : In(stream of output_layout)
    available : Out(1)
        ``data`` is the oldest word; low for a cycle after ``take_stb``.
    empty : Out(1)
        No word waited one cycle before.
    data : Out(16)
        Kind in bits 15..14, neuron in bits 13..0.
    take_stb : In(1)
        Drop the oldest word; only while ``available``.
    level : Out(log2(output_words) + 1)
        Words that waited one cycle before.
    full : Out(1)
        As many as there is room for; stays for a cycle after ``take_stb``.
    hold : In(1)
        Take no event, so that ``level`` stands still.
    """

    def __init__(self, config: HardwareConfig):
        if not isinstance(config, HardwareConfig):
            raise TypeError(f"config must be a HardwareConfig, not {config!r}")
        self._depth = config.output_words
        super().__init__({
            "i": In(stream.Signature(output_layout(config))),
            "available": Out(1),
            "empty": Out(1),
            "data": Out(16),
            "take_stb": In(1),
            "level": Out((self._depth - 1).bit_length() + 1),
            "full": Out(1),
            "hold": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        event = self.i.payload
        unused = 14 - len(event.neuron)
        kept = 0 if getattr(platform, "exact_size", False) else unused
        m.submodules.memory = memory = Memory(shape=16 - unused + kept, depth=self._depth,
                                              init=[], attrs={"no_rw_check": 1})
        write, read = memory.write_port(), memory.read_port()
        word = read.data
        if kept < unused:
            word = Cat(word[:-2], Const(0, unused), word[-2:])
        head = Signal.like(self.level)
        tail = Signal.like(self.level)
        empty = Signal(name="empty_now")
        following = Signal.like(head)
        behind = tail ^ self._depth
        m.d.comb += [
            following.eq(head + 1),
            empty.eq(head == tail),
            self.i.ready.eq(~self.full & ~self.hold),
            write.addr.eq(head), write.en.eq(self.i.valid & self.i.ready),
            write.data.eq(Cat(event.neuron, Const(0, kept), event.kind)),
            read.addr.eq(tail), self.data.eq(word),
        ]
        m.d.sync += [head.eq(head + write.en), tail.eq(tail + self.take_stb),
                     self.level.eq(head - tail),
                     self.available.eq(~empty & ~self.take_stb), self.empty.eq(empty),
                     self.full.eq(Mux(write.en, following == behind, head == behind))]
        return m


class HostLink(wiring.Component):
    """Execute the frames of docs/architecture.md, "Host link", one after the other.

    A byte of a request takes 2 cycles, a word to write 4 or more, a word to read 3 or more, a byte
    of a bitmap 2 if it is 0 and 9 else, a reply about 10. A reply is sent while the next request
    is executed; two more requests wait in the receiver. Checks come in the order RANGE, TIER_LOST,
    BUSY. If the core stops taking events in the middle of a frame (``refused``, or idle without
    being ready for a tick: no program), the rest of the frame is given up.
    Golden: :class:`lamina.models.link.device.GoldenDevice`.

    Parameters
    ----------
    config : HardwareConfig

    Members
    -------
    rx : In(stream of 8 bit)
        Bytes from the host.
    tx : Out(stream of 8 bit)
        Bytes to the host.
    events : Out(stream of event_layout)
        Withdrawn when the core stops taking events, see above.
    output : In(stream of output_layout)
    request : Out(stream of request_layout)
        Holds until it and its response were taken, in any order.
    response : In(stream of 16 bit)
    idle, tick_ready, refused : In(1)
        Of the core.
    """

    def __init__(self, config: HardwareConfig):
        if not isinstance(config, HardwareConfig):
            raise TypeError(f"config must be a HardwareConfig, not {config!r}")
        self._config = config
        self._count_address, self._sequence_address = (
            address % (config.payload_bytes + 4) for address in (COUNT_ADDRESS, SEQUENCE_ADDRESS))
        self._tail_address = TAIL_ADDRESS % config.reply_bytes
        super().__init__({
            "rx": In(stream.Signature(8)),
            "tx": Out(stream.Signature(8)),
            "events": Out(stream.Signature(event_layout(config))),
            "output": In(stream.Signature(output_layout(config))),
            "request": Out(stream.Signature(request_layout())),
            "response": In(stream.Signature(16)),
            "idle": In(1),
            "tick_ready": In(1),
            "refused": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = self._receiver = receiver = FrameReceiver(
            self._config.payload_bytes + 4, min(2, self._config.window))
        m.submodules.sender = self._sender = sender = FrameSender(
            self._config.reply_bytes, self._config.window)
        m.submodules.buffer = self._buffer = buffer = OutputBuffer(self._config)
        connect(m, flipped(self.rx), receiver.i)
        connect(m, sender.o, flipped(self.tx))
        connect(m, flipped(self.output), buffer.i)

        self._byte = receiver.data
        self._fetched = Signal()
        self._step = Signal()
        self._place = Signal.like(receiver.address, init=self._count_address)
        self._left = Signal(8)
        self._opcode = Signal(3)
        self._first = Signal(4)
        self._address = Signal(20)
        self._low = Signal(8)
        self._fresh = Signal()
        self._known = Signal()
        self._wrong = Signal()
        self._expected = Signal(8)
        self._kept = Signal(range(self._config.window + 1))
        self._status = Signal(LinkStatus)
        self._slot = Signal.like(sender.slot)
        self._tail = Signal()
        self._end = Signal(range(self._config.reply_bytes))
        self._stored = Signal()
        self._asked = Signal()
        m.d.comb += receiver.address.eq(self._place)
        m.d.sync += self._fetched.eq(receiver.valid & ~self._step & ~receiver.release_stb)
        with m.If(self._step):
            m.d.sync += self._place.eq(self._place + 1)
        with m.If(self._stored):
            m.d.sync += self._end.eq(self._end + 1)
        self._count(m)
        self._connect_core(m)
        self._judge(m)
        with m.FSM() as fsm:
            self._parse(m)
            self._decide(m)
            self._write(m)
            self._send_events(m)
            self._reply(m)
            self._read(m)
            self._drain(m)
            self._finish(m)
        self._select(m, fsm)
        return m

    def _count(self, m):
        """Address and number of what is left: loaded bytewise, or counted; `_spent` is one late.

        The condition of the load is the second operand of the adder, so that load and sum share the
        lookup table of a bit.
        """
        self._loads = Signal(3)
        self._next_word = Signal()
        self._next_byte = Signal()
        kept = Cat(*[load.replicate(8) for load in self._loads])[:20]
        operand = Cat(self._next_word, kept[:3], kept[3] | self._next_byte, kept[4:])
        total = (Cat(Const(1, 1), self._address) + operand)[1:]
        for position, load in enumerate(self._loads):
            bits = slice(8 * position, min(8 * position + 8, 20))
            m.d.sync += self._address[bits].eq(Mux(load, self._byte, total[bits]))
        self._load = Signal()
        self._less = Signal()
        self._spent = Signal()
        m.d.sync += self._spent.eq(self._left == 0)
        with m.If(self._load | self._less | self._step):
            m.d.sync += self._left.eq(Mux(self._load, self._byte,
                                          self._left + (~self._load).replicate(8)))

    def _connect_core(self, m):
        """Payloads that hold whatever the state is."""
        request, sender = self.request.payload, self._sender
        m.d.comb += [
            request.space.eq(self._first), request.address.eq(self._address),
            request.data.eq(Cat(self._low, self._byte)),
            request.write.eq(self._opcode == Opcode.WRITE),
            self.events.payload.axon.eq(self._address),
            sender.slot.eq(self._slot), sender.tail.eq(self._tail),
            sender.address.eq(Cat(self._end, self._slot)), sender.write.eq(self._stored),
        ]

    def _select(self, m, fsm):
        """The byte that is appended to the reply: in the preface, facts, a word or the end."""
        end, preface = self._end, fsm.ongoing("PREFACE")
        word = Mux(self._opcode[2], self._buffer.data, self.response.payload)
        text = Mux(preface, self._byte | (end[1] << 7), Mux(end[0], word[8:], word[:8]))
        fact = Signal(8)
        self._select_fact(m, fact)
        with m.If(preface):
            m.d.comb += fact.eq(self._status)
        special = fsm.ongoing("FACTS") | (preface & end[0] & end[1])
        m.d.comb += self._sender.data.eq(Mux(fsm.ongoing("END"), end, Mux(special, fact, text)))

    def _select_fact(self, m, fact):
        """What answers HELLO, STATUS and a wrong number, by its place in the reply."""
        level, place = self._buffer.level, self._end[:3]
        hello = (PROTOCOL_VERSION, *self._config.fingerprint.to_bytes(4, "little"),
                 self._config.window)
        with m.If(self._status == LinkStatus.SEQUENCE):
            m.d.comb += fact.eq(self._expected)
        with m.Elif(self._tail):
            m.d.comb += fact.eq(Array(Const(value, 8) for value in hello)[place])
        with m.Elif(place[1]):
            m.d.comb += fact.eq(level[8:])
        with m.Elif(place[0]):
            m.d.comb += fact.eq(level[:8])
        with m.Else():
            m.d.comb += fact.eq(Cat(self.idle, self.tick_ready, self.refused, self._buffer.full))

    def _parse(self, m):
        """Length, number and opcode; then space or flags, address or offset, number of words."""
        byte = self._byte
        age = Signal(8)
        again = Signal()
        m.d.comb += age.eq(self._expected - byte)
        with m.State("HEADER"), m.If(self._fetched):
            m.d.comb += self._step.eq(1)
            with m.Switch(self._place[:2]):
                with m.Case(COUNT_ADDRESS % 4):
                    m.d.comb += self._load.eq(1)
                with m.Case(SEQUENCE_ADDRESS % 4):
                    m.d.sync += [self._fresh.eq(age == 0), self._slot.eq(byte), self._tail.eq(0),
                                 again.eq((age != 0) & (age <= self._kept))]
                with m.Default():
                    m.d.sync += [self._opcode.eq(byte), self._known.eq(byte <= max(Opcode)),
                                 self._wrong.eq(0)]
                    m.next = "DISPATCH"
        with m.State("DISPATCH"):
            m.next = "DECIDE"
            with m.If(self._known & (self._opcode == Opcode.HELLO)):
                m.d.sync += self._fresh.eq(1)
            with m.Elif(again):
                self._release(m)
            with m.Elif(self._fresh & self._known & (self._opcode != Opcode.STATUS)):
                m.next = "ARGUMENTS"
        with m.State("ARGUMENTS"):
            with m.If(self._spent):
                m.d.sync += self._wrong.eq(1)
                m.next = "DECIDE"
            with m.Elif(self._fetched):
                m.d.comb += self._step.eq(1)
                self._parse_argument(m, byte)

    def _parse_argument(self, m, byte):
        """One argument, by its place; notes whether it is wrong."""
        events = self._opcode == Opcode.EVENTS
        known = (byte <= Space.STATE) | ((byte[3:] == 1) & (byte[:3] < len(self._config.tiers)))
        wrong = Signal()
        m.d.sync += self._wrong.eq(self._wrong | wrong)
        with m.If((self._opcode == Opcode.OUTPUT) | self._place[2]):
            m.d.comb += [self._load.eq(1), wrong.eq(
                (self._left != 1) | (byte == 0) | (byte > self._config.reply_words))]
            m.next = "DECIDE"
        with m.Else(), m.Switch(self._place[:2]):
            with m.Case(0):
                m.d.sync += self._first.eq(byte)
                m.d.comb += wrong.eq(Mux(events, byte > EventKind.CLEAR, ~known))
            with m.Case(1):
                m.d.comb += [self._loads[0].eq(1), wrong.eq(events & byte[:3].any())]
            with m.Case(2):
                m.d.comb += self._loads[1].eq(1)
                with m.If(events):
                    m.next = "DECIDE"
            with m.Case(3):
                m.d.comb += [self._loads[2].eq(1), wrong.eq(byte[4:].any())]
                with m.If(self._opcode == Opcode.WRITE):
                    m.next = "DECIDE"

    def _judge(self, m):
        """Whether the parsed request may be executed, and the core lets it be executed now."""
        left, opcode = self._left, self._opcode
        self._verdict = status = Signal(LinkStatus)
        bits = (self._config.axons // 8 - 1).bit_length()
        offset = self._address[3:16]
        beyond = offset[bits:].any() | (offset[:bits] + left > 1 << bits)
        away = (self._first != Space.REGISTERS) & ~self.idle
        closed = ~self.tick_ready & ((self._first != 0) | self.idle)
        wrong = Signal()
        busy = Signal()
        m.d.comb += wrong.eq(self._wrong)
        with m.Switch(opcode):
            with m.Case(Opcode.HELLO, Opcode.STATUS):
                m.d.comb += wrong.eq(~self._spent)
            with m.Case(Opcode.WRITE):
                m.d.comb += [wrong.eq(self._wrong | left[0]), busy.eq(away)]
            with m.Case(Opcode.READ):
                m.d.comb += busy.eq(away)
            with m.Case(Opcode.EVENTS):
                m.d.comb += [wrong.eq(self._wrong | beyond), busy.eq(closed)]
        with m.If(~self._fresh):
            m.d.comb += status.eq(LinkStatus.SEQUENCE)
        with m.Elif(~self._known):
            m.d.comb += status.eq(LinkStatus.OPCODE)
        with m.Elif(wrong):
            m.d.comb += status.eq(LinkStatus.RANGE)
        with m.Elif((opcode == Opcode.EVENTS) & self.refused):
            m.d.comb += status.eq(LinkStatus.TIER_LOST)
        with m.Elif(busy):
            m.d.comb += status.eq(LinkStatus.BUSY)

    def _decide(self, m):
        status, opcode = self._verdict, self._opcode
        with m.State("DECIDE"):
            unkept = (status == LinkStatus.BUSY) | (status == LinkStatus.SEQUENCE)
            m.d.sync += [self._status.eq(status), self._tail.eq(
                unkept | (self._known & (opcode == Opcode.HELLO)))]
            m.next = "REPLY"
            with m.If(status == LinkStatus.OK):
                with m.If(opcode == Opcode.WRITE):
                    m.next = "WRITE"
                with m.If(opcode == Opcode.EVENTS):
                    m.next = "BITMAP"

    def _write(self, m):
        """Words of WRITE: the low bytes lie at even places."""
        with m.State("WRITE"):
            with m.If(self._spent):
                m.next = "REPLY"
            with m.Elif(~self._place[0]):
                m.d.comb += self._step.eq(self._fetched)
                m.d.sync += self._low.eq(self._byte)
            with m.Else():
                m.d.comb += [self.request.valid.eq(self._fetched),
                             self._step.eq(self._fetched & self.request.ready),
                             self._next_word.eq(self._step)]

    def _send_events(self, m):
        stopped = self.refused | (self.idle & ~self.tick_ready)
        event = self.events
        with m.State("BITMAP"):
            m.d.sync += self._low.eq(self._byte)
            with m.If(self._spent):
                m.next = "REPLY"
                with m.If(self._first != 0):
                    m.next = "MARK"
            with m.Elif(self._fetched):
                m.d.comb += self._step.eq(1)
                with m.If(self._byte == 0):
                    m.d.comb += self._next_byte.eq(1)
                with m.Else():
                    m.next = "SPIKES"
        with m.State("SPIKES"):
            m.d.comb += event.valid.eq(self._low[0])
            with m.If(~self._low[0] | event.ready):
                m.d.sync += self._low.eq(self._low >> 1)
                m.d.comb += self._next_word.eq(1)
                with m.If(self._address[:3] == 7):
                    m.next = "BITMAP"
            with m.Elif(stopped):
                m.next = "DECIDE"
        with m.State("MARK"):
            m.d.comb += [event.valid.eq(1), event.payload.kind.eq(self._first)]
            with m.If(event.ready):
                m.next = "REPLY"
            with m.Elif(stopped):
                m.next = "DECIDE"

    def _reply(self, m):
        """Number, opcode and status; the number is used up unless it is BUSY."""
        sender, byte = self._sender, self._byte
        with m.State("REPLY"):
            m.d.sync += [self._place.eq(self._sequence_address), self._fetched.eq(0),
                         self._end.eq(Mux(self._tail, self._tail_address + 1, 1))]
            with m.If(~sender.busy | (sender.busy_slot != self._slot)):
                m.next = "PREFACE"
        with m.State("PREFACE"), m.If(self._fetched):
            m.d.sync += [self._place.eq(self._sequence_address + 1), self._fetched.eq(self._end[1])]
            m.d.comb += self._stored.eq(1)
            with m.If(self._end[0] & self._end[1]):
                self._begin_payload(m)
            with m.Elif(self._end[0] & self._fresh & (self._status != LinkStatus.BUSY)):
                m.d.sync += [self._expected.eq(byte + 1),
                             self._kept.eq(Mux(self._tail, 0, self._kept + ~self._kept[-1]))]

    def _begin_payload(self, m):
        m.next = "END"
        with m.If(self._status == LinkStatus.SEQUENCE):
            m.next = "FACTS"
        with m.Elif(self._status == LinkStatus.OK), m.Switch(self._opcode):
            with m.Case(Opcode.HELLO, Opcode.STATUS):
                m.next = "FACTS"
            with m.Case(Opcode.READ):
                m.next = "READ"
            with m.Case(Opcode.OUTPUT):
                m.next = "OUTPUT"

    def _read(self, m):
        """Words of READ: the low bytes lie at even places of the reply."""
        request, response = self.request, self.response
        with m.State("READ"):
            with m.If(self._end[0]):
                m.d.comb += [request.valid.eq(~self._asked), response.ready.eq(1),
                             self._stored.eq(1), self._next_word.eq(1)]
                m.d.sync += self._asked.eq(0)
            with m.Elif(self._spent):
                m.next = "END"
            with m.Else():
                m.d.comb += [request.valid.eq(~self._asked), self._stored.eq(response.valid),
                             self._less.eq(response.valid)]
                m.d.sync += self._asked.eq(self._asked | request.ready)

    def _drain(self, m):
        """Words of OUTPUT; facts that answer HELLO, STATUS and a wrong number."""
        buffer = self._buffer
        with m.State("OUTPUT"):
            with m.If(self._end[0]):
                m.d.comb += [buffer.take_stb.eq(1), self._stored.eq(1)]
            with m.Elif(self._spent | buffer.empty):
                m.next = "END"
            with m.Else():
                m.d.comb += [self._stored.eq(buffer.available),
                             self._less.eq(buffer.available)]
        with m.State("FACTS"):
            m.d.comb += [buffer.hold.eq(1), self._stored.eq(1)]
            last = Mux(self._tail, (self._tail_address + 3 + _HELLO_BYTES) % 8, 3 + _STATUS_BYTES)
            with m.If((self._status == LinkStatus.SEQUENCE) | (self._end[:3] == last)):
                m.next = "END"

    def _finish(self, m):
        sender = self._sender
        with m.State("END"):
            m.d.comb += [sender.write.eq(1),
                         sender.address[:len(self._end)].eq(Mux(self._tail, self._tail_address, 0))]
            self._release(m)
        with m.State("SEND"), m.If(~sender.busy):
            m.d.comb += sender.start_stb.eq(1)
            m.next = "HEADER"

    def _release(self, m):
        """Let go of the request and have its reply sent."""
        m.d.comb += self._receiver.release_stb.eq(1)
        m.d.sync += self._place.eq(self._count_address)
        m.next = "SEND"
