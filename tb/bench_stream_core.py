"""Bench of cores with registered streams: samples one behind the other, as fast as they can.

``LAMINA_CONFIG`` holds the :class:`HardwareConfig`, ``LAMINA_CASE`` a folder with a program and
``spikes.npy`` (N, T, axons), ``LAMINA_STALL`` how often each stream pauses, ``LAMINA_CORES`` the
number of cores, over which the samples are dealt out. ``cycles.json`` is left there: ``samples``,
``cycles`` from the first event given to the last output, ``events`` compared.
"""

from __future__ import annotations

import itertools
import json
import os
import pathlib
from collections.abc import Iterable

import cocotb
import numpy as np
from cocotb.handle import SimHandleBase
from cocotb.triggers import ClockCycles
from cocotb.utils import get_sim_time

from lamina.models.config import EventKind, HardwareConfig
from lamina.models.network import run
from lamina.models.placement import place
from lamina.models.program import Program
from lamina.models.trace import Trace
from lamina.tb.core_port import CorePort, expected_output
from lamina.tb.stream_port import PERIOD_NS
from lamina.tb.streams import Payload

CONFIG = HardwareConfig.from_json(os.environ["LAMINA_CONFIG"])
FOLDER = pathlib.Path(os.environ["LAMINA_CASE"])
STALL = float(os.environ["LAMINA_STALL"])
CORES = int(os.environ["LAMINA_CORES"])
CLEARED = {"kind": int(EventKind.CLEAR), "neuron": 0}
PATIENCE = 200
"""Cycles per event after which something hangs."""


class OneCore:
    """The ports of one of several cores."""

    def __init__(self, dut: SimHandleBase, number: int):
        self.clk, self.rst, self._dut, self._name = dut.clk, dut.rst, dut, f"core{number}__"

    def __getattr__(self, name: str) -> SimHandleBase:
        return getattr(self._dut, self._name + name)


def feed(port: CorePort, program: Program, samples: np.ndarray) -> None:
    """Queue `samples` (N, T, axons), a CLEAR behind each."""
    lines = place(program, CONFIG.lanes, len(CONFIG.tiers)).input_axons
    for sample in samples:
        for step in sample:
            port.send(lines[np.flatnonzero(step)])
        port.send([], EventKind.CLEAR)


def wanted_of(program: Program, trace: Trace, numbers: Iterable[int]) -> list[Payload]:
    """What a core emits for these samples."""
    return [event for number in numbers
            for event in (*itertools.chain(*expected_output(program, CONFIG, trace, number)),
                          CLEARED)]


@cocotb.test(timeout_time=10, timeout_unit="sec")
async def samples_follow_each_other(dut):
    """Every output event is the golden one; the time of all samples is left behind."""
    program, spikes = Program.load(FOLDER), np.load(FOLDER / "spikes.npy")
    trace = run(program, spikes, CONFIG.tiers, trace=True)
    assert trace.spike_counts[1:].any()
    ports = [CorePort(OneCore(dut, core), CONFIG, seed=cocotb.RANDOM_SEED + 4 * core)
             for core in range(CORES)]
    await ports[0].start()
    for port in ports[1:]:
        port.listen()
    for port in ports:
        await port.load(program)
        port.stall(STALL)
    wanted, start = [], get_sim_time("ns")
    for core, port in enumerate(ports):
        feed(port, program, spikes[core::CORES])
        wanted.append(wanted_of(program, trace, range(core, len(spikes), CORES)))
    limit = PATIENCE * sum(len(events) + port.events.pending
                           for events, port in zip(wanted, ports, strict=True))
    while limit > 0 and any(len(port.output.taken) < len(events)
                            for events, port in zip(wanted, ports, strict=True)):
        await ClockCycles(dut.clk, 1)
        limit -= 1
    cycles = round((get_sim_time("ns") - start) / PERIOD_NS)
    assert [port.output.taken for port in ports] == wanted
    (FOLDER / "cycles.json").write_text(json.dumps(
        {"samples": len(spikes), "cycles": cycles, "events": sum(map(len, wanted))}))
