"""Targets by name: boards and processes, each a TOML file and a constraint file."""

from __future__ import annotations

import dataclasses
import importlib.resources
import pathlib
import tomllib
from typing import Self

from lamina.flows.errors import UserError
from lamina.models.check import check_int, check_one_of
from lamina.models.config import HardwareConfig
from lamina.models.placement import grown, snug
from lamina.models.program import Program
from lamina.rtl.boards.config import FAMILIES, BoardConfig

__all__ = ["DEVICES", "PROCESSES", "TARGETS", "FpgaBoard", "Process", "Target", "design_names",
           "load_target"]

DEVICES = {
    "ice40": ("up5k", "hx1k", "hx4k", "hx8k", "lp1k", "lp4k", "lp8k"),
    "ecp5": ("12k", "25k", "45k", "85k", "um-25k", "um-45k", "um-85k"),
}
PROCESSES = ("sky130",)
_SUFFIXES = {"ice40": ".pcf", "ecp5": ".lpf", "sky130": ".sdc"}
_BUILT_IN = ("icebreaker", "ulx3s", "sky130")
_LARGEST = {"weight_words": 65536, "axons": 16384, "groups": 1024, "mask_rows": 16384,
            "layers": 256, "decay_bits": 16, "state_bits": 24, "acc_bits": 32}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """What a core is generated for, and that core unless another one is asked for.

    Parameters
    ----------
    name : str
        A Verilog identifier.
    family : str
        ``ice40``, ``ecp5`` or ``sky130``.
    constraint : pathlib.Path
        Pins of a board (``.pcf``, ``.lpf``) or clock of a chip (``.sdc``).
    clock_mhz : float
        Of the core [MHz].
    config : HardwareConfig
    most : dict of str to int
        How far dimensions of `config` may grow for a program: see
        :func:`lamina.models.placement.grown`.

    Raises
    ------
    ValueError
        If a field is out of range.
    """

    name: str
    family: str
    constraint: pathlib.Path
    clock_mhz: float
    config: HardwareConfig
    most: dict[str, int] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if not self.name.isidentifier():
            raise ValueError(f"name must be a Verilog identifier, not {self.name!r}")
        check_one_of("family", self.family, tuple(_SUFFIXES))
        suffix = _SUFFIXES[self.family]
        if self.constraint.suffix != suffix:
            raise ValueError(f"constraint must be a {suffix} file, not {self.constraint.name}")

    @property
    def is_board(self) -> bool:
        """Whether it ends in a bitstream."""
        return self.family in FAMILIES

    def fitted(self, program: Program) -> Self:
        """This target with the core that `program` needs."""
        return dataclasses.replace(self, config=grown(program, self.config, self.most))

    @property
    def boundless(self) -> Self:
        """This target as if its core could have any size: a mesh divides what does not fit one."""
        groups = min(_LARGEST["groups"], _LARGEST["axons"] // self.config.lanes)
        return dataclasses.replace(self, config=self.tile, most={**_LARGEST, "groups": groups})

    @property
    def tile(self) -> HardwareConfig:
        """Core of a tile before it grows; its memories are inferred."""
        return dataclasses.replace(self.config, bank="inferred")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Process(Target):
    """A process for chips. The core has the memories that a program needs, and no more.

    Parameters
    ----------
    word_bits : int
        Width of a weight word that the lanes share, if the network has neurons enough [bit].
    """

    word_bits: int

    def __post_init__(self):
        super().__post_init__()
        check_one_of("family", self.family, PROCESSES)
        check_int("word_bits", self.word_bits, 32, 1024)
        if self.config.bank == "spram":
            raise ValueError(f"bank must be inferred or behavioural on {self.family}, not spram")

    def fitted(self, program: Program) -> Process:
        """This process with the core that `program` needs."""
        return dataclasses.replace(self, config=snug(program, self.config, self.word_bits))


@dataclasses.dataclass(frozen=True, kw_only=True)
class FpgaBoard(Target):
    """A board with an FPGA and a serial port.

    Parameters
    ----------
    device, package : str
        One of :data:`DEVICES`, and the package as nextpnr calls it.
    speed : int
        Speed grade, 6..8; ECP5 only.
    crystal_mhz : float
        Clock at the pin [MHz]; that of the core: no multiplier.
    baud : int
        Of the serial port [bit/s].
    leds_active_low : bool

    Raises
    ------
    ValueError
        If a field is out of range or a clock cannot be met. The constraint file names the pins
        ``crystal rx tx led_idle led_error``.
    """

    device: str
    package: str
    crystal_mhz: float
    baud: int
    speed: int = 6
    leds_active_low: bool = False

    def __post_init__(self):
        super().__post_init__()
        check_one_of("family", self.family, FAMILIES)
        check_one_of("device", self.device, DEVICES[self.family])
        check_int("speed", self.speed, 6, 8)
        if self.config.bank == "spram" and self.device != "up5k":
            raise ValueError(f"bank must not be spram on the {self.device}, only on the up5k")
        self.board(self.config)

    def board(self, config: HardwareConfig) -> BoardConfig:
        """Top of this board around a core of `config`."""
        return BoardConfig(hardware=config, family=self.family, baud=self.baud,
                           crystal_hz=round(self.crystal_mhz * 1e6),
                           clock_hz=round(self.clock_mhz * 1e6),
                           leds_active_low=self.leds_active_low)

    @property
    def core_mhz(self) -> float:
        """Clock that the core gets from the multiplier [MHz]."""
        return self.board(self.config).core_hz / 1e6


def design_names(config: HardwareConfig, target: Target) -> dict[str, str]:
    """Verilog modules, each in a file of the same name: ``core``, ``device`` and ``board`` or
    ``chip``.
    """
    return {"core": f"{config.name}_core", "device": f"{config.name}_device",
            "board" if target.is_board else "chip": f"{config.name}_{target.name}"}


def load_target(name: str) -> Target:
    """Target of a known `name`, or of a TOML file whose constraint file lies beside it.

    Raises
    ------
    UserError
        If it is neither, or if the file does not describe a target.
    """
    if name in TARGETS:
        return TARGETS[name]
    path = pathlib.Path(name)
    if path.suffix != ".toml":
        raise UserError(f"target must be one of {', '.join(TARGETS)} or a .toml file, not {name!r}")
    if not path.is_file():
        raise UserError(f"target {name}: no such file")
    return _read(path)


def _read(path: pathlib.Path) -> Target:
    try:
        fields = tomllib.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"target {path}: {error}") from error
    core = dict(fields.pop("core", {}))
    if "tiers" in core:
        core["tiers"] = tuple(core["tiers"])
    constraint = path.parent / fields.pop("constraint", "")
    fields["config"] = _construct(f"target {path}: core", HardwareConfig, core)
    kind = Process if fields.get("family") in PROCESSES else FpgaBoard
    target = _construct(f"target {path}", kind, fields | {"constraint": constraint})
    if not constraint.is_file():
        raise UserError(f"target {path}: constraint file {constraint} does not exist")
    return target


def _construct(subject: str, kind: type, fields: dict[str, object]):
    known = {field.name: field for field in dataclasses.fields(kind)}
    unknown = [name for name in fields if name not in known]
    missing = [name for name, field in known.items()
               if name not in fields and field.default is dataclasses.MISSING
               and field.default_factory is dataclasses.MISSING]
    if unknown:
        raise UserError(f"{subject}: unknown key {unknown[0]!r}")
    if missing:
        raise UserError(f"{subject}: missing key {missing[0]!r}")
    try:
        return kind(**fields)
    except (ValueError, TypeError) as error:
        raise UserError(f"{subject}: {error}") from error


def _built_in() -> dict[str, Target]:
    folder = pathlib.Path(str(importlib.resources.files("lamina.constraints")))
    return {name: _read(folder / f"{name}.toml") for name in _BUILT_IN}


TARGETS: dict[str, Target] = _built_in()
"""Targets that ship with Lamina, by name."""
