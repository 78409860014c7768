"""Energy of a mapped core from the edges of its nets and the tables of its libraries."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable

import numpy as np

from lamina.flows.sky130.liberty import Cell, Pin, Power
from lamina.flows.sky130.netlist import Instance, Net, Netlist

__all__ = ["MACRO_VOLTS", "WIRE_PF", "Accesses", "Block", "Energy", "weigh"]

WIRE_PF = 0.006
"""Assumed capacitance of a wire per pin that it leads to [pF]."""
MACRO_VOLTS = 1.8
"""Supply at which the energy of macros is known; at others it goes by the square [V]."""
_INPUT_SLOPE = 0.05
"""Of what drives a cell, where the slope of the cell's own output is looked up [ns]."""
_CLOCK_SLOPE = 0.1
"""Of all clocks, which a clock tree would see to [ns]."""
_EDGES = ("rise", "fall")


@dataclasses.dataclass
class Block:
    """What the cells of one block took, clocks apart.

    Parameters
    ----------
    cells, flip_flops, clock_gates : int
    area_um2 : float
    leakage_nw : float
    logic_pj : float
        Cells and the nets that they drive, but for clocks.
    clock_pj : float
        Clock pins, clock gates and the nets to them.
    root_pj : float
        The part of it that goes on while nothing happens: pins on the clock itself.
    """

    cells: int = 0
    flip_flops: int = 0
    clock_gates: int = 0
    area_um2: float = 0.0
    leakage_nw: float = 0.0
    logic_pj: float = 0.0
    clock_pj: float = 0.0
    root_pj: float = 0.0


@dataclasses.dataclass
class Accesses:
    """The macros of one memory.

    Parameters
    ----------
    macros : int
    area_um2 : float
    leakage_nw : float
    reads, writes : float
        Accesses of all macros together, a macro and a clock period each.
    low_pj, high_pj : float
        Energy of all accesses: the library's for one edge of the clock, and for both.
    """

    macros: int = 0
    area_um2: float = 0.0
    leakage_nw: float = 0.0
    reads: float = 0.0
    writes: float = 0.0
    low_pj: float = 0.0
    high_pj: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Energy:
    """What a core took while its edges were counted.

    Parameters
    ----------
    cycles : float
        Periods of the clock.
    blocks : dict of str to Block
        By name of the block, ``core`` for what is in none.
    memories : dict of str to Accesses
        By path of the memory.
    wires_pj, wires_clock_pj : float
        Not in the blocks: what wires of :data:`WIRE_PF` per pin that they lead to would add, to
        logic and to clocks.
    """

    cycles: float
    blocks: dict[str, Block]
    memories: dict[str, Accesses]
    wires_pj: float
    wires_clock_pj: float


def weigh(netlist: Netlist, edges: dict[Net, int], volts: float) -> Energy:
    """Energy of a core whose nets had `edges`, which are taken to rise and fall equally often.

    Cells take what their library says, by pin and, where an output has several causes, in
    proportion to the edges of those; nets take ``C V**2 / 2`` per edge. Slopes are those of the
    cell that drives a net, of clocks a constant. Wires, the buffers of a clock tree and glitches
    are not in it.

    Parameters
    ----------
    netlist : Netlist
    edges : dict of Net to int
        Of every net, both directions counted.
    volts : float
        [V]
    """
    return _Scale(netlist, edges, volts).result()


