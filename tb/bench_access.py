"""Bench of the host access: requests against the golden core, around it memories of this bench.

``LAMINA_CONFIG`` holds the :class:`HardwareConfig`; the block is built for as many counters as the
core has.
"""

from __future__ import annotations

import os

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, ReadOnly

from lamina.models.config import (
    SPRAM_WAKE_CYCLES,
    Counter,
    HardwareConfig,
    Register,
    Space,
    StateRegion,
)
from lamina.models.link.device import GoldenCore
from lamina.tb.ports import Ports
from lamina.tb.streams import StreamDriver, StreamMonitor, request_fields

CONFIG = HardwareConfig.from_json(os.environ["LAMINA_CONFIG"])
LANES, SLOT, TIERS = CONFIG.lanes, CONFIG.slot_bits, len(CONFIG.tiers)
COUNTERS = Counter.ACCESSES + TIERS
STATE_WORDS = len(StateRegion) * CONFIG.neurons * CONFIG.slot_chunks


class Surroundings:
    """The core around the block: descriptors, state, weights, counters and its idle flag.

    What nobody asked for is noise; an access in a cycle that is not idle is an error.
    """

    def __init__(self, dut, rng: np.random.Generator):
        self.ports = Ports(dut, "idle", "between", "descriptor_o", "state_o", "weight_o",
                           "counter_low", "counter_high", "counter_ready")
        self.idle_rate, self.between = 1.0, 1
        self.idle, self._held = 1, 0
        self.zeroed = 0
        self.counts = rng.integers(1 << 32, size=COUNTERS).tolist()
        self._rng = rng
        self._descriptors = [0] * (8 * CONFIG.layers)
        self._rows = [0] * (8 * CONFIG.groups)
        self._tiers = [[0] * CONFIG.weight_words for _ in range(TIERS)]
        self._row = self._word = self._weight = self._weight_before = 0
        self._aimed = 0
        self._descriptor = self._high = 0
        self._waited: int | None = None
        self._since_ready = 0

    def _noise(self, bits: int) -> int:
        return int(self._rng.integers(1 << bits))

    async def run(self) -> None:
        """Coroutine of the surroundings; start it once."""
        while True:
            await self.ports.edge()
            await self.ports.settle(**self._inputs())
            self._take()

    def _inputs(self) -> dict[str, int]:
        """Inputs of this cycle, from the outputs of the one before."""
        held, self._held = self._held, self.ports.read("hold")
        if self._rng.random() < 0.5 and not (self.idle and (held or self._held)):
            self.idle = int(self._rng.random() < self.idle_rate)
        ready = self._waited == 0
        if ready:
            count = self.counts[self.ports.read("counter_index")]
            self._high, self._since_ready = count >> 16, 0
        self._since_ready += 1
        low = count & 0xFFFF if ready else self._noise(16)
        high = self._high if self._since_ready > 2 else self._noise(16)
        return {
            "idle": self.idle, "between": self.between, "descriptor_o": self._descriptor,
            "state_o": self._word & ((1 << SLOT) - 1), "weight_o": self._weight_before,
            "counter_ready": int(ready), "counter_low": low, "counter_high": high}

    def _take(self) -> None:
        """Act on the outputs of this cycle as the memories do at its end."""
        read = self.ports.read
        self._word = self._word >> SLOT if read("state_shift") else self._row
        widest = LANES * max(CONFIG.tiers)
        self._weight_before, self._weight = self._weight, self._noise(min(widest, 60))
        mine = read("busy")
        self._row = self._rows[read("state_address")] if mine else self._noise(60)
        self._descriptor = self._descriptors[read("descriptor_address") % len(self._descriptors)]
        accesses = [read(name) for name in ("descriptor_write", "state_lanes", "state_shift",
                                            "weight_read", "weight_write")]
        assert not any(accesses) or (mine and self.idle)
        self._store()
        self.zeroed += read("zero_stb")
        if not read("counter_read"):
            self._waited = None
        elif self._waited is None:
            self._waited = int(self._rng.integers(20))
        elif self._waited:
            self._waited -= 1

    def _store(self) -> None:
        read = self.ports.read
        if read("descriptor_write"):
            self._descriptors[read("descriptor_address")] = read("descriptor_i")
        for lane in range(LANES):
            if read("state_lanes") >> lane & 1:
                kept = self._rows[read("state_address")] & ~(((1 << SLOT) - 1) << (SLOT * lane))
                self._rows[read("state_address")] = kept | read("state_i") << (SLOT * lane)
        for tier in range(TIERS):
            width = LANES * CONFIG.tiers[tier]
            if read("weight_write") >> tier & 1:
                word = read("weight_i") & ((1 << width) - 1)
                self._tiers[tier][self._aimed] = word
            if read("weight_read") >> tier & 1:
                self._weight = self._tiers[tier][self._aimed]
        self._aimed = read("weight_address")


