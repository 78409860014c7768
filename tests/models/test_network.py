"""The fast executor against the plain one, bit for bit, and both against worked values."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from lamina.models import network
from lamina.models.config import ResetRule
from lamina.models.network import neuron_updates_per_sample, run, sops_per_sample
from lamina.models.program import Program

TIERS = (2, 2, 2, 2)


def assert_same(fast, plain):
    """Compare every array of two traces."""
    for field in dataclasses.fields(plain):
        got, expected = getattr(fast, field.name), getattr(plain, field.name)
        if field.name == "wraps":
            assert got == expected == 0
            continue
        assert len(got) == len(expected)
        for one, other in zip(got, expected, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=field.name)
            assert one.dtype == other.dtype


def random_spikes(rng, program, samples, timesteps=None):
    """Draw spikes of a random density; some axons stay silent, some samples too."""
    shape = (samples, timesteps or program.timesteps, program.axons)
    spikes = rng.random(shape) < rng.choice([0.05, 0.3, 0.9, 1.0])
    spikes[:, :, rng.random(program.axons) < rng.choice([0, 0.5])] = False
    spikes[rng.random(samples) < 0.1] = False
    return spikes.astype(np.uint8)


def make_program(layers, **fields):
    """Wrap `layers` in a program of usual widths."""
    usual = {"name": "n", "timesteps": 4, "weight_bits": 8, "acc_bits": 20}
    return Program(layers=layers, **(usual | fields))


@pytest.mark.parametrize(("tiers", "widths"), [
    ((2, 2, 2, 2), {"state_bits": 16, "decay_bits": 8}),
    ((2, 2, 2, 2), {"state_bits": 8, "decay_bits": 16}),
    ((4, 4, 4, 4), {"state_bits": 32, "decay_bits": 16}),
    ((4, 4, 4, 4), {"state_bits": 16, "decay_bits": 4}),
    ((3, 1), {"state_bits": 12}), ((1, 1), {"decay_bits": 9}), ((2, 2, 2, 2), {})])
def test_fast_equals_plain_on_random_programs(random_program, monkeypatch, tiers, widths):
    rng = np.random.default_rng(sum(tiers) + len(widths))
    fired, active, rules = [], 0, set()
    for number in range(40):
        gated = int(rng.integers(len(tiers)))
        program = random_program(rng, tiers=tiers, gated_tiers=gated,
                                 tier_fill=("mid", "zero")[number % 2], **widths)
        spikes = random_spikes(rng, program, samples=7)
        monkeypatch.setattr(network, "_BLOCK_SAMPLES", int(rng.choice([1, 3, 64])))
        monkeypatch.setattr(network, "_BUFFER_ELEMENTS", int(rng.choice([1, 60, 1 << 18])))
        plain = run(program, spikes, tiers, trace=True, plain=True)
        assert_same(run(program, spikes, tiers, trace=True), plain)
        fired.append(np.mean([part.mean() for part in plain.layer_spikes]))
        active += sum(0.02 < part.mean() < 0.98 for part in plain.layer_spikes)
        rules |= {layer.reset for layer in program.layers}
    assert rules == set(ResetRule)
    assert 0.1 < np.mean(fired) < 0.9
    assert active >= 20


@pytest.mark.parametrize(("state_bits", "weight", "decay", "dtype"), [
    (16, 127, 256, np.float32), (17, 127, 256, np.float32), (18, 127, 256, np.float64),
    (18, 127, 128, np.float32), (16, 128 * 127, 256, np.float32), (16, 32767, 256, np.float64)])
def test_single_precision_is_taken_up_to_its_limit(make_layer, state_bits, weight, decay, dtype):
    layer = make_layer(weights=np.full((1000, 2), weight), decay=decay,
                       theta=1 << state_bits - 2, r=3)
    program = make_program((layer,), weight_bits=16, state_bits=state_bits, acc_bits=30)
    assert network._prepare(program, (8, 8))._dtype is dtype
    spikes = np.random.default_rng(0).integers(0, 2, (3, 9, 1000)).astype(np.uint8)
    plain = run(program, spikes, (8, 8), trace=True, plain=True)
    assert plain.spikes.any()
    assert_same(run(program, spikes, (8, 8), trace=True), plain)


@pytest.mark.parametrize("samples", [0, 1, 31, 32, 65, 200])
def test_blocks_and_threads_do_not_show(random_program, monkeypatch, samples):
    monkeypatch.setattr(network, "_THREADS", 3)
    rng = np.random.default_rng(6)
    program = random_program(rng, state_bits=16, decay_bits=8)
    spikes = random_spikes(rng, program, samples)
    seen = []
    fast = run(program, spikes, TIERS, progress=lambda done, total: seen.append((done, total)))
    assert_same(fast, run(program, spikes, TIERS, plain=True))
    assert seen == sorted(seen) and seen[-1:] == [(samples, samples)] * bool(samples)
    assert fast.layer_spikes == fast.layer_membranes == ()
    assert fast.membranes is fast.final_membranes[-1]
    assert samples < 31 or fast.spikes.any()


def test_boolean_and_strided_spikes_are_taken(random_program):
    rng = np.random.default_rng(7)
    program = random_program(rng, state_bits=16, decay_bits=8)
    spikes = random_spikes(rng, program, 6)
    expected = run(program, spikes, TIERS)
    assert expected.spike_counts.any()
    assert_same(run(program, spikes.astype(bool), TIERS), expected)
    assert_same(run(program, np.asfortranarray(spikes), TIERS), expected)


def test_two_layers_worked_by_hand(make_layer):
    first = make_layer(name="a", weights=[[60, 0], [60, 100]], decay=128, theta=100, r=100)
    second = make_layer(name="b", weights=[[50], [-20]], theta=50, reset=ResetRule.VALUE,
                        v_reset=-5)
    program = make_program((first, second))
    spikes = np.array([[[1, 0], [1, 1], [0, 0], [0, 1]]], dtype=np.uint8)
    for plain in (True, False):
        got = run(program, spikes, TIERS, trace=True, plain=plain)
        assert got.layer_spikes[0].tolist() == [[[0, 0], [1, 1], [0, 0], [0, 1]]]
        assert got.layer_membranes[0].tolist() == [[[60, 0], [50, 0], [25, 0], [72, 0]]]
        assert got.layer_membranes[1].tolist() == [[[0], [30], [30], [10]]]
        assert got.spikes.tolist() == [[[0], [0], [0], [0]]]
        assert got.spike_counts.tolist() == [[4], [3], [0]]
        assert sops_per_sample(program, got).tolist() == [4 * 2 + 3 * 1]
    assert neuron_updates_per_sample(program) == 4 * 3


def test_a_possible_wrap_sends_run_to_the_plain_executor(make_layer):
    layer = make_layer(weights=np.full((600, 1), 127), theta=32767)
    program = make_program((layer,), acc_bits=17, timesteps=3)
    spikes = np.zeros((2, 3, 600), dtype=np.uint8)
    spikes[0, :, :258] = 1
    spikes[1, 0, :517] = 1
    seen = []
    got = run(program, spikes, TIERS, trace=True, progress=lambda *step: seen.append(step))
    assert got.layer_membranes[0][0, :, 0].tolist() == [32766, 32767, 32767]
    assert got.layer_membranes[0][1, :, 0].tolist() == [-32768, -32768, -32768]
    assert got.spikes[..., 0].tolist() == [[0, 1, 1], [0, 0, 0]]
    assert got.wraps == 1 and seen == [(2, 2)]


def test_gated_tiers_act_per_program_and_per_layer(make_layer):
    first = make_layer(name="a", weights=[[0b0101_1011]], theta=32767, gated_tiers=1)
    second = make_layer(name="b", weights=[[100]], theta=32767)
    spikes = np.ones((1, 1, 1), dtype=np.uint8)

    def seen(gated, fill):
        program = make_program((first, second), gated_tiers=gated, tier_fill=fill)
        got = [run(program, spikes, TIERS, plain=plain).final_membranes[0].item()
               for plain in (True, False)]
        assert got[0] == got[1]
        return got[0]

    assert [seen(0, "mid"), seen(1, "mid"), seen(2, "mid"), seen(3, "mid")] == [
        0b0101_1010, 0b0101_1010, 0b0101_1000, 0b0110_0000]
    assert [seen(0, "zero"), seen(2, "zero")] == [0b0101_1000, 0b0101_0000]


@pytest.mark.parametrize(("spikes", "error", "message"), [
    (np.zeros((1, 4, 2), dtype=np.int64), TypeError, "spikes must be uint8 or bool, not int64"),
    (np.zeros((1, 4, 3), dtype=np.uint8), ValueError,
     r"spikes must have shape \(samples, timesteps, 2\), not \(1, 4, 3\)"),
    (np.zeros((4, 2), dtype=np.uint8), ValueError,
     r"spikes must have shape \(samples, timesteps, 2\), not \(4, 2\)"),
    (np.zeros((1, 0, 2), dtype=np.uint8), ValueError,
     r"spikes must have shape \(samples, timesteps, 2\), not \(1, 0, 2\)"),
    (np.full((1, 4, 2), 3, dtype=np.uint8), ValueError, "spikes must be 0 or 1, not 3")])
def test_refusals(make_layer, spikes, error, message):
    program = make_program((make_layer(weights=[[1], [2]]),))
    with pytest.raises(error, match=f"^{message}$"):
        run(program, spikes, TIERS)


def test_a_weight_beyond_the_tiers_is_refused(make_layer):
    program = make_program((make_layer(weights=[[100]]),))
    with pytest.raises(ValueError, match=r"^weights must be in -8\.\.7 for tiers \(2, 2\), not 1"):
        run(program, np.zeros((1, 1, 1), dtype=np.uint8), (2, 2))
