"""Bench of the outbox: random ranges and events with stalls, flit by flit.

``LAMINA_CONFIG`` holds the :class:`FabricConfig`, ``LAMINA_HOST`` is 1 for the host's outbox.
"""

from __future__ import annotations

import os

import cocotb
import numpy as np

from lamina.models.config import EventKind
from lamina.models.fabric.config import FabricConfig, RangeField
from lamina.models.fabric.outbox import Outbox, Range
from lamina.tb.ports import Ports
from lamina.tb.streams import StreamDriver, StreamMonitor, output_fields

CONFIG = FabricConfig.from_json(os.environ["LAMINA_CONFIG"])
HOST = os.environ.get("LAMINA_HOST") == "1"
TARGETS = CONFIG.mesh.tiles if HOST else CONFIG.targets
DEPTH = CONFIG.host_ranges if HOST else CONFIG.ranges
NEURONS = CONFIG.inputs if HOST else CONFIG.core.neurons
FIELDS = {"kind": 2, "neuron": CONFIG.input_bits} if HOST else output_fields(CONFIG.core)
SPIKE = int(EventKind.SPIKE)
CARRIES = bool(CONFIG.value_bits)
"""Whether flits have values; those of the host's are 0."""


def random_ranges(rng: np.random.Generator, count: int, targets: int) -> list[Range]:
    """`count` ranges, the first `targets` of which close; one that fits nothing now and then."""
    found = []
    for number in range(count):
        first, last = sorted(rng.integers(NEURONS, size=2).tolist())
        if rng.random() < 0.1:
            first, last = 1, 0
        room = (1 << CONFIG.flit_fields["number"]) - 1
        last = min(last, first + room)
        most = room - max(0, last - first)
        found.append(Range(
            first=first, last=last, target=CONFIG.mesh.address(int(rng.integers(
                CONFIG.mesh.tiles))), channel=int(rng.integers(CONFIG.channels)),
            base=int(rng.integers(most + 1)), closes=number < targets,
            host=bool(rng.random() < 0.2)))
    return found


class Bench:
    """The outbox with its tables; `credits` are given back now and then."""

    def __init__(self, dut, rng: np.random.Generator, ranges: list[Range], credits: list[int]):
        self.rng, self.ranges, self.initial = rng, ranges, credits
        self.ports = Ports(dut, "credit_stb", "credit_target", "range_write", "credit_write",
                           "address", "data")
        self.events = StreamDriver(dut, "events", FIELDS, seed=cocotb.RANDOM_SEED)
        self.flits = StreamMonitor(dut, "flits", CONFIG.flit_fields, seed=cocotb.RANDOM_SEED + 1)
        self.given = [0] * len(credits)

    async def start(self) -> None:
        """Reset and load the tables."""
        await self.ports.start()
        for number, entry in enumerate(self.ranges):
            flags = entry.closes | entry.host << 1 | (number == len(self.ranges) - 1) << 2
            words = {RangeField.FIRST: entry.first, RangeField.LAST: entry.last,
                     RangeField.TARGET: entry.target, RangeField.CHANNEL: entry.channel,
                     RangeField.BASE: entry.base, RangeField.FLAGS: flags}
            for field, word in words.items():
                await self.ports.cycle(range_write=1, address=8 * number + field, data=word)
        for target in range(TARGETS):
            credit = self.initial[target] if target < len(self.initial) else 0
            await self.ports.cycle(credit_write=1, address=target, data=credit)
        for stream in (self.events, self.flits):
            cocotb.start_soon(stream.run())

    async def cycle(self, slots: int, share: float) -> None:
        """Give back a credit of one of the slots that have begun."""
        able = [target for target, given in enumerate(self.given) if given < slots]
        if not able or self.rng.random() >= share:
            await self.ports.cycle()
            return
        target = int(self.rng.choice(able))
        self.given[target] += 1
        await self.ports.cycle(credit_stb=1, credit_target=target)

    async def idle(self, cycles: int) -> None:
        """Let `cycles` pass."""
        for _ in range(cycles):
            await self.ports.cycle()


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(size=["one", "few", "full"], stall=[0.0, 0.5])
async def random_ranges_agree(dut, size, stall):
    """Every flit in its order, none of a slot without a credit of every target."""
    rng = np.random.default_rng([cocotb.RANDOM_SEED, len(size), int(10 * stall)])
    count = {"one": 1, "few": 3, "full": DEPTH}[size]
    credits = rng.integers(1, 3, size=min(count, TARGETS)).tolist()
    bench = Bench(dut, rng, random_ranges(rng, count, len(credits)), credits)
    await bench.start()
    bench.events.stall = bench.flits.stall = stall
    golden, checked = Outbox(bench.ranges, credits), 0
    for slot in range(40):
        events = [(SPIKE, neuron) for neuron in rng.integers(NEURONS, size=rng.integers(8))]
        events.append((int(rng.choice([EventKind.TICK, EventKind.CLEAR])), 0))
        flits = []
        for kind, neuron in events:
            value = int(rng.integers(1 << CONFIG.value_bits)) if CARRIES and not HOST else 0
            carried = {"value": value} if CARRIES and not HOST else {}
            bench.events.send({"kind": kind, "neuron": int(neuron), **carried})
            while not golden.able:
                assert len(bench.flits.taken) == checked, f"slot {slot} began without a credit"
                before = list(bench.given)
                await bench.cycle(slot, 0.1)
                for target in np.flatnonzero(np.subtract(bench.given, before)).tolist():
                    golden.credit(target)
            flits += golden.send(kind, int(neuron), value if CARRIES else None)
        while bench.events.pending:
            await bench.cycle(0, 0.0)
        await bench.ports.cycle()
        assert bench.flits.taken[checked:] == flits, f"slot {slot}"
        checked += len(flits)
    assert checked > 40


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def an_entry_takes_a_cycle(dut):
    """Events follow one another after as many cycles as there are entries."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    bench = Bench(dut, rng, random_ranges(rng, 5, 1), [2])
    await bench.start()
    bench.events.send(*({"kind": SPIKE, "neuron": int(neuron)}
                        for neuron in rng.integers(NEURONS, size=20)))
    while bench.events.pending:
        await bench.ports.cycle()
    assert set(np.diff(bench.events.times)) == {50.0}


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_credit_counts_in_any_cycle_of_a_slot(dut):
    """A credit that comes before, with or behind the beginning of a slot is one more."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    closing = Range(first=1, last=0, target=0, channel=0, base=0, closes=True)
    bench = Bench(dut, rng, [closing], [2])
    await bench.start()
    tick, slots = {"kind": int(EventKind.TICK)}, 1
    bench.events.send(tick)
    await bench.idle(8)
    for offset in range(6):
        bench.events.send(tick)
        await bench.idle(offset)
        await bench.ports.cycle(credit_stb=1, credit_target=0)
        await bench.idle(8)
        slots += 1
        assert len(bench.flits.taken) == slots, f"credit {offset} cycles behind the event"
    bench.events.send(tick, tick)
    await bench.idle(16)
    assert len(bench.flits.taken) == slots + 1
