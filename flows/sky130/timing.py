"""Setup and hold of a mapped design by OpenSTA, at the corners of the libraries."""

from __future__ import annotations

import dataclasses
import importlib.resources
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence

from lamina.flows.errors import UserError
from lamina.flows.sky130.liberty import library_text
from lamina.flows.sky130.pdk import CORNERS, FAST, find_library, find_macros

__all__ = ["MACRO_DERATE", "Path", "Timing", "constraints", "find_sta", "hold_endpoints",
           "sta_version", "time_corner", "time_corners"]

MACRO_DERATE = 2.0
"""Delays of the memory macros are known at tt, 25 C, 1.8 V only: late ones are taken to be so many
times as long at any corner, early ones so many times as short."""
REMEDY = "apt-get install opensta"
_PROGRAMS = ("sta", "opensta")
_CLASSES = {"rise": "-rise_from", "fall": "-fall_from"}
"""Edge of the clock that launches a path; macros launch what they read on the falling one."""
_NUMBER = re.compile(r"^\s*(-?\d+\.\d+)\s+slack", re.MULTILINE)
_STEP = re.compile(r"^\s*(-?\d+\.\d+)\s+(-?\d+\.\d+) [v^] (\S+) \((\S+)\)$", re.MULTILINE)
_MOST_ENDPOINTS = 100_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Path:
    """The worst path of its kind.

    Parameters
    ----------
    start, end : str
        Pins, by the names of the blocks around them.
    slack_ns : float
        Negative: violated.
    steps : tuple of (str, str, float)
        Pin, cell, and when its signal is there after the edge of the clock at 0 [ns].
    """

    start: str
    end: str
    slack_ns: float
    steps: tuple[tuple[str, str, float], ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timing:
    """One corner at one period.

    Parameters
    ----------
    corner : str
    period_ns : float
    setup, hold : dict of str to Path
        By the edge that launches: ``rise``, and ``fall`` where there are macros.
    """

    corner: str
    period_ns: float
    setup: dict[str, Path]
    hold: dict[str, Path]

    @property
    def setup_slack_ns(self) -> float:
        """Of the worst path."""
        return min(path.slack_ns for path in self.setup.values())

    @property
    def hold_slack_ns(self) -> float:
        """Of the worst path."""
        return min(path.slack_ns for path in self.hold.values())

    @property
    def fmax_mhz(self) -> float:
        """Clock that every path keeps up with: half a period is what a falling edge leaves."""
        shares = {"rise": 1, "fall": 2}
        return 1e3 / max(self.period_ns - shares[edge] * path.slack_ns
                         for edge, path in self.setup.items())

    def to_dict(self) -> dict[str, object]:
        """JSON-ready, for the report."""
        return {"corner": self.corner, "fmax_mhz": round(self.fmax_mhz, 2),
                "setup_slack_ns": self.setup_slack_ns, "hold_slack_ns": self.hold_slack_ns,
                "setup": {edge: _described(path) for edge, path in self.setup.items()},
                "hold": {edge: _described(path) for edge, path in self.hold.items()}}


def find_sta() -> str | None:
    """Path of OpenSTA; None where it is not installed."""
    return next(filter(None, map(shutil.which, _PROGRAMS)), None)


def sta_version() -> str | None:
    """What OpenSTA calls itself; None where it is not installed."""
    program = find_sta()
    if program is None:
        return None
    done = subprocess.run([program, "-version"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def constraints(period_ns: float) -> str:
    """``constraints/sky130.sdc`` with its period filled in."""
    template = importlib.resources.files("lamina.constraints") / "sky130.sdc"
    return template.read_text().replace("PERIOD [ns] is set by the flow", "its period in ns"
                                        ).replace("PERIOD", f"{period_ns:.3f}")


def time_corners(netlist: pathlib.Path, top: str, period_ns: float,
                 corners: Iterable[str] = CORNERS, reports: pathlib.Path | None = None
                 ) -> list[Timing]:
    """:func:`time_corner` at each of `corners`; `reports` receives what OpenSTA printed."""
    found = []
    for corner in corners:
        text = _paths(netlist, top, period_ns, corner)
        if reports is not None:
            (reports / f"{corner}.rpt").write_text(text)
        found.append(_timing(text, corner, period_ns))
    return found


def time_corner(netlist: pathlib.Path, top: str, period_ns: float, corner: str) -> Timing:
    """Worst setup and hold paths of `netlist` at one corner.

    The clock is ideal, with the uncertainty of ``constraints/sky130.sdc``; there are no wires.
    Macros are derated (:data:`MACRO_DERATE`).

    Parameters
    ----------
    netlist : pathlib.Path
        Verilog of cells and macros.
    top : str
    period_ns : float
    corner : str
        E.g. ``ss_100C_1v60``.

    Raises
    ------
    UserError
        If OpenSTA or a library is missing, or OpenSTA does not read the netlist.
    """
    return _timing(_paths(netlist, top, period_ns, corner), corner, period_ns)


def hold_endpoints(netlist: pathlib.Path, top: str, period_ns: float, corner: str = FAST
                   ) -> dict[str, float]:
    """Slack [ns] of every pin whose signal changes too early, by name of the pin.

    Raises
    ------
    UserError
        As :func:`time_corner`.
    """
    text = _run(netlist, top, period_ns, corner, [
        f"foreach path [find_timing_paths -path_delay min -group_count {_MOST_ENDPOINTS} "
        "-slack_max 0.0] {",
        "    puts \"early [get_property $path slack] "
        "[get_full_name [get_property $path endpoint]]\"", "}"])
    lines = (line.split(" ", 2) for line in text.splitlines() if line.startswith("early "))
    return {pin: float(slack) * 1e9 if abs(float(slack)) < 1e-6 else float(slack)
            for _, slack, pin in lines}


def _paths(netlist: pathlib.Path, top: str, period_ns: float, corner: str) -> str:
    commands = []
    for delay in ("max", "min"):
        for edge, option in _CLASSES.items():
            commands += [f"puts \"== {delay} {edge}\"",
                         f"report_checks -path_delay {delay} {option} [get_clocks clk] -digits 4"]
    return _run(netlist, top, period_ns, corner, [*commands, "puts \"==\""])


def _run(netlist: pathlib.Path, top: str, period_ns: float, corner: str,
         commands: Sequence[str]) -> str:
    """What OpenSTA prints of `commands` once everything is read."""
    program = find_sta()
    if program is None:
        raise UserError(f"OpenSTA was not found: {REMEDY}")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "cells.lib").write_text(library_text(find_library(corner)))
        text = netlist.read_text()
        macros = {macro: path for macro, path in find_macros().items() if macro in text}
        (folder / "netlist.v").write_text(text)
        (folder / "design.sdc").write_text(constraints(period_ns))
        derates = [f"set_timing_derate {edge} -cell_delay {factor:g} [get_lib_cells */{macro}]"
                   for macro in macros
                   for edge, factor in (("-late", MACRO_DERATE), ("-early", 1 / MACRO_DERATE))]
        (folder / "run.tcl").write_text("\n".join([
            f"read_liberty {folder / 'cells.lib'}",
            *(f"read_liberty {path.resolve()}" for path in macros.values()),
            f"read_verilog {folder / 'netlist.v'}", f"link_design {{{top}}}",
            f"source {folder / 'design.sdc'}", *derates, *commands]) + "\n")
        done = subprocess.run([program, "-exit", "run.tcl"], cwd=folder, text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=os.environ | {"LC_ALL": "C"})
    errors = [line for line in done.stdout.splitlines() if line.startswith("Error:")]
    if errors or done.returncode:
        first = (errors or ["no message"])[0].replace(f"{folder}/", "")
        raise UserError(f"OpenSTA failed at {corner}: {first}")
    return done.stdout.replace(f"{folder}/", "")


def _timing(text: str, corner: str, period_ns: float) -> Timing:
    found: dict[str, dict[str, Path]] = {"max": {}, "min": {}}
    for section in text.split("== ")[1:]:
        delay, edge = section.split(None, 2)[:2]
        if path := _path(section):
            found[delay][edge] = path
    if not found["max"]:
        raise UserError(f"OpenSTA found no path at {corner}")
    return Timing(corner=corner, period_ns=period_ns, setup=found["max"], hold=found["min"])


def _path(section: str) -> Path | None:
    slack = _NUMBER.search(section)
    if slack is None:
        return None
    steps = tuple((pin, cell, float(time)) for _, time, pin, cell in _STEP.findall(
        section.partition("data arrival time")[0]))
    start, end = (re.search(rf"^{word}: (\S+)", section, re.MULTILINE)[1]
                  for word in ("Startpoint", "Endpoint"))
    return Path(start=start, end=end, slack_ns=float(slack[1]), steps=steps)


def _described(path: Path) -> dict[str, object]:
    arrival = path.steps[-1][2] if path.steps else None
    return {"start": path.start, "end": path.end, "slack_ns": path.slack_ns,
            "arrival_ns": arrival, "cells": len(path.steps)}
