"""Encoders: fixed spikes, independence of the batch, statistics, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from lamina.models.encoder import encode, thermometer
from lamina.models.program import Encoder

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def _mix(z: int) -> int:
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def _draw(seed: int, sample: int, t: int, axon: int) -> int:
    """One 31-bit draw in Python integers."""
    key = _mix((seed + GOLDEN) & MASK)
    key = _mix((key + sample * GOLDEN) & MASK)
    key = _mix((key + (t + 1) * GOLDEN) & MASK)
    word = _mix((key + (axon // 2 + 1) * GOLDEN) & MASK)
    return (word >> 32 if axon % 2 else word & 0xFFFFFFFF) >> 1


def test_the_generator_is_splitmix64():
    state, outputs = 1234567, []
    for _ in range(3):
        state = (state + GOLDEN) & MASK
        outputs.append(_mix(state))
    assert outputs == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@pytest.mark.parametrize(("seed", "first"), [(0, 0), (1, 5), (2**32 - 1, 2**32)])
def test_bernoulli_equals_its_definition(seed, first):
    x = np.random.default_rng(3).random((3, 5))
    gain = 0.75
    spikes = encode(Encoder(seed=seed, gain=gain), x, 6, first_sample=first)
    expected = [[[int(_draw(seed, first + i, t, axon) < round(x[i, axon] * gain * 2**31))
                  for axon in range(5)] for t in range(6)] for i in range(3)]
    assert spikes.tolist() == expected
    assert spikes.dtype == np.uint8 and 0 < spikes.mean() < 1


def test_a_draw_equal_to_the_rate_is_no_spike():
    draws = [_draw(0, 0, 0, axon) for axon in range(4)]
    for above in (0, 1):
        x = np.array([[(draw + above) / 2**31 for draw in draws]])
        assert encode(Encoder(), x, 1).tolist() == [[[above] * 4]]


@pytest.mark.parametrize("kind", ["bernoulli", "rate", "latency", "constant"])
def test_a_sample_does_not_depend_on_its_neighbours(kind):
    encoder = Encoder(kind=kind, seed=9)
    x = np.random.default_rng(4).random((300, 99))
    whole = encode(encoder, x, 11)
    assert 0.05 < whole.mean() < 0.6
    for first, last in [(0, 1), (7, 9), (150, 300)]:
        np.testing.assert_array_equal(encode(encoder, x[first:last], 11, first), whole[first:last])


def test_longer_runs_and_fewer_axons_keep_the_bernoulli_spikes():
    x = np.full((2, 8), 0.5)
    longer = encode(Encoder(), x, 20)
    np.testing.assert_array_equal(encode(Encoder(), x[:, :7], 9), longer[:, :9, :7])


def test_bernoulli_has_the_rate_and_no_visible_pattern():
    rate, samples = 0.3, 2000
    spikes = encode(Encoder(gain=0.5), np.full((samples, 50), 2 * rate), 10).astype(float)
    for axis in [(0, 1), (0, 2), (1, 2)]:
        means = spikes.mean(axis=axis)
        deviation = np.sqrt(rate * (1 - rate) * means.size / spikes.size)
        assert np.abs(means - rate).max() < 5 * deviation
    centred = (spikes - rate).reshape(-1, 50)
    for other in (np.roll(centred, 1, axis=0), np.roll(centred, 1, axis=1)):
        assert abs((centred * other).mean()) < 5 * rate * (1 - rate) / np.sqrt(centred.size)


@pytest.mark.parametrize("kind", ["bernoulli", "rate"])
def test_the_ends_of_the_range_are_exact(kind):
    spikes = encode(Encoder(kind=kind), np.array([[0.0, 1.0]] * 40), 50)
    assert not spikes[..., 0].any() and spikes[..., 1].all()


def test_seeds_differ():
    x = np.full((1, 64), 0.5)
    assert (encode(Encoder(seed=1), x, 8) != encode(Encoder(seed=2), x, 8)).mean() > 0.3


@pytest.mark.parametrize(("x", "gain", "expected"), [
    (0.5, 1.0, [0, 1, 0, 1, 0, 1]), (1.0, 0.5, [0, 1, 0, 1, 0, 1]), (1.0, 1.0, [1] * 6),
    (0.4, 1.0, [0, 0, 1, 0, 1, 0]), (0.1, 1.0, [0] * 6), (0.0, 1.0, [0] * 6)])
def test_rate_is_evenly_spaced(x, gain, expected):
    spikes = encode(Encoder(kind="rate", gain=gain), np.array([[x]]), 6)
    assert spikes[0, :, 0].tolist() == expected


def test_rate_spends_exactly_the_floor_of_the_total():
    x = np.linspace(0, 1, 101)[None]
    spikes = encode(Encoder(kind="rate"), x, 100)
    np.testing.assert_array_equal(spikes.sum(axis=1), np.floor(100 * x))


@pytest.mark.parametrize(("x", "gain", "expected"), [
    (1.0, 1.0, 0), (0.5, 1.0, 2), (0.9, 1.0, 0), (0.8, 1.0, 1), (1e-9, 1.0, 4), (0.0, 1.0, None),
    (1.0, 0.5, 2)])
def test_latency_spikes_once_and_the_brighter_the_earlier(x, gain, expected):
    spikes = encode(Encoder(kind="latency", gain=gain), np.array([[x]]), 5)[0, :, 0]
    assert np.flatnonzero(spikes).tolist() == ([] if expected is None else [expected])


def test_latency_in_one_timestep_is_a_threshold():
    assert encode(Encoder(kind="latency"), np.array([[0.0, 0.1, 1.0]]), 1).tolist() == [[[0, 1, 1]]]


def test_delta_answers_what_moved_since_the_last_spike():
    signal = np.array([5.0, 5.5, 6.0, 6.25, 7.25, 7.0, 6.0, 9.0])
    spikes = encode(Encoder(kind="delta", step=1.0), np.stack([signal, -signal], axis=1)[None], 8)
    rises, falls = [0, 0, 0, 1, 0, 0, 0, 1], [0] * 8
    assert spikes[0].T.tolist() == [rises, falls, falls, rises]


def test_delta_falls_on_the_second_plane_and_follows_the_gain():
    signal = np.array([0.0, -3.0, -3.5, -6.0])[None, :, None]
    assert encode(Encoder(kind="delta", step=1.0), signal, 4)[0].T.tolist() == [[0] * 4,
                                                                               [0, 1, 0, 1]]
    assert encode(Encoder(kind="delta", step=1.0, gain=0.5), signal, 4)[0, :, 1].tolist() == [
        0, 1, 0, 1]
    assert not encode(Encoder(kind="delta", step=1.0, gain=0.1), signal, 4).any()


def test_constant_keeps_its_level_in_every_timestep():
    x = np.array([[0.0, 0.1, 0.125, 0.5, 1.0]])
    encoder = Encoder(kind="constant", levels=4)
    spikes = encode(encoder, x, 3)
    assert encoder.copies == 4 and spikes.shape == (1, 3, 20)
    levels = spikes.reshape(3, 4, 5).sum(axis=1)
    assert levels.tolist() == [[0, 0, 1, 2, 4]] * 3


def test_copies_are_listed_one_after_the_other():
    assert thermometer(np.array([[0, 3, 1]]), 3).tolist() == [[0, 1, 1, 0, 1, 0, 0, 1, 0]]


@pytest.mark.parametrize(("kind", "copies"), [
    ("spikes", 1), ("rate", 1), ("latency", 1), ("bernoulli", 1), ("delta", 2), ("constant", 7)])
def test_an_encoder_says_how_many_axons_it_makes(kind, copies):
    assert Encoder(kind=kind, levels=7).copies == copies


@pytest.mark.parametrize(("fields", "message"), [
    ({"step": 0.0}, "encoder step must be positive and finite, not 0.0"),
    ({"step": np.inf}, "encoder step must be positive and finite, not inf"),
    ({"levels": 0}, r"encoder levels must be in 1\.\.255, not 0"),
    ({"kind": "poisson"}, "encoder must be one of spikes, bernoulli, rate, latency, delta, "
                          "constant, not 'poisson'")])
def test_bad_encoders(fields, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Encoder(**fields)


@pytest.mark.parametrize("dtype", [np.uint8, bool, np.int64, np.float32])
def test_spikes_pass(dtype):
    spikes = np.random.default_rng(0).integers(0, 2, (3, 4, 5)).astype(dtype)
    got = encode(Encoder(kind="spikes"), spikes, 4)
    assert got.dtype == np.uint8 and got.any()
    np.testing.assert_array_equal(got, spikes)


@pytest.mark.parametrize(("kind", "frames", "message"), [
    ("bernoulli", np.array([[0, np.nan]]),
     r"frames must be in 0\.\.1, not nan at sample 0, axon 1"),
    ("rate", np.array([[0], [-0.5]]), r"frames must be in 0\.\.1, not -0\.5 at sample 1, axon 0"),
    ("rate", np.array([[255]]), r"frames must be in 0\.\.1, not 255 at sample 0, axon 0"),
    ("bernoulli", np.zeros((2, 3, 4)),
     r"frames must be real numbers of shape \(samples, axons\), not float64 of shape \(2, 3, 4\)"),
    ("bernoulli", np.zeros((2, 3), dtype=complex),
     r"frames must be real numbers of shape \(samples, axons\), not complex128 of shape \(2, 3\)"),
    ("delta", np.zeros((2, 5, 3)), r"signals must be real numbers of shape \(samples, 4, axons\), "
                                   r"not float64 of shape \(2, 5, 3\)"),
    ("delta", np.full((1, 4, 2), np.nan),
     "signals must be finite, not nan at sample 0, timestep 0, axon 0"),
    ("latency", np.array([[2.0]]), r"frames must be in 0\.\.1, not 2\.0 at sample 0, axon 0"),
    ("constant", np.array([[np.inf]]), r"frames must be in 0\.\.1, not inf at sample 0, axon 0"),
    ("spikes", np.zeros((2, 5, 3)), r"spikes must have shape \(samples, 4, axons\), "
                                    r"not \(2, 5, 3\)"),
    ("spikes", np.zeros((2, 4)), r"spikes must have shape \(samples, 4, axons\), not \(2, 4\)"),
    ("spikes", np.full((1, 4, 1), 2), "spikes must be 0 or 1, not 2"),
    ("spikes", np.full((1, 4, 1), 256), "spikes must be 0 or 1, not 256"),
    ("spikes", np.full((1, 4, 1), 0.5), r"spikes must be 0 or 1, not 0\.5"),
    ("spikes", np.full((1, 4, 1), np.nan), "spikes must be 0 or 1, not nan")])
def test_refusals(kind, frames, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        encode(Encoder(kind=kind), frames, 4)


@pytest.mark.parametrize(("timesteps", "first", "message"), [
    (0, 0, r"timesteps must be in 1\.\.65535, not 0"),
    (1, -1, r"first_sample must be in 0\.\.4294967296, not -1")])
def test_bad_counters(timesteps, first, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        encode(Encoder(), np.zeros((1, 1)), timesteps, first)
