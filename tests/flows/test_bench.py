"""Vectors of the plain Verilog bench."""

import dataclasses
import re

import numpy as np
import pytest

from lamina.flows.backend.bench import expected_outputs, random_spikes, steps, write_bench
from lamina.flows.errors import UserError
from lamina.models.config import HardwareConfig, ResetRule
from lamina.models.image import memory_image
from lamina.models.network import run
from lamina.models.program import Layer, Program

CONFIG = HardwareConfig(name="small", lanes=4, tiers=(3, 5), weight_words=64, axons=32, groups=8,
                        layers=2, state_bits=20, acc_bits=24, output_words=16)


def layer(name, weights, theta, **fields):
    neurons = weights.shape[1]
    vectors = {"decay": 256, "theta": theta, "r": theta, "v_reset": 0, "bias": 0} | fields
    return Layer(name=name, weights=weights, reset=ResetRule.SUBTRACT,
                 **{key: np.full(neurons, value) for key, value in vectors.items()})


def program():
    """Two layers that pass spikes on: 4 axons to 5 neurons, and those to 2."""
    first = np.zeros((4, 5), dtype=np.int64)
    first[0, [0, 4]] = 100
    first[1, 2] = -60
    second = np.zeros((5, 2), dtype=np.int64)
    second[4, 1] = 70
    return Program(name="two", layers=(layer("fc1", first, 100), layer("fc2", second, 64)),
                   timesteps=2, weight_bits=8, state_bits=20, acc_bits=24)


SPIKES = np.array([[[1, 1, 0, 0], [0, 1, 0, 0]]], dtype=np.uint8)


def trace():
    return run(program(), SPIKES, CONFIG.tiers, trace=True)


def test_outputs_count_neurons_over_the_rows_of_all_layers():
    spike = [0 | neuron << 2 for neuron in (0, 4, 9)]
    assert list(expected_outputs(program(), CONFIG, trace())) == [*spike, 1, 1, 2]


def test_steps_load_feed_check_and_clear():
    words = list(steps(program(), CONFIG, SPIKES, trace()))
    loaded = sum(len(block) for _, _, block in memory_image(program(), CONFIG))
    kinds = [word >> 56 for word in words]
    assert kinds == [1] * loaded + [3] * 5 + [4] + [2] * 14 + [3, 4]
    events = [(word & 3, word >> 32 & 0xFFFFF) for word in words if word >> 56 == 3]
    assert events == [(0, 0), (0, 1), (1, 0), (0, 1), (1, 0), (2, 0)]


def test_membranes_are_checked_chunk_by_chunk():
    checks = [word for word in steps(program(), CONFIG, SPIKES, trace()) if word >> 56 == 2]
    fields = [(word >> 32 & 0xFFFFF, word >> 16 & 0xFFFF, word & 0xFFFF) for word in checks]
    assert fields[:2] == [(0, 0xFFFF, 0), (1, 0xF, 0)]
    assert fields[4:6] == [(4, 0xFFFF, -120 & 0xFFFF), (5, 0xF, 0xF)]
    assert [address for address, _, _ in fields[10:]] == [16, 17, 18, 19]
    assert fields[12] == (18, 0xFFFF, 6)


def test_files_are_the_same_every_time(tmp_path):
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
        write_bench(program(), CONFIG, folder)
    names = ["small_expected.hex", "small_steps.hex", "small_tb.v"]
    for folder in folders:
        assert sorted(path.name for path in folder.iterdir()) == names
    for name in names:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
    text = (folders[0] / "small_tb.v").read_text()
    steps_count = len((folders[0] / "small_steps.hex").read_text().splitlines())
    assert f"localparam STEPS = {steps_count};" in text
    assert "[[" not in text


def test_every_layer_reports_in_the_bench(tmp_path):
    write_bench(program(), CONFIG, tmp_path, spikes=SPIKES)
    lines = (tmp_path / "small_expected.hex").read_text().split()
    assert [int(line, 16) for line in lines] == [0, 16, 36, 1, 1, 2]


def test_random_spikes_are_spikes_and_depend_on_the_seed():
    longer = dataclasses.replace(program(), timesteps=500)
    drawn = random_spikes(longer, 0)
    assert drawn.shape == (1, 500, 4)
    assert 0.08 < drawn.mean() < 0.17
    assert not np.array_equal(drawn, random_spikes(longer, 1))


def test_spikes_of_another_shape_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"^bench spikes must be shaped \(N, 2, 4\), "
                                        r"not \(1, 2, 3\)$"):
        write_bench(program(), CONFIG, tmp_path, spikes=SPIKES[:, :, :3])


def test_a_program_that_does_not_fit_is_refused(tmp_path):
    config = dataclasses.replace(CONFIG, layers=1)
    message = "two must fit small: needs 2 layer descriptors, has 1"
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        write_bench(program(), config, tmp_path)
