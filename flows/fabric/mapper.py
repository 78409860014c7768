"""Which tile holds which neurons: like loads, then short ways for many spikes."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterator

import numpy as np

from lamina.flows.errors import UserError
from lamina.flows.fabric.energy import mesh_energy
from lamina.flows.fabric.faults import HOST_TILE
from lamina.models.config import HardwareConfig
from lamina.models.fabric.config import FabricConfig, MeshConfig
from lamina.models.fabric.division import divide
from lamina.models.fabric.flits import at_routers
from lamina.models.fabric.mapping import HOST, FabricProgram, Part, assemble
from lamina.models.fabric.routes import Faults, hops, link_loads, order_routes, routes_around
from lamina.models.network import run, sops_per_sample
from lamina.models.placement import grown, misfits
from lamina.models.program import Program
from lamina.models.source import INPUT

__all__ = ["AUTO", "ONE_CORE", "Activity", "Mapped", "map_network", "map_smallest",
           "mapped_as", "parse_chips", "parse_mesh", "tile_core"]

AUTO, ONE_CORE = "auto", "1x1x1"
"""Meshes by name: the smallest that holds the network; none."""

_TEXT = r"[1-9]\d*(x[1-9]\d*){0,2}"
_SIZES = ((1,), (2,), (2, 2), (4, 2), (4, 4), (8, 4), (8, 8))
_STARTS = 8
"""Random places from which the search for short ways begins."""


@dataclasses.dataclass(frozen=True, eq=False)
class Activity:
    """Mean spikes per timestep.

    Parameters
    ----------
    inputs : float array (axons,)
    layers : tuple of float arrays (neurons,)
    sops : float
        Synaptic operations per timestep, of all layers.
    """

    inputs: np.ndarray
    layers: tuple[np.ndarray, ...]
    sops: float

    @classmethod
    def measured(cls, program: Program, spikes: np.ndarray, tiers: tuple[int, ...]) -> Activity:
        """Of `program` over samples, uint8 (N, T, axons)."""
        trace = run(program, spikes, tiers, trace=True)
        return cls(spikes.mean(axis=(0, 1)),
                   tuple(layer.mean(axis=(0, 1)) for layer in trace.layer_spikes),
                   float(sops_per_sample(program, trace).mean()) / program.timesteps)

    def into(self, program: Program) -> np.ndarray:
        """Spikes into each layer, float (layers,); a window counts each spike once."""
        totals = [float(layer.sum()) for layer in self.layers]
        return np.array([sum(
            float(self.inputs[source.first:source.first + source.units].sum())
            if source.layer == INPUT else totals[source.layer] for source in layer.sources)
            for layer in program.layers])


@dataclasses.dataclass(frozen=True, eq=False)
class Mapped:
    """A network on a mesh.

    Parameters
    ----------
    fabric : FabricProgram
    traffic : float array (tiles + 1, tiles + 1)
        Flits per timestep from row to column; the last of each is the host.
    hops : int array (tiles + 1, tiles + 1)
        Links between them.
    faults : Faults
    routes : int array (tiles, tiles)
        Port by router and destination.
    sops : float
        Synaptic operations per timestep.
    """

    fabric: FabricProgram
    traffic: np.ndarray
    hops: np.ndarray
    faults: Faults
    routes: np.ndarray
    sops: float

    @property
    def link_flits(self) -> dict[tuple[int, int], float]:
        """Flits per timestep over each working link, by the tile that it leaves and the port there.

        The host's go into and come out of the router of tile 0.
        """
        loads = link_loads(self.fabric.mesh, self.routes, at_routers(self.traffic))
        return {(tile, port): flits for (tile, port), flits in loads.items()
                if port in self.faults.neighbours(tile)}

    @property
    def flit_hops(self) -> float:
        """Links crossed by all flits of a timestep."""
        return float((self.traffic * self.hops).sum())

    def energy(self, config: FabricConfig, cycles: float) -> dict[str, object]:
        """Of a timestep that takes `cycles`: see :func:`lamina.flows.fabric.energy.mesh_energy`."""
        return mesh_energy(config.core, config.mesh, sops=self.sops, hops=self.flit_hops,
                           routed=float(at_routers(self.traffic).sum()), cycles=cycles)


def parse_mesh(text: str) -> tuple[int, ...]:
    """Tiles along x, y, z of ``2x2x1``.

    Raises
    ------
    UserError
        If the text is no mesh.
    """
    if not re.fullmatch(_TEXT, text):
        raise UserError(f"--mesh must be like 4, 4x2 or 2x2x2, or auto, not {text!r}")
    size = tuple(map(int, text.split("x")))
    try:
        MeshConfig(size=size)
    except ValueError as error:
        raise UserError(f"--mesh {text}: {error}") from error
    return size


def parse_chips(size: tuple[int, ...], text: str | None, link_bits: int | None
                ) -> dict[str, object]:
    """Chips of a mesh of `size`, and the width of the links between them, for its configuration.

    Parameters
    ----------
    size : tuple of int
    text : str or None
        Chips along x, y, z, as :func:`parse_mesh` takes tiles; None: one chip.
    link_bits : int or None
        Data wires in each direction; None: as many as there are by default.

    Raises
    ------
    UserError
        If the text is none, the chips do not divide the tiles, there is no such link, or nothing
        that could have one.
    """
    if text is None:
        if link_bits is not None:
            raise UserError("--link-bits needs --chips, one chip has no such links")
        return {}
    if not re.fullmatch(_TEXT, text):
        raise UserError(f"--chips must be like 2, 2x1 or 2x2x2, not {text!r}")
    found = {"chips": tuple(map(int, text.split("x")))}
    try:
        MeshConfig(size=size, **found)
    except ValueError as error:
        raise UserError(f"--chips {text}: {error}") from error
    return found if link_bits is None else found | {"link_bits": link_bits}


def tile_core(fabric: FabricProgram, config: HardwareConfig, most: dict[str, int]
              ) -> HardwareConfig:
    """`config`, grown as far as the programs of all tiles need: every tile has the same core."""
    for tile in fabric.tiles.values():
        config = grown(tile.program, config, most)
    return config


def map_smallest(program: Program, config: HardwareConfig, most: dict[str, int],
                 activity: Activity, *, seed: int = 0) -> Mapped:
    """Map `program` to the smallest of the usual meshes, up to 8x8, whose tiles hold it.

    Parameters
    ----------
    program, config, most, activity, seed
        See :func:`map_network`.

    Raises
    ------
    UserError
        If none does, naming what is short on the largest.
    """
    *smaller, largest = (MeshConfig(size=size) for size in _SIZES)
    for mesh in smaller:
        with contextlib.suppress(UserError):
            return map_network(program, mesh, config, activity, most, seed=seed)
    return map_network(program, largest, config, activity, most, seed=seed)


def map_network(program: Program, mesh: MeshConfig, config: HardwareConfig, activity: Activity,
                most: dict[str, int] | None = None, *, seed: int = 0,
                faults: Faults | None = None) -> Mapped:
    """Divide `program` over the tiles of `mesh` and give every share its place.

    Loads are balanced by the spikes of `activity`; places are those with the least flits times
    links that a quadratic assignment finds from several starts. The host is beside tile 0. A layer
    with more axons than a core may have is cut by axons.

    Parameters
    ----------
    program : Program
    mesh : MeshConfig
    config : HardwareConfig
        Of every core.
    most : dict of str to int or None
        How far it may grow: see :func:`lamina.models.placement.grown`.
    activity : Activity
    seed : int
    faults : Faults or None
        Dead tiles get nothing, and ways go around what is dead; with ``routing="table"`` alone.

    Raises
    ------
    UserError
        If a share does not fit a core, naming what is short, or a layer cannot be cut by axons.
    """
    faults = faults or Faults(mesh)
    alive = np.array(faults.alive)
    axons = max(config.axons, (most or {}).get("axons", 0))
    with _refusals(mesh):
        shares = divide(program, len(alive), config.lanes, activity.into(program), axons)
        draft = assemble(program, mesh, dict(zip(faults.alive, shares, strict=False)),
                         config.lanes)
    _check_fit(draft, faults, config, most or {})
    routes = _routes(mesh, faults)
    distances = _distances(mesh, routes)
    ends = np.ix_([*alive, mesh.tiles], [*alive, mesh.tiles])
    places = _short_ways(_traffic(draft, activity)[ends], distances[ends], seed)
    moved = dict(zip(alive.tolist(), alive[places].tolist(), strict=True))
    fabric = assemble(program, mesh, {moved[number]: tile.parts
                                      for number, tile in draft.tiles.items()}, config.lanes)
    return Mapped(fabric, _traffic(fabric, activity), distances, faults, routes, activity.sops)


@contextlib.contextmanager
def _refusals(mesh: MeshConfig) -> Iterator[None]:
    """Tell the user what division and assembly refuse."""
    try:
        yield
    except ValueError as error:
        raise UserError(f"--mesh {'x'.join(map(str, mesh.size))}: {error}") from error


def mapped_as(fabric: FabricProgram, activity: Activity, faults: Faults | None = None) -> Mapped:
    """A network whose places were chosen elsewhere, with its traffic."""
    faults = faults or Faults(fabric.mesh)
    routes = _routes(fabric.mesh, faults)
    return Mapped(fabric, _traffic(fabric, activity), _distances(fabric.mesh, routes), faults,
                  routes, activity.sops)


def _routes(mesh: MeshConfig, faults: Faults) -> np.ndarray:
    """The ways of a mesh; what is dead can be avoided by tables alone."""
    if mesh.routing == "table":
        return routes_around(faults)
    if faults.links or faults.tiles:
        raise ValueError('routing must be "table" around dead links and tiles, not "order"')
    return order_routes(mesh)


def _distances(mesh: MeshConfig, routes: np.ndarray) -> np.ndarray:
    """Links between tiles, and the host in the last row and column."""
    distances = np.zeros((mesh.tiles + 1, mesh.tiles + 1), dtype=np.int64)
    distances[:-1, :-1] = hops(mesh, routes)
    distances[-1, :-1] = distances[HOST_TILE, :-1]
    distances[:-1, -1] = distances[:-1, HOST_TILE]
    return distances


def _check_fit(fabric: FabricProgram, faults: Faults, config: HardwareConfig,
               most: dict[str, int]) -> None:
    for tile in fabric.tiles.values():
        short = misfits(tile.program, grown(tile.program, config, most))
        if short:
            size = "x".join(map(str, fabric.mesh.size))
            alive = f" with {len(faults.alive)} working tiles" if faults.tiles else ""
            raise UserError(f"--mesh {size}{alive} is too small: "
                            f"{_named(fabric.program, tile.parts)} {'; '.join(short)}")


def _named(program: Program, parts: tuple[Part, ...]) -> str:
    names = []
    for part in parts:
        layer = program.layers[part.layer]
        cut = f"[{part.first}..{part.first + part.neurons - 1}]"
        names.append(layer.name + cut * (part.neurons != layer.neurons)
                     + f" from axon {part.first_axon}" * (part.is_partial or part.first_axon > 0))
    return ", ".join(names)


def _traffic(fabric: FabricProgram, activity: Activity) -> np.ndarray:
    """Spikes, sums, ticks and credits per timestep; layers that report send to the host too."""
    tiles = fabric.mesh.tiles
    traffic = np.zeros((tiles + 1, tiles + 1))
    for number, tile in fabric.tiles.items():
        for channel in tile.channels:
            traffic[channel.source, number] += 1
            traffic[number, channel.source] += 1
        for (layer, first, units), _, _ in tile.lines:
            if layer == INPUT:
                traffic[HOST, number] += activity.inputs[first:first + units].sum()
                continue
            for source, other in fabric.tiles.items():
                traffic[source, number] += sum(
                    activity.layers[layer][max(first, part.first):min(
                        first + units, part.first + part.neurons)].sum()
                    for part in other.parts if part.layer == layer and not part.is_partial)
        for link in fabric.links.get(number, ()):
            if fabric.tiles[link.target].channels[link.channel].partial:
                traffic[number, link.target] += len(link.units)
        for part in tile.parts:
            if part.is_partial:
                continue
            if fabric.program.layers[part.layer].report or (
                    part.layer == len(fabric.program.layers) - 1):
                spikes = activity.layers[part.layer][part.first:part.first + part.neurons]
                traffic[number, HOST] += 1 + spikes.sum()
    return traffic


def _short_ways(traffic: np.ndarray, distances: np.ndarray, seed: int) -> np.ndarray:
    """Place of each share, int (tiles,); the host stays."""
    from scipy.optimize import quadratic_assignment

    host, rng = len(traffic) - 1, np.random.default_rng(seed)
    best, least = np.arange(host), float((traffic * distances).sum())
    for _ in range(_STARTS if host > 1 else 0):
        found = quadratic_assignment(
            traffic, distances, method="2opt",
            options={"partial_match": np.array([[host, host]]), "rng": rng})
        if found.fun < least - 1e-9:
            best, least = found.col_ind[:host], float(found.fun)
    return best
