"""The memory image, worked by hand and read back into a program by an independent reader."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from lamina.models.config import HardwareConfig, ResetRule
from lamina.models.image import memory_image
from lamina.models.placement import misfits
from lamina.models.program import Program

REGISTERS, DESCRIPTORS, STATE, WEIGHTS = 0, 1, 2, 8


def load(image):
    """Play the writes in order into one dictionary of words; checks the types on the way."""
    memory = {}
    for space, address, words in image:
        assert type(space) is int and type(address) is int and words.dtype == np.uint16
        for offset, word in enumerate(words.tolist()):
            memory[space, address + offset] = word
    return memory


def read(memory, space, address, chunks):
    """Join `chunks` words, low one first."""
    return sum(memory[space, address + chunk] << 16 * chunk for chunk in range(chunks))


def signed(value, bits):
    """Two's complement of `bits`."""
    return value - (value >> bits - 1 << bits)


def read_layer(memory, config, number):
    """Weights and constants of one layer, addressed as the contract's table says."""
    axons, groups, weight_base, state_base, _, _, last = (
        memory[DESCRIPTORS, number * 8 + field] for field in range(7))
    neurons = (groups - 1) * config.lanes + last
    weights = np.zeros((axons, groups * config.lanes), dtype=int)
    for tier, bits in enumerate(config.tiers):
        chunks = config.tier_chunks(tier)
        for group, axon in np.ndindex(groups, axons):
            address = (weight_base + group * axons + axon) * chunks
            word = read(memory, WEIGHTS + tier, address, chunks)
            assert word >> config.lanes * bits == 0
            for lane in range(config.lanes):
                part = word >> lane * bits & (1 << bits) - 1
                column = group * config.lanes + lane
                weights[axon, column] = weights[axon, column] << bits | part
    weights = np.vectorize(lambda code: signed(code, config.weight_bits))(weights)
    vectors = []
    for region in (1, 2, 3, 4):
        slots = [read(memory, STATE, (((region * config.groups + state_base + row) * config.lanes
                                       + lane) * config.slot_chunks), config.slot_chunks)
                 for row in range(groups) for lane in range(config.lanes)]
        assert not any(slots[neurons:])
        vectors.append(slots[:neurons])
    assert not weights[:, neurons:].any()
    return weights[:, :neurons], vectors


@pytest.mark.parametrize("fields", [
    {"lanes": 8, "tiers": (2, 2, 2, 2), "bank": "spram"},
    {"lanes": 4, "tiers": (3, 1, 4)},
    {"lanes": 16, "tiers": (8,), "state_bits": 24, "acc_bits": 34},
    {"lanes": 16, "tiers": (1, 5, 2), "state_bits": 16, "decay_bits": 16},
    {"lanes": 64, "tiers": (3, 5), "axons": 4096}])
def test_reads_back(random_program, fields):
    rng = np.random.default_rng(5)
    config = HardwareConfig(**({"acc_bits": 36, "features": ("rederived",)} | fields))
    for _ in range(8):
        program = random_program(rng, tiers=(3, 3), state_bits=config.state_bits,
                                 decay_bits=config.decay_bits)
        memory = load(memory_image(program, config))
        assert memory[REGISTERS, 4] == len(program.layers)
        assert memory[REGISTERS, 5] == program.axons
        for number, layer in enumerate(program.layers):
            source = 1 << 15 | memory[DESCRIPTORS, number * 8 - 5] if number else 0
            assert memory[DESCRIPTORS, number * 8 + 4] == source
            weights, (decay, bias, theta, reset) = read_layer(memory, config, number)
            np.testing.assert_array_equal(weights, layer.weights)
            assert decay == layer.decay.tolist()
            used = layer.v_reset if layer.reset is ResetRule.VALUE else -1 - layer.r
            for got, expected in ((bias, layer.bias), (theta, -1 - layer.theta), (reset, used)):
                assert [signed(v, config.slot_bits) for v in got] == expected.tolist()


@pytest.fixture(name="pair")
def two_layers(make_layer):
    """A program of 3-5-2 neurons and a config of four lanes."""
    first = make_layer(name="a", weights=np.arange(-7, 8).reshape(3, 5), decay=200, theta=300,
                       bias=-2, r=9, gated_tiers=1)
    second = make_layer(name="b", weights=-np.ones((5, 2)), reset=ResetRule.VALUE, v_reset=-5)
    program = Program(name="pair", layers=(first, second), timesteps=1, weight_bits=4, acc_bits=18)
    return program, HardwareConfig(name="tiny", lanes=4, tiers=(1, 3), groups=8, axons=32)


