"""Bench of the bare core with programs of every kind against the golden network.

``LAMINA_CONFIG`` holds the :class:`HardwareConfig`; ``LAMINA_PROGRAMS`` how many random programs
are run per stall probability (4 by default).
"""

from __future__ import annotations

import dataclasses
import os

import cocotb
import numpy as np

from lamina.models.config import EventKind, HardwareConfig
from lamina.models.cost import sample_cycles
from lamina.models.network import run
from lamina.models.placement import misfits, place
from lamina.models.program import Program
from lamina.models.trace import Trace
from lamina.tb.core_port import CorePort, expected_output
from lamina.tb.graphs import random_graph
from lamina.tb.programs import has_windows, random_spikes
from lamina.tb.stream_port import PERIOD_NS

CONFIG = HardwareConfig.from_json(os.environ["LAMINA_CONFIG"])
PROGRAMS = int(os.environ.get("LAMINA_PROGRAMS", "4"))
SAMPLES = 2


async def compare(port: CorePort, program: Program, spikes: np.ndarray, trace: Trace, *,
                  stalls: bool) -> None:
    """Every event in every timestep, every membrane after the last one, cycles without stalls."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    for sample, steps in enumerate(spikes):
        sent = len(port.events.times)
        port.send_sample(steps, rng)
        got = await port.closing(EventKind.TICK, len(steps))
        if not stalls:
            first_tick = port.events.times[sent + int(steps[0].sum())]
            check_cycles(round((port.output.times[-1] - first_tick) / PERIOD_NS), program, steps,
                         [fired[sample] for fired in trace.layer_spikes])
        for t, expected in enumerate(expected_output(program, CONFIG, trace, sample)):
            assert got[t] == expected, (f"sample {sample}, timestep {t}: {got[t]} is not "
                                        f"{expected} in {describe(program)}")
        for layer, membranes, wanted in zip(program.layers, await port.membranes(program),
                                            trace.final_membranes, strict=True):
            np.testing.assert_array_equal(membranes, wanted[sample],
                                          f"sample {sample}, {layer.name} of {describe(program)}")
        await port.clear()


def check_cycles(cycles: int, program: Program, steps: np.ndarray, fired: list[np.ndarray]) -> None:
    """From the first tick to the last output: as the cost model predicts, to the cycle."""
    predicted = sample_cycles(program, CONFIG, steps, fired).cycles
    assert cycles == predicted, (
        f"{cycles} cycles, not {predicted}, with {[step.sum(axis=1).tolist() for step in fired]} "
        f"spikes per timestep in {describe(program)}")


def describe(program: Program) -> str:
    """The program's layers without their numbers."""
    return "; ".join(f"{layer.name} {layer.shape} {layer.reset.label} leak {layer.leak} "
                     f"rest {layer.refractory} current {layer.current} from {layer.sources}"
                     for layer in program.layers)


def expected_counts(program: Program, trace: Trace) -> dict[str, int]:
    """Counters that depend on the spikes alone."""
    per_layer, sops = trace.spike_counts.sum(axis=1).tolist(), trace.sops.sum(axis=1).tolist()
    placed = place(program, CONFIG.lanes, len(CONFIG.tiers)).layers
    reads = sum(count // layer.weights.shape[1] * where.position_rows
                for layer, where, count in zip(program.layers, placed, sops, strict=True))
    return {"ticks": SAMPLES * program.timesteps, "spikes_in": per_layer[0], "sops": sum(sops),
            "spikes_out": sum(per_layer[1:]), "dropped": 0, "accesses0": reads}


def with_copies(rng: np.random.Generator) -> Program:
    """A random program whose layers list all their sources twice."""
    while True:
        program = random_graph(rng, CONFIG)
        layers = tuple(dataclasses.replace(layer, sources=2 * layer.sources,
                                           weights=np.tile(layer.weights, (2, 1)))
                       for layer in program.layers)
        program = dataclasses.replace(program, layers=layers, acc_bits=CONFIG.acc_bits)
        if not misfits(program, CONFIG):
            return program


async def agree(port: CorePort, program: Program, rng: np.random.Generator, stall: float) -> int:
    """Load and run `program` on random spikes; returns how many it fired."""
    spikes = random_spikes(rng, program, SAMPLES)
    trace = run(program, spikes, CONFIG.tiers, trace=True, plain=True)
    assert trace.wraps == 0 or has_windows(program.layers)
    port.stall(0.0)
    await port.load(program)
    port.stall(stall)
    await compare(port, program, spikes, trace, stalls=stall > 0)
    counted, expected = await port.counters(), expected_counts(program, trace)
    assert {name: counted[name] for name in expected} == expected, describe(program)
    return int(trace.spike_counts[1:].sum())


@cocotb.test(timeout_time=50, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.5])
async def random_graphs_agree(dut, stall):
    """Programs with all that the core was generated for, with random stalls on all streams."""
    rng = np.random.default_rng([cocotb.RANDOM_SEED, int(10 * stall)])
    port = CorePort(dut, CONFIG, seed=cocotb.RANDOM_SEED)
    await port.start()
    fired = [await agree(port, random_graph(rng, CONFIG), rng, stall) for _ in range(PROGRAMS)]
    assert sum(fired) > 20


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def copies_of_sources_agree(dut):
    """Programs that list every source twice, without stalls."""
    rng = np.random.default_rng([cocotb.RANDOM_SEED, 99])
    port = CorePort(dut, CONFIG, seed=cocotb.RANDOM_SEED)
    await port.start()
    fired = [await agree(port, with_copies(rng), rng, 0.0) for _ in range(PROGRAMS)]
    assert sum(fired) > 10
