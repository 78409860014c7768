"""4,096 recurrent neurons on sixteen tiles: simulated, bit-exact, in the time that is expected."""

import pytest

from lamina.flows.fabric.mapper import Activity, mapped_as, tile_core
from lamina.flows.fabric.verify import verify_fabric
from lamina.models.config import HardwareConfig
from lamina.models.fabric.config import MeshConfig
from lamina.models.fabric.mapping import Part, assemble
from lamina.tb.clusters import ACC_BITS, STATE_BITS, cluster_spikes, clusters

CORE = HardwareConfig(lanes=8, tiers=(8,), weight_words=16, axons=64, groups=8, layers=4,
                      state_bits=STATE_BITS, acc_bits=ACC_BITS, features=("sources",))
MOST = {"weight_words": 65536, "axons": 16384, "groups": 128, "layers": 64, "mask_rows": 4096}


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("size", "neurons", "timesteps"), [
    pytest.param((2, 2), 64, 20), pytest.param((4, 4), 256, 100, marks=pytest.mark.long)])
def test_clusters_on_a_plane(size, neurons, timesteps, tmp_path):
    program, spikes = clusters(size, neurons, timesteps), cluster_spikes(timesteps)
    mesh = MeshConfig(size=size)
    fabric = assemble(program, mesh, {number: (Part(number, 0, neurons),)
                                      for number in range(mesh.tiles)}, CORE.lanes)
    mapped = mapped_as(fabric, Activity.measured(program, spikes, CORE.tiers))
    found = verify_fabric(mapped, tile_core(fabric, CORE, MOST), spikes, None, tmp_path, workers=1)
    assert found["mismatches"] == 0
    assert found["events_compared"] > 0.01 * mesh.tiles * neurons * timesteps
    assert found["membranes_compared"] == mesh.tiles * neurons
    assert found["mesh"]["expected_cycles"] == pytest.approx(found["mesh"]["cycles"], rel=0.03)
