"""Bench of the core behind a camera: recordings over the handshake against the golden model.

``LAMINA_CONFIG`` and ``LAMINA_AER`` describe the hardware; ``LAMINA_CASE`` is a folder with a
program and ``events.npz``: ``address`` and ``timestep`` of every event, in order.
"""

from __future__ import annotations

import json
import os
import pathlib

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge

from lamina.models.aer import aer_axons
from lamina.models.config import AerConfig, EventKind, HardwareConfig
from lamina.models.network import run
from lamina.models.placement import place
from lamina.models.program import Program
from lamina.tb.core_port import CorePort, expected_output

CONFIG = HardwareConfig.from_json(os.environ["LAMINA_CONFIG"])
AER = AerConfig(**json.loads(os.environ["LAMINA_AER"]))
FOLDER = pathlib.Path(os.environ["LAMINA_CASE"])


async def shake(dut, address: int) -> None:
    """One event by the four phases."""
    dut.address.value = address
    dut.req.value = 1
    while int(dut.ack.value) == 0:
        await FallingEdge(dut.clk)
    dut.req.value = 0
    while int(dut.ack.value) == 1:
        await FallingEdge(dut.clk)


async def close(dut, strobe: str) -> None:
    """End a timestep or a sample."""
    signal = getattr(dut, strobe)
    signal.value = 1
    await FallingEdge(dut.clk)
    signal.value = 0
    await FallingEdge(dut.clk)


@cocotb.test(timeout_time=200, timeout_unit="ms")
async def a_recording_is_classified_like_its_frames(dut):
    """Every output event and membrane equals the golden model on the binned recording."""
    program = Program.load(FOLDER)
    with np.load(FOLDER / "events.npz") as arrays:
        addresses, timesteps = arrays["address"], arrays["timestep"]
    lines = aer_axons(AER, addresses)
    assert len(lines) > 100 and (lines >= 0).all()
    spikes = np.zeros((1, program.timesteps, program.axons), dtype=np.uint8)
    axon_of = np.full(CONFIG.axons, -1)
    axon_of[place(program, CONFIG.lanes).input_axons] = np.arange(program.axons)
    spikes[0, timesteps, axon_of[lines]] = 1
    trace = run(program, spikes, CONFIG.tiers, trace=True)
    assert trace.spike_counts[1:].all()
    for name in ("req", "address", "raw__valid", "raw__payload", "tick_stb", "clear_stb"):
        getattr(dut, name).value = 0
    port = CorePort(dut, CONFIG, seed=cocotb.RANDOM_SEED, events=False)
    await port.start()
    await port.load(program)
    for t in range(program.timesteps):
        for address in addresses[timesteps == t].tolist():
            await shake(dut, address)
        await close(dut, "tick_stb")
    got = await port.closing(EventKind.TICK, program.timesteps)
    assert got == expected_output(program, CONFIG, trace, 0)
    for layer, membranes, wanted in zip(program.layers, await port.membranes(program),
                                        trace.final_membranes, strict=True):
        np.testing.assert_array_equal(membranes, wanted[0], layer.name)
    await close(dut, "clear_stb")
    assert await port.closing(EventKind.CLEAR, 1) == [[{"kind": int(EventKind.CLEAR),
                                                        "neuron": 0}]]
