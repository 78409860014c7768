"""Bench of the lanes: groups of neurons, their steps interleaved, against the golden neuron.

``LAMINA_CONFIG`` holds the :class:`HardwareConfig`.
"""

from __future__ import annotations

import collections
import dataclasses
import os
from collections.abc import Sequence

import cocotb
import numpy as np

from lamina.models.config import HardwareConfig, ResetRule
from lamina.models.fixed import bounds, saturate
from lamina.models.neuron import lif_step
from lamina.models.program import Layer
from lamina.tb.ports import Ports, join_lanes, split_lanes

CONFIG = HardwareConfig.from_json(os.environ["LAMINA_CONFIG"])
LANES = CONFIG.lanes
LOW, HIGH = bounds(CONFIG.state_bits)
FULL_DECAY = 1 << CONFIG.decay_bits
EVERY_LANE = (1 << LANES) - 1
NONE = 0
MEMBRANE, DECAY, BIAS, THETA, RESET, REPLACE, CURRENT, LOAD_THETA, CORRECT, FOLLOW = (
    1 << bit for bit in range(10))
"""Codes of the port ``step``."""
RULES = [rule for rule in ResetRule
         if rule is not ResetRule.SUBTRACT_REDERIVED or CONFIG.has("rederived")]
SWITCHES = [name for name, feature in (
    ("silent", "currents"), ("refractory", "refractory"), ("subtractive", "subtractive"))
    if CONFIG.has(feature)]
"""Inputs that exist with a feature only."""
CHOICE = ["adder"] if len(CONFIG.adders) > 1 else []
SECOND = ["weights_second", "add_second"] if CONFIG.ports > 1 else []
RECEIVES = CONFIG.has("partial")
FOLLOWING = [FOLLOW] if CONFIG.has("follow") else []
LATE_RULES = (ResetRule.SUBTRACT_DELAYED, ResetRule.SUBTRACT_REDERIVED)
"""Rules that subtract before they compare."""

Array = np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """One timestep of up to ``lanes`` neurons: int64 vectors [LSB], `weights` one row per spike.

    `former` holds the spikes of the timestep before, `current` the synaptic current or None, of a
    group that `receives` the sums of another tile, within ``acc_bits``.
    """

    rule: ResetRule
    v: Array
    decay: Array
    bias: Array
    theta: Array
    amount: Array
    weights: Array
    used: int = LANES
    current: Array | None = None
    former: Array = dataclasses.field(default_factory=lambda: np.zeros(LANES, dtype=np.int64))
    silent: bool = False
    refractory: bool = False
    subtractive: bool = False
    adder: str = CONFIG.adders[0]
    follow: int = 0
    receives: bool = False

    @property
    def mask(self) -> int:
        """Lanes that hold a neuron."""
        return (1 << self.used) - 1

    @property
    def spiked(self) -> int:
        """What the lanes are told: p of every lane under the delayed rule, else former spikes."""
        delayed = self.rule is ResetRule.SUBTRACT_DELAYED
        return join_lanes(self.v >= self.theta if delayed else self.former, 1)

    def golden(self) -> tuple[Array, Array, Array]:
        """Spikes, membranes and a of every lane."""
        spikes = np.ones(len(self.weights), dtype=np.int64)
        weights = self.weights
        if not len(weights):
            spikes, weights = np.zeros(1, dtype=np.int64), np.zeros((1, LANES), dtype=np.int64)
        zero = np.zeros(LANES, dtype=np.int64)
        to_value = self.rule is ResetRule.VALUE
        layer = Layer(name="group", weights=weights, decay=self.decay, theta=self.theta,
                      r=zero if to_value else self.amount, bias=self.bias, reset=self.rule,
                      v_reset=self.amount if to_value else zero, spiking=not self.silent,
                      refractory=int(self.refractory), adder=self.adder,
                      leak="subtract" if self.subtractive else "decay")
        return lif_step(layer, self.v, spikes, decay_bits=CONFIG.decay_bits,
                        state_bits=CONFIG.state_bits, acc_bits=CONFIG.acc_bits,
                        current=self.follow + (0 if self.current is None else self.current),
                        spiked=self.former)

    def words(self) -> dict[int, Array]:
        """State word of each step."""
        amount = self.amount if self.rule is ResetRule.VALUE else ~self.amount
        words = {MEMBRANE: self.v, DECAY: self.decay, BIAS: self.bias, THETA: ~self.theta,
                 RESET: amount, LOAD_THETA: ~self.theta, CORRECT: amount}
        return words if self.current is None or self.receives else words | {CURRENT: self.current}

    @property
    def loads(self) -> list[int]:
        """Steps that prepare the group, in order."""
        rederived = self.rule is ResetRule.SUBTRACT_REDERIVED
        return [MEMBRANE, DECAY, *([LOAD_THETA] if rederived else [])]

    @property
    def finish(self) -> list[int]:
        """Steps that end the group, in order."""
        rederived = self.rule is ResetRule.SUBTRACT_REDERIVED
        order = [RESET, THETA] if self.rule in LATE_RULES else [THETA, RESET]
        return [BIAS, *([] if self.current is None else [CURRENT]), *FOLLOWING, *order,
                *([CORRECT] if rederived else [])]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Times:
    """Cycles in which the parts of a group happen: its additions, steps, and the store."""

    adds: list[int]
    steps: dict[int, int]
    store: int


