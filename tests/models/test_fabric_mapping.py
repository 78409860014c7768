"""Networks split over tiles: any division computes what one core computes."""

import dataclasses

import numpy as np
import pytest

from lamina.models.config import HardwareConfig, ResetRule
from lamina.models.fabric.config import MeshConfig
from lamina.models.fabric.division import clusters_of, divide
from lamina.models.fabric.mapping import HOST, Part, assemble
from lamina.models.fabric.run import run_fabric
from lamina.models.network import run
from lamina.models.placement import place
from lamina.models.program import Layer, Program
from lamina.tb.graphs import random_graph
from lamina.tb.programs import random_program

CHAIN = HardwareConfig(lanes=4, tiers=(4, 4), weight_words=4096, axons=128, groups=16, layers=4,
                       state_bits=12, acc_bits=18)
GRAPH = HardwareConfig(
    lanes=4, tiers=(4, 4), weight_words=4096, axons=256, groups=64, layers=64, mask_rows=256,
    state_bits=12, acc_bits=20, features=("currents", "refractory", "sources", "windows"))

PLAIN_GRAPH = dataclasses.replace(GRAPH, features=("currents", "refractory", "sources"))


def assert_equal(program, parts, spikes, lanes=4, tiers=(4, 4)):
    fabric = assemble(program, MeshConfig(size=(16,)), dict(enumerate(parts)), lanes)
    whole = run(program, spikes, tiers, trace=True)
    found = run_fabric(fabric, spikes, tiers)
    for number in range(len(program.layers)):
        np.testing.assert_array_equal(found.spikes[number], whole.layer_spikes[number])
        np.testing.assert_array_equal(found.membranes[number], whole.layer_membranes[number])
    return whole


def spikes_for(rng, program, samples=3):
    return (rng.random((samples, program.timesteps, program.axons)) < 0.3).astype(np.uint8)


@pytest.mark.parametrize("tiles", [1, 2, 3, 7])
def test_chains_compute_the_same_on_any_number_of_tiles(tiles):
    fired = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        program = random_program(rng, CHAIN)
        parts = divide(program, tiles, 4)
        assert len(parts) <= tiles
        fired += int(assert_equal(program, parts, spikes_for(rng, program)).spikes.any())
    assert fired > 6


@pytest.mark.parametrize("tiles", [2, 5, 12])
def test_graphs_compute_the_same_on_many_tiles(tiles):
    """Branches, loops over several tiles, delays, currents, maps."""
    fired = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        program = random_graph(rng, GRAPH)
        parts = divide(program, tiles, 4)
        fired += int(assert_equal(program, parts, spikes_for(rng, program)).spikes.any())
    assert fired > 20


def cut(tiles):
    """How many parts of an assignment have no membranes."""
    return sum(part.is_partial for parts in tiles for part in parts)


@pytest.mark.parametrize(("axons", "tiles"), [(64, 4), (32, 8), (16, 16)])
def test_layers_cut_by_axons_compute_the_same(axons, tiles):
    """Chains of tiles, each with some axons of a layer, under every reset rule."""
    fired, rules = 0, set()
    for seed in range(40):
        rng = np.random.default_rng(seed)
        program = random_program(rng, CHAIN)
        try:
            parts = divide(program, tiles, 4, axons=axons)
        except ValueError:
            continue
        if not cut(parts):
            continue
        spikes = spikes_for(rng, program)
        assert len(parts) <= tiles
        assert max(place(tile.program, 4).axons for tile in assemble(
            program, MeshConfig(size=(16,)), dict(enumerate(parts)), 4).tiles.values()) <= axons
        fired += int(assert_equal(program, parts, spikes).spikes.any())
        rules |= {layer.reset for layer in program.layers}
    assert fired > 6 and len(rules) == 3


def test_recurrent_layers_and_currents_are_cut_by_axons():
    """Delays, loops over the tiles of a chain, integrators with their membranes; exact sums."""
    fired, loops, currents = 0, 0, 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        program = random_graph(rng, PLAIN_GRAPH)
        try:
            parts = divide(program, 16, 4, axons=24)
            fabric = assemble(program, MeshConfig(size=(16,)), dict(enumerate(parts)), 4)
        except ValueError:
            continue
        if cut(parts):
            fired += int(assert_equal(program, parts, spikes_for(rng, program)).spikes.any())
            loops += any(channel.delayed for tile in fabric.tiles.values()
                         for channel in tile.channels)
            currents += any(not program.layers[part.layer].spiking for parts_ in parts
                            for part in parts_ if part.is_partial)
    assert fired > 10 and loops > 5 and currents > 3


def test_sums_beyond_the_store_are_exact():
    """Partial sums that no membrane could hold, which the last tile brings back."""
    half = 1 << 7
    weights = np.concatenate([np.full((20, 8), half - 1), np.full((20, 8), -half),
                              np.ones((8, 8))])
    zero = np.zeros(8, dtype=np.int64)
    layer = Layer(name="wide", weights=weights.astype(np.int64), decay=zero, theta=zero + 20,
                  r=zero, v_reset=zero, bias=zero, reset=ResetRule.VALUE)
    program = Program(name="wide", layers=(layer,), timesteps=2, decay_bits=8, weight_bits=8,
                      state_bits=8, acc_bits=14)
    parts = divide(program, 3, 4, axons=16)
    assert cut(parts) == 2
    spikes = np.ones((1, 2, 48), dtype=np.uint8)
    assert assert_equal(program, parts, spikes).layer_membranes[0][0, 0].tolist() == [-12] * 8
    sums = run_fabric(assemble(program, MeshConfig(size=(3,)), dict(enumerate(parts)), 4), spikes,
                      (4, 4)).sums
    assert {int(array.max()) for array in sums.values()} == {16 * 127, 20 * 127 - 12 * 128}


