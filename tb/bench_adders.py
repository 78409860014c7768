"""Bench of adders side by side: every pair of operands at 8 bit, a million random ones above.

``LAMINA_ADDERS`` is JSON: ``names`` (output ``o<number>`` each), ``bits``, ``places`` (pairs of
operands per cycle, packed).
"""

from __future__ import annotations

import json
import os

import cocotb
import numpy as np
from cocotb.triggers import Timer

from lamina.models.adders.adder import add
from lamina.models.adders.spec import AdderSpec
from lamina.models.fixed import bounds

SETUP = json.loads(os.environ["LAMINA_ADDERS"])
BITS, PLACES = SETUP["bits"], SETUP["places"]
SPECS = [AdderSpec.parse(name) for name in SETUP["names"]]
RANDOM_PAIRS = 1_000_000
EXHAUSTIVE_BITS = 8
BATCH = 16384


def packed(values: np.ndarray) -> list[int]:
    """Rows of ``PLACES`` numbers, each row one wide word."""
    bits = ((values[:, :, None] >> np.arange(BITS)) & 1).astype(np.uint8)
    rows = np.packbits(bits.reshape(len(values), -1), axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in rows]


def unpacked(words: list[int]) -> np.ndarray:
    """Inverse of :func:`packed`, signed."""
    size = -(-PLACES * BITS // 8)
    rows = np.array([np.frombuffer(word.to_bytes(size, "little"), dtype=np.uint8)
                     for word in words])
    bits = np.unpackbits(rows, axis=1, bitorder="little")[:, :PLACES * BITS]
    values = bits.reshape(len(words), PLACES, BITS).astype(np.int64) @ (1 << np.arange(BITS))
    half = 1 << (BITS - 1)
    return (values ^ half) - half


def operands(rng: np.random.Generator):
    """Batches of pairs: all of them where that is possible, else corners and random ones."""
    low, high = bounds(BITS)
    if BITS <= EXHAUSTIVE_BITS:
        every = np.arange(low, high + 1)
        yield np.repeat(every, len(every)), np.tile(every, len(every))
        return
    corners = np.array([low, low + 1, -1, 0, 1, high - 1, high])
    yield np.repeat(corners, len(corners)), np.tile(corners, len(corners))
    for _ in range(RANDOM_PAIRS // BATCH + 1):
        size = rng.choice([BITS, 8, 4])
        yield rng.integers(low, high + 1, BATCH), rng.integers(
            *bounds(int(size)), BATCH, endpoint=True)


@cocotb.test(timeout_time=1, timeout_unit="sec")
async def sums_are_golden(dut):
    """Every adder on every pair, and each of them errs where it may."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    erred = np.zeros(len(SPECS), dtype=np.int64)
    for a, b in operands(rng):
        size = -(-len(a) // PLACES) * PLACES
        pairs = [np.resize(vector, size).reshape(-1, PLACES) for vector in (a, b)]
        words: list[list[int]] = [[] for _ in SPECS]
        for x, y in zip(*map(packed, pairs), strict=True):
            dut.a.value, dut.b.value = x, y
            await Timer(1, "ns")
            for number, found in enumerate(words):
                found.append(int(getattr(dut, f"o{number}").value))
        for number, spec in enumerate(SPECS):
            wanted = add(spec, *pairs, BITS)
            np.testing.assert_array_equal(unpacked(words[number]), wanted, spec.label)
            erred[number] += np.count_nonzero(wanted != add(AdderSpec.parse("exact"), *pairs, BITS))
    for spec, count in zip(SPECS, erred.tolist(), strict=True):
        assert (count == 0) == spec.is_exact, spec.label
