"""Macros of a core in the user area of Caravel: found, placed, checked, refused."""

import dataclasses
import io
import re

import numpy as np
import pytest

from lamina.flows.backend import tools
from lamina.flows.backend.generate import convert
from lamina.flows.errors import UserError
from lamina.flows.sky130.floorplan import (
    AREA_UM,
    Floorplan,
    Memories,
    chain_config,
    draw_floorplan,
    largest_hidden,
    lay_out,
    memories_of,
    read_sizes,
    violations,
)
from lamina.flows.sky130.pdk import find_lefs
from lamina.flows.sky130.table import measurements
from lamina.models.config import HardwareConfig, ResetRule
from lamina.models.placement import grown
from lamina.models.program import Layer, Program
from lamina.rtl.device import Device
from lamina.rtl.openram import OUTLINES, MacroLayout, OpenRam

SMALL, LARGE = "sky130_sram_1kbyte_1rw1r_32x256_8", "sky130_sram_2kbyte_1rw1r_32x512_8"
SIZES = {SMALL: (479.78, 397.5), LARGE: (683.1, 416.54)}
BYTE = HardwareConfig(name="byte", lanes=16, tiers=(2, 2, 2, 2), axons=32, groups=2, state_bits=17,
                      acc_bits=18, weight_words=512)
NIBBLE = dataclasses.replace(BYTE, name="nibble", lanes=32, tiers=(2, 2), axons=64)
TINY = HardwareConfig(name="tiny", lanes=4, tiers=(4,), weight_words=512, axons=16, groups=4,
                      layers=2, decay_bits=4, state_bits=8, acc_bits=12, output_words=16)


def made_up(large=0, small=0, bits=0):
    kinds = [LARGE] * large + [SMALL] * small
    return Memories(macros={("core", f"macro_{index}"): kind for index, kind in enumerate(kinds)},
                    flip_flop_bits=bits, lanes=16)


@pytest.fixture(scope="module")
def plan():
    return lay_out(memories_of(chain_config(BYTE, (784, 48, 10))), SIZES)


@pytest.mark.parametrize(("config", "hidden", "tiers"), [(BYTE, 48, 4), (NIBBLE, 96, 2)])
def test_a_network_of_mnist_takes_twenty_macros(config, hidden, tiers):
    """Weights only; a legal placement, and less than the share that macros may take."""
    plan = lay_out(memories_of(chain_config(config, (784, hidden, 10))), SIZES)
    assert violations(plan, SIZES) == []
    assert [macro.kind for macro in plan.macros] == [LARGE] * 20
    assert {macro.tier for macro in plan.macros} == set(range(tiers))
    assert all(macro.path[:2] == ("weights", f"tier{macro.tier}") for macro in plan.macros)
    assert plan.share == pytest.approx(20 * 683.1 * 416.54 / (2920 * 3520))
    assert plan.to_dict()["share"] == 0.5537


def test_both_kinds_of_macros_find_a_place():
    plan = lay_out(made_up(large=11, small=9), SIZES)
    assert violations(plan, SIZES) == []


@pytest.mark.parametrize(("index", "change", "rule"), [
    (1, {"x": 5.52}, "must keep 40 um from the edge, not 5.52"),
    (0, {"x": 79.6}, "must begin on the grid of 0.46 um, not at 79.6"),
    (0, {"y": 150.0}, "must begin on the grid of 2.72 um, not at 150.0"),
    (0, {"orientation": "W"}, "must not be turned, its met4 pins run up: W"),
    (0, {"path": ("weights", "tier9", "memory", "macro_0_0")},
     "macros must be those of the design, each once"),
])
def test_the_checker_sees_each_broken_rule(plan, index, change, rule):
    macros = list(plan.macros)
    macros[index] = dataclasses.replace(macros[index], **change)
    found = violations(dataclasses.replace(plan, macros=tuple(macros)), SIZES)
    assert [sentence for sentence in found if sentence.endswith(rule)]


def test_the_checker_sees_overlaps_twins_and_too_much(plan):
    first, second, *others = plan.macros
    above = dataclasses.replace(second, x=first.x, y=round(first.y + 2.72 * 160, 3))
    found = violations(dataclasses.replace(plan, macros=(first, above, *others)), SIZES)
    assert found[0] == ("weights/tier0/memory/macro_0_0 and weights/tier0/memory/macro_1_0 must be "
                        "40 um apart, not 18.66")
    twins = dataclasses.replace(plan, macros=(*plan.macros, first))
    assert violations(twins, SIZES)[0] == "macros must be those of the design, each once"
    tall = {LARGE: (683.1, 470.0)}
    assert "macros must take 0.6 of the area, not 0.625" in violations(plan, tall)
    flat = {LARGE: (683.1, 350.0)}
    assert violations(plan, flat)[0].endswith("must be crossed by two straps of its supply")


