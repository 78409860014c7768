"""Host link: executes the requests of the byte protocol on the core."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
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

_WINDOW = 4
_MOST_WORDS = 120


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
        ``data`` is the oldest word. Not valid in the cycle after ``take_stb``.
    data : Out(16)
        Kind in bits 15..14, neuron in bits 13..0.
    take_stb : In(1)
        Drop the oldest word; only while ``available``.
    level : Out(log2(output_words) + 1)
        Words that wait.
    full : Out(1)
        As many as there is room for.
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
            "data": Out(16),
            "take_stb": In(1),
            "level": Out((self._depth - 1).bit_length() + 1),
            "full": Out(1),
            "hold": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=16, depth=self._depth, init=[],
                                              attrs={"no_rw_check": 1})
        write, read = memory.write_port(), memory.read_port()
        head, tail = Signal.like(self.level), Signal.like(self.level)
        event = self.i.payload
        m.d.comb += [
            self.level.eq(head - tail),
            self.full.eq(self.level[-1]),
            self.i.ready.eq(~self.full & ~self.hold),
            write.addr.eq(head), write.en.eq(self.i.valid & self.i.ready),
            write.data.eq(Cat(event.neuron, Const(0, 14 - len(event.neuron)), event.kind)),
            read.addr.eq(tail), self.data.eq(read.data),
        ]
        m.d.sync += [head.eq(head + write.en), tail.eq(tail + self.take_stb),
                     self.available.eq(head != tail)]
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
        m.submodules.receiver = self._receiver = receiver = FrameReceiver()
        m.submodules.sender = self._sender = sender = FrameSender()
        m.submodules.buffer = self._buffer = buffer = OutputBuffer(self._config)
        connect(m, flipped(self.rx), receiver.i)
        connect(m, sender.o, flipped(self.tx))
        connect(m, flipped(self.output), buffer.i)

        self._byte = receiver.data
        self._fetched, self._step = Signal(), Signal()
        self._place = Signal(8, init=COUNT_ADDRESS)
        self._left = Signal(8)
        self._opcode = Signal(3)
        self._first = Signal(4)
        self._address = Signal(20)
        self._low = Signal(8)
        self._fresh = Signal()
        self._expected = Signal(8)
        self._kept = Signal(range(_WINDOW + 1))
        self._status = Signal(LinkStatus)
        self._slot, self._tail, self._end = Signal(2), Signal(), Signal(8)
        self._asked = Signal()
        m.d.comb += receiver.address.eq(self._place)
        m.d.sync += self._fetched.eq(receiver.valid & ~self._step & ~receiver.release_stb)
        with m.If(self._step):
            m.d.sync += [self._place.eq(self._place + 1), self._left.eq(self._left - 1)]
        self._connect_core(m)
        with m.FSM():
            self._parse(m)
            self._decide(m)
            self._write(m)
            self._send_events(m)
            self._begin_reply(m)
            self._read(m)
            self._drain(m)
            self._end_reply(m)
        return m

    def _connect_core(self, m):
        request = self.request.payload
        m.d.comb += [
            request.space.eq(self._first), request.address.eq(self._address),
            request.data.eq(Cat(self._low, self._byte)),
            self.events.payload.axon.eq(self._address),
        ]

    def _reply(self, m, status, tail=0):
        """Have `status` answered."""
        m.d.sync += [self._status.eq(status), self._tail.eq(tail)]
        m.next = "REPLY"

    def _take(self, m):
        """Condition: there is another byte, and it is here. Without one the request is refused."""
        with m.If(self._left == 0):
            self._reply(m, LinkStatus.RANGE)
        return m.Elif(self._fetched)

    def _parse(self, m):
        byte = self._byte
        age = Signal(8)
        again = Signal()
        m.d.comb += age.eq(self._expected - byte)
        with m.State("COUNT"), m.If(self._fetched):
            m.d.comb += self._step.eq(1)
            m.d.sync += self._left.eq(byte)
            m.next = "SEQUENCE"
        with m.State("SEQUENCE"), m.If(self._fetched):
            m.d.comb += self._step.eq(1)
            m.d.sync += [self._fresh.eq(age == 0), self._slot.eq(byte), self._tail.eq(0),
                         again.eq((age != 0) & (age <= self._kept))]
            m.next = "OPCODE"
        with m.State("OPCODE"), m.If(self._fetched):
            m.d.comb += self._step.eq(1)
            m.d.sync += self._opcode.eq(byte)
            with m.If(byte == Opcode.HELLO):
                m.d.sync += self._fresh.eq(1)
                m.next = "DECIDE"
            with m.Elif(again):
                self._release(m)
            with m.Elif(~self._fresh):
                self._reply(m, LinkStatus.SEQUENCE, tail=1)
            with m.Elif(byte > max(Opcode)):
                self._reply(m, LinkStatus.OPCODE)
            with m.Elif(byte == Opcode.STATUS):
                m.next = "DECIDE"
            with m.Elif(byte == Opcode.OUTPUT):
                m.next = "WORDS"
            with m.Else():
                m.next = "FIRST"
        self._parse_place(m)

    def _parse_place(self, m):
        """Space or flags, address or offset, number of words."""
        byte, config = self._byte, self._config
        events = self._opcode == Opcode.EVENTS
        tiers = len(config.tiers)
        known = (byte <= Space.STATE) | ((byte[3:] == 1) & (byte[:3] < tiers))
        with m.State("FIRST"), self._take(m):
            m.d.comb += self._step.eq(1)
            m.d.sync += self._first.eq(byte)
            m.next = "ADDRESS0"
            with m.If(Mux(events, byte > EventKind.CLEAR, ~known)):
                self._reply(m, LinkStatus.RANGE)
        with m.State("ADDRESS0"), self._take(m):
            m.d.comb += self._step.eq(1)
            m.d.sync += self._address[:8].eq(byte)
            m.next = "ADDRESS1"
            with m.If(events & byte[:3].any()):
                self._reply(m, LinkStatus.RANGE)
        with m.State("ADDRESS1"), self._take(m):
            m.d.comb += self._step.eq(1)
            m.d.sync += self._address[8:16].eq(byte)
            m.next = "ADDRESS2"
            with m.If(events):
                m.next = "DECIDE"
        with m.State("ADDRESS2"), self._take(m):
            m.d.comb += self._step.eq(1)
            m.d.sync += self._address[16:].eq(byte)
            m.next = "DECIDE"
            with m.If(self._opcode == Opcode.READ):
                m.next = "WORDS"
            with m.If(byte[4:].any()):
                self._reply(m, LinkStatus.RANGE)
        with m.State("WORDS"):
            with m.If(self._left != 1):
                self._reply(m, LinkStatus.RANGE)
            with m.Elif(self._fetched):
                m.d.sync += self._left.eq(byte)
                m.next = "DECIDE"
                with m.If((byte == 0) | (byte > _MOST_WORDS)):
                    self._reply(m, LinkStatus.RANGE)

    def _decide(self, m):
        """Whether the core lets the request be executed now."""
        opcode, left = self._opcode, self._left
        beyond = Signal()
        m.d.comb += beyond.eq((self._address[3:16] + left) > self._config.axons // 8)
        away = (self._first != Space.REGISTERS) & ~self.idle
        with m.State("DECIDE"):
            self._reply(m, LinkStatus.OK, tail=opcode == Opcode.HELLO)
            with m.Switch(opcode):
                with m.Case(Opcode.HELLO, Opcode.STATUS), m.If(left != 0):
                    m.d.sync += self._status.eq(LinkStatus.RANGE)
                with m.Case(Opcode.WRITE):
                    with m.If(left[0] | (left == 0)):
                        m.d.sync += self._status.eq(LinkStatus.RANGE)
                    with m.Elif(away):
                        self._reply(m, LinkStatus.BUSY, tail=1)
                    with m.Else():
                        m.next = "WRITE_LOW"
                with m.Case(Opcode.READ), m.If(away):
                    self._reply(m, LinkStatus.BUSY, tail=1)
                with m.Case(Opcode.EVENTS):
                    with m.If(beyond):
                        m.d.sync += self._status.eq(LinkStatus.RANGE)
                    with m.Elif(self.refused):
                        m.d.sync += self._status.eq(LinkStatus.TIER_LOST)
                    with m.Elif((self._first != 0) & ~self.tick_ready):
                        self._reply(m, LinkStatus.BUSY, tail=1)
                    with m.Else():
                        m.next = "BITMAP"

    def _write(self, m):
        with m.State("WRITE_LOW"):
            with m.If(self._left == 0):
                m.next = "REPLY"
            with m.Elif(self._fetched):
                m.d.comb += self._step.eq(1)
                m.d.sync += self._low.eq(self._byte)
                m.next = "WRITE_HIGH"
        with m.State("WRITE_HIGH"):
            m.d.comb += [self.request.valid.eq(self._fetched), self.request.payload.write.eq(1)]
            with m.If(self._fetched & self.request.ready):
                m.d.comb += self._step.eq(1)
                m.d.sync += self._address.eq(self._address + 1)
                m.next = "WRITE_LOW"

    def _send_events(self, m):
        stopped = self.refused | (self.idle & ~self.tick_ready)
        with m.State("BITMAP"):
            with m.If(self._left == 0):
                m.next = "REPLY"
                with m.If(self._first != 0):
                    m.next = "MARK"
            with m.Elif(self._fetched):
                m.d.comb += self._step.eq(1)
                m.d.sync += self._low.eq(self._byte)
                with m.If(self._byte == 0):
                    m.d.sync += self._address.eq(self._address + 8)
                with m.Else():
                    m.next = "SPIKES"
        with m.State("SPIKES"):
            m.d.comb += self.events.valid.eq(self._low[0])
            with m.If(~self._low[0] | self.events.ready):
                m.d.sync += [self._low.eq(self._low >> 1), self._address.eq(self._address + 1)]
                with m.If(self._address[:3] == 7):
                    m.next = "BITMAP"
            with m.Elif(stopped):
                m.next = "STOPPED"
        with m.State("MARK"):
            m.d.comb += [self.events.valid.eq(1), self.events.payload.kind.eq(self._first)]
            with m.If(self.events.ready):
                m.next = "REPLY"
            with m.Elif(stopped):
                m.next = "STOPPED"
        with m.State("STOPPED"):
            self._reply(m, LinkStatus.BUSY, tail=1)
            with m.If(self.refused):
                self._reply(m, LinkStatus.TIER_LOST)

    def _store(self, m, byte):
        """Append `byte` to the reply."""
        m.d.comb += [self._sender.write.eq(1), self._sender.data.eq(byte),
                     self._sender.address.eq(Cat(self._end, self._slot))]
        m.d.sync += self._end.eq(self._end + 1)

    def _begin_reply(self, m):
        """Number, opcode and status; the number is used up unless it is BUSY."""
        sender, byte = self._sender, self._byte
        with m.State("REPLY"):
            m.d.sync += [self._place.eq(SEQUENCE_ADDRESS), self._fetched.eq(0),
                         self._end.eq(Mux(self._tail, TAIL_ADDRESS + 1, 1))]
            with m.If(~sender.busy | (sender.busy_slot != self._slot)):
                m.next = "REPLY_SEQUENCE"
        with m.State("REPLY_SEQUENCE"), m.If(self._fetched):
            self._store(m, byte)
            m.d.sync += [self._place.eq(SEQUENCE_ADDRESS + 1), self._fetched.eq(0)]
            with m.If(self._fresh & (self._status != LinkStatus.BUSY)):
                m.d.sync += self._expected.eq(byte + 1)
                with m.If(self._tail):
                    m.d.sync += self._kept.eq(0)
                with m.Elif(self._kept != _WINDOW):
                    m.d.sync += self._kept.eq(self._kept + 1)
            m.next = "REPLY_OPCODE"
        with m.State("REPLY_OPCODE"), m.If(self._fetched):
            self._store(m, byte | 0x80)
            m.next = "REPLY_STATUS"
        with m.State("REPLY_STATUS"):
            self._store(m, self._status)
            m.next = "END"
            with m.If(self._status == LinkStatus.SEQUENCE):
                m.next = "FACTS"
            with m.Elif(self._status == LinkStatus.OK), m.Switch(self._opcode):
                with m.Case(Opcode.HELLO, Opcode.STATUS):
                    m.next = "FACTS"
                with m.Case(Opcode.READ):
                    m.next = "READ_LOW"
                with m.Case(Opcode.OUTPUT):
                    m.next = "OUTPUT_LOW"

    def _facts(self):
        """Constant-length payloads, by the low bits of their places in the slot."""
        words = self._config.fingerprint.to_bytes(4, "little")
        hello = [PROTOCOL_VERSION, *words, _WINDOW]
        level = self._buffer.level
        flags = Cat(self.idle, self.tick_ready, self.refused, self._buffer.full)
        return hello, [flags, level[:8], level[8:]]

    def _drain(self, m):
        """Payloads of OUTPUT, and of HELLO, STATUS and SEQUENCE."""
        buffer = self._buffer
        with m.State("OUTPUT_LOW"):
            with m.If((self._left == 0) | ~buffer.available):
                m.next = "END"
            with m.Else():
                self._store(m, buffer.data[:8])
                m.next = "OUTPUT_HIGH"
        with m.State("OUTPUT_HIGH"):
            self._store(m, buffer.data[8:])
            m.d.comb += buffer.take_stb.eq(1)
            m.d.sync += self._left.eq(self._left - 1)
            m.next = "OUTPUT_NEXT"
        with m.State("OUTPUT_NEXT"):
            m.next = "OUTPUT_LOW"
        hello, status = self._facts()
        with m.State("FACTS"):
            m.d.comb += buffer.hold.eq(1)
            with m.If(self._status == LinkStatus.SEQUENCE):
                self._store(m, self._expected)
                m.next = "END"
            with m.Elif(self._opcode == Opcode.HELLO):
                self._store_fact(m, hello, TAIL_ADDRESS + 4)
            with m.Else():
                self._store_fact(m, status, 4)

    def _store_fact(self, m, facts, start):
        for index, fact in enumerate(facts):
            with m.If(self._end[:3] == (start + index) % 8):
                self._store(m, fact)
        with m.If(self._end[:3] == (start + len(facts) - 1) % 8):
            m.next = "END"

    def _read(self, m):
        with m.State("READ_LOW"):
            m.d.comb += self.request.valid.eq((self._left != 0) & ~self._asked)
            with m.If(self.request.valid & self.request.ready):
                m.d.sync += self._asked.eq(1)
            with m.If(self._left == 0):
                m.next = "END"
            with m.Elif(self.response.valid):
                self._store(m, self.response.payload[:8])
                m.next = "READ_HIGH"
        with m.State("READ_HIGH"):
            self._store(m, self.response.payload[8:])
            m.d.comb += [self.request.valid.eq(~self._asked), self.response.ready.eq(1)]
            m.d.sync += [self._asked.eq(0), self._left.eq(self._left - 1),
                         self._address.eq(self._address + 1)]
            m.next = "READ_LOW"

    def _end_reply(self, m):
        sender = self._sender
        m.d.comb += [sender.slot.eq(self._slot), sender.tail.eq(self._tail)]
        with m.State("END"):
            base = Mux(self._tail, TAIL_ADDRESS, 0)
            m.d.comb += [sender.write.eq(1), sender.data.eq(self._end),
                         sender.address.eq(Cat(Const(0, 8) | base, self._slot))]
            self._release(m)
        with m.State("SEND"), m.If(~sender.busy):
            m.d.comb += sender.start_stb.eq(1)
            m.next = "COUNT"

    def _release(self, m):
        """Let go of the request and have its reply sent."""
        m.d.comb += self._receiver.release_stb.eq(1)
        m.d.sync += self._place.eq(COUNT_ADDRESS)
        m.next = "SEND"
