"""Reads what a cell library (Liberty format) says of area, capacitance, delay and power.

A reader of its own: only the cells that are asked for are parsed, a hundredth of the file, and the
package has no compiled dependency more. It holds for libraries whose tables are indexed by input
slope, then load, as those of SkyWater 130 nm are.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Iterable, Iterator

import numpy as np

from lamina.flows.errors import UserError

__all__ = ["Arc", "Cell", "Pin", "Power", "Table", "read_cells"]

_CELL = re.compile(r'^\s*cell\s*\(\s*"?(\w+)"?\s*\)\s*\{', re.MULTILINE)
_TOKEN = re.compile(r'"[^"]*"|[(){}:;,]|[^\s"(){}:;,\\]+')
_EDGES = ("rise", "fall")


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


def _place(axis: np.ndarray, x: float) -> tuple[int, float]:
    index = int(np.clip(np.searchsorted(axis, x) - 1, 0, len(axis) - 2))
    return index, float((x - axis[index]) / (axis[index + 1] - axis[index]))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arc:
    """How long an edge takes from an input to the output.

    Parameters
    ----------
    source : str
        Input pin.
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
    function : str or None
        Of an output, in the format's notation.
    capacitance : float
        Of an input [pF]; 0 for outputs.
    arcs : tuple of Arc
    powers : tuple of Power
    """

    function: str | None
    capacitance: float
    arcs: tuple[Arc, ...]
    powers: tuple[Power, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """One standard cell: its area [um2] and its pins by name."""

    area: float
    pins: dict[str, Pin]


@dataclasses.dataclass
class _Group:
    """``kind (argument) { attributes, groups }``; what attributes hold is text."""

    kind: str
    argument: str
    attributes: dict[str, str] = dataclasses.field(default_factory=dict)
    groups: list[_Group] = dataclasses.field(default_factory=list)

    def of(self, kind: str) -> list[_Group]:
        return [group for group in self.groups if group.kind == kind]


def read_cells(path: pathlib.Path, names: Iterable[str]) -> dict[str, Cell]:
    """Read the cells `names` of the library `path`.

    Raises
    ------
    UserError
        If a cell is not in the library.
    """
    text = path.read_text()
    starts = {match[1]: match for match in _CELL.finditer(text)}
    ends = dict(zip(starts, [match.start() for match in list(starts.values())[1:]] + [len(text)],
                    strict=True))
    found = {}
    for name in names:
        if name not in starts:
            raise UserError(f"{path.name}: has no cell {name}")
        tokens = _TOKEN.finditer(text, starts[name].end(), ends[name])
        found[name] = _cell(_filled(_Group("cell", name), (token[0] for token in tokens)))
    return found


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
                pins={pin.argument: _pin(pin) for pin in group.of("pin")})


def _pin(group: _Group) -> Pin:
    arcs = tuple(Arc(source=timing.attributes["related_pin"],
                     sense=timing.attributes["timing_sense"],
                     delay=_tables(timing, "cell_{}"), slope=_tables(timing, "{}_transition"))
                 for timing in group.of("timing")
                 if timing.attributes.get("timing_type") == "combinational")
    powers = tuple(Power(source=power.attributes.get("related_pin"),
                         energy=_tables(power, "{}_power")) for power in group.of("internal_power"))
    return Pin(function=group.attributes.get("function"), arcs=arcs, powers=powers,
               capacitance=float(group.attributes.get("capacitance", 0)))


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