class _Scale:
    """Sums up cells by kind, a kind at a time."""

    def __init__(self, netlist: Netlist, edges: dict[Net, int], volts: float):
        self._netlist, self._volts = netlist, volts
        self._clocks = netlist.clocks()
        (self._root,) = netlist.clocks() - {
            net for net, driver in netlist.drivers().items()}
        size = 2 + max(edges)
        self._edges, self._loads = np.zeros(size), np.zeros(size)
        self._slopes = np.full(size, _INPUT_SLOPE)
        for net, count in edges.items():
            self._edges[net] = count
        for net, load in netlist.loads().items():
            self._loads[net] = load
        self._blocks: dict[str, Block] = collections.defaultdict(Block)
        self._memories: dict[str, Accesses] = collections.defaultdict(Accesses)
        self._wires_pj = self._wires_clock_pj = 0.0
        self._kinds: dict[str, list[Instance]] = collections.defaultdict(list)
        for instance in netlist.instances:
            self._kinds[instance.kind].append(instance)

    def result(self) -> Energy:
        self._find_slopes()
        for kind, instances in self._kinds.items():
            if kind in self._netlist.cells:
                self._add_cells(self._netlist.cells[kind], instances)
            else:
                self._add_macros(kind, instances)
        self._add_nets()
        return Energy(cycles=self._edges[self._root] / 2,
                      blocks=dict(sorted(self._blocks.items())),
                      memories=dict(sorted(self._memories.items())),
                      wires_pj=self._wires_pj, wires_clock_pj=self._wires_clock_pj)

    def _nets(self, instances: Iterable[Instance], pin: str) -> np.ndarray:
        """Net of `pin` of each; the last entry of all arrays stands for none."""
        last = len(self._edges) - 1
        nets = (instance.pins.get(pin, (None,))[0] for instance in instances)
        return np.array([last if net is None else net for net in nets])

    def _find_slopes(self) -> None:
        for kind, instances in self._kinds.items():
            if kind not in self._netlist.cells:
                continue
            for name, pin in self._netlist.cells[kind].pins.items():
                if pin.arcs:
                    nets = self._nets(instances, name)
                    source = np.full(len(nets), _INPUT_SLOPE)
                    self._slopes[nets] = np.mean([
                        table.at(source, self._loads[nets]) for arc in pin.arcs
                        for table in arc.slope.values()], axis=0)
        self._slopes[sorted(self._clocks)] = _CLOCK_SLOPE
        self._slopes[-1] = _INPUT_SLOPE

    def _add_cells(self, cell: Cell, instances: list[Instance]) -> None:
        logic, clock, root = (np.zeros(len(instances)) for _ in range(3))
        for name, pin in cell.pins.items():
            if pin.direction == "internal":
                continue
            nets = self._nets(instances, name)
            energy = self._pin_energy(pin, nets, instances)
            if pin.is_clock or (cell.is_clock_gate and pin.direction == "output"):
                clock += energy
                root += np.where(nets == self._root, energy, 0.0)
            else:
                logic += energy
        for instance, logic_pj, clock_pj, root_pj in zip(instances, logic, clock, root,
                                                         strict=True):
            block = self._blocks[_block(instance)]
            block.cells += 1
            block.flip_flops += cell.flip_flop is not None
            block.clock_gates += cell.is_clock_gate
            block.area_um2 += cell.area
            block.leakage_nw += cell.leakage_nw
            block.logic_pj += float(logic_pj)
            block.clock_pj += float(clock_pj)
            block.root_pj += float(root_pj)

    def _pin_energy(self, pin: Pin, nets: np.ndarray, instances: list[Instance]) -> np.ndarray:
        """Energy within each cell for the edges of one pin [pJ]."""
        causes = [nets if power.source is None else self._nets(instances, power.source)
                  for power in pin.powers]
        if not causes:
            return np.zeros(len(nets))
        weights = np.array([self._edges[cause] for cause in causes]) + 1e-9
        shares = weights / weights.sum(axis=0)
        return self._edges[nets] / 2 * sum(
            share * self._of_both_edges(power, nets, cause)
            for power, cause, share in zip(pin.powers, causes, shares, strict=True))

    def _of_both_edges(self, power: Power, nets: np.ndarray, cause: np.ndarray) -> np.ndarray:
        return sum(table.at(self._slopes[cause], self._loads[nets])
                   for table in power.energy.values())

    def _add_macros(self, kind: str, instances: list[Instance]) -> None:
        macro = self._netlist.macros[kind]
        for instance in instances:
            memory = self._memories["/".join(instance.path)]
            memory.macros += 1
            memory.area_um2 += macro.area
            memory.leakage_nw += macro.leakage_nw
            for pin, (rise, fall) in macro.clock_energy.items():
                (net,) = instance.pins[pin]
                count = self._edges[net] / 2
                scale = (self._volts / MACRO_VOLTS) ** 2
                memory.low_pj += scale * count * rise
                memory.high_pj += scale * count * (rise + fall)
                if pin.endswith("0"):
                    memory.writes += count
                else:
                    memory.reads += count

    def _add_nets(self) -> None:
        """Charge of every net to the block that drives it, of clocks to those that listen."""
        half = self._edges * self._volts**2 / 2
        drivers = self._netlist.drivers()
        for net, listener, capacitance in self._netlist.listeners():
            charge, wire = float(half[net]) * capacitance, float(half[net]) * WIRE_PF
            if net in self._clocks:
                block = self._blocks[_block(listener)]
                block.clock_pj += charge
                block.root_pj += charge * (net == self._root)
                self._wires_clock_pj += wire
            else:
                self._blocks[_block(drivers[net]) if net in drivers else "core"].logic_pj += charge
                self._wires_pj += wire


def _block(instance: Instance) -> str:
    return instance.path[0] if instance.path else "core"
