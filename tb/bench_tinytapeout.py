"""Bench of the Tiny Tapeout top: a host on its SPI pins runs samples through the driver.

``LAMINA_CONFIG`` holds the :class:`HardwareConfig`.
"""

from __future__ import annotations

import os

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles

from lamina.models.config import HardwareConfig
from lamina.models.link.driver import Driver, converse_async
from lamina.models.network import run
from lamina.models.placement import place
from lamina.tb.programs import random_program, random_spikes
from lamina.tb.spi import SpiHost, SpiPort

CONFIG = HardwareConfig.from_json(os.environ["LAMINA_CONFIG"])
CYCLE_PS = 20_000
CS_N, COPI, CIPO, SCK = 1, 2, 4, 8


async def started(dut, **fields) -> SpiPort:
    """The top after reset, and the driver's line to it."""
    def drive(cs_n, sck, copi):
        dut.uio_in.value = cs_n * CS_N | copi * COPI | sck * SCK

    def sample():
        assert dut.uio_oe.value == CIPO
        return int(bool(dut.uio_out.value.to_unsigned() & CIPO)), dut.uo_out.value.to_unsigned() & 1

    host = SpiHost(drive, sample, seed=cocotb.RANDOM_SEED, **fields)
    dut.ena.value, dut.ui_in.value, dut.rst_n.value = 1, 0, 0
    Clock(dut.clk, CYCLE_PS, unit="ps").start()
    await ClockCycles(dut.clk, 4)
    assert dut.uio_oe.value == 0, "the bus is left alone while it is another one's"
    dut.rst_n.value = 1
    await ClockCycles(dut.clk, 10)
    return SpiPort(host)


async def runs_samples(dut, samples: int, **fields) -> None:
    """Load a random program, run samples, compare spikes and membranes."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    program = random_program(rng, CONFIG)
    while True:
        spikes = random_spikes(rng, program, samples)
        golden = run(program, spikes, CONFIG.tiers, trace=True)
        if golden.spikes.any():
            break
    port, driver = await started(dut, **fields), Driver(CONFIG, patience=200)
    await converse_async(driver.hello(), port)
    await converse_async(driver.load_program(program), port)
    placement = place(program, CONFIG.lanes, len(CONFIG.tiers))
    for index, sample in enumerate(spikes):
        events, membranes = await converse_async(driver.run_sample(sample), port)
        for number, (layer, placed) in enumerate(zip(program.layers, placement.layers,
                                                     strict=True)):
            np.testing.assert_array_equal(membranes[number], golden.final_membranes[number][index])
            if layer.report:
                np.testing.assert_array_equal(events[:, placed.units],
                                              golden.layer_spikes[number][index])


@cocotb.test(timeout_time=1, timeout_unit="sec")
async def samples_at_the_fastest_clock(dut):
    """SCK at an eighth of the clock, `ready` not looked at."""
    await runs_samples(dut, 3, half_ps=4 * CYCLE_PS, heeds=False)


@cocotb.test(timeout_time=1, timeout_unit="sec")
async def samples_with_gaps(dut):
    """Random pauses and speeds, `ready` heeded."""
    await runs_samples(dut, 1, half_ps=4 * CYCLE_PS + 3_700, gap=0.2)


@cocotb.test(timeout_time=1, timeout_unit="sec")
async def a_reset_forgets_the_program(dut):
    """Flags on the pins: ready and idle, with a program ready for a timestep; a reset ends that."""
    for _ in range(2):
        port, driver = await started(dut, half_ps=4 * CYCLE_PS), Driver(CONFIG)
        await ClockCycles(dut.clk, 200)
        assert dut.uo_out.value == 0b0011
        await converse_async(driver.hello(), port)
        await converse_async(driver.load_program(
            random_program(np.random.default_rng(cocotb.RANDOM_SEED), CONFIG)), port)
        assert dut.uo_out.value == 0b0111
