"""Area, delay and energy of adders in SkyWater 130 nm, by Yosys and the cell library's tables."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import shutil
import tempfile
from collections.abc import Sequence

import numpy as np
from amaranth.back import rtlil

from lamina.flows.adders.mapped import Mapped
from lamina.flows.adders.operands import Operands
from lamina.flows.backend import tools
from lamina.flows.progress import Reporter
from lamina.flows.sky130.liberty import read_cells
from lamina.flows.sky130.pdk import LIBRARY, VOLTS, find_library
from lamina.flows.workspace import replaced_file
from lamina.models.adders.spec import AdderSpec
from lamina.rtl.adders import Adder

__all__ = ["INPUT_SLOPE", "LIBRARY", "VOLTS", "Characterisation", "characterise", "find_library",
           "map_adder"]

INPUT_SLOPE = 0.05
"""Of both operands [ns]."""
_FLIP_FLOP = "sky130_fd_sc_hd__dfxtp_1"
_UNUSED = ("*lpflow_*", "*probe*", "*_0")
_VERSION = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Characterisation:
    """One adder in silicon, before placement: no wires, no glitches.

    Parameters
    ----------
    cells : int
    area_um2 : float
    delay_ns : float
        Longest path, from the library's tables.
    energy_fj : float
        Per addition of the operands given: cells, and charge of input, inner and output nets.
    """

    cells: int
    area_um2: float
    delay_ns: float
    energy_fj: float


def characterise(specs: Sequence[AdderSpec], bits: int, operands: Operands, folder: pathlib.Path,
                 *, native: bool = False, progress: Reporter | None = None
                 ) -> list[Characterisation]:
    """Map `specs` to cells and measure them; what is in `folder` already is taken from there.

    Parameters
    ----------
    specs : sequence of AdderSpec
    bits : int
        Width of operands and sum.
    operands : Operands
        What is added.
    folder : pathlib.Path
        Keeps results, one file each, by everything that they depend on.
    native : bool
        Yosys of the machine instead of the pinned build.
    progress : callable, optional
        Called as ``progress(done, total)``.

    Raises
    ------
    UserError
        If the library or Yosys is missing, or Yosys fails.
    """
    library = find_library()
    origin = [_VERSION, _digest(library.read_bytes()), tools.version("yosys", native=native),
              bits, operands.kind, operands.seed, INPUT_SLOPE,
              _digest(np.sort(operands.weights).astype("<i4").tobytes())]
    folder.mkdir(parents=True, exist_ok=True)
    results = []
    with tempfile.TemporaryDirectory(dir=folder) as work:
        for number, spec in enumerate(specs):
            if progress is not None:
                progress(number, len(specs))
            path = folder / f"{_digest(json.dumps([*origin, spec.name]).encode())}.json"
            if not path.is_file():
                mapped, area = map_adder(spec, bits, library, pathlib.Path(work), native=native)
                _keep(path, _measured(mapped, area, spec, bits, operands, library))
            results.append(Characterisation(**json.loads(path.read_text())))
    return results


def map_adder(spec: AdderSpec, bits: int, library: pathlib.Path, folder: pathlib.Path, *,
              native: bool = False) -> tuple[Mapped, float]:
    """Cells of one adder as Yosys and abc choose them, and their area [um2].

    Yosys works in `folder`, with a copy of `library` there (it sees relative paths only).
    """
    if not (folder / "cells.lib").is_file():
        shutil.copyfile(library, folder / "cells.lib")
    adder = Adder(spec, bits)
    (folder / "adder.il").write_text(rtlil.convert(
        adder, name="adder", ports=[adder.a, adder.b, adder.o], emit_src=False))
    unused = " ".join(f"-dont_use {pattern}" for pattern in _UNUSED)
    tools.run("yosys", ["-q", "-p", (
        f"read_rtlil adder.il; synth -flatten -top adder; abc -liberty cells.lib {unused}; "
        "opt_clean -purge; tee -q -o area.json stat -json -liberty cells.lib; "
        "write_json mapped.json")], folder=folder, log="yosys.log", native=native)
    area = json.loads((folder / "area.json").read_text())["design"].get("area", 0.0)
    module = json.loads((folder / "mapped.json").read_text())["modules"]["adder"]
    return Mapped(module, read_cells(library, {cell["type"] for cell in module["cells"].values()})
                  ), area


def _measured(mapped: Mapped, area: float, spec: AdderSpec, bits: int, operands: Operands,
              library: pathlib.Path) -> Characterisation:
    output_load = read_cells(library, [_FLIP_FLOP])[_FLIP_FLOP].pins["D"].capacitance
    a, b = operands.stream(spec, bits)
    before, after = (mapped.simulate(a=_planes(a[part], bits), b=_planes(b[part], bits))
                     for part in (slice(None, -1), slice(1, None)))
    energy = mapped.energy(before, after, output_load, INPUT_SLOPE, VOLTS)
    return Characterisation(
        cells=mapped.cells, area_um2=round(area, 2), energy_fj=round(1e3 * energy / a[1:].size, 2),
        delay_ns=round(mapped.delay(output_load, INPUT_SLOPE), 4))


def _planes(values: np.ndarray, bits: int) -> np.ndarray:
    """Integers of any shape to uint64 (bits, words), 64 of them in a word, the rest zeros."""
    flat = values.ravel()
    padded = np.zeros((bits, -(-flat.size // 64) * 64), dtype=np.uint8)
    padded[:, :flat.size] = flat >> np.arange(bits)[:, None] & 1
    return np.packbits(padded, axis=1, bitorder="little").view(np.uint64)


def _keep(path: pathlib.Path, result: Characterisation) -> None:
    with replaced_file(path) as partial:
        partial.write_text(json.dumps(dataclasses.asdict(result), sort_keys=True) + "\n")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
