"""Bench of the host link: a Python core behind it, the golden device as its judge.

``LAMINA_CONFIG`` holds the :class:`HardwareConfig`. Replies must equal those of the golden device
byte for byte; the Python core is the golden core behind streams with random stalls.
"""

from __future__ import annotations

import os

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge

from lamina.models.config import EventKind, HardwareConfig, LinkStatus, Opcode, Register, Space
from lamina.models.link.device import GoldenCore, GoldenDevice
from lamina.models.link.driver import Driver, Exchange, converse_async
from lamina.models.link.framing import FrameDecoder, Reply, Request, encode_frame
from lamina.models.network import run
from lamina.tb.programs import random_program, random_spikes
from lamina.tb.streams import (
    StreamDriver,
    StreamMonitor,
    event_fields,
    output_fields,
    request_fields,
    reset,
    unpack,
)

CONFIG = HardwareConfig.from_json(os.environ["LAMINA_CONFIG"])


class CoreModel:
    """The golden core on the core's side of the link."""

    def __init__(self, dut, stall: float):
        self.core = GoldenCore(CONFIG)
        self.events = StreamMonitor(dut, "events", event_fields(CONFIG), stall=stall,
                                    seed=cocotb.RANDOM_SEED + 1)
        self.output = StreamDriver(dut, "output", output_fields(CONFIG), stall=stall,
                                   seed=cocotb.RANDOM_SEED + 2)
        self.requests = 0
        self.busy = False
        self._dut, self._stall = dut, stall
        self._rng = np.random.default_rng(cocotb.RANDOM_SEED + 3)
        dut.request__ready.value = dut.response__valid.value = 0
        self._flags()

    def _flags(self) -> None:
        dut = self._dut
        dut.idle.value = int(not self.busy)
        dut.tick_ready.value = int(self.core.takes_events and not self.busy)
        dut.refused.value = int(self.core.refused)

    def start(self) -> None:
        """Begin to serve all streams."""
        for coroutine in (self.events.run(), self.output.run(), self._follow(), self._serve()):
            cocotb.start_soon(coroutine)

    @property
    def quiet(self) -> bool:
        """Everything that was taken has had its effect."""
        return not (self.events.taken or self.output.pending or self.core.output)

    async def _follow(self) -> None:
        """Have the core do what the events say."""
        while True:
            await FallingEdge(self._dut.clk)
            taken, self.events.taken = self.events.taken, []
            for event in taken:
                self._act(event)
            while self.core.output:
                word = self.core.output.popleft()
                self.output.send({"kind": word >> 14, "neuron": word & 0x3FFF})
            self._flags()

    def _act(self, event) -> None:
        if event["kind"] == EventKind.SPIKE:
            self.core.spike(event["axon"])
        elif event["kind"] == EventKind.TICK:
            self.core.tick()
        else:
            assert event["kind"] == EventKind.CLEAR
            self.core.clear()

    async def _serve(self) -> None:
        """Serve requests; a read is taken either before or together with its response."""
        dut = self._dut
        while True:
            await FallingEdge(dut.clk)
            dut.request__ready.value = 0
            if dut.request__valid.value != 1 or self._rng.random() < self._stall:
                continue
            word = unpack(dut.request__payload.value.to_unsigned(), request_fields())
            self.requests += 1
            early = self._rng.random() < 0.5
            dut.request__ready.value = int(bool(word["write"]) or early)
            if word["write"]:
                self.core.write(word["space"], word["address"], word["data"])
            else:
                await self._respond(self.core.read(word["space"], word["address"]), early)

    async def _respond(self, value: int, early: bool) -> None:
        dut = self._dut
        if early:
            await FallingEdge(dut.clk)
            dut.request__ready.value = 0
            assert dut.request__valid.value == 0
        await ClockCycles(dut.clk, int(self._rng.integers(3)) if self._stall else 0)
        await FallingEdge(dut.clk)
        dut.response__payload.value = value
        dut.response__valid.value = 1
        while True:
            await FallingEdge(dut.clk)
            if dut.response__ready.value == 1:
                break
        dut.request__ready.value = int(not early)
        await FallingEdge(dut.clk)
        dut.response__valid.value = dut.request__ready.value = 0


