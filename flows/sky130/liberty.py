"""Reads what a cell library (Liberty format) says of area, capacitance, delay and power.

A reader of its own: only the cells that are asked for are parsed, a hundredth of the file, and the
package has no compiled dependency more. It holds for libraries whose tables are indexed by input
slope, then load, as those of SkyWater 130 nm are, and for the memory macros of OpenRAM.
"""

from __future__ import annotations

import dataclasses
import gzip
import pathlib
import re
from collections.abc import Iterable, Iterator

import numpy as np

from lamina.flows.errors import UserError

__all__ = ["Arc", "Cell", "Macro", "Pin", "Power", "Table", "library_text",
           "read_cells", "read_macro"]

_CELL = re.compile(r'^\s*cell\s*\(\s*"?(\w+)"?\s*\)\s*\{', re.MULTILINE)
_TOKEN = re.compile(r'"[^"]*"|[(){}:;,]|[^\s"(){}:;,\\]+')
_EDGES = ("rise", "fall")
_ARCS = ("combinational", "rising_edge", "falling_edge")


@dataclasses.dataclass(frozen=True)
class Table:
    """A function of input slope [ns] and load [pF], bilinear between and beyond its entries.

    Parameters
    ----------
    slopes : float array (m,)
    loads : float array (n,) or None
        None where the load does not matter.
    values : float array (m, n), or (m,)
    """

    slopes: np.ndarray
    loads: np.ndarray | None
    values: np.ndarray

    def __call__(self, slope: float, load: float) -> float:
        i, part = _place(self.slopes, slope)
        row = self.values[i] * (1 - part) + self.values[i + 1] * part
        if self.loads is None:
            return float(row)
        j, part = _place(self.loads, load)
        return float(row[j] * (1 - part) + row[j + 1] * part)

    def at(self, slopes: np.ndarray, loads: np.ndarray) -> np.ndarray:
        """Values at pairs of `slopes` and `loads`; beyond the table those of its border."""
        if not len(self.slopes):
            return np.full(len(slopes), self.values[0])
        i, across = _places(self.slopes, slopes)
        rows = self.values[i].T * (1 - across) + self.values[i + 1].T * across
        if self.loads is None:
            return rows
        j, along = _places(self.loads, loads)
        pair = np.arange(len(slopes))
        return rows[j, pair] * (1 - along) + rows[j + 1, pair] * along


def _place(axis: np.ndarray, x: float) -> tuple[int, float]:
    index = int(np.clip(np.searchsorted(axis, x) - 1, 0, len(axis) - 2))
    return index, float((x - axis[index]) / (axis[index + 1] - axis[index]))


