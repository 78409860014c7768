"""Bench of the fabric: random networks over all tiles, every event and membrane of every layer.

``LAMINA_CONFIG`` holds the :class:`FabricConfig`; ``LAMINA_PROGRAMS`` how many networks are run per
stall probability (4 by default): graphs if the core has the feature ``sources``, else chains. With
the feature ``partial`` they are drawn for more axons than the core has, and some layer is cut.
"""

from __future__ import annotations

import dataclasses
import os

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles
from cocotb.utils import get_sim_time

from lamina.models.config import EventKind, ResetRule
from lamina.models.fabric.config import FabricConfig, LinkCounter, RangeField, TileSpace
from lamina.models.fabric.division import divide
from lamina.models.fabric.flits import forwarded, sent_flits
from lamina.models.fabric.mapping import Channel, FabricProgram, Part, assemble
from lamina.models.fabric.routes import order_routes
from lamina.models.fabric.run import FabricTrace, run_fabric
from lamina.models.fabric.tables import FabricBlock, fabric_image
from lamina.models.fabric.timing import fabric_cycles
from lamina.models.network import run
from lamina.models.program import Layer, Program
from lamina.models.ranges import accumulator_bits
from lamina.tb.fabric_port import FabricPort, expected_events
from lamina.tb.graphs import random_graph
from lamina.tb.programs import random_program, random_spikes
from lamina.tb.stream_port import PERIOD_NS

CONFIG = FabricConfig.from_json(os.environ["LAMINA_CONFIG"])
PROGRAMS = int(os.environ.get("LAMINA_PROGRAMS", "4"))
CORE, MESH = CONFIG.core, CONFIG.mesh
LEAVING = [(tile, port) for tile in range(MESH.tiles) for port in MESH.ports
           if MESH.leaves_chip(tile, port)]
NOWHERE = min({*range(1 << MESH.address_bits)} - {MESH.address(t) for t in range(MESH.tiles)},
              default=None)
SAMPLES = 3
CUTS = CORE.has("partial")
MOST_SILENT = 20
"""Spikes at which a network that is cut by axons is not worth a run: it is a small one."""
DRAWN = dataclasses.replace(CORE, axons=4 * CORE.axons) if CUTS else CORE


def cuts(parts: tuple[tuple[Part, ...], ...]) -> int:
    """How many tiles send partial sums."""
    return sum(any(part.is_partial for part in tile) for tile in parts)


def draw(rng: np.random.Generator, *, loops: bool) -> tuple[FabricProgram, list[FabricBlock]]:
    """A random network on most of the tiles that the fabric has room for, and its image.

    With `loops` some channels are delayed, one of them from a tile to itself, or of a network that
    is cut by axons to any other one.
    """
    random = random_graph if CORE.has("sources") else random_program
    while True:
        program = random(rng, DRAWN)
        try:
            parts = divide(program, MESH.tiles, CORE.lanes, axons=CORE.axons if CUTS else None)
        except ValueError:
            continue
        tiles = rng.permutation(MESH.tiles)[:len(parts)].tolist()
        if program.axons > CONFIG.inputs or 2 * len(parts) <= MESH.tiles:
            continue
        if CUTS and not cuts(parts):
            continue
        try:
            fabric = assemble(program, MESH, dict(zip(tiles, parts, strict=True)), CORE.lanes)
            if loops and not any(channel == Channel(number, delayed=True)
                                 or (CUTS and channel.delayed)
                                 for number, tile in fabric.tiles.items()
                                 for channel in tile.channels):
                continue
            every = tuple(range(len(program.layers)))
            routes = order_routes(MESH) if CONFIG.routing == "table" else None
            return fabric, fabric_image(fabric, CONFIG, every, routes)
        except ValueError:
            continue


def golden(fabric: FabricProgram, spikes: np.ndarray) -> FabricTrace:
    """What all tiles compute, which is what one core does."""
    found, whole = run_fabric(fabric, spikes, CORE.tiers), run(
        fabric.program, spikes, CORE.tiers, trace=True, plain=True)
    for mine, other in zip(found.spikes, whole.layer_spikes, strict=True):
        np.testing.assert_array_equal(mine, other)
    assert whole.wraps == 0
    return found


