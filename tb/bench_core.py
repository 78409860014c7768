"""Bench of the bare core: every event, membrane and counter against the golden network.

``LAMINA_CONFIG`` holds the :class:`HardwareConfig`; ``LAMINA_PROGRAMS`` how many random programs
are run per stall probability (2 by default).
"""

from __future__ import annotations

import dataclasses
import os

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, FallingEdge, ReadOnly

from lamina.models.config import (
    DescriptorField,
    EventKind,
    HardwareConfig,
    Register,
    ResetRule,
    Space,
)
from lamina.models.cost import sample_cycles
from lamina.models.image import memory_image
from lamina.models.network import run, sops_per_sample
from lamina.models.placement import place
from lamina.models.program import Layer, Program
from lamina.models.trace import Trace
from lamina.tb.core_port import CorePort, expected_output
from lamina.tb.programs import has_windows, random_program, random_spikes
from lamina.tb.stream_port import PERIOD_NS

CONFIG = HardwareConfig.from_json(os.environ["LAMINA_CONFIG"])
PROGRAMS = int(os.environ.get("LAMINA_PROGRAMS", "2"))
HALF = 1 << (CONFIG.state_bits - 1)
FULL_DECAY = 1 << CONFIG.decay_bits
RULES = [rule for rule in ResetRule
         if rule is not ResetRule.SUBTRACT_REDERIVED or CONFIG.has("rederived")]


def dense_layer(axons: int, neurons: int, *, name: str = "fc", weight: int = 1, theta: int = 1,
                reset: ResetRule = ResetRule.VALUE, **vectors) -> Layer:
    """Layer of equal weights without a leak; `vectors` replace single parameters."""
    zero = np.zeros(neurons, dtype=np.int64)
    fields = {"decay": zero + FULL_DECAY, "theta": zero + theta, "r": zero, "v_reset": zero,
              "bias": zero, "weights": np.full((axons, neurons), weight), "report": True}
    return Layer(name=name, reset=reset, **(fields | vectors))


def program_of(*layers: Layer, timesteps: int = 4, gated: int = 0, fill: str = "mid") -> Program:
    """Program of `layers` with the widths of the core."""
    return Program(name="directed", layers=layers, timesteps=timesteps,
                   weight_bits=min(CONFIG.weight_bits, 8), acc_bits=CONFIG.acc_bits,
                   decay_bits=CONFIG.decay_bits, state_bits=CONFIG.state_bits,
                   gated_tiers=gated, tier_fill=fill)


def golden(program: Program, spikes: np.ndarray) -> Trace:
    """Traced golden run; no accumulator may wrap in it, but by a windowed adder's error."""
    trace = run(program, spikes, CONFIG.tiers, trace=True, plain=True)
    assert trace.wraps == 0 or has_windows(program.layers)
    return trace


async def started(dut) -> CorePort:
    """Core after reset."""
    port = CorePort(dut, CONFIG, seed=cocotb.RANDOM_SEED)
    await port.start()
    return port


