"""Bench of the counters: sums of increments modulo 2**32.

``LAMINA_MOST`` holds the largest increment of each counter as a JSON list.
"""

from __future__ import annotations

import collections
import itertools
import json
import os

import cocotb
import numpy as np
from cocotb.triggers import Timer

from lamina.tb.ports import Ports

MOST = json.loads(os.environ["LAMINA_MOST"])
COUNT = len(MOST)
ROUND = 4 * COUNT
NS_PER_CYCLE = 10
NAMES = [f"add{k}" for k in range(COUNT)]


class Totals:
    """Counts, and remembers what it counted until two cycles ago."""

    def __init__(self, dut):
        self.ports = Ports(dut, *NAMES, "zero_stb", "read", "index")
        self.totals = [0] * COUNT
        self._rng = np.random.default_rng(cocotb.RANDOM_SEED)
        self._recent = collections.deque([list(self.totals)] * 2, maxlen=2)

    async def start(self) -> None:
        """Reset, then wait until all are zero."""
        await self.ports.start()
        await self.idle(3 * ROUND)

    async def idle(self, cycles: int) -> None:
        """Count nothing for a while."""
        for _ in range(cycles):
            await self.count(0.0)

    async def count(self, activity: float = 1.0, **values: int) -> None:
        """One cycle with random increments, the largest ones often."""
        self._recent.append(list(self.totals))
        adds = {}
        for position, (name, most) in enumerate(zip(NAMES, MOST, strict=True)):
            add = most if self._rng.random() < 0.5 else int(self._rng.integers(most + 1))
            adds[name] = add if self._rng.random() < activity else 0
            self.totals[position] += adds[name]
        await self.ports.cycle(**adds, **values)

    async def check(self, index: int, *, activity: float = 0.0) -> None:
        """Read a counter while counting goes on: what is due by then is in it."""
        for waited in itertools.count():
            assert waited <= ROUND
            await self.count(activity, read=1, index=index)
            if self.ports.read("ready"):
                break
        low, due = self.ports.read("low"), self._recent[0][index]
        for _ in range(2):
            await self.count(activity)
            assert not self.ports.read("ready")
        assert low | self.ports.read("high") << 16 == due % (1 << 32), f"counter {index}"

    async def check_all(self) -> None:
        """Every counter, while nothing is counted."""
        await self.idle(2)
        for index in range(COUNT):
            await self.check(index)


async def started(dut) -> Totals:
    totals = Totals(dut)
    await totals.start()
    return totals


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def nothing_and_single_increments(dut):
    """Zero after reset; one increment in every phase of a round reaches its counter alone."""
    totals = await started(dut)
    await totals.check_all()
    for phase in range(ROUND + 1):
        index = phase % COUNT
        await totals.ports.cycle(**{NAMES[index]: 1})
        totals.totals[index] += 1
        await totals.idle(phase % 5)
    await totals.check_all()


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def largest_increments_carry_into_the_high_word(dut):
    """All counters at their largest in every cycle, for thousands of cycles."""
    totals = await started(dut)
    cycles = 0
    while min(totals.totals[index] for index in range(COUNT) if MOST[index] > 8) < 3 << 16:
        cycles += 1
        await totals.ports.cycle(**dict(zip(NAMES, MOST, strict=True)))
        totals.totals = [total + most
                         for total, most in zip(totals.totals, MOST, strict=True)]
    assert cycles > 2 * ROUND
    await totals.check_all()


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def random_increments_agree(dut):
    """Busy and quiet stretches, read while counting goes on."""
    totals = await started(dut)
    for activity in (0.02, 0.5, 1.0):
        for index in range(COUNT):
            for _ in range(ROUND // 2 + index):
                await totals.count(activity)
            await totals.check(index, activity=activity)
        await totals.check_all()
    assert min(totals.totals) > 0


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def zeroing_forgets_everything(dut):
    """Low and high words of all counters, also of those counted in the meantime."""
    totals = await started(dut)
    for _ in range(70):
        for _ in range(ROUND):
            await totals.count()
        if max(totals.totals) >> 16:
            break
    await totals.count(zero_stb=1)
    for _ in range(ROUND):
        await totals.count()
    await totals.idle(2 * ROUND)
    totals.totals = [0] * COUNT
    await totals.check_all()
    for _ in range(ROUND):
        await totals.count(0.5)
    await totals.check_all()


@cocotb.test(timeout_time=40, timeout_unit="ms", skip=max(MOST) < 2000)
async def counters_wrap_at_32_bits(dut):
    """The fastest counter passes 2**32 and starts again; skipped where that takes too long."""
    totals = await started(dut)
    index = int(np.argmax(MOST))
    cycles = (1 << 32) // MOST[index] + 3
    await totals.ports.cycle(**{NAMES[index]: MOST[index]})
    await Timer(cycles * NS_PER_CYCLE - NS_PER_CYCLE // 2, unit="ns")
    await totals.ports.cycle()
    totals.totals[index] = cycles * MOST[index]
    assert totals.totals[index] > 1 << 32
    await totals.check_all()
