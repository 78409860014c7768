"""The submission repository of a Caravel user project."""

from __future__ import annotations

import dataclasses
import importlib.resources
import json
import pathlib
import types

import jinja2
import numpy as np

from lamina.flows.backend import tools
from lamina.flows.errors import UserError
from lamina.flows.sky130.floorplan import (
    AREA_UM,
    CORE_UM,
    GRID_UM,
    SPACING_UM,
    STRAP_PITCH_UM,
    Floorplan,
    draw_floorplan,
    largest_hidden,
    lay_out,
    memories_of,
    read_sizes,
)
from lamina.flows.sky130.pdk import find_lefs
from lamina.flows.tapeout.design import macro_paths, portable_verilog
from lamina.flows.tapeout.vectors import golden_vectors
from lamina.flows.workspace import replaced_folder
from lamina.models.config import HardwareConfig
from lamina.models.program import Program
from lamina.models.voltage import NOMINAL_MILLIVOLTS
from lamina.rtl.openram import MACROS
from lamina.rtl.wishbone_device import WishboneDevice

__all__ = ["PERIOD_NS", "floorplan_of", "undervolted_tiers", "write_repository"]

PERIOD_NS = 40
"""Clock that the layout is constrained to."""
_DESIGN = "user_project_wrapper"
_DEVICE = "mprj"
_VOLTS = 1.8
_PACKAGE = "lamina.flows.tapeout"
_TEMPLATES = {
    "user_project_wrapper.v": "verilog/rtl", "user_defines.v": "verilog/rtl",
    "defines.v": "verilog/rtl", "sky130_sram_blackbox.v": "verilog/rtl",
    "cells.v": "verilog/dv/cocotb", "run.py": "verilog/dv/cocotb",
    "test_user_project.py": "verilog/dv/cocotb", "user_project_wrapper.upf": "power",
    "main.c": "firmware", "ci.yml": ".github/workflows", "collect.py": "openlane",
    "Makefile": ".", "README.md": "."}
_COPIED = {"sky130_sram.v": ("lamina.tb", "verilog/dv/cocotb"),
           "wishbone.py": ("lamina.tb", "verilog/dv/cocotb"),
           "firmware/lamina.c": (_PACKAGE, "firmware"), "firmware/lamina.h": (_PACKAGE, "firmware")}
_SIDES = {"south": ("met2", 280, 3600, -1200), "north": ("met2", 280, 3600, 3521200),
          "west": ("met3", 3600, 600, -1200), "east": ("met3", 3600, 600, 2921200)}
"""Layer, half the width and height of a pin, and the coordinate that all of a side share [nm]."""
_OUTPUTS = ("io_oeb", "io_out", "la_data_out", "user_irq", "wbs_ack_o", "wbs_dat_o")


def floorplan_of(program: Program, config: HardwareConfig) -> Floorplan:
    """Where the macros of the device of `config` lie in the user area.

    Raises
    ------
    UserError
        If the process kit is missing, or they do not fit: says by how much, and which network of
        one hidden layer would fit.
    """
    sizes = read_sizes(find_lefs())
    try:
        return lay_out(memories_of(config, WishboneDevice(config)), sizes)
    except UserError as error:
        raise UserError(f"{program.name}: {error}{_advice(program, config, sizes)}") from error


def _advice(program: Program, config: HardwareConfig, sizes: dict) -> str:
    widths = (program.axons, *(len(layer.theta) for layer in program.layers))
    if len(widths) != 3 or config.features:
        return ""
    hidden = largest_hidden(widths[0], widths[2], config, sizes, WishboneDevice)
    bits = f"{config.weight_bits} bit"
    return (f"; {widths[0]}-{hidden}-{widths[2]} would fit at {bits}" if hidden else
            f"; no {widths[0]}-H-{widths[2]} fits at {bits}")


def undervolted_tiers(program: Program, config: HardwareConfig) -> dict[int, float]:
    """Tiers that the program runs below the nominal voltage, and the lowest one [V].

    Voltages of programs are those of the fault model, nominally 1.1 V; here they are in the same
    proportion to 1.8 V.
    """
    lowest: dict[int, int] = {}
    for each in (program, *program.layers):
        for tier, millivolts in enumerate(each.tier_millivolts):
            if millivolts < NOMINAL_MILLIVOLTS:
                lowest[tier] = min(millivolts, lowest.get(tier, millivolts))
    return {tier: round(_VOLTS * lowest[tier] / NOMINAL_MILLIVOLTS, 2)
            for tier in sorted(lowest) if tier < len(config.tiers)}


