"""The generated Wishbone port against a master, as memories of an FPGA and of an ASIC, mutants."""

import pytest

from lamina.flows.backend.generate import convert
from lamina.flows.errors import UserError
from lamina.flows.sky130.cells import cell_models
from lamina.flows.sky130.liberty import read_cells
from lamina.flows.sky130.pdk import find_library
from lamina.rtl.link import wishbone
from lamina.rtl.openram import CLOCK_GATE, OpenRam
from lamina.tb.runner import run_bench

BENCH = "lamina.tb.bench_wishbone"
FINGERPRINT = 0x89ABCDEF
MUTANTS = {
    "answers without stb": ("access.eq(self.cyc & self.stb & ~self.ack)",
                            "access.eq(self.cyc & ~self.ack)"),
    "acts on every cycle": ("access.eq(self.cyc & self.stb & ~self.ack)",
                            "access.eq(self.cyc & self.stb)"),
    "a count of 0 is a word": ("WishboneRegister.DATA) & count.any()", "WishboneRegister.DATA)"),
    "every register is data": ("given = write & (register == WishboneRegister.DATA) &",
                               "given = write &"),
    "an overrun is forgotten": ("m.d.sync += overrun.eq(1)", "m.d.sync += overrun.eq(0)"),
    "the status clears it": ("& self.write_data[WishboneFlag.OVERRUN]", "& 1"),
    "always three bytes": ("last.eq(place + 1 == words.r_data[24:])", "last.eq(place == 2)"),
    "a byte comes in while three leave": ("queue.r_en.eq(~taken & (count", "queue.r_en.eq((count"),
    "the word is not emptied": ("m.d.sync += [count.eq(0), window.eq(0)]",
                                "m.d.sync += [count.eq(0)]"),
    "the word is not counted": ("level.eq(queue.level + count)", "level.eq(queue.level)"),
}


def bench(sources, build_dir):
    run_bench(BENCH, "wishbone", sources, build_dir,
              environment={"LAMINA_FINGERPRINT": str(FINGERPRINT)})


def test_wishbone(verilog, build_dir):
    bench([verilog(wishbone.WishbonePort(FINGERPRINT), "wishbone")], build_dir)


def test_with_gated_flip_flops(tmp_path, build_dir):
    try:
        cells = read_cells(find_library(), [CLOCK_GATE])
    except UserError as error:
        pytest.skip(str(error))
    (tmp_path / "cells.v").write_text(cell_models(cells))
    (tmp_path / "wishbone.v").write_text(convert(wishbone.WishbonePort(FINGERPRINT), "wishbone",
                                                 platform=OpenRam()))
    bench([tmp_path / "wishbone.v", tmp_path / "cells.v"], build_dir)


@pytest.mark.long
@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_die(name, verilog, build_dir, mutant, killed):
    module = mutant(wishbone, *MUTANTS[name])
    with killed:
        bench([verilog(module.WishbonePort(FINGERPRINT), "wishbone")], build_dir)
