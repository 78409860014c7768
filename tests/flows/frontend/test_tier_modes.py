import pytest

from lamina.flows.frontend.tier_modes import TierModes, parse_tier_modes

LAYERS = {"lif1": "lif1", "fc1": "lif1", "lif2": "lif2", "fc2": "lif2"}


@pytest.mark.parametrize(("text", "modes"), [
    (None, TierModes()),
    ("nominal,nominal,nominal,nominal", TierModes()),
    ("nominal,nominal,nominal,gated", TierModes(program=1)),
    ("nominal, gated, gated, gated", TierModes(program=3)),
    ("fc1:nominal,nominal,gated,gated;lif2:nominal,nominal,nominal,gated",
     TierModes(layers={"lif1": 2, "lif2": 1})),
    ("lif2:nominal,nominal,nominal,gated;", TierModes(layers={"lif2": 1})),
])
def test_modes_are_counted_from_the_lowest_tier(text, modes):
    assert parse_tier_modes(text, 4, LAYERS) == modes


@pytest.mark.parametrize(("text", "message"), [
    ("nominal,gated", "--tier-modes must have 4 entries, one per tier, not 2"),
    ("nominal,nominal,0.8,gated", "--tier-modes: a voltage (0.8) is refused until a fault model "
                                  "exists; use nominal or gated"),
    ("nominal,nominal,0.8V,gated", "--tier-modes: a voltage (0.8V) is refused until a fault model "
                                   "exists; use nominal or gated"),
    ("nominal,nominal,nominal,off", "--tier-modes entries must be nominal or gated, not 'off'"),
    ("gated,gated,gated,gated", "--tier-modes: tier 0 holds the signs and must stay nominal"),
    ("nominal,gated,nominal,gated", "--tier-modes: only the last tiers may be gated, not tier 1 "
                                    "above a nominal one"),
    ("fc3:nominal,nominal,nominal,gated",
     "--tier-modes: layers are lif1, fc1, lif2, fc2, not 'fc3'"),
    ("fc1:nominal,nominal,nominal,gated;lif1:nominal,nominal,nominal,gated",
     "--tier-modes: layer lif1 must be named once, not twice"),
])
def test_bad_modes_are_refused(refused, text, message):
    with refused(message):
        parse_tier_modes(text, 4, LAYERS)
