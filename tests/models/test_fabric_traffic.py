"""Flits by the calendar arrive in the cycle in which those of the golden mesh do."""

import collections
import itertools

import numpy as np
import pytest

from lamina.models.fabric.config import FlitKind, MeshConfig, Port
from lamina.models.fabric.mapping import HOST
from lamina.models.fabric.network import Network
from lamina.models.fabric.routes import Faults, order_routes, routes_around
from lamina.models.fabric.traffic import Calendar, Entry, Inlet, Traffic

LINES = {
    "order": (MeshConfig(size=(4, 3), payload_bits=32), ()),
    "shallow": (MeshConfig(size=(3, 2, 2), payload_bits=32, fifo_depth=2), ()),
    "dead links": (MeshConfig(size=(4, 3), payload_bits=32, routing="table"),
                   ((1, 2), (4, 5), (6, 10), (9, 10))),
}


class Fabric:
    """All tiles with nothing but their registers; what arrives is noted."""

    def __init__(self, mesh, routes):
        self.calendar, self.found = Calendar(), []
        numbers = (HOST, *range(mesh.tiles))
        inlets = {number: Inlet(self.calendar, self._noted(number)) for number in numbers}
        self.events = {number: Entry(self.calendar) for number in numbers}
        credits = {number: Entry(self.calendar) for number in range(mesh.tiles)}
        self.traffic = Traffic(self.calendar, mesh, routes.tolist(), inlets, self.events, credits)

    def _noted(self, number):
        return lambda flit, cycle: self.found.append((cycle, number, flit.channel))

    def run(self, sent):
        """Cycle, tile and number of all of `sent`, (cycle, source, target), as they arrive."""
        for number, (cycle, source, target) in enumerate(sent):
            self.traffic.send(self.events[source], (source, target, False), cycle,
                              FlitKind.SPIKE, number)
        self.calendar.run()
        return self.found


class Sender:
    """The register between a tile and its router."""

    def __init__(self):
        self.waiting, self.flit = collections.deque(), None

    def step(self, cycle, ready):
        if self.flit is not None and not ready:
            return
        due = self.waiting and self.waiting[0][0] <= cycle
        self.flit = self.waiting.popleft()[1] if due else None


def golden(mesh, routes, faults, sent):
    """The same through the golden mesh, cycle by cycle."""
    network, found = Network(mesh, routes, faults), []
    senders = [Sender() for _ in range(mesh.tiles)]
    for number, (cycle, source, target) in enumerate(sent):
        senders[source].waiting.append((cycle, mesh.address(target) | number << mesh.address_bits))
    every = np.ones(mesh.tiles, dtype=bool)
    for cycle in itertools.count():
        valid = np.array([sender.flit is not None for sender in senders])
        flits = np.array([sender.flit or 0 for sender in senders])
        for tile in np.flatnonzero(network.valid).tolist():
            found.append((cycle + 1, tile, int(network.flits[tile]) >> mesh.address_bits))
        for sender, ready in zip(senders, network.ready.tolist(), strict=True):
            sender.step(cycle, ready)
        network.step(valid, flits, every)
        if len(found) == len(sent):
            return found


def drawn(mesh, count, every, seed):
    """Flits between all tiles but the first, which has the host beside it, in bursts."""
    rng = np.random.default_rng(seed)
    pairs = list(itertools.permutations(range(1, mesh.tiles), 2))
    return sorted((int(cycle), *pairs[rng.integers(len(pairs))])
                  for cycle in rng.integers(0, every * count, count))


@pytest.mark.parametrize("every", [0.02, 0.2, 2])
@pytest.mark.parametrize("name", LINES)
def test_every_flit_arrives_in_the_cycle_of_the_golden_mesh(name, every):
    """From crowded to all but empty: order, arbitration, buffers that are full."""
    mesh, dead = LINES[name]
    faults = Faults(mesh, dead)
    table = routes_around(faults) if dead else None
    sent = drawn(mesh, 1500, every, 7)
    found = Fabric(mesh, order_routes(mesh) if table is None else table).run(sent)
    assert len(found) == len(sent)
    assert sorted(found) == sorted(golden(mesh, table, faults, sent))


def test_hops_are_links():
    mesh = MeshConfig(size=(3, 3))
    fabric = Fabric(mesh, order_routes(mesh))
    fabric.run([(0, 1, 8), (0, 3, 4), (5, 2, 2)])
    assert fabric.traffic.flits == 3
    assert {link: count for link, count in fabric.traffic.link_flits.items() if count} == {
        (1, Port.EAST): 1, (2, Port.NORTH): 1, (5, Port.NORTH): 1, (3, Port.EAST): 1}
    assert fabric.traffic.routed.sum() == 2


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_link_between_chips_takes_what_it_says(bits):
    """A lone flit ``full_words + 4`` cycles more; a stream one each ``full_words + 1``."""
    mesh = MeshConfig(size=(4,), chips=(2,), link_bits=bits)
    near, far = (Fabric(each, order_routes(mesh)).run([(0, 1, 2)])
                 for each in (MeshConfig(size=(4,)), mesh))
    assert far[0][0] - near[0][0] == mesh.chip_link.full_words + 4
    cycles = [cycle for cycle, *_ in Fabric(mesh, order_routes(mesh)).run([(0, 1, 2)] * 200)]
    assert [number for *_, number in near] == [0] and cycles == sorted(cycles)
    assert (cycles[-1] - cycles[0]) / 199 == pytest.approx(mesh.chip_link.full_words + 1, rel=0.02)


def test_both_ways_share_their_wires_with_answers():
    """Answers ride along with flits: two streams take as long as one."""
    mesh = MeshConfig(size=(2,), chips=(2,), link_bits=2)
    alone = Fabric(mesh, order_routes(mesh)).run([(0, HOST, 1)] * 100)
    both = Fabric(mesh, order_routes(mesh)).run(
        [(0, source, 1 - max(source, 0)) for source in (HOST, 1) for _ in range(100)])
    assert max(both)[0] == pytest.approx(max(alone)[0], rel=0.05)


def test_a_silent_end_still_answers():
    """A flit behind a long silence may wait for a packet that keeps the link alive, no longer."""
    mesh = MeshConfig(size=(2,), chips=(2,), link_bits=1)
    link, base = mesh.chip_link, Fabric(mesh, order_routes(mesh)).run([(0, HOST, 1)])[0][0]
    late = {Fabric(mesh, order_routes(mesh)).run([(start, HOST, 1)])[0][0] - start - base
            for start in range(1000, 1000 + 2 * link.retry_cycles)}
    assert min(late) == 0 and max(late) == link.short_words
