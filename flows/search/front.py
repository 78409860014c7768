"""Losses and energies of many configurations: the front, and what is missing from it."""

from __future__ import annotations

import numpy as np

from lamina.flows.search.evaluate import Evaluation

__all__ = ["REFERENCE", "expected_gains", "front_of", "hypervolume"]

REFERENCE = (0.2, 1.05)
"""Loss and energy beyond which a configuration adds nothing to the hypervolume."""
_STEPS = 800


def front_of(evaluations: list[Evaluation]) -> tuple[Evaluation, ...]:
    """The evaluations that none beats in both accuracy and energy, by falling energy."""
    found, best = [], -1.0
    for each in sorted(evaluations, key=lambda each: (each.energy, -each.accuracy)):
        if each.accuracy > best:
            found.append(each)
            best = each.accuracy
    return tuple(reversed(found))


def hypervolume(points: np.ndarray) -> float:
    """Area between (loss, energy) `points` and :data:`REFERENCE`."""
    area, best = 0.0, REFERENCE[1]
    for loss, energy in sorted(map(tuple, points)):
        if loss < REFERENCE[0] and energy < best:
            area += (REFERENCE[0] - max(loss, 0.0)) * (best - max(energy, 0.0))
            best = energy
    return area


def expected_gains(points: np.ndarray, losses: np.ndarray, energies: np.ndarray) -> np.ndarray:
    """Mean hypervolume that each candidate adds to `points`, float (candidates,).

    Parameters
    ----------
    points : float array (N, 2)
        (loss, energy) of what was tried.
    losses : float array (candidates, levels)
        What each may lose, equally likely.
    energies : float array (candidates,)
    """
    width = REFERENCE[0] / _STEPS
    middles = (np.arange(_STEPS) + 0.5) * width
    reached = points[:, 0, None] <= middles
    cheapest = np.where(reached, points[:, 1, None], REFERENCE[1]).min(axis=0)
    saved = np.maximum(0.0, np.minimum(cheapest, REFERENCE[1]) - energies[:, None]) * width
    beyond = np.zeros((len(energies), _STEPS + 1))
    beyond[:, :-1] = saved[:, ::-1].cumsum(axis=1)[:, ::-1]
    places = np.clip(losses, 0.0, REFERENCE[0]) / width
    low = np.minimum(places.astype(int), _STEPS - 1)
    rows = np.arange(len(energies))[:, None]
    gains = beyond[rows, low] + (places - low) * (beyond[rows, low + 1] - beyond[rows, low])
    return gains.mean(axis=1)
