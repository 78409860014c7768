"""Measured energies of the core on SkyWater 130, as shipped, and what they say of other cores."""

from __future__ import annotations

import dataclasses
import functools
import importlib.resources
import json
import math
import pathlib

import numpy as np

from lamina.flows.workspace import replaced_file
from lamina.models.check import check_one_of

__all__ = ["BOUNDS", "FIGURES", "ROUTER_FIGURES", "Measurement", "OperationEnergy",
           "RouterMeasurement", "keep", "keep_router", "measurements", "operation_energy",
           "router_measurement"]

FIGURES = pathlib.Path(str(importlib.resources.files("lamina.constraints"))) / "energy/sky130.json"
"""Measurements by configuration, e.g. ``16x8`` for lanes and bits of a weight."""
ROUTER_FIGURES = FIGURES.with_name("sky130_router.json")
"""Measurement of a router of the fabric."""
BOUNDS = ("low", "high")
"""Energy of an access to a macro: the library's for one edge of the clock, or for both."""
_MACRO_BITS = 32
_SHARED = ("banks", "leakage")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measurement:
    """What one configuration took on average; energies are per synaptic operation [pJ].

    An energy of macros is a pair: the library's for one edge of the clock per access, and for both.

    Parameters
    ----------
    lanes, weight_bits, state_bits, acc_bits : int
    tiers : tuple of int
        Bits of each.
    network : str
    samples, spikes_compared, membranes_compared : int
        Of the simulation after synthesis; all agreed with the golden model.
    cycles, sops, neuron_updates : float
        Per sample; cycles in which the core is at work.
    cells, flip_flops, clock_gates, macros : int
    cells_um2, macros_um2 : float
    memory : tuple of pair of float
        Of each tier.
    state : pair of float
        State memory, where it is in macros.
    lists : pair of float
        Spike lists, where they are in macros.
    banks : float
        Logic of the weight banks: address, clock enables, choice of the macro, fill.
    lanes_logic : float
        Accumulators, leak, threshold, and the register behind the state memory.
    control : float
        All other logic.
    clock : float
        Clock pins, clock gates, and the nets between them.
    cells_leakage, macros_leakage : float
    """

    lanes: int
    weight_bits: int
    state_bits: int
    acc_bits: int
    tiers: tuple[int, ...]
    network: str
    samples: int
    spikes_compared: int
    membranes_compared: int
    cycles: float
    sops: float
    neuron_updates: float
    cells: int
    flip_flops: int
    clock_gates: int
    macros: int
    cells_um2: float
    macros_um2: float
    memory: tuple[tuple[float, float], ...]
    state: tuple[float, float]
    lists: tuple[float, float]
    banks: float
    lanes_logic: float
    control: float
    clock: float
    cells_leakage: float
    macros_leakage: float

    @classmethod
    def of(cls, fields: dict) -> Measurement:
        """Inverse of :func:`dataclasses.asdict`, from JSON as well."""
        pairs = {name: tuple(fields[name]) for name in ("tiers", "state", "lists")}
        return cls(**{**fields, **pairs, "memory": tuple(map(tuple, fields["memory"]))})

    @property
    def slots_used(self) -> float:
        """Operations per lane and cycle."""
        return self.sops / (self.lanes * self.cycles)

    @property
    def total(self) -> tuple[float, float]:
        """Energy per operation [pJ], by both readings of the macros' library."""
        fixed = (self.banks + self.lanes_logic + self.control + self.clock + self.cells_leakage
                 + self.macros_leakage)
        low, high = (fixed + sum(pair[bound] for pair in (*self.memory, self.state, self.lists))
                     for bound in (0, 1))
        return low, high


@dataclasses.dataclass(frozen=True, kw_only=True)
class RouterMeasurement:
    """What a router took, after synthesis, with flits whose bits are all random.

    Parameters
    ----------
    ports, flit_bits, fifo_depth : int
    share : float
        Of the cycles in which an input that offered nothing began to.
    cycles, flits : int
        That were simulated; flits that went through in them.
    cells, flip_flops, clock_gates : int
    cells_um2 : float
    pj_per_flit : float
        That went through, beyond `pj_per_cycle`.
    pj_per_cycle : float
        When nothing moves: the clock.
    leakage_nw : float
    """

    ports: int
    flit_bits: int
    fifo_depth: int
    share: float
    cycles: int
    flits: int
    cells: int
    flip_flops: int
    clock_gates: int
    cells_um2: float
    pj_per_flit: float
    pj_per_cycle: float
    leakage_nw: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class OperationEnergy:
    """Energy of one synaptic operation [pJ].

    Parameters
    ----------
    memory : tuple of float
        Of each tier.
    state, lists : float
        Macros of the state memory and of the spike lists.
    banks : float
        Logic of the weight banks.
    lanes, control, clock, leakage : float
    """

    memory: tuple[float, ...]
    state: float
    lists: float
    banks: float
    lanes: float
    control: float
    clock: float
    leakage: float

    @property
    def total(self) -> float:
        """All of it [pJ]."""
        return sum(self.memory) + self.rest

    @property
    def rest(self) -> float:
        """What the supplies of the tiers leave as it is [pJ]."""
        return (self.state + self.lists + self.banks + self.lanes + self.control + self.clock
                + self.leakage)