def test_what_cannot_be_cut_by_axons_is_named():
    program = first_program(lambda program: program.layers[0].axons > 40)
    whole = divide(program, 8, 4)

    def refused(message, **changes):
        changed = dataclasses.replace(program, layers=(
            dataclasses.replace(program.layers[0], **changes), *program.layers[1:]))
        with pytest.raises(ValueError, match=message):
            assemble(changed, mesh, dict(enumerate(divide(changed, 16, 4, axons=24))), 4)

    mesh = MeshConfig(size=(16,))
    assert not cut(whole)
    refused("layer0 must have an exact adder to be cut by axons, not loa", adder="loa:4")
    refused("layer0 must not be cut by axons: it has a bias that follows", kappa=3)
    with pytest.raises(ValueError, match=r"layer0 has \d+ axons, for which it takes \d tiles; "
                                         r"with the other layers \d+, not 1$"):
        divide(program, 1, 4, axons=24)
    rest = divide(program, 16, 4, axons=24)[1:]
    with pytest.raises(ValueError, match="axons of layer0 must follow one another in a chain"):
        assemble(program, mesh, dict(enumerate(rest)), 4)


def test_loops_go_through_delayed_channels():
    seen = 0
    for seed in range(20):
        program = random_graph(np.random.default_rng(seed), GRAPH)
        fabric = assemble(program, MeshConfig(size=(16,)),
                          dict(enumerate(divide(program, 9, 4))), 4)
        for number, tile in fabric.tiles.items():
            for channel in tile.channels:
                seen += channel.delayed
                assert channel.source == HOST or channel.source in fabric.tiles
                links = [link for link in fabric.links[channel.source]
                         if (link.target, tile.channels[link.channel]) == (number, channel)]
                assert len(links) == 1
    assert seen > 10


def test_links_carry_each_spike_once_to_each_line():
    """Over all its links a tile gets every input line of its program exactly once."""
    for seed in range(10):
        program = random_graph(np.random.default_rng(seed), GRAPH)
        fabric = assemble(program, MeshConfig(size=(16,)),
                          dict(enumerate(divide(program, 6, 4))), 4)
        for number in fabric.tiles:
            axons = np.concatenate([link.axons for links in fabric.links.values()
                                    for link in links if link.target == number])
            assert len(set(axons.tolist())) == len(axons)
            rebuilt = [axon for links in fabric.links.values() for link in links
                       if link.target == number for first, last, axon in link.ranges
                       for axon in range(axon, axon + last - first + 1)]
            assert sorted(rebuilt) == sorted(axons.tolist())


def test_loads_are_balanced():
    """A heavy layer gets all tiles that the others do not need, in like shares."""
    program = first_program(lambda program: len(program.layers) >= 2
                            and program.layers[0].neurons >= 16)
    parts = divide(program, 6, 4, spikes=np.array([100.0] + [1.0] * (len(program.layers) - 1)))
    heavy = [tile for tile in parts if tile[0].layer == 0]
    assert len(heavy) == min(6 - len(program.layers) + 1, -(-program.layers[0].neurons // 4))
    sizes = [tile[0].neurons for tile in heavy]
    assert max(sizes) - min(sizes) <= 8


def test_currents_and_maps_stay_together():
    for seed in range(30):
        program = random_graph(np.random.default_rng(seed), GRAPH)
        clusters = clusters_of(program)
        assert [index for cluster in clusters for index in cluster.layers] == [
            *range(len(program.layers))]
        where = {index: place for place, cluster in enumerate(clusters)
                 for index in cluster.layers}
        for index, layer in enumerate(program.layers):
            if layer.current is not None:
                assert where[index] == where[layer.current]
            for source in layer.sources:
                if source.window is not None and source.layer >= 0:
                    assert where[index] == where[source.layer]


def first_program(wanted):
    """The first drawn chain that is as `wanted`."""
    return next(program for program in (
        random_program(np.random.default_rng(seed), CHAIN) for seed in range(100))
        if wanted(program))


def whole(program, index):
    return Part(index, 0, program.layers[index].neurons)


def test_impossible_assignments_are_refused():
    program = first_program(lambda program: len(program.layers) >= 3)
    mesh = MeshConfig(size=(4,))
    first, second, third = (whole(program, index) for index in range(3))
    rest = tuple(whole(program, index) for index in range(3, len(program.layers)))
    with pytest.raises(ValueError, match="must be on one tile, not on 0"):
        assemble(program, mesh, {0: (first,), 1: (third, *rest)}, 4)
    with pytest.raises(ValueError, match="must be on one tile, not on 2"):
        assemble(program, mesh, {0: (first, second), 1: (second, third, *rest)}, 4)
    with pytest.raises(ValueError, match="tiles 0, 1 must not wait for one another"):
        assemble(program, mesh, {0: (first, third), 1: (second,), **(
            {2: rest} if rest else {})}, 4)
    with pytest.raises(ValueError, match="tiles must be at least 1, not 0"):
        divide(program, 0, 4)
