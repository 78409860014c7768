"""Memories of an ASIC against an array: macros, gated flip-flops, latches, and mutants."""

import json
import pathlib

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

import lamina.tb
from lamina.flows.backend.generate import convert
from lamina.flows.errors import UserError
from lamina.flows.sky130.cells import cell_models
from lamina.flows.sky130.liberty import read_cells
from lamina.flows.sky130.pdk import find_library
from lamina.rtl import latches, openram
from lamina.tb.runner import run_bench

MACROS = pathlib.Path(lamina.tb.__file__).with_name("sky130_sram.v")
SHAPES = {
    "one macro": (512, 32, 1),
    "two words in a line": (1024, 16, 1),
    "four words in a line": (2048, 7, 1),
    "rows in two groups": (9 * 512, 32, 1),
    "parts of odd width": (128, 4 * 17, 4),
    "one bank of flip-flops": (20, 12, 1),
    "flip-flops in parts": (32, 16, 4),
    "banks of flip-flops": (80, 12, 2),
    "wide flip-flops": (40, 48, 2),
}
MUTANTS = {
    "a written line is not read again": ("stale.eq((stale & ~reading)", "stale.eq((0 & ~reading)"),
    "the row of the last address": ("with m.If(reading):\n                m.d.sync += row.eq",
                                    "with m.If(1):\n                m.d.sync += row.eq"),
    "always the first word of a line": ("m.d.sync += offset.eq(read.addr)",
                                        "m.d.sync += offset.eq(0)"),
    "all words of a line are written": (
        "here = offset == place if layout.pack > 1 else Const(1, 1)", "here = Const(1, 1)"),
    "all banks are written": (
        "write.en.any() & (write.addr[offset_bits:] == bank)", "write.en.any()"),
    "words of all banks": ("outputs.append(word & here.replicate(self._width))",
                           "outputs.append(word)"),
    "a wide written word is not read again": ("| (writing & (written == held))", "| 0"),
    "words while none is read": ("            reading = read.en\n",
                                 "            reading = Const(1)\n"),
}

LATCH_SHAPES = {
    "latches": (64, 12, 1),
    "latches in parts": (32, 16, 4),
    "words that are no power of two": (20, 9, 3),
    "few words": (4, 6, 1),
}
LATCH_MUTANTS = {
    "opens the word before": ("here = write.addr == number", "here = write.addr == number + 1"),
    "opens all parts": ("chosen = here & enable if", "chosen = here if"),
    "does not hold what is written": ("LATCH, i_D=held[bit]",
                                      "LATCH, i_D=Value.cast(write.data)[bit]"),
    "holds nothing new": ("with m.If(write.en.any()):", "with m.If(write.en.all()):"),
    "reads without being asked": ("with m.If(read.en):", "with m.If(1):"),
    "swaps two words": ("(address == number)", "(address == number ^ 1)"),
}


class Held(wiring.Component):
    """A memory with its ports outside."""

    def __init__(self, depth, width, parts):
        self._memory = Memory(shape=width, depth=depth, init=[])
        self._granularity = None if parts == 1 else width // parts
        bits = (depth - 1).bit_length()
        super().__init__({"read_en": In(1), "read_addr": In(bits), "read_data": Out(width),
                          "write_en": In(parts), "write_addr": In(bits), "write_data": In(width)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = self._memory
        read = self._memory.read_port()
        write = self._memory.write_port(granularity=self._granularity)
        m.d.comb += [read.en.eq(self.read_en), read.addr.eq(self.read_addr),
                     self.read_data.eq(read.data), write.en.eq(self.write_en),
                     write.addr.eq(self.write_addr), write.data.eq(self.write_data)]
        return m


@pytest.fixture
def bench(tmp_path, build_dir):
    """Function ``(platform, shape)`` that runs the bench on a memory."""
    try:
        cells = read_cells(find_library(), [openram.CLOCK_GATE, latches.LATCH])
    except UserError as error:
        pytest.skip(str(error))

    def run(platform, shape):
        depth, width, parts = shape
        (tmp_path / "cells.v").write_text(cell_models(cells))
        (tmp_path / "memory.v").write_text(
            convert(Held(depth, width, parts), "memory", platform=platform))
        run_bench("lamina.tb.bench_openram", "memory",
                  [tmp_path / "memory.v", tmp_path / "cells.v", MACROS], build_dir,
                  environment={"LAMINA_MEMORY": json.dumps(
                      {"depth": depth, "width": width, "parts": parts})})

    return run


@pytest.mark.parametrize("shape", [
    pytest.param(shape, marks=[pytest.mark.long] * (shape in ("one macro", "four words in a line")))
    for shape in SHAPES])
def test_memories(shape, bench):
    bench(openram.OpenRam(), SHAPES[shape])


@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_die(name, bench, mutant, killed):
    shape = ("rows in two groups" if "row" in name else
             "wide flip-flops" if "wide" in name else
             "banks of flip-flops" if "bank" in name or "none" in name else "two words in a line")
    with killed:
        bench(mutant(openram, *MUTANTS[name]).OpenRam(), SHAPES[shape])


@pytest.mark.parametrize("shape", LATCH_SHAPES)
def test_latches(shape, bench):
    bench(latches.Latches(), LATCH_SHAPES[shape])


@pytest.mark.long
@pytest.mark.parametrize("name", LATCH_MUTANTS)
def test_latch_mutants_die(name, bench, mutant, killed):
    with killed:
        bench(mutant(latches, *LATCH_MUTANTS[name]).Latches(), LATCH_SHAPES["latches in parts"])
