"""Where the memory macros of a core lie in the user area of Caravel."""

from __future__ import annotations

import dataclasses
import itertools
import math
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import BinaryIO

from amaranth.hdl import Elaboratable, Fragment, Instance, Value
from amaranth.lib.memory import Memory
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lamina.flows.errors import UserError
from lamina.flows.report.plots import INK, MUTED, PALETTE, png
from lamina.models.config import HardwareConfig
from lamina.rtl.core import Core
from lamina.rtl.openram import BIT_AREA, MACRO_HALO, MACROS, GatedMemory, OpenRam

__all__ = ["AREA_UM", "CORE_UM", "GRID_UM", "MOST_SHARE", "SPACING_UM", "Floorplan", "Memories",
           "PlacedMacro", "chain_config", "draw_floorplan", "largest_hidden", "lay_out",
           "memories_of", "read_sizes", "violations"]

AREA_UM = (2920.0, 3520.0)
"""Width and height of the user area of Caravel [um]."""
SPACING_UM = 2 * MACRO_HALO
"""Between two macros, and from them to the edge, at least [um]."""
MOST_SHARE = 0.6
"""Of the area that macros may take."""
GRID_UM = (0.46, 2.72)
"""Width of a site and height of a row of the standard cells: macros begin at multiples of them."""
CORE_UM = (5.52, 10.88)
"""Lower left corner of the rows."""
STRAP_PITCH_UM = 180.0
"""Of the straps of a supply on met5, which run across the macros."""
_DENSITY = 0.6
_LOGIC_UM2, _LANE_UM2 = 260_000, 6_000
_ORIENTATIONS = ("N", "S", "FN", "FS")
_TIER = re.compile(r"tier(\d+)$")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Memories:
    """What a design keeps its words in.

    Parameters
    ----------
    macros : dict of tuple of str to str
        Kind of each macro by its path: names of the blocks around it, then its own, as
        :class:`lamina.flows.sky130.netlist.Instance` has them (without the numbers that tell equal
        names apart).
    flip_flop_bits : int
        Bits of the memories that are no macros.
    lanes : int
        Of the core.
    """

    macros: dict[tuple[str, ...], str]
    flip_flop_bits: int
    lanes: int

    @property
    def cells_um2(self) -> float:
        """Estimated area of the standard cells [um2]; above what was measured of whole cores."""
        return (_LOGIC_UM2 + _LANE_UM2 * self.lanes) + BIT_AREA * self.flip_flop_bits


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlacedMacro:
    """One macro: `kind`, `path`, lower left corner, size [um], orientation as LEF/DEF have it."""

    path: tuple[str, ...]
    kind: str
    x: float
    y: float
    width: float
    height: float
    orientation: str = "N"

    @property
    def tier(self) -> int | None:
        """Of the weight memory; None for other memories."""
        found = [_TIER.match(part) for part in self.path]
        return next((int(match[1]) for match in found if match), None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Floorplan:
    """All macros of a core in the user area.

    Parameters
    ----------
    macros : tuple of PlacedMacro
    memories : Memories
    """

    macros: tuple[PlacedMacro, ...]
    memories: Memories

    @property
    def macros_um2(self) -> float:
        """Area of the macros alone [um2]."""
        return sum(macro.width * macro.height for macro in self.macros)

    @property
    def share(self) -> float:
        """Of the user area that macros take, 0..1."""
        return self.macros_um2 / math.prod(AREA_UM)

    @property
    def free_um2(self) -> float:
        """Area beside the macros and the space around them [um2]."""
        return math.prod(AREA_UM) - sum(
            (macro.width + SPACING_UM) * (macro.height + SPACING_UM) for macro in self.macros)

    def to_dict(self) -> dict:
        """JSON-ready summary."""
        return {"macros": len(self.macros), "macros_mm2": round(self.macros_um2 / 1e6, 4),
                "area_mm2": round(math.prod(AREA_UM) / 1e6, 4), "share": round(self.share, 4),
                "most_share": MOST_SHARE, "free_mm2": round(self.free_um2 / 1e6, 4),
                "cells_mm2_estimated": round(self.memories.cells_um2 / 1e6, 4),
                "flip_flop_bits": self.memories.flip_flop_bits}


class _Counting(OpenRam):
    """Counts the bits of the memories that become flip-flops."""

    def __init__(self):
        self.bits = 0

    def get_memory(self, memory: Memory) -> Elaboratable:
        found = super().get_memory(memory)
        if isinstance(found, GatedMemory):
            self.bits += memory.depth * Value.cast(memory.read_ports[0].data).shape().width
        return found


def memories_of(config: HardwareConfig, component: Elaboratable | None = None) -> Memories:
    """Macros and memories in flip-flops of the core of `config`, or of `component` around it.

    They are those of the component itself, elaborated for :class:`lamina.rtl.openram.OpenRam`.
    """
    platform = _Counting()
    top = Fragment.get(Core(config) if component is None else component, platform)
    macros = {path: fragment.type for path, fragment in _walk(top, ())
              if isinstance(fragment, Instance) and fragment.type in MACROS.values()}
    return Memories(macros=macros, flip_flop_bits=platform.bits, lanes=config.lanes)


def _walk(fragment: Fragment, path: tuple[str, ...]
          ) -> Iterator[tuple[tuple[str, ...], Fragment]]:
    yield path, fragment
    for inner, name, _ in fragment.subfragments:
        yield from _walk(inner, (*path, name))


def read_sizes(lefs: dict[str, pathlib.Path]) -> dict[str, tuple[float, float]]:
    """Width and height [um] of each macro, from its LEF file.

    Raises
    ------
    UserError
        If a file does not say.
    """
    sizes = {}
    for name, path in lefs.items():
        found = re.search(rf"MACRO {name}\b.*?\bSIZE\s+([\d.]+)\s+BY\s+([\d.]+)",
                          path.read_text(), re.DOTALL)
        if found is None:
            raise UserError(f"{path.name}: must say the SIZE of {name}")
        sizes[name] = (float(found[1]), float(found[2]))
    return sizes


def lay_out(memories: Memories, sizes: dict[str, tuple[float, float]]) -> Floorplan:
    """Place the macros in columns from both sides, tiers one after the other, cells between them.

    Columns are as few as will do, and about equally full; macros of a column share the space that
    is left, columns are up to twice :data:`SPACING_UM` apart.

    Raises
    ------
    UserError
        If the macros exceed :data:`MOST_SHARE` of the area, or do not fit beside one another, or
        leave too little room for the cells: says by how much.
    """
    kinds = sorted(memories.macros.items(), key=lambda item: (-sizes[item[1]][0], item[0]))
    plan = Floorplan(macros=tuple(
        PlacedMacro(path=path, kind=kind, x=0.0, y=0.0, width=sizes[kind][0],
                    height=sizes[kind][1]) for path, kind in kinds), memories=memories)
    if plan.share > MOST_SHARE:
        raise UserError(f"{_size(plan)}, {100 * (plan.share - MOST_SHARE):.1f} points above the "
                        f"{100 * MOST_SHARE:.0f} % that leave room for cells and wires")
    columns = _columns(plan.macros)
    width = sum(column[0].width + SPACING_UM for column in columns) + SPACING_UM
    if width > AREA_UM[0]:
        raise UserError(f"{_size(plan)}, and take {width:.0f} um in columns, "
                        f"{width - AREA_UM[0]:.0f} um more than there are")
    needed = memories.cells_um2 / _DENSITY
    if needed > plan.free_um2:
        raise UserError(f"{_size(plan)}, and cells need {needed / 1e6:.2f} mm2, "
                        f"{(needed - plan.free_um2) / 1e6:.2f} mm2 more than is left")
    return dataclasses.replace(plan, macros=tuple(_placed(columns)))


def _size(plan: Floorplan) -> str:
    return (f"{len(plan.macros)} macros of {plan.macros_um2 / 1e6:.2f} mm2 are "
            f"{100 * plan.share:.1f} % of the {math.prod(AREA_UM) / 1e6:.2f} mm2 of the user area")


def _columns(macros: tuple[PlacedMacro, ...]) -> list[list[PlacedMacro]]:
    """Macros by column: as few as hold them one after the other, then equally many in each."""
    columns = []
    for macro in macros:
        if not columns or _tall([*columns[-1], macro]):
            columns.append([])
        columns[-1].append(macro)
    ends = [len(macros) * part // len(columns) for part in range(len(columns) + 1)]
    even = [list(macros[first:end]) for first, end in itertools.pairwise(ends)]
    return columns if any(map(_tall, even)) else even


def _tall(column: list[PlacedMacro]) -> bool:
    return SPACING_UM + sum(macro.height + SPACING_UM for macro in column) > AREA_UM[1]


def _placed(columns: list[list[PlacedMacro]]) -> Iterator[PlacedMacro]:
    """Half of the columns from the left edge, the others from the right one."""
    slack = AREA_UM[0] - sum(column[0].width for column in columns)
    space = min(2.0 * SPACING_UM, slack / (len(columns) + 1))
    left, right = space, AREA_UM[0]
    lefts = {}
    for number in range(-(-len(columns) // 2)):
        lefts[number] = left
        left += columns[number][0].width + space
    for number in reversed(range(len(lefts), len(columns))):
        right -= columns[number][0].width + space
        lefts[number] = right
    for number, column in enumerate(columns):
        gap = (AREA_UM[1] - sum(macro.height for macro in column)) / (len(column) + 1)
        bottom = gap
        for macro in column:
            yield dataclasses.replace(macro, x=_snapped(lefts[number], 0),
                                      y=_snapped(bottom, 1))
            bottom += macro.height + gap


def _snapped(value: float, axis: int) -> float:
    places = math.floor((value - CORE_UM[axis]) / GRID_UM[axis])
    return round(CORE_UM[axis] + places * GRID_UM[axis], 3)


def violations(plan: Floorplan, sizes: dict[str, tuple[float, float]]) -> list[str]:
    """Why `plan` is not legal: one sentence per broken rule, or none.

    It knows nothing of how macros were placed: sizes are those of `sizes`, every pair is compared.
    """
    found = []
    boxes = {macro.path: (macro.x, macro.y, macro.x + sizes[macro.kind][0],
                          macro.y + sizes[macro.kind][1]) for macro in plan.macros}
    if {macro.path: macro.kind for macro in plan.macros} != plan.memories.macros \
            or len(boxes) != len(plan.macros):
        found.append("macros must be those of the design, each once")
    for macro in plan.macros:
        name, box = "/".join(macro.path), boxes[macro.path]
        edges = (box[0], box[1], AREA_UM[0] - box[2], AREA_UM[1] - box[3])
        if min(edges) < SPACING_UM:
            found.append(f"{name} must keep {SPACING_UM:.0f} um from the edge, "
                         f"not {min(edges):.2f}")
        for value, first, step in zip(box, CORE_UM, GRID_UM, strict=False):
            if abs((value - first) / step - round((value - first) / step)) > 1e-6:
                found.append(f"{name} must begin on the grid of {step} um, not at {value}")
        if macro.orientation not in _ORIENTATIONS:
            found.append(f"{name} must not be turned, its met4 pins run up: {macro.orientation}")
        if box[3] - box[1] < 2 * STRAP_PITCH_UM:
            found.append(f"{name} must be crossed by two straps of its supply")
    for (one, first), (other, second) in itertools.combinations(boxes.items(), 2):
        apart = max(second[0] - first[2], first[0] - second[2],
                    second[1] - first[3], first[1] - second[3])
        if apart < SPACING_UM:
            found.append(f"{'/'.join(one)} and {'/'.join(other)} must be {SPACING_UM:.0f} um "
                         f"apart, not {apart:.2f}")
    taken = sum(sizes[macro.kind][0] * sizes[macro.kind][1] for macro in plan.macros)
    if taken > MOST_SHARE * AREA_UM[0] * AREA_UM[1]:
        found.append(f"macros must take {MOST_SHARE} of the area, not "
                     f"{taken / AREA_UM[0] / AREA_UM[1]:.3f}")
    return found


def chain_config(config: HardwareConfig, widths: tuple[int, ...]) -> HardwareConfig:
    """`config` with the memories that dense layers take.

    Parameters
    ----------
    config : HardwareConfig
        Lanes, tiers and widths of numbers.
    widths : tuple of int
        Inputs, then the neurons of each layer.

    Raises
    ------
    ValueError
        If a dimension is larger than a core can have.
    """
    rows = [-(-neurons // config.lanes) for neurons in widths[1:]]
    words = sum(axons * count for axons, count in zip(widths, rows, strict=False))
    groups = max(2, _power(sum(rows)))
    sized = dataclasses.replace(config, groups=groups, mask_rows=0, layers=_power(len(rows)),
                                axons=max(16, _power(max(widths[:-1])), groups * config.lanes))
    row = max(MACROS)
    return dataclasses.replace(sized, weight_words=-(-words // row) * row)


def _power(number: int) -> int:
    return 1 << (number - 1).bit_length()


def largest_hidden(inputs: int, outputs: int, config: HardwareConfig,
                   sizes: dict[str, tuple[float, float]],
                   design: Callable[[HardwareConfig], Elaboratable] = Core) -> int:
    """Most hidden neurons of ``inputs-H-outputs`` whose core fits; 0 if not even one does.

    Parameters
    ----------
    inputs, outputs : int
    config : HardwareConfig
        Lanes, tiers and widths of numbers.
    sizes : dict of str to pair of float
        Of :func:`read_sizes`.
    design : callable
        What is placed around a core of a configuration; the core alone unless given.
    """
    def fits(hidden: int) -> bool:
        try:
            chain = chain_config(config, (inputs, hidden, outputs))
            lay_out(memories_of(chain, design(chain)), sizes)
        except (UserError, ValueError):
            return False
        return True

    low, high = 0, 1
    while fits(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def draw_floorplan(plan: Floorplan, stream: BinaryIO) -> None:
    """Draw the user area with its macros, a colour for each tier of the weights, as a PNG."""
    png(lambda figure: _draw(figure, plan), stream, width=6.2, height=7.4)


def _draw(figure: Figure, plan: Floorplan) -> None:
    axes = figure.subplots()
    axes.set(xlim=(0, AREA_UM[0]), ylim=(0, AREA_UM[1]), aspect="equal", xlabel="um", ylabel="um")
    for macro in plan.macros:
        colour = MUTED if macro.tier is None else PALETTE[macro.tier % len(PALETTE)]
        axes.add_patch(Rectangle((macro.x, macro.y), macro.width, macro.height, facecolor=colour,
                                 edgecolor=INK, alpha=0.75))
        axes.text(macro.x + macro.width / 2, macro.y + macro.height / 2,
                  f"{'/'.join(macro.path[-3:])}\n{macro.orientation}", fontsize=6,
                  ha="center", va="center", color=INK)
    axes.set_title(f"{len(plan.macros)} macros, {plan.macros_um2 / 1e6:.2f} mm2, "
                   f"{100 * plan.share:.1f} % of the user area; cells about "
                   f"{plan.memories.cells_um2 / 1e6:.2f} mm2", fontsize=9, color=INK)
