"""Both ends of a link between chips against the golden ones, and mutants of them."""

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect, flipped

from lamina.models.fabric.config import MeshConfig
from lamina.rtl.fabric import chip_link
from lamina.tb.runner import run_bench

BENCH = "lamina.tb.bench_chip_link"
CONFIGS = {
    "byte": MeshConfig(size=(6, 3), chips=(2, 1)),
    "bit": MeshConfig(size=(3, 6), chips=(1, 2), payload_bits=17, link_bits=1),
    "table": MeshConfig(size=(3, 3, 2), chips=(1, 1, 2), routing="table", link_bits=4),
}
MUTANTS = {
    "takes any CRC": ("& (crc == 0))", "& 1)"),
    "takes any length": ("good.eq((packet.full | (count == config.short_words)) &", "good.eq("),
    "takes what is not due": ("takes.eq(heard & due)", "takes.eq(heard & packet.full)"),
    "believes every answer": ("heard.eq(receiver.intact_stb & possible)",
                              "heard.eq(receiver.intact_stb)"),
    "passes on what has no way": ("dropped.eq(takes & ~self._goes_on(m, packet.flit))",
                                  "dropped.eq(0)"),
    "never goes back": ("following.eq(answered)", "following.eq(following)"),
    "sends beyond the far buffer": ("self._keep(m, freed, head", "self._keep(m, answered, head"),
    "answers only with flits": ("(sender.packet.full | news | quiet)", "(sender.packet.full)"),
    "answers once": ("| news | quiet)", "| news)"),
    "forgets a length that is too large": ("Mux(count > config.full_words, count, count + 1)",
                                           "count + 1"),
    "counters run over": ("(strobe & ~counter.all())", "strobe"),
}
QUICK = "takes what is not due"


class Ends(wiring.Component):
    """The two ends of the first link of `config` that leaves a chip, unconnected."""

    def __init__(self, module, config):
        tile, port = next((tile, port) for tile in range(config.tiles) for port in config.ports
                          if config.leaves_chip(tile, port))
        self._ends = {"near": module.ChipLink(config, tile, port),
                      "far": module.ChipLink(config, config.neighbour(tile, port), port.opposite)}
        super().__init__({name: Out(end.signature) for name, end in self._ends.items()})

    def elaborate(self, platform):
        m = Module()
        for name, end in self._ends.items():
            m.submodules[name] = end
            connect(m, end, flipped(getattr(self, name)))
        return m


def bench(module, name, verilog, build_dir):
    run_bench(BENCH, "ends", [verilog(Ends(module, CONFIGS[name]), "ends")], build_dir,
              environment={"LAMINA_CONFIG": CONFIGS[name].to_json()})


@pytest.mark.parametrize("name", ["byte", *(
    pytest.param(name, marks=pytest.mark.long) for name in CONFIGS if name != "byte")])
def test_chip_link(name, verilog, build_dir):
    bench(chip_link, name, verilog, build_dir)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] * (name != QUICK)) for name in MUTANTS])
def test_mutants_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(chip_link, *MUTANTS[name]), "byte", verilog, build_dir)
