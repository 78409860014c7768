"""Vectors of the golden model as C tables: program, samples, and what the device must answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from lamina.models.config import HardwareConfig, Space
from lamina.models.image import memory_image
from lamina.models.link.device import GoldenCore
from lamina.models.placement import place
from lamina.models.program import Program

__all__ = ["Vectors", "golden_vectors"]

_ON_A_LINE = 12


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Vectors:
    """A program, samples for it, and the golden model's answers.

    Parameters
    ----------
    fingerprint : int
        Of the configuration.
    image : list of (int, int, uint16 array)
        See :func:`lamina.models.image.memory_image`.
    bitmaps : uint8 array (N, T, bytes)
        Input lines of the core, lowest bit first.
    outputs : list of list of uint16 array
        Words of the output in every timestep of every sample; the last one is the TICK.
    membranes : uint16 array (N, words)
        Of the space STATE from address 0 on, after the last timestep.
    """

    fingerprint: int
    image: list[tuple[int, int, np.ndarray]]
    bitmaps: np.ndarray
    outputs: list[list[np.ndarray]]
    membranes: np.ndarray

    def header(self) -> str:
        """C header that declares them as ``lamina_vectors``."""
        return ("/* Program, samples and the answers of the golden model. */\n"
                "#ifndef LAMINA_VECTORS_H\n#define LAMINA_VECTORS_H\n\n#include \"lamina.h\"\n\n"
                "extern const struct lamina_vectors lamina_vectors;\n\n#endif\n")

    def source(self) -> str:
        """C source that defines them."""
        samples, timesteps, bitmap_bytes = self.bitmaps.shape
        flat = [words for sample in self.outputs for words in sample]
        firsts = np.cumsum([0, *(len(words) for _, _, words in self.image)])
        blocks = "".join(f"    {{{space}, {address}, {len(words)}, {first}}},\n"
                         for (space, address, words), first in zip(self.image, firsts,
                                                                   strict=False))
        return "\n".join([
            '#include "vectors.h"\n',
            f"static const struct lamina_block image[] = {{\n{blocks}}};\n",
            _table("uint16_t", "words", np.concatenate([words for *_, words in self.image])),
            _table("uint8_t", "bitmaps", self.bitmaps.ravel()),
            _table("uint16_t", "counts", [len(words) for words in flat]),
            _table("uint16_t", "outputs", np.concatenate(flat)),
            _table("uint16_t", "membranes", self.membranes.ravel()),
            "const struct lamina_vectors lamina_vectors = {",
            f"    .fingerprint = 0x{self.fingerprint:08X}u,",
            f"    .blocks = {len(self.image)}, .samples = {samples}, .timesteps = {timesteps},",
            f"    .bitmap_bytes = {bitmap_bytes}, .membrane_address = 0,",
            f"    .membrane_words = {self.membranes.shape[1]},",
            "    .image = image, .words = words, .bitmaps = bitmaps, .counts = counts,",
            "    .outputs = outputs, .membranes = membranes};\n"])


def _table(kind: str, name: str, values: Iterable[int]) -> str:
    numbers = [str(int(value)) for value in values]
    lines = ("    " + ", ".join(numbers[start:start + _ON_A_LINE]) + ",\n"
             for start in range(0, len(numbers), _ON_A_LINE))
    return f"static const {kind} {name}[] = {{\n{''.join(lines)}}};\n"


def golden_vectors(program: Program, config: HardwareConfig, spikes: np.ndarray) -> Vectors:
    """Load `program` into the golden core, run `spikes` and keep what it answers.

    Parameters
    ----------
    program : Program
        Layers that report leave their events.
    config : HardwareConfig
    spikes : uint8 array (N, T, axons)

    Raises
    ------
    ValueError
        If `program` does not fit `config`.
    """
    core, image = GoldenCore(config), memory_image(program, config)
    for space, address, words in image:
        for offset, word in enumerate(words.tolist()):
            core.write(space, address + offset, word)
    core.clear()
    core.output.clear()
    placement = place(program, config.lanes, len(config.tiers))
    lines = np.zeros((*spikes.shape[:-1], int(placement.input_axons.max()) + 1), dtype=np.uint8)
    lines[..., placement.input_axons] = spikes
    count = placement.rows * config.lanes * config.slot_chunks
    outputs, membranes = [], []
    for sample in lines:
        outputs.append([_tick(core, step) for step in sample])
        membranes.append([core.read(Space.STATE, address) for address in range(count)])
        core.clear()
        core.output.clear()
    return Vectors(fingerprint=config.fingerprint, image=image, outputs=outputs,
                   bitmaps=np.packbits(lines, axis=-1, bitorder="little"),
                   membranes=np.array(membranes, dtype=np.uint16))


def _tick(core: GoldenCore, step: np.ndarray) -> np.ndarray:
    for axon in np.flatnonzero(step).tolist():
        core.spike(axon)
    core.tick()
    words = np.array(core.output, dtype=np.uint16)
    core.output.clear()
    return words