async def compare(port: CorePort, program: Program, spikes: np.ndarray) -> Trace:
    """Run the samples of `spikes` on the loaded core; every event and final membrane must agree."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    trace = golden(program, spikes)
    for sample, steps in enumerate(spikes):
        port.send_sample(steps, rng)
        got = await port.closing(EventKind.TICK, len(steps))
        for t, expected in enumerate(expected_output(program, CONFIG, trace, sample)):
            assert got[t] == expected, f"sample {sample}, timestep {t}: {got[t]} is not {expected}"
        for index, membranes in enumerate(await port.membranes(program)):
            np.testing.assert_array_equal(membranes, trace.final_membranes[index][sample],
                                          f"sample {sample}, layer {index}")
        await port.clear()
    return trace


def expected_counts(program: Program, trace: Trace) -> dict[str, int]:
    """Counters that depend on the spikes alone, summed over the samples of a golden run."""
    per_layer = trace.spike_counts.sum(axis=1).tolist()
    counts = {"ticks": trace.spikes.shape[0] * trace.spikes.shape[1], "spikes_in": per_layer[0],
              "sops": int(sops_per_sample(program, trace).sum()),
              "spikes_out": sum(per_layer[1:]), "dropped": 0}
    sums, placement = trace.sops.sum(axis=1).tolist(), place(program, CONFIG.lanes)
    for tier in range(len(CONFIG.tiers)):
        counts[f"accesses{tier}"] = sum(
            sops // layer.weights.shape[1] * placed.position_rows
            for layer, placed, sops in zip(program.layers, placement.layers, sums, strict=True)
            if tier < len(CONFIG.tiers) - max(layer.gated_tiers, program.gated_tiers))
    return counts


async def check_counts(port: CorePort, program: Program, trace: Trace) -> None:
    """Counters of the core against those of the golden run."""
    counted = await port.counters()
    expected = expected_counts(program, trace)
    assert {name: counted[name] for name in expected} == expected


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.3, 0.8])
async def random_programs_agree(dut, stall):
    """Programs and spikes of all kinds, with random stalls on all four streams."""
    rng = np.random.default_rng([cocotb.RANDOM_SEED, int(10 * stall)])
    port = await started(dut)
    fired = 0
    for _ in range(PROGRAMS):
        program = random_program(rng, CONFIG)
        port.stall(0.0)
        await port.load(program)
        port.stall(stall)
        trace = await compare(port, program, random_spikes(rng, program, 2))
        await check_counts(port, program, trace)
        fired += int(trace.spike_counts[1:].sum())
    assert fired > 0


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(reset=RULES)
async def threshold_is_inclusive(dut, reset):
    """Three active axons reach 3: thresholds 2 and 3 fire, 4 does not, in every lane."""
    port = await started(dut)
    neurons = 3 * CONFIG.lanes
    theta = np.repeat([2, 3, 4], CONFIG.lanes)
    layer = dense_layer(4, neurons, theta=theta, reset=reset,
                        decay=np.zeros(neurons, dtype=np.int64))
    program = program_of(layer, timesteps=2)
    await port.load(program)
    spikes = np.zeros((1, 2, 4), dtype=np.uint8)
    spikes[0, :, :3] = 1
    trace = await compare(port, program, spikes)
    assert trace.spikes[0, 0].tolist() == [1] * (2 * CONFIG.lanes) + [0] * CONFIG.lanes


@cocotb.test(timeout_time=4, timeout_unit="ms", skip=not CONFIG.has("rederived"))
async def rederived_rule_looks_at_the_stored_membrane(dut):
    """Neurons that stay above theta, with and without a spike, in several groups."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    port = await started(dut)
    neurons = 3 * CONFIG.lanes - 1
    layer = dense_layer(4, neurons, weight=2, theta=np.resize([3, 5, 4, 6], neurons),
                        r=np.resize([2, 4, 3, 7, 1], neurons), reset=ResetRule.SUBTRACT_REDERIVED)
    program = program_of(layer, timesteps=12)
    await port.load(program)
    spikes = (rng.random((2, 12, 4)) < rng.choice([0.1, 0.9], (2, 12, 1))).astype(np.uint8)
    trace = await compare(port, program, spikes)
    above = trace.layer_membranes[0][:, :-1] >= layer.theta
    fired = trace.spikes[:, 1:].astype(bool)
    for pair in (above & fired, above & ~fired, ~above & fired, ~above & ~fired):
        assert pair.sum() > 5


@cocotb.test(timeout_time=4, timeout_unit="ms", skip=not CONFIG.has("refractory"))
async def refractory_layers_rest_for_a_timestep(dut):
    """A drive that would fire every neuron always fires it every other timestep."""
    port = await started(dut)
    neurons = 2 * CONFIG.lanes + 1
    layer = dataclasses.replace(dense_layer(3, neurons, theta=2), refractory=1,
                                v_reset=np.resize([-1, 0, 5], neurons))
    program = program_of(layer, timesteps=6)
    await port.load(program)
    trace = await compare(port, program, np.ones((1, 6, 3), dtype=np.uint8))
    assert trace.spikes[0].all(axis=1).tolist() == [True, False] * 3
    assert trace.spikes[0].any(axis=1).tolist() == [True, False] * 3


