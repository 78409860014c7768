"""Output events of a group, by hand."""

import numpy as np
import pytest

from lamina.models.config import EventKind
from lamina.models.emitter import emit


@pytest.mark.parametrize("marker", [EventKind.TICK, EventKind.CLEAR])
def test_spikes_come_by_lane_and_then_the_marker(marker):
    assert emit(np.array([1, 0, 0, 1]), 2, marker) == [
        (EventKind.SPIKE, 8), (EventKind.SPIKE, 11), (marker, 0)]


def test_a_silent_group_without_marker_says_nothing():
    assert emit(np.zeros(4, dtype=np.uint8), 1) == []
