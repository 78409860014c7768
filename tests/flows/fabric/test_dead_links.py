"""Thirty per cent of the links of a mesh dead, twenty times: the same spikes and membranes."""

import pathlib

import numpy as np
import pytest

from lamina.flows.fabric.mapper import Activity, map_network, tile_core
from lamina.flows.fabric.verify import verify_fabric
from lamina.flows.frontend.compile import CompileOptions, compile_network
from lamina.models.config import HardwareConfig
from lamina.models.fabric.config import MeshConfig
from lamina.models.fabric.network import Network
from lamina.models.fabric.routes import order_routes
from lamina.models.fabric.run import run_fabric
from lamina.models.network import run
from lamina.tb.faults import connected_draws, links_of

NET = pathlib.Path(__file__).parents[3] / "examples" / "digits.nir"
CORE = HardwareConfig(lanes=4, weight_words=256, axons=64, groups=8, layers=4)
MOST = {"weight_words": 65536, "axons": 16384, "groups": 1024, "mask_rows": 1024, "layers": 64,
        "state_bits": 24, "acc_bits": 32, "decay_bits": 16}


def test_draws_are_connected_and_counted():
    mesh = MeshConfig(size=(4, 4), routing="table")
    draws, attempts = connected_draws(mesh, 0.3, 20, 3)
    assert len(draws) == 20 < attempts
    assert all(len(faults.links) == 7 and not faults.cut_off() for faults in draws)
    assert len({faults.links for faults in draws}) == 20
    assert len(links_of(mesh)) == 24


def test_meshes_that_cannot_be_connected_are_refused():
    with pytest.raises(ValueError, match=r"^share must leave .*, 1.0 does in 0 of 100"):
        connected_draws(MeshConfig(size=(2, 2), routing="table"), 1.0, 1, 0)


def crossed(mesh, routes, faults, cycles):
    """Pairs of tiles whose flit arrives, where every tile sends one to every other."""
    network, tiles, found = Network(mesh, routes, faults), range(mesh.tiles), set()
    waiting = [[target for target in tiles if target != tile] for tile in tiles]
    for _ in range(cycles):
        for tile in np.flatnonzero(network.valid).tolist():
            found.add((int(network.flits[tile]) >> mesh.address_bits, tile))
        valid, ready = np.array([bool(each) for each in waiting]), network.ready
        flits = [tile << mesh.address_bits | (mesh.address(waiting[tile][0]) if valid[tile] else 0)
                 for tile in tiles]
        network.step(valid, np.array(flits), np.ones(mesh.tiles, dtype=bool))
        for tile in np.flatnonzero(valid & ready).tolist():
            waiting[tile].pop(0)
    return found


def test_one_draw_in_the_golden_models():
    """Each tile reaches every other, by ways without faults not; the shares compute the same."""
    compiled = compile_network(NET, CompileOptions(data="digits"))
    program, spikes = compiled.program, compiled.data.encoded(compiled.program, 0, 2)
    mesh = MeshConfig(size=(4, 4), routing="table")
    [faults], _ = connected_draws(mesh, 0.3, 1, 3)
    mapped = map_network(program, mesh, CORE, Activity.measured(program, spikes, CORE.tiers), MOST,
                         faults=faults)
    pairs = {(tile, other) for tile in range(16) for other in range(16) if tile != other}
    assert crossed(mesh, mapped.routes, faults, 300) == pairs
    assert crossed(mesh, order_routes(mesh), faults, 300) < pairs
    whole, found = run(program, spikes, CORE.tiers, trace=True), run_fabric(
        mapped.fabric, spikes, CORE.tiers)
    assert len(mapped.fabric.tiles) > 10 and whole.spikes.any()
    for number in range(len(program.layers)):
        np.testing.assert_array_equal(found.spikes[number], whole.layer_spikes[number])
        np.testing.assert_array_equal(found.membranes[number], whole.layer_membranes[number])


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_random_dead_links_change_nothing(tmp_path):
    """Each draw has places, ways and dead links of its own, on one simulator."""
    compiled = compile_network(NET, CompileOptions(data="digits"))
    program, spikes = compiled.program, compiled.data.encoded(compiled.program, 0, 2)
    activity = Activity.measured(program, spikes, CORE.tiers)
    mesh = MeshConfig(size=(4, 4), routing="table")
    draws, _ = connected_draws(mesh, 0.3, 20, 3)
    for faults in draws:
        mapped = map_network(program, mesh, CORE, activity, MOST, faults=faults)
        core = tile_core(mapped.fabric, CORE, MOST)
        found = verify_fabric(mapped, core, spikes, None, tmp_path, workers=1)
        assert found["mismatches"] == 0
        assert found["events_compared"] > 300 and found["membranes_compared"] == 84
        assert found["mesh"]["cycles"] == pytest.approx(found["mesh"]["expected_cycles"], rel=0.01)
    built = [path for path in (tmp_path / "simulation").glob("fabric_mailbox-*") if path.is_dir()]
    assert len(built) == 1
