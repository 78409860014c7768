"""Bench of the memory of partial sums: written lane by lane, read by rows, against an array.

``LAMINA_CONFIG`` holds the :class:`HardwareConfig`.
"""

from __future__ import annotations

import os

import cocotb
import numpy as np

from lamina.models.config import HardwareConfig
from lamina.tb.ports import Ports, split_lanes

CONFIG = HardwareConfig.from_json(os.environ["LAMINA_CONFIG"])
LANES, BITS = CONFIG.lanes, CONFIG.acc_bits
LOW, HIGH = -(1 << (BITS - 1)), (1 << (BITS - 1)) - 1


class Sums:
    """The memory, and an array (2, neurons) beside it."""

    def __init__(self, dut):
        self.ports = Ports(dut, "write", "neuron", "side", "value", "address", "read_side")
        self.rng = np.random.default_rng(cocotb.RANDOM_SEED)
        self.sums = np.zeros((2, CONFIG.neurons), dtype=np.int64)

    def writing(self, side: int, neuron: int) -> dict[str, int]:
        """Inputs that write a sum; the array follows."""
        value = int(self.rng.choice([LOW, -1, 0, 1, HIGH, self.rng.integers(LOW, HIGH + 1)]))
        self.sums[side, neuron] = value
        return {"write": 1, "side": side, "neuron": neuron, "value": value & ((1 << BITS) - 1)}

    def row(self, side: int, row: int) -> list[int]:
        """What a row holds now."""
        return self.sums[side, row * LANES:(row + 1) * LANES].tolist()

    def noise(self) -> dict[str, int]:
        """Inputs of a cycle that writes nothing."""
        return {"side": int(self.rng.integers(2)), "value": int(self.rng.integers(1 << BITS)),
                "neuron": int(self.rng.integers(CONFIG.neurons))}


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def one_side_is_read_while_the_other_is_written(dut):
    """A row per cycle, two cycles behind its address; the sides change roles now and then."""
    sums = Sums(dut)
    await sums.ports.start()
    for side in (0, 1):
        for neuron in sums.rng.permutation(CONFIG.neurons).tolist():
            await sums.ports.cycle(**sums.writing(side, neuron))
    due: list[list[int]] = []
    written = 0
    for cycle in range(800):
        side, row = cycle // 37 % 2, int(sums.rng.integers(CONFIG.groups))
        due.append(sums.row(side, row))
        writes = sums.rng.random() < 0.6
        written += writes
        inputs = sums.writing(1 - side, int(sums.rng.integers(CONFIG.neurons))) if writes \
            else {"write": 0, **sums.noise()}
        await sums.ports.cycle(address=row, read_side=side, **inputs)
        if cycle >= 2:
            got = split_lanes(sums.ports.read("word"), BITS, LANES)
            assert got == due[cycle - 2], f"cycle {cycle}"
    assert 300 < written < 700
