"""Bench of the core with registered streams: samples one behind the other, as fast as it can.

``LAMINA_CONFIG`` holds the :class:`HardwareConfig`, ``LAMINA_CASE`` a folder with a program and
``spikes.npy`` (N, T, axons), ``LAMINA_STALL`` how often each stream pauses. ``cycles.json`` is left
there: ``samples``, ``cycles`` from the first event given to the last output, ``events`` compared.
"""

from __future__ import annotations

import json
import os
import pathlib

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles
from cocotb.utils import get_sim_time

from lamina.models.config import EventKind, HardwareConfig
from lamina.models.network import run
from lamina.models.placement import place
from lamina.models.program import Program
from lamina.tb.core_port import CorePort, expected_output
from lamina.tb.stream_port import PERIOD_NS

CONFIG = HardwareConfig.from_json(os.environ["LAMINA_CONFIG"])
FOLDER = pathlib.Path(os.environ["LAMINA_CASE"])
STALL = float(os.environ["LAMINA_STALL"])
CLEARED = {"kind": int(EventKind.CLEAR), "neuron": 0}
PATIENCE = 200
"""Cycles per event after which something hangs."""


@cocotb.test(timeout_time=10, timeout_unit="sec")
async def samples_follow_each_other(dut):
    """Every output event is the golden one; the time of all samples is left behind."""
    program, spikes = Program.load(FOLDER), np.load(FOLDER / "spikes.npy")
    trace = run(program, spikes, CONFIG.tiers, trace=True)
    assert trace.spike_counts[1:].any()
    port = CorePort(dut, CONFIG, seed=cocotb.RANDOM_SEED)
    await port.start()
    await port.load(program)
    port.stall(STALL)
    lines = place(program, CONFIG.lanes, len(CONFIG.tiers)).input_axons
    wanted, start = [], get_sim_time("ns")
    for number, sample in enumerate(spikes):
        for step in sample:
            port.send(lines[np.flatnonzero(step)])
        port.send([], EventKind.CLEAR)
        wanted += [event for step in expected_output(program, CONFIG, trace, number)
                   for event in step] + [CLEARED]
    limit = PATIENCE * (len(wanted) + port.events.pending)
    while len(port.output.taken) < len(wanted) and limit > 0:
        await ClockCycles(dut.clk, 1)
        limit -= 1
    cycles = round((get_sim_time("ns") - start) / PERIOD_NS)
    assert port.output.taken == wanted
    (FOLDER / "cycles.json").write_text(json.dumps(
        {"samples": len(spikes), "cycles": cycles, "events": len(wanted)}))
