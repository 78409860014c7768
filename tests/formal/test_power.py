"""Proofs about the power controller: which tiers can be without supply or gated."""

import pytest
from amaranth.hdl import Assert, Cat, Cover, Elaboratable, Fragment, Module

from lamina.models.config import PowerConfig
from lamina.rtl import power

CONFIG = PowerConfig(tier_power=((3, 2), (2, 1), (2, 1)), activity_bits=1)


class SuffixProof(Elaboratable):
    """Any budgets, activities and acknowledges: what is gated is a suffix without tier 0."""

    def __init__(self, module):
        self._power = module.PowerController(CONFIG)

    @property
    def inputs(self):
        return [self._power.decide_stb, self._power.budget, self._power.activity,
                self._power.rewrite_ack]

    def elaborate(self, platform):
        m = Module()
        tested = self._power
        m.submodules.power = Fragment.get(tested, platform)
        off = Cat(tested.voltages[tier] == CONFIG.off for tier in range(CONFIG.tiers))
        m.d.comb += [Assert(~tested.gated[0]), Assert(~off[0]), Assert((off & ~tested.gated) == 0),
                     Cover(tested.gated[1:].all())]
        for tier in range(CONFIG.tiers - 1):
            m.d.comb += [Assert(~tested.gated[tier] | tested.gated[tier + 1]),
                         Assert(~off[tier] | off[tier + 1])]
        return m


def test_tier_0_is_never_gated_and_gated_tiers_are_a_suffix(prove):
    """By induction, for ever; and all but tier 0 can be gated: 4 decisions of 5 cycles."""
    proof = SuffixProof(power)
    assert prove(proof, proof.inputs, "power", 8, "prove") == "PASS"
    assert prove(proof, proof.inputs, "power", 26, "cover") == "PASS"


@pytest.mark.parametrize(("old", "new"), [
    ("self.gated[k].eq((tier < k) | waits)", "self.gated[k].eq(tier == k - 1)"),
    ("Mux(tier < k, self._config.off, 0)", "Mux(tier != k, self._config.off, 0)"),
])
def test_the_proof_notices(old, new, prove, mutant):
    proof = SuffixProof(mutant(power, old, new))
    assert prove(proof, proof.inputs, "power_mutant", 40) == "FAIL"
