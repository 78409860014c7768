"""Verilog that is handed off, and where the macros are in it."""

from __future__ import annotations

import re

from amaranth.lib.wiring import Component

from lamina.flows.backend import tools
from lamina.flows.backend.generate import convert
from lamina.rtl.openram import MACROS, OpenRam

__all__ = ["macro_paths", "portable_verilog"]

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