def write_repository(program: Program, config: HardwareConfig, spikes: np.ndarray,
                     out: pathlib.Path, *, native: bool = False,
                     notice: tools.Notice | None = None) -> dict:
    """Write the repository `out`, complete or not at all; the same input gives the same bytes.

    Parameters
    ----------
    program : Program
        Fits `config`.
    config : HardwareConfig
    spikes : uint8 array (N, T, axons)
        Samples of the self-test; every layer reports in it.
    out : pathlib.Path
        Replaced as a whole.
    native : bool
        Yosys of the machine instead of the pinned build.
    notice : callable, optional
        Called with a sentence when a first call takes long.

    Returns
    -------
    dict
        Summary of the floorplan.

    Raises
    ------
    UserError
        If the macros do not fit, `out` is a repository of its own by now, or Yosys is missing.
    """
    if (out / ".git").exists():
        raise UserError(f"{out}: holds a git repository by now: give another folder, or move it")
    plan, top = floorplan_of(program, config), f"lamina_{config.name}"
    verilog = portable_verilog(WishboneDevice(config), top, native=native, notice=notice)
    names = macro_paths(verilog, top)
    placed = [(".".join((_DEVICE, *names[macro.path])), macro) for macro in plan.macros]
    reporting = dataclasses.replace(program, layers=tuple(
        dataclasses.replace(layer, report=True) for layer in program.layers))
    vectors = golden_vectors(reporting, config, spikes)
    out.parent.mkdir(parents=True, exist_ok=True)
    with replaced_folder(out) as folder:
        facts = _facts(program, config, plan, placed, top)
        for name, place in _TEMPLATES.items():
            _write(folder / place / name, _rendered(name, facts))
        for name, (package, place) in _COPIED.items():
            source = importlib.resources.files(package).joinpath(name)
            _write(folder / place / pathlib.Path(name).name, source.read_text())
        _write(folder / "verilog/rtl" / f"{top}.v", verilog)
        _write(folder / "firmware/vectors.h", vectors.header())
        _write(folder / "firmware/vectors.c", vectors.source())
        _write(folder / "design.json", config.to_json() + "\n")
        _write_layout(folder, plan, placed, top, facts)
        _write_shuttle(folder, config.name)
    return plan.to_dict()


def _write(path: pathlib.Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        variable_start_string="@{", variable_end_string="}@", block_start_string="@%",
        block_end_string="%@", undefined=jinja2.StrictUndefined, keep_trailing_newline=True,
        autoescape=False)


def _rendered(name: str, facts: dict) -> str:
    text = importlib.resources.files(_PACKAGE).joinpath("templates", "caravel", f"{name}.j2")
    return _environment().from_string(text.read_text()).render(facts)


def _facts(program: Program, config: HardwareConfig, plan: Floorplan, placed: list,
           top: str) -> dict:
    """What the templates are filled with."""
    tiers = undervolted_tiers(program, config)
    widths = [program.axons, *(len(layer.theta) for layer in program.layers)]
    kinds = sorted({(macro.kind, depth) for macro in plan.macros
                    for depth, kind in MACROS.items() if kind == macro.kind})
    return {
        "name": program.name, "top": top, "config": config, "period_ns": PERIOD_NS,
        "fingerprint": f"{config.fingerprint:08X}", "plan": types.SimpleNamespace(**plan.to_dict()),
        "layers": "-".join(map(str, widths)), "weight_bits": config.weight_bits,
        "synapses": sum(int(np.count_nonzero(layer.weights)) for layer in program.layers),
        "kinds": [(kind, (depth - 1).bit_length()) for kind, depth in kinds],
        "undervolted": [name.replace(".", "/") for name, macro in placed if macro.tier in tiers],
        "tiers": ", ".join(map(str, tiers)), "volts": min(tiers.values(), default=_VOLTS),
    }


