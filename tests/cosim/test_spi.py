"""The generated SPI peripheral against a host on its pins, and mutants of it."""

import pytest

from lamina.rtl.link import spi
from lamina.tb.runner import run_bench

BENCH = "lamina.tb.bench_spi"
MUTANTS = {
    "samples at the falling edge": ("rises.eq(~selected_n & sck & ~before)",
                                    "rises.eq(~selected_n & ~sck & before)"),
    "lowest bit first": ("tx.payload[::-1]", "tx.payload"),
    "takes a byte that is broken off": ("given & rises & (place == 7)",
                                        "given & rises & (place == 6)"),
    "keeps the bits of a byte that is broken off": (
        "with m.If(selected_n):\n            m.d.sync += place.eq(0)",
        "with m.If(0):\n            m.d.sync += place.eq(0)"),
    "passes fillers on": ("(byte != _END) | ~closed", "1"),
    "overwrites a byte": ("dropping.eq(Mux(place == 0, full, dropped))", "dropping.eq(0)"),
    "lets a frame be filled": ("return opened & ~tx.valid", "return 0"),
}


def bench(module, verilog, build_dir):
    run_bench(BENCH, "spi", [verilog(module.Spi(), "spi")], build_dir)


def test_spi(verilog, build_dir):
    bench(spi, verilog, build_dir)


@pytest.mark.long
@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(spi, *MUTANTS[name]), verilog, build_dir)
