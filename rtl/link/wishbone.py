"""Wishbone slave that carries the byte streams of the host link."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from lamina.models.check import check_int
from lamina.models.config import WISHBONE_ID, WISHBONE_WORDS, WishboneFlag, WishboneRegister

__all__ = ["WishbonePort"]

_WORD_BYTES = 3
_REPLY_BYTES = 64


class WishbonePort(wiring.Component):
    """Wishbone B4 classic slave with four 32-bit registers: :class:`WishboneRegister`.

    Every access ends after one wait cycle, so the bus never hangs: ``ack`` and ``read_data`` come
    in the cycle after ``cyc & stb``, and an access takes two cycles. What is written without room
    is lost and noted. Whole words are read and written (no byte selects). Bytes of the device wait
    in 64 places and are moved one per cycle to the three that a read takes.
    Golden: :class:`lamina.models.link.wishbone.GoldenWishbone`.

    Parameters
    ----------
    fingerprint : int
        Of the device's configuration, 32 bit.

    Members
    -------
    cyc, stb, we : In(1)
    address : In(2)
        Bits 3..2 of the byte address.
    write_data : In(32)
    read_data : Out(32)
        With ``ack``; 0 otherwise.
    ack : Out(1)
    waiting : Out(1)
        Bytes of the device can be read; for an interrupt.
    rx : Out(stream of 8 bit)
        Bytes for the device, one per cycle.
    tx : In(stream of 8 bit)
        Bytes of the device.
    idle, tick_ready, refused : In(1)
        Of the device, shown in the register STATUS.

    Raises
    ------
    TypeError, ValueError
        If `fingerprint` is no int of 32 bit.
    """

    def __init__(self, fingerprint: int):
        self._fingerprint = check_int("fingerprint", fingerprint, 0, (1 << 32) - 1)
        super().__init__({
            "cyc": In(1),
            "stb": In(1),
            "we": In(1),
            "address": In(2),
            "write_data": In(32),
            "read_data": Out(32),
            "ack": Out(1),
            "waiting": Out(1),
            "rx": Out(stream.Signature(8)),
            "tx": In(stream.Signature(8)),
            "idle": In(1),
            "tick_ready": In(1),
            "refused": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        access, read, write = Signal(), Signal(), Signal()
        register = Signal(4)
        m.d.comb += [
            access.eq(self.cyc & self.stb & ~self.ack),
            read.eq(access & ~self.we),
            write.eq(access & self.we),
            register.eq(Cat(Const(0, 2), self.address)),
        ]
        room, overrun = self._receive(m, write, register)
        level, window = self._send(m, read & (register == WishboneRegister.DATA))
        status = Signal(32)
        m.d.comb += [
            self.waiting.eq(level.any()),
            status[WishboneFlag.ROOM:].eq(room),
            status[WishboneFlag.WAITING:WishboneFlag.IDLE].eq(level),
            status[WishboneFlag.IDLE].eq(self.idle),
            status[WishboneFlag.TICK_READY].eq(self.tick_ready),
            status[WishboneFlag.REFUSED].eq(self.refused),
            status[WishboneFlag.OVERRUN].eq(overrun),
        ]
        m.d.sync += [self.ack.eq(access), self.read_data.eq(0)]
        with m.If(read), m.Switch(register):
            with m.Case(WishboneRegister.DATA):
                m.d.sync += self.read_data.eq(window)
            with m.Case(WishboneRegister.STATUS):
                m.d.sync += self.read_data.eq(status)
            with m.Case(WishboneRegister.ID):
                m.d.sync += self.read_data.eq(WISHBONE_ID)
            with m.Default():
                m.d.sync += self.read_data.eq(self._fingerprint)
        return m

    def _receive(self, m, write, register):
        """Words that are written become bytes; returns free words, and whether one was lost."""
        m.submodules.words = words = SyncFIFOBuffered(width=8 * _WORD_BYTES + 2,
                                                      depth=WISHBONE_WORDS)
        count = self.write_data[24:26]
        given = write & (register == WishboneRegister.DATA) & count.any()
        room, overrun = Signal(range(WISHBONE_WORDS + 1)), Signal()
        m.d.comb += [
            words.w_data.eq(self.write_data), words.w_en.eq(given),
            room.eq(WISHBONE_WORDS - words.level),
        ]
        with m.If(given & ~words.w_rdy):
            m.d.sync += overrun.eq(1)
        with m.Elif(write & (register == WishboneRegister.STATUS)
                    & self.write_data[WishboneFlag.OVERRUN]):
            m.d.sync += overrun.eq(0)
        place, last = Signal(2), Signal()
        m.d.comb += [
            last.eq(place + 1 == words.r_data[24:]),
            self.rx.valid.eq(words.r_rdy),
            self.rx.payload.eq(words.r_data.word_select(place, 8)),
            words.r_en.eq(self.rx.ready & last),
        ]
        with m.If(self.rx.valid & self.rx.ready):
            m.d.sync += place.eq(Mux(last, 0, place + 1))
        return room, overrun

    def _send(self, m, taken):
        """Bytes of the device gather in the word that is read; returns how many wait, and it."""
        m.submodules.bytes = queue = SyncFIFOBuffered(width=8, depth=_REPLY_BYTES)
        window, count = Signal(8 * _WORD_BYTES), Signal(2)
        level = Signal(8)
        m.d.comb += [
            queue.w_data.eq(self.tx.payload), queue.w_en.eq(self.tx.valid),
            self.tx.ready.eq(queue.w_rdy),
            queue.r_en.eq(~taken & (count != _WORD_BYTES)),
            level.eq(queue.level + count),
        ]
        with m.If(taken):
            m.d.sync += [count.eq(0), window.eq(0)]
        with m.Elif(queue.r_en & queue.r_rdy):
            m.d.sync += [window.word_select(count, 8).eq(queue.r_data), count.eq(count + 1)]
        return level, Cat(window, count)
