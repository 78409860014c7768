"""A repository for a Tiny Tapeout shuttle: a small core in latches behind SPI, and its test.

Sizes, file names and fields are those of the shuttle's own tools and template (README, References:
Tiny Tapeout).
"""

from __future__ import annotations

import dataclasses
import importlib.resources
import json
import pathlib
import re
import shutil
import tempfile

import jinja2
import numpy as np

from lamina.flows import progress
from lamina.flows.backend import tools
from lamina.flows.backend.generate import convert
from lamina.flows.errors import UserError
from lamina.flows.job import Job, Options, compile_for, load_program, resolve
from lamina.flows.sky130.cells import cell_models
from lamina.flows.sky130.liberty import read_cells
from lamina.flows.sky130.pdk import find_library
from lamina.flows.sky130.synth import synthesise_module
from lamina.flows.steps import Summary
from lamina.flows.workspace import replaced_folder, workspace
from lamina.models.config import (
    PROTOCOL_VERSION,
    HardwareConfig,
    LinkStatus,
    Register,
    Space,
)
from lamina.models.image import memory_image
from lamina.models.network import run
from lamina.models.placement import Placement, grown, misfits, place
from lamina.models.program import Layer, Program
from lamina.models.trace import Trace
from lamina.rtl.boards.tinytapeout import PINOUT, TinyTapeout
from lamina.rtl.latches import LATCH, Latches
from lamina.rtl.openram import CLOCK_GATE

__all__ = ["CLOCK_HZ", "CONFIG", "DENSITY", "MOST", "OWN_OPTIONS", "SHUTTLE", "TILES", "Area",
           "fitted", "measured", "reduced", "smallest_tiles", "tapeout", "write"]

TILES = {"1x1": (161.0, 111.52), "1x2": (161.0, 225.76), "2x2": (334.88, 225.76),
         "3x2": (508.76, 225.76), "4x2": (682.64, 225.76), "6x2": (1030.4, 225.76),
         "8x2": (1378.16, 225.76)}
"""Width and height of a project on SkyWater 130, by its tiles [um]."""
_MARGINS = 5.52, 5.44
"""What rows of cells leave of width and height: six sites and one row on either side [um]."""
DENSITY = 0.6
"""Share of the rows that cells may take before clock tree, hold buffers and taps are added."""
CLOCK_HZ = 25_000_000
SHUTTLE = "ttsky26a"
"""Branch of the shuttle's actions that the workflows use."""
CONFIG = HardwareConfig(name="lamina", lanes=4, tiers=(4,), weight_words=16, axons=256, groups=2,
                        layers=1, decay_bits=4, state_bits=8, acc_bits=9, output_words=16,
                        payload_bytes=12, window=1)
"""The core before :func:`fitted` gives it the sizes that a program asks for."""
MOST = {"weight_words": 1024, "groups": 64, "layers": 16, "decay_bits": 16,
        "state_bits": 32, "acc_bits": 40, "mask_rows": 64}
