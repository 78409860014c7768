"""Proofs that the generated adders err by no more than the models say, at the core's full width."""

import pytest
from amaranth.hdl import Assert, Elaboratable, Module, Signal, signed

from lamina.flows.adders.names import read_adder, shipped_files
from lamina.models.adders.errors import closed_forms, error_table
from lamina.models.adders.spec import AdderSpec
from lamina.rtl import adders

BITS, WEIGHT_BITS = 18, 8
QUICK = ("loa:4", "copy:3", "gear:4:2", "5kb")
FAMILIES = ("loa", "loawa", "heaa", "eta1", "trua0", "trua1", "copy", "ama1", "ama2", "ama3",
            "ama4", "ama5")
NAMES = ("exact", *(f"{family}:{k}" for family in FAMILIES for k in (2, 5, 8)), "oloca:4:1",
         "oloca:6:2", "oloca:8:8", "gear:2:2", "gear:1:3", "gear:3:3", "aca1:4", "eta2:3",
         "esa:4", "5qt", "5qc", "5rl", "5rp", "5y6",
         "net:sample:2:and.0.2,xor.1.3,nor.6.1,andn.7.8,not.9.0,nand.10.2:10,8,11",
         *(f"@{name}" for name in shipped_files()))


class BoundProof(Elaboratable):
    """Any accumulator, any weight: ``low <= o - (a + b) <= high`` modulo ``2**BITS``."""

    def __init__(self, module, spec, low, high):
        self._adder, self._low, self._high = module.Adder(spec, BITS), low, high
        self.a, self.b = Signal(signed(BITS)), Signal(signed(WEIGHT_BITS))

    def elaborate(self, platform):
        m = Module()
        m.submodules.adder = adder = self._adder
        above = Signal(BITS)
        m.d.comb += [adder.a.eq(self.a), adder.b.eq(self.b),
                     above.eq(adder.o - self.a - self.b - self._low),
                     Assert(above <= self._high - self._low)]
        return m


def error_bounds(spec):
    """Lowest and highest error [LSB] that the models name; windows only ever lose carries."""
    if spec.window:
        return -int(closed_forms(spec, BITS)["worst"]), 0
    errors = error_table(spec, BITS)
    return int(errors.min()), int(errors.max())


@pytest.fixture
def verdict(prove):
    """Function ``(spec, low, high, module=adders) -> PASS or FAIL``."""

    def run(spec, low, high, module=adders):
        proof = BoundProof(module, spec, low, high)
        name = f"adder-{spec.label.replace(':', '-')}"
        return prove(proof, [proof.a, proof.b], name, depth=1)

    return run


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.long)
                                            for name in NAMES)])
def test_bounds_hold_and_are_tight(verdict, name):
    spec = read_adder(name)
    low, high = error_bounds(spec)
    assert high - low + 1 < 1 << BITS
    assert verdict(spec, low, high) == "PASS"
    if low < high:
        assert verdict(spec, low + 1, high) == "FAIL"
        assert verdict(spec, low, high - 1) == "FAIL"


@pytest.mark.parametrize(("name", "change"), [
    ("loa:4", ("return a | b, a[-1] & b[-1]", "return a | b, a[-1] | b[-1]")),
    pytest.param("exact", ("return (a + b)[:bits]", "return (a - b)[:bits]"),
                 marks=pytest.mark.long),
    pytest.param("gear:4:2", ("total = (a[first:end] + b[first:end])[:width]",
                              "total = (a[first:end] + b[first:end] + 1)[:width]"),
                 marks=pytest.mark.long),
])
def test_mutants_break_their_bounds(verdict, mutant, name, change):
    spec = AdderSpec.parse(name)
    assert verdict(spec, *error_bounds(spec), mutant(adders, *change)) == "FAIL"
