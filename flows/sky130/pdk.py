"""Where the open process kit lies, and which of its files are used."""

from __future__ import annotations

import os
import pathlib

from lamina.flows.errors import UserError
from lamina.rtl.openram import MACROS

__all__ = ["LIBRARY", "VOLTS", "find_library", "find_macros"]

LIBRARY = "sky130_fd_sc_hd__tt_025C_1v80"
VOLTS = 1.8
_CORNER = "TT_1p8V_25C"
_ADVICE = "pip install ciel, run ciel enable --pdk-family sky130 VERSION, and set PDK_ROOT"


def find_library() -> pathlib.Path:
    """The cell library at tt, 25 C, 1.8 V, below ``$PDK_ROOT`` (default ``../shared/pdk``).

    Raises
    ------
    UserError
        If it is not there: says how to get it.
    """
    return _find(f"sky130_fd_sc_hd/lib/{LIBRARY}.lib")


def find_macros() -> dict[str, pathlib.Path]:
    """The libraries of the memory macros at the same corner, by the name of the macro.

    Raises
    ------
    UserError
        If one is not there: says how to get it.
    """
    return {name: _find(f"sky130_sram_macros/lib/{name}_{_CORNER}.lib")
            for name in MACROS.values()}


def _find(name: str) -> pathlib.Path:
    beside = pathlib.Path(__file__).parents[3] / "shared" / "pdk"
    root = pathlib.Path(os.environ.get("PDK_ROOT") or beside)
    path = root / "sky130A" / "libs.ref" / name
    if not path.is_file():
        raise UserError(f"PDK_ROOT must hold sky130A/libs.ref/{name}: {_ADVICE}")
    return path
