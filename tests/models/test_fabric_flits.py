"""How many flits a network sends, and over which routers they go."""

import dataclasses

import numpy as np
import pytest

from lamina.models.config import HardwareConfig
from lamina.models.fabric.config import MeshConfig
from lamina.models.fabric.division import divide
from lamina.models.fabric.flits import at_routers, forwarded, sent_flits
from lamina.models.fabric.mapping import HOST, assemble
from lamina.models.fabric.network import Network
from lamina.models.fabric.routes import Faults, hops, order_routes, routes_around
from lamina.models.fabric.tables import sized
from lamina.models.fabric.timing import fabric_cycles
from lamina.models.network import run
from lamina.tb.graphs import random_graph

CORE = HardwareConfig(
    lanes=4, tiers=(4, 4), weight_words=4096, axons=256, groups=64, layers=64, mask_rows=256,
    state_bits=12, acc_bits=20, features=("currents", "refractory", "sources"))


@pytest.fixture(scope="module", params=range(4))
def drawn(request):
    """Fabric, its tables, and spikes of the input and of every layer."""
    rng, mesh = np.random.default_rng(request.param), MeshConfig(size=(2, 2))
    program = random_graph(rng, CORE)
    parts = divide(program, mesh.tiles, CORE.lanes)
    fabric = assemble(program, mesh, dict(enumerate(parts)), CORE.lanes)
    spikes = (rng.random((program.timesteps, program.axons)) < 0.3).astype(np.uint8)
    trace = run(program, spikes[None], CORE.tiers, trace=True)
    return fabric, sized(fabric, CORE), spikes, [layer[0] for layer in trace.layer_spikes]


def test_the_model_of_the_time_sends_them_too(drawn):
    """But for the CLEAR: it closes every slot once more and is answered, by all."""
    fabric, config, spikes, layers = drawn
    cost, flits = fabric_cycles(*drawn), sent_flits(*drawn)
    assert flits[-1, -1] == 0
    reports = sum(any(fabric.program.layers[part.layer].report
                      or part.layer == len(layers) - 1 for part in tile.parts)
                  for tile in fabric.tiles.values())
    channels = sum(len(tile.channels) for tile in fabric.tiles.values())
    assert cost.flits == flits.sum() - 2 * channels - reports
    clear = sent_flits(fabric, config, spikes[:0], [layer[:0] for layer in layers])
    assert clear.sum() == 2 * channels + reports
    routes = order_routes(config.mesh)
    assert cost.flit_hops == forwarded(config.mesh, routes, flits - clear).sum()


def test_the_host_sends_its_spikes_and_hears_credits(drawn):
    """By hand for the first tile: a flit for each line that it has, and what closes slots."""
    fabric, _, spikes, _ = drawn
    flits = sent_flits(*drawn)
    for number, tile in fabric.tiles.items():
        hosted = [channel for channel in tile.channels if channel.source == HOST]
        lines = [(first, units) for (layer, first, units), _, _ in tile.lines if layer == -1]
        wanted = sum(int(spikes[:, first:first + units].sum()) for first, units in lines)
        assert flits[-1, number] == wanted + len(hosted) * (len(spikes) + 1)


def test_what_routers_forward_is_what_the_golden_mesh_counts():
    """Around dead links; what the host sends begins at tile 0, what is for it ends there."""
    mesh = MeshConfig(size=(3, 2), routing="table", payload_bits=8)
    faults = Faults(mesh, [(0, 1)])
    routes, rng = routes_around(faults), np.random.default_rng(2)
    flits = rng.integers(0, 4, (mesh.tiles + 1, mesh.tiles + 1))
    between = at_routers(flits)
    assert np.diag(between).sum() == 0
    assert between[0, 1] == flits[0, 1] + flits[-1, 1] and between[2, 3] == flits[2, 3]
    network, every = Network(mesh, routes, faults), np.ones(mesh.tiles, dtype=bool)
    waiting = [[target for target, count in enumerate(row) for _ in range(count)]
               for row in between.tolist()]
    for _ in range(400):
        valid = np.array([bool(queue) for queue in waiting])
        words = np.array([mesh.address(queue[0]) if queue else 0 for queue in waiting])
        taken = valid & network.ready
        network.step(valid, words, every)
        waiting = [queue[1:] if gone else queue
                   for queue, gone in zip(waiting, taken.tolist(), strict=True)]
    found = forwarded(mesh, routes, flits)
    np.testing.assert_array_equal(network.routers.hops, found)
    assert found.sum() == (between * hops(mesh, routes)).sum() > 50


def test_sums_go_in_every_timestep():
    """A layer that is cut by axons: a flit for each neuron and timestep, silent or not."""
    mesh = MeshConfig(size=(4,))
    narrow = dataclasses.replace(CORE, axons=32, features=("partial", "sources"))
    for seed in range(100):
        program = random_graph(np.random.default_rng(seed), dataclasses.replace(CORE, axons=128))
        try:
            parts = divide(program, mesh.tiles, narrow.lanes, axons=narrow.axons)
            fabric = assemble(program, mesh, dict(enumerate(parts)), narrow.lanes)
        except ValueError:
            continue
        if any(part.is_partial for tile in parts for part in tile):
            break
    layers = [np.zeros((program.timesteps, layer.neurons), dtype=np.uint8)
              for layer in program.layers]
    spikes = np.zeros((program.timesteps, program.axons), dtype=np.uint8)
    silent = sent_flits(fabric, sized(fabric, narrow), spikes, layers)
    ticks = sent_flits(fabric, sized(fabric, narrow), spikes[:0], [each[:0] for each in layers])
    neurons = sum(part.neurons for tile in parts for part in tile if part.is_partial)
    assert silent.sum() - ticks.sum() * (program.timesteps + 1) == neurons * program.timesteps > 0
