"""Adders as users name them: by family, by netlist, or by a file of netlists."""

from __future__ import annotations

import importlib.resources
import pathlib
import re

from lamina.flows.errors import UserError
from lamina.models.adders.spec import AdderSpec

__all__ = ["read_adder", "read_adders", "read_netlists", "shipped_files"]

_FRAGMENT = re.compile(r"[a-z]+\.\d+\.\d+.*|\d+")
"""What follows a comma within the text of a netlist."""


def read_adders(text: str) -> list[AdderSpec]:
    """Read names with commas between them, each as :func:`read_adder`, a file may give several.

    Raises
    ------
    UserError
        If a name or a file cannot be used, or no adder is named.
    """
    parts: list[str] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        if parts and parts[-1].startswith("net:") and _FRAGMENT.fullmatch(part):
            parts[-1] += f",{part}"
        else:
            parts.append(part)
    specs = [spec for part in parts for spec in
             (read_netlists(part[1:]) if part.startswith("@") else [read_adder(part)])]
    if not specs:
        raise UserError("--adders must name at least one adder")
    return list(dict.fromkeys(specs))


def read_adder(text: str) -> AdderSpec:
    """Read ``loa:4``, ``net:...``, or ``@FILE`` with a single netlist.

    Raises
    ------
    UserError
        If the adder is not known, or the file has none or several.
    """
    if text.startswith("@"):
        specs = read_netlists(text[1:])
        if len(specs) != 1:
            raise UserError(f"{text[1:]}: must hold one netlist, not {len(specs)}")
        return specs[0]
    try:
        return AdderSpec.parse(text)
    except ValueError as error:
        raise UserError(str(error)) from None


def read_netlists(name: str) -> list[AdderSpec]:
    """Read a file of netlists: one per line, empty lines and those that begin with # apart.

    Parameters
    ----------
    name : str
        A file, or one of ``constraints/adders`` without folder and suffix.

    Raises
    ------
    UserError
        If the file is not there or no text, or a line is no netlist: says which.
    """
    path = pathlib.Path(name)
    path = path if path.exists() else shipped_files().get(name, path)
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        raise UserError(f"{name}: no such file, nor one of constraints/adders") from None
    except UnicodeDecodeError:
        raise UserError(f"{name}: must be a text file of netlists") from None
    specs = []
    for number, line in enumerate(map(str.strip, lines), start=1):
        if not line or line.startswith("#"):
            continue
        if not line.startswith("net:"):
            raise UserError(f"{name}: line {number}: netlist must read "
                            f"net:NAME:K:kind.x.y,...:outputs, not {line[:60]!r}")
        try:
            specs.append(AdderSpec.parse(line))
        except ValueError as error:
            raise UserError(f"{name}: line {number}: {error}") from None
    return specs


def shipped_files() -> dict[str, pathlib.Path]:
    """Files of evolved adders that come with the package, by name."""
    folder = pathlib.Path(str(importlib.resources.files("lamina.constraints"))) / "adders"
    return {path.stem: path for path in sorted(folder.glob("*.net"))}
