"""Bench of both ends of a link between chips, the wires between them disturbed in many ways.

``LAMINA_CONFIG`` holds the :class:`MeshConfig`; the ends, ``near`` and ``far``, are those of its
first link that leaves a chip. Each is held to its golden twin in every cycle.
"""

from __future__ import annotations

import collections
import os

import cocotb
import numpy as np

from lamina.models.fabric.chip_link import (
    ChipLinkEnd,
    Framer,
    Packet,
    crc16,
    destinations,
)
from lamina.models.fabric.config import MeshConfig, Port
from lamina.tb.ports import Ports

CONFIG = MeshConfig.from_json(os.environ["LAMINA_CONFIG"])
LINK = CONFIG.chip_link
TILE, PORT = next((tile, port) for tile in range(CONFIG.tiles) for port in CONFIG.ports
                  if CONFIG.leaves_chip(tile, port))
TABLE = CONFIG.routing == "table"
WORDS = 1 << LINK.link_bits
TAGS = 1 << CONFIG.payload_bits
START_CYCLES = 2
"""From the decision to send to the first word on the wires."""


class Wires:
    """One direction: words arrive `delay` cycles later, and not always as they were sent.

    Parameters
    ----------
    delay : int
        1 or more.
    noise : dict of str to float
        Probability in each cycle: ``flip`` of each wire, ``drop`` of a word, ``insert`` of a random
        one.
    """

    def __init__(self, rng: np.random.Generator, delay: int, noise: dict[str, float]):
        self._rng, self._delay = rng, delay
        self.noise = noise
        self.stuck: tuple[int, int] | None = None
        self.queue: collections.deque[tuple[int, int]] = collections.deque([(0, 0)] * delay)

    def _happens(self, what: str) -> bool:
        return self._rng.random() < self.noise.get(what, 0.0)

    def put(self, frame: int, word: int) -> None:
        """What the sender drives in this cycle."""
        if self._happens("insert"):
            self.queue.append((1, int(self._rng.integers(WORDS))))
        waits = not frame and len(self.queue) > self._delay and not self.queue[-1][0]
        if not waits and not self._happens("drop"):
            self.queue.append((frame, word))

    def get(self) -> tuple[int, int]:
        """What the receiver sees in the next cycle."""
        frame, word = self.queue.popleft() if self.queue else (0, 0)
        if self.stuck is not None:
            return self.stuck
        flips = [self._happens("flip") for _ in range(LINK.link_bits + 1)] \
            if self.noise.get("flip") else [False]
        return frame ^ flips[0], word ^ sum(flip << bit for bit, flip in enumerate(flips[1:]))