class Host:
    """Requests through the streams, and the golden core that answers the same ones."""

    def __init__(self, dut, *, stall: float = 0.0):
        self.dut = dut
        self.rng = np.random.default_rng(cocotb.RANDOM_SEED)
        self.core = Surroundings(dut, np.random.default_rng(cocotb.RANDOM_SEED + 1))
        self.golden = GoldenCore(CONFIG)
        self.request = StreamDriver(dut, "request", request_fields(), stall=stall,
                                    seed=cocotb.RANDOM_SEED + 2)
        self.response = StreamMonitor(dut, "response", stall=stall, seed=cocotb.RANDOM_SEED + 3)

    async def start(self) -> None:
        """Reset, then let everything run."""
        await self.core.ports.start()
        for part in (self.core, self.request, self.response):
            cocotb.start_soon(part.run())
        await FallingEdge(self.dut.clk)

    def write(self, space: int, address: int, *words: int) -> None:
        """Queue writes of ascending addresses, for both."""
        for offset, word in enumerate(words):
            self.request.send({"write": 1, "space": int(space), "address": address + offset,
                               "data": word})
            self.golden.write(int(space), address + offset, word)

    async def settle(self) -> int:
        """Wait until all requests were taken; cycles that took."""
        cycles = 0
        while self.request.pending:
            cycles += 1
            await FallingEdge(self.dut.clk)
        await ReadOnly()
        await FallingEdge(self.dut.clk)
        return cycles

    async def read(self, space: int, *addresses: int) -> list[int]:
        """Words of a space."""
        self.response.taken.clear()
        for address in addresses:
            self.request.send({"space": int(space), "address": address})
        await self.settle()
        assert len(self.response.taken) == len(addresses)
        return list(self.response.taken)

    async def check(self, space: int, *addresses: int) -> None:
        """Words of a space must be those of the golden core."""
        expected = [self.golden.read(int(space), address) for address in addresses]
        assert await self.read(space, *addresses) == expected, f"space {int(space)}"


async def started(dut, **options) -> Host:
    host = Host(dut, **options)
    await host.start()
    return host


