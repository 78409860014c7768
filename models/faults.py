"""Weights that undervolted memory tiers give back: which cells of which chip fail, and how.

A cell is named by tier, word address and bit (of the word, lane 0 in the low bits); its uniform
draw u belongs to the chip, not to what is stored in it. It fails at V iff ``u < p(V)``, so what
fails at one voltage also fails at every lower one (Nguyen 2023b).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from lamina.models.check import check_int, check_one_of
from lamina.models.placement import PlacedLayer, place
from lamina.models.program import Program
from lamina.models.tiers import effective_weights, join_slices, slice_weights
from lamina.models.voltage import bit_error_rate, supplies

__all__ = ["FAULT_KINDS", "CellFaults", "FaultModel", "faulty_cells", "faulty_codes",
           "faulty_program", "seen_weights"]

FAULT_KINDS = ("flip", "stuck", "transient")

_DRAW_BITS = 32
_TIER_DRAWS = 1 << 40
"""Draws between the first cells of two tiers."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FaultModel:
    """What a failing cell does, and on which chip.

    Parameters
    ----------
    kind : str
        ``flip`` (a failing cell gives back the other bit), ``stuck`` (always the same random bit)
        or ``transient`` (flips, with new draws in every timestep; golden model only).
    chip : int
        Seed of the draws, 0..2**32-1.
    """

    kind: str = "flip"
    chip: int = 0

    def __post_init__(self):
        check_one_of("fault kind", self.kind, FAULT_KINDS)
        check_int("chip", self.chip, 0, 2**32 - 1)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class CellFaults:
    """Failing cells of a tier in a layer's words; a read gives ``stored & ~held ^ turned``.

    Parameters
    ----------
    layer, tier : int
    first : int
        Address of the first word.
    held, turned : bool arrays (words, lanes * bits)
    """

    layer: int
    tier: int
    first: int
    held: np.ndarray
    turned: np.ndarray


def _draws(faults: FaultModel, timestep: int, first: int, count: int) -> np.ndarray:
    """Draws `first` .. of the chip, uint32 (count,), u times 2**32; both numbers are even."""
    seed = (faults.chip, timestep + 1) if faults.kind == "transient" else (faults.chip,)
    source = np.random.PCG64(np.random.SeedSequence(seed))
    source.advance(first // 2)
    return source.random_raw(count // 2).astype("<u8", copy=False).view("<u4")


def faulty_cells(program: Program, lanes: int, tiers: tuple[int, ...], faults: FaultModel, *,
                 timestep: int = 0) -> Iterator[CellFaults]:
    """Failing cells of every tier that some layer reads at a voltage at which cells fail.

    Draw ``tier * 2**40 + address * lanes * bits + bit`` of the chip's generator (PCG64, 32 bits
    each, the low half of an output first) is u of that cell; under ``stuck`` its lowest bit is
    what the cell gives back.

    Parameters
    ----------
    program : Program
        With its voltages; placed as on a core of `lanes` lanes.
    lanes : int
        A multiple of 2.
    tiers : tuple of int
        Bits of each tier, most significant first.
    faults : FaultModel
    timestep : int
        Of ``transient``; no part of the persistent kinds.

    Raises
    ------
    ValueError
        If the voltages are not one per tier.
    """
    for index, (layer, placed) in enumerate(zip(
            program.layers, place(program, lanes, len(tiers)).layers, strict=True)):
        words = placed.position_rows * placed.axons
        for tier, volts in enumerate(supplies(program, layer, len(tiers))):
            limit = round(bit_error_rate(volts) * (1 << _DRAW_BITS)) if volts else 0
            if limit:
                cells = lanes * tiers[tier]
                first = tier * _TIER_DRAWS + placed.weight_base * cells
                draws = _draws(faults, timestep, first, words * cells).reshape(words, cells)
                fails = draws < np.uint32(limit)
                stuck = faults.kind == "stuck"
                yield CellFaults(
                    layer=index, tier=tier, first=placed.weight_base,
                    held=fails if stuck else np.zeros_like(fails),
                    turned=fails & (draws & 1).astype(bool) if stuck else fails)


def _per_weight(cells: np.ndarray, placed: PlacedLayer, lanes: int, columns: int) -> np.ndarray:
    """Cells (words, lanes * bits) to slices (weight rows, columns), uint16."""
    parts = cells.reshape(len(cells), lanes, -1)
    slices = np.zeros(parts.shape[:2], dtype=np.uint16)
    for bit in range(parts.shape[2]):
        slices |= parts[:, :, bit].astype(np.uint16) << np.uint16(bit)
    rows = slices.reshape(placed.position_rows, placed.axons, lanes)[:, placed.axon_of]
    return rows.transpose(1, 0, 2).reshape(len(placed.axon_of), -1)[:, :columns]


def faulty_codes(program: Program, lanes: int, tiers: tuple[int, ...], faults: FaultModel, *,
                 timestep: int = 0) -> list[np.ndarray]:
    """Codes [LSB] of every layer as its memory would give them back, gated tiers still intact.

    Parameters are those of :func:`faulty_cells`; the arrays are int64, shaped like the weights.
    """
    placed = place(program, lanes, len(tiers)).layers
    sliced = [None] * len(placed)
    for cells in faulty_cells(program, lanes, tiers, faults, timestep=timestep):
        codes = program.layers[cells.layer].weights
        slices = sliced[cells.layer] = sliced[cells.layer] or slice_weights(codes, tiers)
        held, turned = (_per_weight(each, placed[cells.layer], lanes, codes.shape[1])
                        for each in (cells.held, cells.turned))
        slices[cells.tier] = slices[cells.tier] & ~held.astype(np.int64) ^ turned
    return [layer.weights if slices is None else join_slices(slices, tiers)
            for layer, slices in zip(program.layers, sliced, strict=True)]


def seen_weights(program: Program, lanes: int, tiers: tuple[int, ...], faults: FaultModel, *,
                 timestep: int = 0) -> list[np.ndarray]:
    """What the lanes add [LSB], layer by layer: faulty codes with the fill of gated tiers.

    Parameters are those of :func:`faulty_cells`; the arrays are int64, shaped like the weights.
    """
    codes = faulty_codes(program, lanes, tiers, faults, timestep=timestep)
    return [effective_weights(part, tiers, max(program.gated_tiers, layer.gated_tiers),
                              program.tier_fill)
            for part, layer in zip(codes, program.layers, strict=True)]


def faulty_program(program: Program, lanes: int, tiers: tuple[int, ...],
                   faults: FaultModel) -> Program:
    """`program` with the codes that its memory would give back, at nominal voltages.

    Its golden run is that of the faulty chip. Codes may fill the memory, whatever width they had.

    Raises
    ------
    ValueError
        If `faults` are transient: no single set of weights stands for them.
    """
    if faults.kind == "transient":
        raise ValueError("faults must be persistent (flip, stuck) for a program, not transient")
    layers = [dataclasses.replace(layer, weights=codes, tier_millivolts=())
              for layer, codes in zip(program.layers, faulty_codes(program, lanes, tiers, faults),
                                      strict=True)]
    width = sum(tiers)
    return dataclasses.replace(program, layers=tuple(layers), tier_millivolts=(),
                               weight_bits=width if width <= 8 else 16)
