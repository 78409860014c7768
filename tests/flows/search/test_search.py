"""The search on a network that takes milliseconds: the same front again, and after a kill."""

import dataclasses
import io
import re

import numpy as np
import pytest

from lamina.flows.errors import UserError
from lamina.flows.search.command import SearchOptions
from lamina.flows.search.energy import CALIBRATIONS, relative_energy
from lamina.flows.search.evaluate import Evaluation, Setup, built, evaluate
from lamina.flows.search.front import expected_gains, front_of, hypervolume
from lamina.flows.search.plots import draw_front
from lamina.flows.search.search import search
from lamina.flows.search.space import Configuration, Space
from lamina.flows.search.surrogate import LEVELS, Surrogate, adder_noise, weight_noise
from lamina.flows.search.workers import workers
from lamina.models.config import ResetRule
from lamina.models.decoder import decode
from lamina.models.network import run
from lamina.models.program import Layer, Program

TIERS = (2, 2, 2, 2)
NOMINAL = "nominal,nominal,nominal,nominal"
SPACE = Space(layers=("a", "b"), adders=("exact", "loa:4", "trua0:5"),
              modes=(NOMINAL, "UV4@0.85", "UV3@0.8", "0.85,0.85,gated,gated"))


def layer(rng, name, axons, neurons):
    zero = np.zeros(neurons, dtype=np.int64)
    return Layer(name=name, weights=rng.integers(-100, 101, (axons, neurons)), decay=zero + 192,
                 theta=zero + 150, r=zero + 150, v_reset=zero, bias=zero + 3,
                 reset=ResetRule.SUBTRACT)


@pytest.fixture(scope="module")
def setup():
    """A network that judges itself: its labels are what it says when nothing fails."""
    rng = np.random.default_rng(2)
    program = Program(name="p", timesteps=5, weight_bits=8, acc_bits=20,
                      layers=(layer(rng, "a", 40, 24), layer(rng, "b", 24, 6)))
    spikes = (rng.random((130, 5, 40)) < 0.3).astype(np.uint8)
    trace = run(program, spikes, TIERS)
    labels = decode(program.decoding, trace.spikes, trace.membranes)
    return Setup(program=program, calibration_spikes=spikes[:30], spikes=spikes[30:],
                 labels=labels[30:], lanes=8, tiers=TIERS, chips=2, compensate="follow",
                 calibration="45nm", adder_energy={"loa:4": 0.8})


def energy(setup, modes, adders=("exact", "exact"), name="45nm", table=None):
    program = Configuration(adders, modes).applied(setup.program, TIERS)
    sops = run(setup.program, setup.spikes, TIERS).sops.mean(axis=1)
    return relative_energy(program, sops, float(sops.sum()), TIERS, CALIBRATIONS[name],
                           table or {})


@pytest.mark.parametrize(("mode", "relative"), [
    (NOMINAL, 1.0), ("UV3@0.8", 0.676), ("UV-PG3@0.8", 0.447), ("UV-PG1@0.7", 0.6343)])
def test_the_published_law_without_savings_of_adders(setup, mode, relative):
    assert energy(setup, (mode, mode)) == pytest.approx(relative, abs=1e-3)


def test_shares_add_up_and_adders_save_their_own(setup):
    for calibration in CALIBRATIONS.values():
        assert calibration.memory + calibration.adder + calibration.rest == pytest.approx(1)
    saved = energy(setup, (NOMINAL, NOMINAL), ("loa:4", "loa:4"), table={"loa:4": 0.5})
    assert saved == pytest.approx(1 - CALIBRATIONS["45nm"].adder / 2)


def test_hypervolume_by_hand():
    assert hypervolume(np.array([(0.1, 0.55)])) == pytest.approx(0.1 * 0.5)
    both = np.array([(0.1, 0.55), (0.0, 1.0), (0.15, 0.9), (0.3, 0.1)])
    assert hypervolume(both) == pytest.approx(0.2 * 0.05 + 0.1 * 0.45)


def evaluation(accuracy, energy):
    return Evaluation(adders=(), modes=(), accuracies=(accuracy,), energy=energy)


def test_the_front_keeps_what_nothing_beats():
    points = [(0.9, 0.5), (0.95, 0.8), (0.9, 0.6), (0.97, 1.0), (0.8, 0.5)]
    front = front_of([evaluation(*point) for point in points])
    assert [(each.accuracy, each.energy) for each in front] == [(0.97, 1.0), (0.95, 0.8),
                                                                (0.9, 0.5)]


def test_noise_of_weights_and_adders(setup):
    one = setup.program.layers[0]
    assert weight_noise(one, (1.1,) * 4, 0, "mid", TIERS) == 0
    three = weight_noise(one, (1.1, 0.8, 0.8, 0.8), 0, "mid", TIERS)
    assert three == pytest.approx(np.sqrt(0.019 * 1365), rel=0.02)
    assert 4 < weight_noise(one, (1.1, 1.1, 0, 0), 2, "mid", TIERS) < 5
    assert adder_noise(one) == 0
    ones, zeros = (adder_noise(dataclasses.replace(one, adder=name))
                   for name in ("trua1:5", "trua0:5"))
    assert ones == pytest.approx(zeros) == pytest.approx(32 / 12 ** 0.5, rel=0.1)
    assert adder_noise(dataclasses.replace(one, adder="gear:4:4")) == 256


@pytest.fixture
def learned(setup):
    """A surrogate of losses that follow the noise, what it learned from, and the accuracies."""
    surrogate = Surrogate(SPACE, setup.program, np.array([12.0, 6.0]), TIERS, seed=0)
    tried = [Configuration((adder,) * 2, (mode,) * 2) for adder in SPACE.adders
             for mode in SPACE.modes]
    noise = np.array([surrogate.noise(each) for each in tried])
    accuracies = (0.99 - 0.3 * noise / noise.max()).tolist()
    surrogate.fit(tried, accuracies)
    return surrogate, tried, np.array(accuracies)


