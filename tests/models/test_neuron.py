"""The neuron against values worked by hand and against the equations in plain Python."""

from __future__ import annotations

import numpy as np
import pytest

from lamina.models.config import ResetRule
from lamina.models.neuron import lif_step, lif_wraps

VALUE, SUBTRACT, DELAYED, REDERIVED = ResetRule
WIDTHS = {"decay_bits": 8, "state_bits": 16, "acc_bits": 18}

# name: rule, v, weights, spikes, constants -> spike, v_new, a
CASES = {
    "leak: (100*240)>>8 = 93":
        (SUBTRACT, 100, [5], [0], {"decay": 240, "r": 7}, (0, 93, 93)),
    "floor of a negative: (-1*240)>>8 = -1":
        (SUBTRACT, -1, [5], [0], {"decay": 240}, (0, -1, -1)),
    "floor of a negative: (-100*240)>>8 = -94":
        (SUBTRACT, -100, [5], [0], {"decay": 240}, (0, -94, -94)),
    "D = 0 forgets": (SUBTRACT, -100, [5], [1], {"decay": 0}, (0, 5, 5)),
    "D = 2**F keeps": (SUBTRACT, -100, [5], [1], {"decay": 256}, (0, -95, -95)),
    "one below threshold": (SUBTRACT, 90, [9], [1], {"r": 100}, (0, 99, 99)),
    "exact threshold": (SUBTRACT, 90, [10], [1], {"r": 100}, (1, 0, 100)),
    "subtract takes r, not theta": (SUBTRACT, 90, [30], [1], {"r": 40}, (1, 80, 120)),
    "subtract acts in the same step only": (SUBTRACT, 150, [0], [1], {"theta": 200, "r": 40},
                                            (0, 150, 150)),
    "value: reset to 0": (VALUE, 90, [30], [1], {}, (1, 0, 120)),
    "value: reset to -7": (VALUE, 90, [10], [1], {"v_reset": -7}, (1, -7, 100)),
    "value: no spike keeps a": (VALUE, 90, [9], [1], {"v_reset": -7}, (0, 99, 99)),
    "delayed: nothing is taken in the step of the spike":
        (DELAYED, 90, [10], [1], {"r": 60}, (1, 100, 100)),
    "delayed: taken one step later, from the membrane before the leak":
        (DELAYED, 100, [10], [1], {"decay": 128, "r": 30}, (0, 30, 30)),
    "delayed: previous membrane one below":
        (DELAYED, 99, [10], [1], {"r": 60}, (1, 109, 109)),
    "delayed: fires again": (DELAYED, 300, [10], [1], {"r": 60}, (1, 250, 250)),
    "delayed: the comparison sees the reset": (DELAYED, 150, [0], [1], {"r": 60}, (0, 90, 90)),
    "bias counts without spikes": (SUBTRACT, 0, [50], [0], {"bias": 100, "r": 1}, (1, 99, 100)),
    "negative bias": (SUBTRACT, 0, [50], [1], {"bias": -60}, (0, -10, -10)),
    "bias is added after the leak": (SUBTRACT, 10, [0], [0], {"decay": 128, "bias": 4}, (0, 9, 9)),
    "upper saturation at the store": (SUBTRACT, 32767, [127], [1], {"theta": 32767, "r": 0},
                                      (1, 32767, 32894)),
    "lower saturation at the store": (SUBTRACT, -32768, [-128], [1], {}, (0, -32768, -32896)),
    "the reset comes before the saturation": (SUBTRACT, 32767, [127], [1],
                                              {"theta": 32767, "r": 200}, (1, 32694, 32894)),
    "delayed: saturation after the comparison": (DELAYED, 32767, [127], [1],
                                                 {"theta": 32767, "r": 1}, (1, 32767, 32893)),
    "negative threshold fires at rest": (SUBTRACT, 0, [1], [0], {"theta": -5, "r": 3}, (1, -3, 0)),
    "rederived: without p like subtract": (REDERIVED, 90, [30], [1], {"r": 40}, (1, 80, 120)),
    "rederived: p and no spike gives r back":
        (REDERIVED, 100, [10], [1], {"decay": 128, "r": 30}, (0, 60, 30)),
    "rederived: fires again, r is taken once":
        (REDERIVED, 300, [10], [1], {"r": 60}, (1, 250, 250)),
    "rederived: p needs the stored membrane at the threshold":
        (REDERIVED, 99, [1], [1], {"r": 60}, (1, 40, 100)),
    "rederived: p is not the spike of the step before":
        (REDERIVED, 150, [0], [1], {"r": 60}, (0, 150, 90)),
    "refractory: rests only after a spike": (VALUE, 90, [10], [1], {"refractory": 1}, (1, 0, 100)),
    "subtractive: towards 0 from above": (SUBTRACT, 90, [1], [0], {"decay": 7, "leak": "subtract"},
                                          (0, 83, 83)),
    "subtractive: towards 0 from below": (SUBTRACT, -90, [1], [0],
                                          {"decay": 7, "leak": "subtract"}, (0, -83, -83)),
    "subtractive: just to 0": (SUBTRACT, -7, [1], [0], {"decay": 7, "leak": "subtract"}, (0, 0, 0)),
    "subtractive: never past 0": (SUBTRACT, 6, [1], [1], {"decay": 7, "leak": "subtract"},
                                  (0, 1, 1)),
    "only active axons": (SUBTRACT, 0, [1, 20, 7, -4], [1, 0, 1, 1], {}, (0, 4, 4)),
}


