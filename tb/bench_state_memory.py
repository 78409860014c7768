"""Bench of the state memory: rows read, written lane by lane and shifted, against an array.

``LAMINA_CONFIG`` holds the :class:`HardwareConfig`.
"""

from __future__ import annotations

import os

import cocotb
import numpy as np

from lamina.models.config import HardwareConfig
from lamina.tb.ports import Ports, join_lanes

CONFIG = HardwareConfig.from_json(os.environ["LAMINA_CONFIG"])
LANES, SLOT, BLOCKS = CONFIG.lanes, CONFIG.slot_bits, CONFIG.blocks
EVERY_BLOCK = (1 << BLOCKS) - 1
ROWS = 8 * CONFIG.groups
WIDTH = LANES * SLOT


class Rows:
    """The memory and an array beside it."""

    def __init__(self, dut):
        self.ports = Ports(dut, "address", "shift", "write_address", "write_lanes", "write_word")
        self.rng = np.random.default_rng(cocotb.RANDOM_SEED)
        self.rows = [0] * ROWS

    def noise(self) -> int:
        """A random word."""
        return int.from_bytes(self.rng.bytes(-(-WIDTH // 8))) & ((1 << WIDTH) - 1)

    async def start(self) -> None:
        """Reset, then fill every row."""
        await self.ports.start()
        for row in self.rng.permutation(ROWS).tolist():
            await self.ports.cycle(**self.writing(row, (1 << LANES) - 1))

    def writing(self, row: int, lanes: int) -> dict[str, int]:
        """Inputs that write some lanes of a row; the array follows."""
        word = self.noise()
        mask = sum(((1 << SLOT) - 1) << (SLOT * lane)
                   for lane in range(LANES) if lanes >> lane & 1)
        self.rows[row] = self.rows[row] & ~mask | word & mask
        return {"write_address": row, "write_lanes": lanes, "write_word": word}


async def started(dut) -> Rows:
    rows = Rows(dut)
    await rows.start()
    return rows


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def rows_are_read_while_others_are_written(dut):
    """One row per cycle, two cycles after its address, beside writes of any lanes."""
    rows = await started(dut)
    due: list[int] = []
    for cycle in range(600):
        row, other = rows.rng.choice(ROWS, 2, replace=False).tolist()
        due.append(rows.rows[row])
        lanes = int(rows.rng.choice([0, 1, 1 << (LANES - 1), (1 << LANES) - 1,
                                     rows.rng.integers(1 << LANES)]))
        await rows.ports.cycle(address=row, **rows.writing(other, lanes))
        if cycle >= 2:
            assert rows.ports.read("word") == due[cycle - 2], f"cycle {cycle}"


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def words_shift_down_lane_by_lane(dut):
    """The host's way: every lane of a block passes its lane 0, and zeros follow."""
    rows = await started(dut)
    for row in (0, ROWS - 1, *rows.rng.integers(ROWS, size=6).tolist()):
        await rows.ports.cycle(address=row)
        await rows.ports.cycle(address=int(rows.rng.integers(ROWS)))
        width = WIDTH // BLOCKS
        blocks = [rows.rows[row] >> width * block & (1 << width) - 1 for block in range(BLOCKS)]
        for lane in range(LANES // BLOCKS + 2):
            await rows.ports.cycle(shift=EVERY_BLOCK, address=int(rows.rng.integers(ROWS)))
            shifted = join_lanes([block >> SLOT * lane for block in blocks], width)
            assert rows.ports.read("word") == shifted, f"lane {lane}"


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def a_row_that_is_held_follows_writes_and_shifts(dut):
    """With the address at rest: the row as it is written, and again after any number of shifts."""
    rows = await started(dut)
    for row in (0, ROWS - 1, *rows.rng.integers(ROWS, size=20).tolist()):
        await rows.ports.cycle(address=row)
        for _ in range(int(rows.rng.integers(4))):
            await rows.ports.cycle(address=row)
        written = row if rows.rng.random() < 0.7 else int(rows.rng.integers(ROWS))
        await rows.ports.cycle(address=row, **rows.writing(written, (1 << LANES) - 1))
        for wait in range(5):
            await rows.ports.cycle(address=row)
            assert wait < 2 or rows.ports.read("word") == rows.rows[row], f"{wait} cycles behind"
        for _ in range(int(rows.rng.integers(1, 4))):
            await rows.ports.cycle(address=row, shift=EVERY_BLOCK)
        await rows.ports.cycle(address=row)
        for wait in range(3):
            await rows.ports.cycle(address=row)
            assert rows.ports.read("word") == rows.rows[row], f"{wait} cycles behind the shifts"
