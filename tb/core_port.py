"""The bare core behind its four streams: load, run and read back as a host does."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from cocotb.handle import SimHandleBase
from cocotb.triggers import ClockCycles

from lamina.models.config import Counter, EventKind, HardwareConfig, Register, Space
from lamina.models.image import memory_image
from lamina.models.placement import place
from lamina.models.program import Program
from lamina.models.trace import Trace
from lamina.tb.stream_port import StreamPort
from lamina.tb.streams import Payload, event_fields, output_fields, request_fields, reset

__all__ = ["CorePort", "expected_output"]


def expected_output(program: Program, config: HardwareConfig, trace: Trace,
                    sample: int) -> list[list[Payload]]:
    """Events that the core emits for one sample of a traced golden run, timestep by timestep."""
    placed = place(program, config.lanes, len(config.tiers)).layers
    last = len(program.layers) - 1
    steps = []
    for t in range(trace.spikes.shape[1]):
        events = []
        for index, layer in enumerate(program.layers):
            if layer.report or index == last:
                fired = np.flatnonzero(trace.layer_spikes[index][sample, t])
                events += [{"kind": int(EventKind.SPIKE), "neuron": unit}
                           for unit in np.sort(placed[index].units[fired]).tolist()]
        steps.append([*events, {"kind": int(EventKind.TICK), "neuron": 0}])
    return steps


class CorePort(StreamPort):
    """Drives ``events`` and ``request``, takes ``output`` and ``response``.

    Parameters
    ----------
    dut : SimHandleBase
        ``lamina_core``.
    config : HardwareConfig
    seed : int
        Of the stalls; there are none before :meth:`stall` is called.
    events : bool
        Whether the events come from here; otherwise something else feeds the core.
    """

    def __init__(self, dut: SimHandleBase, config: HardwareConfig, *, seed: int,
                 events: bool = True):
        super().__init__(dut, config, events=event_fields(config) if events else None,
                         output=output_fields(config), request=request_fields(), seed=seed)
        self.config = config
        self._lines = np.zeros(0, dtype=np.int64)

    async def reset(self) -> None:
        """Reset in the middle of anything; whatever was queued or taken is forgotten."""
        for stream in self._streams:
            stream.flush()
        await reset(self.dut)
        for stream in (self.output, self._response):
            stream.flush()
            stream.taken.clear()

    async def load(self, program: Program) -> None:
        """Write the memory image of `program`, then zero the counters and wait for it."""
        self._lines = place(program, self.config.lanes, len(self.config.tiers)).input_axons
        for space, address, words in memory_image(program, self.config):
            await self.write(space, address, words.tolist())
        await self.write(Space.REGISTERS, Register.CONTROL, [1])
        await ClockCycles(self.dut.clk, 12 * (len(Counter) + len(self.config.tiers)))

    def send(self, axons: Iterable[int], kind: EventKind = EventKind.TICK) -> None:
        """Queue the spikes of a timestep and the event that closes it."""
        for axon in axons:
            self.events.send({"kind": int(EventKind.SPIKE), "axon": int(axon)})
        self.events.send({"kind": int(kind)})

    def send_sample(self, spikes: np.ndarray, rng: np.random.Generator) -> None:
        """Queue the timesteps of `spikes` (timesteps, axons), each in random order of axons."""
        for step in spikes:
            self.send(rng.permutation(self._lines[np.flatnonzero(step)]).tolist())

    async def closing(self, kind: EventKind, count: int) -> list[list[Payload]]:
        """Take the output up to the `count`-th event of `kind`, cut after each event of it."""
        taken = self.output.taken
        await self.until(lambda: sum(event["kind"] == kind for event in taken) >= count)
        steps: list[list[Payload]] = [[]]
        while len(steps) <= count:
            event = taken.pop(0)
            steps[-1].append(event)
            if event["kind"] == kind:
                steps.append([])
        return steps[:-1]

    async def clear(self) -> None:
        """Close the sample and wait for the CLEAR that answers."""
        self.send([], EventKind.CLEAR)
        assert await self.closing(EventKind.CLEAR, 1) == [
            [{"kind": int(EventKind.CLEAR), "neuron": 0}]]

    async def counter(self, index: int) -> int:
        """One 32-bit counter; low word first, it latches the high one."""
        low, high = await self.read(Space.REGISTERS, Register.COUNTERS + 2 * index, 2)
        return low | high << 16

    async def counters(self) -> dict[str, int]:
        """Counters by name, accesses as ``accesses0`` and on."""
        named = {counter.name.lower(): await self.counter(counter)
                 for counter in Counter if counter is not Counter.ACCESSES}
        for tier in range(len(self.config.tiers)):
            named[f"accesses{tier}"] = await self.counter(Counter.ACCESSES + tier)
        return named
