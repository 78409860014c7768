import pytest

from lamina.flows.frontend.tier_modes import TierModes, TierSetting, parse_tier_modes

LAYERS = {"lif1": "lif1", "fc1": "lif1", "lif2": "lif2", "fc2": "lif2"}


def whole(*millivolts, gated=0):
    return TierModes(program=TierSetting(gated=gated, millivolts=millivolts))


@pytest.mark.parametrize(("text", "modes"), [
    (None, TierModes()),
    ("nominal,nominal,nominal,nominal", TierModes()),
    ("nominal,1.1,1.1V,nominal", TierModes()),
    ("nominal,nominal,nominal,gated", whole(gated=1)),
    ("nominal, gated, gated, gated", whole(gated=3)),
    ("nominal,nominal,0.8,gated", whole(1100, 1100, 800, 1100, gated=1)),
    ("0.6, 0.755v, 1.099 V, .85", whole(600, 755, 1099, 850)),
    ("UV1@0.8", whole(1100, 1100, 1100, 800)),
    ("UV3@0.825V", whole(1100, 825, 825, 825)),
    ("uv4@.7", whole(700, 700, 700, 700)),
    ("UV-PG1@0.8", whole(1100, 1100, 800, 1100, gated=1)),
    ("UV-PG3@0.8", whole(800, 800, 800, 1100, gated=1)),
    ("UV2@1.1", TierModes()),
    ("fc1:nominal,nominal,gated,gated;lif2:nominal,nominal,nominal,gated",
     TierModes(layers={"lif1": TierSetting(gated=2), "lif2": TierSetting(gated=1)})),
    ("lif2:UV-PG1@0.8; lif1:nominal,nominal,0.8,0.7",
     TierModes(layers={"lif2": TierSetting(gated=1, millivolts=(1100, 1100, 800, 1100)),
                       "lif1": TierSetting(millivolts=(1100, 1100, 800, 700))})),
    ("lif2:nominal,nominal,nominal,gated;", TierModes(layers={"lif2": TierSetting(gated=1)})),
])
def test_modes_are_counted_from_the_lowest_tier(text, modes):
    assert parse_tier_modes(text, 4, LAYERS) == modes


def test_names_follow_the_number_of_tiers():
    assert parse_tier_modes("UV-PG1@0.7", 2, LAYERS) == whole(700, 1100, gated=1)
    assert parse_tier_modes("UV1@0.7", 1, LAYERS) == whole(700)


@pytest.mark.parametrize(("text", "message"), [
    ("nominal,gated", "--tier-modes must have 4 entries, one per tier, not 2"),
    ("nominal,nominal,0.5,gated", "--tier-modes: voltage must be in 0.60..1.10 V, not 0.5"),
    ("nominal,nominal,1.2V,gated", "--tier-modes: voltage must be in 0.60..1.10 V, not 1.2"),
    ("nominal,nominal,nan,gated", "--tier-modes: voltage must be in 0.60..1.10 V, not nan"),
    ("nominal,nominal,800,gated", "--tier-modes: voltage must be in 0.60..1.10 V, not 800.0"),
    ("UV1@0.59", "--tier-modes: voltage must be in 0.60..1.10 V, not 0.59"),
    ("UV1@0.8125", "--tier-modes: voltage must be a whole number of millivolts, not 0.8125"),
    ("UV1@low", "--tier-modes entries must be nominal, gated or a voltage, not 'low'"),
    ("UV1@gated,gated", "--tier-modes entries must be nominal, gated or a voltage, "
                        "not 'gated,gated'"),
    ("UV5@0.8", "--tier-modes: UV5@0.8 must undervolt 1..4 of 4 tiers, not 5"),
    ("UV0@0.8", "--tier-modes: UV0@0.8 must undervolt 1..4 of 4 tiers, not 0"),
    ("UV-PG4@0.8", "--tier-modes: UV-PG4@0.8 must undervolt 1..3 of 4 tiers, not 4"),
    ("nominal,nominal,nominal,off",
     "--tier-modes entries must be nominal, gated or a voltage, not 'off'"),
    ("gated,gated,gated,gated", "--tier-modes: tier 0 holds the signs and must stay on, not gated"),
    ("nominal,gated,nominal,gated", "--tier-modes: only the last tiers may be gated, not tier 1 "
                                    "above one that is on"),
    ("nominal,gated,0.8,0.8", "--tier-modes: only the last tiers may be gated, not tier 1 above "
                              "one that is on"),
    ("fc3:nominal,nominal,nominal,gated",
     "--tier-modes: layers are lif1, fc1, lif2, fc2, not 'fc3'"),
    ("fc1:nominal,nominal,nominal,gated;lif1:nominal,nominal,nominal,gated",
     "--tier-modes: layer lif1 must be named once, not twice"),
])
def test_bad_modes_are_refused(refused, text, message):
    with refused(message):
        parse_tier_modes(text, 4, LAYERS)
