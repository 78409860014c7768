"""Runs samples of a job on the fabric, as ``bench_device`` does on one core.

The folder ``LAMINA_JOB`` holds ``job.json`` (``fabric``: the :class:`FabricConfig`; ``parts``:
fields of every :class:`Part` by tile; ``routes``: port by router and destination or
null, ``dead``: links and tiles that are switched off), ``program.json``, ``program.npz`` and
``spikes.npy`` (N, T, axons). For every (first, count) of ``chunks`` in ``LAMINA_PART`` (JSON)
``chunk-FIRST.npz`` is left there: ``spikes{k}`` (count, T, neurons) and ``membranes{k}`` (count,
neurons) of every layer, ``cycles`` (count, 2) of timesteps and of CLEAR, ``counters`` of every tile
as JSON, ``hops`` (tiles,) of every router.
"""

from __future__ import annotations

import json
import os
import pathlib

import cocotb
import numpy as np

from lamina.models.fabric.config import FabricConfig
from lamina.models.fabric.mapping import FabricProgram, Part, assemble
from lamina.models.fabric.routes import Faults
from lamina.models.fabric.tables import fabric_image
from lamina.models.program import Program
from lamina.tb.fabric_mailbox import FabricMailbox

FOLDER = pathlib.Path(os.environ["LAMINA_JOB"])
JOB = json.loads((FOLDER / "job.json").read_text())
PART = json.loads(os.environ["LAMINA_PART"])
CONFIG = FabricConfig.from_json(JOB["fabric"])


def divided() -> FabricProgram:
    """The program of the job on its tiles."""
    parts = {int(tile): tuple(Part(*part) for part in found)
             for tile, found in JOB["parts"].items()}
    return assemble(Program.load(FOLDER), CONFIG.mesh, parts, CONFIG.core.lanes)


async def chunk(port: FabricMailbox, fabric: FabricProgram, samples: np.ndarray
                ) -> dict[str, np.ndarray]:
    """Arrays of one chunk."""
    before, passed = await port.counters(fabric.tiles), await port.hops()
    runs = [await port.run_sample(fabric, sample) for sample in samples]
    after = await port.counters(fabric.tiles)
    counters = {tile: {name: (value - before[tile][name]) % (1 << 32)
                       for name, value in found.items()} for tile, found in after.items()}
    arrays = {"cycles": np.array([cycles for _, _, cycles in runs]),
              "counters": np.array(json.dumps(counters)),
              "hops": (await port.hops() - passed) % (1 << 32)}
    for k in range(len(fabric.program.layers)):
        arrays[f"spikes{k}"] = np.stack([spikes[k] for spikes, _, _ in runs])
        arrays[f"membranes{k}"] = np.stack([membranes[k] for _, membranes, _ in runs])
    return arrays


@cocotb.test(timeout_time=100, timeout_unit="sec")
async def chunks_run(dut):
    """Run the chunks, one file each."""
    fabric = divided()
    port = FabricMailbox(dut, CONFIG)
    await port.start()
    routes = None if JOB["routes"] is None else np.array(JOB["routes"])
    await port.load(fabric_image(fabric, CONFIG, tuple(range(len(fabric.program.layers))), routes,
                                 Faults(CONFIG.mesh, *JOB["dead"])))
    spikes = np.load(FOLDER / "spikes.npy", mmap_mode="r")
    for first, count in PART.get("chunks", []):
        arrays = await chunk(port, fabric, spikes[first:first + count])
        draft = FOLDER / f".chunk-{first}.npz"
        np.savez(draft, **arrays)
        draft.rename(FOLDER / f"chunk-{first}.npz")
