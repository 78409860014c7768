"""Dead links and tiles of a mesh, as the command line lists them."""

from __future__ import annotations

import collections
import pathlib
import re

from lamina.flows.errors import UserError
from lamina.models.fabric.config import MeshConfig
from lamina.models.fabric.routes import Faults

__all__ = ["HOST_TILE", "parse_faults"]

HOST_TILE = 0
"""Tile that shares its router with the host."""
_FORMS = {"--dead-links": (r"\d+-\d+", "pairs of neighbouring tiles like 0-1,5-9"),
          "--dead-tiles": (r"\d+", "tiles like 3,7")}


def parse_faults(size: tuple[int, ...], links: str | None, tiles: str | None) -> Faults:
    """Faults of a mesh of `size` by two lists; a list may be the name of a file behind an @.

    The links of a dead tile are dead, listed or not.

    Parameters
    ----------
    size : tuple of int
    links, tiles : str or None
        ``0-1,5-9`` and ``3,7``; in a file, white space may separate them as well.

    Raises
    ------
    UserError
        If a list is none, has something twice or what the mesh has not, if the tile of the host is
        dead, or if working tiles are cut off from it.
    """
    config = MeshConfig(size=size, routing="table")
    dead = [int(entry) for entry in _entries("--dead-tiles", tiles)]
    pairs = [tuple(sorted(map(int, entry.split("-"))))
             for entry in _entries("--dead-links", links)]
    for option, found in (("--dead-tiles", dead), ("--dead-links", pairs)):
        for entry, count in collections.Counter(found).items():
            if count > 1:
                name = entry if isinstance(entry, int) else "-".join(map(str, entry))
                raise UserError(f"{option}: {name} must be listed once, not {count} times")
    if HOST_TILE in dead:
        raise UserError(f"--dead-tiles: tile {HOST_TILE} must work, the host is at its router")
    try:
        faults = Faults(config, pairs, dead)
    except ValueError as error:
        raise UserError(f"--mesh {'x'.join(map(str, size))}: {error}") from error
    cut = faults.cut_off()
    if cut:
        raise UserError(f"--mesh {'x'.join(map(str, size))}: dead links or tiles must not cut off "
                        f"tiles {', '.join(map(str, cut))} from tile {HOST_TILE}, the host's")
    return faults


def _entries(option: str, text: str | None) -> list[str]:
    """Parts of a list."""
    if text is None:
        return []
    form, meaning = _FORMS[option]
    if text.startswith("@"):
        found = _contents(option, text[1:]).replace(",", " ").split()
    else:
        found = text.split(",")
    wrong = [entry for entry in found if not re.fullmatch(form, entry)]
    if wrong or not found:
        raise UserError(f"{option} must be {meaning}, or @FILE with such, not "
                        f"{wrong[0] if wrong else 'nothing'!r}")
    return found


def _contents(option: str, name: str) -> str:
    try:
        return pathlib.Path(name).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no text"
        raise UserError(f"{option} @{name}: {reason}") from error
