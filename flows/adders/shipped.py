"""Energies of the catalogue of adders, as shipped."""

from __future__ import annotations

import importlib.resources
import json
import pathlib

__all__ = ["BITS", "FIGURES", "shipped_energies"]

BITS = 18
"""Of the adders measured."""
FIGURES = pathlib.Path(str(importlib.resources.files("lamina.constraints"))) / "adders/energy.json"
"""Energies of the catalogue in SkyWater 130 nm [fJ], so that no result depends on a PDK."""


def shipped_energies() -> dict[str, float]:
    """Energy per addition [fJ] of every adder of :data:`FIGURES`, by its name."""
    return json.loads(FIGURES.read_text())["energy_fj"]
