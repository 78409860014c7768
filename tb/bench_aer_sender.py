"""Bench of the sender of address-events: a receiver that answers when it likes, off the clock.

``LAMINA_CONFIG`` holds the :class:`HardwareConfig`.
"""

from __future__ import annotations

import os

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, ReadOnly, RisingEdge, Timer
from cocotb.utils import get_sim_time

from lamina.models.config import EventKind, HardwareConfig
from lamina.tb.streams import Payload, StreamDriver, output_fields, reset

CONFIG = HardwareConfig.from_json(os.environ["LAMINA_CONFIG"])
PERIOD_PS = 10_000
COUNT = 400


class Receiver:
    """Takes address-events by the four phases and keeps them among the strobes, in order.

    Parameters
    ----------
    dut : SimHandleBase
    delay_ps : int
        Longest time from an edge of ``req`` to that of ``ack``; 1: immediate.

    Attributes
    ----------
    trace : list of Payload
    rises : list of int
        When ``req`` rose [ps].
    """

    def __init__(self, dut, *, delay_ps: int):
        self.trace: list[Payload] = []
        self.rises: list[int] = []
        self._dut, self._delay_ps = dut, delay_ps
        self._rng = np.random.default_rng(cocotb.RANDOM_SEED + 1)
        dut.ack.value = 0

    def start(self) -> None:
        """Begin to receive."""
        for coroutine in self._shake(), self._watch_address(), self._note_strobes():
            cocotb.start_soon(coroutine)

    async def _pause(self) -> None:
        await Timer(int(self._rng.integers(1, self._delay_ps + 1)), unit="ps")

    async def _shake(self) -> None:
        dut = self._dut
        while True:
            await RisingEdge(dut.req)
            assert dut.ack.value == 0, "req must not rise before ack fell"
            self.rises.append(int(get_sim_time("ps")))
            await ReadOnly()
            self.trace.append({"kind": int(EventKind.SPIKE), "neuron": int(dut.address.value)})
            await self._pause()
            assert dut.req.value == 1, "req must not fall before ack rose"
            dut.ack.value = 1
            await FallingEdge(dut.req)
            await self._pause()
            dut.ack.value = 0

    async def _watch_address(self) -> None:
        dut = self._dut
        while True:
            await dut.address.value_change
            await ReadOnly()
            assert dut.req.value == 0 or self.rises[-1] == get_sim_time("ps"), (
                "address must not change while req is high")

    async def _note_strobes(self) -> None:
        dut = self._dut
        while True:
            await FallingEdge(dut.clk)
            await ReadOnly()
            for kind, strobe in ((EventKind.TICK, dut.tick_stb), (EventKind.CLEAR, dut.clear_stb)):
                if strobe.value == 1:
                    self.trace.append({"kind": int(kind), "neuron": 0})


async def play(dut, events: list[Payload], *, stall: float, delay_ps: int) -> Receiver:
    """Send `events`; what arrives must be the same, in the same order."""
    receiver = Receiver(dut, delay_ps=delay_ps)
    output = StreamDriver(dut, "output", output_fields(CONFIG), stall=stall,
                          seed=cocotb.RANDOM_SEED)
    Clock(dut.clk, PERIOD_PS, unit="ps").start()
    await reset(dut)
    receiver.start()
    output.send(*events)
    cocotb.start_soon(output.run())
    while output.pending:
        await FallingEdge(dut.clk)
    await ClockCycles(dut.clk, 10 + 2 * delay_ps // PERIOD_PS)
    assert receiver.trace == events
    assert dut.req.value == 0
    return receiver


def spikes(rng: np.random.Generator, count: int) -> list[Payload]:
    """First and last neuron, one neuron twice, then any."""
    last = CONFIG.neurons - 1
    neurons = [0, last, last, 0, *rng.integers(0, CONFIG.neurons, count - 4).tolist()]
    return [{"kind": int(EventKind.SPIKE), "neuron": neuron} for neuron in neurons]


def samples(rng: np.random.Generator, count: int) -> list[Payload]:
    """The same with ticks and clears in between: each after each, then at random."""
    tick, clear = ({"kind": int(kind), "neuron": 0} for kind in (EventKind.TICK, EventKind.CLEAR))
    events = [tick, tick, clear, clear, tick]
    for spike in spikes(rng, count):
        chance = rng.random()
        events += [spike, *[tick] * (chance < 0.3), *[clear] * (chance < 0.1)]
    return events


@cocotb.test(timeout_time=100, timeout_unit="us")
async def an_immediate_receiver_takes_an_event_in_six_cycles(dut):
    """Spikes alone: ``req`` rises in every sixth cycle."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    receiver = await play(dut, spikes(rng, 100), stall=0.0, delay_ps=1)
    assert set(np.diff(receiver.rises).tolist()) == {6 * PERIOD_PS}


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.8], delay_ps=[1, 9_000, 37_000, 400_000])
async def every_event_arrives_once_in_order(dut, stall, delay_ps):
    """Pauses of the core and of the receiver, any phase; ticks pass while an event is under way."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    await play(dut, samples(rng, COUNT), stall=stall, delay_ps=delay_ps)
