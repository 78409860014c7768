"""Tables of tiles and host, and what does not fit into them."""

import dataclasses

import numpy as np
import pytest

from lamina.models.config import HardwareConfig
from lamina.models.fabric.config import (
    ChannelField,
    FabricConfig,
    Port,
    RangeField,
    TileSpace,
)
from lamina.models.fabric.division import divide
from lamina.models.fabric.mapping import HOST, assemble
from lamina.models.fabric.routes import Faults, routes_around
from lamina.models.fabric.tables import fabric_image, nodes_of
from lamina.tb.programs import random_program

CORE = HardwareConfig(lanes=4, tiers=(4, 4), weight_words=4096, axons=128, groups=16, layers=4,
                      state_bits=12, acc_bits=18)
CONFIG = FabricConfig(core=CORE, size=(2, 2), inputs=128, channels=8, targets=8, ranges=32,
                      host_ranges=64)


def split(seed: int = 3):
    """A chain on all four tiles."""
    rng = np.random.default_rng(seed)
    for _ in range(200):
        program = random_program(rng, CORE)
        parts = divide(program, 4, 4)
        if len(parts) == 4:
            return assemble(program, CONFIG.mesh, dict(enumerate(parts)), 4)
    raise AssertionError("no chain of 200 takes four tiles")


def test_every_channel_knows_its_place_at_its_source():
    fabric = split()
    nodes = nodes_of(fabric, CONFIG)
    for number, tile in fabric.tiles.items():
        for index, (wanted, channel) in enumerate(zip(tile.channels, nodes[number].channels,
                                                      strict=True)):
            link = fabric.links[wanted.source][channel.credit]
            assert (link.target, link.channel) == (number, index)
            assert channel.host is (wanted.source == HOST)


def test_one_range_closes_for_each_target():
    fabric = split()
    for number, node in nodes_of(fabric, CONFIG).items():
        closing = [entry for entry in node.ranges if entry.closes and not entry.host]
        assert len(closing) == len(fabric.links.get(number, ())) == len(node.credits)


def test_the_image_switches_off_what_is_not_used():
    fabric = split()
    image = fabric_image(fabric, CONFIG)
    flags = {(tile, address // 4): int(words[ChannelField.FLAGS])
             for tile, space, address, words in image if space == TileSpace.CHANNELS}
    assert len(flags) == 4 * CONFIG.channels
    for (tile, channel), word in flags.items():
        assert word & 1 == (channel < len(fabric.tiles[tile].channels))
    ends = [int(words[RangeField.FLAGS]) >> 2 & 1
            for _, space, _, words in image if space == TileSpace.RANGES]
    assert sum(ends) == CONFIG.mesh.tiles + 1


def test_the_image_has_ways_and_dead_links():
    """A route for each pair that works, and the dead ports of every tile."""
    fabric, mesh = split(), dataclasses.replace(CONFIG, routing="table").mesh
    faults = Faults(mesh, [(0, 1)])
    routes = routes_around(faults)
    image = fabric_image(fabric, dataclasses.replace(CONFIG, routing="table"), None, routes, faults)
    ways = {(tile, address): int(words[0]) for tile, space, address, words in image
            if space == TileSpace.ROUTES}
    assert ways == {(tile, mesh.address(target)): routes[tile, target]
                    for tile in range(mesh.tiles) for target in range(mesh.tiles)}
    dead = {tile: int(words[0]) for tile, space, address, words in image
            if (space, address) == (TileSpace.LINKS, 0)}
    assert dead == {tile: {0: 1 << Port.EAST, 1: 1 << Port.WEST}.get(tile, 0)
                    for tile in range(mesh.tiles)}


def test_sums_have_channels_and_fields_of_their_own():
    """A chain of tiles: flags of its channels, a value in each flit, no word to the host."""
    narrow = dataclasses.replace(CORE, axons=64, features=("partial",))
    config = dataclasses.replace(CONFIG, core=narrow)
    assert narrow.features == ("currents", "partial")
    assert config.flit_fields["value"] == narrow.acc_bits
    assert config.mesh.payload_bits == sum(config.payload_fields.values())
    for seed in range(200):
        program = random_program(np.random.default_rng(seed), CORE)
        if program.axons > 64 and len(program.layers) == 2:
            break
    fabric = assemble(program, CONFIG.mesh, dict(enumerate(divide(program, 3, 4, axons=64))), 4)
    assert fabric.reporting == [1, 2]
    nodes = nodes_of(fabric, config)
    assert [channel.partial for channel in nodes[1].channels] == [False, True]
    assert not any(entry.host for entry in nodes[0].ranges)
    assert all(any(entry.host for entry in nodes[tile].ranges) for tile in (1, 2))
    flags = [int(words[ChannelField.FLAGS]) for tile, space, _, words in fabric_image(
        fabric, config) if space == TileSpace.CHANNELS and tile == 1]
    assert flags[:2] == [0b101, 0b1001]
    with pytest.raises(ValueError, match="needs the feature partial, has ahead, currents"):
        fabric_image(fabric, dataclasses.replace(
            CONFIG, core=dataclasses.replace(CORE, features=("currents",))))


@pytest.mark.parametrize(("room", "named"), [
    ({"channels": 1}, r"tile \d needs \d channels, has 1"),
    ({"targets": 1}, r"tile \d needs \d targets, has 1"),
    ({"host_ranges": 2}, r"the host needs \d+ ranges, has 2"),
])
def test_a_table_that_is_too_small_is_named(room, named):
    with pytest.raises(ValueError, match=named):
        for seed in range(40):
            nodes_of(split(seed), dataclasses.replace(CONFIG, **room))


@pytest.mark.parametrize("room", [{"inputs": 0}, {"channels": 65}, {"ranges": 1}])
def test_rooms_out_of_range_are_refused(room):
    with pytest.raises(ValueError, match=next(iter(room))):
        dataclasses.replace(CONFIG, **room)


def test_a_configuration_survives_its_file():
    assert FabricConfig.from_json(CONFIG.to_json()) == CONFIG
    assert CONFIG.core.has("ahead")
