"""Random flits through routers, seen from their streams, cycle by cycle."""

from __future__ import annotations

import collections

import numpy as np
from cocotb.handle import SimHandleBase

from lamina.models.fabric.config import MeshConfig

__all__ = ["FlitPorts", "Traffic"]


class FlitPorts:
    """Arrays of incoming and outgoing streams, all driven and read in one go.

    Parameters
    ----------
    dut : SimHandleBase
    incoming, outgoing : str
        Names of the arrays.
    count : int
        Of streams in each.
    """

    def __init__(self, dut: SimHandleBase, incoming: str, outgoing: str, count: int):
        def handles(array, member):
            return [getattr(dut, f"{array}__{number}__{member}") for number in range(count)]

        self._offer, self._flits, self._accepted = (
            handles(incoming, member) for member in ("valid", "payload", "ready"))
        self._given, self._words, self._take = (
            handles(outgoing, member) for member in ("valid", "payload", "ready"))
        self._driven = [[None] * count for _ in range(3)]

    def drive(self, valid: np.ndarray, flits: np.ndarray, taken: np.ndarray) -> None:
        """Offer `flits` where `valid`; be ready where `taken`."""
        groups = (self._offer, self._flits, self._take)
        for handles, driven, values in zip(groups, self._driven, (valid, flits, taken),
                                           strict=True):
            for number, value in enumerate(values.tolist()):
                if driven[number] != value:
                    handles[number].value = int(value)
                    driven[number] = value

    @property
    def ready(self) -> np.ndarray:
        """Which incoming streams would take a flit, bool."""
        return np.array([handle.value == 1 for handle in self._accepted])

    @property
    def valid(self) -> np.ndarray:
        """Which outgoing streams offer one, bool."""
        return np.array([handle.value == 1 for handle in self._given])

    def word(self, number: int) -> int:
        """What an outgoing stream offers."""
        return int(self._words[number].value)


class Traffic:
    """Random flits: what each source offers, and what has to arrive, in order for each pair.

    Parameters
    ----------
    config : MeshConfig
    sources : int
    targets : list of list of int
        Destination tiles that each source may send to.
    seed : int
    """

    def __init__(self, config: MeshConfig, targets: list[list[int]], seed: int):
        self._config, self._targets = config, targets
        self._rng = np.random.default_rng(seed)
        self._expected: dict[tuple[int, int], collections.deque[int]] = \
            collections.defaultdict(collections.deque)
        self._source_bits = (len(targets) - 1).bit_length()
        self._numbers = np.zeros(len(targets), dtype=np.int64)
        self.valid = np.zeros(len(targets), dtype=bool)
        self.flits = np.zeros(len(targets), dtype=np.int64)
        self.sent = self.arrived = 0

    def offer(self, share: float, ready: np.ndarray, most: int) -> None:
        """New flits at sources that offer none, with probability `share`; those taken are gone.

        `ready` tells which offers of the cycle before were taken; at most `most` are sent in all.
        """
        self.valid &= ~ready
        for source in np.flatnonzero(~self.valid & (self._rng.random(len(self.valid)) < share)):
            if self.sent < most:
                self.flits[source] = self._flit(int(source))
                self.valid[source] = True

    def _flit(self, source: int) -> int:
        tile = int(self._rng.choice(self._targets[source]))
        number = int(self._numbers[source])
        self._numbers[source] += 1
        room = self._config.payload_bits - self._source_bits
        payload = source | (number & ((1 << room) - 1)) << self._source_bits
        self._expected[source, tile].append(payload)
        self.sent += 1
        return self._config.address(tile) | payload << self._config.address_bits

    def arrive(self, tile: int, flit: int) -> int:
        """Hold a flit that left at `tile` to the oldest one that its source sent there.

        Returns the source.
        """
        payload = flit >> self._config.address_bits
        assert flit == self._config.address(tile) | payload << self._config.address_bits, (
            f"a flit {flit:x} of another tile arrived at {tile}")
        source = payload & ((1 << self._source_bits) - 1)
        waiting = self._expected[source, tile]
        assert waiting, f"tile {tile} got {payload:x}, which {source} did not send or was there"
        wanted = waiting.popleft()
        assert payload == wanted, f"tile {tile} got {payload:x} of {source} before {wanted:x}"
        self.arrived += 1
        return source

    @property
    def left(self) -> int:
        """Flits that were sent and did not arrive."""
        return self.sent - self.arrived
