"""Bench of the stream driver and monitor: a wire that passes a stream of bytes."""

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from lamina.tb.streams import StreamDriver, StreamMonitor, reset


@cocotb.test(timeout_time=100, timeout_unit="us")
async def payloads_pass_in_order(dut):
    """Nothing is lost, repeated or reordered under stalls on both sides."""
    Clock(dut.clk, 10, unit="ns").start()
    driver = StreamDriver(dut, "i", stall=0.3, seed=cocotb.RANDOM_SEED)
    monitor = StreamMonitor(dut, "o", stall=0.6, seed=cocotb.RANDOM_SEED + 1)
    await reset(dut)
    cocotb.start_soon(driver.run())
    cocotb.start_soon(monitor.run())
    sent = np.random.default_rng(cocotb.RANDOM_SEED).integers(0, 256, 300).tolist()
    driver.send(*sent)
    while driver.pending:
        await FallingEdge(dut.clk)
    await FallingEdge(dut.clk)
    assert monitor.taken == sent
