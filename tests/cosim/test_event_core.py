"""A binary core behind a camera: random events and a real recording against the golden model."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

from lamina.flows.frontend.data import read_events
from lamina.models.config import AerConfig, HardwareConfig, ResetRule
from lamina.models.program import Layer, Program
from lamina.rtl.event_core import EventCore
from lamina.tb.runner import run_bench

CONFIG = HardwareConfig(name="camera", lanes=8, tiers=(1,), weight_words=16384, axons=4096,
                        groups=8, layers=2, state_bits=12, acc_bits=14)
AER = AerConfig()
RECORDING = pathlib.Path(__file__).parents[3] / "shared/data/events/tonic_sample_nmnist.bin"
TIMESTEPS = 10


def program(seed: int) -> Program:
    """2 x 34 x 34 axons, 32 hidden and 10 output neurons, weights -1 and +1."""
    rng = np.random.default_rng(seed)
    layers = []
    for name, axons, neurons, theta in (("hidden", 2312, 32, 12), ("out", 32, 10, 2)):
        zero = np.zeros(neurons, dtype=np.int64)
        layers.append(Layer(name=name, weights=rng.choice((-1, 1), (axons, neurons)),
                            decay=zero + 192, theta=zero + theta, r=zero + theta, v_reset=zero,
                            bias=zero, reset=ResetRule.SUBTRACT, report=True))
    return Program(name="binary", layers=tuple(layers), timesteps=TIMESTEPS, weight_bits=1,
                   acc_bits=14, state_bits=12, input_shape=(2, 34, 34))


def addresses(x, y, polarity):
    return x | y << AER.y_low | polarity << AER.polarity_low


def play(folder, verilog, build_dir, address, timestep):
    program(1).save(folder)
    np.savez(folder / "events.npz", address=address, timestep=timestep)
    run_bench("lamina.tb.bench_event_core", "event_core",
              [verilog(EventCore(CONFIG, AER), "event_core")], build_dir,
              environment={"LAMINA_CONFIG": CONFIG.to_json(), "LAMINA_CASE": str(folder),
                           "LAMINA_AER": json.dumps(dataclasses.asdict(AER))})


def test_random_events(tmp_path, verilog, build_dir):
    rng = np.random.default_rng(3)
    x, y = rng.integers(0, 34, (2, 1500))
    play(tmp_path, verilog, build_dir, addresses(x, y, rng.integers(0, 2, 1500)),
         np.sort(rng.integers(0, TIMESTEPS, 1500)))


@pytest.mark.skipif(not RECORDING.is_file(), reason="needs the shared recordings")
def test_a_real_recording(tmp_path, verilog, build_dir):
    events = read_events(RECORDING)
    timestep = np.minimum(events["t"] * TIMESTEPS // (int(events["t"].max()) + 1), TIMESTEPS - 1)
    x, y, polarity = (events[name].astype(np.int64) for name in "xyp")
    play(tmp_path, verilog, build_dir, addresses(x, y, polarity), timestep)
