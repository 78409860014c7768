"""4,096 recurrent neurons on sixteen tiles: simulated, bit-exact, in the time that is expected."""

import dataclasses

import pytest

from lamina.flows.fabric.mapper import Activity, mapped_as, tile_core
from lamina.flows.fabric.verify import verify_fabric
from lamina.tb import clusters

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
