"""A small program, and the firmware as a library of this machine."""

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
CONFIG = HardwareConfig(name="small", lanes=4, tiers=(2, 2), weight_words=512, axons=64, groups=8,
                        layers=2, decay_bits=4, state_bits=8, acc_bits=14, output_words=16)
READ = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32)
WRITE = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32)


class Bus(ctypes.Structure):
    _fields_ = (("read", READ), ("write", WRITE))


class Report(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_int32 if name == "error" else ctypes.c_uint32)
                     for name in ("error", "status", "sample", "timestep", "events",
                                  "event_mismatches", "membranes", "membrane_mismatches"))


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
