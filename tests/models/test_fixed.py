"""Saturation and wrap-around, exhaustively at small widths."""

from __future__ import annotations

import numpy as np
import pytest

from lamina.models.fixed import bounds, outside, saturate, signed_bits, wrap


@pytest.mark.parametrize(("bits", "low", "high"), [
    (1, -1, 0), (2, -2, 1), (8, -128, 127), (16, -32768, 32767), (32, -(2**31), 2**31 - 1)])
def test_bounds(bits, low, high):
    assert bounds(bits) == (low, high)


@pytest.mark.parametrize("bits", [1, 2, 3, 5, 8])
def test_saturate_and_wrap_equal_their_definitions(bits):
    low, high = bounds(bits)
    x = np.arange(-600, 601)
    assert saturate(x, bits).tolist() == [min(max(v, low), high) for v in x.tolist()]
    wrapped = wrap(x, bits)
    assert ((wrapped >= low) & (wrapped <= high)).all()
    assert ((wrapped - x) % (1 << bits) == 0).all()
    assert outside(x, bits) == sum(not low <= v <= high for v in x.tolist())


def test_wrap_works_at_the_widest_accumulator():
    half = 1 << 61
    assert wrap(np.array([half - 1, half, -half, -half - 1]), 62).tolist() == [
        half - 1, -half, -half, half - 1]


def test_signed_bits_is_the_smallest_width_that_holds_the_range():
    for low in range(-70, 71):
        for high in range(low, 71):
            bits = signed_bits(low, high)
            assert bounds(bits)[0] <= low and high <= bounds(bits)[1]
            if bits > 1:
                assert low < bounds(bits - 1)[0] or high > bounds(bits - 1)[1]
