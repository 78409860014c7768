"""Bench of the Wishbone port: a master on the bus, streams on the other side.

``LAMINA_FINGERPRINT`` is the fingerprint that it was generated with.
"""

from __future__ import annotations

import os

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge

from lamina.models.config import WISHBONE_ID, WISHBONE_WORDS, WishboneFlag, WishboneRegister
from lamina.models.link.wishbone import bytes_of, word_of
from lamina.tb.streams import StreamDriver, StreamMonitor, reset
from lamina.tb.wishbone import WishboneMaster

FINGERPRINT = int(os.environ["LAMINA_FINGERPRINT"])
DATA, STATUS, ID, NUMBER = WishboneRegister
FLAGS = ("idle", "tick_ready", "refused")
PLACES = 64
"""Bytes of the device that wait before those that the next read takes."""


class Side:
    """The master, what the device takes, and what it gives."""

    def __init__(self, dut, *, pause: float = 0.0, stall: float = 0.0):
        seed = cocotb.RANDOM_SEED
        self.bus = WishboneMaster(dut, pause=pause, seed=seed)
        self.taken = StreamMonitor(dut, "rx", stall=stall, seed=seed + 1)
        self.given = StreamDriver(dut, "tx", stall=stall, seed=seed + 2)
        self._dut = dut
        for flag in FLAGS:
            getattr(dut, flag).value = 0

    async def start(self) -> None:
        """Start the clock, reset, and let the streams run."""
        Clock(self._dut.clk, 10, unit="ns").start()
        await reset(self._dut)
        cocotb.start_soon(self.taken.run())
        cocotb.start_soon(self.given.run())

    async def field(self, flag: WishboneFlag, bits: int = 8) -> int:
        """A field of the status."""
        return await self.bus.read(STATUS) >> flag & ((1 << bits) - 1)

    async def drain(self) -> bytes:
        """Read until nothing waits."""
        found = b""
        while await self.field(WishboneFlag.WAITING):
            found += bytes_of(await self.bus.read(DATA))
        return found


