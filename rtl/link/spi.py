"""Serial peripheral interface of the host link: a mode 0 peripheral, both directions at once."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["Spi"]

_END = 0xC0


class Spi(wiring.Component):
    """Bytes of the framed protocol over four wires; most significant bit first, CPOL = CPHA = 0.

    The pins are sampled in the core's clock, in which all of it runs: both halves of a period of
    ``sck``, and the times from ``cs_n`` to the first and from the last edge, are 4 cycles or more.
    Where there is nothing to send END goes out, and an END that follows an END is not passed on,
    so both sides fill with END what they have no bytes for: between frames it means nothing.

    A host begins no byte while ``ready`` is low; it is good 5 cycles after the last rising edge of
    the byte before. A byte that begins while the one before was not taken is dropped. A host that
    does not look at ``ready`` keeps no more requests on their way than the link has buffers for
    (2); the link offers the bytes of a frame at most 4 cycles apart.

    A byte is taken from ``tx`` with its last bit: one that is broken off by ``cs_n`` is sent again
    from its first bit, one that comes in is forgotten. Golden: :mod:`lamina.models.link.spi`.

    Members
    -------
    sck, copi : In(1)
        Clock and data from the host; asynchronous.
    cs_n : In(1)
        Selects at 0; asynchronous.
    cipo : Out(1)
        Data to the host, changes at most 4 cycles after the falling edge of ``sck``.
    ready : Out(1)
        A byte may begin: there is room for it, and the frame that is being sent goes on.
    rx : Out(stream of 8 bit)
    tx : In(stream of 8 bit)
    """

    def __init__(self):
        super().__init__({
            "sck": In(1),
            "cs_n": In(1, init=1),
            "copi": In(1),
            "cipo": Out(1),
            "ready": Out(1),
            "rx": Out(stream.Signature(8)),
            "tx": In(stream.Signature(8)),
        })

    def elaborate(self, platform):
        m = Module()
        sck, selected_n, data = Signal(), Signal(init=1), Signal()
        m.submodules.sck = FFSynchronizer(self.sck, sck)
        m.submodules.cs_n = FFSynchronizer(self.cs_n, selected_n, init=1)
        m.submodules.copi = FFSynchronizer(self.copi, data)
        before = Signal()
        rises, falls = Signal(), Signal()
        place = Signal(3)
        m.d.sync += before.eq(sck)
        m.d.comb += [rises.eq(~selected_n & sck & ~before), falls.eq(~selected_n & ~sck & before)]
        with m.If(selected_n):
            m.d.sync += place.eq(0)
        with m.Elif(rises):
            m.d.sync += place.eq(place + 1)
        blocked = self._receive(m, rises, place, data)
        waiting = self._transmit(m, selected_n, sck, rises, falls, place)
        m.d.sync += self.ready.eq(~blocked & ~waiting)
        return m

    def _receive(self, m, rises, place, data):
        """Bits to bytes; returns whether a byte that begins now would be dropped."""
        rx, full = self.rx, Signal()
        dropping, dropped = Signal(), Signal()
        closed = Signal(init=1)
        byte = Signal(8)
        m.d.comb += [full.eq(rx.valid & ~rx.ready), byte.eq(Cat(data, rx.payload[:7])),
                     dropping.eq(Mux(place == 0, full, dropped))]
        with m.If(rx.ready):
            m.d.sync += rx.valid.eq(0)
        with m.If(rises):
            m.d.sync += dropped.eq(dropping)
        with m.If(rises & ~dropping):
            m.d.sync += rx.payload.eq(byte)
            with m.If(place == 7):
                m.d.sync += [rx.valid.eq((byte != _END) | ~closed), closed.eq(byte == _END)]
        return full

    def _transmit(self, m, selected_n, sck, rises, falls, place):
        """Bytes to bits; returns whether a frame is open whose next byte is not there."""
        tx, given = self.tx, Signal()
        begins, giving = Signal(), Signal()
        opened = Signal()
        m.d.comb += [
            begins.eq(selected_n | (~sck & (place == 0))),
            giving.eq(Mux(begins, tx.valid, given)),
            tx.ready.eq(given & rises & (place == 7)),
        ]
        m.d.sync += given.eq(giving)
        with m.If(begins | falls):
            first = Mux(selected_n, 0, place)
            m.d.sync += self.cipo.eq(Mux(giving, tx.payload[::-1].bit_select(first, 1),
                                         first < 2))
        with m.If(tx.ready):
            m.d.sync += opened.eq(tx.payload != _END)
        return opened & ~tx.valid