def schedule(groups: Sequence[Group], rng: np.random.Generator, pause: float) -> list[Times]:
    """Times of consecutive groups, as close as the contract allows or with random pauses."""

    def rest() -> int:
        return int(rng.integers(1, 4)) if rng.random() < pause else 0

    taken: set[int] = set()
    times: list[Times] = []
    first, last, done = -1, -1, -1

    def free(cycle: int) -> int:
        while cycle in taken:
            cycle += 1
        taken.add(cycle)
        return cycle

    for group in groups:
        steps, cycle = {}, max(first, 0) - 1
        for step in group.loads:
            cycle = steps[step] = free(cycle + 1 + rest())
        adds = [max(cycle + 3, last) + 1 + rest()]
        for _ in range(-(-len(group.weights) // CONFIG.ports) - 1):
            adds.append(adds[-1] + 1 + rest())
        adds[-1] = max(adds[-1], done)
        first, last = adds[0], adds[-1]
        cycle = steps[BIAS] = last + 1
        for step in group.finish[1:]:
            cycle = steps[step] = cycle + 1 + rest()
        taken |= {steps[step] for step in group.finish}
        done = cycle
        times.append(Times(adds=adds, steps=steps, store=done + 1))
    return times


class Datapath:
    """Plays groups into the lanes and compares what is stored."""

    def __init__(self, dut):
        self.ports = Ports(dut, "weights", "add", "first", "enabled", "step", "word", "rule",
                           "spiked", "finishing", "store", *SECOND, *SWITCHES, *CHOICE,
                           *(["follow"] if FOLLOWING else []),
                           *(["receives", "partial"] if RECEIVES else []))
        self.rng = np.random.default_rng(cocotb.RANDOM_SEED)
        self.seen: collections.Counter[str] = collections.Counter()

    def _noise(self, bits: int) -> int:
        return int.from_bytes(self.rng.bytes(-(-bits // 8))) & ((1 << bits) - 1)

    def _idle(self) -> dict[str, int]:
        """Inputs of a cycle in which nothing is asked for."""
        return {**{name: self._noise(LANES * CONFIG.code_bits)
                   for name in ("weights", *SECOND[:1])},
                "enabled": self._noise(LANES), "word": self._noise(LANES * CONFIG.slot_bits),
                "rule": int(self.rng.integers(4)), "spiked": self._noise(LANES),
                "finishing": self._noise(LANES), **{name: self._noise(1) for name in SWITCHES},
                **{name: int(self.rng.integers(len(CONFIG.adders))) for name in CHOICE},
                **({"follow": self._noise(CONFIG.state_bits)} if FOLLOWING else {}),
                **({"receives": self._noise(1), "partial": self._noise(LANES * CONFIG.acc_bits)}
                   if RECEIVES else {})}

    def _inputs(self, groups: Sequence[Group], times: Sequence[Times]) -> list[dict[str, int]]:
        """Inputs of every cycle."""
        cycles = [self._idle() for _ in range(times[-1].store + 3)]
        for group, when in zip(groups, times, strict=True):
            rows = group.weights if len(group.weights) else np.zeros((1, LANES), dtype=np.int64)
            for number, cycle in enumerate(when.adds):
                words = [join_lanes(row, CONFIG.code_bits)
                         for row in rows[CONFIG.ports * number:][:CONFIG.ports].tolist()]
                cycles[cycle] |= {
                    "weights": words[0], "enabled": group.mask,
                    "first": int(cycle == when.adds[0]), "add": int(len(group.weights) > 0),
                    **dict(zip(SECOND, [words[1], 1] if len(words) > 1 else [0, 0], strict=False)),
                    **{name: CONFIG.adders.index(group.adder) for name in CHOICE}}
            switches = {name: int(getattr(group, name)) for name in SWITCHES}
            cycles[when.adds[0]] |= {
                name: value for name, value in switches.items() if name == "subtractive"}
            for cycle in (when.steps[step] for step in FOLLOWING):
                mask = (1 << CONFIG.state_bits) - 1
                cycles[cycle] |= {"step": FOLLOW, "follow": group.follow & mask}
            for step, cycle in when.steps.items():
                if step == FOLLOW:
                    continue
                if RECEIVES and step == CURRENT:
                    cycles[cycle]["receives"] = int(group.receives)
                if group.receives and step == CURRENT:
                    sums = join_lanes(group.current.tolist(), CONFIG.acc_bits)
                    cycles[cycle] |= {"step": step, "partial": sums}
                    continue
                word = join_lanes(group.words()[step].tolist(), CONFIG.slot_bits)
                replacing = step == RESET and group.rule is ResetRule.VALUE
                cycles[cycle] |= {"step": REPLACE if replacing else step, "word": word}
            for cycle in range(when.steps[BIAS], when.store + 1):
                cycles[cycle] |= {"rule": int(group.rule), "finishing": group.mask}
                cycles[cycle] |= {
                    name: value for name, value in switches.items() if name != "subtractive"}
            for step in (RESET, THETA):
                cycles[when.steps[step]] |= {"spiked": group.spiked & group.mask}
            cycles[when.store] |= {"store": 1}
        return cycles

    async def play(self, groups: Sequence[Group], *, pause: float = 0.0) -> None:
        """Run `groups` one behind the other; spikes and membranes must be the golden ones."""
        times = schedule(groups, self.rng, pause)
        stores = {when.store: (group, *group.golden())
                  for group, when in zip(groups, times, strict=True)}
        spiking = {cycle: join_lanes(group.golden()[0].tolist(), 1) & group.mask
                   for group, when in zip(groups, times, strict=True)
                   for cycle in range(when.steps[THETA] + 1, when.store + 1)}
        for cycle, values in enumerate(self._inputs(groups, times)):
            await self.ports.cycle(**in_blocks(values))
            if cycle in spiking:
                assert self.ports.read("spikes") == spiking[cycle], f"cycle {cycle}"
            membranes = split_lanes(self.ports.read("membranes"), CONFIG.state_bits, LANES)
            if cycle not in stores:
                assert membranes == [0] * LANES, f"cycle {cycle}"
                continue
            group, spikes, v, a = stores[cycle]
            assert membranes[:group.used] == v[:group.used].tolist(), f"cycle {cycle}, {group}"
            if RECEIVES and group.silent:
                totals = split_lanes(self.ports.read("totals"), CONFIG.acc_bits, LANES)
                assert totals[:group.used] == a[:group.used].tolist(), f"cycle {cycle}, {group}"
            self._note(group, spikes, v, a)

    def _note(self, group: Group, spikes: Array, v: Array, a: Array) -> None:
        """Count the corners that were reached."""
        free = (a > HIGH) | (a < LOW)
        reached, former = group.v >= group.theta, group.former > 0
        size = np.abs(group.v)
        corners = {
            "at": a == group.theta, "below": a == group.theta - 1, "spikes": spikes > 0,
            "high": free & (v == HIGH), "low": free & (v == LOW), "former": reached,
            "again": reached & (spikes > 0), "given back": reached & (spikes == 0),
            "held": group.refractory & former, "held back": group.refractory & former
            & (a >= group.theta), "rested": group.refractory & ~former & (spikes > 0),
            "silent": group.silent & (a >= 0), "current": (group.current is not None) & (size >= 0),
            "sum": group.receives & (size >= 0), "silent sum": group.receives & group.silent & free,
            "short": group.subtractive & (size < group.decay), "even": group.subtractive
            & (size == group.decay) & (size > 0), "long": group.subtractive & (size > group.decay),
        }
        for name, hit in corners.items():
            self.seen[f"{group.rule.label} {name}"] += int(np.count_nonzero(hit[:group.used]))

    def reached(self, corner: str) -> int:
        """How often a corner was reached under any rule."""
        return sum(self.seen[f"{rule.label} {corner}"] for rule in RULES)


def in_blocks(values: dict[str, int]) -> dict[str, int]:
    """The same for every block of lanes, where each is told by itself."""
    widths = {"add": 1, "add_second": 1, "first": 1, "store": 1, "rule": 2, "step": 10}
    return {name: join_lanes([value] * CONFIG.blocks, widths[name]) if name in widths else value
            for name, value in values.items()}


async def started(dut) -> Datapath:
    datapath = Datapath(dut)
    await datapath.ports.start()
    return datapath


def vector(value: int | Sequence[int]) -> Array:
    """One value per lane, repeated as needed."""
    return np.resize(np.asarray(value, dtype=np.int64), LANES)


def plain_group(rule: ResetRule, **changes) -> Group:
    """No leak, no spikes, all operands small; `changes` replace fields."""
    fields = {"v": vector(0), "decay": vector(FULL_DECAY), "bias": vector(0), "theta": vector(5),
              "amount": vector(3), "weights": np.zeros((0, LANES), dtype=np.int64)}
    return Group(rule=rule, **(fields | changes))


def random_options(rng: np.random.Generator, rule: ResetRule) -> dict[str, bool]:
    """Switches that the core has, each on half of the time where the rule allows it."""
    to_value = rule is ResetRule.VALUE
    options = {name: rng.random() < 0.5 for name in SWITCHES if to_value or name == "subtractive"}
    if options.get("silent"):
        options["refractory"] = False
    return options


def random_group(rng: np.random.Generator, rule: ResetRule, spikes: int) -> Group:
    """Operands from their extremes or from anywhere, thresholds often where the sum arrives."""

    def operand(low: int, high: int) -> Array:
        corners = np.clip([low, low + 1, -1, 0, 1, high - 1, high], low, high)
        wide = rng.integers(low, high + 1, LANES)
        near = rng.integers(max(low, -9), min(high, 9) + 1, LANES)
        return np.choose(rng.integers(3, size=LANES),
                         [rng.choice(corners, LANES), wide, near])

    options = random_options(rng, rule)
    subtractive, silent = options.get("subtractive"), options.get("silent")
    least = 1 if rule in LATE_RULES else LOW
    low, high = bounds(CONFIG.code_bits)
    receives = RECEIVES and rng.random() < 0.4
    group = Group(
        rule=rule, v=operand(LOW, HIGH), decay=operand(0, HIGH if subtractive else FULL_DECAY),
        bias=operand(LOW, HIGH), theta=vector(0) if silent else operand(least, HIGH),
        amount=vector(0) if silent else operand(LOW, HIGH),
        weights=np.array([operand(low, high) for _ in range(spikes)]).reshape(spikes, LANES),
        used=int(rng.choice([LANES, LANES, rng.integers(1, LANES + 1)])),
        current=operand(*bounds(CONFIG.acc_bits)) if receives else operand(LOW, HIGH)
        if CONFIG.has("currents") and rng.random() < 0.5 else None, receives=receives,
        former=rng.integers(2, size=LANES),
        follow=int(rng.choice([LOW, -1, 0, 1, HIGH, *rng.integers(LOW, HIGH + 1, 2)]))
        if FOLLOWING else 0, adder=str(rng.choice(CONFIG.adders)), **options)
    if silent:
        return group
    near = np.clip(group.golden()[2] + rng.integers(-1, 2, LANES), least, HIGH)
    theta = np.where(rng.random(LANES) < 0.5, near, group.theta)
    return dataclasses.replace(group, theta=theta)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(rule=RULES)
async def threshold_is_inclusive(dut, rule):
    """One below, at and one above theta, reached by bias, by weights and by the membrane."""
    datapath = await started(dut)
    three = vector([4, 5, 6])
    ones = np.ones((3, LANES), dtype=np.int64)
    await datapath.play([
        plain_group(rule, bias=three), plain_group(rule, v=three, theta=vector(5)),
        plain_group(rule, weights=ones, theta=vector([2, 3, 4])),
        plain_group(rule, weights=-ones, bias=three + 3),
        plain_group(rule, bias=vector([HIGH - 1, HIGH]), theta=vector(HIGH))])
    for corner in ("at", "below", "spikes", "former"):
        assert datapath.seen[f"{rule.label} {corner}"] > 0, corner
    spikes, v, _ = plain_group(rule, bias=three).golden()
    after = {ResetRule.VALUE: 3, ResetRule.SUBTRACT_DELAYED: 5}.get(rule, 2)
    assert (spikes[1], v[1]) == (1, after)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(rule=RULES)
async def membranes_saturate_at_both_ends(dut, rule):
    """Sums beyond the store width on either side, and those that just fit."""
    datapath = await started(dut)
    one = np.ones((1, LANES), dtype=np.int64)
    await datapath.play([
        plain_group(rule, v=vector([HIGH, LOW, HIGH, LOW]), weights=one * vector([1, -1]),
                    theta=vector(HIGH), bias=vector([HIGH, LOW, 0, 0]), amount=vector(0)),
        plain_group(rule, v=vector([HIGH - 1, LOW + 1]), weights=one * vector([1, -1]),
                    theta=vector(HIGH)),
        plain_group(rule, bias=vector([HIGH, LOW, LOW, LOW]), v=vector([0, LOW, LOW, -1]),
                    amount=vector(LOW), theta=vector(HIGH))])
    assert datapath.seen[f"{rule.label} low"] > 0
    assert rule is ResetRule.VALUE or datapath.seen[f"{rule.label} high"] > 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def leak_rounds_towards_minus_infinity(dut):
    """No leak, full leak and everything between, on both signs."""
    datapath = await started(dut)
    membranes = (LOW, LOW + 1, -3, -1, 0, 1, 3, HIGH)
    decays = (0, 1, FULL_DECAY // 2, FULL_DECAY - 1, FULL_DECAY)
    groups = [plain_group(ResetRule.SUBTRACT, v=np.roll(vector(membranes), turn),
                          decay=vector(decay), theta=vector(HIGH))
              for decay in decays for turn in range(len(membranes))]
    await datapath.play(groups)
    assert (plain_group(ResetRule.SUBTRACT, v=vector(-1), decay=vector(1)).golden()[1] == -1).all()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def idle_lanes_do_not_add(dut):
    """A lane that is not enabled keeps its sum; one that is not finishing does not spike."""
    datapath = await started(dut)
    low, high = bounds(CONFIG.code_bits)
    first = plain_group(ResetRule.SUBTRACT, v=vector(7), weights=np.full((2, LANES), high),
                        theta=vector(HIGH))
    second = plain_group(ResetRule.SUBTRACT, v=vector(1), weights=np.full((3, LANES), low),
                         theta=vector(LOW), used=1)
    kept = saturate(first.golden()[2], CONFIG.state_bits).tolist()
    times = schedule([first, second], datapath.rng, 0.0)
    for cycle, values in enumerate(datapath._inputs([first, second], times)):
        await datapath.ports.cycle(**in_blocks(values))
        if cycle > times[1].steps[THETA]:
            assert datapath.ports.read("spikes") & ~second.mask == 0
        if cycle == times[1].store:
            membranes = datapath.ports.read("membranes")
            assert split_lanes(membranes, CONFIG.state_bits, LANES)[1:] == kept[1:]


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(rule=RULES, pause=[0.0, 0.5])
async def random_groups_agree(dut, rule, pause):
    """Extremes of every operand, 0 to 6 spikes, groups as close together as they can be."""
    datapath = await started(dut)
    spikes = datapath.rng.choice([0, 1, 2, 3, 4, 6], 80).tolist()
    await datapath.play([random_group(datapath.rng, rule, count) for count in spikes], pause=pause)
    for corner in ("at", "below", "spikes", "high", "low", "former"):
        if (rule, corner) != (ResetRule.VALUE, "high"):
            assert datapath.seen[f"{rule.label} {corner}"] > 0, corner


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def rules_follow_each_other(dut):
    """Groups of different layers, any rule behind any other."""
    datapath = await started(dut)
    rules = datapath.rng.choice(RULES, 80).tolist()
    await datapath.play([random_group(datapath.rng, ResetRule(rule), rule) for rule in rules])
    assert all(datapath.seen[f"{rule.label} spikes"] for rule in RULES)


@cocotb.test(timeout_time=1, timeout_unit="ms", skip=not CONFIG.has("rederived"))
async def rederived_flag_and_spike_are_independent(dut):
    """All four pairs of p and spike, at and next to theta; a neuron that fires again keeps x - r;
    one that does not gets r back."""
    datapath = await started(dut)
    rule = ResetRule.SUBTRACT_REDERIVED
    membranes, drives = vector([4, 5, 5, 4, 6]), [-9, -1, 0, 1, 3, 4]
    groups = [plain_group(rule, v=np.roll(membranes, turn), bias=vector(drive), amount=vector(r))
              for turn in range(5) for drive in drives for r in (3, -3, LOW, HIGH)]
    await datapath.play(groups)
    for corner in ("at", "below", "spikes", "former", "again", "given back"):
        assert datapath.seen[f"{rule.label} {corner}"] > 0, corner
    again = plain_group(rule, v=vector(9), theta=vector(5)).golden()
    back = plain_group(rule, v=vector(6), theta=vector(5)).golden()
    assert [again[0][0], again[1][0], back[0][0], back[1][0]] == [1, 6, 0, 6]


@cocotb.test(timeout_time=1, timeout_unit="ms", skip=not CONFIG.has("refractory"))
async def refractory_neurons_keep_their_reset_value(dut):
    """After a spike nothing that arrives counts; in the timestep after that it does again."""
    datapath = await started(dut)
    for refractory in (True, False):
        await datapath.play([
            plain_group(ResetRule.VALUE, bias=vector([4, 5, 9]), former=np.roll(vector([0, 1]), k),
                        amount=vector([-2, 0, 7]), refractory=refractory) for k in range(2)])
    for corner in ("held", "held back", "rested"):
        assert datapath.seen[f"{ResetRule.VALUE.label} {corner}"] > 0, corner


@cocotb.test(timeout_time=2, timeout_unit="ms", skip=not CONFIG.has("subtractive"))
@cocotb.parametrize(rule=RULES)
async def subtractive_leak_stops_at_zero(dut, rule):
    """Membranes below, at and above lambda, on both signs, at the ends of the store."""
    datapath = await started(dut)
    membranes = (LOW, LOW + 1, -4, -3, -2, -1, 0, 1, 2, 3, 4, HIGH)
    groups = [plain_group(rule, v=np.roll(vector(membranes), turn), decay=vector(decay),
                          theta=vector(HIGH), amount=vector(0), subtractive=True)
              for decay in (0, 1, 3, HIGH - 1, HIGH) for turn in range(len(membranes))]
    await datapath.play(groups)
    for corner in ("short", "even", "long"):
        assert datapath.reached(corner) > 0, corner


@cocotb.test(timeout_time=1, timeout_unit="ms", skip=not CONFIG.has("currents"))
@cocotb.parametrize(rule=RULES)
async def current_counts_before_the_comparison(dut, rule):
    """A current takes the sum to one below, to and above theta, and past both ends."""
    datapath = await started(dut)
    await datapath.play([
        plain_group(rule, current=vector([4, 5, 6, -5])),
        plain_group(rule, current=vector([LOW, HIGH]), bias=vector([5, -HIGH + 5])),
        plain_group(rule, current=vector([HIGH, LOW]), v=vector([HIGH, LOW]), amount=vector(0),
                    theta=vector(HIGH)),
        plain_group(rule, current=vector(-1), v=vector([5, 6, 7]))])
    for corner in ("at", "below", "spikes", "low", "current"):
        assert datapath.seen[f"{rule.label} {corner}"] > 0, corner


@cocotb.test(timeout_time=1, timeout_unit="ms", skip=not CONFIG.has("currents"))
async def integrators_neither_spike_nor_reset(dut):
    """Sums around 0 and beyond both ends of the store stay what they are."""
    datapath = await started(dut)
    zero = vector(0)
    await datapath.play([
        plain_group(ResetRule.VALUE, silent=True, theta=zero, amount=zero, bias=vector(bias),
                    v=vector(v)) for v in (0, HIGH, LOW) for bias in ([-1, 0, 1], [LOW, HIGH])])
    label = ResetRule.VALUE.label
    assert datapath.seen[f"{label} spikes"] == 0
    assert min(datapath.seen[f"{label} {name}"] for name in ("silent", "high", "low")) > 0


@cocotb.test(timeout_time=1, timeout_unit="ms", skip=not RECEIVES)
@cocotb.parametrize(rule=RULES)
async def sums_of_other_tiles_are_added_whole(dut, rule):
    """Beyond what a membrane holds, to be brought back by the own weights, or to leave again."""
    datapath = await started(dut)
    low, high = bounds(CONFIG.acc_bits)
    ends = vector([2 * HIGH, 2 * LOW, high, low])
    back = np.array([np.clip(-ends, *bounds(CONFIG.code_bits))] * 2)
    await datapath.play([
        plain_group(rule, current=vector([4, 5, 6, -5]), receives=True),
        plain_group(rule, current=ends, receives=True, weights=back),
        plain_group(rule, current=vector([HIGH, LOW])),
        plain_group(rule, current=ends, bias=vector([LOW, HIGH]), receives=True)])
    for corner in ("at", "below", "spikes", "sum"):
        assert datapath.seen[f"{rule.label} {corner}"] > 0, corner
    zero = vector(0)
    await datapath.play([plain_group(ResetRule.VALUE, silent=True, theta=zero, amount=zero,
                                     current=ends, receives=True)])
    assert datapath.seen[f"{ResetRule.VALUE.label} silent sum"] > 0
