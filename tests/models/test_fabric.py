"""Meshes, their routes around faults, and what their routers let through."""

import itertools

import numpy as np
import pytest

from lamina.models.fabric.config import MeshConfig, Port
from lamina.models.fabric.network import Network
from lamina.models.fabric.routes import (
    Faults,
    cycle_of_channels,
    hops,
    order_routes,
    routes_around,
)

SIZES = [(1,), (6,), (4, 4), (3, 2), (3, 3, 2), (1, 4), (2, 1, 3)]


def links(config):
    return [(tile, other) for tile in range(config.tiles) for port in config.ports[1:]
            if (other := config.neighbour(tile, port)) is not None and other > tile]


def walk(config, routes, source, target):
    """Tiles of a way, both ends included."""
    way = [source]
    while way[-1] != target:
        way.append(config.neighbour(way[-1], Port(int(routes[way[-1], target]))))
    return way


@pytest.mark.parametrize("size", SIZES)
def test_numbers_coordinates_and_links_agree(size):
    config = MeshConfig(size=size)
    for tile in range(config.tiles):
        assert config.tile(config.coordinates(tile)) == tile
        for port in config.ports[1:]:
            other = config.neighbour(tile, port)
            if other is not None:
                assert config.neighbour(other, port.opposite) == tile
                steps = np.subtract(config.coordinates(other), config.coordinates(tile))
                assert steps[port.axis] == port.step and np.abs(steps).sum() == 1
    addresses = [config.address(tile) for tile in range(config.tiles)]
    assert len(set(addresses)) == config.tiles
    assert max(addresses) < 1 << config.address_bits


@pytest.mark.parametrize(("fields", "message"), [
    ({"size": ()}, "1..3 dimensions"), ({"size": (2, 0)}, "along y"),
    ({"size": (128, 128, 2)}, "number of tiles"), ({"fifo_depth": 1}, "fifo_depth"),
    ({"payload_bits": 65}, "payload_bits"), ({"routing": "west"}, "routing")])
def test_impossible_meshes_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        MeshConfig(**fields)


def test_trailing_ones_are_dropped():
    assert MeshConfig(size=(2, 3, 1)) == MeshConfig(size=(2, 3))
    assert len(MeshConfig(size=(2, 3, 1)).ports) == 5


@pytest.mark.parametrize("size", SIZES)
def test_dimension_order_takes_shortest_ways_without_deadlock(size):
    config = MeshConfig(size=size)
    routes = order_routes(config)
    places = np.array([config.coordinates(tile) for tile in range(config.tiles)])
    np.testing.assert_array_equal(hops(config, routes),
                                  np.abs(places[:, None] - places[None]).sum(axis=2))
    assert cycle_of_channels(config, routes) == []


def test_turns_of_dimension_order_are_those_that_occur():
    """Every turn that some way takes is generated, and every generated turn is taken."""
    config = MeshConfig(size=(3, 3, 3))
    routes, taken = order_routes(config), set()
    for source in range(config.tiles):
        for target in range(config.tiles):
            way, incoming = walk(config, routes, source, target), Port.LOCAL
            for here in way if source != target else ():
                outgoing = Port(int(routes[here, target]))
                taken.add((incoming, outgoing))
                incoming = outgoing.opposite
    assert taken == {(incoming, outgoing) for outgoing in config.ports
                     for incoming in config.inputs_of(outgoing)}


def test_a_circle_of_links_is_found():
    """Four ways round a square, each turning left twice, wait for one another."""
    config = MeshConfig(size=(2, 2), routing="table")
    routes = order_routes(config)
    routes[0, 3], routes[1, 2], routes[3, 0], routes[2, 1] = (
        Port.EAST, Port.NORTH, Port.WEST, Port.SOUTH)
    circle = cycle_of_channels(config, routes)
    assert {tile for tile, _ in circle} == {0, 1, 2, 3}
    assert len(circle) == 4