async def started(dut, **fields: float) -> Side:
    side = Side(dut, **fields)
    await side.start()
    return side


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def registers_read_as_documented(dut):
    """Identity, flags one by one, empty streams; every access takes one cycle to its ack."""
    side = await started(dut)
    assert await side.bus.read(ID) == WISHBONE_ID
    assert await side.bus.read(NUMBER) == FINGERPRINT
    assert await side.bus.read(DATA) == 0
    assert await side.bus.read(STATUS) == WISHBONE_WORDS
    for flag in FLAGS:
        getattr(dut, flag).value = 1
        assert await side.bus.read(STATUS) == WISHBONE_WORDS | 1 << WishboneFlag[flag.upper()]
        getattr(dut, flag).value = 0
    assert side.bus.waits == {1}
    assert dut.read_data.value == 0
    assert dut.waiting.value == 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def only_requests_are_answered(dut):
    """Neither cyc nor stb alone is an access; reading writes nothing, nor does a count of 0."""
    side = await started(dut)
    dut.write_data.value = word_of(b"abc")
    for cyc, stb in ((1, 0), (0, 1)):
        dut.cyc.value, dut.stb.value, dut.we.value = cyc, stb, 1
        for _ in range(4):
            await FallingEdge(dut.clk)
            assert dut.ack.value == 0
    dut.stb.value = 0
    await side.bus.write(DATA, 0x00636261)
    await side.bus.write(ID, word_of(b"xyz"))
    await side.bus.write(NUMBER, word_of(b"xyz"))
    assert await side.bus.read(DATA) == 0
    await ClockCycles(dut.clk, 10)
    assert side.taken.taken == []


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def an_access_every_other_cycle(dut):
    """A master that holds its request is served again: four words in eight cycles."""
    side = await started(dut)
    dut.address.value, dut.we.value = DATA >> 2, 1
    dut.write_data.value = word_of(b"ab")
    dut.cyc.value, dut.stb.value = 1, 1
    acks = []
    for _ in range(8):
        await FallingEdge(dut.clk)
        acks.append(int(dut.ack.value))
    dut.cyc.value, dut.stb.value = 0, 0
    await ClockCycles(dut.clk, 20)
    assert acks == [1, 0] * 4
    assert bytes(side.taken.taken) == b"ab" * 4


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def words_of_one_to_three_bytes(dut):
    """Both ways, in order, lowest byte first; the room is what is left."""
    side = await started(dut)
    for part in (b"\x01", b"\xff\x00", b"\xc0\xdb\x7f"):
        await side.bus.write(DATA, word_of(part))
    await ClockCycles(dut.clk, 12)
    assert bytes(side.taken.taken) == b"\x01\xff\x00\xc0\xdb\x7f"
    for count in (1, 2, 3, 4, 7):
        data = bytes(range(200, 200 + count))
        side.given.send(*data)
        await ClockCycles(dut.clk, 12)
        assert dut.waiting.value == 1
        assert await side.field(WishboneFlag.WAITING) == count
        first = await side.bus.read(DATA)
        assert bytes_of(first) == data[:3]
        await ClockCycles(dut.clk, 4)
        assert bytes_of(first) + await side.drain() == data
        assert await side.bus.read(DATA) == 0
        assert dut.waiting.value == 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def what_has_no_room_is_lost_and_noted(dut):
    """Sixteen words wait; the seventeenth leaves the flag, which a 1 clears, and no trace else."""
    side = await started(dut)
    side.taken.stall = 1.0
    for number in range(WISHBONE_WORDS):
        assert await side.field(WishboneFlag.ROOM) == WISHBONE_WORDS - number
        await side.bus.write(DATA, word_of(bytes((number, 99))))
    assert await side.bus.read(STATUS) == 0
    await side.bus.write(DATA, 0)
    assert await side.field(WishboneFlag.OVERRUN, 1) == 0
    await side.bus.write(DATA, word_of(b"lost"[:3]))
    assert await side.field(WishboneFlag.OVERRUN, 1) == 1
    await side.bus.write(STATUS, 0)
    assert await side.field(WishboneFlag.OVERRUN, 1) == 1
    await side.bus.write(STATUS, 1 << WishboneFlag.OVERRUN)
    assert await side.bus.read(STATUS) == 0
    side.taken.stall = 0.0
    await ClockCycles(dut.clk, 40)
    assert bytes(side.taken.taken) == b"".join(bytes((n, 99)) for n in range(WISHBONE_WORDS))
    assert await side.field(WishboneFlag.ROOM) == WISHBONE_WORDS


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_device_that_nobody_reads_waits(dut):
    """64 places and the word to read; nothing is lost beyond."""
    side = await started(dut)
    data = bytes(range(100))
    side.given.send(*data)
    await ClockCycles(dut.clk, 200)
    assert await side.field(WishboneFlag.WAITING) == PLACES + 3
    assert side.given.pending == len(data) - PLACES - 3
    assert await side.drain() == data


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def both_ways_at_random(dut):
    """Random words both ways, pauses on the bus, stalls of the streams: all in order."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    side = await started(dut)
    for pause, stall in ((0.0, 0.0), (0.5, 0.0), (0.0, 0.8), (0.7, 0.5)):
        side.bus.pause, side.taken.stall, side.given.stall = pause, stall, stall
        side.taken.taken.clear()
        sent, received = b"", b""
        answer = rng.integers(0, 256, 300, dtype=np.uint8).tobytes()
        side.given.send(*answer)
        while len(sent) < 300 or len(received) < len(answer):
            status = await side.bus.read(STATUS)
            assert not status >> WishboneFlag.OVERRUN
            if status & 0xFF and rng.random() < 0.7:
                part = rng.integers(0, 256, rng.integers(1, 4), dtype=np.uint8).tobytes()
                await side.bus.write(DATA, word_of(part))
                sent += part
            if rng.random() < 0.5:
                received += bytes_of(await side.bus.read(DATA))
        assert received == answer
        while len(side.taken.taken) < len(sent):
            await FallingEdge(dut.clk)
        assert bytes(side.taken.taken) == sent
    assert side.bus.waits == {1}
