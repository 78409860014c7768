"""Targets by name: boards described by a TOML file and a constraint file."""

from __future__ import annotations

import dataclasses
import importlib.resources
import pathlib
import tomllib

from lamina.flows.errors import UserError
from lamina.models.check import check_int, check_one_of
from lamina.models.config import HardwareConfig
from lamina.models.placement import grown
from lamina.models.program import Program
from lamina.rtl.boards.config import FAMILIES, BoardConfig

__all__ = ["DEVICES", "TARGETS", "Target", "design_names", "load_target"]

DEVICES = {
    "ice40": ("up5k", "hx1k", "hx4k", "hx8k", "lp1k", "lp4k", "lp8k"),
    "ecp5": ("12k", "25k", "45k", "85k", "um-25k", "um-45k", "um-85k"),
}
_BUILT_IN = ("icebreaker", "ulx3s")
_LARGEST = {"weight_words": 65536, "axons": 16384, "groups": 1024, "mask_rows": 16384,
            "layers": 256, "decay_bits": 16, "state_bits": 24, "acc_bits": 32}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """A board, and the core that is generated for it unless another one is asked for.

    Parameters
    ----------
    name : str
        A Verilog identifier.
    family, device, package : str
        ``ice40`` or ``ecp5``, one of :data:`DEVICES`, and the package as nextpnr calls it.
    speed : int
        Speed grade, 6..8; ECP5 only.
    constraint : pathlib.Path
        ``.pcf`` or ``.lpf`` naming the pins ``crystal rx tx led_idle led_error``.
    crystal_mhz, clock_mhz : float
        Clock at the pin and of the core [MHz]; equal: no multiplier.
    baud : int
        Of the serial port [bit/s].
    leds_active_low : bool
    config : HardwareConfig
    most : dict of str to int
        How far dimensions of `config` may grow for a program: see
        :func:`lamina.models.placement.grown`.

    Raises
    ------
    ValueError
        If a field is out of range or a clock cannot be met.
    """

    name: str
    family: str
    device: str
    package: str
    constraint: pathlib.Path
    crystal_mhz: float
    clock_mhz: float
    baud: int
    config: HardwareConfig
    speed: int = 6
    leds_active_low: bool = False
    most: dict[str, int] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if not self.name.isidentifier():
            raise ValueError(f"name must be a Verilog identifier, not {self.name!r}")
        check_one_of("family", self.family, FAMILIES)
        check_one_of("device", self.device, DEVICES[self.family])
        check_int("speed", self.speed, 6, 8)
        suffix = {"ice40": ".pcf", "ecp5": ".lpf"}[self.family]
        if self.constraint.suffix != suffix:
            raise ValueError(f"constraint must be a {suffix} file, not {self.constraint.name}")
        if self.config.bank == "spram" and self.device != "up5k":
            raise ValueError(f"bank must not be spram on the {self.device}, only on the up5k")
        self.board(self.config)

    def fitted(self, program: Program) -> Target:
        """This board with the core that `program` needs."""
        return dataclasses.replace(self, config=grown(program, self.config, self.most))

    @property
    def boundless(self) -> Target:
        """This board as if its core could have any size: a mesh divides what does not fit one."""
        groups = min(_LARGEST["groups"], _LARGEST["axons"] // self.config.lanes)
        return dataclasses.replace(self, config=self.tile, most={**_LARGEST, "groups": groups})

    @property
    def tile(self) -> HardwareConfig:
        """Core of a tile before it grows; its memories are inferred."""
        return dataclasses.replace(self.config, bank="inferred")

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
    """Verilog modules, each in a file of the same name: ``core``, ``device`` and ``board``."""
    return {"core": f"{config.name}_core", "device": f"{config.name}_device",
            "board": f"{config.name}_{target.name}"}


def load_target(name: str) -> Target:
    """Target of a known `name`, or of a TOML file whose constraint file lies beside it.

    Raises
    ------
    UserError
        If it is neither, or if the file does not describe a board.
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
    target = _construct(f"target {path}", Target, fields | {"constraint": constraint})
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