async def check_membranes(port: FabricPort, fabric: FabricProgram, trace: FabricTrace) -> None:
    """Membranes of the last timestep of the last sample."""
    for number, tile in fabric.tiles.items():
        found = await port.membranes(tile.program, tile=number)
        for part, levels in zip(tile.parts, found, strict=True):
            if part.is_partial:
                continue
            cut = slice(part.first, part.first + part.neurons)
            np.testing.assert_array_equal(levels, trace.membranes[part.layer][-1, -1, cut],
                                          f"tile {number}, layer {part.layer}")


async def agree(port: FabricPort, rng: np.random.Generator, stall: float, *, loops: bool) -> int:
    """Draw a network and run it; returns how many spikes it fired."""
    for _ in range(50):
        fabric, image = draw(rng, loops=loops)
        spikes = random_spikes(rng, fabric.program, SAMPLES)
        if not CUTS or fired(golden(fabric, spikes)) > MOST_SILENT:
            break
    return await compare(port, rng, stall, fabric, image, spikes)


async def compare(port: FabricPort, rng: np.random.Generator, stall: float, fabric: FabricProgram,
                  image: list[FabricBlock], spikes: np.ndarray) -> int:
    """Run samples on end, the last one read back; returns how many spikes there were."""
    trace, tiles = golden(fabric, spikes), fabric.reporting
    port.stall(0.0)
    await port.load(image)
    before = await port.hops()
    port.stall(stall)
    port.output.taken.clear()
    for sample in spikes[:-1]:
        port.send_sample(sample, rng)
        port.send([], EventKind.CLEAR)
    port.send_sample(spikes[-1], rng)
    expected = {tile: [] for tile in tiles}
    for sample in range(SAMPLES):
        for tile, events in expected_events(fabric, trace, CORE.lanes, sample).items():
            expected[tile] += events
    got = await port.told(tiles, EventKind.TICK, SAMPLES * fabric.program.timesteps)
    assert got == {tile: events[:-1] for tile, events in expected.items()}
    await check_membranes(port, fabric, trace)
    port.send([], EventKind.CLEAR)
    assert await port.told(tiles, EventKind.CLEAR, SAMPLES) == expected
    np.testing.assert_array_equal(await port.hops() - before, passed(fabric, spikes, trace))
    return fired(trace)


def passed(fabric: FabricProgram, spikes: np.ndarray, trace: FabricTrace) -> np.ndarray:
    """Flits that each router sends on, of all samples."""
    layers = range(len(fabric.program.layers))
    flits = sum(sent_flits(fabric, CONFIG, sample, [layer[number] for layer in trace.spikes],
                           tuple(layers)) for number, sample in enumerate(spikes))
    return forwarded(MESH, order_routes(MESH), flits)


def fired(trace: FabricTrace) -> int:
    """Spikes of all layers."""
    return sum(int(layer.sum()) for layer in trace.spikes)


async def link_counters(port: FabricPort) -> dict[tuple[int, int], list[int]]:
    """By tile and port of every end of a link between chips."""
    return {(tile, end): await port.read(TileSpace.LINKS, len(LinkCounter) * end, len(LinkCounter),
                                         tile=tile) for tile, end in LEAVING}


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.5])
async def random_networks_agree(dut, stall):
    """Networks divided over all tiles, with random stalls on all streams."""
    rng = np.random.default_rng([cocotb.RANDOM_SEED, int(10 * stall)])
    port = FabricPort(dut, CONFIG, seed=cocotb.RANDOM_SEED)
    await port.start()
    fired = [await agree(port, rng, stall, loops=CORE.has("sources") and number % 2 == 0)
             for number in range(PROGRAMS)]
    assert sum(fired) > 50
    assert not any(sum(counts) for counts in (await link_counters(port)).values())