def operation_energy(lanes: int, tiers: tuple[int, ...], *,
                     supplies: tuple[float, ...] | None = None, bound: str = "high",
                     path: pathlib.Path = FIGURES) -> OperationEnergy:
    """Energy of an operation in a core with `lanes` and `tiers`, as the measurements have it.

    A tier takes as many 32-bit macros side by side as its bits of all lanes need, and follows the
    square of its supply. Every other part is ``a + b / lanes + c * bits`` over the bits of a
    weight: what a lane has for itself, what lanes share, and what grows with a weight; of leakage
    and banks, which grow with the number of macros and are shared, ``a + b / lanes + c * bits /
    lanes``. Coefficients are the least squares of the measurements. They hold for networks like the
    measured one.

    Parameters
    ----------
    lanes : int
    tiers : tuple of int
        Bits of each.
    supplies : tuple of float or None
        Of each tier over its nominal one, 0 where it is off; None: all 1.
    bound : str
        One of :data:`BOUNDS`.
    path : pathlib.Path
        Measurements.

    Raises
    ------
    ValueError
        If `bound` is unknown, there are not as many supplies as tiers, or the measurements do not
        tell lanes from bits.
    """
    check_one_of("bound", bound, BOUNDS)
    supplies = (1.0,) * len(tiers) if supplies is None else supplies
    if len(supplies) != len(tiers):
        raise ValueError(f"supplies must be as many as tiers, {len(tiers)}, not {len(supplies)}")
    fits = _fits(path, BOUNDS.index(bound))
    parts = {name: max(0.0, float(fit @ _basis(name, lanes, sum(tiers))))
             for name, fit in fits.items() if name != "memory"}
    return OperationEnergy(
        memory=tuple(float(fits["memory"]) * _macro_bits(lanes, bits) / lanes * supply**2
                     for bits, supply in zip(tiers, supplies, strict=True)), **parts)


def _macro_bits(lanes: int, bits: int) -> int:
    """Bits that the macros of a tier give at an access."""
    return math.ceil(lanes * bits / _MACRO_BITS) * _MACRO_BITS


def _basis(part: str, lanes: int, bits: int) -> np.ndarray:
    return np.array([1.0, 1 / lanes, bits / lanes if part in _SHARED else bits])


@functools.cache
def _fits(path: pathlib.Path, bound: int) -> dict[str, np.ndarray]:
    """Coefficients of every part; of ``memory`` the energy of a bit that the macros give."""
    known = measurements(path)
    found = list(known.values())
    parts = [_parts(each, bound) for each in found]
    bases = {name: np.array([_basis(name, each.lanes, each.weight_bits) for each in found])
             for name in parts[0]}
    if any(np.linalg.matrix_rank(basis) < basis.shape[1] for basis in bases.values()):
        raise ValueError(f"{path.name} must hold measurements that tell lanes from bits, not "
                         f"{', '.join(known)} alone")
    fits = {name: np.linalg.lstsq(basis, np.array([part[name] for part in parts]), rcond=None)[0]
            for name, basis in bases.items()}
    per_bit = [sum(pair[bound] for pair in each.memory) * each.lanes
               / sum(_macro_bits(each.lanes, bits) for bits in each.tiers) for each in found]
    return {**fits, "memory": np.mean(per_bit)}


def _parts(found: Measurement, bound: int) -> dict[str, float]:
    return {"state": found.state[bound], "lists": found.lists[bound], "banks": found.banks,
            "lanes": found.lanes_logic, "control": found.control, "clock": found.clock,
            "leakage": found.cells_leakage + found.macros_leakage}


def measurements(path: pathlib.Path = FIGURES) -> dict[str, Measurement]:
    """What was measured, by configuration."""
    return {name: Measurement.of(fields)
            for name, fields in json.loads(path.read_text())["configurations"].items()}


def keep(name: str, found: Measurement, origin: dict[str, object],
         path: pathlib.Path = FIGURES) -> None:
    """Put `found` in the place of what `path` has of configuration `name`.

    Parameters
    ----------
    name : str
    found : Measurement
    origin : dict
        What else the file says: library, clock, versions.
    path : pathlib.Path
    """
    kept = measurements(path) if path.is_file() else {}
    kept[name] = found
    figures = {each: dataclasses.asdict(kept[each]) for each in sorted(kept)}
    _write(path, {**origin, "configurations": figures})


def router_measurement(path: pathlib.Path = ROUTER_FIGURES) -> RouterMeasurement:
    """What was measured of the router."""
    return RouterMeasurement(**json.loads(path.read_text())["router"])


def keep_router(found: RouterMeasurement, origin: dict[str, object],
                path: pathlib.Path = ROUTER_FIGURES) -> None:
    """Put `found` in the place of what `path` has; `origin` as of :func:`keep`."""
    _write(path, {**origin, "router": dataclasses.asdict(found)})


def _write(path: pathlib.Path, content: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced_file(path) as partial:
        partial.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
