"""Bench of the event bridge: a camera on a clock of its own, no event lost, doubled or moved.

``LAMINA_EVENTS`` is how many randomly stalled events are sent (20,000 by default).
"""

from __future__ import annotations

import os

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, Timer

EVENTS = int(os.environ.get("LAMINA_EVENTS", "20000"))
PERIOD_PS = 10_000
LONGEST_NS = 100_000 + 100 * EVENTS


async def started(dut, fast_ps: int) -> None:
    """Clocks and reset; the sender's clock has `fast_ps` picoseconds."""
    dut.rst.value = 1
    dut.run.value = 0
    Clock(dut.clk, PERIOD_PS, unit="ps").start()
    if dut.raw.value == 0:
        Clock(dut.fast, fast_ps, unit="ps").start()
    else:
        Clock(dut.fast, PERIOD_PS, unit="ps").start()
    await ClockCycles(dut.clk, 8)
    await FallingEdge(dut.clk)
    dut.rst.value = 0
    await ClockCycles(dut.clk, 8)


async def send(dut, count: int, *, ticks_every: int = 0) -> None:
    """Let `count` events through; strobe a tick every so many cycles."""
    dut.wanted.value = count
    dut.run.value = 1
    strobes = 0
    while int(dut.received.value) < count:
        await ClockCycles(dut.clk, ticks_every or 500)
        if ticks_every:
            await FallingEdge(dut.clk)
            dut.tick_stb.value = 1
            await FallingEdge(dut.clk)
            dut.tick_stb.value = 0
            strobes += 1
    await ClockCycles(dut.clk, 50)
    assert int(dut.received.value) == int(dut.sent.value) == count
    assert int(dut.errors.value) == 0
    assert int(dut.ticks.value) == strobes


@cocotb.test(timeout_time=LONGEST_NS, timeout_unit="ns")
async def an_immediate_sender_waits_for_at_most_eight_cycles(dut):
    """A sender that reacts within a tenth of a cycle gets an event through in 8 cycles or less."""
    dut.raw.value = 0
    await Timer(1, unit="ps")
    await started(dut, 970)
    await send(dut, 1000)
    assert 1000 < int(dut.cycles.value) <= 8 * 1000, int(dut.cycles.value)


@cocotb.test(timeout_time=LONGEST_NS, timeout_unit="ns")
@cocotb.parametrize(fast_ps=[970, 3_700, 10_000, 17_300], pauses=[(0, 200), (200, 0), (180, 230)])
async def no_event_is_lost(dut, fast_ps, pauses):
    """Random pauses of sender and receiver, any ratio and phase of the clocks, ticks in between."""
    dut.raw.value = 0
    dut.sender_pause.value, dut.receiver_pause.value = pauses
    await Timer(1, unit="ps")
    await started(dut, fast_ps)
    await send(dut, EVENTS // 12 + 1, ticks_every=197)


@cocotb.test(timeout_time=LONGEST_NS, timeout_unit="ns")
@cocotb.parametrize(pauses=[(0, 0), (0, 150), (150, 0), (150, 150)])
async def raw_events_pass_through(dut, pauses):
    """One event per cycle from a sender in the core's clock domain."""
    dut.raw.value = 1
    dut.sender_pause.value, dut.receiver_pause.value = pauses
    await Timer(1, unit="ps")
    await started(dut, PERIOD_PS)
    await send(dut, EVENTS // 4)
    if pauses == (0, 0):
        assert int(dut.cycles.value) <= EVENTS // 4 + 8
