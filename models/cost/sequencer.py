"""Cycles of jobs: when their groups are stored, and when the emitter lets go of their spikes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from lamina.models.config import HardwareConfig

__all__ = ["Emitter", "Sequencer", "Steps"]

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
    ports : int
        Entries of a list that are taken in a cycle.
    """

    loads: int
    finish: int
    ports: int = 1

    @classmethod
    def of(cls, config: HardwareConfig) -> Steps:
        """Those of the core that `config` describes."""
        extra = sum(map(config.has, ("currents", "follow", "rederived")))
        return cls(loads=2 + config.has("rederived"), finish=3 + extra,
                   ports=config.ports)


class Emitter:
    """When the two places of the emitter come free.

    Parameters
    ----------
    config : HardwareConfig
        In a wide core a mask takes two cycles until its spikes can be sent.
    """

    def __init__(self, config: HardwareConfig):
        self._late = int(config.blocks > 1) + config.preview
        self._released = [-1] * _EMITTER_PLACES

    @property
    def done(self) -> int:
        """Cycle of the last output so far."""
        return self._released[-1]

    def place(self) -> int | None:
        """First cycle in which the next mask may reserve a place; None: not known yet."""
        return self._released[-_EMITTER_PLACES] + 1

    def push(self, store: int, events: int) -> None:
        """Take a mask with `events` events (its marker included) in cycle `store`."""
        begin = max(store + self._late, self._released[-1]) + 1
        self._released.append(begin + max(1, events) - 1)


class Sequencer:
    """Runs job after job; one is taken when all elements of the one before are issued.

    Parameters
    ----------
    steps : Steps

    Attributes
    ----------
    stores : list of int
        Cycles in which the groups of the last job so far are stored.
    row : int or None
        First row of that job.
    """

    def __init__(self, steps: Steps):
        self.stores, self.row = [0], None
        self._steps, self._reads = steps, set()
        self._first = self._last = -_STORE - steps.finish

    def take(self, valid: int) -> int:
        """Cycle in which a job is taken that is offered from cycle `valid` on."""
        return max(valid, self._last + 1, self._first + 2)

    def steps(self, counted: Sequence[int], complete: int, take: int, row: int, groups: int,
              emitter: Emitter, events: Sequence[int] | None, closing: bool) -> Iterator[None]:
        """Run a job, interrupted while the emitter does not know when it has a place.

        An element, an entry or with two ports a pair of them, waits until the list is seen to go on
        or to end; the first one for the leaked membrane of its group, the last one for a place in
        the emitter and for the finish of the group before, or of the job before. With enough spikes
        a group takes one cycle per element.

        Parameters
        ----------
        counted : sequence of int
            Cycles in which the entries of its list are first counted.
        complete : int
            Cycle in which the list is known not to grow.
        take : int
            Cycle in which the sequencer takes the job.
        row : int
            First row of its groups.
        groups : int
            At least 1.
        emitter : Emitter
            Takes the masks.
        events : sequence of int, or None
            Spikes of each group; None where the job does not report.
        closing : bool
            Whether a TICK follows the last group.
        """
        finish, before = self._steps.finish, self.stores if row == self.row else ()
        ports = self._steps.ports
        seen = [cycle + 1 for cycle in (*counted[ports::ports], complete)]
        apart, load, stores = finish + _STORE, take + 1, []
        self._reads = {read for read in self._reads if read > take}
        for group in range(groups):
            marker = closing and group == groups - 1
            emits = marker or events is not None
            while (place := emitter.place() if emits else 0) is None:
                yield
            stored = before[group] + 1 if before else 0
            first = max(self._loaded(max(load, stored)), self._last + 1, seen[0])
            now = first
            for glimpse in seen[1:] if first <= complete else ():
                now = max(now + 1, glimpse)
            last = max(now, first + len(seen) - 1, self._last + apart, place)
            first = last if len(seen) == 1 else first
            stores.append(last + _STORE + finish)
            if emits:
                emitter.push(stores[-1], (events[group] if events else 0) + marker)
            self._reads |= {last + _FIRST_READ + read for read in range(finish)}
            self._first, self._last, apart, load = first, last, finish, first + 3
        self.stores, self.row = stores, row

    def _loaded(self, cycle: int) -> int:
        """Cycle in which a group may begin whose words are read from `cycle` on."""
        for _ in range(self._steps.loads):
            cycle = _free(self._reads, cycle) + 1
        return cycle


def _free(taken: set[int], cycle: int) -> int:
    while cycle in taken:
        cycle += 1
    return cycle
