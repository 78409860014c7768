"""Bench of the spike buffer: closed bitmaps, word by word, against the golden collection.

``LAMINA_CONFIG`` holds the :class:`HardwareConfig`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, ReadOnly

from lamina.models.config import EventKind, HardwareConfig
from lamina.models.spike_buffer import collect, scan
from lamina.tb.ports import Ports
from lamina.tb.streams import StreamDriver, event_fields

CONFIG = HardwareConfig.from_json(os.environ["LAMINA_CONFIG"])
LANES, AXONS = CONFIG.lanes, CONFIG.axons
WORDS = AXONS // LANES
SPIKE, TICK, CLEAR = (int(kind) for kind in EventKind)

Event = tuple[int, int]


class Buffer:
    """Feeds events, scans closed bitmaps and watches the handshake in every cycle."""

    def __init__(self, dut, *, stall: float = 0.0):
        self.dut = dut
        self.ports = Ports(dut, "input_axons", "hold", "address", "erase", "erase_all", "done_stb")
        self.ports.rest["input_axons"] = AXONS
        self.events = StreamDriver(dut, "events", event_fields(CONFIG), stall=stall,
                                   seed=cocotb.RANDOM_SEED)
        self.dropped = 0
        self._rng = np.random.default_rng(cocotb.RANDOM_SEED + 1)

    async def start(self) -> None:
        """Reset, then zero both bitmaps as the core does."""
        await self.ports.start()
        for address in range(WORDS):
            await self.ports.cycle(hold=1, address=address, erase=1, erase_all=1)
        await self.ports.cycle(hold=1)
        cocotb.start_soon(self.events.run())
        cocotb.start_soon(self._watch())

    async def _watch(self) -> None:
        dut = self.dut
        while True:
            await FallingEdge(dut.clk)
            await ReadOnly()
            free = not dut.hold.value and not dut.closed.value
            assert dut.open.value == free
            if dut.events__valid.value == 1:
                spike = dut.events__payload.value.to_unsigned() & 3 == SPIKE
                assert dut.events__ready.value == (not dut.hold.value if spike else free)
            self.dropped += int(dut.dropped_stb.value)

    def send(self, events: Sequence[Event]) -> None:
        """Queue events."""
        self.events.send(*({"kind": kind, "axon": axon} for kind, axon in events))

    async def read(self, *, erase: bool = True) -> list[int]:
        """Axons of the closed bitmap; erased word by word unless `erase` is false."""
        axons: list[int] = []
        pause, before = float(self._rng.choice([0.0, 0.5])), None
        steps: list[int | None] = []
        for word in range(WORDS):
            steps += [None] * int(self._rng.random() < pause) + [word]
        for step in (*steps, None):
            address = int(self._rng.integers(WORDS)) if step is None else step
            await self.ports.cycle(address=address, erase=int(erase and step is not None))
            if before is not None:
                bits = self.ports.read("word")
                axons += [before * LANES + lane for lane in range(LANES) if bits >> lane & 1]
            before = step
        return axons

    async def closed(self) -> None:
        """Wait for a closed bitmap."""
        await self.ports.cycle()
        while not self.ports.read("closed"):
            await self.ports.cycle()

    async def check(self, events: Sequence[Event], *, input_axons: int = AXONS) -> None:
        """Send `events`; every bitmap they close must be the golden one."""
        self.ports.rest["input_axons"] = input_axons
        self.dropped = 0
        expected, dropped = collect(events, axons=AXONS, input_axons=input_axons)
        self.send(events)
        for index, frame in enumerate(expected):
            await self.closed()
            assert self.ports.read("clear") == frame.clear, f"bitmap {index}"
            assert self.ports.read("silent") == (not frame.bitmap.any()), f"bitmap {index}"
            assert await self.read() == scan(frame.bitmap), f"bitmap {index}"
            await self.ports.cycle(done_stb=1)
        assert self.events.pending == 0
        assert self.dropped == dropped


async def started(dut, **options) -> Buffer:
    buffer = Buffer(dut, **options)
    await buffer.start()
    return buffer


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def neighbours_in_a_word_are_kept(dut):
    """Spikes in a row, and with one or two others between, hit one word and merge."""
    buffer = await started(dut)
    other = LANES + 1
    for axons in ([0, 0], [0, 1], [1, 2, 1], [0, 1, 2, 3], [0, other, 1], [0, other, 1, other + 1],
                  [0, other, other, 1], [AXONS - 1, 0, AXONS - 2], [3, other, 0, 2, other, 1]):
        await buffer.check([*((SPIKE, axon) for axon in axons), (TICK, 0)])
    for gaps in range(1, 4):
        for axon in (0, 2, 1):
            buffer.send([(SPIKE, axon)])
            for _ in range(gaps):
                await buffer.ports.cycle()
        buffer.send([(TICK, 0)])
        await buffer.closed()
        assert await buffer.read() == [0, 1, 2]
        await buffer.ports.cycle(done_stb=1)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def first_and_last_axon_and_all(dut):
    """Both ends, every axon forwards and backwards, and silence."""
    buffer = await started(dut)
    everyone = [(SPIKE, axon) for axon in range(AXONS)]
    for spikes in ([(SPIKE, 0)], [(SPIKE, AXONS - 1)], everyone, [], everyone[::-1], []):
        await buffer.check([*spikes, (TICK, 0)])


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def strange_axons_are_dropped(dut):
    """At and above INPUT_AXONS, none or nearly all of them; below it nothing is."""
    buffer = await started(dut)
    everyone = [(SPIKE, axon) for axon in range(AXONS)]
    for input_axons in (AXONS, AXONS - 1, LANES + 1, 1, 0):
        await buffer.check([*everyone, (CLEAR, 0)], input_axons=input_axons)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def closing_events_wait_their_turn(dut):
    """While a bitmap is closed its successor fills, and its TICK waits until ``done_stb``."""
    buffer = await started(dut)
    buffer.send([(SPIKE, 3), (CLEAR, 5), (SPIKE, 4), (SPIKE, 3), (TICK, 0), (SPIKE, 6), (TICK, 0)])
    await buffer.closed()
    for _ in range(12):
        await buffer.ports.cycle()
    assert buffer.events.pending == 3
    assert buffer.ports.read("clear") == 1
    assert await buffer.read(erase=False) == [3]
    assert await buffer.read() == [3]
    assert await buffer.read() == []
    for axons in ([3, 4], [6]):
        await buffer.ports.cycle(done_stb=1)
        await buffer.closed()
        assert buffer.ports.read("clear") == 0
        assert await buffer.read() == axons
    assert buffer.events.pending == 0


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def hold_stops_everything(dut):
    """Neither SPIKE nor TICK is taken under ``hold``; nothing is lost by it."""
    buffer = await started(dut)
    events = [(SPIKE, 1), (TICK, 0), (SPIKE, 2), (TICK, 0)]
    for count in range(3):
        buffer.ports.rest["hold"] = 1
        await buffer.ports.cycle()
        buffer.send(events)
        for _ in range(6):
            await buffer.ports.cycle()
            assert buffer.ports.read("closed") == 0
        assert buffer.events.pending == len(events), count
        buffer.ports.rest["hold"] = 0
        for axon in (1, 2):
            await buffer.closed()
            assert await buffer.read() == [axon]
            await buffer.ports.cycle(done_stb=1)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def erase_all_empties_both_bitmaps(dut):
    """Filled bitmaps, open and closed, are zero after a sweep; ``erase`` spares the open one."""
    buffer = await started(dut)
    everyone = [(SPIKE, axon) for axon in range(AXONS)]
    for everything in (0, 1):
        buffer.send([*everyone, (TICK, 0), *everyone])
        await buffer.closed()
        while buffer.events.pending:
            await buffer.ports.cycle()
        for address in range(WORDS):
            await buffer.ports.cycle(address=address, erase=1, erase_all=everything)
        await buffer.ports.cycle()
        assert await buffer.read(erase=False) == []
        await buffer.ports.cycle(done_stb=1)
        buffer.send([(TICK, 0)])
        await buffer.closed()
        assert await buffer.read() == ([] if everything else list(range(AXONS)))
        await buffer.ports.cycle(done_stb=1)


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.4])
async def random_events_agree(dut, stall):
    """Sparse, dense and clustered timesteps, events and scans at their own pace."""
    buffer = await started(dut, stall=stall)
    rng = np.random.default_rng([cocotb.RANDOM_SEED, int(10 * stall)])
    for _ in range(4):
        events: list[Event] = []
        for _ in range(6):
            spread = int(rng.choice([2, LANES, AXONS]))
            base = int(rng.integers(AXONS - spread + 1))
            events += [(SPIKE, base + axon)
                       for axon in rng.integers(spread, size=rng.integers(3 * LANES)).tolist()]
            events.append((int(rng.choice([TICK, CLEAR])), int(rng.integers(AXONS))))
        await buffer.check(events, input_axons=int(rng.integers(AXONS // 2, AXONS + 1)))


def spikes(axons: np.ndarray, *, ahead: int = 0) -> list[dict]:
    return [{"kind": SPIKE, "axon": axon, "next": ahead} for axon in axons.tolist()]


@cocotb.test(timeout_time=20, timeout_unit="ms", skip=not CONFIG.has("ahead"))
@cocotb.parametrize(stall=[0.0, 0.4])
async def spikes_may_be_ahead_of_their_tick(dut, stall):
    """Spikes of two timesteps mixed, those of the next one while no bitmap is closed."""
    buffer = await started(dut, stall=stall)
    rng = np.random.default_rng([cocotb.RANDOM_SEED, int(10 * stall)])
    steps = [rng.integers(int(rng.choice([3, AXONS])), size=rng.integers(3 * LANES))
             for _ in range(60)]
    shares = [np.array_split(axons, np.sort(rng.integers(len(axons) + 1, size=2)))
              for axons in steps]
    assert sum(len(share[0]) for share in shares) > 60
    for index in range(len(steps)):
        ahead = shares[index + 1][0] if index + 1 < len(steps) else np.zeros(0, dtype=int)
        mixed = spikes(shares[index][2]) + spikes(ahead, ahead=1)
        rng.shuffle(mixed)
        buffer.events.send(*mixed, {"kind": TICK, "next": int(rng.integers(2))})
        await buffer.closed()
        if index + 1 < len(steps):
            buffer.events.send(*spikes(shares[index + 1][1]))
        wanted = steps[index] if index else np.concatenate(shares[index][2:])
        assert buffer.ports.read("silent") == (not len(wanted))
        assert await buffer.read() == np.unique(wanted).tolist(), f"bitmap {index}"
        while buffer.events.pending:
            await buffer.ports.cycle()
        await buffer.ports.cycle(done_stb=1)
        await buffer.ports.cycle()
