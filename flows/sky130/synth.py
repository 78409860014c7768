"""Synthesis of the core onto standard cells, memory macros and clock gates."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
import shutil

from lamina.flows.backend import tools
from lamina.flows.backend.generate import convert
from lamina.flows.errors import UserError
from lamina.flows.sky130.cells import cell_models
from lamina.flows.sky130.liberty import read_cells
from lamina.flows.sky130.pdk import find_library, find_macros
from lamina.flows.workspace import replaced_folder
from lamina.models.config import HardwareConfig
from lamina.rtl.device import Device
from lamina.rtl.openram import CLOCK_GATE, OpenRam

__all__ = ["CLOCK_MHZ", "Synthesis", "synthesise_core", "synthesise_module"]

CLOCK_MHZ = 50.0
"""Clock that gates are sized for."""
_FAN_OUT = 12
_GATED_BITS = 4
"""Flip-flops that a clock gate is worth: below, a multiplexer holds them."""
_UNUSED = ("*lpflow_*", "*probe*", "*_0")
_TIE = "sky130_fd_sc_hd__conb_1"
_ABC = f"""strash
&get -n
&fraig -x
&put
scorr
dc2
strash
&get -n
&dch -f
&nf {{D}}
&put
buffer -N {_FAN_OUT}
upsize {{D}}
dnsize {{D}}
"""
_CONSTRAINTS = "set_driving_cell sky130_fd_sc_hd__buf_2\nset_load 10.0\n"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Synthesis:
    """What :func:`synthesise_core` or :func:`synthesise_module` leaves in its folder.

    Parameters
    ----------
    folder : pathlib.Path
    core : str
        Name of the mapped module.
    """

    folder: pathlib.Path
    core: str

    @property
    def netlist(self) -> pathlib.Path:
        """Verilog of the mapped core, flat; names of cells begin with the block they are of."""
        return self.folder / "core.v"

    @property
    def cells(self) -> pathlib.Path:
        """Models of its cells."""
        return self.folder / "cells.v"

    @property
    def sources(self) -> list[pathlib.Path]:
        """Verilog of a device whose core is mapped: host link, core, models of its cells."""
        return [self.folder / "link.v", self.netlist, self.cells]

    def module(self) -> dict:
        """The mapped core as Yosys' ``write_json`` describes a module."""
        return json.loads((self.folder / "core.json").read_text())["modules"][self.core]


def synthesise_core(config: HardwareConfig, out: pathlib.Path, *, native: bool = False,
                    notice: tools.Notice | None = None) -> Synthesis:
    """Map the core of `config`, and leave the device around it as it was written.

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
    core = f"{name}.core"
    device = convert(Device(config), name, native=native, notice=notice, platform=OpenRam())
    found = synthesise_module(device, core, out, native=native, notice=notice)
    (out / "link.v").write_text(_without(device, core))
    return found


def synthesise_module(verilog: str, name: str, out: pathlib.Path, *, native: bool = False,
                      notice: tools.Notice | None = None) -> Synthesis:
    """Map module `name` of `verilog`, and what is in it, as :func:`synthesise_core` does.

    Raises
    ------
    UserError
        If the process kit or Yosys is missing, or Yosys fails.
    """
    library, macros = find_library(), find_macros()
    out.parent.mkdir(parents=True, exist_ok=True)
    with replaced_folder(out) as folder:
        (folder / "device.v").write_text(verilog)
        shutil.copyfile(library, folder / "cells.lib")
        for macro, path in macros.items():
            shutil.copyfile(path, folder / f"{macro}.lib")
        (folder / "map.abc").write_text(_ABC)
        (folder / "map.constr").write_text(_CONSTRAINTS)
        tools.run("yosys", ["-q", "-l", "yosys.log", "-p", _script(name, list(macros))],
                  folder=folder, log="yosys-messages.log", native=native, notice=notice)
        for source in folder.glob("*.lib"):
            source.unlink()
        used = {cell["type"] for cell in json.loads((folder / "core.json").read_text())
                ["modules"][name]["cells"].values()} - set(macros)
        (folder / "cells.v").write_text(cell_models(read_cells(library,
                                                               sorted({*used, CLOCK_GATE}))))
    return Synthesis(folder=out, core=name)


def _script(core: str, macros: list[str]) -> str:
    """Yosys commands: map block by block, then read what came out and make it flat.

    Names that Yosys made up are numbered as it writes Verilog; read back they are names, of nets
    and cells alike, under which the simulator knows them.
    """
    libraries = "; ".join(f"read_liberty -lib {name}.lib" for name in ["cells", *macros])
    unused = " ".join(f"-dont_use {pattern}" for pattern in _UNUSED)
    period = round(1e6 / CLOCK_MHZ)
    return "; ".join([
        libraries, "read_verilog device.v", f"hierarchy -top {core}", "proc",
        "setattr -unset init", f"synth -noabc -hieropt -top {core}",
        "dfflegalize -cell $_DFF_P_ x -cell $_DFFE_PP_ x", "opt_clean",
        f"clockgate -liberty cells.lib -min_net_size {_GATED_BITS}",
        "dfflegalize -cell $_DFF_P_ x", "dfflibmap -liberty cells.lib",
        f"abc -liberty cells.lib {unused} -script map.abc -constr map.constr -D {period}",
        f"hilomap -singleton -hicell {_TIE} HI -locell {_TIE} LO", "opt_clean -purge",
        "write_verilog -noattr mapped.v", "design -reset", libraries, "read_verilog mapped.v",
        f"hierarchy -top {core}", "flatten -separator /", "opt_clean -purge",
        "tee -q -o area.json stat -json -liberty cells.lib "
        + " ".join(f"-liberty {name}.lib" for name in macros),
        "write_verilog -noattr core.v", "write_json core.json"])


def _without(device: str, core: str) -> str:
    """Verilog of `device` without the modules of the core."""
    pattern = rf"^module \\{re.escape(core)}[ .].*?^endmodule\n"
    return re.sub(pattern, "", device, flags=re.MULTILINE | re.DOTALL)
