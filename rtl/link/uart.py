"""Asynchronous serial line, 8 data bits, no parity, 1 stop bit."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from lamina.models.check import check_int

__all__ = ["Uart"]


class Uart(wiring.Component):
    """Bytes to bits and back; bits are sampled in their middle, least significant first.

    A byte with a wrong stop bit is dropped. The receiver cannot make the line wait: a byte that
    begins while the one before was not taken is dropped.

    Parameters
    ----------
    divisor : int
        Clock cycles per bit, 8..65535; the line may be off by 3 % at 16 or more, 1 % at 8.

    Members
    -------
    rx_line : In(1)
        Asynchronous; idles at 1.
    tx_line : Out(1)
    rx : Out(stream of 8 bit)
    tx : In(stream of 8 bit)
        One byte per ``10 * divisor`` cycles.

    Raises
    ------
    TypeError, ValueError
        If `divisor` is no int in its range.
    """

    def __init__(self, divisor: int):
        self._divisor = check_int("divisor", divisor, 8, 65535)
        super().__init__({
            "rx_line": In(1, init=1),
            "tx_line": Out(1, init=1),
            "rx": Out(stream.Signature(8)),
            "tx": In(stream.Signature(8)),
        })

    def elaborate(self, platform):
        m = Module()
        self._receive(m)
        self._transmit(m)
        return m

    def _timer(self, m, name, restart, first):
        """Strobe every `divisor` cycles, the first time `first` cycles after `restart`."""
        timer = Signal(range(self._divisor), name=f"{name}_timer")
        strobe = Signal(name=f"{name}_stb")
        m.d.comb += strobe.eq(timer == 0)
        m.d.sync += timer.eq(timer - 1)
        with m.If(restart):
            m.d.sync += timer.eq(first - 1)
        with m.Elif(strobe):
            m.d.sync += timer.eq(self._divisor - 1)
        return strobe

    def _receive(self, m):
        line = Signal(init=1)
        m.submodules.synchroniser = FFSynchronizer(self.rx_line, line, init=1)
        places = Signal(range(11))
        blocked = Signal()
        begins = Signal()
        before = Signal()
        m.d.sync += before.eq(line)
        m.d.comb += begins.eq(before & ~line & (places == 0))
        sample = self._timer(m, "sample", begins, self._divisor // 2 - 1)
        with m.If(self.rx.valid & self.rx.ready):
            m.d.sync += self.rx.valid.eq(0)
        with m.If(begins):
            m.d.sync += [places.eq(10), blocked.eq(self.rx.valid & ~self.rx.ready)]
        with m.Elif(sample & (places != 0)):
            m.d.sync += places.eq(places - 1)
            with m.If((places == 10) & line):
                m.d.sync += places.eq(0)
            with m.If((places != 10) & (places != 1) & ~blocked):
                m.d.sync += self.rx.payload.eq(Cat(self.rx.payload[1:], line))
            with m.If((places == 1) & line & ~blocked):
                m.d.sync += self.rx.valid.eq(1)

    def _transmit(self, m):
        bits = Signal(10, init=1)
        places = Signal(range(11))
        take = Signal()
        m.d.comb += [
            self.tx_line.eq(bits[0]),
            self.tx.ready.eq(places == 0),
            take.eq(self.tx.valid & self.tx.ready),
        ]
        strobe = self._timer(m, "shift", take, self._divisor)
        with m.If(take):
            m.d.sync += [bits.eq(Cat(Const(0, 1), self.tx.payload, Const(1, 1))), places.eq(10)]
        with m.Elif(strobe & (places != 0)):
            m.d.sync += [bits.eq(Cat(bits[1:], 1)), places.eq(places - 1)]
