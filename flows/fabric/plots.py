"""The picture of a network on a mesh: what is on each tile, how busy it is, which links carry."""

from __future__ import annotations

from typing import BinaryIO

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lamina.flows.report.plots import GRID, INK, MUTED, png
from lamina.models.fabric.config import MeshConfig, Port

__all__ = ["draw_mesh"]

_BUSY, _LOAD = colormaps["Blues"], colormaps["Oranges"]
_DEAD = "#b03030"
_SIDE, _APART = 0.56, 0.07
"""Of a tile, and of the two directions of a link, with tiles 1 apart."""
_MOST_LINES = 4


def draw_mesh(mesh: dict, stream: BinaryIO) -> None:
    """Draw the tiles plane by plane, links as arrows as dark and wide as their flits, as a PNG.

    Links between planes are numbers in the upper corners of the tile that they leave. What is dead
    is crossed out; lines are where a chip ends.

    Parameters
    ----------
    mesh : dict
        Of :func:`lamina.flows.fabric.verify.mesh_block`.
    stream : binary file
    """
    config = MeshConfig(size=tuple(mesh["size"]), chips=tuple(mesh.get("chips", ())))
    width, height, planes = (*config.size, 1, 1)[:3]
    png(lambda figure: _draw(figure, config, mesh), stream,
        width=max(4.2, 1.7 * width) * planes + 0.8, height=1.7 * height + 1.2)


def _draw(figure: Figure, config: MeshConfig, mesh: dict) -> None:
    width, height, planes = (*config.size, 1, 1)[:3]
    panels = figure.subplots(1, planes, squeeze=False)[0]
    most = max([each["flits"] for each in mesh["links"]], default=0.0) or 1.0
    for plane, axes in enumerate(panels):
        _prepare(axes, width, height, f"z = {plane}" if planes > 1 else "")
        _draw_links(axes, config, mesh, plane, most)
        _draw_dead_links(axes, config, mesh, plane)
        _draw_tiles(axes, config, mesh, plane)
        _draw_chips(axes, config)
    busiest = max(each["busy"] for each in mesh["tiles"])
    figure.colorbar(ScalarMappable(Normalize(0, busiest), _BUSY), ax=list(panels), shrink=0.8,
                    label="share of cycles in which the core works")
    figure.suptitle(f"{'x'.join(map(str, mesh['size']))} tiles: {mesh['flits']:.0f} flits and "
                    f"{mesh['flit_hops']:.0f} hops per timestep expected, up to {most:.0f} on a "
                    f"link", fontsize=9, color=INK)


def _prepare(axes: Axes, width: int, height: int, title: str) -> None:
    axes.set(xlim=(-0.5, width - 0.5), ylim=(-0.5, height - 0.5), aspect="equal")
    axes.set_title(title, fontsize=9, color=MUTED)
    axes.axis("off")


def _place(config: MeshConfig, tile: int) -> tuple[int, int, int]:
    x, y, z = (*config.coordinates(tile), 0, 0)[:3]
    return int(x), int(y), int(z)


def _draw_tiles(axes: Axes, config: MeshConfig, mesh: dict, plane: int) -> None:
    """Squares with the number of the tile and its neurons; idle ones are empty."""
    busiest = max(each["busy"] for each in mesh["tiles"]) or 1.0
    found = {each["tile"]: each for each in mesh["tiles"]}
    for tile in range(config.tiles):
        x, y, z = _place(config, tile)
        if z != plane:
            continue
        if tile in mesh["dead_tiles"]:
            axes.add_patch(_square(x, y, "white"))
            _cross(axes, x, y, _SIDE / 2)
            axes.text(x, y + _SIDE / 3, f"{tile}  dead", ha="center", va="center", fontsize=6,
                      color=_DEAD)
            continue
        each = found.get(tile)
        share = each["busy"] / busiest if each else 0.0
        axes.add_patch(_square(x, y, _BUSY(share) if each else "white"))
        lines = list(map(_described, each["parts"])) if each else ["idle"]
        if len(lines) > _MOST_LINES:
            lines = [*lines[:_MOST_LINES - 1], f"and {len(lines) - _MOST_LINES + 1} more"]
        busy = f"{100 * each['busy']:.0f} %" if each else ""
        axes.text(x, y, "\n".join([f"{tile}  {busy}".strip(), *lines]), ha="center", va="center",
                  fontsize=6, color="white" if share > 0.6 else INK)


def _draw_dead_links(axes: Axes, config: MeshConfig, mesh: dict, plane: int) -> None:
    for first, second in mesh["dead_links"]:
        (x, y, z), (right, top, above) = _place(config, first), _place(config, second)
        if plane in (z, above) and z != above:
            _note(axes, x, y, 1 if plane == z else -1, "dead", _DEAD)
        elif z == plane:
            _cross(axes, (x + right) / 2, (y + top) / 2, 0.07)


def _draw_chips(axes: Axes, config: MeshConfig) -> None:
    """Where chips end along x and y."""
    for axis, (tiles, parts) in enumerate(zip(config.size[:2], config.chips, strict=False)):
        draw = axes.axvline if axis == 0 else axes.axhline
        for part in range(1, parts):
            draw(part * tiles // parts - 0.5, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))


def _cross(axes: Axes, x: float, y: float, reach: float) -> None:
    for way in (-1, 1):
        axes.plot([x - reach, x + reach], [y - way * reach, y + way * reach], color=_DEAD,
                  linewidth=1.2)


def _note(axes: Axes, x: int, y: int, step: int, text: str, color: str) -> None:
    """What a link to the plane above or below carries."""
    axes.text(x + step * (_SIDE / 2 - 0.03), y + _SIDE / 2 - 0.03,
              f"{'up' if step > 0 else 'down'} {text}", fontsize=5.5, color=color, zorder=4,
              ha="right" if step > 0 else "left", va="top",
              bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85})


def _described(part: list) -> str:
    """Name and neurons of a part, and the axons of one that is cut by them."""
    name, first, count, *axons = part
    cut = f", axons {axons[0]}..{axons[1]}" if axons else ""
    return f"{name} {first}..{first + count - 1}{cut}"


def _square(x: int, y: int, color: object) -> Rectangle:
    return Rectangle((x - _SIDE / 2, y - _SIDE / 2), _SIDE, _SIDE, facecolor=color,
                     edgecolor=MUTED, linewidth=0.8)


def _draw_links(axes: Axes, config: MeshConfig, mesh: dict, plane: int, most: float) -> None:
    for each in mesh["links"]:
        port = Port[each["port"].upper()]
        x, y, z = _place(config, each["tile"])
        if z != plane:
            continue
        if port.axis == 2:
            _note(axes, x, y, port.step, f"{each['flits']:.0f}", INK)
            continue
        share, step = each["flits"] / most, port.step
        ahead = (step, 0) if port.axis == 0 else (0, step)
        aside = (ahead[1] * _APART, -ahead[0] * _APART)
        start = (x + ahead[0] * _SIDE / 2 + aside[0], y + ahead[1] * _SIDE / 2 + aside[1])
        end = (start[0] + ahead[0] * (1 - _SIDE), start[1] + ahead[1] * (1 - _SIDE))
        axes.annotate("", end, start, arrowprops={
            "arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "linewidth": 0.6 + 3 * share,
            "mutation_scale": 8 + 10 * share,
            "color": _LOAD(0.25 + 0.75 * share) if each["flits"] else GRID})
