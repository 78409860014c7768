"""Evolved adders: within their limits, cheaper than the exact one, the same again."""

import json
import math
import re

import numpy as np
import pytest

from lamina.flows import cli
from lamina.flows.adders.catalogue import mean_error
from lamina.flows.adders.evolve import LARGEST, Evolution, estimated_cost, evolve, ripple
from lamina.flows.adders.names import read_adder
from lamina.flows.adders.operands import UNIFORM_WEIGHTS
from lamina.flows.adders.walk import walk_moments
from lamina.models.adders.errors import error_moments, error_table
from lamina.models.adders.netlist import Netlist
from lamina.models.adders.spec import AdderSpec

SMALL = np.array([-3, 1, 1, 2])


def evolution(k=3, worst=4, bias=0.25, weights=UNIFORM_WEIGHTS, **fields):
    return Evolution(**{"low_bits": k, "worst": worst, "bias": bias, "weights": weights,
                        "generations": 1500, **fields})


def spec(netlist):
    return AdderSpec("net", netlist=netlist)


@pytest.mark.parametrize("k", range(1, LARGEST + 1))
def test_the_first_parent_is_exact(k):
    assert not error_table(spec(ripple(k)), k).any()
    assert math.isfinite(estimated_cost(ripple(k), evolution(k=k, worst=0, bias=0.0)))


@pytest.mark.parametrize("fields", [
    {}, {"cost": "area"}, {"k": 4, "worst": 8, "bias": 0.0}, {"k": 6, "worst": 20, "bias": 0.5},
    {"weights": SMALL, "bias": 0.1}], ids=str)
def test_limits_hold_and_cost_falls(fields):
    wanted = evolution(**fields)
    found = evolve(wanted, "found")
    assert 0 < error_moments(spec(found)).worst <= wanted.worst
    assert abs(mean_error(spec(found), wanted.weights)) <= wanted.bias
    assert estimated_cost(found, wanted) < estimated_cost(ripple(wanted.low_bits), wanted) / 1.5
    assert found == found.pruned() and "buf" not in found.text


@pytest.mark.parametrize("fields", [
    {"k": 5, "worst": 32, "bias": 0.75, "spread": 9.4}, {"k": 5, "worst": 32, "bias": 32.0,
                                                         "spread": 9.4, "cost": "area"},
    {"k": 7, "worst": 128, "bias": 0.75, "spread": 40.0, "generations": 300}], ids=str)
def test_sums_of_many_additions_stay_within_their_limits(fields):
    wanted = evolution(additions=32, **fields)
    found = spec(evolve(wanted, "found"))
    mean, variance, _ = walk_moments(found, wanted.weights, 32)
    assert abs(mean) <= wanted.bias and 0 < variance <= wanted.spread ** 2
    assert estimated_cost(found.netlist, wanted) < estimated_cost(ripple(fields["k"]), wanted) / 1.5


def test_an_adder_may_be_unbiased_alone_and_biased_in_a_sum():
    """TruA-1: low bits that are ones lose what every weight has below."""
    ones = Netlist.from_text("net:ones:4::9,9,9,9,8")
    assert estimated_cost(ones, evolution(k=4, worst=15, bias=0.0)) == 0
    assert estimated_cost(ones, evolution(k=4, worst=15, bias=7.0, additions=32)) == math.inf
    assert estimated_cost(ones, evolution(k=4, worst=15, bias=7.5, additions=32)) == 0


def test_without_room_the_sum_stays_exact():
    found = evolve(evolution(k=2, worst=0, bias=0.0), "found")
    assert not error_table(spec(found), 2).any()
    assert len(found.gates) < len(ripple(2).gates)


def test_the_same_again():
    seen = []
    first = evolve(evolution(), "found", lambda *at: seen.append(at))
    assert first == evolve(evolution(), "found") != evolve(evolution(seed=1), "found")
    assert seen == [(0, 1500), (1000, 1500)]


def test_bias_is_that_of_the_weights():
    """b's bit for a sum, and no carry: a's bit is lost, and with it half, whatever b is."""
    netlist = Netlist.from_text("net:second:1::1,2")
    for weights, bias in ((SMALL, -0.5), (np.array([2, 4]), -0.5), (np.array([1]), -0.5)):
        assert mean_error(spec(netlist), weights) == bias
        assert math.isinf(estimated_cost(netlist, evolution(k=1, bias=0.49, weights=weights)))
        assert estimated_cost(netlist, evolution(k=1, bias=0.5, weights=weights)) == 0


