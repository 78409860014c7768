"""Errors of the catalogue: of every pair where that is possible, of samples elsewhere."""

import numpy as np
import pytest

from lamina.flows.adders.catalogue import default_adders, entries
from lamina.flows.adders.operands import Operands
from lamina.flows.errors import UserError
from lamina.models.adders.errors import closed_forms
from lamina.models.adders.spec import FAMILIES, AdderSpec


def entry(name, bits=18, weights=None):
    operands = Operands() if weights is None else Operands(weights=np.array(weights))
    return entries([AdderSpec.parse(name)], bits, operands)[0]


def test_the_default_has_every_family():
    specs = default_adders()
    assert {spec.family for spec in specs} >= set(FAMILIES)
    assert len(set(specs)) == len(specs) > 120
    assert all(spec.low_bits <= 8 for spec in specs)


def test_bias_is_that_of_the_weights():
    assert entry("copy:2").bias == -1.5
    assert entry("copy:2", weights=[0, 4]).bias == -1.5
    assert entry("trua0:2", weights=[3, -1, 7]).bias == -4.5
    assert entry("trua0:2", weights=[3, 0]).bias == -3.0
    assert entry("exact").bias == 0


@pytest.mark.parametrize("name", ["gear:4:2", "eta2:3", "esa:4", "aca1:4", "trua1:12"])
def test_samples_follow_the_closed_forms(name):
    found, forms = entry(name), closed_forms(AdderSpec.parse(name), 18)
    assert found.sampled and found.moments.worst == forms["worst"]
    for field in {"mean", "mean_distance"} & set(forms):
        assert getattr(found.moments, field) == pytest.approx(forms[field], rel=0.03, abs=9)


def test_sampling_agrees_with_every_pair(monkeypatch):
    every = entry("loa:6", weights=[-100, 3, 45])
    monkeypatch.setattr("lamina.flows.adders.catalogue._TABLED", 5)
    some = entry("loa:6", weights=[-100, 3, 45])
    assert (every.sampled, some.sampled) == (False, True)
    assert some.moments.mean_square == pytest.approx(every.moments.mean_square, rel=0.02)
    assert some.moments.rate == pytest.approx(every.moments.rate, rel=0.01)
    assert some.bias == pytest.approx(every.bias, abs=0.1)


def test_widths_must_hold_low_parts_and_weights():
    with pytest.raises(UserError, match=r"^--bits must be above the 8 low bits of loa:8, not 8$"):
        entry("loa:8", bits=8)
    with pytest.raises(UserError, match=r"^--bits must hold the weights -128\.\.127, not 7$"):
        entry("loa:2", bits=7)
