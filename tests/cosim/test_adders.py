"""The generated adders against their golden functions, and mutants of them."""

import json

import pytest
from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from lamina.models.adders.spec import AdderSpec
from lamina.rtl import adders
from lamina.tb.runner import run_bench

NAMES = ("exact", "loa:5", "loawa:4", "oloca:6:3", "heaa:4", "heaa:2", "eta1:5", "trua0:3",
         "trua1:6", "copy:4", "ama1:5", "ama2:4", "ama3:4", "ama4:5", "ama5:3", "gear:2:2",
         "gear:1:4", "gear:4:2", "aca1:3", "eta2:2", "esa:2", "5qt", "5qc", "5kb", "5rl", "5rp",
         "5y6", "net:sample:2:and.0.2,xor.1.3,nor.6.1,andn.7.8,not.9.0,nand.10.2:10,8,11")
EXACT_AT_8 = {"gear:4:2"}
MUTANTS = {
    "no carry into the upper part": ("a[k:] + b[k:] + carry", "a[k:] + b[k:]"),
    "OR becomes XOR": ("return a | b, a[-1] & b[-1]", "return a ^ b, a[-1] & b[-1]"),
    "ones begin above the pair": ("pairs[place:].any()", "pairs[place + 1:].any()"),
    "windows see one bit less": ("total = (a[first:end] + b[first:end])[:width]",
                                 "total = (a[first:end] + (b[first:end] & -2))[:width]"),
    "a mirror cell drops its carry": ("Mux(x == y, c, 0), y | (x & c)", "Mux(x == y, c, 0), y"),
    "andn is and": ("\"andn\": lambda x, y: x & ~y", "\"andn\": lambda x, y: x & y"),
}


class Side(wiring.Component):
    """Adders of every kind on the same packed operands; `module` holds them."""

    def __init__(self, module, names, bits, places):
        self._module, self._names, self._bits, self._places = module, names, bits, places
        outputs = {f"o{number}": Out(bits * places) for number in range(len(names))}
        super().__init__({"a": In(bits * places), "b": In(bits * places), **outputs})

    def elaborate(self, platform):
        m = Module()
        for number, name in enumerate(self._names):
            sums = []
            for place in range(self._places):
                one = self._module.Adder(AdderSpec.parse(name), self._bits)
                m.submodules[f"adder{number}_{place}"] = one
                m.d.comb += [one.a.eq(self.a.word_select(place, self._bits)),
                             one.b.eq(self.b.word_select(place, self._bits))]
                sums.append(one.o)
            m.d.comb += getattr(self, f"o{number}").eq(Cat(*sums))
        return m


def bench(module, bits, verilog, build_dir, names=NAMES, places=16):
    names = [name for name in names if bits > 8 or name not in EXACT_AT_8]
    source = verilog(Side(module, names, bits, places), "adders")
    setup = json.dumps({"names": names, "bits": bits, "places": places})
    run_bench("lamina.tb.bench_adders", "adders", [source], build_dir,
              environment={"LAMINA_ADDERS": setup})


@pytest.mark.parametrize("bits", [8, *(pytest.param(bits, marks=pytest.mark.long)
                                       for bits in (12, 18, 24))])
def test_adders(bits, verilog, build_dir):
    bench(adders, bits, verilog, build_dir)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] * (name != "no carry into the upper part"))
    for name in MUTANTS])
def test_mutants_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(adders, *MUTANTS[name]), 8, verilog, build_dir)
