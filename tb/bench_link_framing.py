"""Bench of the frame receiver and the frame sender, side by side, against the golden framing.

The receiver's ports begin with ``receiver__``, the sender's with ``sender__``.
"""

from __future__ import annotations

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge

from lamina.models.link.framing import FrameDecoder, crc16, encode_frame
from lamina.tb.streams import StreamDriver, StreamMonitor, reset

COUNT, SEQUENCE, TAIL = 253, 254, 244
LOOSE_CRC = crc16(b"\x01\x02\xdb\x03").to_bytes(2, "big")


class Receiver:
    """Sends bytes into the receiver and reads the frames that it offers."""

    def __init__(self, dut, *, stall: float, pause: float):
        self.frames: list[bytes] = []
        self.bytes = StreamDriver(dut, "receiver__i", stall=stall, seed=cocotb.RANDOM_SEED)
        self._dut, self._pause = dut, pause
        self._rng = np.random.default_rng(cocotb.RANDOM_SEED + 1)
        dut.receiver__release_stb.value = 0

    async def start(self) -> None:
        """Start the clock, reset, and take frames from then on."""
        Clock(self._dut.clk, 10, unit="ns").start()
        await reset(self._dut)
        cocotb.start_soon(self.bytes.run())
        cocotb.start_soon(self._take())

    async def _byte(self, address: int) -> int:
        self._dut.receiver__address.value = address & 0xFF
        await FallingEdge(self._dut.clk)
        return self._dut.receiver__data.value.to_unsigned()

    async def _take(self) -> None:
        dut = self._dut
        while True:
            await FallingEdge(dut.clk)
            if dut.receiver__valid.value != 1 or self._rng.random() < self._pause:
                continue
            count = await self._byte(COUNT)
            frame = bytes([await self._byte(SEQUENCE + k) for k in range(count)])
            assert dut.receiver__valid.value == 1
            self.frames.append(frame)
            dut.receiver__release_stb.value = 1
            await FallingEdge(dut.clk)
            dut.receiver__release_stb.value = 0

    async def pass_through(self, stream: bytes) -> list[bytes]:
        """Send `stream`; the frames that came out of it."""
        self.frames = []
        self.bytes.send(*stream)
        while self.bytes.pending:
            await FallingEdge(self._dut.clk)
        await ClockCycles(self._dut.clk, 5)
        while self._dut.receiver__valid.value == 1:
            await FallingEdge(self._dut.clk)
        await ClockCycles(self._dut.clk, 3)
        return self.frames