class End:
    """An end, its golden twin, and what goes in and out of it."""

    def __init__(self, ports: Ports, name: str, rng: np.random.Generator, tile: int, port: Port):
        self._ports, self._name, self._rng = ports, name, rng
        addresses = {CONFIG.address(target) for target in self.targets(tile, port)}
        mask = (1 << CONFIG.address_bits) - 1
        self.golden = ChipLinkEnd(LINK, lambda flit: flit & mask in addresses)
        self.queue: collections.deque[int] = collections.deque()
        self.taken: list[tuple[int, int]] = []
        self.sent: list[Packet] = []
        self.stall = 0.0
        self._offered = False
        self._heard, self._told = Framer(), Framer()
        self._past: collections.deque = collections.deque(maxlen=START_CYCLES + 1)
        self._began = None

    @staticmethod
    def targets(tile: int, port: Port) -> list[int]:
        """Tiles that flits may go on to; where routes are looked up, every second one."""
        return [*range(0, CONFIG.tiles, 2)] if TABLE else destinations(CONFIG, tile, port)

    def drive(self, wires: tuple[int, int]) -> dict[str, int]:
        """Inputs of this cycle."""
        self._offered = bool(self.queue) and (self._offered or self._rng.random() >= self.stall)
        self._takes = bool(self._rng.random() >= self.stall)
        self._wires = wires
        return {f"{self._name}__i__valid": int(self._offered),
                f"{self._name}__i__payload": self.queue[0] if self._offered else 0,
                f"{self._name}__o__ready": int(self._takes),
                f"{self._name}__rx_frame": wires[0], f"{self._name}__rx_data": wires[1]}

    def read(self, name: str) -> int:
        """A port of this end."""
        return self._ports.read(f"{self._name}__{name}")

    def check(self, cycle: int) -> tuple[int, int]:
        """Hold this cycle to the golden end; returns what is on its outgoing wires."""
        golden = self.golden
        wires = self.read("tx_frame"), self.read("tx_data")
        assert self.read("malformed") == golden.malformed
        assert self.read("i__ready") == golden.ready
        self._check_told(*wires)
        offered = self.read("o__valid")
        assert offered == (len(golden.arrived) > len(self.taken))
        if offered and self._takes:
            self.taken.append((cycle, self.read("o__payload")))
            assert self.taken[-1][1] == golden.arrived[len(self.taken) - 1]
        accepted = self._offered and golden.ready
        words = self._heard.feed(*self._wires)
        if words:
            golden.hear(words)
        if accepted:
            golden.put(self.queue.popleft())
            self._offered = False
        if offered and self._takes:
            golden.take()
        return wires

    def _check_told(self, frame: int, word: int) -> None:
        """A packet tells what was so when it was begun."""
        self._past.append((self.golden.held, self.golden.answers))
        if frame and self._began is None:
            self._began = self._past[0]
        words = self._told.feed(frame, word)
        if words:
            (held, answers), self._began = self._began, None
            packet = Packet.decode(LINK, words)
            assert packet is not None and (packet.expected, packet.taken) == answers
            assert packet.flit is None or packet.flit == held[packet.sequence]
            self.sent.append(packet)

    @property
    def resent(self) -> int:
        """Packets with a flit beyond the first one of each."""
        return sum(packet.flit is not None for packet in self.sent)


class Bench:
    """Both ends and the wires between them."""

    def __init__(self, dut, seed: list[int], delay: int = 1, **noise: float):
        self.rng = np.random.default_rng([cocotb.RANDOM_SEED, *seed])
        names = [f"{end}__{name}" for end in ("near", "far") for name in (
            "i__valid", "i__payload", "o__ready", "rx_frame", "rx_data")]
        tables = [f"{end}__table_{name}" for end in ("near", "far") if TABLE
                  for name in ("write", "address", "port")]
        self.ports = Ports(dut, *names, *tables)
        other = CONFIG.neighbour(TILE, PORT)
        self.near = End(self.ports, "near", self.rng, TILE, PORT)
        self.far = End(self.ports, "far", self.rng, other, PORT.opposite)
        self.outward, self.homeward = (Wires(self.rng, delay, noise) for _ in range(2))
        self.cycle_number = 0

    async def start(self) -> None:
        """Reset; with routes that are looked up every second tile lies straight on."""
        await self.ports.start()
        for tile in range(CONFIG.tiles) if TABLE else ():
            await self.ports.cycle(**{
                f"{end}__table_{name}": value for end, port in (
                    ("near", PORT), ("far", PORT.opposite))
                for name, value in (("write", 1), ("address", CONFIG.address(tile)),
                                    ("port", int(port.opposite if tile % 2 == 0 else port)))})

    async def cycle(self) -> None:
        """One cycle of everything."""
        near, far = self.near, self.far
        await self.ports.cycle(**near.drive(self.homeward.get()), **far.drive(self.outward.get()))
        self.outward.put(*near.check(self.cycle_number))
        self.homeward.put(*far.check(self.cycle_number))
        self.cycle_number += 1

    def flits(self, end: End, count: int) -> list[int]:
        """Numbered flits for tiles that they may go on to at the other end, as queued at `end`."""
        tile, port = (TILE, PORT) if end is self.far else (
            CONFIG.neighbour(TILE, PORT), PORT.opposite)
        tiles = self.rng.choice(End.targets(tile, port), count).tolist()
        found = [CONFIG.address(target) | (number % TAGS) << CONFIG.address_bits
                 for number, target in enumerate(tiles)]
        end.queue.extend(found)
        return found

    async def deliver(self, count: int) -> None:
        """`count` new flits in each direction: each arrives once, in order."""
        pairs = ((self.near, self.far), (self.far, self.near))
        before = [len(to.taken) for _, to in pairs]
        sent = [self.flits(source, count) for source, _ in pairs]
        while any(len(to.taken) - first < count
                  for first, (_, to) in zip(before, pairs, strict=True)):
            await self.cycle()
        for first, flits, (_, to) in zip(before, sent, pairs, strict=True):
            assert [flit for _, flit in to.taken[first:]] == flits

    async def idle(self, cycles: int) -> None:
        """Let `cycles` pass."""
        for _ in range(cycles):
            await self.cycle()


