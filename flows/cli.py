"""The command ``lamina``: a thin face over :mod:`lamina.flows.steps`.

The steps are imported when one is called: help is quick, and the doctor works where packages lack.
"""

from __future__ import annotations

import argparse
import dataclasses
import errno
import importlib
import json
import math
import os
import pathlib
import sys
import warnings

import rich.console
import rich.table

from lamina.flows import doctor
from lamina.flows.errors import UserError

__all__ = ["main"]

EXIT_OK, EXIT_MISMATCH, EXIT_USER_ERROR, EXIT_INTERRUPTED = 0, 1, 2, 130
_COMMANDS = {
    "flow": "all steps: compile, generate, verify, synth, report",
    "run": "run a network on one executor and keep the trace",
    "compile": "network and data to an integer program",
    "quantise": "what every weight width keeps, and the narrowest that is good enough",
    "generate": "program to Verilog, vectors and a bench without Python",
    "verify": "compare the simulated hardware with the golden model",
    "synth": "synthesise, place and route, and pack a bitstream",
    "report": "collect report.json and report.html",
    "train": "train a network for the hardware (needs the extra train)",
    "convert": "a ReLU network to spiking neurons (needs the extra train and onnx)",
    "undervolt": "accuracy and energy with memory tiers undervolted and gated, on many chips",
    "explore": "search adders and tier modes per layer: a front of named programs (extra search)",
    "tapeout": "the submission repository of a chip shuttle (caravel, tinytapeout)",
    "adders": "the catalogue of adders: errors, area, delay and energy",
    "check": "judge a network without building it: a verdict per node",
    "doctor": "which tools were found, and how to get the others",
}
_EXTRA = {"compile": ("export_nir",), "run": ("trace",), "quantise": ("explore", "keep"),
          "tapeout": ("place", "harden"),
          "undervolt": ("chips", "volts")}


_ON_CLUSTER = ("flow", "verify")