@cocotb.test(timeout_time=4, timeout_unit="ms", skip=not CONFIG.has("currents"))
async def integrator_as_output_keeps_ticking(dut):
    """The last layer never spikes: a TICK per timestep, and its membranes can be read."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    port = await started(dut)
    width = CONFIG.lanes + 1
    readout = dataclasses.replace(dense_layer(width, 3, name="b", theta=0), spiking=False)
    program = program_of(dense_layer(6, width, name="a", theta=3), readout, timesteps=5)
    await port.load(program)
    trace = await compare(port, program, random_spikes(rng, program, 2))
    assert trace.layer_spikes[0].any() and not trace.spikes.any()
    assert trace.final_membranes[1].any()


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def membranes_saturate_at_both_ends(dut):
    """Bias drives half of the lanes to the highest, half to the lowest membrane, to stay there."""
    port = await started(dut)
    sign = np.resize([1, -1], CONFIG.lanes)
    layer = dense_layer(2, CONFIG.lanes, theta=HALF - 1, reset=ResetRule.SUBTRACT,
                        bias=np.where(sign > 0, HALF - 1, -HALF))
    program = program_of(layer, timesteps=4)
    await port.load(program)
    trace = await compare(port, program, np.ones((1, 4, 2), dtype=np.uint8))
    assert trace.final_membranes[0][0].tolist() == np.where(sign > 0, HALF - 1, -HALF).tolist()
    assert trace.spikes[0, 1].tolist() == (sign > 0).tolist()


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def empty_and_full_timesteps(dut):
    """Silent timesteps leak, full ones use every axon that the core has."""
    port = await started(dut)
    axons = min(CONFIG.axons, CONFIG.weight_words // 2)
    neurons = CONFIG.lanes + 1
    layer = dense_layer(axons, neurons, theta=axons + 2,
                        decay=np.full(neurons, FULL_DECAY // 2))
    program = program_of(layer, timesteps=6)
    await port.load(program)
    spikes = np.zeros((2, 6, axons), dtype=np.uint8)
    spikes[0, [1, 2, 5]] = 1
    trace = await compare(port, program, spikes)
    assert trace.spikes[0].any(axis=1).tolist() == [False, False, True, False, False, False]
    await check_counts(port, program, trace)


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def layers_without_groups_are_skipped(dut):
    """GROUPS = 0 leaves the ticks as they are, in the last layer and in an only one."""
    port = await started(dut)
    program = program_of(dense_layer(4, 3, name="a"), dense_layer(3, 5, name="b"))
    await port.load(program)
    await port.write(Space.DESCRIPTORS, CONFIG.descriptor_words
                     + DescriptorField.GROUPS, [0])
    alone = program_of(program.layers[0])
    spikes = random_spikes(np.random.default_rng(cocotb.RANDOM_SEED), alone, 2)
    trace = await compare(port, alone, spikes)
    assert trace.spikes.any()
    await port.write(Space.DESCRIPTORS, DescriptorField.GROUPS, [0])
    port.send(range(4))
    port.send([])
    tick = {"kind": int(EventKind.TICK), "neuron": 0}
    assert await port.closing(EventKind.TICK, 2) == [[tick], [tick]]


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def unused_lanes_stay_silent(dut):
    """One neuron in the last group: the other lanes, with threshold 0, neither spike nor count."""
    port = await started(dut)
    first = dense_layer(3, CONFIG.lanes + 1, name="a", theta=0)
    program = program_of(first, dense_layer(first.neurons, 1, name="b", theta=0))
    await port.load(program)
    trace = await compare(port, program, np.ones((1, 4, 3), dtype=np.uint8))
    assert trace.spikes.all()
    await check_counts(port, program, trace)


@cocotb.test(timeout_time=8, timeout_unit="ms")
async def blocked_output_loses_nothing(dut):
    """Every neuron of two layers fires while nobody takes the output; then it is taken slowly."""
    port = await started(dut)
    width = (CONFIG.groups // 2) * CONFIG.lanes
    width = min(width, CONFIG.weight_words // 2 // (CONFIG.groups // 2))
    program = program_of(dense_layer(2, width, name="a"), dense_layer(width, width, name="b"))
    await port.load(program)
    spikes = np.ones((1, 4, 2), dtype=np.uint8)
    port.output.stall = 1.0
    port.send_sample(spikes[0], np.random.default_rng(0))
    await ClockCycles(dut.clk, 3000)
    assert port.output.taken == []
    assert port.events.pending > 0
    port.output.stall = 0.9
    trace = golden(program, spikes)
    assert trace.spikes.all()
    got = await port.closing(EventKind.TICK, 4)
    assert got == expected_output(program, CONFIG, trace, 0)


@cocotb.test(timeout_time=8, timeout_unit="ms")
@cocotb.parametrize(reset=RULES)
async def few_spikes_and_many_groups(dut, reset):
    """Two spikes, then others, at the front of a long bitmap: groups follow each other closely."""
    port = await started(dut)
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    groups = min(CONFIG.groups, 4)
    axons = min(CONFIG.axons, CONFIG.weight_words // groups)
    neurons = groups * CONFIG.lanes
    half = 1 << (min(CONFIG.weight_bits, 8) - 1)
    layer = dense_layer(axons, neurons, theta=2, reset=reset,
                        weights=rng.integers(-half, half, (axons, neurons)))
    program = program_of(layer, timesteps=6)
    await port.load(program)
    spikes = np.zeros((2, 6, axons), dtype=np.uint8)
    for t in range(6):
        spikes[:, t, :(t + 1) % 3 + 1] = 1
    trace = await compare(port, program, spikes)
    assert trace.spikes.any()


@cocotb.test(timeout_time=8, timeout_unit="ms")
async def clear_waits_for_the_last_timestep(dut):
    """Two samples on end, CLEARs and all, while the output is blocked now and then."""
    port = await started(dut)
    width = 2 * CONFIG.lanes
    program = program_of(dense_layer(6, width, name="a", theta=4),
                         dense_layer(width, CONFIG.lanes, name="b", theta=2), timesteps=3)
    await port.load(program)
    spikes = np.ones((1, 3, 6), dtype=np.uint8)
    expected = expected_output(program, CONFIG, golden(program, spikes), 0)
    port.output.stall = 0.8
    for _ in range(3):
        port.send_sample(spikes[0], np.random.default_rng(0))
        port.send([], EventKind.CLEAR)
    got = await port.closing(EventKind.CLEAR, 3)
    clear = {"kind": int(EventKind.CLEAR), "neuron": 0}
    assert got == [[*(event for step in expected for event in step), clear]] * 3


@cocotb.test(timeout_time=8, timeout_unit="ms")
async def memory_waits_for_the_core(dut):
    """A read of the membranes while a timestep runs is answered after it, and right."""
    port = await started(dut)
    width = 3 * CONFIG.lanes
    program = program_of(dense_layer(8, width, theta=100), timesteps=1)
    await port.load(program)
    spikes = np.ones((1, 1, 8), dtype=np.uint8)
    trace = golden(program, spikes)
    for delay in (0, 5, 17):
        port.send_sample(spikes[0], np.random.default_rng(0))
        await port.until(lambda: dut.idle.value == 0)
        await ClockCycles(dut.clk, delay)
        assert dut.idle.value == 0
        [membranes] = await port.membranes(program)
        np.testing.assert_array_equal(membranes, trace.final_membranes[0][0])
        await port.closing(EventKind.TICK, 1)
        await port.clear()


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def report_flag_decides(dut):
    """Without the flag no layer reports, not even the last one; the ticks remain."""
    port = await started(dut)
    program = program_of(dense_layer(4, 3, name="a"), dense_layer(3, 5, name="b"))
    await port.load(program)
    for layer in range(2):
        address = CONFIG.descriptor_words * layer + DescriptorField.FLAGS
        [flags] = await port.read(Space.DESCRIPTORS, address)
        await port.write(Space.DESCRIPTORS, address, [flags & ~4])
    port.send(range(4))
    port.send(range(4))
    tick = {"kind": int(EventKind.TICK), "neuron": 0}
    assert await port.closing(EventKind.TICK, 2) == [[tick], [tick]]
    assert (await port.counters())["spikes_out"] == 16


@cocotb.test(timeout_time=8, timeout_unit="ms")
async def reset_in_mid_layer_starts_afresh(dut):
    """Reset at several points of a timestep; the next sample after loading is exact."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    port = await started(dut)
    width = 2 * CONFIG.lanes
    program = program_of(dense_layer(8, width, name="a", theta=3), dense_layer(width, 3, name="b"))
    for cycles in (3, 17, 31, 64):
        await port.load(program)
        for _ in range(3):
            port.send(range(8))
        await ClockCycles(dut.clk, cycles)
        await port.reset()
        assert await port.read(Space.REGISTERS, Register.LAYERS) == [0]
    await port.load(program)
    trace = await compare(port, program, random_spikes(rng, program, 2))
    assert trace.spikes.any()


