"""Clock cycles of the core from spikes alone, to the cycle (docs/architecture.md, Cost)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from lamina.models.config import HardwareConfig
from lamina.models.program import Program

__all__ = ["SampleCost", "sample_cycles", "scan_times"]

_FIRST_READ = 4
_STORE = 6
_EMITTER_PLACES = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleCost:
    """Where the cycles of one sample go.

    Parameters
    ----------
    cycles : int
        From the first TICK taken to the last output taken [cycle].
    sops : int
        Weights added to existing neurons.
    lane_use : float
        ``sops / (lanes * cycles)``, 0..1.
    """

    cycles: int
    sops: int
    lane_use: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Steps:
    """Cycles of a core's steps: descriptor words, words read before a group and at its end."""

    fetch: int
    loads: int
    finish: int

    @classmethod
    def of(cls, config: HardwareConfig) -> _Steps:
        """Membrane and decay, then bias, theta and reset; a current adds a read at the end, the
        rule subtract-rederived one on either side."""
        currents, rederived = config.has("currents"), config.has("rederived")
        return cls(fetch=config.descriptor_fields + 1, loads=2 + rederived,
                   finish=3 + currents + rederived)


def scan_times(words: Sequence[int], ready: Sequence[int], start: int) -> tuple[list[int], int]:
    """Cycles in which the entries of a spike list are first counted, and in which it is complete.

    A word with k spikes takes max(1, k) cycles; the first one begins 3 cycles after `start`, or 2
    after the cycle in which the word may be read.

    Parameters
    ----------
    words : sequence of int
        Spikes in each bitmap word.
    ready : sequence of int
        First cycle in which each word may be read.
    start : int
        Cycle of the scanner's ``start``.
    """
    counted, now, end = [], start + 3, start + 2
    for spikes, readable in zip(words, ready, strict=True):
        now = max(now, readable + 2)
        counted += range(now + 2, now + 2 + spikes)
        now += max(1, spikes)
        end = now + (1 if spikes else 0)
    return counted, end


def sample_cycles(
    program: Program, config: HardwareConfig, spikes: np.ndarray, layer_spikes: Sequence[np.ndarray]
) -> SampleCost:
    """Cycles of one sample whose events arrive one per cycle and whose outputs are taken at once.

    Parameters
    ----------
    program : Program
    config : HardwareConfig
    spikes : uint8 array (T, axons)
    layer_spikes : sequence of uint8 arrays (T, neurons)
        Of every layer, as traced by the golden model.
    """
    emitter, steps = _Emitter(), _Steps.of(config)
    stores: list[int] = [0]
    tick, waiting = 0, 0
    for t, frame in enumerate(spikes):
        fetch = max(waiting, tick + 1) + 1
        sources = [frame, *(layer[t] for layer in layer_spikes)]
        for index, layer in enumerate(program.layers):
            start = fetch + steps.fetch
            words = _words(sources[index], config.lanes) if layer.axons else []
            ready = [store + 1 for store in stores] if index else [0] * len(words)
            counted, complete = scan_times(words, ready[:len(words)], start)
            take = max(start, stores[-1]) + 1
            closing = index == len(program.layers) - 1
            reports = layer.report or closing
            events = _words(sources[index + 1], config.lanes) if reports else None
            stores = _stream(counted, complete, take, -(-layer.neurons // config.lanes),
                             emitter, events, closing, steps)
            fetch = max(complete, take) + 2
            if index == 0 and t + 1 < len(spikes):
                tick = max(tick + int(spikes[t + 1].sum()), complete) + 1
        waiting = fetch
    cycles = emitter.released[-1]
    sops = sum(int(source.sum()) * layer.neurons for source, layer in zip(
        [spikes, *layer_spikes], program.layers, strict=False))
    return SampleCost(cycles=cycles, sops=sops, lane_use=sops / (config.lanes * cycles))


def _words(bits: np.ndarray, lanes: int) -> list[int]:
    """Spikes in each word of a bitmap."""
    return np.add.reduceat(bits.astype(np.int64), np.arange(0, len(bits), lanes)).tolist()


class _Emitter:
    """When the two places of the emitter come free."""

    def __init__(self):
        self.released = [-1] * _EMITTER_PLACES

    def place(self) -> int:
        """First cycle in which the next mask may reserve a place."""
        return self.released[-_EMITTER_PLACES] + 1

    def push(self, store: int, events: int) -> None:
        """Take a mask with `events` events (its marker included) in cycle `store`."""
        begin = max(store, self.released[-1]) + 1
        self.released.append(begin + max(1, events) - 1)


def _stream(
    counted: Sequence[int], complete: int, take: int, groups: int, emitter: _Emitter,
    events: Sequence[int] | None, closing: bool, steps: _Steps,
) -> list[int]:
    """Cycles in which the groups of a job are stored.

    An element waits until the list is seen to go on or to end; the first one for the leaked
    membrane of its group, the last one for a place in the emitter and for the finish of the group
    before. With enough spikes a group takes one cycle per spike.
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