def test_the_surrogate_learns_what_noise_costs(learned):
    surrogate, tried, accuracies = learned
    losses = surrogate.predict(tried)
    assert losses.shape == (len(tried), LEVELS) and (np.diff(losses, axis=1) >= 0).all()
    assert np.corrcoef(losses.mean(axis=1), 0.99 - accuracies)[0, 1] > 0.99
    between = Configuration(("exact", "trua0:5"), ("UV4@0.85", "UV3@0.8"))
    assert 0 < surrogate.predict([between]).mean() < 0.3


def test_a_belief_makes_what_is_like_it_surer(learned):
    surrogate, _, _ = learned
    near = Configuration(("trua0:5", "exact"), ("UV3@0.8", "0.85,0.85,gated,gated"))
    before = surrogate.predict([near])
    surrogate.believe(near)
    after = surrogate.predict([near])
    assert np.ptp(after) < np.ptp(before)
    assert after.mean() == pytest.approx(before.mean(), abs=0.02)


def test_gains_are_those_of_the_hypervolume():
    points = np.array([(0.0, 1.0), (0.05, 0.6), (0.12, 0.3)])
    losses = np.array([[0.02, 0.02], [-0.01, 0.1], [0.3, 0.25], [0.06, 0.06]])
    energies = np.array([0.5, 0.55, 0.1, 0.65])
    expected = [np.mean([hypervolume(np.vstack([points, (loss, energy)])) for loss in row])
                - hypervolume(points) for row, energy in zip(losses, energies, strict=True)]
    assert expected_gains(points, losses, energies) == pytest.approx(expected, abs=2e-4)


def test_the_same_front_again_and_after_a_kill(setup, tmp_path):
    steps = []
    first = search(setup, SPACE, tmp_path / "a", budget=14, seed=3,
                   progress=lambda done, total: steps.append((done, total)))
    assert steps[-1] == (14, 14) and len(first.evaluations) == 14
    assert len({each.configuration for each in first.evaluations}) == 14
    (kept,) = (tmp_path / "a").glob("*/evaluations.jsonl")
    lines = kept.read_text().splitlines()
    kept.write_text("\n".join(lines[:9]) + "\n" + lines[9][:20])
    assert search(setup, SPACE, tmp_path / "a", budget=14, seed=3) == first
    assert search(setup, SPACE, tmp_path / "b", budget=14, seed=3) == first
    assert first.evaluations[0].accuracy == 1 and first.evaluations[0].energy == 1
    assert first.front[-1].energy < 0.6


def test_no_more_is_tried_than_there_is(setup, tmp_path):
    small = Space(layers=SPACE.layers, adders=("exact",), modes=(NOMINAL, "UV4@0.85"))
    assert len(search(setup, small, tmp_path, budget=50).evaluations) == small.size == 4


def test_a_setup_comes_back(setup, tmp_path):
    setup.save(tmp_path / "setup")
    configuration = Configuration(("loa:4", "exact"), ("UV3@0.8", NOMINAL))
    found = evaluate(tmp_path / "setup", configuration)
    program = built(setup, configuration)
    assert [layer.adder for layer in program.layers] == ["loa:4", "exact"]
    assert len(found.accuracies) == 2 and 0.3 < found.accuracy < 1
    assert found.configuration.text(SPACE.layers) == \
        f"a: loa:4, UV3@0.8; b: exact, {NOMINAL}"


@pytest.mark.parametrize(("fields", "message"), [
    ({"budget": 0}, "--budget must be at least 1, not 0"),
    ({"chips": 0}, "--chips must be at least 1, not 0"),
    ({"validation": -1}, "--validation must be at least 1, not -1"),
    ({"calibration": "7nm"}, "--calibration must be one of 45nm, sky130, not '7nm'"),
    ({"adders": ("loa:0",)}, "--adder: adder loa k must be in 1..16, not 0"),
])
def test_bad_options_are_refused(fields, message):
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        SearchOptions(**fields)


def test_a_search_needs_choices_and_a_budget(setup, tmp_path):
    with pytest.raises(UserError, match=r"^a search needs at least one adder and one mode, not 0$"):
        Space(layers=("a",), adders=(), modes=(NOMINAL,))
    with pytest.raises(UserError, match=r"^--budget must be at least 1, not 0$"):
        search(setup, SPACE, tmp_path, budget=0)


def test_an_absent_scheduler_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("lamina.flows.cluster._CONNECT_SECONDS", 1)
    with pytest.raises(UserError, match=r"^--scheduler must be a Dask scheduler that answers, "
                                        r"not tcp://127\.0\.0\.1:1$"), \
            workers(tmp_path, 1, "tcp://127.0.0.1:1"):
        raise AssertionError("unreachable")


@pytest.mark.long
def test_workers_find_the_same(setup, tmp_path):
    alone = search(setup, SPACE, tmp_path / "a", budget=12, seed=1)
    assert search(setup, SPACE, tmp_path / "b", budget=12, seed=1, workers=2) == alone


def test_the_picture_is_the_same_twice():
    front = [{"name": "X1", "accuracy": 0.98, "energy": 0.5}]
    result = {"front": front, "tried": [*front, {"accuracy": 0.9, "energy": 1.0}],
              "neurons": [256, 256, 10], "calibration": {"name": "45nm"}}
    pictures = [io.BytesIO(), io.BytesIO()]
    for picture in pictures:
        draw_front(result, picture)
    assert pictures[0].getvalue() == pictures[1].getvalue() and pictures[0].tell() > 10_000