def test_costs_by_hand():
    """An XOR of two even bits moves half the time, as do its inputs; the carry is b's bit."""
    netlist = Netlist.from_text("net:x:1:xor.0.1:4,1")
    area = estimated_cost(netlist, evolution(k=1, cost="area", bias=0.5))
    energy = estimated_cost(netlist, evolution(k=1, bias=0.5))
    assert area == pytest.approx(8.758 + 40)
    assert energy == pytest.approx(35 + (7.8 + 2 * 7.1) / 2)
    inverter = Netlist.from_text("net:x:1:not.0.1:4,2")
    assert estimated_cost(inverter, evolution(k=1, bias=0.5)) == pytest.approx((2.6 + 3.7) / 2)


def test_the_activity_is_that_of_the_weights():
    netlist = Netlist.from_text("net:x:1:not.1.0:4,2")
    (quarter, never) = (estimated_cost(netlist, evolution(k=1, bias=2.0, weights=np.array(weights)))
                        for weights in ([1, 2, 4, 6], [1, 3]))
    assert quarter == pytest.approx((2.6 + 3.7) * 2 * 0.25 * 0.75)
    assert never == 0


@pytest.mark.parametrize(("fields", "message"), [
    ({"k": 9}, "low bits must be in 1..8, not 9"),
    ({"worst": -1}, "worst error must be in 0..32, not -1"),
    ({"bias": -0.5}, "bias must be at least 0, not -0.5"),
    ({"bias": math.nan}, "bias must be at least 0, not nan"),
    ({"spread": -0.5}, "spread must be at least 0, not -0.5"),
    ({"spread": math.nan}, "spread must be at least 0, not nan"),
    ({"additions": 0}, "additions must be in 1..1024, not 0"),
    ({"cost": "time"}, "cost must be one of energy, area, not 'time'"),
    ({"generations": 0}, "generations must be in 1..1000000000, not 0"),
    ({"seed": -1}, "seed must be in 0..4294967295, not -1"),
])
def test_bad_wishes(fields, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        evolution(**fields)


def test_the_command_writes_a_file_that_is_an_adder(tmp_path, capsys):
    file = tmp_path / "mine.net"
    arguments = ["adders", "--evolve", "3", "--wce", "4", "--bias", "0.5", "--generations", "500",
                 "--seed", "2", "--net", "examples/digits.nir", "-o", str(file)]
    assert cli.main([*arguments, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    found = read_adder(f"@{file}")
    assert (found.label, found.name) == ("mine", result["netlist"])
    assert result["worst"] == error_moments(found).worst <= 4 and abs(result["bias"]) <= 0.5
    assert result["estimate"] < result["estimate_of_exact"]
    figures, origin, _ = file.read_text().splitlines()
    assert origin == ("# lamina adders --evolve 3 --wce 4 --bias 0.5 --cost energy "
                      "--generations 500 --seed 2 --net digits.nir")
    kept = json.loads(figures.removeprefix("# "))
    assert kept == {key: result[key] for key in kept} and len(kept) == 6
    content = file.read_bytes()
    assert cli.main(arguments) == 0
    assert file.read_bytes() == content
    assert capsys.readouterr().out.splitlines()[0].split() == ["netlist", result["netlist"]]


@pytest.mark.parametrize(("arguments", "message"), [
    (["--evolve", "3"], "--evolve needs -o FILE, whose name names the adder, for example evo4.net"),
    (["--evolve", "3", "-o", "a b.net"],
     "--evolve needs -o FILE, whose name names the adder, for example evo4.net"),
    (["--evolve", "3", "--adders", "exact", "-o", "a.net"],
     "--evolve makes an adder of its own: leave --adders out"),
    (["--evolve", "9", "-o", "a.net"], "argument --evolve: must be in 1..8, not 9"),
    (["--evolve", "3", "--spread", "-1", "-o", "a.net"],
     "argument --spread: must be a number of at least 0, not -1"),
    (["--evolve", "3", "--additions", "0", "-o", "a.net"],
     "argument --additions: must be in 1..1024, not 0"),
    (["--additions", "3"], "--additions acts with --evolve only"),
    (["--evolve", "3", "--bias", "-1", "-o", "a.net"],
     "argument --bias: must be a number of at least 0, not -1"),
    (["--evolve", "3", "--bias", "x", "-o", "a.net"],
     "argument --bias: must be a number of at least 0, not x"),
    (["--wce", "3"], "--wce acts with --evolve only"),
    (["--generations", "3"], "--generations acts with --evolve only"),
    (["--evolve", "2", "--wce", "17", "-o", "a.net"], "worst error must be in 0..16, not 17"),
])
def test_mistakes_are_one_line(tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    try:
        status = cli.main(["adders", *arguments])
    except SystemExit as error:
        status = error.code
    captured = capsys.readouterr()
    assert (status, captured.out, captured.err) == (2, "", f"lamina: {message}\n")
    assert not list(tmp_path.iterdir())
