"""A small program, the firmware as a library of this machine, and a stand-in process kit."""

import ctypes
import pathlib
import shutil
import subprocess

import numpy as np
import pytest

import lamina.flows.tapeout
from lamina.flows.tapeout.vectors import golden_vectors
from lamina.models.config import HardwareConfig, ResetRule
from lamina.models.network import run
from lamina.models.program import Layer, Program

FIRMWARE = pathlib.Path(lamina.flows.tapeout.__file__).parent / "firmware"
CONFIG = HardwareConfig(name="small", lanes=8, tiers=(2, 2), weight_words=512, axons=64, groups=8,
                        layers=2, decay_bits=4, state_bits=8, acc_bits=14, output_words=16)
SIZES = {"sky130_sram_1kbyte_1rw1r_32x256_8": (479.78, 397.5),
         "sky130_sram_2kbyte_1rw1r_32x512_8": (683.1, 416.54)}
_NAMES = {
    "VDD_PIN": "VPWR", "GND_PIN": "VGND", "RT_MIN_LAYER": "met1", "RT_MAX_LAYER": "met5",
    "SCL_GROUND_PINS": "VGND VNB", "SCL_POWER_PINS": "VPWR VPB", "FILL_CELLS": "fill_*",
    "DECAP_CELLS": "decap_*", "OUTPUT_CAP_LOAD": "33.442", "SYNTH_DRIVING_CELL": "inv_2/Y",
    "SYNTH_TIEHI_CELL": "conb_1/HI", "SYNTH_TIELO_CELL": "conb_1/LO",
    "SYNTH_BUFFER_CELL": "buf_2/A/X", "PLACE_SITE": "unithd", "CELL_PAD_EXCLUDE": "tap*",
    "PDN_RAIL_OFFSET": "0", "PDN_VWIDTH": "1.6", "PDN_HWIDTH": "1.6", "PDN_VSPACING": "1.7",
    "PDN_HSPACING": "1.7", "PDN_VPITCH": "153.6", "PDN_HPITCH": "153.18", "PDN_VOFFSET": "16.32",
    "PDN_HOFFSET": "16.65", "PDN_CORE_RING_VWIDTH": "1.6", "PDN_CORE_RING_HWIDTH": "1.6",
    "PDN_CORE_RING_VSPACING": "1.7", "PDN_CORE_RING_HSPACING": "1.7",
    "PDN_CORE_RING_VOFFSET": "6", "PDN_CORE_RING_HOFFSET": "6", "PDN_RAIL_LAYER": "met1",
    "PDN_RAIL_WIDTH": "0.48", "PDN_HORIZONTAL_LAYER": "met5", "PDN_VERTICAL_LAYER": "met4",
    "GRT_LAYER_ADJUSTMENTS": "0.99,0,0,0,0,0", "DPL_CELL_PADDING": "0", "GPL_CELL_PADDING": "0",
    "IO_PIN_H_LAYER": "met3", "IO_PIN_V_LAYER": "met2", "CTS_ROOT_BUFFER": "clkbuf_16",
    "CTS_CLK_BUFFERS": "clkbuf_2 clkbuf_4", "MAGIC_TECH": "sky130A",
    "DEFAULT_CORNER": "nom_tt_025C_1v80", "STA_CORNERS": "nom_tt_025C_1v80",
    "TIMING_VIOLATION_CORNERS": "*tt*", "FP_TAPCELL_DIST": "13", "WELLTAP_CELL": "tap_1",
    "ENDCAP_CELL": "decap_3",
}
_FILES = ("FP_TRACKS_INFO", "SYNTH_EXCLUDED_CELL_FILE", "PNR_EXCLUDED_CELL_FILE", "MAGICRC",
          "MAGIC_PDK_SETUP", "KLAYOUT_TECH", "KLAYOUT_PROPERTIES", "KLAYOUT_DEF_LAYER_MAP",
          "NETGEN_SETUP", "CELL_LEFS", "CELL_GDS", "MAGIC_TECH_FILE")
