"""Energy of an addition over that of the exact adder: as shipped, or measured where it lacks."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence

from lamina.flows import progress
from lamina.flows.adders.characterise import characterise, find_library
from lamina.flows.adders.operands import Operands
from lamina.flows.adders.shipped import BITS, shipped_energies
from lamina.flows.errors import UserError
from lamina.flows.workspace import replaced_file
from lamina.models.adders.spec import EXACT, AdderSpec

__all__ = ["relative_energies", "write_energies"]


def relative_energies(specs: Sequence[AdderSpec], folder: pathlib.Path, *, native: bool = False
                      ) -> dict[str, float]:
    """Energy of an addition over that of the exact adder, by name: the shipped ones and `specs`.

    Shipped figures come first, with or without a PDK. What they lack is measured in the same way
    where a PDK is; where none is it counts as the exact adder, and a line says so.

    Parameters
    ----------
    specs : sequence of AdderSpec
    folder : pathlib.Path
        Keeps what is measured, made when needed.
    native : bool
        Yosys of the machine instead of the pinned build.

    Raises
    ------
    UserError
        If Yosys is missing or fails.
    """
    energies = shipped_energies()
    missing = [spec for spec in specs if spec.name not in energies]
    return {name: round(energy / energies[EXACT.name], 6) for name, energy in
            {**energies, **_measured(missing, folder, native, energies[EXACT.name])}.items()}


def _measured(specs: list[AdderSpec], folder: pathlib.Path, native: bool, exact: float
              ) -> dict[str, float]:
    if not specs:
        return {}
    try:
        find_library()
    except UserError as error:
        progress.say(f"{', '.join(spec.label for spec in specs)} counted with the energy of the "
                     f"exact adder: {error}")
        return {spec.name: exact for spec in specs}
    found = characterise(specs, BITS, Operands(), folder, native=native)
    return {spec.name: each.energy_fj for spec, each in zip(specs, found, strict=True)}


def write_energies(energies: dict[str, float], origin: dict[str, str], path: pathlib.Path) -> None:
    """Write `energies` [fJ] by name, and where they are from, in the form of the shipped ones."""
    with replaced_file(path) as partial:
        partial.write_text(json.dumps({**origin, "bits": BITS, "energy_fj": energies},
                                      indent=1, sort_keys=True) + "\n")