async def started(dut, *seed: int, **options: float) -> Bench:
    bench = Bench(dut, list(seed), **options)
    await bench.start()
    return bench


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(delay=[1, LINK.wire_cycles])
async def quiet_wires_carry_a_flit_per_packet_time(dut, delay):
    """Latency of the first flit, period of all others, nothing sent twice, nothing counted."""
    bench = await started(dut, delay=delay)
    await bench.deliver(1)
    await bench.idle(3 * LINK.retry_cycles)
    assert bench.far.taken[0][0] == LINK.full_words + 4 + delay
    await bench.deliver(40)
    for end in (bench.near, bench.far):
        times = [cycle for cycle, _ in end.taken[2:]]
        assert set(np.diff(times).tolist()) == {LINK.full_words + 1}
        assert end.read("resent") == end.read("malformed") == 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(stall=[0.5, 0.97])
async def stalled_streams_lose_nothing(dut, stall):
    """Back-pressure reaches the other chip, and nothing is sent twice for it."""
    bench = await started(dut, int(100 * stall), delay=2)
    bench.near.stall = bench.far.stall = stall
    await bench.deliver(200)
    assert bench.near.read("resent") == bench.far.read("resent") == 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_sink_may_rest_for_long(dut):
    """As many flits as the window holds leave, then none, however long; then all arrive."""
    bench = await started(dut)
    bench.far.stall = 1.0
    flits = bench.flits(bench.near, 3 * LINK.window)
    await bench.idle(20 * LINK.retry_cycles)
    assert len(bench.near.queue) == 2 * LINK.window and bench.near.resent == LINK.window
    bench.far.stall = 0.0
    await bench.idle(20 * LINK.retry_cycles)
    assert [flit for _, flit in bench.far.taken] == flits
    assert bench.near.resent == len(flits) and bench.near.read("resent") == 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def answers_that_are_lost_are_told_again(dut):
    """The window is full and every flit answered when all that tells of room is lost."""
    bench = await started(dut)
    bench.far.stall = 1.0
    flits = bench.flits(bench.near, 3 * LINK.window)
    await bench.idle(20 * LINK.retry_cycles)
    bench.homeward.noise, bench.far.stall = {"drop": 1.0}, 0.0
    await bench.idle(5 * LINK.retry_cycles)
    assert len(bench.far.taken) == LINK.window == bench.near.resent
    bench.homeward.noise = {}
    await bench.idle(20 * LINK.retry_cycles)
    assert [flit for _, flit in bench.far.taken] == flits


@cocotb.test(timeout_time=30 * LINK.full_words, timeout_unit="us")
@cocotb.parametrize(noise=[
    {"flip": 0.002}, {"drop": 0.01}, {"insert": 0.01},
    {"flip": 0.003, "drop": 0.003, "insert": 0.003}], stall=[0.0, 0.6])
