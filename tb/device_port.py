"""The driver's line to a simulated device: one wake-up of Python per exchange, not per cycle."""

from __future__ import annotations

from cocotb.clock import Clock
from cocotb.handle import SimHandleBase
from cocotb.triggers import FallingEdge, ReadOnly

from lamina.models.link.driver import Exchange, Wait
from lamina.tb.streams import reset

__all__ = ["DevicePort"]

_BYTES = 2560
_CONDITIONS = {Wait.NOTHING: 0, Wait.TICK_READY: 1, Wait.IDLE: 2, Wait.QUIET: 3}


class DevicePort:
    """An :class:`lamina.models.link.driver.AsyncTransport` over ``device_port.sv``.

    Parameters
    ----------
    dut : SimHandleBase
        ``device_port``.
    patience : int
        Silence [cycle] after which replies are missing, and longest wait before sending.
    stall : int
        Of 256: how often each side of the byte streams pauses for a cycle.
    """

    def __init__(self, dut: SimHandleBase, *, patience: int = 5000, stall: int = 0):
        self._dut, self._patience, self._stall = dut, patience, stall
        self._go = 0

    async def start(self) -> None:
        """Start the clock and reset the device."""
        self._dut.stall.value = self._stall
        self._dut.patience.value = self._patience
        Clock(self._dut.clk, 10, unit="ns").start()
        await reset(self._dut, 4)

    async def exchange(self, exchange: Exchange) -> bytes:
        """Wait, send, and return everything that was received."""
        dut = self._dut
        if len(exchange.data) > _BYTES:
            raise ValueError(f"data must hold at most {_BYTES} bytes, not {len(exchange.data)}")
        await FallingEdge(dut.clk)
        self._go ^= 1
        dut.send_data.value = int.from_bytes(exchange.data, "little")
        dut.send_count.value = len(exchange.data)
        dut.replies.value = exchange.replies
        dut.condition.value = _CONDITIONS[exchange.wait]
        dut.go.value = self._go
        await dut.bell.value_change
        await ReadOnly()
        count = dut.reply_count.value.to_unsigned()
        received = dut.reply_data.value.to_unsigned() & ((1 << 8 * count) - 1)
        return received.to_bytes(count, "little")

    async def dump(self) -> None:
        """Record waves from now on; nothing happens in a build without them."""
        await FallingEdge(self._dut.clk)
        self._dut.dump.value = 1
