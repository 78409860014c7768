"""Writes a design: Verilog of the core, the device and the board, and what other flows need."""

from __future__ import annotations

import json
import pathlib
import re
import shutil

import numpy as np
from amaranth.back import verilog
from amaranth.hdl import Value
from amaranth.lib.wiring import Component, Flow

from lamina.flows.backend import tools
from lamina.flows.backend.bench import write_bench
from lamina.flows.backend.fusesoc import core_file
from lamina.flows.designs import Target, design_names
from lamina.flows.sky130.timing import constraints
from lamina.flows.workspace import replaced_folder
from lamina.models.config import HardwareConfig
from lamina.models.program import Program
from lamina.rtl.boards.board import Board
from lamina.rtl.core import Core
from lamina.rtl.device import Device
from lamina.rtl.openram import OpenRam

__all__ = ["LINT_WAIVERS", "convert", "generate", "ports"]

_INITIAL_VALUE = re.compile(
    r"^(\s*reg (?:signed )?(?:\[\d+:\d+\] )?\S+ ?) = \d+'[bdh][0-9a-fA-F]+;$", re.MULTILINE)
_EMPTY_MEMORY = re.compile(r"  initial begin\n(    [^ ]+\[\d+\] = \d+'[bdh]0+;\n)+  end\n")

LINT_WAIVERS = {
    "CASEINCOMPLETE": "a case covers the codes that occur; a default is assigned before it",
    "DECLFILENAME": "one file holds all modules of a design",
    "PROCASSINIT": "registers have a reset and, for FPGAs, the same power-up value",
    "UNUSEDSIGNAL": "the converter names the carry and the guard bits that nobody reads",
    "WIDTHEXPAND": "operands of a comparison differ in width; the converter leaves it to Verilog",
    "WIDTHTRUNC": "the converter writes x == 0 as !x",
}
"""Verilator rules that generated Verilog cannot keep, and why."""


def generate(config: HardwareConfig, target: Target, out: pathlib.Path, *,
             program: Program | None = None, spikes: np.ndarray | None = None, seed: int = 0,
             native: bool = False, notice: tools.Notice | None = None) -> list[pathlib.Path]:
    """Write the folder `out`, complete or not at all; the same input gives the same bytes.

    ====================== ===================================================================
    ``config.json``        the HardwareConfig
    ``NAME_core.v``        the bare core with its streams (docs/architecture.md)
    ``NAME_device.v``      core and host link, byte streams ``rx`` and ``tx``
    ``NAME_TARGET.v``      the board's top, or the device on the macros and clock gates of a chip;
                           the constraint file beside it
    ``NAME.json``          ports of the three modules: direction and width [bit]
    ``NAME.core``          FuseSoC description (CAPI2)
    ``NAME.vlt``           rules that Verilator's lint has to overlook in generated Verilog
    ``NAME_tb.v, *.hex``   with a program: a self-checking bench of the core, and its vectors
    ====================== ===================================================================

    Parameters
    ----------
    config : HardwareConfig
    target : Target
        Its own `config` is not used.
    out : pathlib.Path
        Replaced as a whole.
    program : Program, optional
        What the bench runs, with every layer reporting.
    spikes : uint8 array (N, T, axons), optional
        What it is fed with; seeded random spikes of one sample unless given.
    seed : int
        Of those spikes.
    native : bool
        Use the Yosys on PATH: the bytes then depend on it.
    notice : callable, optional
        Called with a sentence when a first call takes long.

    Returns
    -------
    list of pathlib.Path
        The files, sorted.

    Raises
    ------
    UserError
        If Yosys is missing, or the program does not fit `config`.
    """
    names = design_names(config, target)
    out.parent.mkdir(parents=True, exist_ok=True)
    with replaced_folder(out) as folder:
        if program is not None:
            write_bench(program, config, folder, spikes=spikes, seed=seed)
        tops = _tops(config, target)
        for kind, (top, platform) in tops.items():
            text = convert(top, names[kind], native=native, notice=notice, platform=platform)
            (folder / f"{names[kind]}.v").write_text(text)
        (folder / "config.json").write_text(config.to_json() + "\n")
        described = {names[kind]: ports(top) for kind, (top, _) in tops.items()}
        (folder / f"{config.name}.json").write_text(json.dumps(described, indent=1) + "\n")
        (folder / f"{config.name}.vlt").write_text(_waivers())
        if target.is_board:
            shutil.copyfile(target.constraint, folder / target.constraint.name)
        else:
            (folder / target.constraint.name).write_text(constraints(1e3 / target.clock_mhz))
        (folder / f"{config.name}.core").write_text(core_file(config, target, names, folder))
    return sorted(out.iterdir())


def _tops(config: HardwareConfig, target: Target) -> dict[str, tuple[Component, object]]:
    """What is generated, by its key in :func:`lamina.flows.designs.design_names`, and for what."""
    tops: dict[str, tuple[Component, object]] = {
        "core": (Core(config), None), "device": (Device(config), None)}
    if target.is_board:
        return tops | {"board": (Board(target.board(config)), None)}
    return tops | {"chip": (Device(config), OpenRam())}


def convert(component: Component, name: str, *, native: bool = False,
            notice: tools.Notice | None = None, platform: object = None,
            initial: bool = True) -> str:
    """Verilog of `component` as module `name`, without paths of this machine.

    A `platform` may choose what memories become (:class:`lamina.rtl.openram.OpenRam`). Without
    `initial` no register has a value before its reset: a chip has none.

    Memories without contents are left without initial values, since nothing may rely on them (and
    Yosys is slow to read them).
    """
    with tools.amaranth_yosys(native=native, notice=notice):
        text = verilog.convert(component, name=name, platform=platform, emit_src=False,
                               strip_internal_attrs=True)
    text = re.sub(r"\A/\* (Generated by Yosys \S+ \(git sha1 \w+).*?\*/", r"/* \1) */", text)
    text = _EMPTY_MEMORY.sub("", text)
    return text if initial else _INITIAL_VALUE.sub(r"\1;", text)


def ports(component: Component) -> dict[str, dict[str, object]]:
    """Ports of `component` besides its clock: direction and width [bit], by Verilog name."""
    described = {}
    for path, member, value in component.signature.flatten(component):
        direction = "input" if member.flow is Flow.In else "output"
        described["__".join(path)] = {"direction": direction, "width": len(Value.cast(value))}
    return described


def _waivers() -> str:
    rules = "".join(f"// {reason}\nlint_off -rule {rule}\n"
                    for rule, reason in LINT_WAIVERS.items())
    return f"`verilator_config\n{rules}"
