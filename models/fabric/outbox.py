"""The outbox of a tile or of the host: events become flits, by ranges, as far as credits allow."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from lamina.models.config import EventKind

__all__ = ["Outbox", "Range"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Range:
    """Neurons (input lines) that one channel carries in a run.

    Parameters
    ----------
    first, last : int
        Inclusive; ``first > last``: none.
    target : int
        Address of the tile.
    channel : int
        Its number there; for the host the tile that sends.
    base : int
        Axon of `first`; for the host its number.
    closes : bool
        TICK and CLEAR are sent too.
    host : bool
        For the host.
    """

    first: int
    last: int
    target: int
    channel: int
    base: int
    closes: bool = False
    host: bool = False


class Outbox:
    """State of an outbox between events.

    Before the first flit of a slot every target must have a credit left; the slot takes one of
    each.

    Parameters
    ----------
    ranges : sequence of Range
        In the order in which an event's flits leave.
    credits : sequence of int
        Slots that each target takes without an answer: 2, or 1 over a delayed channel.
    """

    def __init__(self, ranges: Sequence[Range], credits: Sequence[int]):
        self._ranges = tuple(ranges)
        self.credits = list(credits)
        self._begun = False

    @property
    def able(self) -> bool:
        """The next event may be sent."""
        return self._begun or all(self.credits)

    def credit(self, target: int) -> None:
        """Target number `target` has done with a slot."""
        self.credits[target] += 1

    def send(self, kind: int, neuron: int, value: int | None = None) -> list[dict[str, int]]:
        """Flits of an event; members as in :attr:`FabricConfig.flit_fields`.

        `value` goes along as it is, where flits have one.
        """
        rest = {} if value is None else {"value": value}
        if not self._begun:
            self.credits = [credit - 1 for credit in self.credits]
        self._begun = kind == EventKind.SPIKE
        hits = [entry for entry in self._ranges if (
            entry.first <= neuron <= entry.last if kind == EventKind.SPIKE else entry.closes)]
        return [{"address": entry.target, "kind": int(kind), "channel": entry.channel,
                 "number": neuron - entry.first + entry.base if kind == EventKind.SPIKE else 0,
                 "host": int(entry.host), **rest} for entry in hits]
