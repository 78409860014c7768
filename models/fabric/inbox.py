"""The inbox of a tile: flits of many channels become the events of one core, slot by slot.

A slot is a timestep, or the CLEAR behind the last one. A channel brings the spikes of a slot, then
what closes it, then the next slot. The tile's slot closes once every channel has closed it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from lamina.models.config import EventKind
from lamina.models.fabric.config import FlitKind

__all__ = ["Inbox", "InboxChannel"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class InboxChannel:
    """A channel as its target knows it.

    Parameters
    ----------
    source : int
        Address of the tile that it comes from, of the host: of the host's tile.
    host : bool
        The source is the host.
    credit : int
        Number of this target at the source.
    delayed : bool
        The source's slot k is the target's slot k + 1; slot 0 is closed from the start.
    partial : bool
        SPIKEs are partial sums: ``number`` is a neuron, ``value`` what it adds.
    """

    source: int
    host: bool = False
    credit: int = 0
    delayed: bool = False
    partial: bool = False


class Inbox:
    """State of an inbox between flits.

    Parameters
    ----------
    channels : sequence of InboxChannel
        By their number.
    values : bool
        Whether flits have a ``value``.

    Attributes
    ----------
    ahead : list of int
        Slots that each channel has closed beyond the open one, 0..2.
    """

    def __init__(self, channels: Sequence[InboxChannel], *, values: bool = False):
        self._channels, self._rest = tuple(channels), {"value": 0} if values else {}
        self.ahead = [int(channel.delayed) for channel in channels]
        self._slot = 0
        self._closings: dict[int, EventKind] = {}

    def spike(self, channel: int, axon: int) -> tuple[int, int]:
        """Axon (of a partial sum its neuron), and whether it is of the slot behind the open one.

        The latter is 0 or 1.
        """
        if self.ahead[channel] > 1:
            raise ValueError(f"channel {channel} must have a credit for the slot that it begins")
        return axon, self.ahead[channel]

    def close(self, channel: int, kind: int) -> None:
        """A TICK or CLEAR arrives."""
        slot = self._slot + self.ahead[channel]
        if not self._channels[channel].delayed:
            self._closings[slot] = EventKind(kind)
        self.ahead[channel] += 1

    @property
    def complete(self) -> bool:
        """Every channel has closed the open slot, one that is not delayed among them."""
        return not all(channel.delayed for channel in self._channels) and min(self.ahead) > 0

    def advance(self) -> EventKind:
        """Close the open slot, with CLEAR if the channels that are not delayed say so."""
        self.ahead = [ahead - 1 for ahead in self.ahead]
        kind = self._closings.pop(self._slot, EventKind.TICK)
        self._slot += 1
        return kind

    def credits(self, *, partial: bool = False) -> list[dict[str, int]]:
        """Flits that answer a slot that the core has done with: one to the source of each channel.

        Members as in :attr:`FabricConfig.flit_fields`.

        Parameters
        ----------
        partial : bool
            To the sources of partial sums, which the core reads till the end of its timestep; else
            to those of spikes, whose bitmap may be erased before.
        """
        return [{"address": channel.source, "kind": int(FlitKind.CREDIT),
                 "channel": channel.credit, "number": 0, "host": int(channel.host), **self._rest}
                for channel in self._channels if channel.partial is partial]
