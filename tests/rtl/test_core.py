"""The core in Amaranth's own simulator: small programs, every event and membrane."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from amaranth.sim import Simulator

from lamina.models.config import (
    Counter,
    EventKind,
    HardwareConfig,
    Register,
    ResetRule,
    Space,
    StateRegion,
)
from lamina.models.cost import sample_cycles
from lamina.models.image import memory_image
from lamina.models.network import run
from lamina.models.program import Layer, Program
from lamina.rtl.core import Core

RULES = (ResetRule.VALUE, ResetRule.SUBTRACT, ResetRule.SUBTRACT_DELAYED)
CONFIG = HardwareConfig(lanes=4, tiers=(2, 1, 1), weight_words=256, axons=32, groups=8, layers=3,
                        state_bits=10, acc_bits=16)


def random_program(rule: ResetRule, seed: int, sizes=(19, 10, 5), **options) -> Program:
    """A chain of layers with thresholds that the weights reach."""
    rng = np.random.default_rng(seed)
    layers = []
    for number, (axons, neurons) in enumerate(itertools.pairwise(sizes)):
        zero = np.zeros(neurons, dtype=np.int64)
        amount = rng.integers(1, 20, neurons)
        layers.append(Layer(
            name=f"layer{number}", weights=rng.integers(-8, 8, (axons, neurons)), reset=rule,
            decay=rng.integers(0, 257, neurons), theta=rng.integers(1, 12, neurons),
            r=zero if rule is ResetRule.VALUE else amount,
            v_reset=rng.integers(-9, 9, neurons) if rule is ResetRule.VALUE else zero,
            bias=rng.integers(-3, 6, neurons), report=bool(number % 2) or neurons == sizes[-1]))
    return Program(name="random", layers=tuple(layers), timesteps=6, weight_bits=4, acc_bits=16,
                   state_bits=10, **options)


class Host:
    """Test-side access to the core's streams."""

    def __init__(self, ctx, core):
        self.ctx, self.core, self.outputs = ctx, core, []

    async def tick(self):
        output = self.core.output
        self.ctx.set(output.ready, 1)
        if self.ctx.get(output.valid):
            payload = self.ctx.get(output.payload)
            self.outputs.append((payload.kind, payload.neuron))
        await self.ctx.tick()

    async def write(self, space, address, word):
        request = self.core.request
        self.ctx.set(request.payload,
                     {"write": 1, "space": space, "address": address, "data": word})
        await self._until_ready(request)

    async def read(self, space, address):
        request, response = self.core.request, self.core.response
        self.ctx.set(request.payload, {"write": 0, "space": space, "address": address, "data": 0})
        self.ctx.set(response.ready, 1)
        self.ctx.set(request.valid, 1)
        for _ in range(1000):
            if self.ctx.get(response.valid):
                value = self.ctx.get(response.payload)
                await self.tick()
                self.ctx.set(request.valid, 0)
                return value
            await self.tick()
        raise AssertionError("no response")

    async def event(self, kind, axon=0):
        self.ctx.set(self.core.events.payload, {"kind": kind, "axon": axon})
        await self._until_ready(self.core.events)

    async def _until_ready(self, stream):
        self.ctx.set(stream.valid, 1)
        for _ in range(10000):
            ready = self.ctx.get(stream.ready)
            await self.tick()
            if ready:
                self.ctx.set(stream.valid, 0)
                return
        raise AssertionError("never ready")

    async def idle(self):
        for _ in range(10000):
            if self.ctx.get(self.core.idle):
                return
            await self.tick()
        raise AssertionError("never idle")

    async def load(self, program, config):
        for space, address, words in memory_image(program, config):
            for offset, word in enumerate(words.tolist()):
                await self.write(space, address + offset, word)

    async def counter(self, index):
        low = await self.read(Space.REGISTERS, Register.COUNTERS + 2 * index)
        return low | await self.read(Space.REGISTERS, Register.COUNTERS + 2 * index + 1) << 16