def test_worked_by_hand(pair):
    program, config = pair
    memory = load(memory_image(program, config))
    assert [memory[DESCRIPTORS, word] for word in range(16)] == [
        3, 2, 0, 0, 0, 1 | 0b10 << 8, 1, 0,
        5, 1, 6, 2, 1 << 15, 1 << 2 | 1 << 7, 2, 0]
    # weights of axon 0 are -7 -6 -5 -4 | -3, of axon 1 are -2 -1 0 1 | 2
    assert [memory[WEIGHTS, word] for word in (0, 1, 3, 4)] == [0b1111, 0b0011, 0b1, 0b0]
    assert [memory[WEIGHTS + 1, word] for word in (0, 1, 3, 4)] == [
        0b100_011_010_001, 0b001_000_111_110, 0b101, 0b010]
    assert [memory[WEIGHTS + 1, word] for word in range(6, 11)] == [0b111_111] * 5
    regions = {region: [memory[STATE, (region * 8 * 4) + slot] for slot in range(12)]
               for region in range(1, 5)}
    assert regions[1] == [200] * 5 + [0] * 3 + [256] * 2 + [0] * 2
    assert regions[2] == [0xFFFE] * 5 + [0] * 7
    assert regions[3] == [0x10000 - 301] * 5 + [0] * 3 + [0x10000 - 101] * 2 + [0] * 2
    assert regions[4] == [0x10000 - 10] * 5 + [0] * 3 + [0xFFFB] * 2 + [0] * 2
    assert {space for space, _ in memory} == {REGISTERS, DESCRIPTORS, STATE, WEIGHTS, WEIGHTS + 1}


def test_report_flags_are_kept_and_the_last_layer_always_reports(pair):
    program, config = pair
    loud = dataclasses.replace(program.layers[0], report=True)
    program = dataclasses.replace(program, layers=(loud, program.layers[1]))
    memory = load(memory_image(program, config))
    assert [memory[DESCRIPTORS, word] & 0b111 for word in (5, 13)] == [0b101, 0b100]


@pytest.mark.parametrize(("gated", "fill", "mask"), [(0, "mid", 0), (1, "zero", 0b10)])
def test_order_and_tier_registers(pair, gated, fill, mask):
    program, config = pair
    program = dataclasses.replace(program, gated_tiers=gated, tier_fill=fill)
    image = memory_image(program, config)
    writes = [(address, int(words[0])) for space, address, words in image if space == REGISTERS]
    assert writes == [(4, 0), (6, 0), (7, int(fill == "mid")), (8, 0b11), (5, 3), (6, mask), (4, 2)]
    spaces = [space for space, _, _ in image]
    assert spaces.index(REGISTERS, 3) > max(spaces.index(WEIGHTS), spaces.index(WEIGHTS + 1))
    assert spaces[-3:] == [REGISTERS] * 3


def test_one_bit_weights_take_two(make_layer):
    layer = make_layer(weights=[[1], [-1]])
    program = Program(name="n", layers=(layer,), timesteps=1, weight_bits=1, acc_bits=18)
    memory = load(memory_image(program, HardwareConfig(lanes=4, tiers=(1, 1))))
    assert [memory[WEIGHTS + tier, word] for tier in (0, 1) for word in (0, 1)] == [0, 1, 1, 1]


def test_a_program_that_does_not_fit_is_refused(pair):
    program, config = pair
    config = dataclasses.replace(config, layers=1, tiers=(1, 2))
    with pytest.raises(ValueError,
                       match=r"^pair must fit tiny: needs 2 layer descriptors, has 1$"):
        memory_image(program, config)


def test_addresses_beyond_twenty_bits_are_refused(make_layer):
    config = HardwareConfig(lanes=128, tiers=(16,), weight_words=65536, axons=16384, groups=128)
    layer = make_layer(weights=np.zeros((8193, 1)))
    program = Program(name="n", layers=(layer,), timesteps=1, weight_bits=8, acc_bits=18)
    with pytest.raises(ValueError, match=r"^lamina: space 8 must end within 1048576 words of "
                                         r"20-bit addresses, not 1048704$"):
        memory_image(program, config)


def test_either_count_gates_a_tier(pair):
    program, config = pair
    assert misfits(dataclasses.replace(program, gated_tiers=1), config) == []
    assert misfits(dataclasses.replace(program, gated_tiers=2), config) == [
        "needs 2 gated tiers, has 1"]
