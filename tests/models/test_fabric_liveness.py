"""No deadlock of tile plus mesh: every order of events of small fabrics, and broken rules."""

import numpy as np
import pytest

from lamina.models.fabric.config import FlitKind, MeshConfig, Port
from lamina.models.fabric.liveness import SmallFabric, Wire, explore
from lamina.models.fabric.mapping import HOST
from lamina.models.fabric.routes import cycle_of_channels, order_routes

ONE, LINE, THREE, PLANE = (MeshConfig(size=size) for size in ((1,), (2,), (3,), (2, 2)))
LOOP = (Wire(HOST, 0), Wire(0, 1), Wire(1, 0, delayed=True))
FABRICS = {
    "a tile to itself": (ONE, (Wire(HOST, 0), Wire(0, 0, delayed=True))),
    "chain": (THREE, (Wire(HOST, 0), Wire(0, 1), Wire(1, 2))),
    "chain against the order of tiles": (THREE, (Wire(HOST, 2), Wire(2, 0), Wire(0, 1))),
    "loop": (LINE, LOOP),
    "loops and two inputs": (LINE, (*LOOP, Wire(HOST, 1), Wire(1, 1, delayed=True))),
    "skip": (THREE, (Wire(HOST, 0), Wire(0, 1), Wire(1, 2), Wire(0, 2), Wire(2, 1, delayed=True))),
    "ring": (PLANE, (Wire(HOST, 0), Wire(0, 1), Wire(1, 3), Wire(3, 2), Wire(2, 0, delayed=True))),
    "fork and join": (PLANE, (Wire(HOST, 0), Wire(0, 1), Wire(0, 2), Wire(1, 3), Wire(2, 3))),
    "cross": (PLANE, (Wire(HOST, 0), Wire(HOST, 1), Wire(0, 3), Wire(1, 2),
                      Wire(3, 0, delayed=True), Wire(2, 1, delayed=True))),
}
LARGE = {"fork and join": 2, "cross": 2, "skip": 3}
"""Slots of those with many states; three of the others."""
SMALL = [name for name in FABRICS if name not in LARGE]
BUSY = (*(Wire(HOST, tile) for tile in range(4)), *(
    Wire(tile, 3 - tile, delayed=True) for tile in range(4)))
"""Every tile of a plane sends across it."""


def around(mesh):
    """Routes of a plane of 2 x 2 that all go round: 0, 1, 3, 2, 0."""
    after = {0: Port.EAST, 1: Port.NORTH, 3: Port.WEST, 2: Port.SOUTH}
    return np.array([[after[here] if here != there else Port.LOCAL for there in range(mesh.tiles)]
                     for here in range(mesh.tiles)])


class Forgetful(SmallFabric):
    """Spikes are of the open slot, though their channel has closed it."""

    def _deliver(self, nodes, flit):
        number = self.nodes.index(self._target(flit))
        if flit[1] is FlitKind.SPIKE:
            node = nodes[number]
            place = self._incoming[number].index(flit[0])
            late = node._replace(ahead=tuple(
                0 if other == place else level for other, level in enumerate(node.ahead)))
            found = super()._deliver((*nodes[:number], late, *nodes[number + 1:]), flit)
            return (*nodes[:number], found[number]._replace(ahead=node.ahead), *nodes[number + 1:])
        return super()._deliver(nodes, flit)


@pytest.mark.parametrize("name", [*SMALL, *(
    pytest.param(name, marks=pytest.mark.long) for name in LARGE)])
def test_every_order_of_events_comes_to_the_same_end(name):
    found = explore(SmallFabric(*FABRICS[name], LARGE.get(name, 3)))
    assert (found.ends, found.deadlock, found.violation) == (1, None, "")
    assert found.states > 150


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("name", ["a tile to itself", "loop", "ring"])
def test_the_reduction_misses_nothing(name, depth):
    """The same end, and all mistakes, with fewer states."""
    fabric = SmallFabric(*FABRICS[name], 3, depth=depth)
    found, every = explore(fabric), explore(fabric, reduced=False)
    assert (every.ends, every.deadlock, every.violation) == (1, None, "")
    assert found.states < every.states


@pytest.mark.parametrize("reduced", [True, False])
@pytest.mark.parametrize("name", FABRICS)
def test_three_credits_are_one_too_many(name, reduced):
    found = explore(SmallFabric(*FABRICS[name], 4, credits=3), reduced=reduced)
    assert found.violation.endswith("has no bitmap") and found.violation.startswith("channel ")


@pytest.mark.parametrize("name", SMALL)
def test_one_credit_is_slower_and_none_is_a_deadlock(name):
    """A delayed channel has its first slot from the start, and so its credit without sending."""
    found = explore(SmallFabric(*FABRICS[name], 3, credits=1))
    assert (found.ends, found.deadlock, found.violation) == (1, None, "")
    mesh, wires = FABRICS[name]
    none = explore(SmallFabric(mesh, [wire for wire in wires if not wire.delayed], 3, credits=0))
    assert none.deadlock is not None and none.ends == 0


def test_a_circle_of_links_is_a_deadlock():
    """What the generator finds in the tables is what the flits run into."""
    routes = around(PLANE)
    assert len(cycle_of_channels(PLANE, routes)) == 4
    assert cycle_of_channels(PLANE, order_routes(PLANE)) == []
    found = explore(SmallFabric(PLANE, BUSY, 2, routes=routes))
    assert found.deadlock is not None
    buffers, _ = found.deadlock
    assert sum(map(len, buffers)) >= 4


def test_spikes_of_a_wrong_slot_are_noticed():
    found = explore(Forgetful(*FABRICS["loop"], 3), reduced=False)
    assert " has spikes " in found.violation


def test_too_many_states_are_refused():
    with pytest.raises(ValueError, match=r"^states must be at most 100, there are more$"):
        explore(SmallFabric(*FABRICS["loop"], 3), most=100)
