"""Energy of a mapped core from the edges of its nets and the tables of its libraries."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable

import numpy as np

from lamina.flows.sky130.liberty import Cell, Pin, Power
from lamina.flows.sky130.netlist import Instance, Net, Netlist

__all__ = ["Accesses", "Block", "Energy", "weigh"]

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
        Clock pins, clock gates and the nets of gated clocks.
    """

    cells: int = 0
    flip_flops: int = 0
    clock_gates: int = 0
    area_um2: float = 0.0
    leakage_nw: float = 0.0
    logic_pj: float = 0.0
    clock_pj: float = 0.0


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
    root_pj : float
        Net of the clock itself and the pins on it: the part of ``clock_pj`` that goes on while
        nothing happens.
    blocks : dict of str to Block
        By name of the block, ``core`` for what is in none.
    memories : dict of str to Accesses
        By path of the memory.
    """

    cycles: float
    root_pj: float
    blocks: dict[str, Block]
    memories: dict[str, Accesses]


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
        self._root_pj = 0.0
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
        return Energy(cycles=self._edges[self._root] / 2, root_pj=self._root_pj,
                      blocks=dict(sorted(self._blocks.items())),
                      memories=dict(sorted(self._memories.items())))

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
        logic, clock = np.zeros(len(instances)), np.zeros(len(instances))
        for name, pin in cell.pins.items():
            if pin.direction == "internal":
                continue
            nets = self._nets(instances, name)
            energy = self._pin_energy(pin, nets, instances)
            if pin.is_clock or (cell.is_clock_gate and pin.direction == "output"):
                clock += energy
                self._root_pj += float(energy[nets == self._root].sum())
            else:
                logic += energy
        for instance, logic_pj, clock_pj in zip(instances, logic, clock, strict=True):
            block = self._blocks[_block(instance)]
            block.cells += 1
            block.flip_flops += cell.flip_flop is not None
            block.clock_gates += cell.is_clock_gate
            block.area_um2 += cell.area
            block.leakage_nw += cell.leakage_nw
            block.logic_pj += float(logic_pj)
            block.clock_pj += float(clock_pj)

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
                memory.low_pj += count * rise
                memory.high_pj += count * (rise + fall)
                if pin.endswith("0"):
                    memory.writes += count
                else:
                    memory.reads += count

    def _add_nets(self) -> None:
        """Charge of every net to the block that drives it, of clocks to the clock."""
        charge = self._edges * self._loads * self._volts**2 / 2
        drivers = self._netlist.drivers()
        for net in self._netlist.loads():
            block = self._blocks[_block(drivers[net]) if net in drivers else "core"]
            if net in self._clocks:
                block.clock_pj += float(charge[net])
            else:
                block.logic_pj += float(charge[net])
        self._root_pj += float(charge[self._root])


def _block(instance: Instance) -> str:
    return instance.path[0] if instance.path else "core"
