"""The command ``lamina adders``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import pathlib

from lamina.flows import progress
from lamina.flows.adders.catalogue import Entry, default_adders, entries, mean_error
from lamina.flows.adders.characterise import LIBRARY, characterise, find_library
from lamina.flows.adders.evolve import Evolution, estimated_cost, evolve, ripple
from lamina.flows.adders.names import read_adders
from lamina.flows.adders.operands import Operands, network_weights
from lamina.flows.adders.plots import plot_catalogue
from lamina.flows.adders.walk import walk_moments
from lamina.flows.backend import tools
from lamina.flows.errors import UserError
from lamina.flows.workspace import replaced_file, workspace
from lamina.models.adders.errors import error_moments
from lamina.models.adders.spec import AdderSpec

__all__ = ["main", "table"]

_COLUMNS = {
    "label": "adder", "worst": "WCE", "mean": "ME", "mean_distance": "MED", "mean_square": "MSE",
    "rate": "ER", "bias": "bias", "area_um2": "area um2", "delay_ns": "delay ns",
    "energy_fj": "energy fJ",
}
_DEFAULT_OUT = pathlib.Path("out/adders")
_DEFAULT_BIAS = 0.25
_EVOLUTION = ("wce", "bias", "spread", "additions", "cost", "generations")


def main(arguments: argparse.Namespace) -> dict:
    """Make the catalogue, or evolve an adder, as the command line says; JSON-ready.

    Raises
    ------
    UserError
        If an adder, an option, the network or the width cannot be used, or a tool is missing.
    """
    if arguments.evolve is not None:
        return _evolved(arguments)
    for name in _EVOLUTION:
        if getattr(arguments, name) is not None:
            raise UserError(f"--{name} acts with --evolve only")
    return _catalogue(arguments)


def table(result: dict) -> str:
    """A result of :func:`main` for people, but its path: lines of adders, or of figures of one."""
    if "adders" not in result:
        figures = {key.replace("_", " "): value for key, value in result.items() if key != "path"}
        width = max(map(len, figures))
        return "\n".join(f"{key:<{width}}  {value}" for key, value in figures.items())
    keys = [key for key in _COLUMNS if key in result["adders"][0]]
    rows = [[_COLUMNS[key] for key in keys]]
    rows += [[adder[key] if key == "label" else f"{adder[key]:.5g}" for key in keys]
             for adder in result["adders"]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join([row[0].ljust(widths[0]), *(
        text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))])
        for row in rows)


def _catalogue(arguments: argparse.Namespace) -> dict:
    """``OUT/catalogue.json`` and ``.png``.

    Returns
    -------
    dict
        ``bits``, ``operands``, ``seed``, ``weights`` (where they are from), ``library`` and
        ``tool_versions`` (None without a PDK), ``adders`` (a dict each), ``path`` (of the plot).
    """
    specs = default_adders() if arguments.adders is None else read_adders(arguments.adders)
    operands = _operands(arguments)
    found = entries(specs, arguments.bits, operands)
    out = arguments.out or _DEFAULT_OUT
    with workspace(out, {"command": "adders"}):
        found, versions = _with_silicon(found, arguments, operands, out)
        result = {"bits": arguments.bits, "operands": operands.kind, "seed": operands.seed,
                  "weights": str(arguments.net or "uniform, 8 bit"),
                  "library": LIBRARY if versions else None, "tool_versions": versions,
                  "adders": [entry.to_dict() for entry in found]}
        with replaced_file(out / "catalogue.json") as partial:
            partial.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
        with replaced_file(out / "catalogue.png") as partial:
            plot_catalogue(found, partial)
    return result | {"path": str(out / "catalogue.png")}


def _evolved(arguments: argparse.Namespace) -> dict:
    """A file with one netlist, and how far it errs."""
    if arguments.adders is not None:
        raise UserError("--evolve makes an adder of its own: leave --adders out")
    if arguments.out is None or not arguments.out.stem.isidentifier():
        raise UserError("--evolve needs -o FILE, whose name names the adder, for example evo4.net")
    k = arguments.evolve
    given = {name: getattr(arguments, name) for name in _EVOLUTION[2:]
             if getattr(arguments, name) is not None}
    weights = _operands(arguments).weights
    try:
        evolution = Evolution(
            low_bits=k, weights=weights, seed=arguments.seed, **given,
            worst=1 << (k - 1) if arguments.wce is None else arguments.wce,
            bias=_DEFAULT_BIAS if arguments.bias is None else arguments.bias)
    except ValueError as error:
        raise UserError(str(error)) from None
    with progress.step(f"evolving {arguments.out.stem}") as reporter:
        netlist = evolve(evolution, arguments.out.stem, reporter)
    spec = AdderSpec("net", netlist=netlist)
    figures = {**dataclasses.asdict(error_moments(spec)), "bias": mean_error(spec, weights)}
    if evolution.additions > 1:
        mean, variance, _ = walk_moments(spec, weights, evolution.additions)
        figures |= {"sum_bias": mean, "sum_spread": math.sqrt(variance)}
    with replaced_file(arguments.out) as partial:
        partial.write_text(f"# {json.dumps(figures, sort_keys=True)}\n"
                           f"# {_origin(evolution, arguments.net)}\n{netlist.text}\n")
    return {"netlist": netlist.text, **figures, "cost": evolution.cost,
            "estimate": estimated_cost(netlist, evolution),
            "estimate_of_exact": estimated_cost(ripple(k), evolution),
            "generations": evolution.generations, "seed": evolution.seed,
            "path": str(arguments.out)}


def _origin(evolution: Evolution, net: pathlib.Path | None) -> str:
    """The command that makes the same netlist again."""
    weights = "" if net is None else f" --net {net.name}"
    walk = "" if evolution.additions == 1 else f" --additions {evolution.additions}"
    spread = "" if math.isinf(evolution.spread) else f" --spread {evolution.spread:g}"
    return (f"lamina adders --evolve {evolution.low_bits} --wce {evolution.worst} "
            f"--bias {evolution.bias:g}{spread}{walk} --cost {evolution.cost} "
            f"--generations {evolution.generations} --seed {evolution.seed}{weights}")


def _operands(arguments: argparse.Namespace) -> Operands:
    weights = {} if arguments.net is None else {"weights": network_weights(arguments.net)}
    return Operands(kind=arguments.operands, seed=arguments.seed, **weights)


def _with_silicon(found: list[Entry], arguments: argparse.Namespace, operands: Operands,
                  out: pathlib.Path) -> tuple[list[Entry], dict[str, str] | None]:
    """Entries with their costs and the tools' versions; as they are where no PDK is."""
    try:
        find_library()
    except UserError as error:
        progress.say(f"errors only, no area, delay and energy: {error}")
        return found, None
    with progress.step(f"mapping {len(found)} adders to cells") as reporter:
        costs = characterise([entry.spec for entry in found], arguments.bits, operands,
                             out / "cells", native=arguments.native_tools, progress=reporter)
    versions = {"yosys": tools.version("yosys", native=arguments.native_tools)}
    return [dataclasses.replace(entry, silicon=cost)
            for entry, cost in zip(found, costs, strict=True)], versions