@cocotb.test(timeout_time=8, timeout_unit="ms")
@cocotb.parametrize(ticks=[0, 1])
async def reset_forgets_spikes(dut, ticks):
    """Spikes of a timestep that is still open, in either bitmap, when reset comes."""
    port = await started(dut)
    program = program_of(dense_layer(8, CONFIG.lanes, theta=4), timesteps=2)
    await port.load(program)
    for _ in range(ticks):
        port.send([])
    await port.closing(EventKind.TICK, ticks)
    for axon in range(8):
        port.events.send({"kind": int(EventKind.SPIKE), "axon": axon})
    await ClockCycles(dut.clk, 40)
    await port.reset()
    await port.load(program)
    spikes = np.zeros((2, 2, 8), dtype=np.uint8)
    spikes[0, :, 0] = spikes[1] = 1
    trace = await compare(port, program, spikes)
    assert not trace.spikes[0].any() and trace.spikes[1].any()


@cocotb.test(timeout_time=8, timeout_unit="ms")
async def samples_do_not_leak_into_each_other(dut):
    """CLEAR forgets membranes, and the spikes that came after the last tick."""
    port = await started(dut)
    program = program_of(dense_layer(5, CONFIG.lanes, theta=12), timesteps=3)
    await port.load(program)
    spikes = np.ones((1, 3, 5), dtype=np.uint8)
    trace = await compare(port, program, spikes)
    assert trace.spikes.sum() == CONFIG.lanes
    port.send(range(5), EventKind.CLEAR)
    port.send([], EventKind.CLEAR)
    clear = [{"kind": int(EventKind.CLEAR), "neuron": 0}]
    assert await port.closing(EventKind.CLEAR, 2) == [clear, clear]
    await compare(port, program, spikes)


