"""Synthesis of the device onto standard cells, memory macros and clock gates."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import re
import shutil

from lamina.flows.backend import tools
from lamina.flows.backend.generate import convert
from lamina.flows.errors import UserError
from lamina.flows.sky130.cells import cell_models
from lamina.flows.sky130.hold import delay_pins
from lamina.flows.sky130.liberty import library_text, read_cells
from lamina.flows.sky130.pdk import SLOW, find_library, find_macros
from lamina.flows.sky130.timing import find_sta, hold_endpoints, sta_version
from lamina.flows.workspace import replaced_folder
from lamina.models.config import HardwareConfig
from lamina.rtl.device import Device
from lamina.rtl.openram import CLOCK_GATE, OpenRam

__all__ = ["CLOCK_MHZ", "Synthesis", "synthesise_device", "synthesise_module"]

CLOCK_MHZ = 66.0
"""Clock that gates are sized for, at :data:`lamina.flows.sky130.pdk.SLOW`."""
_RESERVED_NS = 3.15
"""Of a period, what is kept from gates: flip-flop, setup, uncertainty, and the cells against early
signals."""
_REPAIRS = 3
"""Most rounds of delay cells: pins that share a cell's input may need a second one."""
_FAN_OUT = 12
_GATED_BITS = 4
"""Flip-flops that a clock gate is worth: below, a multiplexer holds them."""
_UNUSED = ("*lpflow_*", "*probe*", "*_0")
_TIE = "sky130_fd_sc_hd__conb_1"
_SIZED = f"""&nf {{D}}
&put
buffer -N {_FAN_OUT}
upsize {{D}}
dnsize {{D}}
"""
_FAST = f"""strash
&get -n
&fraig -x
&put
scorr
balance
&get -n
{_SIZED}"""
_SMALL = f"""strash
&get -n
&fraig -x
&put
scorr
dc2
strash
&get -n
&dch -f
{_SIZED}"""
"""What restructures for area (dc2, dch) makes ripples of trees of carries: 2.4 ns in the lanes."""
_ARITHMETIC = "-booth -extra-map +/choices/sklansky.v"
"""Multipliers and carries of logarithmic depth: ripples were 1.5 ns too slow."""
_CONSTRAINTS = "set_driving_cell sky130_fd_sc_hd__buf_2\nset_load 10.0\n"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Synthesis:
    """What :func:`synthesise_device` or :func:`synthesise_module` leaves in its folder.

    Parameters
    ----------
    folder : pathlib.Path
    top : str
        Name of the mapped module.
    """

    folder: pathlib.Path
    top: str

    @property
    def netlist(self) -> pathlib.Path:
        """Verilog of the mapped module, flat; names of cells begin with the block they are of."""
        return self.folder / "netlist.v"

    @property
    def cells(self) -> pathlib.Path:
        """Models of its cells."""
        return self.folder / "cells.v"

    @property
    def sources(self) -> list[pathlib.Path]:
        """Verilog of the mapped module and of the models of its cells."""
        return [self.netlist, self.cells]

    def module(self) -> dict:
        """The mapped module as Yosys' ``write_json`` describes it."""
        return json.loads((self.folder / "netlist.json").read_text())["modules"][self.top]


def synthesise_device(config: HardwareConfig, out: pathlib.Path, *, native: bool = False,
                      notice: tools.Notice | None = None) -> Synthesis:
    """Map the device of `config`: its core and the host link.

    Blocks are mapped one by one (the hierarchy is kept, but for constants and unused pins), then
    made flat. Large memories become macros, others flip-flops with clock gates
    (:class:`lamina.rtl.openram.OpenRam`).

    Parameters
    ----------
    config : HardwareConfig
        Its banks must not be ``spram``.
    out : pathlib.Path
        Replaced as a whole; receives the files of :class:`Synthesis`, the log and ``area.json``.
    native : bool
        Yosys of the machine instead of the pinned build.
    notice : callable, optional
        Called with a sentence when a first call takes long.

    Raises
    ------
    UserError
        If the process kit or Yosys is missing, Yosys fails, or the banks are ``spram``.
    """
    if config.bank == "spram":
        raise UserError("bank must be inferred or behavioural on sky130, not spram")
    name = f"{config.name}_device"
    device = convert(Device(config), name, native=native, notice=notice, platform=OpenRam())
    return synthesise_module(device, name, out, native=native, notice=notice)


