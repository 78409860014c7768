"""Bench of the scanner: spike lists against the golden scan, to the cycle of the cost model.

``LAMINA_CONFIG`` holds the :class:`HardwareConfig`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import cocotb
import numpy as np

from lamina.models.config import HardwareConfig
from lamina.models.cost import scan_times
from lamina.models.spike_buffer import scan
from lamina.tb.ports import Ports

CONFIG = HardwareConfig.from_json(os.environ["LAMINA_CONFIG"])
LANES = CONFIG.lanes
WORDS = CONFIG.axons // LANES
FULL = (1 << LANES) - 1
AXONS = ("axon", "axon_second")[:CONFIG.ports]
"""Where the entries of an index are read."""


def axons_of(words: Sequence[int]) -> list[int]:
    """Spike list of bitmap words."""
    return scan(np.array([word >> lane & 1 for word in words for lane in range(LANES)]))


class Scans:
    """Starts scans, serves their words, and reads both lists all the while."""

    def __init__(self, dut):
        self.ports = Ports(dut, "start", "slot", "words", "ready_words", "word", "read_slot",
                           "read_index", "silent")
        self.lists: list[list[int]] = [[], []]
        self.reads = 0
        self._rng = np.random.default_rng(cocotb.RANDOM_SEED)
        self._asked: dict[str, int] = {}

    def _noise(self, limit: int) -> int:
        return int(self._rng.integers(limit + 1))

    async def _cycle(self, readable: tuple[int, int], **values: int) -> None:
        """One cycle that also checks the entry asked for before and asks for another one."""
        slot = self._noise(1)
        index = self._noise(max(readable[slot] - 1, 0)) // CONFIG.ports
        await self.ports.cycle(read_slot=slot, read_index=index, **values)
        self._check()
        self._ask(slot, index, readable[slot])

    def _ask(self, slot: int, index: int, readable: int) -> None:
        """Note what the list holds at `index`, as far as it may be read."""
        entries = self.lists[slot][:readable][CONFIG.ports * index:]
        self._asked = dict(zip(AXONS, entries, strict=False))

    def _check(self) -> None:
        """Compare what was asked for."""
        self.reads += bool(self._asked)
        assert self._asked == {name: self.ports.read(name) for name in self._asked}

    async def run(self, words: Sequence[int], slot: int, ready: Sequence[int] = (), *,
                  silent: bool = False) -> None:
        """Scan `words` into `slot`; word k may be read from cycle ``ready[k]`` on (default 0).

        If `silent`, none of them is.
        """
        given, words = len(words), [] if silent else words
        ready = ready or [0] * len(words)
        counts = [word.bit_count() for word in words]
        due, end = scan_times(counts, ready, 0, CONFIG.preview)
        self.lists[slot] = axons_of(words)
        counted, found, fetched = [], [], []
        for now in range(end + 1):
            fetching = bool(fetched) and fetched[-1][0] == now - 1
            readable = [0, 0]
            readable[slot] = sum(cycle <= now for cycle in due)
            readable[1 - slot] = len(self.lists[1 - slot])
            await self._cycle(
                (readable[0], readable[1]), start=int(now == 0),
                slot=slot if now == 0 else self._noise(1),
                words=given if now == 0 else self._noise(WORDS),
                silent=int(silent) if now == 0 else self._noise(1),
                ready_words=sum(cycle <= now for cycle in ready),
                word=words[fetched[-1][1]] if fetching else self._noise(FULL))
            if now:
                assert self.ports.read("busy") == (now < end), f"cycle {now} of {end}"
                counted += [now] * (self.ports.read(f"count{slot}") - len(counted))
            found += [now + 1] * self.ports.read("found_stb")
            if self.ports.read("fetch"):
                fetched.append((now, self.ports.read("address")))
                assert ready[fetched[-1][1]] <= now
        assert [word for _, word in fetched] == list(range(len(words)))
        assert counted == found == due
        assert self.ports.read(f"count{1 - slot}") == len(self.lists[1 - slot])

    async def read_back(self) -> None:
        """Read both lists from beginning to end."""
        for slot, entries in enumerate(self.lists):
            for index in range(-(-len(entries) // CONFIG.ports)):
                await self.ports.cycle(read_slot=slot, read_index=index)
                await self.ports.cycle()
                self._ask(slot, index, len(entries))
                self._check()
        self._asked = {}


async def started(dut) -> Scans:
    scans = Scans(dut)
    await scans.ports.start()
    return scans


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def empty_full_and_sparse_bitmaps(dut):
    """No word, empty words, one spike at either end, all spikes; the list of each slot is kept."""
    scans = await started(dut)
    empty = [0] * WORDS
    cases = [[], empty, [FULL] * WORDS, [], [1, *empty[1:]], [*empty[1:], 1 << (LANES - 1)],
             [FULL], [0], [FULL, 0] * (WORDS // 2), [0, 1] * (WORDS // 2), [3, 0, 0, FULL],
             [1 << (LANES - 1)] * WORDS]
    for number, words in enumerate(cases):
        await scans.run(words, number % 2)
        await scans.read_back()
    for words in cases:
        await scans.run(words, 1)
    assert scans.reads > 0


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def silence_is_not_looked_at(dut):
    """Words that are known to be empty: no fetch, an empty list, at once."""
    scans = await started(dut)
    for count in (WORDS, 1, 0, WORDS):
        await scans.run([FULL], 0)
        await scans.run([0] * count, 1, silent=True)
        await scans.run([0] * count, 0, silent=True)
        await scans.run([1] * count, 1)
        await scans.read_back()
    assert scans.reads > 0


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def words_that_become_ready_late(dut):
    """All at once, one by one at every distance, and a long wait before the last one."""
    scans = await started(dut)
    for words in ([FULL, FULL, FULL, FULL], [0, 0, 0, 0], [1, 0, 2, 3]):
        for distance in range(1, LANES + 3):
            for first in (1, 2, 3, 5):
                ready = [first + distance * k for k in range(len(words))]
                await scans.run(words, distance % 2, ready)
        await scans.run(words, 0, [20] * 4)
        await scans.run(words, 1, [0, 0, 0, 40])
    assert scans.reads > 0


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def random_bitmaps_agree(dut):
    """Any number of words, any density, ready at random, started in the cycle after the last."""
    scans = await started(dut)
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    entries = 0
    for _ in range(40):
        density = rng.choice([0.02, 0.1, 0.5, 0.95])
        bits = rng.random((int(rng.integers(WORDS + 1)), LANES)) < density
        words = [int(sum(1 << lane for lane in np.flatnonzero(row).tolist())) for row in bits]
        gaps = rng.integers(int(rng.choice([1, 2, LANES])), size=len(words))
        await scans.run(words, int(rng.integers(2)), np.cumsum(gaps).tolist())
        entries += int(bits.sum())
    assert entries > 0 and scans.reads > 0
