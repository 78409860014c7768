"""Adders against hand-worked sums, closed forms and each other."""

import dataclasses
import re

import numpy as np
import pytest

from lamina.models.adders.accumulate import accumulate, accumulate_sliced
from lamina.models.adders.adder import add
from lamina.models.adders.errors import (
    closed_forms,
    error_moments,
    error_table,
    mean_errors,
    weight_errors,
)
from lamina.models.adders.netlist import Netlist
from lamina.models.adders.spec import AdderSpec
from lamina.models.config import HardwareConfig, ResetRule
from lamina.models.network import run
from lamina.models.program import Layer, Program

SAMPLE = "net:sample:2:and.0.2,xor.1.3,not.6.0:7,8,4"
FAMILIES = ("loa", "loawa", "heaa", "eta1", "trua0", "trua1", "copy", "ama1", "ama2", "ama3",
            "ama4", "ama5")
NAMES = ("exact", *(f"{family}:{k}" for family in FAMILIES for k in (2, 5)), "oloca:5:2",
         "gear:2:2", "gear:1:3", "aca1:2", "eta2:3", "esa:4", "5qt", "5qc", "5kb", "5rl", "5rp",
         "5y6", SAMPLE)


@pytest.mark.parametrize(("name", "a", "b", "total"), [
    ("exact", 5, 6, 11), ("loa:3", 5, 6, 15), ("loa:3", 5, 2, 7), ("loawa:3", 5, 6, 7),
    ("oloca:3:1", 4, 2, 7), ("heaa:3", 5, 6, 11), ("heaa:3", 3, 2, 3), ("eta1:3", 5, 6, 7),
    ("eta1:4", 2, 3, 3), ("eta1:4", 8, 3, 11), ("trua0:3", 13, 6, 8), ("trua1:3", 13, 6, 15),
    ("copy:3", 13, 6, 14), ("ama5:3", 13, 6, 22), ("gear:2:2", 15, 1, 0), ("esa:2", 3, 1, 0),
    ("5qt", 1, 1, 2), ("5qt", 0, 0, 1), ("5qc", 1, 0, 2), ("5kb", 2, 1, 4), ("5kb", 0, 2, 3),
    ("5rl", 4, 0, 8), ("5rp", 1, 4, 7), ("5rp", 0, 0, 4), ("5y6", 9, 0, 17),
    ("loa:3", -1, -1, -1), ("loawa:2", -4, 7, 3), ("copy:2", -8, -3, -11),
])
def test_sums_by_hand(name, a, b, total):
    assert int(add(AdderSpec.parse(name), np.array(a), np.array(b), 8)) == total


@pytest.mark.parametrize("name", [
    "exact", *(f"{family}:{k}" for family in FAMILIES for k in range(1, 9)
               if (family, k) != ("heaa", 1)),
    *(f"oloca:{k}:{ones}" for k in (2, 4, 6) for ones in range(k + 1)),
    "gear:2:2", "gear:1:3", "gear:4:2", "gear:2:4", "gear:3:2", "aca1:2", "aca1:5", "eta2:1",
    "eta2:2", "eta2:4", "esa:1", "esa:2", "esa:4"])