class _Parser(argparse.ArgumentParser):
    """Argument parser whose errors are one line and exit status 2."""

    def error(self, message: str):
        self.exit(EXIT_USER_ERROR, f"lamina: {' '.join(message.split())}\n")


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit status.

    Returns
    -------
    int
        0: done; 1: hardware and golden model differ, or a chip misses its clock; 2: an error that
        the user can mend, told in one line; 130: interrupted.
    """
    try:
        status = _run(_parser().parse_args(argv))
        sys.stdout.flush()
        return status
    except UserError as error:
        return _fail(" ".join(str(error).split()), EXIT_USER_ERROR)
    except KeyboardInterrupt:
        return _fail("interrupted; nothing half-written is left, the same command goes on",
                     EXIT_INTERRUPTED)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("lamina"):
            raise
        return _fail(f"the Python package {error.name} is missing: install lamina again, or see "
                     "lamina doctor", EXIT_USER_ERROR)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return _fail(f"{error.filename or 'output'}: no space left on the device",
                         EXIT_USER_ERROR)
        if error.filename is None:
            raise
        return _fail(f"{error.filename}: {error.strerror}", EXIT_USER_ERROR)


def _fail(message: str, status: int) -> int:
    """Print the one line; what is left half-used does not warn when the process ends."""
    warnings.simplefilter("ignore")
    print(f"lamina: {message}", file=sys.stderr)
    return status


def _run(arguments: argparse.Namespace) -> int:
    if arguments.command == "doctor":
        return _doctor(arguments.json)
    if arguments.command == "check":
        return _check(arguments)
    if arguments.command in ("train", "convert"):
        return _train(arguments)
    if arguments.command == "explore":
        return _explore(arguments)
    if arguments.command == "adders":
        return _adders(arguments)
    if arguments.command == "tapeout" and arguments.place == "tinytapeout":
        return _tinytapeout(arguments)
    if arguments.scheduler is not None and arguments.command not in _ON_CLUSTER:
        raise UserError(f"--scheduler: {arguments.command} runs on this machine, a cluster is for "
                        f"explore, {', '.join(_ON_CLUSTER)}")
    steps = importlib.import_module("lamina.flows.steps")
    fields = {field.name for field in dataclasses.fields(steps.Options)}
    given = {name: value for name, value in vars(arguments).items()
             if name in fields and value is not None}
    step = getattr(steps, {"compile": "compile_network"}.get(arguments.command, arguments.command))
    extra = {name: getattr(arguments, name) for name in _EXTRA.get(arguments.command, ())}
    summary = step(steps.Options(**given), **extra)
    if arguments.json:
        print(json.dumps(summary.result, indent=1, sort_keys=True))
    else:
        _print_table(summary.rows)
        print(summary.path)
    return EXIT_MISMATCH if summary.mismatches or summary.failures else EXIT_OK


def _check(arguments: argparse.Namespace) -> int:
    steps = importlib.import_module("lamina.flows.steps")
    fields = {field.name for field in dataclasses.fields(steps.Options)}
    given = {name: value for name, value in vars(arguments).items()
             if name in fields and value is not None}
    verdict = steps.check(steps.Options(**given))
    found = _fitting(arguments, verdict.layers)
    if arguments.json:
        print(json.dumps(verdict.to_dict() | ({"fit": found} if arguments.fit else {}), indent=1,
                         sort_keys=True))
    else:
        table = rich.table.Table("node", "type", "verdict", "why", box=None)
        for node in verdict.nodes:
            table.add_row(node.path, node.kind, node.verdict, node.why)
        rich.console.Console().print(table)
        _print_table([*((layer["name"], f"{layer['neuron_model']} {layer['shape']}")
                        for layer in verdict.layers), *verdict.assumptions.items(),
                      *map(_fit_row, found)] or [("", "")])
    if verdict.refusal is not None:
        raise UserError(verdict.refusal)
    return EXIT_OK


def _fitting(arguments: argparse.Namespace, layers: tuple[dict, ...]) -> list[dict]:
    """Largest networks of this kind on a shuttle, where that is asked for."""
    if arguments.fit is None or not layers:
        return []
    fit = importlib.import_module("lamina.flows.tapeout.fit")
    widths = fit.WEIGHT_BITS if arguments.weight_bits is None else (arguments.weight_bits,)
    return fit.fitting(layers, arguments.fit, widths)


def _fit_row(found: dict) -> tuple[str, str]:
    name = f"fits with {found['weight_bits']} bit on {found['lanes']} lanes"
    if not found["hidden"]:
        return name, "nothing"
    return name, (f"{found['hidden']} hidden neurons: {found['macros']} macros, "
                  f"{100 * found['macro_share']:.1f} % of the user area")


def _explore(arguments: argparse.Namespace) -> int:
    command = importlib.import_module("lamina.flows.search.command")
    steps = importlib.import_module("lamina.flows.steps")
    given = {name: value for name, value in vars(arguments).items() if value is not None}
    if given.pop("adders", None):
        raise UserError("--adders fixes what a search chooses: give its choices by --adder")
    choices = {name: tuple(given.pop(option)) for name, option in (("adders", "adder"),
                                                                   ("modes", "mode"))
               if option in given}
    own, common = ({name: value for name, value in given.items()
                    if name in {field.name for field in dataclasses.fields(kind)}}
                   for kind in (command.SearchOptions, steps.Options))
    common.pop("compensate", None)
    summary = command.explore(steps.Options(**common), command.SearchOptions(**own, **choices))
    if arguments.json:
        print(json.dumps(summary.result, indent=1, sort_keys=True))
    else:
        for line in command.summary_lines(summary.result):
            print(line)
        print(summary.path)
    return EXIT_MISMATCH if summary.mismatches else EXIT_OK


def _tinytapeout(arguments: argparse.Namespace) -> int:
    place = importlib.import_module("lamina.flows.tapeout.tinytapeout")
    steps = importlib.import_module("lamina.flows.steps")
    given = {name: value for name, value in vars(arguments).items() if value is not None}
    if arguments.harden:
        raise UserError("--harden: the shuttle's own workflow lays a Tiny Tapeout project out")
    common, own = ({name: value for name, value in given.items() if name in names} for names in (
        {field.name for field in dataclasses.fields(steps.Options)}, place.OWN_OPTIONS))
    summary = place.tapeout(steps.Options(**common), **own)
    if arguments.json:
        print(json.dumps(summary.result, indent=1, sort_keys=True))
    else:
        _print_table([(name, str(summary.result[name])) for name in ("top", "tiles", "density")])
        print(summary.path)
    return EXIT_OK


def _train(arguments: argparse.Namespace) -> int:
    commands = importlib.import_module("lamina.flows.training.command")
    result = (commands.main if arguments.command == "train" else commands.convert)(arguments)
    if arguments.json:
        print(json.dumps(result, indent=1, sort_keys=True))
    else:
        _print_table([(name.replace("_", " "), str(value)) for name, value in result.items()])
    return EXIT_OK


def _adders(arguments: argparse.Namespace) -> int:
    command = importlib.import_module("lamina.flows.adders.command")
    result = command.main(arguments)
    print(json.dumps(result, indent=1, sort_keys=True) if arguments.json
          else f"{command.table(result)}\n{result['path']}")
    return EXIT_OK


def _doctor(as_json: bool) -> int:
    findings = doctor.examine()
    if as_json:
        print(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=1))
    else:
        table = rich.table.Table("tool", "for", "version", "if missing", box=None)
        for finding in findings:
            missing = "missing" if finding.required else "not installed (optional)"
            table.add_row(finding.name, finding.purpose, finding.version or missing,
                          "" if finding.version else finding.remedy)
        rich.console.Console().print(table)
    lacking = [finding for finding in findings if finding.required and not finding.version]
    if lacking:
        raise UserError("missing: " + "; ".join(f"{finding.name} ({finding.remedy})"
                                                for finding in lacking))
    return EXIT_OK


def _print_table(rows: list[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")


def _positive(kind: type, unit: str):
    def parse(text: str):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not 0 < value < math.inf:
            raise argparse.ArgumentTypeError(f"must be a positive {unit}, not {text}")
        return value
    return parse


def _points(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"must be in 0..100 points, not {text}")
    return value


def _weight_bits(text: str) -> int:
    if text not in ("1", "2", "3", "4", "5", "6", "7", "8", "16"):
        raise argparse.ArgumentTypeError(f"must be 1..8 or 16, not {text}")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 1 << 32:
        raise argparse.ArgumentTypeError(f"must be in 0..{(1 << 32) - 1}, not {text}")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="lamina", description="Trained spiking networks to verified hardware.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True,
                                     parser_class=_Parser)
    for name, purpose in _COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=purpose.capitalize() + ".",
                                      allow_abbrev=False)
        if name in ("train", "convert"):
            options = importlib.import_module("lamina.flows.training.options")
            (options.add_options if name == "train" else options.add_convert_options)(command)
        elif name == "adders":
            importlib.import_module("lamina.flows.adders.options").add_options(command)
        elif name != "doctor":
            if name == "tapeout":
                command.add_argument("place", metavar="PLACE",
                                     help="the shuttle: caravel or tinytapeout")
            _add_options(command)
            _add_mesh(command, chips=name not in ("explore", "undervolt"))
        command.add_argument("--json", action="store_true",
                             help="print the result as JSON on standard output")
        if name in ("run", "verify"):
            command.add_argument("--on", default="golden" if name == "run" else "rtl",
                                 help="golden, float, rtl, netlist or a serial port (/dev/tty...)"
                                 if name == "run" else "rtl or netlist (after synthesis)")
        if name == "compile":
            command.add_argument("--export-nir", type=pathlib.Path, metavar="FILE",
                                 help="also write the codes as a quantised .nir file")
        if name == "quantise":
            _add_exploring(command)
        if name == "explore":
            _add_searching(command)
        if name == "undervolt":
            _add_undervolting(command)
        if name == "check":
            command.add_argument("--fit", metavar="SHUTTLE",
                                 help="also how many hidden neurons a shuttle holds: caravel")
        if name == "tapeout":
            command.add_argument("--harden", action="store_true",
                                 help="then lay it out with LibreLane, where OpenROAD is installed")
            _add_shuttle(command)
        if name == "run":
            command.add_argument("--trace", action="store_true",
                                 help="keep every layer's spikes and membranes")
    return parser


def _add_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("net", metavar="NET", type=pathlib.Path, help="a .nir file or the folder of a program")
    add("-o", "--out", metavar="OUT", type=pathlib.Path, help="where the results go")
    add("--target", help="icebreaker (default), ulx3s, sky130, or a TOML file")
    add("--data", help="digits, mnist:DIR, nmnist:DIR, events:DIR or FILE.npz; default: seeded "
                       "random spikes")
    _add_reading(command.add_argument_group("how data are read"))
    add("--weight-bits", type=_weight_bits, metavar="N", help="1..8 or 16 (default 8)")
    add("--dt", type=_positive(float, "number of seconds"), metavar="SECONDS")
    add("--reset", metavar="RULE",
        help="value, subtract, subtract-delayed or subtract-rederived")
    add("--integrator", choices=("euler", "exponential", "mixed"),
        help="of the equations (default: by the file's exporter, else euler)")
    add("--refractory", type=int, choices=(0, 1),
        help="timesteps of rest after a reset to value (1: snnTorch's zero)")
    add("--cut", metavar="SOURCE->TARGET", action="append",
        help="an edge of a cycle that takes one timestep; may be repeated")
    add("--timesteps", type=_positive(int, "integer"), metavar="T", help="timesteps per sample")
    add("--encoder", metavar="KIND", help="real values to spikes: bernoulli, rate, latency, "
        "delta:STEP, constant:LEVELS, or spikes already")
    add("--tier-modes", metavar="MODES",
        help="one per tier, e.g. nominal,nominal,0.8,gated, or UV2@0.8, UV-PG1@0.8; per layer "
             "fc1:...;fc2:...")
    add("--tier-fill", choices=("mid", "zero"), help="what gated bits read as (default mid)")
    add("--chip", type=_seed, metavar="N", help="whose cells fail in undervolted tiers (default 0)")
    add("--adders", metavar="NAMES", help="accumulation adder, e.g. loa:4, or per layer "
        "fc1=loa:4;fc2=exact (lamina adders lists them)")
    add("--compensate", choices=("bias", "follow", "none"),
        help="how the mean error of the adders is taken back (default bias: no hardware)")
    add("--calibration", help="of energies: 45nm (default) or sky130")
    add("--samples", type=_positive(int, "integer"), metavar="N",
        help="samples (default 20, of undervolt 1000)")
    add("--seed", type=_seed, metavar="N", help="of encoder, random data and placement")
    add("--workers", type=_positive(int, "integer"), metavar="N", help="parallel simulations")
    add("--scheduler", metavar="ADDRESS", help="of Dask: a cluster does what --workers do here "
        "(explore, flow, verify)")
    add("--waves", action="store_true", default=None, help="keep waveforms of the simulation")
    add("--native-tools", action="store_true", default=None,
        help="tools of the machine instead of the pinned builds")


def _add_mesh(command: argparse.ArgumentParser, *, chips: bool) -> None:
    """Options of a mesh; those commands that mean sampled chips by ``--chips`` have none anyway."""
    add = command.add_argument_group("a mesh of tiles (compile, flow, report, verify)").add_argument
    add("--mesh", metavar="XxYxZ", help="tiles, e.g. 2x2x2, or auto (default 1x1x1: one core)")
    add("--dead-links", metavar="A-B,...", help="in both directions: pairs of neighbouring tiles "
        "(x runs fastest), or @FILE with such")
    add("--dead-tiles", metavar="N,...", help="tiles that hold no neurons and pass nothing on, or "
        "@FILE")
    if chips:
        add("--chips", dest="mesh_chips", metavar="XxYxZ", help="that share the tiles equally, "
            "e.g. 2x1 (default: one chip)")
        add("--link-bits", type=int, choices=(1, 2, 4, 8, 16),
            help="data wires of a link between chips in each direction (default 8)")


def _add_shuttle(command: argparse.ArgumentParser) -> None:
    add = command.add_argument_group("a tinytapeout project").add_argument
    add("--author", help="of the project, for its data sheet")
    add("--name", help="of the project: the top module is tt_um_NAME (default lamina_NET)")
    add("--tiles", help="that the project takes, e.g. 8x2 (default: the fewest that do)")
    add("--shuttle", metavar="TAG", help="of the shuttle's actions, e.g. ttsky26a")


def _add_searching(command: argparse.ArgumentParser) -> None:
    add = command.add_argument_group("the search").add_argument
    add("--budget", type=int, metavar="N", help="configurations that are really tried (default 60)")
    add("--adder", action="append", metavar="NAME", help="a choice of every layer; may be repeated")
    add("--mode", action="append", metavar="MODES",
        help="a choice of every layer, as --tier-modes takes it; may be repeated")
    add("--chips", type=int, metavar="N", help="sampled chips per configuration (default 3)")
    add("--validation", type=int, metavar="N",
        help="samples of the training split that judge (default 500)")
    add("--no-verify", dest="verify", action="store_false", default=None,
        help="leave out the simulation of the front")


def _add_undervolting(command: argparse.ArgumentParser) -> None:
    add = command.add_argument_group("the study").add_argument
    add("--chips", type=_positive(int, "integer"), metavar="N",
        help="chips of every mode in which cells fail (default 20)")
    add("--volts", type=_positive(float, "number of volts"), nargs="+", metavar="V",
        help="0.6..1.1 (default 0.7 0.75 0.775 0.8 0.825 0.85)")


def _add_exploring(command: argparse.ArgumentParser) -> None:
    command.add_argument("--explore", action="store_true", help="try 1..8 and 16 bit and choose")
    command.add_argument("--keep", type=_points, default=0.1, metavar="POINTS",
                         help="accuracy that the chosen width may lose (default 0.1)")


def _add_reading(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--counts", choices=("clip", "repeat", "refuse"), help="data with counts above 1")
    add("--max-count", type=_positive(int, "integer"), metavar="N",
        help="copies of an axon under --counts repeat (default 4)")
    add("--bin", type=_positive(float, "number of seconds"), metavar="SECONDS",
        help="width of a timestep of recordings")
    add("--bins", type=_positive(int, "integer"), metavar="N", help="timesteps of recordings")
    add("--sensor", metavar="WxH", help="pixels, where recordings do not say")
    add("--crop", metavar="WxH+X+Y", help="pixels that are kept")
    add("--downsample", type=_positive(int, "integer"), metavar="N", help="N x N pixels to one")
    add("--polarity", choices=("both", "merge"), help="a plane each (default), or one")
    add("--drop-invalid", action="store_true", default=None,
        help="leave out events outside the sensor or running backwards in time")
