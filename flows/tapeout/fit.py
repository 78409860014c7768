"""The largest network of one hidden layer whose macros a shuttle's user area holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from lamina.flows.designs import Process, load_target
from lamina.flows.errors import UserError
from lamina.flows.sky130.floorplan import (
    chain_config,
    largest_hidden,
    lay_out,
    memories_of,
    read_sizes,
)
from lamina.flows.sky130.pdk import find_lefs
from lamina.rtl.wishbone_device import WishboneDevice

__all__ = ["SHUTTLES", "WEIGHT_BITS", "fitting"]

SHUTTLES = ("caravel",)
WEIGHT_BITS = (8, 4, 2)
"""Widths that are tried unless one is asked for."""


def fitting(layers: tuple[dict, ...], shuttle: str, widths: Iterable[int] = WEIGHT_BITS
            ) -> list[dict]:
    """Most hidden neurons that fit, by width of a weight.

    Parameters
    ----------
    layers : tuple of dict
        ``axons`` and ``neurons`` of each, two of them: only the hidden one varies.
    shuttle : str
        One of :data:`SHUTTLES`.
    widths : iterable of int
        [bit]

    Returns
    -------
    list of dict
        ``weight_bits, lanes, hidden, macros, macro_share`` (of the user area); the latter two are
        None where not even one neuron fits.

    Raises
    ------
    UserError
        If the shuttle is unknown, there is not one hidden layer, or the process kit is missing.
    """
    if shuttle not in SHUTTLES:
        raise UserError(f"--fit must be {', '.join(SHUTTLES)}, not {shuttle!r}")
    if len(layers) != 2 or layers[0]["neurons"] != layers[1]["axons"]:
        raise UserError(f"--fit {shuttle} varies one hidden layer, the network has "
                        f"{len(layers) - 1}")
    sizes, target = read_sizes(find_lefs()), load_target("sky130")
    return [_largest(layers, bits, target, sizes) for bits in widths]


def _largest(layers: tuple[dict, ...], bits: int, target: Process, sizes: dict) -> dict:
    pairs = -(-bits // 2)
    config = dataclasses.replace(target.config, lanes=target.word_bits // (2 * pairs), groups=2,
                                 tiers=(2,) * pairs)
    ends = layers[0]["axons"], layers[1]["neurons"]
    hidden = largest_hidden(*ends, config, sizes, WishboneDevice)
    found = {"weight_bits": bits, "lanes": config.lanes, "hidden": hidden, "macros": None,
             "macro_share": None}
    if not hidden:
        return found
    chain = chain_config(config, (ends[0], hidden, ends[1]))
    plan = lay_out(memories_of(chain, WishboneDevice(chain)), sizes)
    return found | {"macros": len(plan.macros), "macro_share": round(plan.share, 4)}
