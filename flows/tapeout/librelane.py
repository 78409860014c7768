"""LibreLane: its loader judges a configuration, its flow makes the layout where OpenROAD is."""

from __future__ import annotations

import importlib
import os
import pathlib
import shutil
import subprocess
import sys

from lamina.flows.errors import UserError

__all__ = ["harden", "load_config"]

_ADVICE = "pip install 'lamina[tapeout]'"


def load_config(path: pathlib.Path, kit: pathlib.Path) -> dict[str, object]:
    """What LibreLane's Classic flow makes of a configuration; nothing is run.

    Parameters
    ----------
    path : pathlib.Path
        ``config.json``.
    kit : pathlib.Path
        ``PDK_ROOT`` of a process kit with LibreLane's own files in it.

    Raises
    ------
    UserError
        If LibreLane is not installed, or refuses the configuration or warns of a key in it.
    """
    try:
        flows = importlib.import_module("librelane.flows")
        config = importlib.import_module("librelane.config")
    except ImportError as error:
        raise UserError(f"LibreLane is not installed: {_ADVICE}") from error
    try:
        flow = flows.Flow.factory.get("Classic")(
            str(path), pdk_root=str(kit), pdk="sky130A", scl="sky130_fd_sc_hd",
            design_dir=str(path.parent))
    except config.InvalidConfig as error:
        raise UserError(f"{path}: LibreLane refuses it: {'; '.join(error.errors)}") from error
    return dict(flow.config)


def harden(path: pathlib.Path) -> None:
    """Lay out what the configuration `path` describes, by LibreLane on this machine.

    Raises
    ------
    UserError
        If OpenROAD or LibreLane is missing, or the flow fails.
    """
    if shutil.which("openroad") is None:
        raise UserError(f"--harden needs OpenROAD, which is not on PATH: {path.parents[2]} is "
                        "written, and make harden in it runs LibreLane in a container")
    if importlib.util.find_spec("librelane") is None:
        raise UserError(f"LibreLane is not installed: {_ADVICE}")
    command = [sys.executable, "-m", "librelane", str(path)]
    if subprocess.run(command, env=dict(os.environ, PDK="sky130A")).returncode != 0:
        raise UserError(f"LibreLane failed on {path}: its log is in {path.parent / 'runs'}")
