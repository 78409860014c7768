"""Drivers and monitors of valid/ready streams, with seeded random stalls.

All of them drive on the falling edge and look once everything has settled after it: what they see
is what the next rising edge acts on.
"""

from __future__ import annotations

import collections

import numpy as np
from cocotb.handle import SimHandleBase
from cocotb.triggers import FallingEdge, ReadOnly

__all__ = ["StreamDriver", "StreamMonitor", "reset"]

Payload = dict[str, int]
_HANDSHAKE = ("valid", "ready")


def _signals(dut: SimHandleBase, stream: str, fields: tuple[str, ...]) -> dict[str, SimHandleBase]:
    """Handles of the payload: ``<stream>__payload`` or ``<stream>__payload__<field>`` each."""
    if not fields:
        return {"": getattr(dut, f"{stream}__payload")}
    return {field: getattr(dut, f"{stream}__payload__{field}") for field in fields}


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
    fields : tuple of str
        Members of a structured payload; none: the payload is one number.
    stall : float
        Probability of not offering in a cycle, 0..1 (1 never offers).
    seed : int
    """

    def __init__(self, dut: SimHandleBase, stream: str, fields: tuple[str, ...] = (), *,
                 stall: float = 0.0, seed: int = 0):
        self.stall = stall
        self._clk = dut.clk
        self._valid, self._ready = (getattr(dut, f"{stream}__{name}") for name in _HANDSHAKE)
        self._payload = _signals(dut, stream, fields)
        self._queue: collections.deque[Payload] = collections.deque()
        self._rng = np.random.default_rng(seed)
        self._valid.value = 0

    def send(self, *payloads: int | Payload) -> None:
        """Queue payloads: a number, or one number per field."""
        for payload in payloads:
            self._queue.append(payload if isinstance(payload, dict) else {"": payload})

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
            for field, value in self._queue[0].items():
                self._payload[field].value = value
            await ReadOnly()
            if self._ready.value == 1:
                self._queue.popleft()
                offered = False


class StreamMonitor:
    """Sink of a stream: takes payloads with random back-pressure and keeps them in order.

    Parameters are those of :class:`StreamDriver`; `stall` is the probability of not being ready.
    The payload must hold until it is taken: a change of it, or a valid that falls, is an error.
    """

    def __init__(self, dut: SimHandleBase, stream: str, fields: tuple[str, ...] = (), *,
                 stall: float = 0.0, seed: int = 0):
        self.stall = stall
        self.taken: list[int | Payload] = []
        self._clk, self._stream = dut.clk, stream
        self._valid, self._ready = (getattr(dut, f"{stream}__{name}") for name in _HANDSHAKE)
        self._payload = _signals(dut, stream, fields)
        self._rng = np.random.default_rng(seed)
        self._held: int | Payload | None = None
        self._ready.value = 0

    def flush(self) -> None:
        """Forget the offer that was seen; for use with reset."""
        self._held = None

    def _offer(self) -> int | Payload | None:
        if self._valid.value != 1:
            return None
        values = {field: handle.value.to_unsigned() for field, handle in self._payload.items()}
        return values.get("", values)

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
                self._held = None
