"""Delay cells before pins whose signal changes too early after the edge of the clock."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["DELAY_CELL", "delay_pins"]

DELAY_CELL = "sky130_fd_sc_hd__buf_1"
"""Too early is a matter of hundredths of a nanosecond: the delay gates of the library would cost
slow paths to the same pins half a nanosecond."""
_PIN = re.compile(r"(?P<instance>.+)/(?P<pin>\w+)(?:\[(?P<index>\d+)\])?")
_PORTS = {"A": "input", "X": "output"}


def delay_pins(module: dict, pins: Iterable[str]) -> int:
    """Put a delay cell before each of `pins` of a mapped module, in place.

    Parameters
    ----------
    module : dict
        As Yosys' ``write_json`` describes it.
    pins : iterable of str
        ``INSTANCE/PIN`` or ``INSTANCE/PIN[INDEX]``; ports of the module are left alone.

    Returns
    -------
    int
        Cells that were added.
    """
    cells, names = module["cells"], module["netnames"]
    following = 1 + max(bit for wire in names.values() for bit in wire["bits"]
                        if isinstance(bit, int))
    added = 0
    for pin in sorted(pins):
        found = _PIN.fullmatch(pin)
        if found is None or found["instance"] not in cells:
            continue
        bits = cells[found["instance"]]["connections"][found["pin"]]
        place = int(found["index"] or 0)
        name = f"{found['instance']}_{found['pin']}{found['index'] or ''}_late"
        while name in cells:
            name += "r"
        cells[name] = {"hide_name": 0, "type": DELAY_CELL, "parameters": {}, "attributes": {},
                       "port_directions": _PORTS,
                       "connections": {"A": [bits[place]], "X": [following]}}
        names[f"{name}_wire"] = {"hide_name": 0, "bits": [following], "attributes": {}}
        bits[place] = following
        following, added = following + 1, added + 1
    return added
