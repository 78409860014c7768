"""Bench of the weight memory: host words, and the codes that the lanes see, tier by tier.

``LAMINA_CONFIG`` holds the :class:`HardwareConfig`.
"""

from __future__ import annotations

import os

import cocotb
import numpy as np

from lamina.models.config import SPRAM_WAKE_CYCLES, HardwareConfig
from lamina.models.tiers import TIER_FILLS, effective_weights, slice_weights
from lamina.tb.ports import Ports, join_lanes, split_lanes

CONFIG = HardwareConfig.from_json(os.environ["LAMINA_CONFIG"])
LANES, TIERS = CONFIG.lanes, len(CONFIG.tiers)
WIDEST = LANES * max(CONFIG.tiers)
PINS = ("standby", "sleep") if CONFIG.bank == "spram" else ()
SUFFIXES = ("", "_second")[:CONFIG.ports]
"""Of the members of each port."""


class Weights:
    """Fills some words of all tiers, reads them as host and as lanes."""

    def __init__(self, dut):
        self.ports = Ports(dut, *(name + suffix for name in ("access", "address")
                                  for suffix in SUFFIXES), "gated", "fill_mid", "host_read",
                           "host_write", "host_i", *PINS)
        self.rng = np.random.default_rng(cocotb.RANDOM_SEED)
        inner = self.rng.choice(np.arange(1, CONFIG.weight_words - 1), 12, replace=False)
        self.addresses = [0, CONFIG.weight_words - 1, *inner.tolist()]
        half = 1 << (CONFIG.code_bits - 1)
        self.codes = self.rng.integers(-half, half, (len(self.addresses), LANES))
        self.codes[0] = np.resize([-half, half - 1, -1, 0, 1], LANES)

    async def start(self) -> None:
        """Reset, then write every tier of the chosen words, tier by tier in random order."""
        await self.ports.start()
        for tier in self.rng.permutation(TIERS).tolist():
            for place in self.rng.permutation(len(self.addresses)).tolist():
                await self.ports.cycle(**self.everywhere(place), host_write=1 << tier,
                                       host_i=self.word(tier, place) | self._noise_above(tier))
                if self.rng.random() < 0.2:
                    await self.ports.cycle(**self.noise())

    def everywhere(self, place: int) -> dict[str, int]:
        """The `place`-th address at every port."""
        return {f"address{suffix}": self.addresses[place] for suffix in SUFFIXES}

    def word(self, tier: int, place: int) -> int:
        """Word of a tier at the `place`-th address."""
        slices = slice_weights(self.codes[place], CONFIG.tiers)
        return join_lanes(slices[tier].tolist(), CONFIG.tiers[tier])

    def _noise_above(self, tier: int) -> int:
        """Bits of ``host_i`` that a narrow tier must not take."""
        above = (1 << WIDEST) - (1 << (LANES * CONFIG.tiers[tier]))
        return above * int(self.rng.integers(2))

    def noise(self) -> dict[str, int]:
        """Inputs of a cycle without any access."""
        return {**{f"address{suffix}": int(self.rng.integers(CONFIG.weight_words))
                   for suffix in SUFFIXES}, "host_i": int(self.rng.integers(1 << min(WIDEST, 60)))}

    async def read_host(self, tier: int, place: int) -> None:
        """Read as host: the word is there two cycles later."""
        await self.ports.cycle(**self.everywhere(place), host_read=1 << tier)
        for _ in range(2):
            await self.ports.cycle(**self.noise())
        assert self.ports.read("host_o") == self.word(tier, place), f"tier {tier}"

    async def stream(self, gated: int, fill: str, *, bubbles: float, count: int) -> None:
        """Read as lanes, a word per port and cycle with random bubbles, the lowest tiers gated."""
        mask = ((1 << gated) - 1) << (TIERS - gated)
        self.ports.rest |= {"gated": mask, "fill_mid": TIER_FILLS.index(fill)}
        seen = effective_weights(self.codes, CONFIG.tiers, gated, fill).tolist()
        rests = [dict.fromkeys(SUFFIXES)] * 2
        pipeline = list(rests)
        for places in (*(self._draw(bubbles) for _ in range(count)), *rests):
            values = self.noise()
            for suffix, place in places.items():
                if place is not None:
                    values |= {f"access{suffix}": 1, f"address{suffix}": self.addresses[place]}
            await self.ports.cycle(**values)
            pipeline.append(places)
            due = pipeline.pop(0)
            for suffix in SUFFIXES:
                reading = 0 if places[suffix] is None else ((1 << TIERS) - 1) & ~mask
                assert self.ports.read(f"accesses{suffix}") == reading
                got = split_lanes(self.ports.read(f"weights{suffix}"), CONFIG.code_bits, LANES)
                expected = [0] * LANES if due[suffix] is None else seen[due[suffix]]
                assert got == expected, f"{gated} gated, {fill}{suffix}"

    def _draw(self, bubbles: float) -> dict[str, int | None]:
        """Which word each port reads, None for a bubble."""
        return {suffix: None if self.rng.random() < bubbles
                else int(self.rng.integers(len(self.addresses))) for suffix in SUFFIXES}


