"""Bench of the SPI peripheral: a host on its pins, streams with random stalls behind it."""

from __future__ import annotations

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, Timer

from lamina.models.link.framing import END, encode_frame
from lamina.models.link.spi import without_fillers
from lamina.tb.spi import SpiHost
from lamina.tb.streams import StreamDriver, StreamMonitor, reset

CYCLE_PS = 10_000
FASTEST_PS = 4 * CYCLE_PS


async def started(dut, *, stall: float = 0.0, half_ps: int = FASTEST_PS, **fields):
    """Host, and the streams behind the peripheral."""
    def drive(cs_n, sck, copi):
        dut.cs_n.value, dut.sck.value, dut.copi.value = cs_n, sck, copi

    host = SpiHost(drive, lambda: (int(dut.cipo.value), int(dut.ready.value)), half_ps=half_ps,
                   seed=cocotb.RANDOM_SEED, **fields)
    Clock(dut.clk, CYCLE_PS, unit="ps").start()
    monitor = StreamMonitor(dut, "rx", stall=stall, seed=cocotb.RANDOM_SEED + 1)
    driver = StreamDriver(dut, "tx", stall=stall, seed=cocotb.RANDOM_SEED + 2)
    await reset(dut, 3)
    for stream in (monitor, driver):
        cocotb.start_soon(stream.run())
    await ClockCycles(dut.clk, 4)
    return host, monitor, driver


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def bytes_go_both_ways_at_full_speed(dut):
    """At the fastest clock and at any phase: each byte in its place, then fillers."""
    host, monitor, driver = await started(dut, heeds=False)
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    for _ in range(8):
        given = bytes([0x80, 0x01, 0x55, *rng.integers(0, 256, 5)])
        sent = bytes([0x01, 0x80, 0xAA, *rng.integers(0, 192, 8), 7])
        driver.send(*given)
        await Timer(20 * CYCLE_PS + int(rng.integers(CYCLE_PS)), "ps")
        came = await host.transfer(sent)
        await ClockCycles(dut.clk, 5)
        assert came == given + 4 * END
        assert bytes(monitor.taken) == sent
        monitor.taken.clear()


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def a_byte_that_is_broken_off_never_happened(dut):
    """After one to seven bits nothing came in, and the byte that went out goes out again."""
    host, monitor, driver = await started(dut)
    driver.send(0x12, 0xE7)
    await ClockCycles(dut.clk, 4)
    for bits in (7, *range(1, 8)):
        await host.select()
        assert await host.shift(0xFF, bits) == 0x12 & ~(0xFF >> bits)
        await host.deselect()
    assert driver.pending == 2
    assert await host.transfer(b"\x34\x35") == b"\x12\xe7"
    await host.select()
    await host.deselect()
    await ClockCycles(dut.clk, 5)
    assert bytes(monitor.taken) == b"\x34\x35"
    assert driver.pending == 0


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def fillers_leave_no_trace(dut):
    """An END after an END, and after reset, is not passed on."""
    host, monitor, _ = await started(dut)
    line = 3 * END + b"\x01" + END + b"\x02\x03" + 4 * END + b"\xc1" + END
    assert await host.transfer(line[:6]) + await host.transfer(line[6:]) == len(line) * END
    await ClockCycles(dut.clk, 5)
    assert bytes(monitor.taken) == b"\x01" + END + b"\x02\x03" + END + b"\xc1" + END
    assert bytes(monitor.taken) == without_fillers(line)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def a_byte_not_taken_holds_and_the_next_are_dropped(dut):
    """Without room `ready` is low; what comes then is lost, and never changes what is offered."""
    host, monitor, driver = await started(dut, stall=1.0, heeds=False)
    driver.stall = 0.0
    driver.send(0x77, 0x78)
    await ClockCycles(dut.clk, 4)
    assert dut.ready.value == 1
    assert await host.transfer(b"\x12") == b"\x77"
    assert dut.ready.value == 0
    assert await host.transfer(b"\x34" + END) == b"\x78" + END
    monitor.stall = 0.0
    await ClockCycles(dut.clk, 6)
    assert dut.ready.value == 0, "the frame that is being sent has to go on"
    driver.send(0xC0)
    await ClockCycles(dut.clk, 4)
    assert dut.ready.value == 1
    assert await host.transfer(b"\x56") == END
    await ClockCycles(dut.clk, 5)
    assert bytes(monitor.taken) == b"\x12\x56"
    assert dut.ready.value == 1


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def frames_at_random_speeds_with_stalls(dut):
    """Gaps on the line, stalls of both streams, `ready` heeded: nothing is lost or broken."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    host, monitor, driver = await started(dut, stall=0.99, half_ps=FASTEST_PS + 137, gap=0.3)
    sent, received, given = b"", b"", b""
    for _ in range(12):
        frames = [encode_frame(rng.integers(0, 256, int(rng.integers(2, 20)), dtype=np.uint8)
                               .tobytes()) + int(rng.integers(3)) * END for _ in range(2)]
        driver.send(*frames[0])
        received += await host.transfer(frames[1])
        given, sent = given + frames[0], sent + frames[1]
    while driver.pending:
        received += await host.transfer(8 * END)
    assert host.waits > 0
    await ClockCycles(dut.clk, 5000)
    assert bytes(monitor.taken) == without_fillers(sent)
    assert without_fillers(received) == without_fillers(given)