@cocotb.test(timeout_time=1, timeout_unit="ms", skip=not LEAVING or NOWHERE is None)
async def flits_without_a_way_are_counted(dut):
    """The first end of a link between chips that they come to drops them; all goes on."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    port = FabricPort(dut, CONFIG, seed=cocotb.RANDOM_SEED)
    await port.start()
    entry = np.zeros(len(RangeField), dtype=np.uint16)
    entry[RangeField.LAST], entry[RangeField.TARGET], entry[RangeField.FLAGS] = 9, NOWHERE, 4
    await port.load([(CONFIG.host_tile, int(TileSpace.RANGES), 0, entry)])
    port.send([*range(9)])
    await port.until(lambda: not port.events.pending)
    await ClockCycles(dut.clk, 9 * MESH.chip_link.retry_cycles)
    counts = await link_counters(port)
    first = counts.pop((MESH.neighbour(*LEAVING[0]), LEAVING[0][1].opposite))
    assert first == [9, 0] and not any(sum(others) for others in counts.values())
    assert await agree(port, rng, 0.5, loops=False) > 0


def busy_program(rng: np.random.Generator, neurons: int) -> Program:
    """As many axons as two tiles hold, half of them on the tile of the membranes."""
    half = 1 << (min(8, CORE.weight_bits) - 1)
    zero = np.zeros(neurons, dtype=np.int64)
    layer = Layer(name="busy", weights=rng.integers(-half, half, (2 * CORE.axons, neurons)),
                  decay=zero + (1 << CORE.decay_bits - 1), theta=zero + half, r=zero, v_reset=zero,
                  bias=zero, reset=ResetRule.VALUE)
    bits = accumulator_bits([layer], tiers=CORE.tiers, gated=0, fill="mid",
                            decay_bits=CORE.decay_bits, state_bits=CORE.state_bits)
    return Program(name="busy", layers=(layer,), timesteps=9, weight_bits=min(8, CORE.weight_bits),
                   acc_bits=bits, decay_bits=CORE.decay_bits, state_bits=CORE.state_bits)


def cut_in_two(program: Program) -> tuple[FabricProgram, list[FabricBlock]]:
    """On tiles 0 and 1, one of which sends sums; and its image."""
    parts = divide(program, 2, CORE.lanes, axons=CORE.axons)
    assert cuts(parts) == 1
    fabric = assemble(program, MESH, dict(enumerate(parts)), CORE.lanes)
    routes = order_routes(MESH) if CONFIG.routing == "table" else None
    return fabric, fabric_image(fabric, CONFIG, (0,), routes)


@cocotb.test(timeout_time=2, timeout_unit="ms", skip=not CUTS)
async def sums_wait_while_a_tile_is_busy(dut):
    """All axons spike, then two timesteps none do: the tile before the last is soon slots ahead."""
    rng = np.random.default_rng([cocotb.RANDOM_SEED, 99])
    port = FabricPort(dut, CONFIG, seed=cocotb.RANDOM_SEED)
    program = busy_program(rng, CORE.neurons)
    await port.start()
    fabric, image = cut_in_two(program)
    spikes = np.zeros((SAMPLES, program.timesteps, program.axons), dtype=np.uint8)
    spikes[:, ::3] = 1
    assert await compare(port, rng, 0.0, fabric, image, spikes) > 50


@cocotb.test(timeout_time=1, timeout_unit="ms", skip=not CUTS)
async def idle_lanes_take_no_time(dut):
    """The sum of one neuron leaves alone: a sample takes as long as the model says."""
    rng = np.random.default_rng([cocotb.RANDOM_SEED, 98])
    port, program = FabricPort(dut, CONFIG, seed=cocotb.RANDOM_SEED), busy_program(rng, 1)
    await port.start()
    fabric, image = cut_in_two(program)
    await port.load(image)
    spikes = (rng.random((program.timesteps, program.axons)) < 0.1).astype(np.uint8)
    trace = run(program, spikes[None], CORE.tiers, trace=True)
    expected = fabric_cycles(fabric, CONFIG, spikes, [trace.layer_spikes[0][0]], (0,)).cycles
    start = get_sim_time("ns")
    port.send_sample(spikes, rng)
    await port.told(fabric.reporting, EventKind.TICK, program.timesteps)
    cycles = round((get_sim_time("ns") - start) / PERIOD_NS)
    cocotb.log.info("%d cycles, %d expected", cycles, expected)
    assert expected <= cycles <= expected + 4
