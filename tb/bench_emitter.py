"""Bench of the emitter: events of spike masks against the golden ones, to the cycle.

``LAMINA_CONFIG`` holds the :class:`HardwareConfig`.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Sequence

import cocotb
import numpy as np

from lamina.models.config import EventKind, HardwareConfig
from lamina.models.emitter import emit
from lamina.tb.ports import Ports
from lamina.tb.streams import Payload, StreamMonitor, output_fields

CONFIG = HardwareConfig.from_json(os.environ["LAMINA_CONFIG"])
LANES, ROWS = CONFIG.lanes, CONFIG.groups
FULL = (1 << LANES) - 1
PLACES = 2
CARRIES, WIDTH = CONFIG.has("partial"), CONFIG.acc_bits
"""Whether SPIKEs carry values, and their width."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Group:
    """Spikes of one row, and the marker behind them."""

    mask: int = 0
    row: int = 0
    marker: EventKind | None = None
    values: int = 0

    def events(self) -> list[Payload]:
        """What the emitter must send."""
        mask = np.array([self.mask >> lane & 1 for lane in range(LANES)])
        return [{"kind": int(kind), "neuron": neuron, **self._carried(kind, neuron)}
                for kind, neuron in emit(mask, self.row, self.marker)]

    def _carried(self, kind: EventKind, neuron: int) -> dict[str, int]:
        if not CARRIES:
            return {}
        value = self.values >> neuron % LANES * WIDTH & (1 << WIDTH) - 1
        return {"value": value if kind is EventKind.SPIKE else 0}

    def inputs(self) -> dict[str, int]:
        """Ports in the cycle of the push."""
        return {"push": 1, "mask": self.mask, "row": self.row,
                "tick": int(self.marker is EventKind.TICK),
                "clear": int(self.marker is EventKind.CLEAR), **carried(self.values)}


def carried(values: int) -> dict[str, int]:
    """The port ``values``, where it exists."""
    return {"values": values} if CARRIES else {}


def drawn_values(rng: np.random.Generator) -> int:
    """Random values of all lanes."""
    return int.from_bytes(rng.bytes(LANES * WIDTH)) & ((1 << LANES * WIDTH) - 1)


class Emissions:
    """Reserves places, pushes groups and keeps the events."""

    def __init__(self, dut, *, stall: float = 0.0):
        self.ports = Ports(dut, "push", "mask", "row", "tick", "clear", "reserve",
                           *carried(0))
        self.output = StreamMonitor(dut, "output", output_fields(CONFIG), stall=stall,
                                    seed=cocotb.RANDOM_SEED)
        self.full_cycles = 0
        self._rng = np.random.default_rng(cocotb.RANDOM_SEED + 1)

    async def start(self) -> None:
        """Reset, then take events."""
        await self.ports.start()
        cocotb.start_soon(self.output.run())

    def _noise(self) -> dict[str, int]:
        return {"mask": int(self._rng.integers(FULL + 1)), "row": int(self._rng.integers(ROWS)),
                "tick": int(self._rng.integers(2)), "clear": int(self._rng.integers(2)),
                **(carried(drawn_values(self._rng)) if CARRIES else {})}

    async def play(self, groups: Sequence[Group], *, delay: float) -> None:
        """Push `groups`, each a random while after a place was free, and wait for their events.

        Without stalls a group is sent from the cycle after its push, one later in a wide core, or
        after the last event before it, one event per cycle; ``free`` and ``empty`` are held
        to that in every cycle.
        """
        taken, reserved = len(self.output.taken), 0
        released: list[int] = []
        for now in itertools.count():
            await self.ports.edge()
            held = reserved - sum(cycle < now for cycle in released)
            if not self.output.stall:
                assert self.ports.read("free") == (held < PLACES), f"cycle {now}"
                assert self.ports.read("empty") == (held == 0), f"cycle {now}"
            self.full_cycles += held == PLACES
            if len(released) == len(groups) and self.ports.read("empty"):
                break
            reserve = bool(self.ports.read("free")) and reserved < len(groups)
            reserved += reserve
            values = self._noise()
            if reserved > len(released) and self._rng.random() >= delay:
                group = groups[len(released)]
                values = group.inputs()
                begin = max([now + CONFIG.preview, *released[-1:]]) + 1
                released.append(begin + max(1, len(group.events())) - 1)
            await self.ports.settle(reserve=int(reserve), **values)
        expected = [event for group in groups for event in group.events()]
        assert self.output.taken[taken:] == expected


async def started(dut, **options) -> Emissions:
    emissions = Emissions(dut, **options)
    await emissions.start()
    return emissions


def corner_groups() -> list[Group]:
    """Every kind of mask with every marker."""
    masks = (0, 1, 1 << (LANES - 1), FULL, 0b1010, FULL & ~1)
    return [Group(mask=mask, row=row, marker=marker)
            for marker in (None, EventKind.TICK, EventKind.CLEAR)
            for row, mask in zip((0, ROWS - 1, 1, 0, ROWS - 1, 1), masks, strict=True)]


def random_groups(rng: np.random.Generator, count: int) -> list[Group]:
    """Silent, sparse and full masks, one marker in four."""
    markers = (None,) * 6 + (EventKind.TICK, EventKind.CLEAR)
    return [Group(mask=int(rng.choice([0, FULL, 1 << int(rng.integers(LANES)),
                                       int(rng.integers(FULL + 1))])),
                  row=int(rng.integers(ROWS)), marker=markers[int(rng.integers(8))],
                  values=drawn_values(rng) if CARRIES else 0)
            for _ in range(count)]


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(delay=[0.0, 0.7])
async def every_mask_with_every_marker(dut, delay):
    """One event per cycle, one cycle for nothing, two places."""
    emissions = await started(dut)
    await emissions.play(corner_groups(), delay=delay)
    await emissions.play(random_groups(np.random.default_rng(cocotb.RANDOM_SEED), 150),
                         delay=delay)
    assert emissions.full_cycles > 0


@cocotb.test(timeout_time=4, timeout_unit="ms")
@cocotb.parametrize(stall=[0.3, 0.9])
async def back_pressure_loses_nothing(dut, stall):
    """The same under stalls: order, count and payload are kept, and the queue fills."""
    emissions = await started(dut, stall=stall)
    await emissions.play(corner_groups(), delay=0.1)
    await emissions.play(random_groups(np.random.default_rng(cocotb.RANDOM_SEED), 60), delay=0.1)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def blocked_output_holds_its_event(dut):
    """Nobody takes anything: two groups wait, no third place is free; then all comes out."""
    emissions = await started(dut, stall=1.0)
    groups = [Group(mask=FULL, row=1), Group(mask=1, row=0, marker=EventKind.TICK)]
    for group in groups:
        await emissions.ports.cycle(reserve=1, **group.inputs())
    for _ in range(20):
        await emissions.ports.cycle(**emissions._noise())
        assert emissions.ports.read("free") == 0
        assert dut.output__valid.value == 1
        assert emissions.output.taken == []
    emissions.output.stall = 0.0
    while not emissions.ports.read("empty"):
        await emissions.ports.cycle()
    assert emissions.output.taken == [event for group in groups for event in group.events()]
