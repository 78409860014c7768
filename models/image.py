"""The memory image of a program: every host word that loads it into a core."""

from __future__ import annotations

import numpy as np

from lamina.models.config import (
    DescriptorField,
    EntryKind,
    HardwareConfig,
    Register,
    ResetRule,
    Space,
    StateRegion,
)
from lamina.models.faults import FaultModel, faulty_cells
from lamina.models.placement import PlacedLayer, Placement, misfits, place
from lamina.models.program import Layer, Program
from lamina.models.tiers import TIER_FILLS, slice_weights

__all__ = ["ADDRESS_BITS", "ImageBlock", "memory_image"]

_ADDER_PLACE = 8
ADDRESS_BITS = 20
"""Width of a host address within one space [bit]."""

ImageBlock = tuple[int, int, np.ndarray]
"""Space, address of the first word, uint16 words at ascending addresses."""


def memory_image(program: Program, config: HardwareConfig,
                 faults: FaultModel | None = None) -> list[ImageBlock]:
    """Every write that loads `program`, in an order that works after any earlier program.

    The core is stopped (LAYERS = 0) and all tiers are switched on first, so that each of them takes
    its contents; TIER_LOST is cleared and TIER_GATED set after the weights; LAYERS comes last.

    Parameters
    ----------
    program : Program
    config : HardwareConfig
        Of the core that is loaded.
    faults : FaultModel or None
        Persistent ones of undervolted tiers, forced upon the weight words: where no tier has a
        supply of its own, a core loaded with this image runs as the faulty one would.

    Returns
    -------
    list of (int, int, uint16 array (words,))
        Space, first address, words for ascending addresses. Membranes are not part of it (the core
        zeroes them); unused lanes and padding bits are zero.

    Raises
    ------
    ValueError
        If the program does not fit, naming the first short resource, if the address of a word
        exceeds 20 bits, or if `faults` are transient.
    """
    short = misfits(program, config)
    if short:
        raise ValueError(f"{program.name} must fit {config.name}: {short[0]}")
    placement = place(program, config.lanes, len(config.tiers))
    every_tier = (1 << len(config.tiers)) - 1
    image = [
        _register(Register.LAYERS, 0),
        _register(Register.TIER_GATED, 0),
        _register(Register.TIER_FILL, TIER_FILLS.index(program.tier_fill)),
        *_faulty(_weight_blocks(program, config, placement), program, config, faults),
        _register(Register.TIER_LOST, every_tier),
        *_state_blocks(program, config, placement),
        (int(Space.DESCRIPTORS), 0, _descriptors(program, placement, config)),
        _register(Register.INPUT_AXONS, int(placement.input_axons.max()) + 1),
        _register(Register.TIER_GATED, _gate_mask(program.gated_tiers, config)),
        _register(Register.LAYERS, len(placement.entries)),
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


def _descriptors(program: Program, placement: Placement, config: HardwareConfig) -> np.ndarray:
    """The words of all entries, in the order of ``DescriptorField``, unused ones zero."""
    adders = iter([config.adders.index(layer.adder) for layer in program.layers])
    words = np.zeros((len(placement.entries), config.descriptor_words), dtype=np.uint16)
    for row, entry in zip(words, placement.entries, strict=True):
        for field, value in entry.items():
            if field < config.descriptor_fields:
                row[field] = value
        if row[DescriptorField.LAST_LANES] >> 14 == EntryKind.LAYER:
            row[DescriptorField.LAST_LANES] |= next(adders) << _ADDER_PLACE
    return words.reshape(-1)


def _slots(vector: np.ndarray, unused: int, layer: PlacedLayer, lanes: int) -> np.ndarray:
    """A value per neuron to the rows (rows, lanes) of its layer, `unused` in the other lanes."""
    slots = np.full(layer.rows * lanes, unused)
    slots[layer.units - layer.row * lanes] = vector
    return slots.reshape(-1, lanes)


def _chunks(values: np.ndarray, bits: int, chunks: int) -> np.ndarray:
    """Split each of `values`, taken as `bits` wide, into 16-bit words, low one first."""
    words = values[..., None] & ((1 << bits) - 1)
    return ((words >> (16 * np.arange(chunks))) & 0xFFFF).astype(np.uint16)


def _reset_operand(layer: Layer) -> np.ndarray:
    """What RESET holds: v_reset as it is, r as its complement."""
    return layer.v_reset if layer.reset is ResetRule.VALUE else ~layer.r


def _state_blocks(program: Program, config: HardwareConfig, placement: Placement
                  ) -> list[ImageBlock]:
    """One block per constant region, all layers' rows in it."""
    regions = {
        StateRegion.DECAY: [layer.decay for layer in program.layers],
        StateRegion.BIAS: [layer.bias for layer in program.layers],
        StateRegion.THETA: [~layer.theta for layer in program.layers],
        StateRegion.RESET: [_reset_operand(layer) for layer in program.layers],
    }
    deaf = ~((1 << (config.state_bits - 1)) - 1)
    blocks = []
    for region, vectors in regions.items():
        unused = [deaf if region is StateRegion.THETA and layer.is_convolution else 0
                  for layer in program.layers]
        rows = np.concatenate([_slots(*parts, config.lanes) for parts in zip(
            vectors, unused, placement.layers, strict=True)])
        words = _chunks(rows, config.slot_bits, config.slot_chunks).reshape(-1)
        address = region * config.groups * config.lanes * config.slot_chunks
        blocks.append((int(Space.STATE), int(address), words))
    return blocks


def _weight_blocks(program: Program, config: HardwareConfig, placement: Placement
                   ) -> list[ImageBlock]:
    """One block per tier, all layers' words in it."""
    slices = [slice_weights(layer.weights, config.tiers) for layer in program.layers]
    blocks = []
    for tier, bits in enumerate(config.tiers):
        chunks = config.tier_chunks(tier)
        words = [_weight_words(part[tier], placed, config.lanes, bits, chunks)
                 for part, placed in zip(slices, placement.layers, strict=True)]
        blocks.append((Space.WEIGHTS + tier, 0, np.concatenate(words)))
    return blocks


def _faulty(blocks: list[ImageBlock], program: Program, config: HardwareConfig,
            faults: FaultModel | None) -> list[ImageBlock]:
    """The weight `blocks`, one per tier, as undervolted tiers give them back."""
    if faults is None:
        return blocks
    if faults.kind == "transient":
        raise ValueError("faults must be persistent (flip, stuck) for a memory image, "
                         "not transient")
    for cells in faulty_cells(program, config.lanes, config.tiers, faults):
        chunks = config.tier_chunks(cells.tier)
        stored = blocks[cells.tier][2][cells.first * chunks:][:len(cells.held) * chunks]
        stored &= ~_host_words(cells.held, chunks)
        stored ^= _host_words(cells.turned, chunks)
    return blocks


def _host_words(cells: np.ndarray, chunks: int) -> np.ndarray:
    """Cells (..., lanes * bits) of 0 and 1 to uint16 words (... * chunks), low chunk first."""
    spare = [(0, 0)] * (cells.ndim - 1) + [(0, 16 * chunks - cells.shape[-1])]
    packed = np.packbits(np.pad(cells, spare), axis=-1, bitorder="little")
    return packed.view("<u2").reshape(-1).astype(np.uint16)


def _weight_words(part: np.ndarray, placed: PlacedLayer, lanes: int, bits: int, chunks: int
                  ) -> np.ndarray:
    """Host words of one layer's slices (axons, columns): row, axon, chunk; lane 0 lowest."""
    rows = placed.position_rows
    spread = np.zeros((placed.axons, rows * lanes), dtype=np.uint16)
    spread[placed.axon_of, :part.shape[1]] = part
    lanes_of = spread.reshape(placed.axons, rows, lanes).transpose(1, 0, 2)
    stream = (lanes_of[..., None] >> np.arange(bits, dtype=np.uint16)) & 1
    stream = stream.astype(np.uint8).reshape(rows, placed.axons, lanes * bits)
    return _host_words(stream, chunks)
