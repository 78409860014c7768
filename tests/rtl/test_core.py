"""What the core adds up by itself."""

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

from lamina.rtl.core import _sums


@pytest.mark.parametrize(("count", "later"), [(1, 0), (8, 0), (9, 1), (16, 1)])
def test_spikes_of_many_lanes_are_added_in_steps(count, later):
    """Of more than eight blocks of lanes, a cycle later, and not more than eight at once."""
    m, parts = Module(), [Signal(range(9)) for _ in range(count)]
    left = _sums(m, parts)
    assert len(left) <= 8
    total = sum(left)
    rng = np.random.default_rng(count)
    drawn = [[0] * count, [8] * count, *rng.integers(9, size=(6, count)).tolist()]

    async def bench(ctx):
        for values in drawn:
            for part, value in zip(parts, values, strict=True):
                ctx.set(part, value)
            for _ in range(later):
                await ctx.tick()
            assert ctx.get(total) == sum(values)

    m.d.sync += Signal().eq(1)
    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
