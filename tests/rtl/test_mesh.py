"""The model of the flits' time is that of the generated mesh, links between chips included."""

import itertools

import numpy as np
import pytest
from amaranth.sim import Simulator

from lamina.models.fabric.config import FlitKind, MeshConfig
from lamina.models.fabric.mapping import HOST
from lamina.models.fabric.routes import order_routes
from lamina.models.fabric.traffic import Calendar, Entry, Inlet, Traffic
from lamina.rtl.fabric.mesh import RouterMesh

MESHES = {
    "stream": MeshConfig(size=(2,), chips=(2,)),
    "narrow": MeshConfig(size=(3,), chips=(3,), link_bits=2),
    "plane": MeshConfig(size=(3, 2), chips=(1, 2), link_bits=16, fifo_depth=2),
    "four": MeshConfig(size=(2, 2), chips=(2, 2), link_bits=4),
}


def expected(mesh, sent):
    """Cycle and tile of each number; every flit begins at its tile's register, as here."""
    calendar, found = Calendar(), {}
    numbers = (HOST, *range(mesh.tiles))
    inlets = {number: Inlet(calendar, lambda flit, cycle, here=number: found.setdefault(
        flit.channel, (cycle, here))) for number in numbers}
    events, credits = ({number: Entry(calendar) for number in numbers} for _ in range(2))
    traffic = Traffic(calendar, mesh, order_routes(mesh).tolist(), inlets, events, credits)
    for number, (cycle, source, target) in enumerate(sent):
        traffic.send(events[source], (source, target, False), cycle, FlitKind.SPIKE, number)
    calendar.run()
    return found


def simulated(mesh, sent):
    """The same on the generated mesh; registers of tiles, and of the host's node, are lists."""
    dut, found = RouterMesh(mesh), {}
    queues = [[] for _ in range(mesh.tiles)]
    for number, (cycle, source, target) in enumerate(sent):
        queues[source].append((cycle, mesh.address(target) | number << mesh.address_bits))

    async def bench(ctx):
        flits = [None] * mesh.tiles
        for tile in range(mesh.tiles):
            ctx.set(dut.eject[tile].ready, 1)
        for cycle in itertools.count():
            for tile, flit in enumerate(flits):
                ctx.set(dut.inject[tile].valid, flit is not None)
                ctx.set(dut.inject[tile].payload, flit or 0)
            ready = [ctx.get(dut.inject[tile].ready) for tile in range(mesh.tiles)]
            for tile in range(mesh.tiles):
                if ctx.get(dut.eject[tile].valid):
                    number = ctx.get(dut.eject[tile].payload) >> mesh.address_bits
                    found[number] = cycle + 1 + (tile == 0), tile
            for tile, queue in enumerate(queues):
                if flits[tile] is None or ready[tile]:
                    due = queue and queue[0][0] <= cycle - (tile == 0)
                    flits[tile] = queue.pop(0)[1] if due else None
            if len(found) == len(sent) or cycle > 100_000:
                return
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    return found


def drawn(mesh, count, every, seed):
    rng = np.random.default_rng(seed)
    pairs = list(itertools.permutations(range(mesh.tiles), 2))
    return sorted((int(cycle), *pairs[rng.integers(len(pairs))])
                  for cycle in rng.integers(0, every * count, count))


@pytest.mark.parametrize("name", MESHES)
def test_flits_arrive_when_they_are_expected(name):
    """A stream one way, then bursts and silence between all tiles.

    Behind a silence, packets that keep links alive may be a cycle off on each link.
    """
    mesh = MESHES[name]
    sent = [(0, 1, 0)] * 40
    later = drawn(mesh, 60, 3, 1) + drawn(mesh, 20, 60, 2)
    sent += sorted((1500 + cycle, *ends) for cycle, *ends in later)
    found, wanted = simulated(mesh, sent), expected(mesh, sent)
    assert {number: tile for number, (_, tile) in found.items()} == {
        number: tile for number, (_, tile) in wanted.items()}
    late = np.array([found[number][0] - wanted[number][0] for number in range(len(sent))])
    assert not late[:40].any() and np.abs(late).max() <= 2 and np.mean(late != 0) < 0.05
