"""Frames of the host link in hardware: SLIP, CRC and the buffers of requests and replies."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["COUNT_ADDRESS", "SEQUENCE_ADDRESS", "TAIL_ADDRESS", "FrameReceiver", "FrameSender",
           "crc_step"]

_END, _ESC, _ESC_END, _ESC_ESC = 0xC0, 0xDB, 0xDC, 0xDD
_CRC_INIT = 0xFFFF
COUNT_ADDRESS = -3
"""Where a received frame keeps its length without the CRC, from the end of its buffer [byte]."""
SEQUENCE_ADDRESS = -2
"""Where it keeps its sequence number; the opcode follows, the payload is at 0."""
TAIL_ADDRESS = -12
"""Start of the part of a reply slot that holds replies which are not kept, from its end."""


def crc_step(crc: Value, byte: Value) -> Value:
    """CRC-16/CCITT-FALSE register, 16 bit, after another `byte`."""
    high = crc[8:] ^ byte
    mixed = high ^ high[4:]
    return Cat(Const(0, 8), crc[:8]) ^ (mixed << 12)[:16] ^ (mixed << 5) ^ mixed


class FrameReceiver(wiring.Component):
    """Unstuff frames, check them and offer the intact ones, whole, from one of its buffers.

    One byte per cycle while a buffer is free. Frames that are too short (below 4 bytes), too long
    (above ``size``), badly escaped or fail the CRC leave no trace. A frame is offered one cycle
    after its closing END. Golden: :class:`lamina.models.link.framing.FrameDecoder`.

    Parameters
    ----------
    size : int
        Bytes of the longest frame, a power of two, 16..256.
    buffers : int
        1 or 2; with 2 a frame may come in while another one is offered.

    Members
    -------
    i : In(stream of 8 bit)
        Bytes of the line; waits while both buffers are full.
    valid : Out(1)
        A frame is offered until ``release_stb``.
    address : In(log2(size))
        Byte of the offered frame: payload from 0, ``COUNT_ADDRESS``, ``SEQUENCE_ADDRESS`` (the
        opcode follows).
    data : Out(8)
        That byte, one cycle later.
    release_stb : In(1)
        The offered frame is done with; only while ``valid``.
    """

    def __init__(self, size: int = 256, buffers: int = 2):
        self._size, self._buffers = size, buffers
        self._bits = (size - 1).bit_length()
        super().__init__({
            "i": In(stream.Signature(8)),
            "valid": Out(1),
            "address": In(self._bits),
            "data": Out(8),
            "release_stb": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        bits = self._bits
        write_id = Signal(range(self._buffers))
        read_id = Signal(range(self._buffers))
        full = Signal(self._buffers)
        count = Signal(bits + 1, init=SEQUENCE_ADDRESS % (2 * self._size))
        crc = Signal(16, init=_CRC_INIT)
        escaped = Signal()
        bad = Signal()
        raw = self.i.payload
        byte = Signal(8)
        taken = Signal()
        ends = Signal()
        m.d.comb += [
            self.i.ready.eq(~full.bit_select(write_id, 1)),
            taken.eq(self.i.valid & self.i.ready),
            ends.eq(raw == _END),
            byte.eq(Mux(escaped, Mux(raw[0], _ESC, _END), raw)),
            self.valid.eq(full.bit_select(read_id, 1)),
        ]
        self._memory(m, Cat(Mux(ends, COUNT_ADDRESS % self._size, count[:bits]), write_id),
                     Mux(ends, count[:bits], byte), taken, Cat(self.address, read_id))

        good = ~bad & ~escaped & ~count[bits] & count[1:bits].any() & (crc == 0)
        with m.If(taken & ends):
            m.d.sync += [count.eq(count.init), crc.eq(crc.init), escaped.eq(0), bad.eq(0)]
            with m.If(good):
                m.d.sync += [full.bit_select(write_id, 1).eq(1), write_id.eq(~write_id)]
        with m.Elif(taken & (raw == _ESC) & ~escaped):
            m.d.sync += escaped.eq(1)
        with m.Elif(taken):
            broken = escaped & (raw != _ESC_END) & (raw != _ESC_ESC)
            m.d.sync += [escaped.eq(0), count.eq(count + 1), crc.eq(crc_step(crc, byte)),
                         bad.eq(bad | broken | (count == SEQUENCE_ADDRESS % self._size))]
        with m.If(self.release_stb):
            m.d.sync += [full.bit_select(read_id, 1).eq(0), read_id.eq(~read_id)]
        return m

    def _memory(self, m, write_address, write_data, write_enable, read_address):
        m.submodules.memory = memory = Memory(shape=8, depth=self._buffers * self._size,
                                              init=[], attrs={"no_rw_check": 1})
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [
            write.addr.eq(write_address), write.data.eq(write_data), write.en.eq(write_enable),
            read.addr.eq(read_address), self.data.eq(read.data),
        ]


class FrameSender(wiring.Component):
    """Keep replies in slots; send one as a frame, with its CRC, stuffed.

    A reply lies in its slot at address 0, or at ``TAIL_ADDRESS`` if it is not kept: first the
    address behind its last byte, then its bytes. Two cycles per byte, three if it is escaped, 8
    more per frame. Golden: :func:`lamina.models.link.framing.encode_frame`.

    Parameters
    ----------
    size : int
        Bytes of a slot, a power of two, 32..256.
    slots : int
        1, 2 or 4.

    Members
    -------
    write : In(1)
        Store ``data`` at ``address``.
    address : In(log2(slots * size))
        Slot in the upper bits.
    data : In(8)
    start_stb : In(1)
        Send a reply; only while not ``busy``.
    slot : In(log2(slots))
    tail : In(1)
        The reply lies at ``TAIL_ADDRESS``.
    busy : Out(1)
        A reply is being sent; its slot must not be written.
    busy_slot : Out(log2(slots))
    o : Out(stream of 8 bit)
        Bytes of the line.
    """

    def __init__(self, size: int = 256, slots: int = 4):
        self._size, self._slots = size, slots
        self._bits = (size - 1).bit_length()
        super().__init__({
            "write": In(1),
            "address": In((size * slots - 1).bit_length()),
            "data": In(8),
            "start_stb": In(1),
            "slot": In(range(slots)),
            "tail": In(1),
            "busy": Out(1),
            "busy_slot": Out(range(slots)),
            "o": Out(stream.Signature(8)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=8, depth=self._slots * self._size,
                                              init=[], attrs={"no_rw_check": 1})
        write, read = memory.write_port(), memory.read_port()
        place = Signal(self._bits)
        end = Signal(self._bits)
        m.d.comb += [
            write.addr.eq(self.address), write.data.eq(self.data), write.en.eq(self.write),
            read.addr.eq(Cat(place, self.busy_slot)),
        ]
        crc = Signal(16, init=_CRC_INIT)
        summing = Signal()
        offer = Signal()
        sent = Signal()
        byte = Signal(8)
        m.d.comb += byte.eq(Mux(summing, crc[8:], read.data))
        self._stuff(m, byte, offer, sent)
        with m.If(sent):
            m.d.sync += [place.eq(place + 1), crc.eq(crc_step(crc, byte))]
        self._sequence(m, read.data, place, end, crc, summing, offer, sent)
        return m

    def _stuff(self, m, byte, offer, sent):
        """Offer `byte`, after ESC if need be; strobes `sent` when its last part is taken."""
        escaping = Signal()
        special = (byte == _END) | (byte == _ESC)
        stuffed = Mux(escaping, Mux(byte[0], _ESC_ESC, _ESC_END), _ESC)
        m.d.comb += [self.o.valid.eq(offer), self.o.payload.eq(Mux(special, stuffed, byte))]
        with m.If(offer & self.o.ready):
            m.d.sync += escaping.eq(special & ~escaping)
            m.d.comb += sent.eq(~special | escaping)

    def _sequence(self, m, data, place, end, crc, summing, offer, sent):
        fetched = Signal()
        last = Signal()
        m.d.sync += fetched.eq(~sent)
        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))
            with m.State("IDLE"):
                m.d.sync += [place.eq(Mux(self.tail, TAIL_ADDRESS % self._size, 0)), fetched.eq(0),
                             self.busy_slot.eq(self.slot), crc.eq(crc.init), summing.eq(0)]
                with m.If(self.start_stb):
                    m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.comb += [self.o.payload.eq(_END), self.o.valid.eq(fetched)]
                with m.If(fetched & self.o.ready):
                    m.d.sync += [end.eq(data), place.eq(place + 1), fetched.eq(0)]
                    m.next = "BODY"
            with m.State("BODY"):
                m.d.comb += offer.eq(fetched)
                with m.If(~fetched & (place == end)):
                    m.d.sync += [summing.eq(1), last.eq(0)]
                    m.next = "CRC"
            with m.State("CRC"):
                m.d.comb += offer.eq(1)
                with m.If(sent):
                    m.d.sync += last.eq(1)
                    with m.If(last):
                        m.next = "FINISH"
            with m.State("FINISH"):
                m.d.comb += [self.o.payload.eq(_END), self.o.valid.eq(1)]
                with m.If(self.o.ready):
                    m.next = "IDLE"
