"""A mapped core: its cells by block, the capacitance on its nets, and which of them are clocks."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

from lamina.flows.sky130.liberty import Cell, Macro

__all__ = ["Instance", "Net", "Netlist"]

Net = int
"""Number of a net of one bit; what is tied to a constant has none."""
_COPY = re.compile(r"\$\d+")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Instance:
    """One cell or macro.

    Parameters
    ----------
    kind : str
        Name of the cell or macro.
    path : tuple of str
        Names of the blocks around it, outermost first; () directly in the core.
    pins : dict of str to tuple of (Net or None)
        By pin or bus, lowest bit first; None where it is constant or open.
    """

    kind: str
    path: tuple[str, ...]
    pins: dict[str, tuple[Net | None, ...]]


class Netlist:
    """A flat module of Yosys' ``write_json`` with the cells and macros that occur in it.

    Parameters
    ----------
    module : dict
        ``ports``, ``cells`` and ``netnames``; names of cells are paths with ``/``.
    cells : dict of str to Cell
    macros : dict of str to Macro
    core : str
        Block whose own blocks are told apart: it is left out of their paths.
    """

    def __init__(self, module: dict, cells: dict[str, Cell], macros: dict[str, Macro],
                 core: str = "core"):
        self._module, self.cells, self.macros = module, cells, macros
        self.instances = [_instance(name, cell, core)
                          for name, cell in sorted(module["cells"].items())]

    def names(self) -> Iterator[tuple[Net, str]]:
        """Every name of every net, as a simulator writes it: ``name`` or ``name[index]``."""
        for name, wire in self._module["netnames"].items():
            for place, bit in enumerate(wire["bits"]):
                if isinstance(bit, int):
                    index = f"[{place + wire.get('offset', 0)}]" if len(wire["bits"]) > 1 else ""
                    yield bit, name.replace("\\", "") + index

    def listeners(self) -> Iterator[tuple[Net, Instance, float]]:
        """Every input pin: its net, the instance, and its capacitance [pF]."""
        for instance in self.instances:
            for pin, nets in instance.pins.items():
                if self._listens(instance.kind, pin):
                    capacitance = self._capacitance(instance.kind, pin)
                    yield from ((net, instance, capacitance) for net in nets if net is not None)

    def loads(self) -> dict[Net, float]:
        """Capacitance of the input pins on every net [pF]; wires and ports are not in it."""
        loads = {net: 0.0 for net, _ in self.names()}
        for net, _, capacitance in self.listeners():
            loads[net] = loads.get(net, 0.0) + capacitance
        return loads

    def _capacitance(self, kind: str, pin: str) -> float:
        if kind in self.macros:
            return self.macros[kind].capacitance.get(pin, 0.0)
        return self.cells[kind].pins[pin].capacitance

    def drivers(self) -> dict[Net, Instance]:
        """The instance that drives each net; nets that ports drive have none."""
        return {net: instance for instance in self.instances
                for pin, nets in instance.pins.items() if not self._listens(instance.kind, pin)
                for net in nets if net is not None}

    def _listens(self, kind: str, pin: str) -> bool:
        if kind in self.macros:
            return pin in self.macros[kind].capacitance
        return self.cells[kind].pins[pin].direction == "input"

    def clocks(self, port: str = "clk") -> set[Net]:
        """The net of the clock `port`, and those behind clock gates."""
        gates = [instance for instance in self.instances if instance.kind in self.cells
                 and self.cells[instance.kind].is_clock_gate]
        found = set(self._module["ports"][port]["bits"])
        for instance in gates:
            found |= {net for pin, nets in instance.pins.items()
                      if not self._listens(instance.kind, pin) for net in nets}
        return found - {None}


def _instance(name: str, cell: dict, core: str) -> Instance:
    path = tuple(_COPY.sub("", part) for part in name.split("/")[:-1])
    if path[:1] == (core,):
        path = path[1:]
    pins = {pin: tuple(bit if isinstance(bit, int) else None for bit in bits)
            for pin, bits in cell["connections"].items()}
    return Instance(kind=cell["type"], path=path, pins=pins)
