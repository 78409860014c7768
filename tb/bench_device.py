"""Runs samples on the device through the host driver; the comparison is its caller's.

The folder ``LAMINA_JOB`` holds ``job.json`` (``config``; ``trace``: membranes after every timestep;
``stall`` of 256; ``faults`` of the memory image, or null), ``program.json``, ``program.npz`` and
``spikes.npy`` (N, T, axons). What ``LAMINA_PART`` (JSON) asks for is left there:

``chunks``, a list of (first, count)
    ``chunk-FIRST.npz``: ``events`` (count, T, neurons of the core), ``membranes{k}`` of every
    layer, ``counters`` as JSON. It appears when it is complete, and does not depend on others.
``dump``, (sample, first timestep, timesteps)
    ``dump.vcd`` of these timesteps, in the folder of the run.
``activity``, (first sample, count)
    ``dump.vcd`` of these samples, up to their CLEAR, without what the host reads; in a build that
    counts edges it holds those (SAIF).
"""

from __future__ import annotations

import json
import os
import pathlib

import cocotb
import numpy as np

from lamina.models.config import EventKind, HardwareConfig
from lamina.models.faults import FaultModel
from lamina.models.link.driver import Conversation, Driver, converse_async
from lamina.models.program import Program
from lamina.tb.device_port import DevicePort

FOLDER = pathlib.Path(os.environ["LAMINA_JOB"])
JOB = json.loads((FOLDER / "job.json").read_text())
PART = json.loads(os.environ["LAMINA_PART"])
CONFIG = HardwareConfig.from_json(JOB["config"])


async def loaded(dut) -> tuple[DevicePort, Driver]:
    """Device with the job's program, and the driver that loaded it."""
    port, driver = DevicePort(dut, stall=JOB["stall"]), Driver(CONFIG, patience=50)
    await port.start()
    await converse_async(driver.hello(), port)
    faults = JOB["faults"] and FaultModel(**JOB["faults"])
    await converse_async(driver.load_program(Program.load(FOLDER), faults), port)
    return port, driver


def chunk(driver: Driver, samples: np.ndarray) -> Conversation[dict[str, np.ndarray]]:
    """Arrays of one chunk; it starts from the same link state whatever was run before."""
    yield from driver.hello()
    yield from driver.zero_counters()
    yield from driver.read_counters()
    runs = []
    for sample in samples:
        run = driver.trace_sample(sample) if JOB["trace"] else driver.run_sample(sample)
        runs.append((yield from run))
    counters = yield from driver.read_counters()
    arrays = {f"membranes{k}": np.stack(layer)
              for k, layer in enumerate(zip(*(membranes for _, membranes in runs), strict=True))}
    return arrays | {"events": np.stack([events for events, _ in runs]),
                     "counters": np.array(json.dumps(counters))}


def ticks(driver: Driver, count: int) -> Conversation[None]:
    """Read the output until `count` more timesteps are done."""
    while count > 0:
        events = yield from driver.read_output()
        count -= sum(kind is EventKind.TICK for kind, _ in events)


@cocotb.test(timeout_time=100, timeout_unit="sec")
async def chunks_run(dut):
    """Run the chunks, one file each."""
    port, driver = await loaded(dut)
    spikes = np.load(FOLDER / "spikes.npy", mmap_mode="r")
    for first, count in PART.get("chunks", []):
        arrays = await converse_async(chunk(driver, spikes[first:first + count]), port)
        draft = FOLDER / f".chunk-{first}.npz"
        np.savez(draft, **arrays)
        draft.rename(FOLDER / f"chunk-{first}.npz")
    if "activity" in PART:
        first, count = PART["activity"]
        await port.dump()
        for sample in spikes[first:first + count]:
            for step in sample:
                await converse_async(driver.send_timestep(step), port)
            await converse_async(ticks(driver, len(sample)), port)
            await converse_async(driver.clear(), port)
    if "dump" in PART:
        sample, first, count = PART["dump"]
        for step in spikes[sample, :first]:
            await converse_async(driver.send_timestep(step), port)
        await port.dump()
        for step in spikes[sample, first:first + count + 1]:
            await converse_async(driver.send_timestep(step), port)
        await converse_async(ticks(driver, min(first + count, len(spikes[sample]))), port)
