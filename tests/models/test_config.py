"""What a hardware configuration refuses, and what it derives."""

import dataclasses
import re

import pytest

from lamina.models.config import HardwareConfig, ResetRule

FINGERPRINT = 0x993EF673
"""Of the default configuration."""


@pytest.mark.parametrize(("fields", "error", "message"), [
    ({"name": "two words"}, ValueError, "name must be a Verilog identifier, not 'two words'"),
    ({"lanes": 2}, ValueError, "lanes must be in 4..128, not 2"),
    ({"lanes": 12}, ValueError, "lanes must be a power of two, not 12"),
    ({"lanes": 8.0}, TypeError, "lanes must be an int, not 8.0"),
    ({"tiers": [4, 4]}, TypeError, "tiers must be a tuple, not [4, 4]"),
    ({"tiers": ()}, ValueError, "number of tiers must be in 1..8, not 0"),
    ({"tiers": (0, 4)}, ValueError, "bits of a tier must be in 1..16, not 0"),
    ({"tiers": (9, 8)}, ValueError, "sum of tiers must be in 1..16, not 17"),
    ({"bank": "flash"}, ValueError,
     "bank must be one of inferred, spram, behavioural, not 'flash'"),
    ({"bank": "spram", "lanes": 4}, ValueError, "tiers must hold lanes * bits = 16 bits each in "
     "SPRAM banks, not (2, 2, 2, 2) with 4 lanes"),
    ({"bank": "spram", "weight_words": 16385}, ValueError,
     "weight_words must be at most 16384 in SPRAM banks, not 16385"),
    ({"weight_words": 15}, ValueError, "weight_words must be in 16..65536, not 15"),
    ({"axons": 100}, ValueError, "axons must be a power of two, not 100"),
    ({"axons": 8}, ValueError, "axons must be in 16..16384, not 8"),
    ({"axons": 128}, ValueError, "axons must be at least lanes * groups = 256, not 128"),
    ({"groups": 3}, ValueError, "groups must be a power of two, not 3"),
    ({"groups": 1}, ValueError, "groups must be in 2..1024, not 1"),
    ({"lanes": 128, "groups": 256, "axons": 16384}, ValueError,
     "lanes * groups must be at most 16384, not 32768"),
    ({"layers": 257}, ValueError, "layers must be in 1..256, not 257"),
    ({"decay_bits": 3}, ValueError, "decay_bits must be in 4..16, not 3"),
    ({"state_bits": 33}, ValueError, "state_bits must be in 8..32, not 33"),
    ({"acc_bits": 16}, ValueError, "acc_bits must be in 17..40, not 16"),
    ({"output_words": 8}, ValueError, "output_words must be in 16..4096, not 8"),
    ({"output_words": 20}, ValueError, "output_words must be a power of two, not 20"),
    ({"ports": 3}, ValueError, "ports must be in 1..2, not 3"),
    ({"ports": 2, "bank": "spram"}, ValueError, "ports must be 1 with spram banks, not 2"),
    ({"ports": 2, "bank": "behavioural"}, ValueError,
     "ports must be 1 with behavioural banks, not 2"),
])
def test_bad_dimensions_are_refused(fields, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        HardwareConfig(**fields)


def test_widths_of_host_words():
    config = HardwareConfig(lanes=16, tiers=(8, 3, 1), state_bits=20, acc_bits=24)
    assert [config.tier_chunks(tier) for tier in range(3)] == [8, 4, 1]
    assert (config.weight_bits, config.neurons) == (12, 512)
    assert (config.slot_bits, config.slot_chunks) == (20, 2)
    narrow = HardwareConfig(state_bits=8, acc_bits=12, decay_bits=10)
    assert (narrow.slot_bits, narrow.slot_chunks) == (12, 1)


def test_json_round_trip_and_fingerprint():
    config = HardwareConfig(tiers=(3, 5), groups=16)
    assert HardwareConfig.from_json(config.to_json()) == config
    renamed = dataclasses.replace(config, name="other")
    assert renamed.fingerprint == config.fingerprint
    assert dataclasses.replace(config, groups=8).fingerprint != config.fingerprint


def test_one_port_keeps_its_fingerprint():
    """That of the default core before there were two ports, and its files."""
    config = HardwareConfig()
    assert config.fingerprint == FINGERPRINT
    text = config.to_json().replace(' "ports": 1,\n', "")
    assert "ports" not in text and HardwareConfig.from_json(text) == config
    assert dataclasses.replace(config, ports=2).fingerprint != FINGERPRINT


def test_reset_rules_have_labels():
    assert [rule.label for rule in ResetRule] == [
        "value", "subtract", "subtract-delayed", "subtract-rederived"]
    assert all(ResetRule.from_label(rule.label) is rule for rule in ResetRule)
    with pytest.raises(ValueError, match=r"^reset must be one of value, subtract, "
                                         r"subtract-delayed, subtract-rederived, not 'never'$"):
        ResetRule.from_label("never")