def test_random_dead_links_are_avoided_without_deadlock():
    """30 % of the links of a 4 x 4 mesh, twenty draws that leave it connected."""
    config = MeshConfig(size=(4, 4), routing="table")
    rng, every, connected, attempts = np.random.default_rng(3), links(config), 0, 0
    while connected < 20:
        attempts += 1
        dead = [every[place] for place in rng.permutation(len(every))[:round(.3 * len(every))]]
        faults = Faults(config, dead)
        if faults.cut_off():
            with pytest.raises(ValueError, match="cut off tiles"):
                routes_around(faults)
            continue
        routes = routes_around(faults)
        connected += 1
        assert cycle_of_channels(config, routes) == []
        for source, target in np.ndindex(routes.shape):
            way = walk(config, routes, source, target)
            for here, there in itertools.pairwise(way):
                assert there in faults.neighbours(here).values()
    assert attempts > 20


def test_dead_tiles_get_no_flits():
    config = MeshConfig(size=(3, 3), routing="table")
    routes = routes_around(Faults(config, tiles=[4]))
    for source, target in np.ndindex(routes.shape):
        if 4 in (source, target):
            assert routes[source, target] == -1
        else:
            assert 4 not in walk(config, routes, source, target)


def test_dead_ports_are_those_of_links():
    """Both ends of a dead link, all links of a dead tile; nothing beyond the edge."""
    faults = Faults(MeshConfig(size=(3, 3)), [(0, 1)], [8])
    found = [faults.dead_ports(tile) for tile in range(9)]
    east, west, south, north = (1 << port for port in
                                (Port.EAST, Port.WEST, Port.SOUTH, Port.NORTH))
    assert found == [east, west, 0, 0, 0, north, 0, east, west | south]


def test_nothing_passes_a_dead_link():
    """Of two flits along a line the one for the tile behind it stays."""
    config = MeshConfig(size=(3,), payload_bits=4)
    network = Network(config, faults=Faults(config, [(1, 2)]))
    arrived = np.zeros(3, dtype=int)
    for cycle in range(20):
        arrived += network.valid
        network.step(np.array([cycle < 2, 0, 0], dtype=bool),
                     np.array([config.address(1 + (cycle > 0)), 0, 0]), np.ones(3, dtype=bool))
    assert arrived.tolist() == [0, 1, 0]


def test_what_is_cut_off_is_named():
    config = MeshConfig(size=(3, 2), routing="table")
    with pytest.raises(ValueError, match=r"cut off tiles 2, 5 from tile 0$"):
        routes_around(Faults(config, [(1, 2), (4, 5)]))


@pytest.mark.parametrize(("links", "tiles", "message"), [
    ([(0, 2)], [], "join neighbours, not tiles 0 and 2"), ([], [9], "0..5, not 9"),
    ([(7, 8)], [], "not tiles 7 and 8")])
def test_contradicting_faults_are_refused(links, tiles, message):
    with pytest.raises(ValueError, match=message):
        Faults(MeshConfig(size=(3, 2)), links, tiles)


def accepted(config, cycles, warm):
    """Flits per tile and cycle that arrive if every tile always offers one, to any other tile."""
    network, rng = Network(config), np.random.default_rng(0)
    tiles = np.arange(config.tiles)
    addresses = np.array([config.address(tile) for tile in range(config.tiles)])

    def draw():
        other = rng.integers(0, config.tiles - 1, config.tiles)
        return addresses[other + (other >= tiles)]

    flits, arrived = draw(), 0
    for cycle in range(cycles):
        arrived += int(network.valid.sum()) * (cycle >= warm)
        taken = network.ready
        network.step(np.ones(config.tiles, dtype=bool), flits, np.ones(config.tiles, dtype=bool))
        flits = np.where(taken, draw(), flits)
    return arrived / (cycles - warm) / config.tiles


@pytest.mark.parametrize(("side", "share"), [(4, 0.55), (8, 0.65)])
def test_uniform_traffic_uses_the_bisection(side, share):
    """Half of the flits cross the middle: 4 / side flits per tile and cycle would fill it."""
    found = accepted(MeshConfig(size=(side, side)), 800, 300)
    assert share <= found / (4 / side) <= 1
