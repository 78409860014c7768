"""Collected and scanned spikes, by hand."""

import numpy as np

from lamina.models.config import EventKind
from lamina.models.spike_buffer import collect, scan

SPIKE, TICK, CLEAR = EventKind


def test_spikes_merge_and_strange_axons_drop():
    events = [(SPIKE, 3), (SPIKE, 0), (SPIKE, 3), (SPIKE, 4), (TICK, 1), (CLEAR, 0), (SPIKE, 2)]
    closed, dropped = collect(events, axons=8, input_axons=4)
    assert dropped == 1
    assert [(scan(frame.bitmap), frame.clear) for frame in closed] == [([0, 3], False), ([], True)]
    assert closed[0].bitmap.tolist() == [1, 0, 0, 1, 0, 0, 0, 0]


def test_nothing_is_closed_without_a_tick():
    assert collect([(SPIKE, 1)], axons=4, input_axons=4) == ([], 0)


def test_scan_is_ascending():
    assert scan(np.array([0, 1, 0, 1, 1])) == [1, 3, 4]
