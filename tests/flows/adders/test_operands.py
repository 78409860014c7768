"""Operand pairs: their ranges, their order and where weights come from."""

import pathlib

import numpy as np
import pytest

from lamina.flows.adders.operands import Operands, network_weights
from lamina.flows.errors import UserError
from lamina.flows.job import Options
from lamina.flows.steps import compile_network
from lamina.models.adders.adder import add
from lamina.models.adders.spec import AdderSpec

LOA = AdderSpec.parse("loa:4")


def test_a_walk_adds_one_weight_after_the_other():
    sums, weights = Operands(weights=np.array([-7, 3, 5])).stream(LOA, 18)
    assert sums.shape == weights.shape == (32, 256)
    assert set(np.unique(weights)) == {-7, 3, 5}
    np.testing.assert_array_equal(sums[1:], add(LOA, sums[:-1], weights[:-1], 18))
    assert sums[0].min() < -8000 and sums[0].max() > 8000 and np.abs(sums[0]).max() <= 8192


def test_uniform_pairs_stay_in_range():
    sums, weights = Operands(kind="uniform").stream(LOA, 10)
    assert (sums.min(), sums.max(), weights.min(), weights.max()) == (-512, 511, -128, 127)
    again, _ = Operands(kind="uniform").stream(LOA, 10)
    other, _ = Operands(kind="uniform", seed=1).stream(LOA, 10)
    assert (sums == again).all() and (sums != other).any()


def test_weights_of_a_network(tmp_path):
    net = pathlib.Path("examples/digits.nir")
    compile_network(Options(net=net, out=tmp_path / "digits"))
    weights = network_weights(tmp_path / "digits")
    assert weights.shape == (64 * 32 + 32 * 10,)
    assert -128 <= weights.min() < weights.max() <= 127
    np.testing.assert_array_equal(weights, network_weights(net))


def test_a_network_must_exist(tmp_path):
    with pytest.raises(UserError, match=r"/none\.nir: no such file or folder$"):
        network_weights(tmp_path / "none.nir")
