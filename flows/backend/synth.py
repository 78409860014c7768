"""Synthesis, place and route, and bitstream; figures come from the tools' JSON reports."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import shutil
from collections.abc import Callable, Iterator

from lamina.flows.backend import tools
from lamina.flows.designs import FpgaBoard, design_names
from lamina.flows.errors import UserError
from lamina.flows.workspace import replaced_folder
from lamina.models.config import HardwareConfig

__all__ = [
    "BITSTREAM",
    "CELL_DEFINES",
    "SEEDS",
    "ecp5_synthesis",
    "place_and_route",
    "synthesis_script",
    "synthesise",
    "synthesise_netlist",
]

BITSTREAM = "bitstream.bin"
CELL_DEFINES = {"NO_ICE40_DEFAULT_ASSIGNMENTS": 1, "ICE40_U": 1}
"""Macros that the cell models of a netlist want."""
SEEDS = 4
"""Placements that are tried for the board's clock."""
_STAGES = 3
_RESOURCES = {
    "ice40": {"luts": "ICESTORM_LC", "brams": "ICESTORM_RAM", "sprams": "ICESTORM_SPRAM",
              "dsps": "ICESTORM_DSP"},
    "ecp5": {"luts": "TRELLIS_COMB", "ffs": "TRELLIS_FF", "brams": "DP16KD",
             "dsps": "MULT18X18D"},
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Run:
    """Tools at work in one folder."""

    folder: pathlib.Path
    native: bool
    notice: tools.Notice | None

    def __call__(self, name: str, arguments: list[str], log: str) -> None:
        tools.run(name, arguments, folder=self.folder, log=log, native=self.native,
                  notice=self.notice)


def synthesise(design: pathlib.Path, target: FpgaBoard, out: pathlib.Path, *, seed: int = 1,
               native: bool = False, progress: Callable[[int, int], None] | None = None,
               notice: tools.Notice | None = None) -> dict[str, object]:
    """Turn the board top in `design` into ``bitstream.bin`` in the folder `out`.

    `out` also receives the logs, the nextpnr report ``place.json`` and ``metrics.json`` (the
    result, seed included); it is replaced as a whole. After a failure the logs are in a folder
    beside it that ends in ``.failed``.

    Parameters
    ----------
    design : pathlib.Path
        Written by :func:`lamina.flows.backend.generate.generate` for the same `target`.
    target : FpgaBoard
    out : pathlib.Path
    seed : int
        Of the placement; the next ones are tried while the board's clock is not met.
    native : bool
        Use the tools on PATH instead of the pinned pip builds.
    progress : callable, optional
        Called as ``progress(done, total)`` before each of the three tools and at the end.
    notice : callable, optional
        Called with a sentence when a first call takes long.

    Returns
    -------
    dict
        ``target``, ``tool_versions``, ``luts`` (logic cells on an iCE40, where a cell with only a
        flip-flop counts; LUT4 on an ECP5), ``ffs``, ``brams``, ``sprams``, ``dsps``, ``cells`` and
        ``area_um2`` (None), ``fmax_mhz`` (of the slowest clock), ``clock_mhz`` (what the board
        supplies), ``images_per_second`` and ``link_images_per_second`` (None, for the caller to
        fill in), ``bitstream`` (file name within `out`).

    Raises
    ------
    UserError
        If a tool is missing or fails, or if the design does not fit the device or misses the
        board's clock with each of :data:`SEEDS` seeds.
    """
    config = _config(design)
    top = design_names(config, target)["board"]
    _check_design(design, top, target)
    report = progress or (lambda done, total: None)
    out.parent.mkdir(parents=True, exist_ok=True)
    with replaced_folder(out) as folder, _kept_logs(folder, out):
        run = _Run(folder=folder, native=native, notice=notice)
        shutil.copyfile(design / f"{top}.v", folder / f"{top}.v")
        report(0, _STAGES)
        run("yosys", ["-q", "-l", "yosys.log", "-p", synthesis_script(target, top, "netlist.json")],
            "yosys-messages.log")
        report(1, _STAGES)
        shutil.copyfile(target.constraint, folder / target.constraint.name)
        used_seed = _place_in_time(run, target, seed)
        report(2, _STAGES)
        _pack(run, target)
        result = _result(folder, target, native)
        _write_json(folder / "metrics.json", result | {"seed": used_seed})
    report(_STAGES, _STAGES)
    return result


def synthesise_netlist(design: pathlib.Path, out: pathlib.Path, *, native: bool = False,
                       notice: tools.Notice | None = None) -> list[pathlib.Path]:
    """Synthesise the device in `design` for an UltraPlus; for simulation after synthesis.

    Same Yosys options as the board's top on an ``up5k``, without pads and clock multiplier. `out`
    (replaced) receives the netlist and its log.

    Returns
    -------
    list of pathlib.Path
        The netlist, module ``NAME_device``, and Yosys' models of its cells, which want the macros
        :data:`CELL_DEFINES`.

    Raises
    ------
    UserError
        If Yosys is missing or fails.
    """
    top = f"{_config(design).name}_device"
    out.parent.mkdir(parents=True, exist_ok=True)
    with replaced_folder(out) as folder, _kept_logs(folder, out):
        run = _Run(folder=folder, native=native, notice=notice)
        shutil.copyfile(design / f"{top}.v", folder / f"{top}.rtl.v")
        script = (f"read_verilog {top}.rtl.v; {_ice40('u', top)}; write_verilog -noattr {top}.v")
        run("yosys", ["-q", "-l", "yosys.log", "-p", script], "yosys-messages.log")
    return [out / f"{top}.v", tools.simulation_cells("ice40")]


def synthesis_script(target: FpgaBoard, top: str, netlist: str) -> str:
    """Yosys commands that make `netlist` (JSON) and ``cells.json`` from ``top.v``."""
    if target.family == "ice40":
        synthesis = _ice40("u" if target.device == "up5k" else target.device[:2], top)
    else:
        synthesis = ecp5_synthesis(top)
    return (f"read_verilog {top}.v; {synthesis}; tee -q -o cells.json stat -json; "
            f"write_json {netlist}")


def ecp5_synthesis(top: str, *, abc9: bool = True) -> str:
    """Yosys commands that map `top` for an ECP5.

    Yosys merges equal registers whatever their wires say; those of a wire that is to be kept
    (:func:`lamina.rtl.copies.copies`) are told so themselves. Without `abc9` its older mapper takes
    the place of the one that ends Yosys 0.70 with an assertion in cores of 128 lanes.
    """
    kept = f"hierarchy -top {top}; proc; setattr -set keep 1 a:keep %ci1:+$dff[Q] t:$dff %i; "
    mapped = f"synth_ecp5 -top {top}"
    if not abc9:
        mapped = f"{mapped} -run begin:map_luts; abc -lut 4:7; clean; {mapped} -run map_cells:"
    return kept + mapped


def _ice40(device: str, top: str) -> str:
    dsp = " -dsp" if device == "u" else ""
    return f"synth_ice40 -device {device}{dsp} -top {top}"


def place_and_route(run: Callable[[str, list[str], str], None], target: FpgaBoard,
                    seed: int) -> None:
    """Turn ``netlist.json`` into a routed design and the report ``place.json``."""
    common = [f"--{target.device}", "--package", target.package, "--json", "netlist.json",
              "--report", "place.json", "--seed", str(seed), "--freq", f"{target.core_mhz:g}",
              "--timing-allow-fail", "-q", "--log", "place.log"]
    if target.family == "ice40":
        family = ["--pcf", target.constraint.name, "--asc", "routed.asc"]
    else:
        family = ["--speed", str(target.speed), "--lpf", target.constraint.name,
                  "--textcfg", "routed.config", "--router", "router2"]
    run(f"nextpnr-{target.family}", [*common, *family], "place-messages.log")


def _place_in_time(run: _Run, target: FpgaBoard, seed: int) -> int:
    """Place with ascending seeds until the board's clock is met; return the one that did it."""
    best = 0.0
    for attempt in range(seed, seed + SEEDS):
        place_and_route(run, target, attempt)
        reached = _fmax(json.loads((run.folder / "place.json").read_text()))
        if reached >= target.core_mhz:
            return attempt
        best = max(best, reached)
    raise UserError(f"clock_mhz of {target.name} must be at most {best:.1f} for this design, the "
                    f"best of {SEEDS} placements, not {target.core_mhz:g}")


def _fmax(placed: dict) -> float:
    """Clock that every domain of a nextpnr report reaches [MHz]."""
    return min(clock["achieved"] for clock in placed["fmax"].values())


def _pack(run: _Run, target: FpgaBoard) -> None:
    if target.family == "ice40":
        run("icepack", ["routed.asc", BITSTREAM], "pack.log")
    else:
        run("ecppack", ["--compress", "--input", "routed.config", "--bit", BITSTREAM], "pack.log")


def _result(folder: pathlib.Path, target: FpgaBoard, native: bool) -> dict[str, object]:
    placed = json.loads((folder / "place.json").read_text())
    cells = json.loads((folder / "cells.json").read_text())["design"]["num_cells_by_type"]
    resources, used = _RESOURCES[target.family], placed["utilization"]
    counts = {key: used[resource]["used"] if (resource := resources.get(key)) in used else 0
              for key in ("luts", "ffs", "brams", "sprams", "dsps")}
    if "ffs" not in resources:
        counts["ffs"] = sum(count for cell, count in cells.items() if cell.startswith("SB_DFF"))
    packer = {"ice40": "icepack", "ecp5": "ecppack"}[target.family]
    chain = ("yosys", f"nextpnr-{target.family}", packer)
    return {
        "target": target.name,
        "tool_versions": {name: tools.version(name, native=native) for name in chain},
        **counts,
        "cells": None,
        "area_um2": None,
        "fmax_mhz": _fmax(placed),
        "clock_mhz": target.core_mhz,
        "images_per_second": None,
        "link_images_per_second": None,
        "bitstream": BITSTREAM,
    }


def _config(design: pathlib.Path) -> HardwareConfig:
    try:
        return HardwareConfig.from_json((design / "config.json").read_text())
    except FileNotFoundError:
        raise UserError(f"{design}: must hold a generated design, found no config.json") from None


def _check_design(design: pathlib.Path, top: str, target: FpgaBoard) -> None:
    if not (design / f"{top}.v").is_file():
        raise UserError(f"{design}: must be generated for {target.name}, found no {top}.v")


def _write_json(path: pathlib.Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


@contextlib.contextmanager
def _kept_logs(folder: pathlib.Path, out: pathlib.Path) -> Iterator[None]:
    """After a failure of the block, the logs in `folder` go to a folder beside `out`."""
    failed = out.with_name(f"{out.name}.failed")
    try:
        yield
    except UserError as error:
        shutil.rmtree(failed, ignore_errors=True)
        failed.mkdir()
        for log in folder.glob("*.log"):
            shutil.copyfile(log, failed / log.name)
        raise UserError(f"{error}; logs in {failed}") from error
    shutil.rmtree(failed, ignore_errors=True)
