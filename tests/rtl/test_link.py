"""What the blocks of the host link refuse, and their CRC against the golden one."""

import gc
import re
import warnings

import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

from lamina.models.link.framing import crc16
from lamina.rtl.link.framing import crc_step
from lamina.rtl.link.host import HostLink, OutputBuffer
from lamina.rtl.link.uart import Uart

pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")


@pytest.fixture(autouse=True)
def _collected():
    """Components that refused their parameters die here, since nothing elaborates them."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


@pytest.mark.parametrize("component", [HostLink, OutputBuffer])
def test_a_config_is_wanted(component):
    with pytest.raises(TypeError, match=r"^config must be a HardwareConfig, not 'small'$"):
        component("small")


@pytest.mark.parametrize("divisor, kind, message", [
    (7, ValueError, "divisor must be in 8..65535, not 7"),
    (65536, ValueError, "divisor must be in 8..65535, not 65536"),
    (10.0, TypeError, "divisor must be an int, not 10.0"),
])
def test_divisor(divisor, kind, message):
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        Uart(divisor)


def test_crc_step_is_the_golden_crc():
    m = Module()
    crc, byte = Signal(16, init=0xFFFF), Signal(8)
    m.d.sync += crc.eq(crc_step(crc, byte))
    data = bytes(range(256)) + b"123456789"

    async def bench(ctx):
        for position, value in enumerate(data):
            ctx.set(byte, value)
            await ctx.tick()
            assert ctx.get(crc) == crc16(data[:position + 1])

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