class Line:
    """Transport over the byte streams that holds every reply against the golden device."""

    def __init__(self, dut, *, stall: float = 0.0):
        self.golden = GoldenDevice(CONFIG)
        self.model = CoreModel(dut, stall)
        self.statuses: list[LinkStatus] = []
        self._dut = dut
        self._rx = StreamDriver(dut, "rx", stall=stall, seed=cocotb.RANDOM_SEED + 4)
        self._tx = StreamMonitor(dut, "tx", stall=stall, seed=cocotb.RANDOM_SEED + 5)

    async def start(self, *, serve: bool = True) -> None:
        """Start the clock, reset, and serve the streams (the core's only on demand)."""
        Clock(self._dut.clk, 10, unit="ns").start()
        await reset(self._dut)
        cocotb.start_soon(self._rx.run())
        cocotb.start_soon(self._tx.run())
        if serve:
            self.model.start()

    async def raw(self, data: bytes, replies: int, patience: int = 4000) -> bytes:
        """Send `data`; what came back once `replies` frames did, or `patience` cycles after."""
        self._rx.send(*data)
        waited = 0
        while bytes(self._tx.taken).count(0xC0) < 2 * replies and waited < patience:
            waited = 0 if self._rx.pending else waited + 1
            await FallingEdge(self._dut.clk)
        while self._rx.pending:
            await FallingEdge(self._dut.clk)
        taken, self._tx.taken = self._tx.taken, []
        return bytes(taken)

    async def settle(self) -> None:
        """Let the output reach the buffer."""
        while not self.model.quiet:
            await FallingEdge(self._dut.clk)
        await ClockCycles(self._dut.clk, 4)

    async def exchange(self, exchange: Exchange) -> bytes:
        """Send, receive and compare."""
        await self.settle()
        expected = self.golden.receive(exchange.data)
        replies = FrameDecoder().feed(expected)
        got = await self.raw(exchange.data, len(replies))
        await self.settle()
        assert got == expected, (exchange.data.hex(), got.hex(), expected.hex())
        self.statuses += [Reply.parse(body).status for body in replies]
        return got

    async def ask(self, sequence: int, opcode: int, payload: bytes = b"") -> Reply:
        """One request, not compared with the golden device."""
        got = await self.raw(Request(sequence=sequence, opcode=opcode, payload=payload).encode(), 1)
        [body] = FrameDecoder().feed(got)
        return Reply.parse(body)


async def started(dut, **options) -> Line:
    line = Line(dut, stall=options.pop("stall", 0.0))
    await line.start(**options)
    return line


