"""Where the open process kit lies, and which of its files are used."""

from __future__ import annotations

import os
import pathlib

from lamina.flows.errors import UserError
from lamina.rtl.openram import MACROS

__all__ = ["CELLS", "CORNERS", "FAST", "LIBRARY", "SLOW", "TYPICAL", "VOLTS", "corner_volts",
           "find_lefs", "find_library", "find_macros"]

CELLS = "sky130_fd_sc_hd"
SLOW, TYPICAL, FAST = "ss_100C_1v60", "tt_025C_1v80", "ff_n40C_1v95"
CORNERS = (SLOW, TYPICAL, FAST)
"""Corners that every design is timed at, by the name that the libraries have."""
LIBRARY = f"{CELLS}__{TYPICAL}"
VOLTS = 1.8
_VARIANT = "sky130A"
_CORNER = "TT_1p8V_25C"
_ADVICE = "pip install ciel, run ciel enable --pdk-family sky130 VERSION, and set PDK_ROOT"


def find_library(corner: str = TYPICAL) -> pathlib.Path:
    """The cell library at `corner`, below ``$PDK_ROOT`` (default ``../shared/pdk``).

    It may be compressed, see
    :func:`lamina.flows.sky130.liberty.library_text`.

    Raises
    ------
    UserError
        If it is not there: says how to get it.
    """
    name = f"{CELLS}/lib/{CELLS}__{corner}.lib"
    packed = _path(f"{name}.gz")
    return packed if packed.is_file() and not _path(name).is_file() else _find(name)


def corner_volts(corner: str) -> float:
    """Supply of a corner by its name [V]: ``ss_n40C_1v28`` has 1.28.

    Raises
    ------
    ValueError
        If the name has no supply in it.
    """
    volts, separator, hundredths = corner.rpartition("_")[2].partition("v")
    if not separator:
        raise ValueError(f"corner must end with a supply such as 1v80, not {corner!r}")
    return float(f"{volts}.{hundredths}")


def find_macros() -> dict[str, pathlib.Path]:
    """The libraries of the memory macros at the same corner, by the name of the macro.

    Raises
    ------
    UserError
        If one is not there: says how to get it.
    """
    return {name: _find(f"sky130_sram_macros/lib/{name}_{_CORNER}.lib")
            for name in MACROS.values()}


def find_lefs() -> dict[str, pathlib.Path]:
    """The abstracts of the memory macros, size and pins, by the name of the macro.

    Raises
    ------
    UserError
        If one is not there: says how to get it.
    """
    return {name: _find(f"sky130_sram_macros/lef/{name}.lef") for name in MACROS.values()}


def _find(name: str) -> pathlib.Path:
    path = _path(name)
    if path.is_file():
        return path
    others = sorted(found.parent.name for found in _root().glob("*/libs.ref"))
    if others and _VARIANT not in others:
        raise UserError(f"PDK_ROOT must hold {_VARIANT}, not {others[0]} alone: {_ADVICE}")
    raise UserError(f"PDK_ROOT must hold {_VARIANT}/libs.ref/{name}: {_ADVICE}")


def _path(name: str) -> pathlib.Path:
    return _root() / _VARIANT / "libs.ref" / name


def _root() -> pathlib.Path:
    beside = pathlib.Path(__file__).parents[3] / "shared" / "pdk"
    return pathlib.Path(os.environ.get("PDK_ROOT") or beside)