async def noise_delays_flits_and_no_more(dut, noise, stall):
    """Every flit arrives once, in order; the counters tell what was on the wires."""
    bench = await started(dut, len(noise), int(10 * stall), delay=2, **noise)
    bench.near.stall = bench.far.stall = stall
    await bench.deliver(300)
    bench.outward.noise, bench.homeward.noise = {}, {}
    await bench.idle(10 * LINK.retry_cycles)
    for end in (bench.near, bench.far):
        assert end.golden.malformed > 10
        assert end.read("resent") == end.resent - 300 > 10


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(level=[0, 1])
async def wires_may_be_stuck_for_a_while(dut, level):
    """Flits wait until they are through again; a run without an end is one malformed packet."""
    bench = await started(dut, level)
    await bench.deliver(10)
    bench.outward.stuck = (level, level * (WORDS - 1))
    flits = bench.flits(bench.near, 20)
    await bench.idle(5 * LINK.retry_cycles)
    assert len(bench.far.taken) == 10
    bench.outward.stuck = None
    await bench.idle(60 * (LINK.full_words + 1) + 5 * LINK.retry_cycles)
    assert [flit for _, flit in bench.far.taken[10:]] == flits
    assert bench.far.golden.malformed <= 2 and bench.near.read("resent") > 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def flits_without_a_way_are_dropped(dut):
    """Every address in both directions: the golden end tells which go on, the rest is counted."""
    bench = await started(dut)
    every = [*range(1 << CONFIG.address_bits)]
    for end in (bench.near, bench.far):
        end.queue.extend(every)
        end.stall = 0.3
    await bench.idle(3 * len(every) * (LINK.full_words + 1) + 3 * LINK.retry_cycles)
    for end in (bench.near, bench.far):
        assert 0 < len(end.taken) == len(every) - end.golden.malformed < len(every)
        assert end.read("resent") == 0
    await bench.deliver(10)


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def only_two_lengths_are_packets(dut):
    """Runs of any length with a good CRC, before the first packet: two of them count nothing."""
    bench = await started(dut)
    bench.outward.noise = {"drop": 1.0}
    lengths = range(LINK.check_words, 4 * LINK.full_words)
    for length in lengths:
        body = [0] * (length - LINK.check_words)
        crc = crc16(body, LINK.link_bits)
        bench.outward.queue.extend([(0, 0), *((1, word) for word in body), *(
            (1, crc >> place & (WORDS - 1)) for place in range(0, 16, LINK.link_bits)), (0, 0)])
        await bench.idle(length + 4)
    assert bench.far.golden.malformed == len(lengths) - 1 - len(bench.far.taken)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def impossible_answers_are_refused(dut):
    """Packets with a good CRC that answer what was not sent change nothing, and are counted."""
    bench = await started(dut)
    await bench.deliver(5)
    await bench.idle(3 * LINK.retry_cycles)
    bench.outward.noise, modulus = {"drop": 1.0}, LINK.window + 1
    for expected, taken in np.ndindex(modulus, modulus):
        if (expected, taken) != (5 % modulus, 5 % modulus):
            packet = Packet(expected=expected, taken=taken)
            bench.outward.queue.extend([(0, 0), *((1, word) for word in packet.encode(LINK))])
            await bench.idle(LINK.short_words + 4)
    await bench.idle(2)
    assert bench.far.golden.malformed == modulus * modulus - 1
    bench.outward.noise = {}
    await bench.deliver(10)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def counters_stop_at_their_highest_value(dut):
    """65,535 and more malformed packets."""
    bench = await started(dut)
    for _ in range((1 << 16) + 10):
        await bench.ports.edge()
        await bench.ports.settle(far__rx_frame=1)
        await bench.ports.edge()
        await bench.ports.settle(far__rx_frame=0)
    assert bench.far.read("malformed") == (1 << 16) - 1
