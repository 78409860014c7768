"""The evolved adders that come with the package are what their files say."""

import dataclasses
import json
import math
import re

import pytest

from lamina.flows.adders.catalogue import default_adders, mean_error
from lamina.flows.adders.evolve import Evolution, estimated_cost, evolve, ripple
from lamina.flows.adders.names import read_adder, shipped_files
from lamina.flows.adders.operands import UNIFORM_WEIGHTS
from lamina.flows.adders.walk import walk_moments
from lamina.models.adders.errors import error_moments

FILES = shipped_files()
ORIGIN = re.compile(r"# lamina adders --evolve (\d+) --wce (\d+) --bias (\S+)(?: --spread (\S+))?"
                    r"(?: --additions (\d+))? --cost (\w+) --generations (\d+) --seed (\d+)")


def origin(name):
    """The second line of a file as an evolution."""
    _, line, _ = FILES[name].read_text().splitlines()
    k, worst, bias, spread, additions, cost, generations, seed = ORIGIN.fullmatch(line).groups()
    return Evolution(low_bits=int(k), worst=int(worst), bias=float(bias), cost=cost,
                     spread=float(spread or "inf"), additions=int(additions or 1),
                     weights=UNIFORM_WEIGHTS, generations=int(generations), seed=int(seed))


def test_there_are_some_and_the_catalogue_has_them():
    assert 10 <= len(FILES) <= 20
    assert {read_adder(f"@{name}") for name in FILES} <= set(default_adders())


@pytest.mark.parametrize("name", FILES)
def test_figures_are_those_of_every_pair(name):
    spec = read_adder(f"@{name}")
    assert spec.label == name and spec.netlist == spec.netlist.pruned()
    figures = json.loads(FILES[name].read_text().splitlines()[0].removeprefix("# "))
    limits = origin(name)
    mean, variance, _ = walk_moments(spec, UNIFORM_WEIGHTS, limits.additions)
    sums = {} if limits.additions == 1 else {"sum_bias": mean, "sum_spread": math.sqrt(variance)}
    assert figures == {**dataclasses.asdict(error_moments(spec)), **sums,
                       "bias": mean_error(spec, UNIFORM_WEIGHTS)}
    assert figures["worst"] <= limits.worst
    assert abs(mean) <= limits.bias and variance <= limits.spread ** 2
    assert estimated_cost(spec.netlist, limits) < estimated_cost(ripple(spec.low_bits), limits)


@pytest.mark.long
@pytest.mark.parametrize("name", FILES)
def test_evolution_finds_them_again(name):
    assert evolve(origin(name), name) == read_adder(f"@{name}").netlist
