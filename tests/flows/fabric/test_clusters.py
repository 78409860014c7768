"""4,096 recurrent neurons on sixteen tiles: simulated, bit-exact, in the time that is expected."""

import pytest

from lamina.flows.fabric.mapper import Activity, mapped_as, tile_core
from lamina.flows.fabric.verify import verify_fabric
from lamina.tb.clusters import CORE, MOST, cluster_spikes, clusters


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("size", "neurons", "timesteps"), [
    pytest.param((2, 2), 64, 20), pytest.param((4, 4), 256, 100, marks=pytest.mark.long)])
def test_clusters_on_a_plane(size, neurons, timesteps, tmp_path):
    fabric, spikes = clusters(size, neurons, timesteps), cluster_spikes(timesteps)
    mesh = fabric.mesh
    mapped = mapped_as(fabric, Activity.measured(fabric.program, spikes, CORE.tiers))
    found = verify_fabric(mapped, tile_core(fabric, CORE, MOST), spikes, None, tmp_path, workers=1)
    assert found["mismatches"] == 0
    assert found["events_compared"] > 0.01 * mesh.tiles * neurons * timesteps
    assert found["membranes_compared"] == mesh.tiles * neurons
    assert found["mesh"]["expected_cycles"] == pytest.approx(found["mesh"]["cycles"], rel=0.03)
