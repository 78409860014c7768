"""Standard cells as Yosys mapped a combinational module: logic, delay and energy."""

from __future__ import annotations

import ast
import dataclasses
import functools

import numpy as np

from lamina.flows.sky130.liberty import Cell, Pin

__all__ = ["Mapped", "Timing"]

_CONSTANT = {"0": 0, "1": 1, "x": 0}
_EDGES = ("rise", "fall")
_OTHER = {"rise": "fall", "fall": "rise"}
Net = int | str
"""Number of a net, or of a constant its value as text."""


@dataclasses.dataclass(frozen=True)
class _Instance:
    cell: Cell
    nets: dict[str, Net]

    @property
    def outputs(self) -> list[tuple[str, Pin]]:
        return [(name, pin) for name, pin in self.cell.pins.items() if pin.function is not None]

    @property
    def inputs(self) -> list[tuple[str, Pin]]:
        return [(name, pin) for name, pin in self.cell.pins.items() if pin.function is None]


@dataclasses.dataclass(frozen=True)
class Timing:
    """Latest arrival and slowest slope of every net [ns], by edge."""

    arrival: dict[str, dict[Net, float]]
    slope: dict[str, dict[Net, float]]


class Mapped:
    """A netlist of combinational standard cells.

    Parameters
    ----------
    module : dict
        A module of Yosys' ``write_json``: ``ports`` and ``cells``.
    cells : dict of str to Cell
        Every cell type that occurs.
    """

    def __init__(self, module: dict, cells: dict[str, Cell]):
        self._ports = {name: port["bits"] for name, port in module["ports"].items()}
        self._outputs = [bit for port in module["ports"].values() if port["direction"] == "output"
                         for bit in port["bits"]]
        self._inputs = [bit for port in module["ports"].values() if port["direction"] == "input"
                        for bit in port["bits"]]
        self._instances = _ordered(
            [_Instance(cells[cell["type"]], {pin: bits[0] for pin, bits in
                                             cell["connections"].items()})
             for _, cell in sorted(module["cells"].items())], self._inputs)

    @property
    def cells(self) -> int:
        """Number of cells."""
        return len(self._instances)

    def simulate(self, **operands: np.ndarray) -> dict[Net, np.ndarray]:
        """Bits of every net, uint64 words with a pattern in each bit.

        Parameters
        ----------
        operands : uint64 arrays (bits, words)
            Of each input port, lowest bit first.
        """
        size = next(iter(operands.values())).shape[1]
        values = {text: np.full(size, -bit, dtype=np.int64).view(np.uint64)
                  for text, bit in _CONSTANT.items()}
        for name, planes in operands.items():
            values |= dict(zip(self._ports[name], planes, strict=True))
        for instance in self._instances:
            pins = {pin: values[net] for pin, net in instance.nets.items() if net in values}
            for name, pin in instance.outputs:
                values[instance.nets[name]] = _evaluate(_parsed(pin.function), pins)
        return values

    def output(self, name: str, values: dict[Net, np.ndarray]) -> np.ndarray:
        """Words of an output port, uint64 (bits, words)."""
        return np.stack([values[bit] for bit in self._ports[name]])

    def loads(self, output_load: float) -> dict[Net, float]:
        """Capacitance of the pins on every net [pF]; wires are not in it.

        Parameters
        ----------
        output_load : float
            Of what each output port drives [pF].
        """
        loads = dict.fromkeys(self._inputs, 0.0)
        for instance in self._instances:
            for name, pin in instance.cell.pins.items():
                net = instance.nets[name]
                loads[net] = loads.get(net, 0.0) + pin.capacitance
        for net in self._outputs:
            loads[net] = loads.get(net, 0.0) + output_load
        return loads

    def timing(self, output_load: float, input_slope: float) -> Timing:
        """Static timing from tables of the library: every path, whether it can be taken or not.

        Parameters
        ----------
        output_load : float
            [pF]
        input_slope : float
            Of every input port [ns].
        """
        loads = self.loads(output_load)
        start = [*self._inputs, *_CONSTANT]
        timing = Timing({edge: dict.fromkeys(start, 0.0) for edge in _EDGES},
                        {edge: dict.fromkeys(start, input_slope) for edge in _EDGES})
        for instance in self._instances:
            for name, pin in instance.outputs:
                _time_output(instance, instance.nets[name], pin, loads, timing)
        return timing

    def delay(self, output_load: float, input_slope: float) -> float:
        """Latest arrival at an output port [ns]."""
        arrival = self.timing(output_load, input_slope).arrival
        return max(arrival[edge][net] for edge in _EDGES for net in self._outputs)

    def energy(self, before: dict[Net, np.ndarray], after: dict[Net, np.ndarray],
               output_load: float, input_slope: float, volts: float) -> float:
        """Energy of moving from the patterns `before` to those `after` [pJ], all together.

        Every net moves at most once per pattern (no glitches): internal power of the cells by the
        library's tables, and ``C V**2 / 2`` per edge of a net, whose rises and falls the tables
        take for granted.
        """
        loads = self.loads(output_load)
        slopes = self.timing(output_load, input_slope).slope
        edges = {net: {"rise": ~before[net] & after[net], "fall": before[net] & ~after[net]}
                 for net in loads}
        switching = sum(_count(edge) * loads[net] * volts ** 2 / 2
                        for net, pair in edges.items() for edge in pair.values())
        internal = sum(_input_energy(instance, edges, slopes)
                       + _output_energy(instance, edges, slopes, loads)
                       for instance in self._instances)
        return switching + internal


