"""Meshes with random dead links."""

from __future__ import annotations

import numpy as np

from lamina.models.fabric.config import MeshConfig
from lamina.models.fabric.routes import Faults, Link

__all__ = ["connected_draws", "links_of"]

_TRIES = 100
"""Draws for each one that is wanted, before giving up."""


def links_of(config: MeshConfig) -> list[Link]:
    """Every link once, the lower tile first."""
    return [(tile, other) for tile in range(config.tiles) for port in config.ports[1:]
            if (other := config.neighbour(tile, port)) is not None and other > tile]


def connected_draws(config: MeshConfig, share: float, count: int, seed: int
                    ) -> tuple[list[Faults], int]:
    """So many meshes with a share of their links dead that are connected; how many were drawn.

    Raises
    ------
    ValueError
        If hardly any draw is connected.
    """
    every, rng, found = links_of(config), np.random.default_rng(seed), []
    for attempt in range(1, _TRIES * count + 1):
        dead = [every[place] for place in rng.permutation(len(every))[:round(share * len(every))]]
        faults = Faults(config, dead)
        if not faults.cut_off():
            found.append(faults)
        if len(found) == count:
            return found, attempt
    raise ValueError(f"share must leave the mesh connected, {share} does in {len(found)} of "
                     f"{_TRIES * count} draws")
