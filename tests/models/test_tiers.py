"""Weight slices and gated tiers, exhaustively over all codes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from lamina.models.tiers import effective_weights, join_slices, readable_codes, slice_weights

CODES = np.arange(-128, 128)


@pytest.mark.parametrize("tiers", [(2, 2, 2, 2), (8,), (1, 3, 4), (4, 4), (4, 4, 4, 4), (5, 4)])
def test_slices_join_to_the_same_code(tiers):
    slices = slice_weights(CODES, tiers)
    assert [int(part.max()) for part in slices] == [(1 << bits) - 1 for bits in tiers]
    assert all(part.min() == 0 for part in slices)
    np.testing.assert_array_equal(join_slices(slices, tiers), CODES)


def test_the_first_slice_is_the_most_significant():
    slices = slice_weights(np.array([0b01101100, -1, -128]), (2, 2, 2, 2))
    assert [part.tolist() for part in slices] == [[1, 3, 2], [2, 3, 0], [3, 3, 0], [0, 3, 0]]


def test_narrow_codes_are_sign_extended():
    assert [part.tolist() for part in slice_weights(np.array([-1, 1]), (2, 4))] == [[3, 0], [15, 1]]


@pytest.mark.parametrize(("gated", "fill", "expected"), [
    (0, "mid", [0b0110_1101, -1, -128, 3]), (1, "zero", [0b0110_1100, -4, -128, 0]),
    (1, "mid", [0b0110_1110, -2, -126, 2]), (2, "zero", [0b0110_0000, -16, -128, 0]),
    (2, "mid", [0b0110_1000, -8, -120, 8]), (3, "mid", [0b0110_0000, -32, -96, 32])])
def test_gated_bits_are_filled(gated, fill, expected):
    codes = np.array([0b0110_1101, -1, -128, 3])
    assert effective_weights(codes, (2, 2, 2, 2), gated, fill).tolist() == expected


@pytest.mark.parametrize("tiers", [(2, 2, 2, 2), (3, 1, 4), (1, 7)])
def test_fill_centres_the_error(tiers):
    for gated in range(1, len(tiers)):
        lost = sum(tiers[-gated:])
        zero = effective_weights(CODES, tiers, gated, "zero")
        middle = effective_weights(CODES, tiers, gated, "mid")
        np.testing.assert_array_equal(zero, CODES >> lost << lost)
        np.testing.assert_array_equal(middle - zero, 1 << (lost - 1))


@pytest.mark.parametrize("tiers", [(2, 2, 2, 2), (1, 3, 4), (8,), (1,)])
def test_readable_codes_are_the_extremes_of_every_choice_of_bits(tiers):
    codes = CODES if tiers != (1,) else np.array([-1, 1])
    for failing in itertools.product((False, True), repeat=len(tiers)):
        choices = [np.arange(1 << bits) if fails else None
                   for bits, fails in zip(tiers, failing, strict=True)]
        read = []
        for parts in itertools.product(*[[None] if c is None else c.tolist() for c in choices]):
            slices = slice_weights(codes, tiers)
            read.append(join_slices([stored if part is None else np.full_like(stored, part)
                                     for stored, part in zip(slices, parts, strict=True)], tiers))
        low, high = readable_codes(codes, tiers, failing)
        np.testing.assert_array_equal(low, np.min(read, axis=0))
        np.testing.assert_array_equal(high, np.max(read, axis=0))


@pytest.mark.parametrize(("arguments", "message"), [
    (([128], (2, 2, 2, 2), 0, "mid"),
     r"weights must be in -128\.\.127 for tiers \(2, 2, 2, 2\), not 128"),
    (([-9], (2, 2), 0, "mid"), r"weights must be in -8\.\.7 for tiers \(2, 2\), not -9"),
    (([0], (2, 2), 2, "mid"), r"gated tiers must be in 0\.\.1, not 2"),
    (([0], (2, 2), 1, "one"), r"tier fill must be one of zero, mid, not 'one'")])
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        effective_weights(*arguments)
