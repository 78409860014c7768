"""Bench of linked routers: random flits between all tiles, one by one and against the golden mesh.

The golden mesh is of one chip; links between chips change when flits arrive, and nothing else.

``LAMINA_CONFIG`` holds the :class:`MeshConfig`, ``LAMINA_FLITS`` how many flits are sent,
``LAMINA_DEAD`` dead links as a JSON list of pairs, for routes that are looked up.
"""

from __future__ import annotations

import json
import os

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, ReadOnly

from lamina.models.fabric.config import MeshConfig, Port, RouterCounter
from lamina.models.fabric.flits import forwarded
from lamina.models.fabric.network import Network
from lamina.models.fabric.routes import Faults, order_routes, routes_around
from lamina.tb.flits import FlitPorts, Traffic
from lamina.tb.ports import Ports

CONFIG = MeshConfig.from_json(os.environ["LAMINA_CONFIG"])
FLITS = int(os.environ["LAMINA_FLITS"])
TILES = CONFIG.tiles
FAULTS = Faults(CONFIG, json.loads(os.environ.get("LAMINA_DEAD", "[]")))
ROUTES = None if CONFIG.routing == "order" else routes_around(FAULTS)
WAYS = order_routes(CONFIG) if ROUTES is None else ROUTES
STRETCH = 500
"""Cycles between two draws of the stalls."""


async def started(dut, routes: np.ndarray | None) -> FlitPorts:
    """Reset, with the routes in place, dead links known to the lower one of their tiles."""
    ports = FlitPorts(dut, "inject", "eject", TILES)
    idle = np.zeros(TILES, dtype=np.int64)
    ports.drive(idle, idle, idle)
    names = () if routes is None else ("table_tile", "table_write", "table_address", "table_port",
                                       "dead_write", "dead_ports")
    setup = Ports(dut, *names)
    await setup.start()
    for tile, target in np.ndindex(TILES, TILES) if names else ():
        await setup.cycle(table_tile=tile, table_write=1, table_address=CONFIG.address(target),
                          table_port=int(routes[tile, target]))
    for first in sorted({first for first, _ in FAULTS.links}):
        lower = Faults(CONFIG, [link for link in FAULTS.links if link[0] == first])
        await setup.cycle(table_tile=first, dead_write=1, dead_ports=lower.dead_ports(first))
    await setup.cycle()
    await FallingEdge(dut.clk)
    return ports


async def hops(dut, ports: FlitPorts) -> np.ndarray:
    """Flits that each router has sent on, int64 (tiles,), and nothing of a tile beyond the last."""
    idle, found = np.zeros(TILES, dtype=np.int64), []
    ports.drive(idle, idle, idle)
    dut.count_port.value = int(Port.LOCAL)
    for tile in range(TILES + 1):
        halves = []
        for half in RouterCounter:
            dut.count_tile.value, dut.count_field.value = tile, int(half)
            await FallingEdge(dut.clk)
            halves.append(int(dut.count.value))
        found.append(halves[RouterCounter.HOPS_LOW] | halves[RouterCounter.HOPS_HIGH] << 16)
    assert found.pop() == 0
    return np.array(found)


@cocotb.test(timeout_time=1 + FLITS // 1000, timeout_unit="ms")
async def random_flits_arrive(dut):
    """Every cycle is that of the golden mesh; every flit arrives once, in order for its pair."""
    one_chip = not CONFIG.chips
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    traffic = Traffic(CONFIG, [[tile for tile in range(TILES) if tile != source]
                               for source in range(TILES)], cocotb.RANDOM_SEED)
    golden, ports = Network(CONFIG, ROUTES), await started(dut, ROUTES)
    ready, stalls, offers, cycle = np.zeros(TILES, dtype=bool), rng.random(TILES), 1.0, 0
    pairs = np.zeros((TILES + 1, TILES + 1), dtype=np.int64)
    while traffic.left or traffic.sent < FLITS:
        if cycle % STRETCH == 0:
            stalls, offers = rng.choice((0.0, 0.2, 0.9), TILES), rng.choice((0.2, 1.0))
        traffic.offer(offers, ready, FLITS)
        taken = rng.random(TILES) >= stalls
        ports.drive(traffic.valid, traffic.flits, taken)
        await ReadOnly()
        ready, offered = ports.ready, ports.valid
        if one_chip:
            np.testing.assert_array_equal(ready, golden.ready)
            np.testing.assert_array_equal(offered, golden.valid)
        for tile in np.flatnonzero(offered & taken).tolist():
            word = ports.word(tile)
            assert not one_chip or word == golden.flits[tile]
            pairs[traffic.arrive(tile, word), tile] += 1
        if one_chip:
            golden.step(traffic.valid, traffic.flits, taken)
        cycle += 1
        await FallingEdge(dut.clk)
    assert traffic.arrived == traffic.sent == FLITS
    found = await hops(dut, ports)
    np.testing.assert_array_equal(found, forwarded(CONFIG, WAYS, pairs))
    if one_chip:
        np.testing.assert_array_equal(found, golden.routers.hops)
    cocotb.log.info("%d flits in %d cycles", FLITS, cycle)


@cocotb.test(timeout_time=10, timeout_unit="ms", skip=not FAULTS.links)
async def dead_links_pass_nothing(dut):
    """Along x, then y, as if all were well: every cycle is that of the golden mesh; some stick."""
    rng, routes = np.random.default_rng(cocotb.RANDOM_SEED), order_routes(CONFIG)
    golden, ports = Network(CONFIG, routes, FAULTS), await started(dut, routes)
    addresses = np.array([CONFIG.address(tile) for tile in range(TILES)])
    every, arrived = np.ones(TILES, dtype=np.int64), 0
    for _ in range(STRETCH):
        flits = addresses[(np.arange(TILES) + rng.integers(1, TILES, TILES)) % TILES]
        ports.drive(every, flits, every)
        await ReadOnly()
        np.testing.assert_array_equal(ports.ready, golden.ready)
        np.testing.assert_array_equal(ports.valid, golden.valid)
        arrived += int(golden.valid.sum())
        golden.step(every, flits, every)
        await FallingEdge(dut.clk)
    assert arrived > TILES and not golden.ready.any()
