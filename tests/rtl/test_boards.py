"""Board data: clock multipliers, serial divisor, power-on reset."""

import re

import pytest
from amaranth.hdl import ClockDomain, Module
from amaranth.sim import Simulator

from lamina.models.config import HardwareConfig
from lamina.rtl.boards.board import Board, PowerOnReset
from lamina.rtl.boards.config import BoardConfig
from lamina.rtl.boards.pll import Ecp5Pll, Ice40Pll


def board(**changes):
    fields = {"hardware": HardwareConfig(), "family": "ice40", "crystal_hz": 12_000_000,
              "clock_hz": 36_000_000, "baud": 3_000_000}
    return BoardConfig(**fields | changes)


def test_ice40_multiplier_of_the_crystal_by_three():
    pll = Ice40Pll.nearest(12_000_000, 36_000_000)
    assert (pll.divr, pll.divf, pll.divq, pll.filter_range) == (0, 47, 4, 1)
    assert pll.output_hz == 36_000_000


@pytest.mark.parametrize("megahertz", range(17, 130, 7))
def test_ice40_multiplier_is_near_and_in_range(megahertz):
    pll = Ice40Pll.nearest(12_000_000, megahertz * 1_000_000)
    assert abs(pll.output_hz / megahertz / 1e6 - 1) < 0.01
    assert 533e6 <= 12e6 / (pll.divr + 1) * (pll.divf + 1) <= 1066e6


@pytest.mark.parametrize("megahertz", [10, 20, 25, 40, 50, 60, 75, 80, 100, 125, 150, 200])
def test_ecp5_multiplier_is_near_and_in_range(megahertz):
    pll = Ecp5Pll.nearest(25_000_000, megahertz * 1_000_000)
    assert abs(pll.output_hz / megahertz / 1e6 - 1) < 0.01
    assert 400e6 <= pll.output_hz * pll.divider <= 800e6


@pytest.mark.parametrize("pll", [Ice40Pll, Ecp5Pll])
def test_a_clock_out_of_reach_is_refused(pll):
    with pytest.raises(ValueError, match=r"^clock must be reachable within 1 % from 12000000 Hz, "
                                         r"not 2000000 Hz$"):
        pll.nearest(12_000_000, 2_000_000)


def test_no_multiplier_at_the_crystal_clock():
    config = board(clock_hz=12_000_000, baud=1_000_000)
    assert config.pll is None
    assert (config.core_hz, config.divisor) == (12_000_000, 12)


@pytest.mark.parametrize(("changes", "error", "message"), [
    ({"hardware": 8}, TypeError, "hardware must be a HardwareConfig, not 8"),
    ({"family": "gowin"}, ValueError, "family must be one of ice40, ecp5, not 'gowin'"),
    ({"crystal_hz": 12}, ValueError, "crystal must be in 1000000..400000000, not 12"),
    ({"clock_hz": 1.5}, TypeError, "clock must be an int, not 1.5"),
    ({"baud": 0}, ValueError, "baud must be in 1200..12000000, not 0"),
    ({"baud": 2_900_000}, ValueError, "baud must be the clock divided by an integer >= 8 within "
                                      "1 %, not 2900000 at 36000000 Hz"),
    ({"baud": 6_000_000}, ValueError, "baud must be the clock divided by an integer >= 8 within "
                                      "1 %, not 6000000 at 36000000 Hz"),
])
def test_a_board_that_cannot_work_is_refused(changes, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        board(**changes)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_a_board_takes_its_config_only():
    with pytest.raises(TypeError, match=r"^config must be a BoardConfig, not 'icebreaker'$"):
        Board("icebreaker")


def test_reset_is_held_after_the_clock_is_stable_and_comes_back_with_it():
    top = Module()
    top.domains.start = ClockDomain(reset_less=True)
    top.submodules.dut = dut = PowerOnReset(20)
    cycles = []

    async def count(ctx):
        for locked, limit in ((0, 40), (1, 100), (0, 4), (1, 100)):
            ctx.set(dut.locked, locked)
            held = 0
            for _ in range(limit):
                await ctx.tick("start")
                held += ctx.get(dut.reset)
            cycles.append(held)

    simulator = Simulator(top)
    simulator.add_clock(1e-6, domain="start")
    simulator.add_testbench(count)
    simulator.run()
    assert cycles[0] == 40
    assert 20 <= cycles[1] <= 40
    assert cycles[3] == cycles[1]
