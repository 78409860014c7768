"""Decodings on hand-made outputs, ties included."""

from __future__ import annotations

import numpy as np
import pytest

from lamina.models.decoder import decode

SPIKES = np.array([
    [[0, 1, 0], [1, 0, 0], [1, 0, 1]],
    [[0, 0, 0], [0, 1, 1], [0, 1, 0]],
    [[0, 0, 0], [0, 0, 0], [0, 0, 0]],
    [[0, 1, 1], [0, 0, 1], [1, 1, 0]],
], dtype=np.uint8)
MEMBRANES = np.array([
    [[0, 5, 9], [1, 5, -9], [2, 4, 3]],
    [[-7, -5, -6], [-1, -5, -6], [-7, -5, -6]],
    [[0, 0, 0], [0, 0, 0], [0, 0, 0]],
    [[1, 2, 2], [9, 8, 8], [3, 3, 4]],
])


@pytest.mark.parametrize(("decoding", "expected"), [
    ("count", [0, 1, 0, 1]), ("first", [1, 1, 0, 1]), ("v_final", [1, 1, 0, 2]),
    ("v_sum", [1, 0, 0, 2]), ("v_max", [2, 0, 0, 0])])
def test_decodings(decoding, expected):
    got = decode(decoding, SPIKES, MEMBRANES)
    assert got.tolist() == expected and got.dtype == np.int64


def test_a_spike_in_the_last_step_comes_before_silence():
    spikes = np.zeros((1, 3, 4), dtype=np.uint8)
    spikes[0, 2, 2] = 1
    assert decode("first", spikes, MEMBRANES[:1, 0]).tolist() == [2]


def test_counts_do_not_overflow():
    spikes = np.ones((1, 300, 2), dtype=np.uint8)
    spikes[0, :45, 0] = 0
    assert decode("count", spikes, MEMBRANES[:1, 0]).tolist() == [1]


@pytest.mark.parametrize("decoding", ["count", "first", "v_final"])
def test_final_membranes_are_enough(decoding):
    assert (decode(decoding, SPIKES, MEMBRANES[:, -1]).tolist()
            == decode(decoding, SPIKES, MEMBRANES).tolist())


def test_floating_membranes_are_taken():
    assert decode("v_max", SPIKES, MEMBRANES / 3).tolist() == [2, 0, 0, 0]


@pytest.mark.parametrize(("decoding", "message"), [
    ("v_sum", r"decoding v_sum must get membranes of shape \(samples, timesteps, outputs\), "
              r"not \(4, 3\)"),
    ("v_max", r"decoding v_max must get membranes of shape \(samples, timesteps, outputs\), "
              r"not \(4, 3\)"),
    ("last", "decoding must be one of count, first, v_final, v_sum, v_max, not 'last'")])
def test_refusals(decoding, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        decode(decoding, SPIKES, MEMBRANES[:, -1])
