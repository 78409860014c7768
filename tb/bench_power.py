"""Bench of the power controller: supplies, gates, requests against the golden rule, to the cycle.

``LAMINA_CONFIG`` holds the :class:`PowerConfig`.
"""

from __future__ import annotations

import os

import cocotb
import numpy as np

from lamina.models.config import PowerConfig
from lamina.models.power import PowerState, decide, estimated_power
from lamina.tb.ports import Ports

CONFIG = PowerConfig.from_json(os.environ["LAMINA_CONFIG"])
LATENCY = 5
FULL = 1 << CONFIG.activity_bits
CODE_BITS = CONFIG.off.bit_length()
PLENTY = CONFIG.full_power + CONFIG.hysteresis


def ladder() -> list[tuple[int, ...]]:
    """All voltages that the rule passes through, from nominal down."""
    return [(0,) * tier + (code,) + (CONFIG.off,) * (CONFIG.tiers - 1 - tier)
            for tier in reversed(range(CONFIG.tiers)) for code in range(CONFIG.steps + 1)]


class Supplies:
    """Drives the controller and holds every cycle of it to the golden state."""

    def __init__(self, dut):
        self.ports = Ports(dut, "decide_stb", "budget", "activity", "rewrite_ack")
        self.state = PowerState.nominal(CONFIG)
        self.rng = np.random.default_rng(cocotb.RANDOM_SEED)
        self.rewrites = 0
        self._next, self._left = self.state, 0
        self._gated = [False] * CONFIG.tiers
        self._acknowledged = False

    async def start(self) -> None:
        """Reset, with nothing to decide."""
        await self.ports.start()
        await self.cycle()

    async def cycle(self, **inputs: int) -> None:
        """One cycle; a strobe between decisions starts one, any other is ignored."""
        await self.ports.cycle(**inputs)
        if self._left:
            self._left -= 1
            if not self._left:
                self.state = self._next
        self._compare()
        if inputs.get("decide_stb") and not self._left:
            acknowledge = bool((self.ports.rest | inputs)["rewrite_ack"])
            self._acknowledged = self.state.rewriting and acknowledge
            self._next = decide(CONFIG, self.state, budget=inputs["budget"],
                                activity=inputs["activity"], acknowledge=acknowledge)
            self._left = LATENCY

    def _compare(self) -> None:
        word = self.ports.read("voltages")
        voltages = tuple(word >> CODE_BITS * tier & ((1 << CODE_BITS) - 1)
                         for tier in range(CONFIG.tiers))
        assert voltages == self.state.voltages
        gated = [bool(self.ports.read("gated") >> tier & 1) for tier in range(CONFIG.tiers)]
        assert tuple(gated) == self.state.gated(CONFIG)
        assert self.ports.read("rewrite_request") == self.state.rewriting
        assert self.ports.read("busy") == (self._left > 0)
        self._hold_invariants(gated)

    def _hold_invariants(self, gated: list[bool]) -> None:
        """Tier 0 stays, the gated ones are a suffix, and who comes back was rewritten."""
        assert not gated[0]
        assert gated == sorted(gated)
        back = sum(was and not now for was, now in zip(self._gated, gated, strict=True))
        assert back <= self._acknowledged
        self.rewrites += back
        self._gated = gated

    async def decision(self, budget: int, activity: int = FULL) -> None:
        """A strobe and its outcome; the inputs are noise as soon as it is over."""
        await self.cycle(decide_stb=1, budget=budget, activity=activity)
        for _ in range(LATENCY):
            await self.cycle(**self._noise())

    def _noise(self) -> dict[str, int]:
        return {"budget": int(self.rng.integers(PLENTY + 1)),
                "activity": int(self.rng.integers(FULL + 1))}

    def power(self, activity: int = FULL) -> int:
        """Estimated power now [LSB]."""
        return estimated_power(CONFIG, self.state.voltages, activity)

    async def rewrite(self) -> None:
        """Acknowledge what is asked for, and with the next decision take the acknowledge back."""
        self.ports.rest["rewrite_ack"] = 1
        await self.decision(PLENTY)
        self.ports.rest["rewrite_ack"] = 0

    async def fall(self) -> None:
        """No budget at all, until nothing can be lowered any more."""
        for _ in ladder():
            await self.decision(0)


