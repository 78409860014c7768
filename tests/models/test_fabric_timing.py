"""What the model of the fabric's time must keep; RTL holds it in the tests of the flows."""

import numpy as np
import pytest

from lamina.models.config import HardwareConfig
from lamina.models.cost import sample_cycles
from lamina.models.fabric.config import MeshConfig, Port
from lamina.models.fabric.division import divide
from lamina.models.fabric.mapping import HOST, assemble
from lamina.models.fabric.tables import sized
from lamina.models.fabric.timing import fabric_cycles
from lamina.models.network import run
from lamina.tb.graphs import random_graph
from lamina.tb.programs import random_program

CHAIN = HardwareConfig(lanes=4, tiers=(4, 4), weight_words=4096, axons=128, groups=16, layers=4,
                       state_bits=12, acc_bits=18)
GRAPH = HardwareConfig(
    lanes=4, tiers=(4, 4), weight_words=4096, axons=256, groups=64, layers=64, mask_rows=256,
    state_bits=12, acc_bits=20, features=("currents", "refractory", "sources"))


def timed(program, core, size, spikes):
    mesh = MeshConfig(size=size)
    parts = divide(program, mesh.tiles, core.lanes)
    fabric = assemble(program, mesh, dict(enumerate(parts)), core.lanes)
    trace = run(program, spikes[None], core.tiers, trace=True)
    layers = [layer[0] for layer in trace.layer_spikes]
    return fabric_cycles(fabric, sized(fabric, core), spikes, layers), layers


def drawn(random, core, seed, share=0.3):
    rng = np.random.default_rng(seed)
    program = random(rng, core)
    return program, (rng.random((program.timesteps, program.axons)) < share).astype(np.uint8)


@pytest.mark.parametrize("seed", range(6))
def test_one_tile_is_slower_than_its_core(seed):
    """By the table of the host and the way, never faster; each timestep begins after the last."""
    program, spikes = drawn(random_program, CHAIN, seed)
    cost, layers = timed(program, CHAIN, (1,), spikes)
    alone = sample_cycles(program, CHAIN, spikes, layers)
    assert alone.cycles < cost.cycles
    assert cost.flit_hops == 0
    begins = cost.slots[0]
    assert len(begins) == program.timesteps and np.all(np.diff(begins) > 0)


@pytest.mark.parametrize("size", [(4,), (2, 2), (2, 2, 2)])
def test_every_tile_runs_every_timestep(size):
    """Loops over tiles included: nothing waits for ever, and the same twice."""
    for seed in range(8):
        program, spikes = drawn(random_graph, GRAPH, seed)
        cost, _ = timed(program, GRAPH, size, spikes)
        assert all(len(begins) == program.timesteps for begins in cost.slots.values())
        assert cost == timed(program, GRAPH, size, spikes)[0]
        assert cost.flits > 0


def test_flits_are_counted_link_by_link():
    """Two layers in a line: spikes and TICKs go east; spikes, TICKs and credits come back."""
    program, spikes = drawn(random_program, CHAIN, 6)
    assert len(program.layers) == 2
    cost, layers = timed(program, CHAIN, (2,), spikes)
    first, second = (int(layer.sum()) for layer in layers)
    timesteps = program.timesteps
    assert cost.link_flits == {(0, Port.EAST): first + timesteps,
                               (1, Port.WEST): second + 2 * timesteps}
    assert cost.flit_hops == cost.routed == first + second + 3 * timesteps
    sent = {number: count for number, (count, _, _) in cost.sending.items()}
    assert sent == {HOST: int(spikes.sum()) + timesteps, 0: first + timesteps,
                    1: second + timesteps}
    assert cost.flits == sum(sent.values()) + 2 * timesteps


def test_nobody_is_busier_than_time_allows():
    program, spikes = drawn(random_program, CHAIN, 6)
    cost, _ = timed(program, CHAIN, (2,), spikes)
    assert all(0 < busy <= cost.cycles for busy in cost.busy.values())
    assert all(0 <= held <= spent - sent and spent <= cost.cycles
               for sent, spent, held in cost.sending.values())
    assert cost.waited >= 0


def test_more_spikes_take_longer():
    program, _ = drawn(random_program, CHAIN, 5)
    rng = np.random.default_rng(1)
    found = []
    for share in (0.0, 0.2, 0.9):
        spikes = (rng.random((program.timesteps, program.axons)) < share).astype(np.uint8)
        found.append(timed(program, CHAIN, (2, 2), spikes)[0].cycles)
    assert found == sorted(found) and found[0] < found[2]
