"""What a command is asked for, and what that means: network, target, data and folder."""

from __future__ import annotations

import dataclasses
import pathlib
import zipfile

from lamina.flows.designs import TARGETS, Target, load_target
from lamina.flows.errors import UserError
from lamina.flows.fabric.faults import parse_faults
from lamina.flows.fabric.mapper import AUTO, ONE_CORE, parse_chips, parse_mesh
from lamina.flows.frontend.compile import Compiled, CompileOptions, check_fit, compile_network
from lamina.flows.frontend.data import Binning, Dataset, load_data, random_data
from lamina.flows.search.energy import CALIBRATIONS, Calibration
from lamina.flows.workspace import read_settings
from lamina.models.config import HardwareConfig
from lamina.models.fabric.config import MeshConfig
from lamina.models.fabric.routes import Faults
from lamina.models.faults import FaultModel, faulty_program
from lamina.models.program import Program
from lamina.models.voltage import can_fail

__all__ = ["DEFAULT_SAMPLES", "DEFAULT_TARGET", "ON_MESH", "Job", "Options", "compile_for",
           "load_program", "require_fit", "resolve"]

DEFAULT_SAMPLES = 20
DEFAULT_TARGET = "icebreaker"
DEFAULT_CALIBRATION = "45nm"
ON_MESH = ("compile", "flow", "report", "verify")
"""Commands that divide a network over tiles."""
_READER = ("dt", "reset", "integrator", "refractory", "cut", "timesteps", "encoder", "seed")
_COMPILE_ONLY = ("weight_bits", "dt", "reset", "integrator", "refractory", "cut", "timesteps",
                 "encoder", "tier_modes", "tier_fill", "adders", "compensate")
_READING = ("counts", "max_count", "bin", "bins", "sensor", "crop", "downsample", "polarity",
            "drop_invalid")
