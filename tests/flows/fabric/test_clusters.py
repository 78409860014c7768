"""4,096 recurrent neurons on sixteen tiles: simulated, bit-exact, in the time that is expected."""

import dataclasses

import numpy as np
import pytest

from lamina.flows.fabric.mapper import Activity, mapped_as, tile_core
from lamina.flows.fabric.verify import verify_fabric
from lamina.models.fabric.config import MeshConfig
from lamina.models.fabric.mapping import HOST
from lamina.models.fabric.run import run_fabric
from lamina.models.network import run
from lamina.tb import classifier, clusters

CORE = dataclasses.replace(clusters.CORE, tiers=(4,))
"""Half as wide as that of the benchmark: half of the words to load."""


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("size", "neurons", "timesteps"), [((2, 2), 64, 20), ((4, 4), 256, 100)])
def test_clusters_on_a_plane(size, neurons, timesteps, tmp_path):
    fabric = clusters.clusters(size, neurons, timesteps, weight_bits=4)
    spikes, mesh = clusters.cluster_spikes(timesteps), fabric.mesh
    mapped = mapped_as(fabric, Activity.measured(fabric.program, spikes, CORE.tiers))
    core = tile_core(fabric, CORE, clusters.MOST)
    found = verify_fabric(mapped, core, spikes, None, tmp_path, workers=1)
    assert found["mismatches"] == 0
    assert found["events_compared"] > 0.01 * mesh.tiles * neurons * timesteps
    assert found["membranes_compared"] == mesh.tiles * neurons
    assert found["mesh"]["expected_cycles"] == pytest.approx(found["mesh"]["cycles"], rel=0.03)


def computes_the_same(fabric, spikes, tiers):
    """Spikes of every layer on the golden fabric, which are those on one core."""
    found = run_fabric(fabric, spikes, tiers)
    whole = run(fabric.program, spikes, tiers, trace=True)
    for number, layer in enumerate(whole.layer_spikes):
        np.testing.assert_array_equal(found.spikes[number], layer)
    return whole.layer_spikes


def test_clusters_that_hear_far_ones():
    """The first half the host, the second half the first within the timestep; all themselves."""
    fabric = clusters.clusters((4, 2), 16, 30, weight_bits=4, far=3)
    layers = computes_the_same(fabric, clusters.cluster_spikes(30, lines=1), CORE.tiers)
    assert all(layer.any() for layer in layers)
    assert [fabric.tiles[tile].parts[0].layer for tile in range(8)] == [0, 4, 1, 5, 6, 2, 7, 3]
    for number, tile in fabric.tiles.items():
        first = tile.parts[0].layer < 4
        heard = [channel for channel in tile.channels if channel.source != HOST]
        assert len(tile.channels) - len(heard) == first and len(heard) == 3
        assert all(channel.delayed is first for channel in heard)
        assert all((sum(divmod(channel.source, 4)) + sum(divmod(number, 4))) % 2
                   for channel in heard)


def test_without_far_ones_clusters_are_what_they_were():
    """Lanes change what stands where in a core, not what is computed."""
    fabric = clusters.clusters((2, 2), 16, 12)
    wide = clusters.clusters((2, 2), 16, 12, lanes=16)
    assert [[source.layer for source in layer.sources] for layer in fabric.program.layers] == [
        [-1, 0, 1], [0, 1], [0, 2, 3], [2, 1, 3]]
    for one, other in zip(fabric.program.layers, wide.program.layers, strict=True):
        np.testing.assert_array_equal(one.weights, other.weights)


@pytest.mark.parametrize("size", [(1,), (2, 2), (4, 2)])
def test_a_classifier_on_any_mesh(size):
    """A few per cent of each wide layer fire; shares are in order, and none is idle."""
    fabric = classifier.classifier((128, 96, 96, 10), (*size, 1)[:2], 10)
    layers = computes_the_same(fabric, classifier.classifier_spikes(128, 10), (8,))
    for layer in layers[:2]:
        assert 0.005 < layer.mean() < 0.1
    assert sorted(fabric.tiles) == list(range(MeshConfig(size=size).tiles))
    order = [(part.layer, part.first) for tile in fabric.tiles.values() for part in tile.parts]
    assert order == sorted(order)
