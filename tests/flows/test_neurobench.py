"""NeuroBench's metrics of small programs against counts made by hand."""

import dataclasses

import numpy as np
import pytest

from lamina.flows.report.neurobench import connections, measurable_samples, measure_neurobench
from lamina.models.config import ResetRule
from lamina.models.program import Layer, Program
from lamina.models.source import INPUT, Source, Window

TIERS = (2, 2, 2, 2)


def cells(name, weights, *, sources=(), shape=(), neurons=None, theta=5, **fields):
    count = neurons or weights.shape[1]
    zero = np.zeros(count, dtype=np.int64)
    spiking = fields.get("spiking", True)
    return Layer(name=name, weights=weights, decay=zero + 256, theta=zero + theta * spiking,
                 r=zero + 5 * spiking, v_reset=zero, bias=zero, sources=sources, shape=shape,
                 reset=ResetRule.SUBTRACT if spiking else ResetRule.VALUE, **fields)


@pytest.fixture
def program():
    """Two inputs, three neurons, one weight 0; the third neuron never fires."""
    weights = np.array([[5, 0, 1], [0, 5, 0]])
    return Program(name="net", layers=(cells("a", weights),), timesteps=3, weight_bits=8,
                   state_bits=16, acc_bits=18, input_shape=(2,))


@pytest.fixture
def spikes():
    train = np.zeros((2, 3, 2), dtype=np.uint8)
    train[0, :, 0] = 1
    train[1, 1, 1] = 1
    return train


def test_metrics_by_hand(program, spikes):
    found = measure_neurobench(program, spikes, TIERS, accuracy=0.5)
    wide, decays = 3 * 3 + 3, 3
    assert found == {
        "samples": 2,
        "footprint": 6 + 2 * wide + 2 * decays,
        "footprint_packed": -(-(6 * 8 + 16 * wide + 9 * decays) // 8),
        "parameter_count": 6 + 3 * 3 + 3,
        "connection_sparsity": 0.5,
        "activation_sparsity": 1 - 4 / 18,
        "synaptic_operations": {"Effective_MACs": 0, "Effective_ACs": (3 * 2 + 1) / 2,
                                "Dense": 18},
        "membrane_updates": (3 + 2 + 3 + 0) / 2,
        "classification_accuracy": 0.5,
    }


def test_spikes_that_come_too_late_are_no_operations(program, spikes):
    late = dataclasses.replace(program.layers[0], sources=(
        Source(layer=INPUT, units=2, delay=2),))
    found = measure_neurobench(dataclasses.replace(program, layers=(late,)), spikes, TIERS)
    assert found["synaptic_operations"]["Effective_ACs"] == 1 * 2 / 2
    assert found["classification_accuracy"] is None


def test_a_convolution_has_no_weights_outside_its_map():
    window = Window(shape=(1, 3, 3), kernel=(3, 3), padding=(1, 1))
    layer = cells("conv", np.ones((9, 2), dtype=np.int64), shape=(2, 3, 3), neurons=18,
                  sources=(Source(layer=INPUT, units=9, window=window),))
    assert connections(layer) == 2 * (9 + 4 * 6 + 4 * 4)
    program = Program(name="net", layers=(layer,), timesteps=1, weight_bits=8, state_bits=16,
                      acc_bits=18, input_shape=(1, 3, 3))
    middle = np.zeros((1, 1, 9), dtype=np.uint8)
    middle[0, 0, 4] = 1
    found = measure_neurobench(program, middle, TIERS)
    assert found["synaptic_operations"]["Effective_ACs"] == 18
    assert found["activation_sparsity"] == 1.0


def test_a_current_is_no_membrane(program, spikes):
    current = cells("i", np.array([[5, 0, 1], [0, 5, 0]]), spiking=False)
    fed = cells("a", np.zeros((0, 3), dtype=np.int64), current=0)
    both = dataclasses.replace(program, layers=(current, fed))
    found = measure_neurobench(both, spikes, TIERS)
    assert 0 < found["membrane_updates"] <= 9
    assert 0 < found["activation_sparsity"] < 1


def test_large_traces_are_shortened(program):
    assert measurable_samples(program) == 20_000_000 // 9
    long = dataclasses.replace(program, timesteps=65535)
    assert measurable_samples(long) == 20_000_000 // (3 * 65535)
