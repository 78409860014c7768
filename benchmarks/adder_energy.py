"""Energies of the adder catalogue that come with the package, measured anew.

``python benchmarks/adder_energy.py [-o constraints/adders/energy.json]``

Needs the cell library of SkyWater 130 nm (see docs/adders.md). What was measured before is taken
from ``out/adders/cells``, where ``lamina adders`` leaves it.
"""

from __future__ import annotations

import argparse
import pathlib

from lamina.flows import progress
from lamina.flows.adders.catalogue import default_adders
from lamina.flows.adders.characterise import LIBRARY, characterise
from lamina.flows.adders.energies import write_energies
from lamina.flows.adders.operands import Operands
from lamina.flows.adders.shipped import BITS, FIGURES
from lamina.flows.backend import tools

__all__ = ["main"]


def main() -> None:
    """Write the file and say where."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--out", type=pathlib.Path, default=FIGURES)
    options = parser.parse_args()
    specs, operands = default_adders(), Operands()
    with progress.step(f"mapping {len(specs)} adders to cells") as bar:
        found = characterise(specs, BITS, operands, pathlib.Path("out/adders/cells"), progress=bar)
    origin = {"library": LIBRARY, "operands": operands.kind, "weights": "uniform, 8 bit",
              "yosys": tools.version("yosys")}
    write_energies({spec.name: each.energy_fj for spec, each in zip(specs, found, strict=True)},
                   origin, options.out)
    print(options.out)


if __name__ == "__main__":
    main()