def weight_word(rng: np.random.Generator, tier: int) -> list[int]:
    """Random chunks of a word of a tier, its padding 0."""
    width = LANES * CONFIG.tiers[tier]
    word = int.from_bytes(rng.bytes(-(-width // 8))) & ((1 << width) - 1)
    return [word >> (16 * chunk) & 0xFFFF for chunk in range(CONFIG.tier_chunks(tier))]


def slot_word(rng: np.random.Generator) -> list[int]:
    """Random chunks of a state slot, its padding 0."""
    slot = int(rng.integers(1 << SLOT))
    return [slot >> (16 * chunk) & 0xFFFF for chunk in range(CONFIG.slot_chunks)]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def registers_hold_what_they_should(dut):
    """Identification, unused addresses, and the registers that a program sets."""
    host = await started(dut)
    registers = [*range(Register.CONTROL + 1), 15]
    await host.check(Space.REGISTERS, *registers)
    for layers, axons, fill in ((1, 1, 0), (CONFIG.layers, CONFIG.axons, 1), (0, 0, 0)):
        host.write(Space.REGISTERS, Register.LAYERS, layers, axons)
        host.write(Space.REGISTERS, Register.TIER_FILL, fill)
        host.write(Space.REGISTERS, Register.ID, 7, 7)
        await host.check(Space.REGISTERS, *registers)
        await host.settle()
        assert int(dut.layers.value) == layers
        assert int(dut.input_axons.value) == axons
        assert int(dut.fill_mid.value) == fill


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def every_memory_is_reached(dut):
    """Descriptors, and the first, last and random words of state and of every tier."""
    host = await started(dut)
    count = 8 * CONFIG.layers
    host.write(Space.DESCRIPTORS, 0, *host.rng.integers(1 << 16, size=count).tolist())
    slots = STATE_WORDS // CONFIG.slot_chunks
    chosen = [0, 1, LANES - 1, LANES, slots - 1, *host.rng.integers(slots, size=8).tolist()]
    for slot in chosen:
        host.write(Space.STATE, slot * CONFIG.slot_chunks, *slot_word(host.rng))
    words = [0, CONFIG.weight_words - 1, *host.rng.integers(CONFIG.weight_words, size=4).tolist()]
    for tier in range(TIERS):
        for word in words:
            chunks = weight_word(host.rng, tier)
            host.write(Space.WEIGHTS + tier, word * len(chunks), *chunks)
    await host.settle()
    await host.check(Space.DESCRIPTORS, *range(count))
    row = range(LANES * CONFIG.slot_chunks)
    await host.check(Space.STATE, *row, *(slot * CONFIG.slot_chunks + chunk for slot in chosen
                                          for chunk in range(CONFIG.slot_chunks)))
    for tier in range(TIERS):
        chunks = CONFIG.tier_chunks(tier)
        await host.check(Space.WEIGHTS + tier, *(word * chunks + chunk for word in words
                                                 for chunk in range(chunks)))


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def only_the_last_chunk_commits(dut):
    """The first chunks of a wide word leave the memory as it is."""
    host = await started(dut)
    places = {Space.STATE: (CONFIG.slot_chunks, slot_word(host.rng))}
    places |= {Space.WEIGHTS + tier: (CONFIG.tier_chunks(tier), weight_word(host.rng, tier))
               for tier in range(TIERS)}
    assert max(chunks for chunks, _ in places.values()) > 1
    for space, (chunks, words) in places.items():
        host.write(space, chunks, *words)
        host.write(space, chunks, *([0xFFFF] * (chunks - 1)))
        await host.check(space, *range(2 * chunks))


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def memories_wait_for_idle_and_registers_do_not(dut):
    """While the core works registers answer; a memory request asks it to hold, then waits."""
    host = await started(dut)
    requests = {Space.DESCRIPTORS: 1, Space.STATE: 0, Space.WEIGHTS: 0}
    for space, address in requests.items():
        for write in (0, 1):
            host.core.idle_rate = 0.0
            while host.core.idle:
                await FallingEdge(dut.clk)
            await host.check(Space.REGISTERS, Register.ID, Register.LAYERS)
            assert dut.hold.value == 0
            taken = len(host.response.taken)
            host.request.send({"write": write, "space": int(space), "address": address})
            for _ in range(30):
                await FallingEdge(dut.clk)
            assert host.request.pending == 1
            assert len(host.response.taken) == taken
            assert dut.hold.value == 1
            host.core.idle_rate = 1.0
            await host.settle()
            assert dut.hold.value == 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def accesses_take_the_stated_time(dut):
    """2 cycles per write, 7 per register or weight read, ``lanes + 7`` at most per state read."""
    host = await started(dut)
    host.write(Space.DESCRIPTORS, 0, *range(8))
    assert 2 * 8 - 1 <= await host.settle() <= 2 * 8 + 1
    for space in (Space.REGISTERS, Space.WEIGHTS):
        for _ in range(8):
            host.request.send({"space": int(space), "address": 0})
        assert 7 * 8 - 1 <= await host.settle() <= 7 * 8 + 1
    for lane in range(LANES):
        host.request.send({"space": int(Space.STATE), "address": lane * CONFIG.slot_chunks})
        assert await host.settle() <= LANES + 8


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def counters_are_passed_on(dut):
    """Low and high word of every counter; only bit 0 of CONTROL zeroes them."""
    host = await started(dut)
    for index in host.rng.permutation(COUNTERS).tolist():
        address = Register.COUNTERS + 2 * index
        low, high = await host.read(Space.REGISTERS, address, address + 1)
        assert low | high << 16 == host.core.counts[index], f"counter {index}"
    host.write(Space.REGISTERS, Register.CONTROL, 2)
    await host.settle()
    assert host.core.zeroed == 0
    host.write(Space.REGISTERS, Register.CONTROL, 1)
    await host.settle()
    assert host.core.zeroed == 1


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def modes_change_between_samples(dut):
    """Gating waits for the end of the sample and for idle; a lost tier is refused until it is
    declared rewritten; tier 0 stays on."""
    host = await started(dut)
    last = 1 << (TIERS - 1)

    async def modes() -> tuple[int, int]:
        for _ in range(4):
            await FallingEdge(dut.clk)
        return int(dut.gated.value), int(dut.refused.value)

    host.core.between = 0
    host.write(Space.REGISTERS, Register.TIER_GATED, last | 1)
    await host.settle()
    assert await modes() == (0, 0)
    host.core.idle_rate = 0.0
    while host.core.idle:
        await FallingEdge(dut.clk)
    host.core.between = 1
    assert await modes() == (0, 0)
    host.core.idle_rate = 1.0
    while not host.core.idle:
        await FallingEdge(dut.clk)
    assert await modes() == (last, 0)
    await host.check(Space.REGISTERS, Register.TIER_GATED, Register.TIER_LOST)
    host.write(Space.REGISTERS, Register.TIER_LOST, last)
    await host.check(Space.REGISTERS, Register.TIER_LOST)
    host.write(Space.REGISTERS, Register.TIER_GATED, 0)
    await host.settle()
    assert await modes() == (0, 1)
    host.write(Space.REGISTERS, Register.TIER_LOST, last ^ 0xFFFF)
    await host.settle()
    assert await modes() == (0, 1)
    host.write(Space.REGISTERS, Register.TIER_LOST, last)
    await host.settle()
    assert await modes() == (0, 0)
    await host.check(Space.REGISTERS, Register.TIER_GATED, Register.TIER_LOST)


@cocotb.test(timeout_time=1, timeout_unit="ms", skip=CONFIG.bank != "spram")
async def sleep_follows_the_modes(dut):
    """Tiers sleep from when they are off until they are asked for, whenever that takes effect; the
    requests behind it wait until they are awake."""
    host = await started(dut)
    last = 1 << (TIERS - 1)
    for between in (1, 0):
        host.core.between = 1
        host.write(Space.REGISTERS, Register.TIER_GATED, last)
        await host.settle()
        await host.check(Space.REGISTERS, Register.TIER_GATED)
        assert (int(dut.gated.value), int(dut.sleep.value)) == (last, last)
        host.core.between = between
        host.write(Space.REGISTERS, Register.TIER_GATED, 0)
        host.write(Space.WEIGHTS + TIERS - 1, 0, 1, 2, 3)
        waits = []
        while host.request.pending:
            await ReadOnly()
            waits = [*waits, None] if dut.sleep.value == 0 else []
            if dut.weight_write.value != 0:
                assert len(waits) > SPRAM_WAKE_CYCLES
            await FallingEdge(dut.clk)
        assert len(waits) > 6
        assert int(dut.gated.value) == (0 if between else last)
    host.core.between = 0
    host.write(Space.REGISTERS, Register.TIER_GATED, 2)
    await host.settle()
    assert int(dut.sleep.value) == 0


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.5])
async def random_requests_agree(dut, stall):
    """Reads and writes of all spaces and single chunks, idle now and then."""
    host = await started(dut, stall=stall)
    host.core.idle_rate = 0.7
    limits = {Space.DESCRIPTORS: 8 * CONFIG.layers, Space.STATE: min(STATE_WORDS, 40)}
    limits |= {Space.WEIGHTS + tier: 4 * CONFIG.tier_chunks(tier) for tier in range(TIERS)}
    expected: list[int] = []
    for _ in range(300):
        space = int(host.rng.choice([int(space) for space in limits]))
        address = int(host.rng.integers(limits[space]))
        if host.rng.random() < 0.4:
            expected.append(host.golden.read(space, address))
            host.request.send({"space": space, "address": address})
        elif space == Space.DESCRIPTORS:
            host.write(space, address, int(host.rng.integers(1 << 16)))
        else:
            words = slot_word(host.rng) if space == Space.STATE else weight_word(
                host.rng, space - Space.WEIGHTS)
            start = address - address % len(words)
            host.write(space, start, *words[:int(host.rng.integers(1, len(words) + 1))])
            host.write(space, start, *words)
    await host.settle()
    assert host.response.taken == expected
    assert any(expected)
