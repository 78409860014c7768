"""What is handed off: the core that a program needs on SkyWater 130, and its Verilog."""

from __future__ import annotations

import re

from amaranth.lib.wiring import Component

from lamina.flows.backend import tools
from lamina.flows.backend.generate import convert
from lamina.flows.sky130.floorplan import whole_macros
from lamina.models.config import HardwareConfig
from lamina.models.placement import grown, place
from lamina.models.program import Program
from lamina.rtl.openram import MACROS, OpenRam

__all__ = ["LARGEST", "base_config", "hand_off_config", "macro_paths", "portable_verilog"]

LARGEST = {"weight_words": 65536, "axons": 16384, "groups": 1024, "mask_rows": 16384,
           "layers": 256, "decay_bits": 16, "state_bits": 24, "acc_bits": 32}
"""How far a core may grow for a program."""
_TIER_BITS = 2
_WORD_BITS = 32
"""Of a tier: one column of macros."""
_MOST_LANES = 64


def base_config(name: str, weight_bits: int) -> HardwareConfig:
    """Smallest core for weights of so many bits: tiers of 2 bit, one column of macros each.

    16 lanes with 5 bits and more, 32 with 3 or 4, 64 with 2 or 1.
    """
    tiers = max(1, -(-weight_bits // _TIER_BITS))
    lanes = min(_MOST_LANES, 16 * max(1, 4 // tiers)) if tiers != 3 else 16
    return HardwareConfig(
        name=re.sub(r"\W", "_", f"n{name}" if name[:1].isdigit() else name), lanes=lanes,
        tiers=(_TIER_BITS,) * tiers, weight_words=min(MACROS), axons=max(16, 2 * lanes), groups=2,
        layers=2, state_bits=8, acc_bits=9, output_words=128)


def hand_off_config(program: Program, config: HardwareConfig) -> HardwareConfig:
    """`config` grown to `program`; its weight memory ends with a whole row of macros."""
    found = grown(program, config, LARGEST)
    words = place(program, found.lanes, len(found.tiers)).weight_words
    return found if words <= max(MACROS) else whole_macros(found, words)


def portable_verilog(component: Component, name: str, *, native: bool = False,
                     notice: tools.Notice | None = None) -> str:
    """Verilog of `component` on macros, without ``$`` in names, which other tools expand."""
    text = convert(component, name, native=native, notice=notice, platform=OpenRam())
    return re.sub(r"(?<=\w)\$(?=\d)", "__", text)


def macro_paths(verilog: str, top: str) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Path of every macro below `top` in `verilog`, by its path without numbers of equal names.

    The keys are those of :class:`lamina.flows.sky130.floorplan.Memories`.
    """
    cells = _cells(verilog)
    found = {}

    def walk(module: str, path: tuple[str, ...]) -> None:
        for kind, name in cells.get(module, []):
            if kind in MACROS.values():
                found[tuple(re.sub(r"__\d+$", "", part) for part in (*path, name))] = (*path, name)
            elif kind in cells:
                walk(kind, (*path, name))

    walk(top, ())
    return found


def _cells(verilog: str) -> dict[str, list[tuple[str, str]]]:
    """Kind and name of the cells of each module."""
    cells: dict[str, list[tuple[str, str]]] = {}
    module = ""
    for line in verilog.splitlines():
        if found := re.match(r"module \\?([^\s(]+)", line):
            module = found[1]
            cells[module] = []
        elif found := re.match(r"  \\?(\S+)\s+\\?(\S+)\s+\($", line):
            cells[module].append((found[1], found[2]))
    return cells
