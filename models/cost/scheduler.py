"""Cycles of a timestep: entries fetched and scanned in order, one job ahead of the sequencer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lamina.models.config import HardwareConfig
from lamina.models.cost.graph import Jobs, Relay, Scan, WindowScan
from lamina.models.cost.sequencer import Emitter, Sequencer, Steps

__all__ = ["Scheduler"]

_SCANNED = 3
"""From the first word of a descriptor to the scan, where a layer has one source."""


class Scheduler:
    """Runs the timesteps of a sample.

    Parameters
    ----------
    config : HardwareConfig

    Attributes
    ----------
    emitter : Emitter
    now : int
        First cycle in which the next entry could be fetched, or the next timestep awaited.
    erased : int
        Cycle in which the input of the timestep was scanned for the last time.
    sops : int
        Weights added so far.
    """

    def __init__(self, config: HardwareConfig):
        self.emitter, self.now = Emitter(config), 0
        self.erased = self.sops = 0
        self._sequencer = Sequencer(Steps.of(config))
        self._aim = int(config.has("sources"))
        self._fetch = config.descriptor_fields + 1 + self._aim
        self._early = 0 if config.has("sources") else self._fetch - _SCANNED
        self._windowed = False

    def run(self, t: int, tick: int, layers: Sequence[Jobs], relays: Sequence[Relay]) -> None:
        """Run timestep `t`, whose TICK is taken in cycle `tick`."""
        for _ in self.steps(t, tick, layers, relays):
            raise RuntimeError("the emitter must know when it has a place")

    def steps(self, t: int, tick: int, layers: Sequence[Jobs], relays: Sequence[Relay]
              ) -> Iterator[None]:
        """As :meth:`run`, interrupted wherever the emitter does not know yet."""
        self.now = max(self.now, tick + 1) + self._aim
        for layer in layers:
            yield from self._layer(t, layer)
        for relay in relays:
            self._relay(relay)

    def _layer(self, t: int, layer: Jobs) -> Iterator[None]:
        """A layer with windows, and one behind it, starts when everything before is stored."""
        barrier = layer.windowed or self._windowed
        for position in range(layer.positions):
            again = position and len(layer.scans) == 1
            start = self.now + (self._aim if again else self._fetch)
            if barrier and position == 0:
                start = max(start, self.stored + 1)
            yield from self._job(t, layer, position, start)
        self._windowed = layer.windowed

    def _job(self, t: int, layer: Jobs, position: int, start: int) -> Iterator[None]:
        """Scan for one job, whose last entry is fetched before cycle `start`, and run it."""
        counted, end = [], start - self._fetch - 1
        for number, scan in enumerate(layer.scans):
            begin = end + 1 + self._fetch if number else start - self._early
            times, end = scan.times(t, position, begin, self._behind(scan))
            counted += times
            self.erased = max(end, start + 1) if scan.erases else self.erased
        take, over = self._sequencer.take(start + 1), max(end, start + 1)
        rows = slice(position * layer.groups, (position + 1) * layer.groups)
        events = layer.events[t][rows] if layer.events else None
        closing = layer.closing and position == layer.positions - 1
        yield from self._sequencer.steps(counted, end + self._aim, take, layer.row + rows.start,
                                         layer.groups, self.emitter, events, closing)
        self.sops += len(counted) * layer.columns
        self.now = max(over, take) + 2

    @property
    def stored(self) -> int:
        """Cycle in which the last group so far is stored."""
        return self._sequencer.stores[-1]

    def _behind(self, scan: Scan | WindowScan) -> Sequence[int]:
        """Stores that a scan of the running layer follows."""
        return self._sequencer.stores if scan.row is not None and scan.row == self._sequencer.row \
            else ()

    def _relay(self, relay: Relay) -> None:
        """Copy words when everything before is stored."""
        start = max(self.now + self._fetch, self.stored + 1)
        self.now = start + 1 + max(1, relay.words)
        self._windowed = False
        if relay.erases:
            self.erased = self.now - 1