_BY_CORNER = ("TECH_LEFS", "RCX_RULESETS", "LIB")
READ = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32)
WRITE = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32)


class Bus(ctypes.Structure):
    _fields_ = (("read", READ), ("write", WRITE))


class Report(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_int32 if name == "error" else ctypes.c_uint32)
                     for name in ("error", "status", "sample", "timestep", "events",
                                  "event_mismatches", "membranes", "membrane_mismatches"))


@pytest.fixture(scope="session")
def kit(tmp_path_factory):
    """``PDK_ROOT`` of a stand-in for an installed process kit, enough for LibreLane's loader.

    Values are plausible, files are empty but for the sizes of macros: nothing can be laid out.
    """
    return _write_kit(tmp_path_factory.mktemp("kit"))


@pytest.fixture
def sizes():
    """Of the macros in the stand-in."""
    return SIZES


@pytest.fixture
def config():
    return CONFIG


@pytest.fixture
def program():
    """50-9-6, all layers report and fire."""
    rng = np.random.default_rng(5)

    def layer(name, axons, neurons):
        zero = np.zeros(neurons, dtype=np.int64)
        return Layer(name=name, weights=rng.integers(-5, 8, (axons, neurons)), decay=zero + 14,
                     theta=zero + 9, r=zero + 9, v_reset=zero, bias=zero,
                     reset=ResetRule.SUBTRACT, report=True)

    return Program(name="random", layers=(layer("a", 50, 9), layer("b", 9, 6)), timesteps=5,
                   weight_bits=4, decay_bits=4, state_bits=8, acc_bits=14)


@pytest.fixture
def spikes(program):
    found = (np.random.default_rng(1).random((2, 5, 50)) < 0.3).astype(np.uint8)
    assert run(program, found, CONFIG.tiers).spike_counts[1:].all()
    return found


@pytest.fixture
def selftest(tmp_path, program, spikes):
    """Function ``(bus, change) -> (result, Report)``: the firmware, its vectors changed by text."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not here")
    vectors = golden_vectors(program, CONFIG, spikes)

    def call(bus, change=lambda text: text):
        (tmp_path / "vectors.h").write_text(vectors.header())
        (tmp_path / "vectors.c").write_text(change(vectors.source()))
        subprocess.run(["gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-O1", "-shared",
                        "-fPIC", f"-I{FIRMWARE}", f"-I{tmp_path}", FIRMWARE / "lamina.c",
                        tmp_path / "vectors.c", "-o", tmp_path / "selftest.so"], check=True)
        library, report = ctypes.CDLL(str(tmp_path / "selftest.so")), Report()
        lines = Bus(READ(bus.read), WRITE(bus.write))
        tables = ctypes.c_char.in_dll(library, "lamina_vectors")
        return library.lamina_selftest(ctypes.byref(lines), ctypes.byref(tables),
                                       ctypes.byref(report)), report

    return call


def _write_kit(root: pathlib.Path) -> pathlib.Path:
    kit = root / "sky130A"
    cells = kit / "libs.tech" / "librelane" / "sky130_fd_sc_hd"
    cells.mkdir(parents=True)
    values = dict(_NAMES)
    for name in (*_FILES, *_BY_CORNER):
        path = kit / "libs.tech" / name.lower()
        path.write_text("")
        values[name] = f"nom_* {path}" if name in _BY_CORNER else str(path)
    (cells.parent / "config.tcl").write_text('set ::env(STD_CELL_LIBRARY) "sky130_fd_sc_hd"\n')
    (cells / "config.tcl").write_text("".join(f'set ::env({name}) "{value}"\n'
                                              for name, value in values.items()))
    for macro, (width, height) in SIZES.items():
        for view, suffix in (("lef", ".lef"), ("gds", ".gds"), ("spice", ".spice"),
                             ("lib", "_TT_1p8V_25C.lib")):
            path = kit / "libs.ref" / "sky130_sram_macros" / view / f"{macro}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"MACRO {macro}\n  CLASS BLOCK ;\n  SIZE {width} BY {height} ;\n"
                            f"END {macro}\n" if view == "lef" else "")
    return root
