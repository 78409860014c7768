"""Bench of a router: every port of every cycle against the golden router, and flit by flit.

``LAMINA_CONFIG`` holds the :class:`MeshConfig`; the router stands in the middle of the mesh.
"""

from __future__ import annotations

import os

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, ReadOnly

from lamina.models.fabric.config import MeshConfig, Port
from lamina.models.fabric.router import Routers, first_port
from lamina.tb.flits import FlitPorts
from lamina.tb.ports import Ports

CONFIG = MeshConfig.from_json(os.environ["LAMINA_CONFIG"])
PORTS = len(CONFIG.ports)
HERE = CONFIG.tile(tuple(size // 2 for size in CONFIG.size))
TABLE = CONFIG.routing == "table"


def routes(rng: np.random.Generator) -> np.ndarray:
    """Port by destination; random where they are looked up."""
    every = np.array([CONFIG.coordinates(tile) for tile in range(CONFIG.tiles)])
    if TABLE:
        return rng.permutation(np.arange(CONFIG.tiles) % PORTS)
    return first_port(CONFIG, every[HERE], every)


class Bench:
    """The router and its golden twin."""

    def __init__(self, dut):
        self.dut = dut
        self.rng = np.random.default_rng(cocotb.RANDOM_SEED)
        self.ways = routes(self.rng)
        self.ports = FlitPorts(dut, "inputs", "outputs", PORTS)
        self.golden = Routers(CONFIG, np.array([HERE]), self.ways[None])
        self.taken: list[list[tuple[int, int]]] = [[] for _ in CONFIG.ports]
        self.accepted: list[list[tuple[int, int]]] = [[] for _ in CONFIG.ports]
        self.cycle_number = 0
        self._setup = Ports(dut, "table_write", "table_address", "table_port") if TABLE \
            else Ports(dut, "here")

    async def start(self):
        """Reset, with the routes in place."""
        idle = np.zeros(PORTS, dtype=np.int64)
        self.ports.drive(idle, idle, idle)
        if not TABLE:
            self._setup.rest["here"] = CONFIG.address(HERE)
        await self._setup.start()
        if TABLE:
            for tile, port in enumerate(self.ways.tolist()):
                await self._setup.cycle(table_write=1, table_address=CONFIG.address(tile),
                                        table_port=port)
            await self._setup.cycle()
        await FallingEdge(self.dut.clk)

    def destinations(self, source: int) -> list[int]:
        """Tiles that a flit arriving at `source` may be for."""
        return [tile for tile, port in enumerate(self.ways.tolist())
                if Port(source) in CONFIG.inputs_of(Port(port))]

    async def cycle(self, valid, flits, taken) -> np.ndarray:
        """One cycle, compared at every port; returns which inputs were ready."""
        self.ports.drive(valid, flits, taken)
        await ReadOnly()
        ready, offered = self.ports.ready, self.ports.valid
        np.testing.assert_array_equal(ready, self.golden.ready[0])
        np.testing.assert_array_equal(offered, self.golden.valid[0])
        for port in np.flatnonzero(offered).tolist():
            word = self.ports.word(port)
            assert word == self.golden.flits[0, port]
            if taken[port]:
                self.taken[port].append((self.cycle_number, word))
        for port in np.flatnonzero(valid & ready).tolist():
            self.accepted[port].append((self.cycle_number, int(flits[port])))
        self.golden.step(valid[None], flits[None], taken[None])
        self.cycle_number += 1
        await FallingEdge(self.dut.clk)
        return ready

    def flit(self, source: int, tag: int) -> int:
        """For a random tile that `source` may send to."""
        tile = int(self.rng.choice(self.destinations(source)))
        return CONFIG.address(tile) | (tag % (1 << CONFIG.payload_bits)) << CONFIG.address_bits


async def started(dut) -> Bench:
    bench = Bench(dut)
    await bench.start()
    return bench


NONE = np.zeros(PORTS, dtype=bool)
ALL = np.ones(PORTS, dtype=bool)
NO_FLITS = np.zeros(PORTS, dtype=np.int64)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_hop_takes_two_cycles(dut):
    """Every turn that is allowed, one flit at a time."""
    bench = await started(dut)
    for source in range(PORTS):
        for tile in bench.destinations(source):
            flits = NO_FLITS.copy()
            flits[source] = CONFIG.address(tile) | 1 << CONFIG.address_bits
            start = bench.cycle_number
            await bench.cycle(np.arange(PORTS) == source, flits, ALL)
            for _ in range(3):
                await bench.cycle(NONE, NO_FLITS, ALL)
            assert bench.taken[bench.ways[tile]][-1] == (start + 2, flits[source])


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def every_port_moves_a_flit_per_cycle(dut):
    """A permutation of ports without contention runs at full rate; so does a full buffer."""
    bench = await started(dut)
    pairs = {}
    for source in range(PORTS):
        for tile in bench.destinations(source):
            port = int(bench.ways[tile])
            if source not in pairs and port not in [way for _, way in pairs.values()]:
                pairs[source] = (tile, port)
    assert len(pairs) >= 2
    valid = np.array([source in pairs for source in range(PORTS)])
    for tag in range(20):
        flits = np.array([CONFIG.address(pairs[source][0]) | tag % (
            1 << CONFIG.payload_bits) << CONFIG.address_bits if source in pairs else 0
            for source in range(PORTS)])
        ready = await bench.cycle(valid, flits, ALL)
        assert ready.all()
    for _ in range(4):
        await bench.cycle(NONE, NO_FLITS, ALL)
    for _, port in pairs.values():
        times = [time for time, _ in bench.taken[port]]
        assert len(times) == 20 and times[-1] - times[0] == 19


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_busy_output_serves_its_inputs_in_turn(dut):
    """All inputs of one output at full load: each is served once per round."""
    bench = await started(dut)
    inputs = [int(port) for port in CONFIG.inputs_of(Port.LOCAL)]
    tile = int(np.flatnonzero(bench.ways == Port.LOCAL)[0])
    valid = np.array([port in inputs for port in range(PORTS)])
    for _ in range(12 * len(inputs)):
        flits = np.array([CONFIG.address(tile) | port << CONFIG.address_bits
                          for port in range(PORTS)])
        await bench.cycle(valid, flits, ALL)
    served = [word >> CONFIG.address_bits for _, word in bench.taken[Port.LOCAL]]
    assert served[:len(inputs)] == inputs
    for first in range(0, len(served) - len(inputs), len(inputs)):
        assert served[first:first + len(inputs)] == inputs


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def buffers_fill_and_hold(dut):
    """Without sinks an input takes its depth and one more, then nothing, and loses nothing."""
    bench = await started(dut)
    tile = int(np.flatnonzero(bench.ways == Port.LOCAL)[0])
    source = int(CONFIG.inputs_of(Port.LOCAL)[-1])
    tag = 0
    for _ in range(CONFIG.fifo_depth + 6):
        flits = NO_FLITS.copy()
        flits[source] = CONFIG.address(tile) | tag << CONFIG.address_bits
        ready = await bench.cycle(np.arange(PORTS) == source, flits, NONE)
        tag += int(ready[source])
    assert tag == CONFIG.fifo_depth + 1
    for _ in range(CONFIG.fifo_depth + 4):
        await bench.cycle(NONE, NO_FLITS, ALL)
    assert [word >> CONFIG.address_bits for _, word in bench.taken[Port.LOCAL]] == [*range(tag)]


@cocotb.test(timeout_time=40, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.3, 0.8])
async def random_flits_agree(dut, stall):
    """Any flits, any stalls: none lost or duplicated, in order from each input to each output."""
    bench = await started(dut)
    rng, tag = bench.rng, 0
    valid, flits = NONE.copy(), NO_FLITS.copy()
    for step in range(3000):
        for source in np.flatnonzero(~valid & (rng.random(PORTS) < 0.8)).tolist():
            if step < 2800:
                flits[source], tag = bench.flit(source, tag), tag + 1
                valid[source] = True
        ready = await bench.cycle(valid, flits, rng.random(PORTS) >= stall * (step < 2800))
        valid &= ~ready
    assert not valid.any()
    assert sum(map(len, bench.taken)) == sum(map(len, bench.accepted)) > 1000
    address = (1 << CONFIG.address_bits) - 1
    tiles = {CONFIG.address(tile): tile for tile in range(CONFIG.tiles)}
    for output, taken in enumerate(bench.taken):
        left = [word for _, word in taken]
        for accepted in bench.accepted:
            wanted = [word for _, word in accepted
                      if bench.ways[tiles[word & address]] == output]
            places = {word: place for place, word in enumerate(left)}
            order = [places[word] for word in wanted]
            assert order == sorted(order)
