"""Cycles of a job: when its groups are stored, and when the emitter lets go of their spikes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from lamina.models.config import HardwareConfig

__all__ = ["Emitter", "Steps", "store_times"]

_FIRST_READ = 4
_STORE = 6
_EMITTER_PLACES = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Steps:
    """Words that the state memory is read for around a group, a cycle each.

    Parameters
    ----------
    loads : int
        Before it: membrane and decay; a core with ``rederived`` reads one more.
    finish : int
        At its end: bias, theta and reset; ``currents``, ``follow`` and ``rederived`` take one more
        cycle each.
    """

    loads: int
    finish: int

    @classmethod
    def of(cls, config: HardwareConfig) -> Steps:
        """Those of the core that `config` describes."""
        extra = sum(map(config.has, ("currents", "follow", "rederived")))
        return cls(loads=2 + config.has("rederived"), finish=3 + extra)


class Emitter:
    """When the two places of the emitter come free.

    Parameters
    ----------
    late : int
        Cycles that a mask takes until its spikes can be sent: two in a wide core.
    """

    def __init__(self, late: int = 0):
        self._late = late
        self._released = [-1] * _EMITTER_PLACES

    @property
    def done(self) -> int:
        """Cycle of the last output so far."""
        return self._released[-1]

    def place(self) -> int:
        """First cycle in which the next mask may reserve a place."""
        return self._released[-_EMITTER_PLACES] + 1

    def push(self, store: int, events: int) -> None:
        """Take a mask with `events` events (its marker included) in cycle `store`."""
        begin = max(store + self._late, self._released[-1]) + 1
        self._released.append(begin + max(1, events) - 1)


def store_times(
    counted: Sequence[int], complete: int, take: int, groups: int, emitter: Emitter,
    events: Sequence[int] | None, closing: bool, steps: Steps,
) -> list[int]:
    """Cycles in which the groups of a job are stored.

    An element waits until the list is seen to go on or to end; the first one for the leaked
    membrane of its group, the last one for a place in the emitter and for the finish of the group
    before. With enough spikes a group takes one cycle per spike.

    Parameters
    ----------
    counted : sequence of int
        Cycles in which the entries of its list are first counted.
    complete : int
        Cycle in which the list is known not to grow.
    take : int
        Cycle in which the sequencer takes the job.
    groups : int
        At least 1.
    emitter : Emitter
        Takes the masks.
    events : sequence of int, or None
        Spikes of each group; None where the job does not report.
    closing : bool
        Whether a TICK follows the last group.
    steps : Steps
    """
    seen = [cycle + 1 for cycle in (*counted[1:], complete)]
    loaded, last, reads, stores = take + 1 + steps.loads, take - steps.finish, set(), []
    for group in range(groups):
        marker = closing and group == groups - 1
        emits = marker or events is not None
        place = emitter.place() if emits else 0
        first = max(loaded, last + 1, seen[0])
        now = first
        for glimpse in seen[1:] if first <= complete else ():
            now = max(now + 1, glimpse)
        last = max(now, first + len(seen) - 1, last + steps.finish, place)
        first = last if len(seen) == 1 else first
        stores.append(last + _STORE + steps.finish)
        if emits:
            emitter.push(stores[-1], (events[group] if events else 0) + marker)
        reads |= {last + _FIRST_READ + read for read in range(steps.finish)}
        loaded = first + 3
        for _ in range(steps.loads):
            loaded = _free(reads, loaded) + 1
    return stores


def _free(taken: set[int], cycle: int) -> int:
    while cycle in taken:
        cycle += 1
    return cycle
