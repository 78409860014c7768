"""Energy of a network on a mesh: an estimate from what was measured of cores and of a router."""

from __future__ import annotations

import dataclasses
import math

from lamina.flows.sky130.pdk import VOLTS
from lamina.flows.sky130.table import (
    Measurement,
    RouterMeasurement,
    measurements,
    operation_energy,
    router_measurement,
)
from lamina.models.config import HardwareConfig
from lamina.models.fabric.config import MeshConfig

__all__ = ["ASSUMPTION", "FlitEnergy", "core_pj", "flit_energy", "link_mm", "mesh_energy"]

ASSUMPTION = (
    "estimate, dynamic energy at SkyWater 130 nm, tt, 25 C, 1.8 V, macros at the high end: cores "
    "by operations, as fitted to measured cores, without leakage; routers by their mapped netlist "
    "with random payloads, in proportion to the bits of a flit, and their clock in proportion to "
    "ports and bits; links as wires of .2 pF per mm as long as a tile is wide, half of the bits "
    "changing with a flit; inboxes, outboxes, tables and the host are not in it")
_WIRE_PF_PER_MM, _CHANGING = 0.2, 0.5
_MACRO_UM2_PER_BIT = 284538 / (512 * 32)
"""Of the larger macro of docs/sky130.md."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FlitEnergy:
    """Of one flit [pJ], and of a router that stands still.

    Parameters
    ----------
    router : float
        To pass a router.
    link : float
        To cross the wires to the next one.
    clock : float
        Of a router and a cycle.
    """

    router: float
    link: float
    clock: float

    @property
    def hop(self) -> float:
        """What one hop more takes."""
        return self.router + self.link


def core_pj(core: HardwareConfig) -> float:
    """Dynamic energy of a synaptic operation, all tiers at their nominal supply [pJ]."""
    found = operation_energy(core.lanes, core.tiers)
    return found.total - found.leakage


def link_mm(core: HardwareConfig, cores: dict[str, Measurement] | None = None) -> float:
    """Side of a square tile: weights and state in macros, cells of the likest measured core [mm].

    Parameters
    ----------
    core : HardwareConfig
    cores : dict of str to Measurement or None
        None: those that are shipped.
    """
    known = (measurements() if cores is None else cores).values()
    like = min(known, key=lambda each: (abs(each.lanes - core.lanes),
                                        abs(each.weight_bits - core.weight_bits)))
    bits = (core.weight_words * core.lanes * core.weight_bits
            + core.neurons * core.state_bits)
    return math.sqrt((bits * _MACRO_UM2_PER_BIT + like.cells_um2) / 1e6)


def flit_energy(mesh: MeshConfig, millimetres: float, router: RouterMeasurement | None = None
                ) -> FlitEnergy:
    """Of a flit of `mesh`, whose links are so long.

    Parameters
    ----------
    mesh : MeshConfig
    millimetres : float
    router : RouterMeasurement or None
        None: the one that is shipped.
    """
    known = router_measurement() if router is None else router
    bits = mesh.flit_bits / known.flit_bits
    return FlitEnergy(
        router=known.pj_per_flit * bits,
        link=mesh.flit_bits * _CHANGING * _WIRE_PF_PER_MM * millimetres * VOLTS**2 / 2,
        clock=known.pj_per_cycle * bits * len(mesh.ports) / known.ports)


def mesh_energy(core: HardwareConfig, mesh: MeshConfig, *, sops: float, routed: float, hops: float,
                cycles: float) -> dict[str, object]:
    """Energy of a timestep, or of whatever the counts are of.

    Parameters
    ----------
    core : HardwareConfig
        Of every tile.
    mesh : MeshConfig
    sops : float
        Synaptic operations.
    routed, hops : float
        Flits that pass routers, and links that they cross: a flit passes one router more.
    cycles : float

    Returns
    -------
    dict
        ``pj_per_sop``, ``pj_per_flit_hop`` (a router and a link), ``link_mm``; ``cores_nj``,
        ``flits_nj``, ``router_clocks_nj``, ``nj``, the sum of these; ``assumption``.
    """
    length = link_mm(core)
    flit, per_sop = flit_energy(mesh, length), core_pj(core)
    cores = 1e-3 * per_sop * sops
    flits = 1e-3 * (flit.router * (routed + hops) + flit.link * hops)
    clocks = 1e-3 * flit.clock * mesh.tiles * cycles
    return {"pj_per_sop": round(per_sop, 3), "pj_per_flit_hop": round(flit.hop, 3),
            "link_mm": round(length, 3), "cores_nj": round(cores, 3), "flits_nj": round(flits, 3),
            "router_clocks_nj": round(clocks, 3), "nj": round(cores + flits + clocks, 3),
            "assumption": ASSUMPTION}
