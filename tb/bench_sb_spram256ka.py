"""Bench of the UltraPlus memory's model: what it keeps, and what nobody may rely on."""

from __future__ import annotations

import os

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, Timer

__all__: list[str] = []

WORDS = 16384
STRICT = os.environ.get("LAMINA_STRICT") == "1"
"""Whether the model shows garbage where Yosys' own model has X, which reads as 0 in Verilator."""


async def start(dut):
    """Clock running, memory awake and not accessed."""
    for name, value in (("ADDRESS", 0), ("DATAIN", 0), ("MASKWREN", 0), ("WREN", 0),
                        ("CHIPSELECT", 0), ("STANDBY", 0), ("SLEEP", 0), ("POWEROFF", 1)):
        getattr(dut, name).value = value
    Clock(dut.CLOCK, 10, unit="ns").start()
    for _ in range(4):
        await FallingEdge(dut.CLOCK)


async def access(dut, address, *, data=0, mask=0, write=False):
    """One access; returns what DATAOUT shows after it."""
    dut.ADDRESS.value, dut.DATAIN.value, dut.MASKWREN.value = address, data, mask
    dut.WREN.value, dut.CHIPSELECT.value = int(write), 1
    await FallingEdge(dut.CLOCK)
    dut.CHIPSELECT.value = 0
    return int(dut.DATAOUT.value)


@cocotb.test(timeout_time=200, timeout_unit="us")
async def nibbles_are_kept(dut):
    """Random masked writes and reads, both ends of the address range among them."""
    await start(dut)
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    places = [0, WORDS - 1, *rng.integers(0, WORDS, 30).tolist()]
    contents, reads = {}, 0
    for place in places:
        contents[place] = 0x5AA5 ^ place
        await access(dut, place, data=contents[place], mask=0xF, write=True)
    for _ in range(2000):
        place = int(rng.choice(places))
        if rng.random() < 0.5:
            data, mask = int(rng.integers(1 << 16)), int(rng.integers(16))
            nibbles = sum(0xF << 4 * bit for bit in range(4) if mask >> bit & 1)
            contents[place] = contents[place] & ~nibbles | data & nibbles
            await access(dut, place, data=data, mask=mask, write=True)
        else:
            assert await access(dut, place) == contents[place]
            reads += 1
    assert reads > 900


@cocotb.test(timeout_time=50, timeout_unit="us")
async def output_holds_without_an_access(dut):
    """A word that was read stays until the next access."""
    await start(dut)
    await access(dut, 5, data=0x1234, mask=0xF, write=True)
    await access(dut, 5)
    for _ in range(5):
        await FallingEdge(dut.CLOCK)
        assert int(dut.DATAOUT.value) == 0x1234


@cocotb.test(timeout_time=50, timeout_unit="us", skip=not STRICT)
async def unread_output_is_garbage(dut):
    """After a write, and before the first one, words differ from each other and from 0."""
    await start(dut)
    after_write = [await access(dut, 9, data=0, mask=0xF, write=True) for _ in range(20)]
    unwritten = [await access(dut, address) for address in range(100, 120)]
    assert len(set(after_write)) > 15
    assert len(set(unwritten)) > 15


@cocotb.test(timeout_time=50, timeout_unit="us", skip=not STRICT)
async def standby_and_sleep_keep_the_contents(dut):
    """Accesses are ignored in both and for two clocks after SLEEP, whose output is 0 at once; in
    STANDBY a clock alone spoils the output."""
    await start(dut)
    await access(dut, 3, data=0x7777, mask=0xF, write=True)
    for pin, blocked in ((dut.STANDBY, 0), (dut.SLEEP, 2)):
        await access(dut, 3)
        pin.value = 1
        await Timer(1, unit="ns")
        assert int(dut.DATAOUT.value) == (0 if pin is dut.SLEEP else 0x7777)
        await FallingEdge(dut.CLOCK)
        assert int(dut.DATAOUT.value) != 0x7777
        await access(dut, 3, data=0, mask=0xF, write=True)
        pin.value = 0
        for _ in range(blocked):
            await access(dut, 3, data=0, mask=0xF, write=True)
            assert int(dut.DATAOUT.value) != 0x7777
        assert await access(dut, 3) == 0x7777


@cocotb.test(timeout_time=50, timeout_unit="us", skip=not STRICT)
async def power_off_loses_the_contents(dut):
    """POWEROFF is active low."""
    await start(dut)
    await access(dut, 3, data=0x7777, mask=0xF, write=True)
    dut.POWEROFF.value = 0
    await FallingEdge(dut.CLOCK)
    dut.POWEROFF.value = 1
    for _ in range(3):
        await FallingEdge(dut.CLOCK)
    assert await access(dut, 3) != 0x7777