def _ordered(instances: list[_Instance], inputs: list[Net]) -> list[_Instance]:
    """Each after those that it listens to."""
    known, waiting, ordered = {*inputs, *_CONSTANT}, instances, []
    while waiting:
        ready = [one for one in waiting if all(one.nets[name] in known for name, _ in one.inputs)]
        known |= {one.nets[name] for one in ready for name, _ in one.outputs}
        taken = set(map(id, ready))
        waiting = [one for one in waiting if id(one) not in taken]
        ordered += ready
    return ordered


@functools.cache
def _parsed(function: str) -> ast.expr:
    return ast.parse(function.replace("!", "~"), mode="eval").body


def _evaluate(node: ast.expr, pins: dict[str, np.ndarray]) -> np.ndarray:
    """Value of a Liberty function: AND, OR, NOT and names of pins."""
    if isinstance(node, ast.Name):
        return pins[node.id]
    if isinstance(node, ast.UnaryOp):
        return ~_evaluate(node.operand, pins)
    left, right = _evaluate(node.left, pins), _evaluate(node.right, pins)
    return left & right if isinstance(node.op, ast.BitAnd) else left | right


def _time_output(instance: _Instance, net: Net, pin: Pin, loads: dict[Net, float],
                 timing: Timing) -> None:
    for edge in _EDGES:
        arrivals, slopes = [], []
        for arc in pin.arcs:
            source = instance.nets[arc.source]
            for cause in _causes(arc.sense, edge):
                slope = timing.slope[cause][source]
                arrivals.append(timing.arrival[cause][source]
                                + arc.delay[edge](slope, loads[net]))
                slopes.append(arc.slope[edge](slope, loads[net]))
        timing.arrival[edge][net], timing.slope[edge][net] = max(arrivals), max(slopes)


def _causes(sense: str, edge: str) -> tuple[str, ...]:
    """Edges of the input that make `edge` of the output."""
    return {"positive_unate": (edge,), "negative_unate": (_OTHER[edge],)}.get(sense, _EDGES)


def _input_energy(instance: _Instance, edges, slopes) -> float:
    return sum(_count(edges[instance.nets[name]][edge])
               * table(slopes[edge][instance.nets[name]], 0.0)
               for name, pin in instance.inputs
               for power in pin.powers for edge, table in power.energy.items())


def _output_energy(instance: _Instance, edges, slopes, loads) -> float:
    """Edges of an output count for the inputs that moved with it, in their proportion."""
    total = 0.0
    for name, pin in instance.outputs:
        net = instance.nets[name]
        moved = {power.source: functools.reduce(np.bitwise_or, edges[instance.nets[power.source]]
                                                .values()) for power in pin.powers}
        for edge in _EDGES:
            shares = {source: _count(edges[net][edge] & mask) for source, mask in moved.items()}
            whole = max(1, sum(shares.values()))
            total += sum(_count(edges[net][edge]) * shares[power.source] / whole
                         * power.energy[edge](max(slopes[each][instance.nets[power.source]]
                                                  for each in _EDGES), loads[net])
                         for power in pin.powers)
    return total


def _count(words: np.ndarray) -> int:
    return int(np.bitwise_count(words).sum())