async def started(dut, *, stall: float = 0.0, pause: float = 0.0) -> Receiver:
    receiver = Receiver(dut, stall=stall, pause=pause)
    await receiver.start()
    return receiver


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def good_frames_of_all_lengths(dut):
    """2 to 254 bytes, full of what must be escaped."""
    receiver = await started(dut)
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    bodies = [bytes((0xC0, 0xDB)), bytes(range(254)), b"\xc0" * 254, b"\xdb" * 253, bytes(3)]
    bodies += [rng.choice([0, 0xC0, 0xDB, 0xDC, 0xDD], int(n)).astype(np.uint8).tobytes()
               for n in rng.integers(2, 60, 20)]
    stream = b"".join(encode_frame(body) for body in bodies)
    assert await receiver.pass_through(stream) == bodies


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def bad_frames_leave_no_trace(dut):
    """Each kind of damage, followed by a good frame that must come through."""
    receiver = await started(dut)
    good = encode_frame(b"\x01\x02\x03\x04")
    bad = {
        "empty": b"\xc0\xc0\xc0\xc0",
        "one byte": encode_frame(b"\x07"),
        "no byte": encode_frame(b""),
        "257 bytes": encode_frame(bytes(255)),
        "770 bytes": encode_frame(b"\x55" * 768),
        "unknown escape": b"\xc0\x01\x02\xdb\x03" + LOOSE_CRC + b"\xc0",
        "doubled escape": encode_frame(b"\x01\xdb\x03").replace(b"\xdb\xdd", b"\xdb\xdb"),
        "escape before end": good[:-1] + b"\xdb\xc0",
        "escaped end": b"\xc0\x01\x02\x03\xdb\xc0",
        "end in the middle": good[:4] + b"\xc0" + good[4:],
        "cut": good[:-3] + b"\xc0",
        "high byte of the CRC": good[:5] + bytes((good[5] ^ 0x80,)) + good[6:],
        "low byte of the CRC": good[:6] + bytes((good[6] ^ 1,)) + good[7:],
    }
    for name, stream in bad.items():
        assert FrameDecoder().feed(stream) == [], name
        assert await receiver.pass_through(stream + good) == [b"\x01\x02\x03\x04"], name
    for bit in range(8, 8 * len(good) - 8):
        broken = bytearray(good)
        broken[bit // 8] ^= 1 << bit % 8
        assert await receiver.pass_through(bytes(broken)) == [], bit


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def random_streams_equal_the_golden_decoder(dut):
    """Frames and garbage, damaged at random, under stalls, with a slow reader."""
    receiver = await started(dut, stall=0.2, pause=0.9)
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    passed = lost = 0
    for _ in range(6):
        stream, sent = b"", 0
        for _ in range(15):
            sent += 1
            piece = encode_frame(rng.bytes(int(rng.integers(0, 30))))
            if rng.random() < 0.4:
                place = int(rng.integers(len(piece)))
                piece = piece[:place] + rng.bytes(int(rng.integers(3))) + piece[place + 1:]
            stream += piece
        expected = FrameDecoder().feed(stream + b"\xc0")
        assert await receiver.pass_through(stream + b"\xc0") == expected
        passed, lost = passed + len(expected), lost + sent - len(expected)
    assert passed > 20 and lost > 10


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def two_frames_wait(dut):
    """A frame not released stops the line after the second one, and nothing is lost."""
    receiver = await started(dut, pause=1.0)
    bodies = [b"one", b"two", b"three"]
    receiver.bytes.send(*b"".join(encode_frame(body) for body in bodies))
    await ClockCycles(dut.clk, 100)
    assert receiver.bytes.pending == len(encode_frame(b"three"))
    assert dut.receiver__i__ready.value == 0
    receiver._pause = 0.0
    assert await receiver.pass_through(b"\xc0") == bodies


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_in_the_middle(dut):
    """What came before the reset is forgotten, be it half a frame or a whole one."""
    receiver = await started(dut, pause=1.0)
    receiver.bytes.send(*(encode_frame(b"old one") + encode_frame(b"half of it")[:7]))
    while receiver.bytes.pending:
        await FallingEdge(dut.clk)
    await reset(dut)
    receiver._pause = 0.0
    assert await receiver.pass_through(encode_frame(b"new")) == [b"new"]


class Sender:
    """Stores replies in the sender and collects what it sends."""

    def __init__(self, dut, *, stall: float):
        self._dut = dut
        self.line = StreamMonitor(dut, "sender__o", stall=stall, seed=cocotb.RANDOM_SEED)
        for name in ("write", "start_stb"):
            getattr(dut, f"sender__{name}").value = 0

    async def start(self) -> None:
        """Start the clock, reset, and collect from then on."""
        Clock(self._dut.clk, 10, unit="ns").start()
        await reset(self._dut)
        cocotb.start_soon(self.line.run())

    async def store(self, slot: int, tail: int, body: bytes) -> None:
        """Write `body` and, first, the address behind it."""
        dut, base = self._dut, TAIL if tail else 0
        end = base + 1 + len(body)
        assert end < 256
        for offset, value in enumerate([end, *body]):
            dut.sender__write.value = 1
            dut.sender__address.value = slot * 256 + base + offset
            dut.sender__data.value = value
            await FallingEdge(dut.clk)
        dut.sender__write.value = 0

    async def send(self, slot: int, tail: int) -> bytes:
        """Send a stored reply; the bytes on the line."""
        dut = self._dut
        assert dut.sender__busy.value == 0
        self.line.taken.clear()
        dut.sender__slot.value, dut.sender__tail.value = slot, tail
        dut.sender__start_stb.value = 1
        await FallingEdge(dut.clk)
        dut.sender__start_stb.value = 0
        dut.sender__slot.value = slot ^ 3
        while dut.sender__busy.value == 1:
            assert dut.sender__busy_slot.value.to_unsigned() == slot
            await FallingEdge(dut.clk)
        return bytes(self.line.taken)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def replies_are_framed(dut):
    """Every slot, kept and not kept, sent twice, with escapes in body and CRC."""
    sender = Sender(dut, stall=0.3)
    await sender.start()
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    crc_escapes = [bytes((a, b, 0)) for a in range(256) for b in range(4)
                   if crc16(bytes((a, b, 0))) >> 8 in (0xC0, 0xDB)
                   or crc16(bytes((a, b, 0))) & 0xFF in (0xC0, 0xDB)]
    assert len(crc_escapes) > 4
    bodies = [b"\xc0\xdb\x00", bytes(range(243)), *crc_escapes[:6]]
    for index, body in enumerate(bodies):
        slot, tail = index % 4, int(len(body) < 12 and index % 2)
        await sender.store(slot, tail, body)
        await sender.store((slot + 1) % 4, 0, rng.bytes(8))
        await sender.store(slot, 1 - tail, rng.bytes(3))
        assert await sender.send(slot, tail) == encode_frame(body)
        assert await sender.send(slot, tail) == encode_frame(body)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def sending_takes_two_cycles_per_byte(dut):
    """Without back-pressure: 2 cycles per byte, 3 if escaped, 1 per CRC byte, and 8 in all."""
    sender = Sender(dut, stall=0.0)
    await sender.start()
    body = b"\x01\x02\x03\xc0\x05"
    assert not any(byte in (0xC0, 0xDB) for byte in crc16(body).to_bytes(2, "big"))
    await sender.store(2, 0, body)
    cycles = 0
    dut.sender__slot.value, dut.sender__tail.value = 2, 0
    dut.sender__start_stb.value = 1
    await FallingEdge(dut.clk)
    dut.sender__start_stb.value = 0
    while dut.sender__busy.value == 1:
        cycles += 1
        await FallingEdge(dut.clk)
    assert cycles == 2 * len(body) + 1 + 6
    assert bytes(sender.line.taken) == encode_frame(body)
