"""Saturation in hardware, exhaustively at a small width."""

import pytest
from amaranth.hdl import Module, Signal, signed
from amaranth.sim import Simulator

from lamina.models.fixed import saturate as golden
from lamina.rtl.fixed import saturate

WIDTH = 6


@pytest.mark.parametrize("bits", range(2, WIDTH + 1))
def test_saturation_equals_golden(bits):
    m = Module()
    value, enable = Signal(signed(WIDTH)), Signal()
    limited = Signal(signed(WIDTH))
    m.d.comb += limited.eq(saturate(value, bits, enable))

    async def bench(ctx):
        for number in range(-(1 << WIDTH - 1), 1 << WIDTH - 1):
            ctx.set(value, number)
            for enabled in (0, 1):
                ctx.set(enable, enabled)
                assert ctx.get(limited) == (golden(number, bits) if enabled else 0)

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("bits", [1, WIDTH + 1])
def test_bits_beyond_the_value_are_refused(bits):
    with pytest.raises(ValueError, match=rf"^bits must be in 2\.\.6, not {bits}$"):
        saturate(Signal(signed(WIDTH)), bits, Signal())