OWN_OPTIONS = ("author", "name", "tiles", "shuttle")
"""Of :func:`tapeout`, besides the common ones."""
_SAMPLES, _WEIGHT_BITS = 2, 4
_FEWEST_DECAY_BITS = 4
_FILES = {
    "info.yaml": "info.yaml.j2", "README.md": "README.md.j2", "LICENSE": "LICENSE",
    ".gitignore": "gitignore.j2", "docs/info.md": "info.md.j2", "src/config.json": "config.json.j2",
    "test/Makefile": "Makefile.j2", "test/tb.v": "tb.v.j2", "test/test.py": "test.py.j2",
    "test/requirements.txt": "requirements.txt", ".github/workflows/gds.yaml": "gds.yaml.j2",
    ".github/workflows/docs.yaml": "docs.yaml.j2", ".github/workflows/test.yaml": "test.yaml.j2",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Area:
    """What the project takes after synthesis.

    Parameters
    ----------
    cells, latches, flip_flops, clock_gates : int
        Cells in all, and how many of them are these.
    um2 : float
        Of all cells [um2].
    """

    cells: int
    latches: int
    flip_flops: int
    clock_gates: int
    um2: float

    def density(self, tiles: str) -> float:
        """Share of the rows of `tiles` that the cells take."""
        width, height = (side - margin for side, margin in zip(TILES[tiles], _MARGINS,
                                                               strict=True))
        return self.um2 / (width * height)


def reduced(program: Program) -> Program:
    """`program` with the fewest decay bits that give the same leaks, 4 or more.

    ``(v * D) >> F`` is the same integer when D is halved and F is one less, for every even D.
    """
    def shifts(layer: Layer) -> bool:
        return layer.leak != "subtract"

    while program.decay_bits > _FEWEST_DECAY_BITS and not any(
            (layer.decay % 2).any() for layer in program.layers if shifts(layer)):
        layers = tuple(dataclasses.replace(layer, decay=layer.decay // 2) if shifts(layer)
                       else layer for layer in program.layers)
        program = dataclasses.replace(program, layers=layers, decay_bits=program.decay_bits - 1)
    return program


def fitted(program: Program, config: HardwareConfig = CONFIG) -> HardwareConfig:
    """`config` just large enough for `program`, with as many weight bits as that has.

    Raises
    ------
    UserError
        If no core of this kind runs it: names what is short.
    """
    config = dataclasses.replace(config, tiers=(max(2, program.stored_bits),))
    config = grown(program, config, MOST)
    short = misfits(program, config)
    if short:
        raise UserError(f"{program.name}: {'; '.join(short)} on Tiny Tapeout")
    placement = place(program, config.lanes, len(config.tiers))
    axons = max(16, placement.axons, config.neurons)
    return dataclasses.replace(config, layers=len(placement.entries),
                               axons=1 << (axons - 1).bit_length(),
                               weight_words=max(16, placement.weight_words))


def smallest_tiles(area: Area) -> str:
    """The fewest tiles in which `area` stays within :data:`DENSITY`.

    Raises
    ------
    UserError
        If it does so in none.
    """
    for tiles in TILES:
        if area.density(tiles) <= DENSITY:
            return tiles
    largest = list(TILES)[-1]
    raise UserError(f"the core must take at most {DENSITY:.0%} of {largest} tiles, "
                    f"not {area.density(largest):.0%} ({area.um2:.0f} um2)")


def measured(verilog: str, top: str, folder: pathlib.Path, *, native: bool = False,
             notice: tools.Notice | None = None) -> Area:
    """Area of module `top` of `verilog`, mapped onto the cells; works below `folder`.

    Raises
    ------
    UserError
        If the process kit or Yosys is missing, or Yosys fails.
    """
    with tempfile.TemporaryDirectory(prefix=".synthesis-", dir=folder) as work:
        mapped = synthesise_module(verilog, top, pathlib.Path(work) / "synth", small=True,
                                   native=native, notice=notice)
        kinds = [cell["type"] for cell in mapped.module()["cells"].values()]
    cells = read_cells(find_library(), sorted(set(kinds)))
    found = [cells[kind] for kind in kinds]
    return Area(cells=len(found), latches=sum(cell.latch is not None for cell in found),
                flip_flops=sum(cell.flip_flop is not None for cell in found),
                clock_gates=sum(cell.is_clock_gate for cell in found),
                um2=round(sum(cell.area for cell in found), 1))


def tapeout(options: Options, **own: str) -> Summary:
    """Write the repository of a network to ``OUT/tinytapeout``, its program to ``OUT/program``.

    Parameters
    ----------
    options : Options
        ``samples`` of the emitted test are 2 and ``weight_bits`` 4 where not given.
    own : str
        :data:`OWN_OPTIONS`: parameters of :func:`write`.

    Raises
    ------
    UserError
        As :func:`write`, if the network cannot be compiled, or for a target.
    """
    if options.target is not None:
        raise UserError(f"--target: Tiny Tapeout is made in sky130, not {options.target}")
    bits = None if options.net.is_dir() else options.weight_bits or _WEIGHT_BITS
    job = resolve(dataclasses.replace(options, samples=options.samples or _SAMPLES,
                                      weight_bits=bits), "tapeout")
    config = dataclasses.replace(CONFIG, tiers=(max(2, bits or _WEIGHT_BITS),))
    job = dataclasses.replace(job, target=dataclasses.replace(job.target, config=config, most=MOST))
    with workspace(job.out, job.settings):
        program = _program(job)
        out = job.out / "tinytapeout"
        spikes = job.data(program).encoded(program, 0, job.samples)[:job.samples]
        with progress.step(f"writing {out}"):
            result = write(program, spikes, out, native=job.options.native_tools,
                           notice=progress.say, **own)
    return Summary(result=result, path=out)


def _program(job: Job) -> Program:
    """The program of `job`, compiled or copied to ``OUT/program``."""
    folder = job.out / "program"
    if job.program_folder is None:
        with progress.step(f"compiling {job.source}"):
            program = compile_for(job, job.target.config).program
        with replaced_folder(folder) as partial:
            program.save(partial)
        return program
    program = load_program(job.program_folder)
    if folder.resolve() != job.program_folder.resolve():
        with replaced_folder(folder) as partial:
            shutil.copytree(job.program_folder, partial, dirs_exist_ok=True)
    return program


def write(program: Program, spikes: np.ndarray, out: pathlib.Path, *, author: str = "Lamina",
          name: str | None = None, tiles: str | None = None, shuttle: str = SHUTTLE,
          native: bool = False, notice: tools.Notice | None = None) -> dict:
    """Write the repository `out`, complete or not at all; the same input gives the same bytes.

    Parameters
    ----------
    program : Program
        Every layer reports in the test, whatever it does in the program.
    spikes : uint8 array (N, T, axons)
        Samples that the emitted test runs.
    out : pathlib.Path
        Replaced as a whole.
    author : str
    name : str, optional
        The top module is ``tt_um_NAME``, unique on the shuttle; ``lamina_`` and the name of the
        program unless given.
    tiles : str, optional
        One of :data:`TILES`; the fewest that do unless given.
    shuttle : str
    native : bool
        Yosys of the machine instead of the pinned build.
    notice : callable, optional
        Called with a sentence when a first call takes long.

    Returns
    -------
    dict
        What ``tapeout.json`` holds: ``top``, ``tiles``, ``density``, ``area`` and ``config``.

    Raises
    ------
    UserError
        If the program does not fit, a name or a number of tiles is none, or a tool is missing.
    """
    if tiles not in (None, *TILES):
        raise UserError(f"--tiles must be one of {', '.join(TILES)}, not {tiles!r}")
    program = reduced(program)
    config = fitted(program)
    top = f"tt_um_{_identifier(name or f'lamina_{program.name}')}"
    out.parent.mkdir(parents=True, exist_ok=True)
    with replaced_folder(out) as folder:
        verilog = convert(TinyTapeout(config), top, native=native, notice=notice,
                          platform=Latches(), initial=False)
        area = measured(verilog, top, folder, native=native, notice=notice)
        tiles = tiles or smallest_tiles(area)
        facts = {"top": top, "tiles": tiles, "density": round(area.density(tiles), 3),
                 "area": dataclasses.asdict(area), "config": json.loads(config.to_json())}
        _write_texts(folder, {"tapeout.json": json.dumps(facts, indent=1) + "\n",
                              f"src/{top}.v": verilog,
                              "test/cells.v": cell_models(read_cells(find_library(),
                                                                     [CLOCK_GATE, LATCH])),
                              "test/vectors.json": _vectors(program, config, spikes),
                              **_rendered(program, config, facts, author, shuttle)})
    return facts


def _identifier(text: str) -> str:
    """`text` as a part of a Verilog name, in lower case."""
    found = re.sub(r"\W+", "_", text.lower(), flags=re.ASCII).strip("_")
    if not found:
        raise UserError(f"--name must hold letters or digits, not {text!r}")
    return found


def _write_texts(folder: pathlib.Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _rendered(program: Program, config: HardwareConfig, facts: dict, author: str, shuttle: str
              ) -> dict[str, str]:
    """Files that come from templates, by their names in the repository."""
    templates = importlib.resources.files("lamina.flows.tapeout") / "templates" / "tinytapeout"
    environment = jinja2.Environment(
        variable_start_string="[[", variable_end_string="]]", undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, autoescape=False)
    sizes = "-".join(map(str, (program.axons, *(layer.neurons for layer in program.layers))))
    pins = [f"{group}[{bit}]" for group in ("ui", "uo", "uio") for bit in range(8)]
    values = {
        **facts, "title": f"Lamina spiking network {sizes}", "author": author, "shuttle": shuttle,
        "description": f"Programmable core of {config.neurons} spiking neurons with "
                       f"{config.weight_bits} bit weights, loaded over SPI",
        "sizes": sizes, "program": program, "hardware": config, "clock_hz": CLOCK_HZ,
        "clock_ns": round(1e9 / CLOCK_HZ), "sck_hz": CLOCK_HZ // 8, "busy": int(LinkStatus.BUSY),
        "layers_register": int(Register.LAYERS), "placement_density": round(100 * DENSITY + 5),
        "pinout": {pin: PINOUT.get(pin, "") for pin in pins}}
    return {name: environment.from_string((templates / source).read_text()).render(values)
            for name, source in _FILES.items()}


def _vectors(program: Program, config: HardwareConfig, spikes: np.ndarray) -> str:
    """What the emitted test loads, sends and expects, as JSON."""
    layers = tuple(dataclasses.replace(layer, report=True) for layer in program.layers)
    program = dataclasses.replace(program, layers=layers)
    golden = run(program, spikes, config.tiers, trace=True)
    placement = place(program, config.lanes, len(config.tiers))
    lines = np.zeros((*spikes.shape[:2], config.axons), dtype=np.uint8)
    lines[..., placement.input_axons] = spikes
    samples = []
    for index in range(len(spikes)):
        events = [[unit for placed, fired in zip(placement.layers, golden.layer_spikes, strict=True)
                   for unit in placed.units[np.flatnonzero(fired[index, step])].tolist()]
                  for step in range(program.timesteps)]
        samples.append({"spikes": [np.flatnonzero(step).tolist() for step in lines[index]],
                        "events": events,
                        "membranes": _membranes(golden, placement, config, index)})
    content = {"version": PROTOCOL_VERSION, "fingerprint": config.fingerprint,
               "window": config.window, "payload_bytes": config.payload_bytes,
               "reply_words": config.reply_words, "axons": config.axons,
               "state_space": int(Space.STATE),
               "program": [[int(space), int(address), np.asarray(words).tolist()]
                           for space, address, words in memory_image(program, config)],
               "samples": samples}
    return json.dumps(content, separators=(",", ":")) + "\n"


def _membranes(golden: Trace, placement: Placement, config: HardwareConfig, sample: int
               ) -> list[list]:
    """Of each layer the first address, and mask and value of the words of its membranes."""
    found = []
    for final, placed in zip(golden.final_membranes, placement.layers, strict=True):
        first = int(placed.units[0]) * config.slot_chunks
        words = [[0, 0] for _ in range((int(placed.units[-1]) + 1) * config.slot_chunks - first)]
        for unit, value in zip(placed.units.tolist(), final[sample].tolist(), strict=True):
            for chunk in range(config.slot_chunks):
                mask = (1 << max(0, min(16, config.state_bits - 16 * chunk))) - 1
                words[unit * config.slot_chunks + chunk - first] = [mask,
                                                                    value >> 16 * chunk & mask]
        found.append([first, words])
    return found
