"""Architectures and recipes."""

import pytest

from lamina.flows.training.recipe import Recipe
from lamina.flows.training.spec import LayerSpec, parse_architecture


def test_layers_follow_each_other():
    assert parse_architecture("784-128r-10") == (
        LayerSpec(inputs=(784,), shape=(128,), recurrent=True),
        LayerSpec(inputs=(128,), shape=(10,)))
    first, second, last = parse_architecture("2x34x34-12c5s2p1-p2-24c3p1-10")
    assert first == LayerSpec(inputs=(2, 34, 34), shape=(12, 16, 16), kernel=5, stride=2,
                              padding=1)
    assert second == LayerSpec(inputs=(12, 16, 16), shape=(24, 8, 8), kernel=3, padding=1, pool=2)
    assert last.fan_in == 24 * 64 and first.fan_in == 50


@pytest.mark.parametrize(("text", "message"), [
    ("784", "architecture must be like 784-128-10 or 2x34x34-16c5s2-10, not '784'"),
    ("0-10", "architecture must be like 784-128-10 or 2x34x34-16c5s2-10, not '0-10'"),
    ("784-p2-10", "architecture: p2 must pool a map, not values of shape (784,)"),
    ("784-0", "architecture: a layer must have neurons, not '0'"),
    ("784-big", "architecture: a layer must be like 256, 256r, 16c5s2p1 or p2, not 'big'"),
    ("784-8c3", "architecture: 8c3 must stand on a map, not on values of shape (784,)"),
    ("1x4x4-8c9", "architecture: the kernel of 8c9 must fit the map (4, 4)"),
    ("1x4x4-8c3-p2", "architecture must end in a layer of neurons, not '1x4x4-8c3-p2'"),
])
def test_bad_architectures_are_refused(text, message, refused):
    with refused(message):
        parse_architecture(text)


@pytest.mark.parametrize(("fields", "message"), [
    ({"weights": "9"}, "--weights must be 1..8, 16, binary or ternary, not '9'"),
    ({"reset": "zero"}, "--reset must be one of value, subtract, subtract-delayed, "
                        "subtract-rederived, not 'zero'"),
    ({"epochs": 0}, "--epochs must be in 1..10000, not 0"),
    ({"drop": 1.0}, "--drop must be in 0..1, not 1.0"),
    ({"bit_errors": (0.1,)}, "--bit-errors must have 4 entries, one per tier, not 1"),
    ({"bit_errors": (0, 0, 0, 0.1), "weights": "4"},
     "--bit-errors must go with weights as wide as the tiers, 8 bits, not 4"),
])
def test_bad_recipes_are_refused(fields, message, refused):
    with refused(message):
        Recipe(architecture="4-2", **fields)


@pytest.mark.parametrize(("weights", "low", "high"), [
    ("binary", -1, 1), ("ternary", -1, 1), ("4", -7, 7), ("8", -127, 127)])
def test_grids_hold_their_codes(weights, low, high):
    grid = Recipe(architecture="4-2", weights=weights).grid(100)
    assert (grid.low, grid.high) == (low, high) and grid.levels >= 1
