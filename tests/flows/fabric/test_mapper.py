"""Networks get their places on a mesh: like loads, short ways, or a refusal that says why."""

import dataclasses
import pathlib

import numpy as np
import pytest

from lamina.flows.errors import UserError
from lamina.flows.fabric.mapper import Activity, map_network, parse_mesh
from lamina.flows.frontend.compile import CompileOptions, compile_network
from lamina.models.config import HardwareConfig
from lamina.models.fabric.config import MeshConfig
from lamina.models.fabric.run import run_fabric
from lamina.models.network import run

NET = pathlib.Path(__file__).parents[3] / "examples" / "digits.nir"
CORE = HardwareConfig(lanes=4, weight_words=2048, axons=128, groups=16, acc_bits=20)


@pytest.fixture(scope="module")
def digits():
    compiled = compile_network(NET, CompileOptions(data="digits"))
    spikes = compiled.data.encoded(compiled.program, 0, 20)
    return compiled.program, spikes, Activity.measured(compiled.program, spikes, compiled.tiers)


@pytest.mark.parametrize("size", [(1,), (4,), (2, 2), (2, 2, 2)])
def test_digits_predict_the_same_on_every_mesh(size, digits):
    program, spikes, activity = digits
    mapped = map_network(program, MeshConfig(size=size), CORE, activity)
    found = run_fabric(mapped.fabric, spikes, CORE.tiers)
    whole = run(program, spikes, CORE.tiers, trace=True)
    for number, layer in enumerate(whole.layer_spikes):
        np.testing.assert_array_equal(found.spikes[number], layer)
    assert whole.spikes.any()
    assert set(mapped.fabric.tiles) <= set(range(MeshConfig(size=size).tiles))


def test_places_are_shorter_than_the_first_ones(digits):
    """Less flits times links than in the order of division; the same with the same seed."""
    program, _, activity = digits
    mesh = MeshConfig(size=(3, 3))
    mapped = map_network(program, mesh, CORE, activity)
    again = map_network(program, mesh, CORE, activity)
    assert {tile: found.parts for tile, found in mapped.fabric.tiles.items()} == {
        tile: found.parts for tile, found in again.fabric.tiles.items()}
    rng = np.random.default_rng(0)
    drawn = [float((mapped.traffic[np.ix_(order, order)] * mapped.hops).sum())
             for order in ([*rng.permutation(9), 9] for _ in range(50))]
    assert mapped.flit_hops <= min(drawn)


def test_traffic_counts_spikes_and_ticks(digits):
    """Host to one tile: all input spikes, a tick; back: a credit, the output's spikes, a tick."""
    program, _, activity = digits
    mapped = map_network(program, MeshConfig(size=(1,)), CORE, activity)
    reported = sum(1 + layer.sum() for place, layer in enumerate(activity.layers)
                   if program.layers[place].report or place == len(activity.layers) - 1)
    assert mapped.traffic[1, 0] == pytest.approx(activity.inputs.sum() + 1)
    assert mapped.traffic[0, 1] == pytest.approx(1 + reported)
    assert mapped.flit_hops == 0


def test_what_does_not_fit_is_named(digits):
    program, _, activity = digits
    small = dataclasses.replace(CORE, weight_words=64)
    with pytest.raises(UserError, match=r"^--mesh 2 is too small: .* needs \d+ weight words"):
        map_network(program, MeshConfig(size=(2,)), small, activity)


def test_layers_with_more_axons_than_a_core_are_cut(digits):
    """64 axons in cores of 16: chains of four tiles, sums on the links; the same spikes."""
    program, spikes, activity = digits
    narrow = dataclasses.replace(CORE, axons=16, groups=4, features=("partial",))
    mapped = map_network(program, MeshConfig(size=(4, 3)), narrow, activity,
                         {"groups": 4, "weight_words": 2048})
    parts = [part for tile in mapped.fabric.tiles.values() for part in tile.parts]
    partial = [part for part in parts if part.is_partial]
    assert {part.layer for part in partial} == {0, 1}
    assert all(part.axons <= 16 for part in parts)
    found = run_fabric(mapped.fabric, spikes, CORE.tiers)
    whole = run(program, spikes, CORE.tiers, trace=True)
    for number, layer in enumerate(whole.layer_spikes):
        np.testing.assert_array_equal(found.spikes[number], layer)
    assert whole.spikes.any()
    ticks = sum(len(tile.channels) for tile in mapped.fabric.tiles.values())
    assert mapped.traffic.sum() > ticks + sum(part.neurons for part in partial)


def test_what_cannot_be_cut_by_axons_is_one_line(digits):
    program, _, activity = digits
    narrow = dataclasses.replace(CORE, axons=32, groups=8, features=("partial",))
    loose = dataclasses.replace(program, layers=(
        dataclasses.replace(program.layers[0], adder="loa:4"), *program.layers[1:]))
    with pytest.raises(UserError, match=r"^--mesh 2x2: \S+ must have an exact adder to be cut by "
                                        r"axons, not \S+$"):
        map_network(loose, MeshConfig(size=(2, 2)), narrow, activity)
    with pytest.raises(UserError, match=r"^--mesh 2: \S+ has 64 axons, for which it takes 2 tiles; "
                                        r"with the other layers 3, not 2$"):
        map_network(program, MeshConfig(size=(2,)), narrow, activity)


@pytest.mark.parametrize(("text", "size"), [("4", (4,)), ("4x1", (4, 1)), ("2x2x2", (2, 2, 2))])
def test_meshes_are_read(text, size):
    assert parse_mesh(text) == size


@pytest.mark.parametrize("text", ["", "0x2", "2x", "2x2x2x2", "two", "-1"])
def test_no_meshes_are_refused(text):
    with pytest.raises(UserError, match="--mesh must be like 4, 4x2 or 2x2x2"):
        parse_mesh(text)
