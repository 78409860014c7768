"""The memory image of a program: every host word that loads it into a core."""

from __future__ import annotations

import numpy as np

from lamina.models.config import HardwareConfig, Register, ResetRule, Space, StateRegion
from lamina.models.program import Layer, Program
from lamina.models.tiers import TIER_FILLS, slice_weights

__all__ = ["ADDRESS_BITS", "ImageBlock", "group_counts", "memory_image"]

ADDRESS_BITS = 20
"""Width of a host address within one space [bit]."""

ImageBlock = tuple[int, int, np.ndarray]
"""Space, address of the first word, uint16 words at ascending addresses."""


def group_counts(program: Program, config: HardwareConfig) -> list[int]:
    """Rows of neurons that each layer takes on `config`."""
    return [-(-layer.neurons // config.lanes) for layer in program.layers]


def memory_image(program: Program, config: HardwareConfig) -> list[ImageBlock]:
    """Every write that loads `program`, in an order that works after any earlier program.

    The core is stopped (LAYERS = 0) and all tiers are switched on first, so that each of them takes
    its contents; TIER_LOST is cleared and TIER_GATED set after the weights; LAYERS comes last.

    Parameters
    ----------
    program : Program
    config : HardwareConfig
        Of the core that is loaded.

    Returns
    -------
    list of (int, int, uint16 array (words,))
        Space, first address, words for ascending addresses. Membranes are not part of it (the core
        zeroes them); unused lanes and padding bits are zero.

    Raises
    ------
    ValueError
        If the program does not fit, naming the first short resource, or if the address of a word
        exceeds 20 bits.
    """
    misfits = program.misfits(config)
    if misfits:
        raise ValueError(f"{program.name} must fit {config.name}: {misfits[0]}")
    every_tier = (1 << len(config.tiers)) - 1
    image = [
        _register(Register.LAYERS, 0),
        _register(Register.TIER_GATED, 0),
        _register(Register.TIER_FILL, TIER_FILLS.index(program.tier_fill)),
        *_weight_blocks(program, config),
        _register(Register.TIER_LOST, every_tier),
        *_state_blocks(program, config),
        (int(Space.DESCRIPTORS), 0, _descriptors(program, config)),
        _register(Register.INPUT_AXONS, program.axons),
        _register(Register.TIER_GATED, _gate_mask(program.gated_tiers, config)),
        _register(Register.LAYERS, len(program.layers)),
    ]
    _check_addresses(image, config)
    return image


def _register(register: Register, value: int) -> ImageBlock:
    return int(Space.REGISTERS), int(register), np.array([value], dtype=np.uint16)


def _gate_mask(gated: int, config: HardwareConfig) -> int:
    """Bit k for tier k, set in the lowest `gated` tiers."""
    tiers = len(config.tiers)
    return ((1 << gated) - 1) << (tiers - gated)


def _check_addresses(image: list[ImageBlock], config: HardwareConfig) -> None:
    for space, address, words in image:
        end = address + len(words)
        if end > 1 << ADDRESS_BITS:
            raise ValueError(f"{config.name}: space {space} must end within {1 << ADDRESS_BITS} "
                             f"words of {ADDRESS_BITS}-bit addresses, not {end}")


def _descriptors(program: Program, config: HardwareConfig) -> np.ndarray:
    """Eight words per layer, in the order of ``DescriptorField``, the last one zero."""
    words, weight_base, row, source = [], 0, 0, 0
    for index, (layer, groups) in enumerate(
        zip(program.layers, group_counts(program, config), strict=True)
    ):
        report = layer.report or index == len(program.layers) - 1
        flags = (int(layer.reset) | int(report) << 2
                 | _gate_mask(layer.gated_tiers, config) << 8)
        last_lanes = layer.neurons - (groups - 1) * config.lanes
        words += [layer.axons, groups, weight_base, row, source, flags, last_lanes, 0]
        source = 1 << 15 | row
        weight_base += groups * layer.axons
        row += groups
    return np.array(words, dtype=np.uint16)


def _lanes(values: np.ndarray, groups: int, lanes: int) -> np.ndarray:
    """Pad the last axis of `values` with zeros and fold it into (groups, lanes)."""
    padding = groups * lanes - values.shape[-1]
    padded = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, padding)])
    return padded.reshape(*values.shape[:-1], groups, lanes)


def _chunks(values: np.ndarray, bits: int, chunks: int) -> np.ndarray:
    """Split each of `values`, taken as `bits` wide, into 16-bit words, low one first."""
    words = values[..., None] & ((1 << bits) - 1)
    return ((words >> (16 * np.arange(chunks))) & 0xFFFF).astype(np.uint16)


def _reset_operand(layer: Layer) -> np.ndarray:
    """What RESET holds: v_reset as it is, r as its complement."""
    return layer.v_reset if layer.reset is ResetRule.VALUE else ~layer.r


def _state_blocks(program: Program, config: HardwareConfig) -> list[ImageBlock]:
    """One block per constant region, all layers' rows in it."""
    groups = group_counts(program, config)
    regions = {
        StateRegion.DECAY: [layer.decay for layer in program.layers],
        StateRegion.BIAS: [layer.bias for layer in program.layers],
        StateRegion.THETA: [~layer.theta for layer in program.layers],
        StateRegion.RESET: [_reset_operand(layer) for layer in program.layers],
    }
    blocks = []
    for region, vectors in regions.items():
        rows = np.concatenate([_lanes(vector, count, config.lanes)
                               for vector, count in zip(vectors, groups, strict=True)])
        words = _chunks(rows, config.slot_bits, config.slot_chunks).reshape(-1)
        address = region * config.groups * config.lanes * config.slot_chunks
        blocks.append((int(Space.STATE), int(address), words))
    return blocks


def _weight_blocks(program: Program, config: HardwareConfig) -> list[ImageBlock]:
    """One block per tier, all layers' words in it."""
    slices = [slice_weights(layer.weights, config.tiers) for layer in program.layers]
    groups = group_counts(program, config)
    blocks = []
    for tier, bits in enumerate(config.tiers):
        chunks = config.tier_chunks(tier)
        words = [_weight_words(part[tier], count, config.lanes, bits, chunks)
                 for part, count in zip(slices, groups, strict=True)]
        blocks.append((Space.WEIGHTS + tier, 0, np.concatenate(words)))
    return blocks


def _weight_words(part: np.ndarray, groups: int, lanes: int, bits: int, chunks: int) -> np.ndarray:
    """Host words of one layer's slices (axons, neurons): group, axon, chunk; lane 0 lowest."""
    lanes_of = _lanes(part, groups, lanes).transpose(1, 0, 2).astype(np.uint16)
    stream = (lanes_of[..., None] >> np.arange(bits, dtype=np.uint16)) & 1
    stream = stream.astype(np.uint8).reshape(*lanes_of.shape[:2], lanes * bits)
    padded = np.pad(stream, [(0, 0), (0, 0), (0, 16 * chunks - lanes * bits)])
    return np.packbits(padded, axis=-1, bitorder="little").view("<u2").reshape(-1).astype(np.uint16)