def test_closed_forms_hold_for_every_pair(name):
    spec = AdderSpec.parse(name)
    moments = dataclasses.asdict(error_moments(spec, 8))
    forms = closed_forms(spec, 8)
    assert "worst" in forms or spec.ones == spec.low_bits
    assert {field: moments[field] for field in forms} == pytest.approx(forms, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_errors_stay_within_the_bound_of_each_weight(name):
    spec = AdderSpec.parse(name)
    rng = np.random.default_rng(3)
    a, b = rng.integers(-30000, 30000, 20000), rng.integers(-128, 128, 20000)
    errors = add(spec, a, b, 18) - a - b
    low, high = weight_errors(spec, b, 18)
    assert ((errors >= low) & (errors <= high)).all()
    assert errors.any() != spec.is_exact


def test_wide_low_parts_have_a_bound_without_a_table():
    spec = AdderSpec.parse("trua0:12")
    assert weight_errors(spec, np.array([5]), 20)[0].tolist() == [-8191]
    with pytest.raises(ValueError, match=r"^errors of trua0:12 are tabulated up to 10 bits, "
                                         r"not 12$"):
        error_table(spec, 20)


def test_mean_error_depends_on_the_weight():
    assert mean_errors(AdderSpec.parse("trua0:2")).tolist() == [-1.5, -2.5, -3.5, -4.5]


@pytest.mark.parametrize("name", NAMES)
def test_words_of_sums_equal_single_sums(name):
    spec, bits = AdderSpec.parse(name), 14
    rng = np.random.default_rng(5)
    start = rng.integers(-3000, 3000, (130, 7))
    weights = rng.integers(-128, 128, (20, 7))
    active = rng.random((20, 130)) < 0.4
    plain = accumulate(spec, start, weights, enumerate(active), bits)
    upper = None if spec.window else active.T.astype(np.int64) @ (weights >> spec.low_bits)
    sliced = accumulate_sliced(spec, start, weights, enumerate(active), bits, upper)
    np.testing.assert_array_equal(plain, sliced)
    exact = start + active.T.astype(np.int64) @ weights
    assert (plain != exact).any() != spec.is_exact


def layer(rng, name, axons, neurons, adder):
    zero = np.zeros(neurons, dtype=np.int64)
    return Layer(name=name, weights=rng.integers(-128, 128, (axons, neurons)), decay=zero + 230,
                 theta=zero + 300, r=zero + 300, v_reset=zero, bias=zero + 2,
                 reset=ResetRule.SUBTRACT, adder=adder)


@pytest.mark.parametrize("adder", ["loa:4", "copy:5", "gear:4:2", "5kb", SAMPLE])
def test_both_executors_agree_with_approximate_adders(adder):
    rng = np.random.default_rng(7)
    program = Program(name="p", timesteps=6, weight_bits=8, acc_bits=20, layers=(
        layer(rng, "a", 40, 20, adder), layer(rng, "b", 20, 6, "loa:3")))
    spikes = (rng.random((70, 6, 40)) < 0.3).astype(np.uint8)
    plain = run(program, spikes, (2, 2, 2, 2), trace=True, plain=True)
    fast = run(program, spikes, (2, 2, 2, 2), trace=True)
    for one, other in zip(plain.layer_membranes + plain.layer_spikes,
                          fast.layer_membranes + fast.layer_spikes, strict=True):
        np.testing.assert_array_equal(one, other)
    assert plain.spike_counts[1].sum() > 0


@pytest.mark.parametrize(("name", "message"), [
    ("lao:3", "adder must be one of exact, loa, loawa, oloca, heaa, eta1, trua0, trua1, copy, "
     "ama1, ama2, ama3, ama4, ama5, gear, aca1, eta2, esa, 5qt, 5qc, 5kb, 5rl, 5rp, 5y6 or "
     "net:..., not 'lao:3'"),
    ("loa", "adder loa must have 1 parameters (k), not 0"),
    ("loa:3:1", "adder loa must have 1 parameters (k), not 2"),
    ("exact:1", "adder exact must have 0 parameters, not 1"),
    ("loa:x", "adder parameters must be integers, not 'loa:x'"),
    ("loa:0", "adder loa k must be in 1..16, not 0"),
    ("heaa:1", "adder heaa k must be in 2..16, not 1"),
    ("oloca:3:4", "adder oloca l must be in 0..3, not 4"),
    ("gear:0:1", "adder gear r must be in 1..16, not 0"),
    ("net:a:2:and.0.1", "netlist must read net:NAME:K:kind.x.y,...:outputs, "
     "not 'net:a:2:and.0.1'"),
    ("net:a b:1::0,0", "netlist name must be an identifier, not 'a b'"),
    ("net:a:0::0", "a low bits must be in 1..16, not 0"),
    ("net:a:1:mux.0.1:0,0", "a gate 0 must be one of and, or, xor, nand, nor, xnor, andn, not, "
     "buf, not 'mux'"),
    ("net:a:1:and.0.4:0,0", "a gate 0 input must be in 0..3, not 4"),
    ("net:a:1:and.0.1:0", "a must have 1 sum bits and a carry, not 1 outputs"),
    ("net:a:1:and.0.1:0,5", "a output must be in 0..4, not 5"),
])
def test_bad_names_are_refused(name, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        AdderSpec.parse(name)


def test_names_come_back():
    for name in NAMES:
        assert AdderSpec.parse(name).name == name
    assert AdderSpec.parse(SAMPLE).label == "sample"


def test_pruning_keeps_the_function():
    netlist = Netlist.from_text("net:a:1:and.0.1,or.0.1,not.4.3,xor.5.6:7,4")
    wider = dataclasses.replace(netlist, gates=(*netlist.gates, ("nor", 0, 1)))
    assert wider.pruned() == dataclasses.replace(
        netlist, gates=(*netlist.gates[:2], ("not", 4, 0), netlist.gates[3]))
    assert Netlist.from_text("net:a:1:and.0.1,or.0.1:5,5").pruned().gates == (("or", 0, 1),)


def test_an_adder_needs_its_low_part():
    with pytest.raises(ValueError, match=r"^adder loa:9 must have at least 9 bits, not 8$"):
        add(AdderSpec.parse("loa:9"), np.array(1), np.array(1), 8)


@pytest.mark.parametrize(("adders", "message"), [
    ((), "number of adders must be in 1..16, not 0"),
    (("exact", "exact"), "adders must differ, not exact, exact"),
    (("loa:12",), "acc_bits must be above the 12 low bits of loa:12, not 12"),
])
def test_cores_refuse_bad_adders(adders, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        HardwareConfig(adders=adders, state_bits=10, acc_bits=12)