_DEAD = ("dead_links", "dead_tiles")
_CHIPS = {"mesh_chips": "--chips", "link_bits": "--link-bits"}
_KEPT = ("target", "data", *_READING, "samples", "seed", "chip", "calibration", "mesh", *_DEAD,
         *_CHIPS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Options of the command line, as architecture 11 names them; None: not given.

    Parameters
    ----------
    net : pathlib.Path
        A ``.nir`` file, the folder of an earlier run, or the folder of a program.
    out : pathlib.Path
        Folder of the results (a file for :func:`lamina.flows.steps.run`).
    target, data, counts : str
        Board; labelled samples; what to do with counts above 1.
    max_count : int
        Largest count that ``repeat`` takes.
    bin, bins, sensor, crop, downsample, polarity, drop_invalid
        How recordings become frames: :class:`lamina.flows.frontend.data.Binning`, where `bin` is
        called ``seconds``.
    weight_bits, dt, reset, integrator, refractory, cut, timesteps, encoder, tier_modes, tier_fill,
    adders, compensate
        Act when the network is compiled, and are refused for a program.
    samples, seed : int
        Samples to simulate; seed of encoder, random data and placement.
    chip : int
        Whose cells fail in undervolted tiers; 0 where it is not given.
    calibration : str
        Of energies: key of :data:`lamina.flows.search.energy.CALIBRATIONS`.
    mesh : str
        Tiles along x, y, z, e.g. ``2x2``, or ``auto``; ``1x1x1`` is one core without a mesh.
    dead_links, dead_tiles : str
        Of the mesh: see :func:`lamina.flows.fabric.faults.parse_faults`.
    mesh_chips : str
        Chips along x, y, z that share the tiles of the mesh equally; None: one.
    link_bits : int
        Data wires of a link between chips in each direction.
    workers : int
        Simulations at a time.
    scheduler : str
        Of a Dask cluster that sees `out` under the same path; instead of `workers`.
    waves, native_tools : bool
        Keep waveforms; use the tools on PATH.
    on : str
        Executor.
    """

    net: pathlib.Path
    out: pathlib.Path | None = None
    target: str | None = None
    data: str | None = None
    counts: str | None = None
    max_count: int | None = None
    bin: float | None = None
    bins: int | None = None
    sensor: str | None = None
    crop: str | None = None
    downsample: int | None = None
    polarity: str | None = None
    drop_invalid: bool | None = None
    weight_bits: int | None = None
    dt: float | None = None
    reset: str | None = None
    integrator: str | None = None
    refractory: int | None = None
    cut: tuple[str, ...] | None = None
    timesteps: int | None = None
    encoder: str | None = None
    tier_modes: str | None = None
    adders: str | None = None
    compensate: str | None = None
    tier_fill: str | None = None
    samples: int | None = None
    seed: int | None = None
    chip: int | None = None
    calibration: str | None = None
    mesh: str | None = None
    dead_links: str | None = None
    dead_tiles: str | None = None
    mesh_chips: str | None = None
    link_bits: int | None = None
    workers: int = 2
    scheduler: str | None = None
    waves: bool = False
    native_tools: bool = False
    on: str | None = None

    def __post_init__(self):
        if self.cut is not None:
            object.__setattr__(self, "cut", tuple(self.cut))

        if self.calibration not in (None, *CALIBRATIONS):
            raise UserError(f"--calibration must be one of {', '.join(CALIBRATIONS)}, "
                            f"not {self.calibration!r}")
        if self.mesh not in (None, AUTO):
            parse_mesh(self.mesh)

    @property
    def reader(self) -> dict:
        """How the network is read: arguments of
        :func:`lamina.flows.frontend.nir.reader.read_network`.
        """
        given = {name: getattr(self, name) for name in _READER if getattr(self, name) is not None}
        return {{"cut": "cuts"}.get(name, name): value for name, value in given.items()}

    @property
    def reading(self) -> dict:
        """How the data are read: arguments of :func:`lamina.flows.frontend.data.load_data`.

        Raises
        ------
        UserError
            If an option is out of its range.
        """
        given = {name: getattr(self, name) for name in _READING if getattr(self, name) is not None}
        counts = {name: given.pop(name) for name in ("counts", "max_count") if name in given}
        binning = {{"bin": "seconds"}.get(name, name): value for name, value in given.items()}
        return {**counts, "binning": Binning(**binning)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """A command with everything looked up.

    Parameters
    ----------
    options : Options
        Completed by the settings of the run it goes on from.
    source : pathlib.Path or None
        The ``.nir`` file; None where only a program is known.
    program_folder : pathlib.Path or None
        Where the program already is; None: to be compiled.
    out : pathlib.Path
    target : Target
    """

    options: Options
    source: pathlib.Path | None
    program_folder: pathlib.Path | None
    out: pathlib.Path
    target: Target

    @property
    def samples(self) -> int:
        """Samples to simulate."""
        return self.options.samples or DEFAULT_SAMPLES

    @property
    def calibration(self) -> Calibration:
        """Where energy goes."""
        return CALIBRATIONS[self.options.calibration or DEFAULT_CALIBRATION]

    @property
    def name(self) -> str:
        """Of the network, for file names."""
        return (self.source or self.options.net.resolve()).stem

    @property
    def on_mesh(self) -> bool:
        """Whether the network is divided over tiles."""
        return self.options.mesh not in (None, ONE_CORE)

    @property
    def mesh_faults(self) -> Faults | None:
        """What is dead of the mesh; None where nothing is.

        Raises
        ------
        UserError
            If there is no mesh that could have it, or what is listed cannot be.
        """
        given = {name: getattr(self.options, name) for name in _DEAD}
        size = self._mesh_size({f"--{name.replace('_', '-')}": text
                                for name, text in given.items()})
        return None if size is None else parse_faults(size, *given.values())

    @property
    def mesh_config(self) -> MeshConfig:
        """Routers of a mesh of a given size; looked up by tables where something is dead.

        Raises
        ------
        UserError
            As of :attr:`mesh_faults`, and if the chips do not divide the tiles.
        """
        size = parse_mesh(self.options.mesh)
        return MeshConfig(size=size, routing="table" if self.mesh_faults else "order",
                          **self.mesh_chips)

    @property
    def mesh_chips(self) -> dict[str, object]:
        """``chips`` and ``link_bits`` of a :class:`MeshConfig`, where they are given.

        Raises
        ------
        UserError
            If there is no mesh that could be divided, or it cannot be divided so.
        """
        given = {name: getattr(self.options, name) for name in _CHIPS}
        size = self._mesh_size(dict(zip(_CHIPS.values(), given.values(), strict=True)))
        return {} if size is None else parse_chips(size, *given.values())

    def _mesh_size(self, given: dict[str, object]) -> tuple[int, ...] | None:
        """Of the mesh that options are about; None where none of them is given."""
        named = [option for option, value in given.items() if value is not None]
        if not named:
            return None
        if not self.on_mesh or self.options.mesh == AUTO:
            raise UserError(f"{named[0]} needs a --mesh of a given size, "
                            f"not {self.options.mesh or ONE_CORE}")
        return parse_mesh(self.options.mesh)

    @property
    def settings(self) -> dict:
        """What a later command on the same folder takes over."""
        kept = {name: getattr(self.options, name) for name in (*_KEPT, *_COMPILE_ONLY)}
        return {**kept, "net": str(self.source or self.options.net)}

    def fitted(self, program: Program) -> Job:
        """The job with the core that `program` needs."""
        return dataclasses.replace(self, target=self.target.fitted(program))

    def faults(self, program: Program, tiers: tuple[int, ...] | None = None) -> FaultModel | None:
        """Failing cells of the chip; None where every tier that is read works.

        `tiers` is given where the program was compiled for other ones than the target's.
        """
        if not can_fail(program, len(tiers or self.target.config.tiers)):
            return None
        return FaultModel(chip=self.options.chip or 0)

    def faulty(self, program: Program, tiers: tuple[int, ...] | None = None) -> Program:
        """`program` as the memory of the chip gives it back; `tiers` as in :meth:`faults`."""
        faults, config = self.faults(program, tiers), self.target.config
        return program if faults is None else faulty_program(program, config.lanes,
                                                             tiers or config.tiers, faults)

    def fault_note(self, program: Program) -> str | None:
        """Which faults were drawn, in words; None where all supplies are nominal."""
        if not any((program.tier_millivolts, *(each.tier_millivolts for each in program.layers))):
            return None
        faults = self.faults(program)
        if faults is None:
            return "none: no cell fails at the voltages of the tiers that are read"
        given = "" if self.options.chip is not None else " (no --chip given)"
        return f"chip {faults.chip}{given}, {faults.kind}, injected through the memory image"

    def data(self, program: Program) -> Dataset:
        """Samples for `program`: the labelled set, or seeded random spikes without one."""
        if self.options.data is None:
            return random_data(self.samples, program, seed=self.options.seed or 0)
        data = load_data(self.options.data, **self.options.reading)
        data.check(program)
        return data


def resolve(options: Options, command: str) -> Job:
    """Look up what `options` name, for a command.

    Raises
    ------
    UserError
        If network or target do not exist, an option cannot act on a finished program, the command
        cannot work on a mesh, be it one that an earlier run left in its settings, or what is dead
        of the mesh, or its chips, cannot be.
    """
    job = _looked_up(options)
    if job.on_mesh and command not in ON_MESH:
        raise UserError(f"--mesh {job.options.mesh}: {command} works on one core, a mesh is for "
                        f"{', '.join(ON_MESH)}")
    _ = job.mesh_faults, job.mesh_chips
    return job


def _looked_up(options: Options) -> Job:
    net = options.net
    if net.is_dir():
        return _from_folder(options)
    if not net.exists():
        raise UserError(f"{net}: no such file or folder")
    return Job(options=options, source=net, program_folder=None,
               out=options.out or pathlib.Path("out") / net.stem,
               target=load_target(options.target or DEFAULT_TARGET))


def _from_folder(options: Options) -> Job:
    net = options.net
    folder = net / "program" if (net / "program").is_dir() else net
    if not (folder / "program.json").is_file():
        raise UserError(f"{net}: must hold program.json or program/program.json, or be a .nir file")
    for name in _COMPILE_ONLY:
        if getattr(options, name) is not None:
            raise UserError(f"--{name.replace('_', '-')} acts when a network is compiled: "
                            f"give a .nir file, not the program in {net}")
    settings = read_settings(net)
    if options.data not in (None, settings.get("data")):
        settings = {name: value for name, value in settings.items() if name not in _READING}
    if options.mesh not in (None, settings.get("mesh")):
        settings = {name: value for name, value in settings.items()
                    if name not in (*_DEAD, *_CHIPS)}
    kept = {name: settings[name] for name in (*_KEPT, *_COMPILE_ONLY)
            if getattr(options, name) is None and settings.get(name) is not None}
    options = dataclasses.replace(options, **kept)
    home = net if settings else pathlib.Path("out") / net.resolve().name
    source = settings.get("net", "")
    return Job(options=options, program_folder=folder, out=options.out or home,
               source=pathlib.Path(source) if source.endswith(".nir") else None,
               target=load_target(options.target or DEFAULT_TARGET))


def load_program(folder: pathlib.Path) -> Program:
    """Load the program in `folder`.

    Raises
    ------
    UserError
        If its files are missing or damaged: one line that names the folder.
    """
    try:
        return Program.load(folder)
    except (OSError, ValueError, TypeError, KeyError, EOFError, AttributeError,
            zipfile.BadZipFile) as error:
        raise UserError(f"{folder}: not a complete program: {error}") from error


def compile_for(job: Job, config: HardwareConfig | None) -> Compiled:
    """Compile the network of `job` for `config`; None: golden model only, every width free."""
    given = {name: getattr(job.options, name) for name in (*_COMPILE_ONLY, "data", "seed")
             if getattr(job.options, name) is not None}
    options = CompileOptions(**given, **job.options.reading, random_samples=job.samples)
    target = job.target.boundless if job.on_mesh else job.target
    config = target.config if job.on_mesh and config is not None else config
    return compile_network(job.source, options, config, _sizes(), target.most)


def require_fit(program: Program, job: Job) -> None:
    """Refuse a program that the target of `job` cannot run, naming the smallest that can.

    A mesh refuses what does not fit its tiles when the network is mapped.
    """
    if job.on_mesh:
        return
    check_fit(program, job.target.fitted(program).config, _sizes())


def _sizes() -> list[tuple[str, HardwareConfig]]:
    return [(name, target.config) for name, target in TARGETS.items() if target.is_board]
