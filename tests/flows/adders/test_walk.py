"""Errors and edges of additions one after the other, against additions that are really made."""

import numpy as np
import pytest

from lamina.flows.adders.walk import Walk, walk_moments
from lamina.models.adders.adder import add
from lamina.models.adders.errors import error_table
from lamina.models.adders.spec import AdderSpec

WEIGHTS = np.array([-90, -17, -3, 0, 2, 5, 31, 77])


@pytest.mark.parametrize("name", ["loa:4", "trua1:3", "ama5:4", "heaa:5", "5kb",
                                  "net:sample:2:and.0.2,xor.1.3,nor.6.1:8,6,7"])
def test_moments_are_those_of_many_sums(name):
    spec, additions, sums = AdderSpec.parse(name), 7, 40_000
    rng = np.random.default_rng(4)
    weights = rng.choice(WEIGHTS, (additions, sums))
    begin = rng.integers(-(1 << 12), 1 << 12, sums)
    total = begin
    for each in weights:
        total = add(spec, total, each, 18)
    errors = (total - begin - weights.sum(axis=0)) / additions
    mean, variance, square = walk_moments(spec, WEIGHTS, additions)
    deviation = np.sqrt(errors.var() / sums)
    assert abs(mean - errors.mean()) < 5 * deviation + 1e-9
    assert variance == pytest.approx(errors.var() * additions, rel=0.05)
    assert square == pytest.approx((errors ** 2).mean() * additions, rel=0.05)


def test_one_constant_low_part_after_the_other():
    """TruA-1 without a bias of its own: only the first sum finds low bits to lose."""
    mean, variance, _ = walk_moments(AdderSpec.parse("trua1:4"), np.arange(-128, 128), 64)
    assert mean == pytest.approx(-7.5 + 7.5 / 64)
    assert variance == pytest.approx((1 + 1 / 64) * 255 / 12)


def test_edges_are_those_of_the_sums():
    """Constants and low bits that are kept never move; weights and an exact bit do."""
    likelihood = np.full(4, 0.25)
    walk = Walk(likelihood, 50, seed=0)
    spec = AdderSpec.parse("net:hold:2::0,1,4")
    planes = np.stack([words(np.broadcast_to(values >> place & 1, (4, 4)))
                       for values in (np.arange(4), np.arange(4)[:, None]) for place in (0, 1)])
    held = walk.moves(planes, error_table(spec, 2).T)
    exact = walk.moves(planes, np.zeros((4, 4), dtype=np.int64))
    assert held[:2] == [0, 0]
    assert held[2:] == exact[2:] == pytest.approx([0.5, 0.5], abs=0.05)
    assert exact[:2] == pytest.approx([0.5, 0.5], abs=0.05)


def words(bits):
    """Accumulators in the bits of a word."""
    return (bits.astype(np.uint64) << np.arange(4, dtype=np.uint64)).sum(axis=1, keepdims=True,
                                                                      dtype=np.uint64)
