"""Drivers and monitors of valid/ready streams, with seeded random stalls.

All of them drive on the falling edge and look once everything has settled after it: what they see
is what the next rising edge acts on.
"""

from __future__ import annotations

import collections

import numpy as np
from cocotb.handle import SimHandleBase
from cocotb.triggers import FallingEdge, ReadOnly
from cocotb.utils import get_sim_time

from lamina.models.config import HardwareConfig
from lamina.models.fabric.config import FabricConfig

__all__ = ["Fields", "Payload", "StreamDriver", "StreamMonitor", "event_fields",
           "fabric_fields", "output_fields", "pack", "request_fields", "reset", "unpack"]

Fields = dict[str, int]
"""Widths [bit] of the members of a structured payload, lowest bits first."""

Payload = dict[str, int]
"""Values of the members, by name."""

_HANDSHAKE = ("valid", "ready", "payload")


def event_fields(config: HardwareConfig) -> Fields:
    """Payload of the core's ``events``."""
    return {"kind": 2, "axon": (config.axons - 1).bit_length(),
            **({"next": 1} if config.has("ahead") else {})}


def output_fields(config: HardwareConfig) -> Fields:
    """Payload of the core's ``output``."""
    return {"kind": 2, "neuron": (config.neurons - 1).bit_length(),
            **({"value": config.acc_bits} if config.has("partial") else {})}


def request_fields() -> Fields:
    """Payload of the core's ``request``."""
    return {"write": 1, "space": 4, "address": 20, "data": 16}


def fabric_fields(config: FabricConfig) -> tuple[Fields, Fields, Fields]:
    """Payloads of the fabric's ``request``, ``events`` and ``output``."""
    fields = config.payload_fields
    return ({**request_fields(), "tile": config.host_tile.bit_length()},
            {"kind": 2, "neuron": config.input_bits},
            {"kind": 2, "tile": fields["channel"], "neuron": fields["number"]})


def pack(values: Payload, fields: Fields) -> int:
    """One number from the members of a payload; absent ones are 0, too large ones are refused."""
    word, shift = 0, 0
    for name, width in fields.items():
        value = values.get(name, 0)
        if not 0 <= value < 1 << width:
            raise ValueError(f"{name} must be in 0..{(1 << width) - 1}, not {value}")
        word |= value << shift
        shift += width
    return word


def unpack(word: int, fields: Fields) -> Payload:
    """Inverse of :func:`pack`."""
    values = {}
    for name, width in fields.items():
        values[name] = word & ((1 << width) - 1)
        word >>= width
    return values


async def reset(dut: SimHandleBase, cycles: int = 2) -> None:
    """Hold ``dut.rst`` for `cycles` clock cycles; returns after a falling edge."""
    await FallingEdge(dut.clk)
    dut.rst.value = 1
    for _ in range(cycles):
        await FallingEdge(dut.clk)
    dut.rst.value = 0


class StreamDriver:
    """Source of a stream: offers queued payloads, drives on the falling edge.

    Parameters
    ----------
    dut : SimHandleBase
        Toplevel with ``clk`` and ``<stream>__valid/ready/payload``.
    stream : str
        Name of the stream.
    fields : Fields
        Members of a structured payload; none: the payload is one number.
    stall : float
        Probability of not offering in a cycle, 0..1 (1 never offers).
    seed : int

    Attributes
    ----------
    times : list of float
        When each payload was taken [ns]: the falling edge before the clock edge that did it.
    """

    def __init__(self, dut: SimHandleBase, stream: str, fields: Fields | None = None, *,
                 stall: float = 0.0, seed: int = 0):
        self.stall = stall
        self.times: list[float] = []
        self._clk, self._fields = dut.clk, fields
        self._valid, self._ready, self._payload = (
            getattr(dut, f"{stream}__{name}") for name in _HANDSHAKE)
        self._queue: collections.deque[int] = collections.deque()
        self._rng = np.random.default_rng(seed)
        self._valid.value = 0

    def send(self, *payloads: int | Payload) -> None:
        """Queue payloads: a number, or one number per field."""
        for payload in payloads:
            self._queue.append(pack(payload, self._fields) if self._fields else payload)

    @property
    def pending(self) -> int:
        """Payloads that were not taken yet."""
        return len(self._queue)

    def flush(self) -> None:
        """Forget what was queued; for use with reset."""
        self._queue.clear()
        self._valid.value = 0

    async def run(self) -> None:
        """Coroutine that drives the stream; start it once with ``start_soon``."""
        offered = False
        while True:
            await FallingEdge(self._clk)
            if not self._queue:
                offered = False
            elif not offered:
                offered = self._rng.random() >= self.stall
            self._valid.value = int(offered)
            if not offered:
                continue
            self._payload.value = self._queue[0]
            await ReadOnly()
            if self._ready.value == 1 and self._queue:
                self._queue.popleft()
                self.times.append(get_sim_time("ns"))
                offered = False


class StreamMonitor:
    """Sink of a stream: takes payloads with random back-pressure and keeps them in order.

    Parameters and times are those of :class:`StreamDriver`; `stall` is the probability of not being
    ready; `taken` holds the payloads.
    The payload must hold until it is taken: a change of it, or a valid that falls, is an error.
    """

    def __init__(self, dut: SimHandleBase, stream: str, fields: Fields | None = None, *,
                 stall: float = 0.0, seed: int = 0):
        self.stall = stall
        self.taken: list[int | Payload] = []
        self.times: list[float] = []
        self._clk, self._stream, self._fields = dut.clk, stream, fields
        self._valid, self._ready, self._payload = (
            getattr(dut, f"{stream}__{name}") for name in _HANDSHAKE)
        self._rng = np.random.default_rng(seed)
        self._held: int | Payload | None = None
        self._ready.value = 0

    def flush(self) -> None:
        """Forget the offer that was seen; for use with reset."""
        self._held = None

    def _offer(self) -> int | Payload | None:
        if self._valid.value != 1:
            return None
        word = self._payload.value.to_unsigned()
        return unpack(word, self._fields) if self._fields else word

    async def run(self) -> None:
        """Coroutine that takes from the stream; start it once with ``start_soon``."""
        while True:
            await FallingEdge(self._clk)
            ready = self._rng.random() >= self.stall
            self._ready.value = int(ready)
            await ReadOnly()
            offer = self._offer()
            assert self._held is None or offer == self._held, (
                f"{self._stream} must hold {self._held} until it is taken, not offer {offer}")
            self._held = offer
            if ready and offer is not None:
                self.taken.append(offer)
                self.times.append(get_sim_time("ns"))
                self._held = None
