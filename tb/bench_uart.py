"""Bench of the UART: a bit-level terminal on its lines. ``LAMINA_DIVISOR`` is the divisor."""

from __future__ import annotations

import os

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, Timer

from lamina.tb.streams import StreamDriver, StreamMonitor, reset

DIVISOR = int(os.environ["LAMINA_DIVISOR"])
CYCLE_PS = 10_000


async def send_byte(dut, value: int, *, bit_ps: int, stop: int = 1) -> None:
    """Put one byte on the receive line, bits of `bit_ps` picoseconds."""
    for bit in [0, *(value >> k & 1 for k in range(8)), stop]:
        dut.rx_line.value = bit
        await Timer(bit_ps, unit="ps")
    dut.rx_line.value = 1


async def listen(dut, received: list[int]) -> None:
    """Sample the transmit line in the middle of each bit."""
    while True:
        await FallingEdge(dut.clk)
        if dut.tx_line.value == 1:
            continue
        await ClockCycles(dut.clk, DIVISOR // 2)
        bits = []
        for _ in range(9):
            assert len(bits) > 0 or dut.tx_line.value == 0
            await ClockCycles(dut.clk, DIVISOR)
            bits.append(int(dut.tx_line.value))
        assert bits[8] == 1, "the stop bit must be 1"
        received.append(sum(bit << k for k, bit in enumerate(bits[:8])))


async def started(dut, stall: float = 0.0) -> StreamMonitor:
    dut.rx_line.value = 1
    Clock(dut.clk, CYCLE_PS, unit="ps").start()
    monitor = StreamMonitor(dut, "rx", stall=stall, seed=cocotb.RANDOM_SEED)
    StreamDriver(dut, "tx")
    await reset(dut)
    cocotb.start_soon(monitor.run())
    return monitor


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def receives_at_the_edges_of_the_tolerance(dut):
    """Back to back bytes at the nominal rate and at both ends of the tolerance, any phase."""
    monitor = await started(dut)
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    tolerance = 3 if DIVISOR >= 16 else 1
    for percent in (0, tolerance, -tolerance):
        values = [0, 255, 0x55, 0xAA, *rng.integers(0, 256, 12).tolist()]
        await Timer(int(rng.integers(CYCLE_PS)), unit="ps")
        for value in values:
            await send_byte(dut, value, bit_ps=DIVISOR * CYCLE_PS * (100 + percent) // 100)
        await ClockCycles(dut.clk, 2 * DIVISOR)
        assert monitor.taken == values, percent
        monitor.taken.clear()


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def glitches_and_breaks_are_no_bytes(dut):
    """A short dip of the line, a wrong stop bit, a long break: nothing; then a good byte."""
    monitor = await started(dut)
    dut.rx_line.value = 0
    await ClockCycles(dut.clk, DIVISOR // 4)
    dut.rx_line.value = 1
    await ClockCycles(dut.clk, 12 * DIVISOR)
    await send_byte(dut, 0x33, bit_ps=DIVISOR * CYCLE_PS, stop=0)
    await ClockCycles(dut.clk, 12 * DIVISOR)
    dut.rx_line.value = 0
    await ClockCycles(dut.clk, 25 * DIVISOR)
    dut.rx_line.value = 1
    await ClockCycles(dut.clk, 12 * DIVISOR)
    assert monitor.taken == []
    await send_byte(dut, 0x5A, bit_ps=DIVISOR * CYCLE_PS)
    await ClockCycles(dut.clk, 2 * DIVISOR)
    assert monitor.taken == [0x5A]


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def a_byte_not_taken_holds_and_the_next_are_dropped(dut):
    """Overrun drops what comes later and never changes what is offered."""
    monitor = await started(dut, stall=1.0)
    for value in (0x12, 0x34, 0x56):
        await send_byte(dut, value, bit_ps=DIVISOR * CYCLE_PS)
    monitor.stall = 0.0
    await ClockCycles(dut.clk, 4)
    await send_byte(dut, 0x78, bit_ps=DIVISOR * CYCLE_PS)
    await ClockCycles(dut.clk, 2 * DIVISOR)
    assert monitor.taken == [0x12, 0x78]


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def sends_bytes_at_full_rate(dut):
    """Bytes with and without gaps, decoded on the line; ten bit times each, plus one cycle."""
    await started(dut)
    received: list[int] = []
    cocotb.start_soon(listen(dut, received))
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    for stall in (0.0, 0.9):
        driver = StreamDriver(dut, "tx", stall=stall, seed=cocotb.RANDOM_SEED)
        values = [0, 255, 0x55, *rng.integers(0, 256, 12).tolist()]
        running = cocotb.start_soon(driver.run())
        driver.send(*values)
        cycles = 0
        while driver.pending:
            await FallingEdge(dut.clk)
            cycles += 1
        if not stall:
            assert abs(cycles - (10 * DIVISOR + 1) * (len(values) - 1)) <= 3
        await ClockCycles(dut.clk, 11 * DIVISOR)
        running.cancel()
        assert received == values
        received.clear()


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def both_directions_at_once(dut):
    """The line looped back outside: what is sent is received."""
    monitor = await started(dut)

    async def loop():
        while True:
            await FallingEdge(dut.clk)
            dut.rx_line.value = int(dut.tx_line.value)

    cocotb.start_soon(loop())
    driver = StreamDriver(dut, "tx")
    cocotb.start_soon(driver.run())
    values = np.random.default_rng(cocotb.RANDOM_SEED).integers(0, 256, 30).tolist()
    driver.send(*values)
    while len(monitor.taken) < len(values):
        await FallingEdge(dut.clk)
    assert monitor.taken == values