def _places(axis: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    inside = np.clip(x, axis[0], axis[-1])
    index = np.clip(np.searchsorted(axis, inside) - 1, 0, len(axis) - 2)
    return index, (inside - axis[index]) / (axis[index + 1] - axis[index])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arc:
    """How long an edge takes from an input to the output.

    Parameters
    ----------
    source : str
        Input pin; of a flip-flop its clock.
    sense : str
        ``positive_unate``, ``negative_unate`` or ``non_unate``.
    delay, slope : dict of str to Table
        By the edge of the output (``rise``, ``fall``) [ns].
    """

    source: str
    sense: str
    delay: dict[str, Table]
    slope: dict[str, Table]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Power:
    """Energy within the cell per edge of the pin [pJ].

    Parameters
    ----------
    source : str or None
        Input pin that made the output move; None for the power of an input pin.
    energy : dict of str to Table
        By the edge of the pin.
    """

    source: str | None
    energy: dict[str, Table]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pin:
    """One signal pin.

    Parameters
    ----------
    direction : str
        ``input``, ``output`` or ``internal``.
    function : str or None
        Of an output, in the format's notation; None for inputs, and for outputs that the format
        describes otherwise.
    is_clock : bool
        An input that clocks the cell.
    capacitance : float
        Of an input [pF]; 0 for outputs.
    arcs : tuple of Arc
    powers : tuple of Power
    """

    direction: str
    function: str | None
    is_clock: bool
    capacitance: float
    arcs: tuple[Arc, ...]
    powers: tuple[Power, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """One standard cell.

    Parameters
    ----------
    area : float
        [um2]
    pins : dict of str to Pin
    leakage_nw : float
        Mean over the states of the cell [nW].
    flip_flop : dict of str to str or None
        ``clocked_on``, ``next_state`` and what else the library says of a flip-flop, and under
        ``state`` and ``inverse`` the names of its two outputs in functions.
    latch : dict of str to str or None
        ``enable``, ``data_in`` and what else the library says of a latch, and its outputs' names
        as of a flip-flop.
    is_clock_gate : bool
        A latch and an AND that let rising edges of a clock through.
    """

    area: float
    pins: dict[str, Pin]
    leakage_nw: float
    flip_flop: dict[str, str] | None
    latch: dict[str, str] | None
    is_clock_gate: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Macro:
    """One memory macro.

    Parameters
    ----------
    area : float
        [um2]
    leakage_nw : float
        [nW]
    capacitance : dict of str to float
        Of each bit of an input, by the name of the bus or pin [pF].
    clock_energy : dict of str to tuple of float
        Energy of a rising and of a falling edge [pJ] by the name of the clock pin.
    """

    area: float
    leakage_nw: float
    capacitance: dict[str, float]
    clock_energy: dict[str, tuple[float, float]]


@dataclasses.dataclass
class _Group:
    """``kind (argument) { attributes, groups }``; what attributes hold is text."""

    kind: str
    argument: str
    attributes: dict[str, str] = dataclasses.field(default_factory=dict)
    groups: list[_Group] = dataclasses.field(default_factory=list)

    def of(self, kind: str) -> list[_Group]:
        return [group for group in self.groups if group.kind == kind]


def library_text(path: pathlib.Path) -> str:
    """Contents of a library, which may be compressed (``.gz``)."""
    raw = path.read_bytes()
    return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()


def read_cells(path: pathlib.Path, names: Iterable[str]) -> dict[str, Cell]:
    """Read the cells `names` of the library `path`.

    Raises
    ------
    UserError
        If a cell is not in the library.
    """
    return {name: _cell(group) for name, group in _groups(path, names)}


def read_macro(path: pathlib.Path, name: str) -> Macro:
    """Read the memory macro `name` of the library `path`, which counts leakage in mW.

    Raises
    ------
    UserError
        If the macro is not in the library.
    """
    [(_, group)] = _groups(path, [name])
    pins = {pin.argument: pin for pin in (*group.of("bus"), *group.of("pin"))}
    return Macro(
        area=float(group.attributes["area"]),
        leakage_nw=1e6 * float(group.attributes["cell_leakage_power"]),
        capacitance={pin: float(found.attributes["capacitance"]) for pin, found in pins.items()
                     if found.attributes.get("direction") == "input"},
        clock_energy={pin: _clock_energy(found) for pin, found in pins.items()
                      if found.of("internal_power")})


def _clock_energy(pin: _Group) -> tuple[float, float]:
    """Energy of both edges [pJ], the mean of all states of the other pins."""
    rise, fall = (np.mean([float(power.of(f"{edge}_power")[0].attributes["values"])
                           for power in pin.of("internal_power")]) for edge in _EDGES)
    return float(rise), float(fall)


def _groups(path: pathlib.Path, names: Iterable[str]) -> Iterator[tuple[str, _Group]]:
    """Parsed groups of the cells `names`."""
    text = library_text(path)
    starts = {match[1]: match for match in _CELL.finditer(text)}
    ends = dict(zip(starts, [match.start() for match in list(starts.values())[1:]] + [len(text)],
                    strict=True))
    for name in names:
        if name not in starts:
            raise UserError(f"{path.name}: has no cell {name}")
        tokens = _TOKEN.finditer(text, starts[name].end(), ends[name])
        yield name, _filled(_Group("cell", name), (token[0] for token in tokens))


def _filled(group: _Group, tokens: Iterator[str]) -> _Group:
    """Read statements into `group` up to its closing brace."""
    for name in tokens:
        if name == "}":
            return group
        if name in (";", ","):
            continue
        if next(tokens) == ":":
            group.attributes[name] = _until(tokens, ";")
        else:
            argument = _until(tokens, ")")
            follower = next(tokens)
            if follower == "{":
                group.groups.append(_filled(_Group(name, argument), tokens))
            else:
                group.attributes[name] = argument
    return group


def _until(tokens: Iterator[str], end: str) -> str:
    """Text of the tokens before `end`, without quotes."""
    parts = []
    for token in tokens:
        if token == end:
            break
        parts.append(token.strip('"'))
    return "".join(parts)


def _cell(group: _Group) -> Cell:
    return Cell(area=float(group.attributes["area"]),
                pins={pin.argument: _pin(pin) for pin in group.of("pin")},
                leakage_nw=float(group.attributes.get("cell_leakage_power", 0)),
                flip_flop=next(map(_storage, group.of("ff")), None),
                latch=next(map(_storage, group.of("latch")), None),
                is_clock_gate=group.attributes.get("clock_gating_integrated_cell")
                == "latch_posedge")


def _storage(group: _Group) -> dict[str, str]:
    state, inverse = group.argument.split(",")
    return group.attributes | {"state": state, "inverse": inverse}


def _pin(pin: _Group) -> Pin:
    arcs = tuple(Arc(source=timing.attributes["related_pin"],
                     sense=timing.attributes["timing_sense"],
                     delay=_tables(timing, "cell_{}"), slope=_tables(timing, "{}_transition"))
                 for timing in pin.of("timing")
                 if timing.attributes.get("timing_type") in _ARCS)
    powers = tuple(Power(source=power.attributes.get("related_pin"),
                         energy=_tables(power, "{}_power")) for power in pin.of("internal_power"))
    return Pin(direction=pin.attributes.get("direction", "input"),
               function=pin.attributes.get("function"), arcs=arcs, powers=powers,
               is_clock=pin.attributes.get("clock") == "true",
               capacitance=float(pin.attributes.get("capacitance", 0)))


def _tables(group: _Group, pattern: str) -> dict[str, Table]:
    return {edge: _table(found[0]) for edge in _EDGES if (found := group.of(pattern.format(edge)))}


def _table(group: _Group) -> Table:
    slopes, loads, values = (_numbers(group.attributes.get(name, ""))
                             for name in ("index_1", "index_2", "values"))
    if not len(loads):
        return Table(slopes, None, values)
    return Table(slopes, loads, values.reshape(len(slopes), len(loads)))


def _numbers(text: str) -> np.ndarray:
    return np.array([float(part) for part in text.split(",") if part.strip()])
