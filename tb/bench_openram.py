"""Bench of a memory on macros, gated flip-flops or latches, against an array.

``LAMINA_MEMORY`` (JSON) holds ``depth``, ``width`` and ``parts`` (of a word, written one by one).
"""

from __future__ import annotations

import json
import os

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, RisingEdge, Timer

from lamina.tb.ports import Ports

MEMORY = json.loads(os.environ["LAMINA_MEMORY"])
DEPTH, WIDTH, PARTS = MEMORY["depth"], MEMORY["width"], MEMORY["parts"]
CYCLES = 3000


class Words:
    """The memory and an array beside it."""

    def __init__(self, dut):
        self.dut = dut
        self.ports = Ports(dut, "read_en", "read_addr", "write_en", "write_addr")
        self.rng = np.random.default_rng(cocotb.RANDOM_SEED)
        self.words = [0] * DEPTH
        self._data = 0

    async def drive_data(self) -> None:
        """What is written is there until the edge that takes it, noise after it."""
        while True:
            await FallingEdge(self.dut.clk)
            self.dut.write_data.value = self._data
            await RisingEdge(self.dut.clk)
            await Timer(1, "ns")
            self.dut.write_data.value = self.noise()

    def noise(self) -> int:
        """A random word."""
        return int.from_bytes(self.rng.bytes(-(-WIDTH // 8))) & ((1 << WIDTH) - 1)

    def write(self, place: int, parts: int) -> dict[str, int]:
        """Inputs that write some parts of a word; the array follows."""
        word, bits = self.noise(), WIDTH // PARTS
        mask = sum(((1 << bits) - 1) << bits * part for part in range(PARTS) if parts >> part & 1)
        self.words[place] = self.words[place] & ~mask | word & mask
        self._data = word
        return {"write_addr": place, "write_en": parts}


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def words_are_read_while_others_are_written(dut):
    """Reads of near and far words, pauses, and writes close to what was read last."""
    words = Words(dut)
    rng = words.rng
    await words.ports.start()
    cocotb.start_soon(words.drive_data())
    for place in range(DEPTH):
        await words.ports.cycle(**words.write(place, (1 << PARTS) - 1))
    place, expected = 0, None
    for _ in range(CYCLES):
        reading = bool(rng.random() < 0.7)
        if rng.random() < 0.6:
            place = (place + int(rng.integers(3))) % DEPTH if rng.random() < 0.8 \
                else int(rng.integers(DEPTH))
        following = words.words[place] if reading else expected
        inputs = {"read_en": int(reading), "read_addr": place}
        if rng.random() < 0.5:
            other = (place + int(rng.integers(1, 4))) % DEPTH if reading else place
            inputs |= words.write(other, int(rng.integers(1, 1 << PARTS)))
        await words.ports.cycle(**inputs)
        if expected is not None:
            assert dut.read_data.value.to_unsigned() == expected
        expected = following