async def started(dut) -> Weights:
    weights = Weights(dut)
    await weights.start()
    return weights


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def host_reads_what_it_wrote(dut):
    """Every tier of every word, in random order; a write to one tier spares the others."""
    weights = await started(dut)
    for _ in range(2):
        for tier in weights.rng.permutation(TIERS).tolist():
            for place in weights.rng.permutation(len(weights.addresses)).tolist():
                await weights.read_host(tier, place)
        changed = int(weights.rng.integers(TIERS))
        slices = slice_weights(weights.codes[0], CONFIG.tiers)
        inverted = join_lanes((~slices[changed]).tolist(), CONFIG.tiers[changed])
        await weights.ports.cycle(**weights.everywhere(0), host_write=1 << changed, host_i=inverted)
        below = sum(CONFIG.tiers[changed + 1:])
        weights.codes[0] ^= ((1 << CONFIG.tiers[changed]) - 1) << below
        half = 1 << (CONFIG.code_bits - 1)
        weights.codes[0] = ((weights.codes[0] + half) & (2 * half - 1)) - half


@cocotb.test(timeout_time=4, timeout_unit="ms")
@cocotb.parametrize(fill=list(TIER_FILLS))
async def lanes_see_the_tiers_that_are_on(dut, fill):
    """Every suffix of gated tiers, with and without bubbles; what was gated is still there."""
    weights = await started(dut)
    for gated in (*range(TIERS), 0):
        await weights.stream(gated, fill, bubbles=0.0, count=40)
        await weights.stream(gated, fill, bubbles=0.6, count=40)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def host_and_lanes_take_turns(dut):
    """A write or read of the host leaves no trace in the weights that follow."""
    weights = await started(dut)
    for _ in range(10):
        tier, place = int(weights.rng.integers(TIERS)), int(weights.rng.integers(3))
        await weights.ports.cycle(**weights.everywhere(place), host_write=1 << tier,
                                  host_i=weights.word(tier, place))
        await weights.stream(0, "mid", bubbles=0.3, count=5)
        await weights.read_host(tier, place)
        await weights.stream(0, "mid", bubbles=0.3, count=5)


@cocotb.test(timeout_time=4, timeout_unit="ms", skip=not PINS)
@cocotb.parametrize(pin=["standby", "sleep"])
async def resting_tiers_keep_their_words(dut, pin):
    """A gated tier rests while the others are read; awake in time, it gives back what it held."""
    weights = await started(dut)
    for gated in range(1, TIERS):
        mask = ((1 << gated) - 1) << (TIERS - gated)
        weights.ports.rest[pin] = mask
        await weights.stream(gated, "mid", bubbles=0.3, count=30)
        weights.ports.rest[pin] = 0
        for _ in range(SPRAM_WAKE_CYCLES if pin == "sleep" else 0):
            await weights.ports.cycle(**weights.noise())
        await weights.stream(0, "mid", bubbles=0.3, count=30)


@cocotb.test(timeout_time=1, timeout_unit="ms", skip=not PINS)
@cocotb.parametrize(pin=["standby", "sleep"])
async def a_resting_tier_takes_no_access(dut, pin):
    """Neither a read nor a write reaches it, nor the first clocks after SLEEP; others go on."""
    weights = await started(dut)
    ports, address = weights.ports, weights.addresses[0]
    for tier in range(TIERS):
        await ports.cycle(**{pin: 1 << tier})
        await ports.cycle(address=address, host_read=1 << tier, **{pin: 1 << tier})
        await ports.cycle(address=address, host_write=1 << tier, **{pin: 1 << tier})
        await ports.cycle(**{pin: 1 << tier})
        seen = ports.read("host_o")
        assert seen == 0 if pin == "sleep" else seen != weights.word(tier, 0)
        for other in set(range(TIERS)) - {tier}:
            await ports.cycle(address=address, host_read=1 << other, **{pin: 1 << tier})
            for _ in range(2):
                await ports.cycle(**{pin: 1 << tier})
            assert ports.read("host_o") == weights.word(other, 0)
        for _ in range(SPRAM_WAKE_CYCLES if pin == "sleep" else 0):
            await ports.cycle(address=address, host_write=1 << tier)
        await weights.read_host(tier, 0)