@cocotb.test(timeout_time=8, timeout_unit="ms")
@cocotb.parametrize(fill=["mid", "zero"])
async def gated_tiers_are_not_accessed(dut, fill):
    """The last tier off for the program: results and access counts are those of the golden run."""
    if len(CONFIG.tiers) < 2:
        return
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    port = await started(dut)
    half = 1 << (min(CONFIG.weight_bits, 8) - 1)
    layer = dense_layer(9, CONFIG.lanes + 2, theta=half // 4,
                        weights=rng.integers(-half, half, (9, CONFIG.lanes + 2)))
    program = program_of(layer, gated=1, fill=fill)
    await port.load(program)
    trace = await compare(port, program, random_spikes(rng, program, 3))
    assert trace.spikes.any()
    await check_counts(port, program, trace)
    assert (await port.counters())[f"accesses{len(CONFIG.tiers) - 1}"] == 0


@cocotb.test(timeout_time=8, timeout_unit="ms")
async def lost_tier_is_refused_until_rewritten(dut):
    """A tier that was off and is on again stops the events; rewriting it lets them go on."""
    port = await started(dut)
    program = program_of(dense_layer(5, CONFIG.lanes, theta=3))
    await port.load(program)
    tier = len(CONFIG.tiers) - 1
    if tier == 0:
        return
    await port.write(Space.REGISTERS, Register.TIER_GATED, [1 << tier])
    await ClockCycles(dut.clk, 4)
    assert await port.read(Space.REGISTERS, Register.TIER_LOST) == [1 << tier]
    await port.write(Space.REGISTERS, Register.TIER_GATED, [0])
    await ClockCycles(dut.clk, 4)
    assert dut.refused.value == 1
    port.send(range(5))
    await ClockCycles(dut.clk, 200)
    assert port.events.pending == 6
    port.events.flush()
    for space, address, words in memory_image(program, CONFIG):
        if space == Space.WEIGHTS + tier:
            await port.write(space, address, words.tolist())
    await port.write(Space.REGISTERS, Register.TIER_LOST, [1 << tier])
    await ClockCycles(dut.clk, 4)
    assert dut.refused.value == 0
    trace = await compare(port, program, np.ones((1, 4, 5), dtype=np.uint8))
    assert trace.spikes.any()