def simulate(testbench):
    core = Core(CONFIG)

    async def bench(ctx):
        host = Host(ctx, core)
        await testbench(host)

    simulator = Simulator(core)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def expected_outputs(program, trace, sample, config):
    """Output events of one sample, in order, with its CLEAR."""
    events, bases, base = [], [], 0
    for layer in program.layers:
        bases.append(base * config.lanes)
        base += -(-layer.neurons // config.lanes)
    for t in range(trace.spikes.shape[1]):
        for number, layer in enumerate(program.layers):
            if layer.report:
                fired = np.flatnonzero(trace.layer_spikes[number][sample, t])
                events += [(EventKind.SPIKE, bases[number] + n) for n in fired.tolist()]
        events.append((EventKind.TICK, 0))
    return [*events, (EventKind.CLEAR, 0)]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("gated", [0, 1])
def test_core_equals_golden(rule, gated):
    program = random_program(rule, seed=7 + gated, gated_tiers=gated)
    rng = np.random.default_rng(5)
    spikes = (rng.random((3, 6, 19)) < np.array([0, .2, .5, 1, .05, .4])[None, :, None]).astype(
        np.uint8)
    trace = run(program, spikes, CONFIG.tiers, trace=True)
    assert all(layer.any() for layer in trace.layer_spikes)

    async def bench(host):
        await host.load(program, CONFIG)
        await host.write(Space.REGISTERS, Register.CONTROL, 1)
        for _ in range(200):
            await host.tick()
        for sample in range(len(spikes)):
            host.outputs.clear()
            for t in range(spikes.shape[1]):
                for axon in rng.permutation(np.flatnonzero(spikes[sample, t])).tolist():
                    await host.event(EventKind.SPIKE, axon)
                await host.event(EventKind.TICK)
            await host.idle()
            await check_membranes(host, program, trace, sample)
            await host.event(EventKind.CLEAR)
            await host.idle()
            assert host.outputs == expected_outputs(program, trace, sample, CONFIG)
        await check_counters(host, program, trace, gated)

    simulate(bench)


async def check_membranes(host, program, trace, sample):
    row = 0
    for number, layer in enumerate(program.layers):
        got = []
        for n in range(layer.neurons):
            address = (StateRegion.MEMBRANE * CONFIG.groups + row) * CONFIG.lanes + n
            word = await host.read(Space.STATE, address)
            got.append((word ^ 0x200) - 0x200 if word < 0x400 else word - 0x10000)
        assert got == trace.final_membranes[number][sample].tolist()
        row += -(-layer.neurons // CONFIG.lanes)


async def check_counters(host, program, trace, gated):
    counts = trace.spike_counts.sum(axis=1).tolist()
    neurons = [layer.neurons for layer in program.layers]
    assert await host.counter(Counter.TICKS) == trace.spikes.shape[0] * trace.spikes.shape[1]
    assert await host.counter(Counter.SPIKES_IN) == counts[0]
    assert await host.counter(Counter.SPIKES_OUT) == sum(counts[1:])
    sops = sum(c * n for c, n in zip(counts, neurons, strict=False))
    assert await host.counter(Counter.SOPS) == sops
    reads = sum(c * -(-n // CONFIG.lanes) for c, n in zip(counts, neurons, strict=False))
    accesses = [await host.counter(Counter.ACCESSES + tier) for tier in range(3)]
    assert accesses == [reads] * (3 - gated) + [0] * gated


@pytest.mark.parametrize("sizes", [(19, 10, 5), (31, 30), (16, 4, 12, 8), (32, 3)])
@pytest.mark.parametrize("rate", [0.03, 0.2, 0.9])
def test_core_costs_what_its_model_says(sizes, rate):
    """To the cycle, for few spikes and many, reporting and silent layers."""
    program = random_program(ResetRule.SUBTRACT, seed=len(sizes), sizes=sizes)
    rng = np.random.default_rng(6)
    spikes = (rng.random((2, 5, sizes[0])) < rate).astype(np.uint8)
    trace = run(program, spikes, CONFIG.tiers, trace=True)
    assert trace.spikes.any()

    async def bench(host):
        await host.load(program, CONFIG)
        for sample in range(len(spikes)):
            await host.write(Space.REGISTERS, Register.CONTROL, 1)
            for _ in range(120):
                await host.tick()
            for t in range(spikes.shape[1]):
                for axon in np.flatnonzero(spikes[sample, t]).tolist():
                    await host.event(EventKind.SPIKE, axon)
                await host.event(EventKind.TICK)
            await host.idle()
            layers = [layer[sample] for layer in trace.layer_spikes]
            cost = sample_cycles(program, CONFIG, spikes[sample], layers)
            assert await host.counter(Counter.CYCLES) == cost.cycles
            await host.event(EventKind.CLEAR)
            await host.idle()

    simulate(bench)
