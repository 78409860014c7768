"""Bench of the inbox: random channels with stalls, cycle by cycle against the golden inbox.

``LAMINA_CONFIG`` holds the :class:`FabricConfig`.
"""

from __future__ import annotations

import collections
import os

import cocotb
import numpy as np

from lamina.models.config import EventKind
from lamina.models.fabric.config import ChannelField, FabricConfig, FlitKind
from lamina.models.fabric.inbox import Inbox, InboxChannel
from lamina.tb.ports import Ports
from lamina.tb.streams import event_fields, pack, unpack

CONFIG = FabricConfig.from_json(os.environ["LAMINA_CONFIG"])
FIELDS = CONFIG.flit_fields
SLOTS = 60
VALUES = bool(CONFIG.value_bits)
SPIKE, TICK, CLEAR, CREDIT = (int(kind) for kind in FlitKind)


class Sources:
    """Flits of all channels, one after the other, each slot with a credit.

    Attributes
    ----------
    sent : list of list of set
        Axons of each slot of each channel.
    """

    def __init__(self, rng: np.random.Generator, channels: list[InboxChannel]):
        self._rng = rng
        closings = [CLEAR if rng.random() < 0.2 else TICK for _ in range(SLOTS)]
        self.closings, self.credits = closings, [1 if each.delayed else 2 for each in channels]
        self.sent: list[list[set[int]]] = []
        self._queues = []
        for number in range(len(channels)):
            slots = [set(rng.integers(CONFIG.core.axons, size=rng.integers(6)).tolist())
                     for _ in range(SLOTS)]
            self.sent.append(slots)
            self._queues.append(collections.deque(
                (number, kind, axon) for slot, axons in enumerate(slots)
                for kind, axon in [*((SPIKE, axon) for axon in axons), (closings[slot], 0)]))
        self._begun = [False] * len(channels)

    def draw(self) -> dict[str, int] | None:
        """The next flit of a channel that has one and may send it."""
        able = [number for number, queue in enumerate(self._queues)
                if queue and (self._begun[number] or self.credits[number])]
        if not able or self._rng.random() < 0.1:
            return {"kind": CREDIT, "channel": int(self._rng.integers(CONFIG.targets))} \
                if self._rng.random() < 0.2 else None
        number, kind, axon = self._queues[int(self._rng.choice(able))].popleft()
        self.credits[number] -= not self._begun[number]
        self._begun[number] = kind == SPIKE
        value = {"value": int(self._rng.integers(1 << CONFIG.value_bits))} if VALUES else {}
        return {"kind": kind, "channel": number, "number": axon, **value}

    @property
    def left(self) -> int:
        """Flits that were not drawn."""
        return sum(map(len, self._queues))