@cocotb.test(timeout_time=8, timeout_unit="ms", skip=CONFIG.bank != "spram")
async def a_tier_is_rewritten_as_soon_as_it_wakes(dut):
    """Asleep it reads 0 and takes nothing; words right behind the end of its gating all arrive."""
    port = await started(dut)
    words = np.random.default_rng(cocotb.RANDOM_SEED).integers(1, 1 << 16, 20).tolist()
    for tier in range(1, len(CONFIG.tiers)):
        space = Space.WEIGHTS + tier
        await port.write(Space.REGISTERS, Register.TIER_GATED, [1 << tier])
        await ClockCycles(dut.clk, 4)
        await port.write(space, 0, words)
        assert await port.read(space, 0, len(words)) == [0] * len(words)
        port.queue(Space.REGISTERS, Register.TIER_GATED, [0])
        port.queue(space, 0, words)
        assert await port.read(space, 0, len(words)) == words


@cocotb.test(timeout_time=8, timeout_unit="ms")
async def gating_waits_for_clear(dut):
    """TIER_GATED written within a sample acts from the next sample on."""
    if len(CONFIG.tiers) < 2:
        return
    port = await started(dut)
    program = program_of(dense_layer(5, 3, weight=1, theta=3), timesteps=2)
    await port.load(program)
    spikes = np.ones((1, 2, 5), dtype=np.uint8)
    expected = expected_output(program, CONFIG, golden(program, spikes), 0)
    port.send(range(5))
    assert await port.closing(EventKind.TICK, 1) == expected[:1]
    tier = len(CONFIG.tiers) - 1
    await port.write(Space.REGISTERS, Register.TIER_GATED, [1 << tier])
    port.send(range(5))
    assert await port.closing(EventKind.TICK, 1) == expected[1:]
    assert (await port.counters())[f"accesses{tier}"] == 10
    await port.clear()
    gated = dataclasses.replace(program, gated_tiers=1)
    await compare(port, gated, spikes)
    assert (await port.counters())[f"accesses{tier}"] == 10


@cocotb.test(timeout_time=8, timeout_unit="ms")
async def strange_axons_are_dropped_and_equal_ones_merge(dut):
    """Axons at or above INPUT_AXONS do nothing but count; a repeated axon acts once."""
    port = await started(dut)
    program = program_of(dense_layer(5, 3, theta=6), timesteps=2)
    await port.load(program)
    for step in ([0, 1, 2, 0, 2, 0], [5, CONFIG.axons - 1, 3, 4]):
        port.send(step)
    spikes = np.array([[[1, 1, 1, 0, 0], [0, 0, 0, 1, 1]]], dtype=np.uint8)
    trace = golden(program, spikes)
    got = await port.closing(EventKind.TICK, 2)
    assert got == expected_output(program, CONFIG, trace, 0)
    assert (await port.membranes(program))[0].tolist() == [5, 5, 5]
    counted = await port.counters()
    assert (counted["dropped"], counted["sops"]) == (2, 15)


