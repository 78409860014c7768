"""The golden model over a data set: counts and shares against sums made by hand."""

import numpy as np
import pytest

from lamina.flows import evaluate as module
from lamina.flows.evaluate import evaluate
from lamina.flows.frontend.data import Dataset
from lamina.models.config import ResetRule
from lamina.models.program import Encoder, Layer, Program


@pytest.fixture
def program():
    """Each of two inputs makes its own output fire at once."""
    layer = Layer(name="a", weights=np.diag([5, 5]), decay=np.full(2, 256), theta=np.full(2, 5),
                  r=np.full(2, 5), v_reset=np.zeros(2, int), bias=np.zeros(2, int),
                  reset=ResetRule.SUBTRACT)
    return Program(name="mirror", layers=(layer,), timesteps=3, weight_bits=8, acc_bits=18,
                   encoder=Encoder(kind="spikes"), input_shape=(2,))


def dataset(labels):
    spikes = np.zeros((5, 3, 2), dtype=np.uint8)
    spikes[[0, 1, 2], :, 1] = 1
    spikes[3, 0, 0] = 1
    return Dataset(name="x", shape=(2,), spikes=spikes, labels=labels)


@pytest.mark.parametrize("chunk", [1, 2, 1000])
def test_counts_and_shares(program, monkeypatch, chunk):
    monkeypatch.setattr(module, "_CHUNK_SAMPLES", chunk)
    seen = []
    found = evaluate(program, dataset(np.array([1, 1, 0, 0, 0])), (4, 4),
                     progress=lambda done, total: seen.append((done, total)))
    assert found.golden.pop("seconds") >= 0
    assert found.golden == {"samples": 5, "accuracy": 0.8, "spikes_per_sample": 20 / 5,
                            "sops_per_sample": 2 * 10 / 5, "neuron_updates_per_sample": 6}
    assert found.confusion.tolist() == [[2, 1], [0, 2]]
    assert found.sample.tolist() == [[0, 1]] * 3
    assert seen[-1] == (5, 5)


def test_without_labels_there_is_no_accuracy(program):
    found = evaluate(program, dataset(None), (4, 4))
    assert found.golden["accuracy"] is None
    assert found.confusion is None


@pytest.mark.parametrize("decoding", ["v_sum", "v_max"])
def test_decodings_of_the_membrane_are_served(program, decoding):
    by_membrane = Program(**{**vars(program), "decoding": decoding})
    found = evaluate(by_membrane, dataset(np.zeros(5, dtype=np.int64)), (4, 4))
    assert found.golden["accuracy"] == 1.0