def _write_layout(folder: pathlib.Path, plan: Floorplan, placed: list, top: str,
                  facts: dict) -> None:
    """What LibreLane reads, and the floorplan for people."""
    home = folder / "openlane" / _DESIGN
    sdc = importlib.resources.files("lamina.constraints").joinpath("caravel.sdc").read_text()
    _write(home / f"{_DESIGN}.sdc", _environment().from_string(sdc).render(facts))
    _write(home / f"{_DESIGN}.def", _pins())
    _write(home / "macro.cfg", "".join(f"{name} {macro.x} {macro.y} {macro.orientation}\n"
                                       for name, macro in placed))
    config = _librelane(placed, top, set(facts["undervolted"]))
    _write(home / "config.json", json.dumps(config, indent=4) + "\n")
    rows = [{"instance": name, "macro": macro.kind, "x_um": macro.x, "y_um": macro.y,
             "orientation": macro.orientation, "tier": macro.tier} for name, macro in placed]
    _write(folder / "floorplan.json",
           json.dumps({**plan.to_dict(), "instances": rows}, indent=1) + "\n")
    with (folder / "floorplan.png").open("wb") as stream:
        draw_floorplan(plan, stream)


def _librelane(placed: list, top: str, undervolted: set[str]) -> dict:
    """Configuration of LibreLane 3."""
    rtl = "dir::../../verilog/rtl"
    kit = "pdk_dir::libs.ref/sky130_sram_macros"
    supplies = {name: "vccd2" if name.replace(".", "/") in undervolted else "vccd1"
                for name, _ in placed}
    macros = {kind: {
        "gds": [f"{kit}/gds/{kind}.gds"], "lef": [f"{kit}/lef/{kind}.lef"],
        "lib": {"*": [f"{kit}/lib/{kind}_TT_1p8V_25C.lib"]},
        "spice": [f"{kit}/spice/{kind}.spice"], "vh": [f"{rtl}/sky130_sram_blackbox.v"],
        "instances": {name: {"location": [macro.x, macro.y], "orientation": macro.orientation}
                      for name, macro in placed if macro.kind == kind},
    } for kind in sorted({macro.kind for _, macro in placed})}
    return {
        "meta": {"version": 3, "flow": "Classic"},
        "DESIGN_NAME": _DESIGN,
        "VERILOG_FILES": [f"{rtl}/defines.v", f"{rtl}/{top}.v", f"{rtl}/{_DESIGN}.v"],
        "VERILOG_POWER_DEFINE": "USE_POWER_PINS",
        "CLOCK_PORT": "wb_clk_i",
        "CLOCK_PERIOD": PERIOD_NS,
        "PNR_SDC_FILE": f"dir::{_DESIGN}.sdc",
        "SIGNOFF_SDC_FILE": f"dir::{_DESIGN}.sdc",
        "MACROS": macros,
        **_floorplan_settings(),
        **_supply_settings([f"{name} {supply} vssd1 vccd1 vssd1"
                            for name, supply in supplies.items()]),
        "MAGIC_DRC_USE_GDS": False,
        "MAGIC_EXT_ABSTRACT_CELLS": ["sky130_sram_.*"],
    }


def _floorplan_settings() -> dict:
    width, height = AREA_UM
    return {
        "FP_SIZING": "absolute",
        "DIE_AREA": [0, 0, width, height],
        "CORE_AREA": [*CORE_UM, width - CORE_UM[0], height - CORE_UM[1]],
        "FP_DEF_TEMPLATE": f"dir::{_DESIGN}.def",
        "FP_MACRO_HORIZONTAL_HALO": SPACING_UM / 4,
        "FP_MACRO_VERTICAL_HALO": SPACING_UM / 4,
        "RT_MAX_LAYER": "met4",
        "PL_TARGET_DENSITY_PCT": 60,
    }


def _supply_settings(connections: list[str]) -> dict:
    """Ring and straps as Caravel has them, and the supply of each macro."""
    width, axes = 3.1, ("V", "H")
    return {
        "VDD_NETS": ["vccd1", "vccd2", "vdda1", "vdda2"],
        "GND_NETS": ["vssd1", "vssd2", "vssa1", "vssa2"],
        "PDN_CORE_RING": True,
        **{f"PDN_CORE_RING_{axis}WIDTH": width for axis in axes},
        **{f"PDN_CORE_RING_{axis}OFFSET": 12.45 for axis in axes},
        **{f"PDN_CORE_RING_{axis}SPACING": 1.7 for axis in axes},
        **{f"PDN_{axis}WIDTH": width for axis in axes},
        **{f"PDN_{axis}SPACING": 5 * width for axis in axes},
        **{f"PDN_{axis}PITCH": STRAP_PITCH_UM for axis in axes},
        **{f"PDN_{axis}OFFSET": 5 for axis in axes},
        "PDN_CONNECT_MACROS_TO_GRID": True,
        "PDN_MACRO_CONNECTIONS": connections,
    }