async def check_cycles(port: CorePort, program: Program, sample: np.ndarray,
                       rng: np.random.Generator) -> None:
    """Play a sample into the loaded core at rest; its cycles must be those of the cost model."""
    trace = golden(program, sample[None])
    sent = len(port.events.times)
    port.send_sample(sample, rng)
    await port.closing(EventKind.TICK, len(sample))
    first_tick = port.events.times[sent + int(sample[0].sum())]
    cycles = round((port.output.times[-1] - first_tick) / PERIOD_NS)
    fired = [layer[0] for layer in trace.layer_spikes]
    predicted = sample_cycles(program, CONFIG, sample, fired).cycles
    assert cycles == predicted, (
        f"{cycles} cycles, not {predicted}: {[layer.weights.shape for layer in program.layers]}, "
        f"report {[layer.report for layer in program.layers]}, spikes per timestep "
        f"{[step.sum(axis=1).tolist() for step in (sample, *fired)]}")
    await port.clear()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def timesteps_follow_each_other(dut):
    """Timesteps of one layer on end, dense and silent: each group waits for its own store only."""
    rng = np.random.default_rng([cocotb.RANDOM_SEED, 8])
    port = await started(dut)
    half = 1 << (min(CONFIG.weight_bits, 8) - 1)
    for groups in (1, 2, min(CONFIG.groups, 4)):
        axons = min(CONFIG.axons, CONFIG.weight_words // groups, 96)
        neurons = groups * CONFIG.lanes
        layer = dense_layer(axons, neurons, theta=half, report=False,
                            weights=rng.integers(-half, half, (axons, neurons)))
        program = program_of(layer, timesteps=6)
        await port.load(program)
        density = rng.permutation([0.0, 0.1, 0.6, 0.9, 1.0, 1.0])
        sample = (rng.random((6, axons)) < density[:, None]).astype(np.uint8)
        await check_cycles(port, program, sample, rng)
        trace = await compare(port, program, sample[None])
        assert trace.spikes.any()


@cocotb.test(timeout_time=4, timeout_unit="ms", skip=CONFIG.axons < 1024)
async def lanes_are_used(dut):
    """96 of 784 axons, 128 neurons: .95 SOP per lane and cycle, or 1.8 with two ports."""
    rng = np.random.default_rng([cocotb.RANDOM_SEED, 9])
    port = await started(dut)
    neurons, spikes, timesteps = 128, 96, 8
    layer = dense_layer(784, neurons, theta=HALF - 1, report=False,
                        decay=np.zeros(neurons, dtype=np.int64),
                        weights=rng.integers(-8, 8, (784, neurons)))
    program = program_of(layer, timesteps=timesteps)
    await port.load(program)
    sample = np.zeros((timesteps, 784), dtype=np.uint8)
    for step in sample:
        step[rng.choice(784, spikes, replace=False)] = 1
    await check_cycles(port, program, sample, rng)
    port.send_sample(sample, rng)
    await port.closing(EventKind.TICK, timesteps)
    first, *_, last = port.output.times[-timesteps:]
    cycles = (last - first) / PERIOD_NS
    used = neurons * spikes * (timesteps - 1) / (CONFIG.lanes * cycles)
    cocotb.log.info("%.3f SOP per lane and cycle", used)
    assert used >= (0.95 if CONFIG.ports == 1 else 1.8)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def cycles_are_those_of_the_cost_model(dut):
    """Without stalls, from the first tick to the last output: as predicted, to the cycle."""
    rng = np.random.default_rng([cocotb.RANDOM_SEED, 7])
    port = await started(dut)
    for _ in range(PROGRAMS):
        program = random_program(rng, CONFIG)
        await port.load(program)
        for sample in random_spikes(rng, program, 2):
            await check_cycles(port, program, sample, rng)


@cocotb.test(timeout_time=8, timeout_unit="ms")
async def host_reads_back_what_it_wrote(dut):
    """Identification, and every word of a memory image."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    port = await started(dut)
    assert await port.read(Space.REGISTERS, Register.ID, 4) == [
        0x4C41, 1, CONFIG.fingerprint & 0xFFFF, CONFIG.fingerprint >> 16]
    program = dataclasses.replace(random_program(rng, CONFIG), gated_tiers=0)
    await port.load(program)
    image = {(space, address): words for space, address, words in memory_image(program, CONFIG)}
    image[Space.REGISTERS, Register.TIER_LOST] = np.zeros(1, dtype=np.uint16)
    for (space, address), words in image.items():
        got = await port.read(space, address, words.size)
        assert got == words.tolist(), f"space {space}"


@cocotb.test(timeout_time=8, timeout_unit="ms")
async def idle_and_tick_ready_tell_the_truth(dut):
    """Busy while a timestep waits or runs or its output does; ``tick_ready`` is what TICK sees."""
    port = await started(dut)
    program = program_of(dense_layer(9, 2 * CONFIG.lanes, theta=4))
    await port.load(program)
    await port.until(lambda: dut.idle.value == 1)
    assert dut.tick_ready.value == 1
    port.output.stall = 1.0
    port.send(range(9))
    port.send(range(9))
    await port.until(lambda: dut.tick_ready.value == 0)
    for _ in range(300):
        await FallingEdge(dut.clk)
        await ReadOnly()
        assert dut.idle.value == 0
    await FallingEdge(dut.clk)
    port.output.stall = 0.0
    await port.closing(EventKind.TICK, 2)
    await port.until(lambda: dut.idle.value == 1)
    assert dut.tick_ready.value == 1