async def run_network(dut, stall: float) -> None:
    """Load a random program and run samples through the driver."""
    line = await started(dut, stall=stall)
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    program = random_program(rng, CONFIG, timesteps=4)
    spikes = random_spikes(rng, program, 2)
    trace = run(program, spikes, CONFIG.tiers, trace=True)
    driver = Driver(CONFIG)
    await converse_async(driver.hello(), line)
    await converse_async(driver.load_program(program), line)
    for index, sample in enumerate(spikes):
        events, membranes = await converse_async(driver.run_sample(sample), line)
        row = sum(-(-layer.neurons // CONFIG.lanes) for layer in program.layers[:-1])
        first = row * CONFIG.lanes
        np.testing.assert_array_equal(events[:, first:first + program.outputs],
                                      trace.spikes[index])
        for got, want in zip(membranes, trace.final_membranes, strict=True):
            np.testing.assert_array_equal(got, want[index])
    assert trace.spikes.any() and line.model.requests > 50


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def network_without_stalls(dut):
    """Load, run and read back; all replies and the results equal the golden ones."""
    await run_network(dut, 0.0)


@cocotb.test(timeout_time=8, timeout_unit="ms")
async def network_with_stalls(dut):
    """The same with random stalls on every stream."""
    await run_network(dut, 0.4)


def payload_of(rng: np.random.Generator, opcode: int) -> bytes:
    """A payload that is right more often than not."""
    place = bytes((int(rng.choice([0, 0, 1, 2, 3, 7, 8, 8 + len(CONFIG.tiers) - 1,
                                   8 + len(CONFIG.tiers), 255])), int(rng.integers(256)), 0,
                   int(rng.choice([0, 0, 0, 0, 0, 15, 16, 255]))))
    words = rng.bytes(2 * int(rng.integers(0, min(5, CONFIG.payload_bytes // 2 - 1))))
    count = int(rng.choice([0, 1, 2, 5, CONFIG.reply_words, CONFIG.reply_words + 1, 255]))
    offset = 8 * int(rng.integers(0, CONFIG.axons // 8 + 1)) + int(rng.random() < 0.1)
    bitmap = bytes(rng.choice([0, 0, 1, 0x80, 0xA5], int(rng.integers(0, 4))).tolist())
    usual = {
        Opcode.WRITE: bytes((int(rng.choice([1, 2, 8])),)) + place[1:] + words,
        Opcode.READ: place + bytes((count,)),
        Opcode.EVENTS: bytes((int(rng.choice([0, 0, 1, 2, 3, 4])),))
        + offset.to_bytes(2, "little") + bitmap,
        Opcode.OUTPUT: bytes((count,)),
    }.get(opcode, b"")
    chance = rng.random()
    return usual + b"\x01" if chance < 0.1 else usual[:-1] if chance < 0.2 else usual


@cocotb.test(timeout_time=40, timeout_unit="ms")
async def random_requests(dut):
    """Right and wrong requests under right, repeated and skipped numbers, damaged frames."""
    line = await started(dut, stall=0.1)
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    driver = Driver(CONFIG)
    await converse_async(driver.hello(), line)
    await converse_async(driver.load_program(random_program(rng, CONFIG)), line)
    sequence, counts = driver._sequence, {}
    for _ in range(250):
        opcode = int(rng.choice([1, 2, 3, 3, 4, 4, 5, 5, 6, 128, 0], p=[.1] * 9 + [.05] * 2))
        chance = rng.random()
        number = (sequence + (0 if chance < 0.7 else int(rng.integers(-6, 4)))) & 0xFF
        frame = Request(sequence=number, opcode=opcode, payload=payload_of(rng, opcode)).encode()
        if rng.random() < 0.15:
            place = int(rng.integers(1, len(frame)))
            frame = frame[:place] + rng.bytes(int(rng.integers(3))) + frame[place + 1:] + b"\xc0"
        await line.exchange(Exchange(data=frame))
        sequence = line.golden._expected
    for status in line.statuses:
        counts[status] = counts.get(status, 0) + 1
    expected = {LinkStatus.OK, LinkStatus.SEQUENCE, LinkStatus.OPCODE, LinkStatus.RANGE}
    assert all(counts.get(status, 0) > 3 for status in expected), counts


@cocotb.test(timeout_time=8, timeout_unit="ms")
async def numbers_wrap_and_replies_are_kept(dut):
    """Numbers past 255; the replies that are kept come again, older ones are refused."""
    line = await started(dut)
    await line.exchange(Exchange(data=Request(sequence=250, opcode=0).encode()))
    numbers = [(251 + k) & 0xFF for k in range(20)]
    for number in numbers:
        frame = Request(sequence=number, opcode=Opcode.READ, payload=b"\0\2\0\0\2").encode()
        await line.exchange(Exchange(data=frame))
    executed = line.model.requests
    for age in (1, *range(CONFIG.window, 0, -1), 1):
        await line.exchange(Exchange(data=Request(
            sequence=(numbers[-1] - age + 1) & 0xFF, opcode=Opcode.STATUS).encode()))
    assert line.model.requests == executed
    assert set(line.statuses) == {LinkStatus.OK}
    for distance in (-CONFIG.window, 2, 100):
        await line.exchange(Exchange(data=Request(
            sequence=(numbers[-1] + distance) & 0xFF, opcode=Opcode.STATUS).encode()))
    assert line.statuses[-3:] == [LinkStatus.SEQUENCE] * 3


@cocotb.test(timeout_time=8, timeout_unit="ms")
async def a_window_of_long_requests(dut):
    """As many as may be on their way, and long replies, on a stalled line, and once again."""
    line = await started(dut, stall=0.5)
    window, longest = CONFIG.window, bytes(range(CONFIG.payload_bytes - 4))
    read = [Request(sequence=k, opcode=Opcode.READ,
                    payload=b"\0\0\0\0" + bytes((CONFIG.reply_words,))).encode()
            for k in range(window)]
    write = [Request(sequence=window + k, opcode=Opcode.WRITE,
                     payload=b"\x08" + bytes((k * 16, 0, 0)) + longest).encode()
             for k in range(window)]
    for batch in (read, read, write, write):
        await line.exchange(Exchange(data=b"".join(batch)))
    assert line.statuses == [LinkStatus.OK] * 4 * window


@cocotb.test(timeout_time=8, timeout_unit="ms")
async def a_slot_that_is_being_sent_is_not_written(dut):
    """The oldest kept reply is sent again, slowly, while the next request wants its slot."""
    line = await started(dut, stall=0.9)
    read = Request(sequence=0, opcode=Opcode.READ, payload=b"\0\0\0\0\x08").encode()
    await line.exchange(Exchange(data=read))
    for number in range(1, CONFIG.window):
        await line.exchange(Exchange(data=Request(sequence=number, opcode=Opcode.STATUS).encode()))
    status = Request(sequence=CONFIG.window, opcode=Opcode.STATUS).encode()
    strange = Request(sequence=100, opcode=Opcode.STATUS).encode()
    await line.exchange(Exchange(data=read + status + strange + strange))


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def busy_leaves_the_number_unused(dut):
    """Events and memories wait for the core, everything else is served meanwhile."""
    line = await started(dut)
    line.model.core.write(Space.REGISTERS, Register.LAYERS, 1)
    line.model.core.write(Space.REGISTERS, Register.INPUT_AXONS, CONFIG.axons)
    line.model.busy = True
    await ClockCycles(dut.clk, 2)
    first = await line.ask(0, Opcode.READ, b"\0\0\0\0\1")
    assert (first.status, first.payload) == (LinkStatus.OK, b"\x41\x4c")
    for opcode, payload in ((Opcode.EVENTS, b"\x01\0\0\xff"), (Opcode.EVENTS, b"\x02\0\0"),
                            (Opcode.READ, b"\x02\0\0\0\1"), (Opcode.WRITE, b"\x08\0\0\0\1\2"),
                            (Opcode.WRITE, b"\x01\0\0\0\1\2")):
        reply = await line.ask(1, opcode, payload)
        assert (reply.opcode, reply.status) == (opcode, LinkStatus.BUSY)
        assert not line.model.events.taken
    assert (await line.ask(0, Opcode.STATUS)) == first
    reply = await line.ask(1, Opcode.EVENTS, b"\x00\0\0\x81")
    assert reply.status == LinkStatus.OK
    assert np.flatnonzero(line.model.core._bitmap).tolist() == [0, 7]
    status = await line.ask(2, Opcode.STATUS)
    assert status.payload == b"\0\0\0"
    line.model.busy = False
    await ClockCycles(dut.clk, 2)
    assert (await line.ask(3, Opcode.READ, b"\x02\0\0\0\1")).status == LinkStatus.OK


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def full_output_buffer(dut):
    """The core waits when the buffer is full; the words come out in order, in steps."""
    line = await started(dut)
    depth = CONFIG.output_words
    neurons = [k % CONFIG.neurons for k in range(depth + 5)]
    line.model.output.send(*({"kind": 0, "neuron": neuron} for neuron in neurons))
    line.model.output.send({"kind": 1}, {"kind": 2})
    await ClockCycles(dut.clk, depth + 50)
    assert line.model.output.pending == 7
    status = await line.ask(0, Opcode.STATUS)
    assert status.payload == bytes((0b1001,)) + depth.to_bytes(2, "little")
    words, number = [], 1
    longest = CONFIG.reply_words
    for most in [1, 7, *[longest] * (depth // longest + 1)]:
        reply = await line.ask(number, Opcode.OUTPUT, bytes((most,)))
        words += np.frombuffer(reply.payload, dtype="<u2").tolist()
        number += 1
    assert words == [*neurons, 1 << 14, 2 << 14]


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def a_core_that_stops_taking_events(dut):
    """A frame whose spikes are refused half-way ends, and the link goes on."""
    line = await started(dut, serve=False)
    dut.events__ready.value = 0
    dut.idle.value, dut.tick_ready.value, dut.refused.value = 0, 1, 0
    payload = b"\x01\0\0\x03"
    cocotb.start_soon(stop_after_a_spike(dut, refused=1))
    assert (await line.ask(0, Opcode.EVENTS, payload)).status == LinkStatus.TIER_LOST
    dut.refused.value, dut.tick_ready.value = 0, 1
    cocotb.start_soon(stop_after_a_spike(dut, idle=1, tick_ready=0))
    assert (await line.ask(1, Opcode.EVENTS, payload)).status == LinkStatus.BUSY
    assert (await line.ask(1, Opcode.EVENTS, b"\x00\0\0\x03")).status == LinkStatus.BUSY
    assert (await line.ask(1, Opcode.EVENTS, payload)).status == LinkStatus.BUSY
    assert (await line.ask(1, Opcode.EVENTS, b"\x00\0\0\0")).status == LinkStatus.BUSY
    dut.refused.value = 1
    assert (await line.ask(1, Opcode.EVENTS, b"\x00\0\0\0")).status == LinkStatus.TIER_LOST
    assert (await line.ask(2, Opcode.STATUS)).payload == b"\x05\0\0"


async def stop_after_a_spike(dut, **flags):
    """Take one spike, then none, and say why after a while."""
    while dut.events__valid.value != 1:
        await FallingEdge(dut.clk)
    dut.events__ready.value = 1
    await FallingEdge(dut.clk)
    dut.events__ready.value = 0
    await ClockCycles(dut.clk, 20)
    await FallingEdge(dut.clk)
    assert dut.events__valid.value == 1
    for name, value in flags.items():
        getattr(dut, name).value = value


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def reset_in_mid_frame(dut):
    """After a reset the link expects number 0 and keeps nothing."""
    line = await started(dut)
    for number in range(3):
        assert (await line.ask(number, Opcode.STATUS)).status == LinkStatus.OK
    half = Request(sequence=3, opcode=Opcode.WRITE, payload=bytes(range(12))).encode()[:9]
    await line.raw(half, 0, patience=5)
    await reset(dut)
    assert (await line.ask(2, Opcode.STATUS)).status == LinkStatus.SEQUENCE
    assert (await line.ask(0, Opcode.STATUS)).status == LinkStatus.OK


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def garbage_does_nothing(dut):
    """Noise, and whole frames that answer nothing: no reply, no request, no event."""
    line = await started(dut)
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    good = Request(sequence=0, opcode=Opcode.EVENTS, payload=b"\0\0\0\xff").encode()
    stream = rng.bytes(1500) + encode_frame(bytes(255)) + good[:-2] + b"\xc0"
    assert FrameDecoder().feed(stream) == []
    assert await line.raw(stream, 1, patience=300) == b""
    assert line.model.requests == 0 and not line.model.core._bitmap.any()
    assert (await line.ask(0, Opcode.STATUS)).status == LinkStatus.OK
