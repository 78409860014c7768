"""Failing cells: nested in voltage, of a chip, the same in weights and in the memory image."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from lamina.models.config import HardwareConfig
from lamina.models.faults import (
    FaultModel,
    faulty_cells,
    faulty_codes,
    faulty_program,
    seen_weights,
)
from lamina.models.image import memory_image
from lamina.models.network import run
from lamina.models.placement import place
from lamina.models.program import Program
from lamina.models.tiers import effective_weights
from lamina.models.voltage import bit_error_rate

WEIGHTS, LANES, TIERS = 8, 8, (2, 2, 2, 2)


@pytest.fixture(name="program")
def two_layers(make_layer):
    """300-24-10 neurons of random 8-bit codes."""
    rng = np.random.default_rng(7)
    first = make_layer(name="a", weights=rng.integers(-128, 128, (300, 24)), theta=500)
    second = make_layer(name="b", weights=rng.integers(-128, 128, (24, 10)), theta=100)
    return Program(name="pair", layers=(first, second), timesteps=8, weight_bits=8, acc_bits=24)


def at(program, *millivolts, **changes):
    return dataclasses.replace(program, tier_millivolts=millivolts, **changes)


def flips(program, faults=None):
    """Bits of every code that differ from what was stored, as one vector of bytes."""
    codes = faulty_codes(program, LANES, TIERS, faults or FaultModel())
    return np.concatenate([((part ^ layer.weights) & 255).ravel()
                           for part, layer in zip(codes, program.layers, strict=True)])


@pytest.mark.parametrize(("fields", "message"), [
    ({"kind": "soft"}, r"^fault kind must be one of flip, stuck, transient, not 'soft'$"),
    ({"chip": -1}, r"^chip must be in 0\.\.4294967295, not -1$"),
    ({"chip": 2**32}, r"^chip must be in 0\.\.4294967295, not 4294967296$")])
def test_bad_models_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        FaultModel(**fields)


def test_a_chip_is_a_whole_number():
    with pytest.raises(TypeError, match=r"^chip must be an int, not 1\.5$"):
        FaultModel(chip=1.5)


@pytest.mark.parametrize("volts", [0.825, 0.8, 0.75, 0.7])
def test_so_many_cells_fail(program, volts):
    changed = flips(at(program, *[round(volts * 1000)] * 4))
    share = np.unpackbits(changed.astype(np.uint8)).mean()
    spread = np.sqrt(bit_error_rate(volts) / (8 * changed.size))
    assert abs(share - bit_error_rate(volts)) < 4 * spread


def test_failures_are_nested_in_voltage(program):
    found = [flips(at(program, *[millivolts] * 4)) for millivolts in (850, 825, 800, 750, 700)]
    assert not found[0].any()
    for higher, lower in itertools.pairwise(found):
        assert higher.sum() < lower.sum()
        np.testing.assert_array_equal(higher & lower, higher)


def test_only_undervolted_tiers_fail_and_chips_differ(program):
    low = at(program, 1100, 1100, 700, 1100)
    assert set(np.unpackbits(flips(low).astype(np.uint8)[:, None], axis=1).any(axis=0).nonzero()[0]
               ) == {4, 5}
    others = [flips(low, FaultModel(chip=chip)) for chip in (0, 1)]
    np.testing.assert_array_equal(others[0], flips(low))
    assert (others[0] != others[1]).mean() > 0.3


def test_a_cell_does_not_depend_on_what_else_is_in_the_memory(program):
    low = at(program, 700, 700, 700, 700)
    alone = dataclasses.replace(low, layers=low.layers[:1])
    both = faulty_codes(low, LANES, TIERS, FaultModel(chip=9))
    [first] = faulty_codes(alone, LANES, TIERS, FaultModel(chip=9))
    np.testing.assert_array_equal(both[0], first)


def test_worked_by_hand_from_the_draws(program):
    """Tier 2 at .75 V: the draw of lane 3, bit 1, second word of the second group."""
    faults, axons = FaultModel(chip=5), 300
    address = axons + 1
    number = (2 << 40) + address * LANES * 2 + 3 * 2 + 1
    source = np.random.PCG64(np.random.SeedSequence((5,)))
    source.advance(number // 2)
    draw = int(source.random_raw()) >> 32 * (number % 2) & 0xFFFFFFFF
    [cells] = [cells for cells in faulty_cells(at(program, 1100, 1100, 750, 1100), LANES, TIERS,
                                               faults) if cells.layer == 0]
    assert (cells.tier, cells.first) == (2, 0)
    assert cells.turned[address, 7] == (draw < round(bit_error_rate(0.75) * 2**32))
    changed = faulty_codes(at(program, 1100, 1100, 750, 1100), LANES, TIERS, faults)[0]
    turned = (changed[1, 11] ^ program.layers[0].weights[1, 11]) >> 3 & 1
    assert turned == cells.turned[address, 7]


def test_stuck_cells_give_back_their_own_bit(program):
    faults = FaultModel(kind="stuck", chip=2)
    low = at(program, 1100, 1100, 1100, 700)
    inverse = dataclasses.replace(low, layers=tuple(
        dataclasses.replace(layer, weights=~layer.weights) for layer in low.layers))
    one, other = (faulty_codes(each, LANES, TIERS, faults)[0] for each in (low, inverse))
    held = (one ^ other) & 3 ^ 3
    stored = low.layers[0].weights
    np.testing.assert_array_equal(one & ~held, stored & ~held)
    cells = np.unpackbits(held.astype(np.uint8)[..., None], axis=-1)[..., 6:]
    values = np.unpackbits((one & held).astype(np.uint8)[..., None], axis=-1)[..., 6:]
    assert abs(cells.mean() - bit_error_rate(0.7)) < 0.02
    assert abs(values[cells == 1].mean() - 0.5) < 0.02


def test_a_stuck_cell_holds_the_lowest_bit_of_its_draw(program):
    """The first cells of tier 3, where u and the bit lie in the same 32 bits."""
    source = np.random.PCG64(np.random.SeedSequence((8,)))
    source.advance((3 << 40) // 2)
    draws = source.random_raw(50).astype("<u8").view("<u4").tolist()
    cells = next(faulty_cells(at(program, 1100, 1100, 1100, 700), LANES, TIERS,
                              FaultModel(kind="stuck", chip=8)))
    limit = round(bit_error_rate(0.7) * 2**32)
    assert cells.held.ravel()[:100].tolist() == [draw < limit for draw in draws]
    assert cells.turned.ravel()[:100].tolist() == [draw < limit and draw % 2 for draw in draws]


def test_transient_faults_are_drawn_again_in_every_timestep(program):
    low, faults = at(program, 1100, 1100, 700, 700), FaultModel(kind="transient", chip=3)
    first, again, later = (faulty_codes(low, LANES, TIERS, faults, timestep=t)[0]
                           for t in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != later).mean() > 0.5
    persistent = FaultModel(chip=3)
    np.testing.assert_array_equal(*(faulty_codes(low, LANES, TIERS, persistent, timestep=t)[0]
                                    for t in (0, 1)))


def test_gated_tiers_show_their_fill(program):
    low = at(program, 1100, 1100, 750, 700, gated_tiers=1, tier_fill="mid")
    codes, seen = (of(low, LANES, TIERS, FaultModel()) for of in (faulty_codes, seen_weights))
    for part, got, layer in zip(codes, seen, low.layers, strict=True):
        np.testing.assert_array_equal(got, effective_weights(part, TIERS, 1, "mid"))
        np.testing.assert_array_equal(part & 3, layer.weights & 3)


def test_layers_have_their_own_voltages(program):
    layers = (program.layers[0], dataclasses.replace(
        program.layers[1], tier_millivolts=(1100, 1100, 1100, 700)))
    codes = faulty_codes(dataclasses.replace(program, layers=layers), LANES, TIERS, FaultModel())
    assert codes[0] is layers[0].weights
    assert (codes[1] != layers[1].weights).any()


def test_one_bit_weights_flip_their_sign(make_layer):
    layer = make_layer(weights=np.where(np.random.default_rng(1).random((64, 16)) < 0.5, 1, -1))
    program = Program(name="n", layers=(layer,), timesteps=1, weight_bits=1, acc_bits=18,
                      tier_millivolts=(700,))
    [codes] = faulty_codes(program, LANES, (1,), FaultModel())
    assert np.isin(codes, (-1, 1)).all()
    assert abs((codes != layer.weights).mean() - bit_error_rate(0.7)) < 0.06
    assert faulty_program(program, LANES, (1,), FaultModel()).weight_bits == 1


@pytest.mark.parametrize("kind", ["flip", "stuck"])
@pytest.mark.parametrize("fields", [
    {"lanes": 8, "tiers": (2, 2, 2, 2), "bank": "spram"}, {"lanes": 4, "tiers": (3, 1, 4)},
    {"lanes": 16, "tiers": (1, 5, 2)}, {"lanes": 64, "tiers": (3, 5), "axons": 4096}])
def test_the_image_is_that_of_the_faulty_program(random_program, fields, kind):
    """Word for word, but for lanes that hold no weight."""
    rng = np.random.default_rng(11)
    config = HardwareConfig(**({"acc_bits": 36, "features": ("rederived",)} | fields))
    faults = FaultModel(kind=kind, chip=21)
    for _ in range(4):
        program = random_program(rng, tiers=(3, 3), state_bits=config.state_bits,
                                 decay_bits=config.decay_bits)
        program = at(program, *rng.choice((1100, 800, 650), len(config.tiers)).tolist())
        changed = faulty_program(program, config.lanes, config.tiers, faults)
        assert changed.tier_millivolts == ()
        used = memory_image(faulty_program(ones(program, config), config.lanes, config.tiers,
                                           FaultModel()), config)
        for got, expected, mask in zip(memory_image(program, config, faults),
                                       memory_image(changed, config), used, strict=True):
            assert got[:2] == expected[:2]
            if got[0] >= WEIGHTS:
                np.testing.assert_array_equal(got[2] & mask[2], expected[2] & mask[2])
            else:
                np.testing.assert_array_equal(got[2], expected[2])


def ones(program, config):
    """`program` with every bit of every weight set, at nominal voltage."""
    layers = [dataclasses.replace(layer, weights=np.full_like(layer.weights, -1))
              for layer in program.layers]
    return dataclasses.replace(program, layers=tuple(layers), tier_millivolts=(),
                               weight_bits=min(8, sum(config.tiers)))


def test_the_golden_run_of_the_faulty_program_differs(program):
    low = at(program, 1100, 750, 750, 750)
    spikes = (np.random.default_rng(0).random((4, 8, 300)) < 0.2).astype(np.uint8)
    changed = faulty_program(low, LANES, TIERS, FaultModel(chip=1))
    assert (run(changed, spikes, TIERS).final_membranes[0]
            != run(low, spikes, TIERS).final_membranes[0]).any()


def test_transient_faults_have_no_program_and_no_image(program):
    faults = FaultModel(kind="transient")
    with pytest.raises(ValueError, match=r"^faults must be persistent \(flip, stuck\) for a "
                                         r"program, not transient$"):
        faulty_program(program, LANES, TIERS, faults)
    config = HardwareConfig(lanes=8, tiers=TIERS, acc_bits=24)
    with pytest.raises(ValueError, match=r"^faults must be persistent \(flip, stuck\) for a "
                                         r"memory image, not transient$"):
        memory_image(program, config, faults)


def test_the_words_of_a_layer_lie_where_they_are_placed(program):
    placed = place(program, LANES, 4).layers
    cells = list(faulty_cells(at(program, 1100, 1100, 1100, 700), LANES, TIERS, FaultModel()))
    assert [(each.layer, each.first, each.turned.shape) for each in cells] == [
        (0, 0, (900, 16)), (1, placed[1].weight_base, (48, 16))]
