"""Edges of every net of a mapped core, as a simulator counted them (SAIF)."""

from __future__ import annotations

import pathlib

from lamina.flows.errors import UserError
from lamina.flows.sky130.netlist import Net, Netlist

__all__ = ["read_edges"]



def read_edges(path: pathlib.Path, netlist: Netlist, instance: str) -> dict[Net, int]:
    """Edges, rising and falling, of every net.

    Parameters
    ----------
    path : pathlib.Path
        SAIF file.
    netlist : Netlist
    instance : str
        Name of the core in the simulation, without those around it.

    Raises
    ------
    UserError
        If the file does not count a net of the netlist.
    """
    counted = _counted(path, instance)
    edges = {}
    for net, name in netlist.names():
        if name in counted:
            edges[net] = counted[name]
    missing = {net for net, _ in netlist.names()} - set(edges)
    if missing:
        name = next(name for net, name in netlist.names() if net in missing)
        raise UserError(f"{path.name}: counts no edges of {len(missing)} nets, {name} among them")
    return edges


def _counted(path: pathlib.Path, instance: str) -> dict[str, int]:
    """Edges of the nets directly in `instance`, by name."""
    counted, inside = {}, False
    with path.open() as lines:
        for line in lines:
            text = line.strip()
            if text.startswith("(INSTANCE "):
                if inside:
                    break
                inside = text[10:] == instance
            elif inside and text.endswith("))") and " (T0 " in text:
                name, _, rest = text[1:].partition(" (T0 ")
                counted[name.replace("\\", "")] = int(rest[rest.rindex("(TC ") + 4:-2])
    return counted