def synthesise_module(verilog: str, name: str, out: pathlib.Path, *, small: bool = False,
                      native: bool = False, notice: tools.Notice | None = None) -> Synthesis:
    """Map module `name` of `verilog`, and what is in it, as :func:`synthesise_device` does.

    Mapped for speed, or where that does not count for a `small` area. Where OpenSTA is installed,
    signals that would change too early after the edge of the clock get delay cells: the netlist
    depends on whether it is there. What lies in `out` from an earlier call with the same Verilog,
    commands and tools is kept.

    Raises
    ------
    UserError
        If the process kit or Yosys is missing, or a tool fails.
    """
    library, macros = find_library(), find_macros()
    inputs = _inputs(verilog, name, small, native)
    if all((out / file).is_file() and (out / file).read_text() == text
           for file, text in inputs.items()):
        return Synthesis(folder=out, top=name)
    out.parent.mkdir(parents=True, exist_ok=True)
    with replaced_folder(out) as folder:
        for file, text in inputs.items():
            (folder / file).write_text(text)
        (folder / "cells.lib").write_text(library_text(find_library(SLOW)))
        for macro, path in macros.items():
            shutil.copyfile(path, folder / f"{macro}.lib")
        tools.run("yosys", ["-q", "-l", "yosys.log", "-s", "map.ys"], folder=folder,
                  log="yosys-messages.log", native=native, notice=notice)
        _plain(folder / "netlist.v")
        if find_sta() is not None:
            _delay(name, folder, list(macros), native)
        for source in folder.glob("*.lib"):
            source.unlink()
        used = {cell["type"] for cell in json.loads((folder / "netlist.json").read_text())
                ["modules"][name]["cells"].values()} - set(macros)
        models = cell_models(read_cells(library, sorted({*used, CLOCK_GATE})))
        (folder / "cells.v").write_text(models)
    return Synthesis(folder=out, top=name)


def _inputs(verilog: str, name: str, small: bool, native: bool) -> dict[str, str]:
    """Files that decide what comes out, by name."""
    made_by = {"yosys": tools.version("yosys", native=native), "opensta": sta_version(),
               "library": hashlib.sha256(find_library(SLOW).read_bytes()).hexdigest()}
    commands = _script(name, list(find_macros()), small).replace("; ", "\n")
    return {"device.v": verilog, "map.abc": _SMALL if small else _FAST, "map.constr": _CONSTRAINTS,
            "map.ys": f"{commands}\n", "tools.json": f"{json.dumps(made_by, indent=1)}\n"}


def _script(top: str, macros: list[str], small: bool) -> str:
    """Yosys commands: map block by block, then read what came out and make it flat.

    Names that Yosys made up are numbered as it writes Verilog; read back they are names, of nets
    and cells alike, under which the simulator knows them.
    """
    libraries = "; ".join(f"read_liberty -lib {name}.lib" for name in ["cells", *macros])
    unused = " ".join(f"-dont_use {pattern}" for pattern in _UNUSED)
    budget = round(1e6 / CLOCK_MHZ - 1e3 * _RESERVED_NS)
    return "; ".join([
        libraries, "read_verilog device.v", f"hierarchy -top {top}", "proc",
        "setattr -unset init", f"synth {'' if small else _ARITHMETIC} -noabc -hieropt -top {top}",
        "dfflegalize -cell $_DFF_P_ x -cell $_DFFE_PP_ x", "opt_clean",
        f"clockgate -liberty cells.lib -min_net_size {_GATED_BITS}",
        "dfflegalize -cell $_DFF_P_ x", "dfflibmap -liberty cells.lib",
        f"abc -liberty cells.lib {unused} -script map.abc -constr map.constr -D {budget}",
        f"hilomap -singleton -hicell {_TIE} HI -locell {_TIE} LO", "opt_clean -purge",
        "write_verilog -noattr mapped.v", "design -reset", libraries, "read_verilog mapped.v",
        f"hierarchy -top {top}", "flatten -separator /", "opt_clean -purge", _written(macros)])


def _written(macros: list[str]) -> str:
    """Yosys commands that leave the netlist and the areas of what is in it."""
    return ("tee -q -o area.json stat -json -liberty cells.lib "
            + " ".join(f"-liberty {name}.lib" for name in macros)
            + "; write_verilog -noattr -simple-lhs netlist.v; write_json netlist.json")


def _delay(top: str, folder: pathlib.Path, macros: list[str], native: bool) -> None:
    """Delay what would change too early at the fast corner."""
    for _ in range(_REPAIRS):
        early = hold_endpoints(folder / "netlist.v", top, 1e3 / CLOCK_MHZ)
        design = json.loads((folder / "netlist.json").read_text())
        if not delay_pins(design["modules"][top], early):
            return
        (folder / "netlist.json").write_text(json.dumps(design))
        tools.run("yosys", ["-q", "-p", f"read_json netlist.json; {_written(macros)}"],
                  folder=folder, native=native)
        _plain(folder / "netlist.v")


def _plain(netlist: pathlib.Path) -> None:
    """Signs of wires mean nothing in a netlist, and OpenSTA does not read them."""
    netlist.write_text(re.sub(r"^  wire signed ", "  wire ", netlist.read_text(),
                              flags=re.MULTILINE))