@pytest.mark.parametrize(("memories", "sizes", "message"), [
    (made_up(large=22), SIZES,
     "22 macros of 6.26 mm2 are 60.9 % of the 10.28 mm2 of the user area, 0.9 points above the "
     "60 % that leave room for cells and wires"),
    (made_up(large=21), {LARGE: (1000.0, 280.0)},
     "21 macros of 5.88 mm2 are 57.2 % of the 10.28 mm2 of the user area, and take 3160 um in "
     "columns, 240 um more than there are"),
    (made_up(large=20, bits=70_000), SIZES,
     "20 macros of 5.69 mm2 are 55.4 % of the 10.28 mm2 of the user area, and cells need 4.09 mm2, "
     "0.42 mm2 more than is left"),
])
def test_what_does_not_fit_is_refused_with_the_excess(memories, sizes, message):
    with pytest.raises(UserError, match=rf"^{re.escape(message)}$"):
        lay_out(memories, sizes)


def test_the_largest_hidden_layer():
    small = dataclasses.replace(BYTE, name="small", lanes=8, axons=16)
    found = largest_hidden(784, 10, small, SIZES)
    lay_out(memories_of(chain_config(small, (784, found, 10))), SIZES)
    with pytest.raises(UserError, match=r"points above|more than"):
        lay_out(memories_of(chain_config(small, (784, found + 1, 10))), SIZES)
    assert largest_hidden(784, 10, BYTE, SIZES) == 48
    assert largest_hidden(16384, 16384, BYTE, SIZES) == 0


@pytest.mark.long
def test_the_largest_hidden_layer_of_narrow_weights():
    assert largest_hidden(784, 10, NIBBLE, SIZES) == 96


def test_memories_of_a_chain_are_those_that_its_program_needs():
    rng = np.random.default_rng(1)
    layers = tuple(Layer(name=f"l{n}", weights=rng.integers(-3, 4, (axons, neurons)),
                         decay=np.full(neurons, 14), theta=np.full(neurons, 9),
                         r=np.full(neurons, 9), v_reset=np.zeros(neurons, dtype=np.int64),
                         bias=np.zeros(neurons, dtype=np.int64), reset=ResetRule.SUBTRACT)
                   for n, (axons, neurons) in enumerate([(70, 21), (21, 9)]))
    program = Program(name="random", layers=layers, timesteps=2, weight_bits=4, decay_bits=4,
                      state_bits=8, acc_bits=12)
    most = {"weight_words": 65536, "axons": 16384, "groups": 1024, "layers": 256}
    needed = grown(program, dataclasses.replace(TINY, weight_words=16, groups=2, layers=1), most)
    chain = chain_config(TINY, (70, 21, 9))
    words = 70 * 6 + 21 * 3
    assert dataclasses.replace(needed, weight_words=512, mask_rows=0) == chain
    assert words <= chain.weight_words < words + 512


def test_cells_are_not_estimated_below_what_was_measured():
    """Those cores had bitmaps, masks, descriptors and counters in flip-flops, 4,096 bits."""
    assert len(measurements()) > 2
    for measured in measurements().values():
        memories = Memories(macros={}, flip_flop_bits=4096, lanes=measured.lanes)
        assert measured.cells_um2 <= memories.cells_um2 < 1.7 * measured.cells_um2


def test_the_picture(plan):
    stream = io.BytesIO()
    draw_floorplan(plan, stream)
    assert stream.getvalue().startswith(b"\x89PNG")


def test_sizes_are_those_of_the_abstracts():
    try:
        lefs = find_lefs()
    except UserError as error:
        pytest.skip(str(error))
    assert read_sizes(lefs) == SIZES == {SMALL: OUTLINES[256], LARGE: OUTLINES[512]}


def test_an_abstract_without_a_size_is_refused(tmp_path):
    path = tmp_path / "m.lef"
    path.write_text("MACRO m\n CLASS BLOCK ;\nEND m\n")
    with pytest.raises(UserError, match=r"^m\.lef: must say the SIZE of m$"):
        read_sizes({"m": path})


def test_names_are_those_of_the_flat_netlist(tmp_path):
    """Yosys makes the device flat as synthesis does."""
    (tmp_path / "device.v").write_text(convert(Device(TINY), "device", platform=OpenRam()))
    script = ("read_verilog device.v; hierarchy -top device; flatten -separator /; "
              "tee -q -o names.txt select -list t:sky130_sram*")
    tools.run("yosys", ["-q", "-p", script], folder=tmp_path, log="yosys.log")
    found = {tuple(re.sub(r"\$\d+$", "", part) for part in name.split("/")[1:])
             for name in (tmp_path / "names.txt").read_text().split()}
    assert found == set(memories_of(TINY, Device(TINY)).macros) != set()


def test_wide_and_shallow_memories_take_less_area_in_flip_flops():
    """The state of a small core would be twelve macros, of which each holds 32 of 256 words."""
    layout = MacroLayout(depth=32, width=272, parts=16)
    assert (layout.rows, layout.columns) == (1, 12)
    assert layout.area == pytest.approx(12 * 519.78 * 437.5)
    memories = memories_of(chain_config(BYTE, (784, 48, 10)))
    assert memories.flip_flop_bits >= 32 * 272 + 2048 * 10
    assert Floorplan(macros=(), memories=memories).free_um2 == AREA_UM[0] * AREA_UM[1]