class Bench:
    """The inbox between sources and a core that frees its bitmaps now and then."""

    def __init__(self, dut, rng: np.random.Generator, channels: list[InboxChannel]):
        self.rng, self.channels = rng, channels
        self.ports = Ports(dut, "i__valid", "i__payload", "events__ready", "able", "freed_stb",
                           "credits__ready", "write", "address", "data",
                           *(["ended_stb"] if VALUES else []))
        self.golden, self.sources = Inbox(channels, values=VALUES), Sources(rng, channels)
        self.offer: dict[str, int] | None = None
        self.closed = False
        self.owed: collections.Counter[int] = collections.Counter()
        self.slots: list[set[tuple[int, bool]]] = [set(), set()]
        self.slot = self.values = self.running = 0

    async def start(self) -> None:
        """Reset and load the channels in any order, closing nothing; those beyond them are off."""
        await self.ports.start()
        for index in self.rng.permutation(CONFIG.channels).tolist():
            channel = self.channels[index] if index < len(self.channels) else None
            words = {ChannelField.SOURCE: 0, ChannelField.CREDIT: 0, ChannelField.FLAGS: 0}
            if channel is not None:
                words = {ChannelField.SOURCE: channel.source, ChannelField.CREDIT: channel.credit,
                         ChannelField.FLAGS: 1 | channel.delayed << 1 | channel.host << 2
                         | channel.partial << 3}
            for field, word in words.items():
                await self.ports.cycle(write=1, address=4 * index + field, data=word, able=1)
                assert not self.ports.read("events__valid")

    async def cycle(self, stall: float) -> None:
        """One clock cycle, everything compared."""
        rng, golden = self.rng, self.golden
        if self.offer is None and rng.random() >= stall:
            self.offer = self.sources.draw()
        hold = rng.random() < stall / 2
        freed = self.closed and rng.random() < 0.2
        able = not self.closed and not hold
        pays = rng.random() >= stall
        ended = VALUES and self.running > 0 and rng.random() < 0.2
        await self.ports.cycle(
            i__valid=int(self.offer is not None), i__payload=pack(self.offer or {}, FIELDS),
            events__ready=int(not hold), able=int(able), freed_stb=int(freed),
            credits__ready=int(pays), **({"ended_stb": int(ended)} if VALUES else {}))
        closing = able and golden.complete
        self._check_event(hold, closing)
        self._check_credit(pays)
        if freed:
            self.closed = False
            self.owed.update(pack(credit, FIELDS) for credit in golden.credits())
        if ended:
            self.running -= 1
            self.owed.update(pack(credit, FIELDS) for credit in golden.credits(partial=True))
        if closing:
            self.closed = True
            self.running += 1

    def _check_event(self, hold: bool, closing: bool) -> None:
        read, offer, golden = self.ports.read, self.offer, self.golden
        arriving = offer is not None and offer["kind"] == SPIKE
        value = arriving and self.channels[offer["channel"]].partial
        spike = arriving and not value
        ready = not closing and not (spike and hold)
        assert offer is None or read("i__ready") == ready
        assert read("events__valid") == (closing or spike)
        event = unpack(read("events__payload"), event_fields(CONFIG.core))
        if closing:
            assert event["kind"] == golden.advance() == self.expected_closing()
            self._check_slot()
        elif spike:
            axon, ahead = golden.spike(offer["channel"], offer["number"])
            assert (event["kind"], event["axon"], event["next"]) == (SPIKE, axon, ahead)
            if ready:
                self.slots[ahead].add((axon, False))
        elif value:
            self._check_value(offer, event["next"])
        assert not VALUES or read("value_stb") == (value and not closing)
        taken = offer is not None and ready
        credit = taken and offer["kind"] == CREDIT
        assert read("credit_stb") == credit
        assert not credit or read("credit_target") == offer["channel"]
        if taken and offer["kind"] in (TICK, CLEAR):
            golden.close(offer["channel"], offer["kind"])
        if taken:
            self.offer = None

    def _check_value(self, offer: dict[str, int], later: int) -> None:
        """A partial sum is taken in its cycle, for the slot that its channel is at."""
        number, ahead = self.golden.spike(offer["channel"], offer["number"])
        assert later == ahead
        self.slots[ahead].add((number, True))
        self.values += 1

    def expected_closing(self) -> EventKind:
        """As the sources that are not delayed have it."""
        return EventKind(self.sources.closings[self.slot])

    def _check_slot(self) -> None:
        """What went to the core is what all channels sent for this slot."""
        wanted = set()
        for channel, sent in zip(self.channels, self.sources.sent, strict=True):
            place = self.slot - channel.delayed
            numbers = sent[place] if place >= 0 else set()
            wanted |= {(number, channel.partial) for number in numbers}
        assert self.slots[0] == wanted, f"slot {self.slot}"
        self.slots = [self.slots[1], set()]
        self.slot += 1

    def _check_credit(self, pays: bool) -> None:
        if not self.ports.read("credits__valid"):
            return
        word = self.ports.read("credits__payload")
        assert self.owed[word] > 0, f"nobody is owed {unpack(word, FIELDS)}"
        if pays:
            self.owed[word] -= 1
            credit = unpack(word, FIELDS)
            for number, channel in enumerate(self.channels):
                if (channel.source, channel.credit) == (credit["address"], credit["channel"]):
                    self.sources.credits[number] += 1


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(count=[1, 2, CONFIG.channels], stall=[0.0, 0.5])
async def random_channels_agree(dut, count, stall):
    """Every event, every closing and every credit of random channels, delayed ones among them."""
    rng = np.random.default_rng([cocotb.RANDOM_SEED, count, int(10 * stall)])
    tiles = CONFIG.mesh.tiles
    channels = [InboxChannel(source=CONFIG.mesh.address(number % tiles), host=number == 0,
                             credit=number // tiles, delayed=number % 3 == 1,
                             partial=VALUES and number % 3 == 2)
                for number in range(count)]
    bench = Bench(dut, rng, channels)
    await bench.start()
    while bench.slot < SLOTS or sum(bench.owed.values()) or bench.closed or (
            VALUES and bench.running):
        await bench.cycle(stall)
    assert bench.sources.left <= 6 * sum(channel.delayed for channel in channels)
    assert (bench.values > 0) == any(channel.partial for channel in channels)
