"""What becomes of several events of one axon in one timestep."""

from __future__ import annotations

import dataclasses

import numpy as np

from lamina.flows.errors import UserError
from lamina.models.encoder import thermometer

__all__ = ["COUNTS", "CountRule"]

COUNTS = ("refuse", "clip", "repeat")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CountRule:
    """How counts become binary axons.

    Parameters
    ----------
    kind : str
        ``refuse`` counts above 1; ``clip`` them to 1; ``repeat``: every axon has `most` copies
        with the same weights, and a count c sets the first c of them.
    most : int
        Largest count that ``repeat`` takes, 2..255.

    Raises
    ------
    UserError
        If a field is out of its range.
    """

    kind: str = "refuse"
    most: int = 4

    def __post_init__(self):
        if self.kind not in COUNTS:
            raise UserError(f"--counts must be one of {', '.join(COUNTS)}, not {self.kind!r}")
        if not 2 <= self.most <= 255:
            raise UserError(f"--max-count must be in 2..255, not {self.most}")

    @property
    def repeats(self) -> int:
        """Copies of every axon."""
        return self.most if self.kind == "repeat" else 1

    def apply(self, name: str, counts: np.ndarray) -> np.ndarray:
        """Spikes (..., repeats * axons), uint8, of whole `counts` (..., axons) from 0.

        Copy-major: axon i of copy k is ``k * axons + i``.

        Raises
        ------
        UserError
            If a count is larger than the rule takes; begins with `name`, tells the largest.
        """
        largest = counts.max(initial=0)
        if self.kind == "refuse" and largest > 1:
            raise UserError(f"{name}: spikes must be 0 or 1, the largest count is {largest:g}; "
                            f"use --counts clip, or --counts repeat")
        if self.kind != "repeat":
            return (counts > 0).astype(np.uint8)
        if largest > self.most:
            raise UserError(f"{name}: counts must be at most {self.most} under --counts repeat, "
                            f"the largest is {largest:g}; use a larger --max-count, or clip")
        return thermometer(counts, self.most)