def _pins() -> str:
    """DEF with the wrapper's pins where the harness has them."""
    text = importlib.resources.files("lamina.constraints").joinpath("caravel_pins.json").read_text()
    lines = []
    for side, pins in json.loads(text).items():
        layer, half_width, half_height, other = _SIDES[side]
        for name, along in pins.items():
            base, nanometres = name.split("[")[0], round(1000 * along)
            x, y = (nanometres, other) if layer == "met2" else (other, nanometres)
            kind = ("INOUT" if base == "analog_io" else
                    "OUTPUT" if base in _OUTPUTS else "INPUT")
            lines.append(
                f"- {name} + NET {name} + DIRECTION {kind} + USE SIGNAL + PORT + LAYER {layer} "
                f"( {-half_width} {-half_height} ) ( {half_width} {half_height} ) + PLACED "
                f"( {x} {y} ) N ;\n")
    width, height = (round(1000 * side) for side in AREA_UM)
    return (f'VERSION 5.8 ;\nDIVIDERCHAR "/" ;\nBUSBITCHARS "[]" ;\nDESIGN {_DESIGN} ;\n'
            f"UNITS DISTANCE MICRONS 1000 ;\nDIEAREA ( 0 0 ) ( {width} {height} ) ;\n"
            f"{_rows()}PINS {len(lines)} ;\n{''.join(lines)}END PINS\nEND DESIGN\n")


def _rows() -> str:
    """Rows of sites of the standard cells."""
    site, row = (round(1000 * step) for step in GRID_UM)
    left, bottom = (round(1000 * edge) for edge in CORE_UM)
    width, height = (round(1000 * side) for side in AREA_UM)
    sites, rows = (width - 2 * left) // site, (height - 2 * bottom) // row
    return "".join(f"ROW ROW_{number} unithd {left} {bottom + number * row} "
                   f"{'FS' if number % 2 else 'N'} DO {sites} BY 1 STEP {site} 0 ;\n"
                   for number in range(rows))


def _write_shuttle(folder: pathlib.Path, name: str) -> None:
    """What the shuttle's own checks read."""
    project = {"project": {"name": name, "type": "digital", "version": "1.0.0",
                           "user_project_wrapper_hash": "", "submission_state": "Draft"}}
    _write(folder / ".cf" / "project.json", json.dumps(project, indent=2) + "\n")
    lvs = {
        "STD_CELL_LIBRARY": "sky130_fd_sc_hd",
        "INCLUDE_CONFIGS": ["$LVS_ROOT/tech/$PDK/lvs_config.base.json"],
        "TOP_SOURCE": _DESIGN, "TOP_LAYOUT": "$TOP_SOURCE",
        "EXTRACT_FLATGLOB": [""], "EXTRACT_ABSTRACT": ["sky130_sram_*"],
        "EXTRACT_CREATE_SUBCUT": [""], "LVS_FLATTEN": [""], "LVS_NOFLATTEN": [""],
        "LVS_IGNORE": [""],
        "LVS_SPICE_FILES": [f"$PDK_ROOT/$PDK/libs.ref/sky130_sram_macros/spice/{kind}.spice"
                            for kind in sorted(MACROS.values())],
        "LVS_VERILOG_FILES": ["$UPRJ_ROOT/verilog/gl/$TOP_SOURCE.v"],
        "LAYOUT_FILE": "$UPRJ_ROOT/gds/$TOP_LAYOUT.gds",
    }
    _write(folder / "lvs" / _DESIGN / "lvs_config.json", json.dumps(lvs, indent=2) + "\n")
    includes = "".join(f"-v $(USER_PROJECT_VERILOG)/rtl/{file}\n" for file in (
        f"lamina_{name}.v", f"{_DESIGN}.v"))
    _write(folder / "verilog/includes/includes.rtl.caravel_user_project", includes)
    _write(folder / ".gitignore", "build/\nruns/\n__pycache__/\nfirmware/lamina.elf\n")