@pytest.mark.parametrize("name", CASES)
def test_worked_by_hand(make_layer, name):
    rule, v, weights, spikes, constants, expected = CASES[name]
    layer = make_layer(weights=[[w] for w in weights], reset=rule, **constants)
    got = lif_step(layer, np.array([v]), np.array(spikes, dtype=np.uint8), **WIDTHS)
    assert tuple(int(part[0]) for part in got) == expected
    assert [part.dtype for part in got] == [np.uint8, np.int64, np.int64]


def test_refractory_neurons_keep_v_reset_for_one_timestep(make_layer):
    layer = make_layer(weights=[[120]], reset=VALUE, v_reset=-3, refractory=1)
    v, spiked, seen = np.array([0]), np.array([0]), []
    for _ in range(4):
        spiked, v, a = lif_step(layer, v, np.array([1]), spiked=spiked, **WIDTHS)
        seen.append((int(spiked[0]), int(v[0]), int(a[0])))
    assert seen == [(1, -3, 120), (0, -3, 117), (1, -3, 117), (0, -3, 117)]


def test_a_current_counts_before_the_comparison_and_an_integrator_never_fires(make_layer):
    layer = make_layer(weights=[[10]], r=30)
    synapse = make_layer(weights=[[300]], reset=VALUE, theta=0, spiking=False)
    spike, current, _ = lif_step(synapse, np.array([32700]), np.array([1]), **WIDTHS)
    assert (spike[0], current[0]) == (0, 32767)
    assert lif_step(synapse, np.array([-400]), np.array([1]), **WIDTHS)[1][0] == -100
    for given, expected in ((90, (1, 70, 100)), (89, (0, 99, 99))):
        got = lif_step(layer, np.array([0]), np.array([1]), current=np.array([given]), **WIDTHS)
        assert tuple(int(part[0]) for part in got) == expected


def test_a_wrapped_accumulator_is_compared_as_it_is(make_layer):
    layer = make_layer(weights=[[127]] * 3, theta=127, r=-1)
    args = np.array([[127], [-128]]), np.ones((2, 3), dtype=np.uint8)
    widths = {"decay_bits": 8, "acc_bits": 9}
    spike, v_new, a = lif_step(layer, *args, state_bits=8, **widths)
    assert a[:, 0].tolist() == [4 * 127 - 512, 3 * 127 - 128]
    assert spike[:, 0].tolist() == [0, 1]
    assert v_new[:, 0].tolist() == [-4, 127]
    assert lif_wraps(layer, *args, **widths) == 1


@pytest.mark.parametrize(("rule", "v", "weight", "r", "wraps"), [
    (SUBTRACT, 100, 100, -100, 1), (SUBTRACT, 100, 55, -100, 0), (SUBTRACT, 99, 0, -999, 0),
    (DELAYED, 100, 100, -56, 1), (DELAYED, 100, 100, -55, 0), (DELAYED, 99, 100, -100, 0),
    (VALUE, 127, 127, 0, 0), (SUBTRACT, 127, 129, 0, 1), (SUBTRACT, 100, 200, 100, 1)])
def test_wraps_of_the_reset_are_counted(make_layer, rule, v, weight, r, wraps):
    layer = make_layer(weights=[[weight]], r=r, reset=rule)
    spikes = np.ones((1, 1), dtype=np.uint8)
    assert lif_wraps(layer, np.array([[v]]), spikes, decay_bits=8, acc_bits=9) == wraps


@pytest.mark.parametrize("acc_bits", [9, 10, 14])
def test_equals_plain_python_with_and_without_wraps(random_layer, random_model, scalar_step,
                                                    acc_bits):
    rng = np.random.default_rng(acc_bits)
    widths = {"decay_bits": 5, "state_bits": 8, "acc_bits": acc_bits}
    fired = wraps = held = 0
    models = set()
    for _ in range(80):
        layer = random_layer(rng, name="l", axons=6, neurons=5, weight_bits=6, state_bits=8,
                             decay_bits=5)
        layer = random_model(rng, layer, 8)
        v = rng.choice([-128, -127, -1, 0, 1, 126, 127, 40], (2, 3, 5))
        spikes = rng.integers(0, 2, (2, 3, 6)).astype(np.uint8)
        former = rng.integers(0, 2, v.shape)
        current = rng.integers(-40, 40, v.shape) * rng.integers(2)
        got = np.stack(lif_step(layer, v, spikes, current=current, spiked=former, **widths), -1)
        expected = [scalar_step(layer, n, int(v[i, j, n]),
                                layer.weights[spikes[i, j] > 0, n].tolist(),
                                current=int(current[i, j, n]), spiked=former[i, j, n], **widths)
                    for i, j, n in np.ndindex(v.shape)]
        np.testing.assert_array_equal(got.reshape(-1, 3), expected)
        fired += got[..., 0].sum()
        held += (layer.refractory & former & (got[..., 2] >= layer.theta)).sum()
        wraps += lif_wraps(layer, v, spikes, current=current, decay_bits=5, acc_bits=acc_bits)
        models |= {layer.reset, layer.leak, layer.refractory + 10, layer.spiking + 20}
    assert models == {*ResetRule, "decay", "subtract", 10, 11, 20, 21}
    assert 400 < fired < 2000 and held > 10
    assert (wraps > 0) == (acc_bits == 9)