async def started(dut) -> Supplies:
    supplies = Supplies(dut)
    await supplies.start()
    return supplies


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def falling_budget_lowers_then_gates(dut):
    """A budget of 1 less than what is drawn takes exactly one step; tier 0 ends at V_min."""
    supplies = await started(dut)
    for voltages, below in zip(ladder(), [*ladder()[1:], ladder()[-1]], strict=True):
        assert supplies.state.voltages == voltages
        await supplies.decision(supplies.power())
        assert supplies.state.voltages == voltages
        await supplies.decision(supplies.power() - 1)
        assert supplies.state.voltages == below
    assert supplies.state.voltages == (*(CONFIG.steps,), *(CONFIG.off,) * (CONFIG.tiers - 1))


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def rising_budget_rewrites_then_raises(dut):
    """Room for a step and the hysteresis takes it, 1 less does not; weights first."""
    supplies = await started(dut)
    await supplies.fall()
    for voltages in reversed(ladder()[:-1]):
        needed = estimated_power(CONFIG, voltages, FULL) + CONFIG.hysteresis
        await supplies.decision(needed - 1)
        assert supplies.state.voltages != voltages
        await supplies.decision(needed)
        assert supplies.state.voltages == voltages
        if supplies.state.rewriting:
            for _ in range(3):
                await supplies.decision(PLENTY)
            assert supplies.state.voltages == voltages
            assert supplies.state.rewriting
            await supplies.rewrite()
    assert supplies.state == PowerState.nominal(CONFIG)
    assert supplies.rewrites == CONFIG.tiers - 1


@cocotb.test(timeout_time=2, timeout_unit="ms", skip=CONFIG.tiers == 1)
async def a_withdrawn_request_is_made_again(dut):
    """The budget falls while weights are written; a late acknowledge counts for nothing."""
    supplies = await started(dut)
    await supplies.fall()
    for _ in range(CONFIG.steps + 1):
        await supplies.decision(PLENTY)
    assert supplies.state.rewriting
    await supplies.decision(supplies.power() - 1)
    assert not supplies.state.rewriting
    supplies.ports.rest["rewrite_ack"] = 1
    await supplies.decision(PLENTY)
    assert not supplies.state.rewriting
    supplies.ports.rest["rewrite_ack"] = 0
    await supplies.decision(PLENTY)
    assert supplies.state.rewriting
    await supplies.rewrite()
    assert supplies.rewrites == 1


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def above_budget_one_decision_per_rung(dut):
    """After any fall of the budget it is met in as many decisions as rungs are above it."""
    supplies = await started(dut)
    rungs = ladder()
    for end in range(0, len(rungs), max(1, len(rungs) // 6)):
        budget = estimated_power(CONFIG, rungs[end], FULL)
        for rung in range(end):
            assert supplies.power() > budget, f"rung {rung}"
            await supplies.decision(budget)
        assert supplies.power() <= budget
        for _ in range(3):
            await supplies.decision(budget)
        assert supplies.state.voltages == rungs[end]
        while supplies.state != PowerState.nominal(CONFIG):
            await supplies.rewrite()
            await supplies.decision(PLENTY)


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(strobes=[0.1, 1.0])
async def random_budgets_equal_the_golden_rule(dut, strobes):
    """Budgets that wander, any activity, strobes while busy, acknowledges in good time or late."""
    supplies = await started(dut)
    rng, budget, reached = supplies.rng, PLENTY, set()
    while supplies.rewrites < 10 * (CONFIG.tiers > 1) or len(reached) < len(ladder()):
        if rng.random() < 0.01:
            budget = int(rng.integers(PLENTY + 1))
        waiting = supplies.state.rewriting
        if rng.random() < (0.02 if waiting else 0.5):
            supplies.ports.rest["rewrite_ack"] = int(waiting)
        activity = int(rng.integers(FULL + 1)) if rng.random() < 0.2 else FULL
        await supplies.cycle(decide_stb=int(rng.random() < strobes), budget=budget,
                             activity=activity)
        reached.add(supplies.state.voltages)
