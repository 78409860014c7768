"""A study against its chips one by one, stopped and taken up again."""

import pathlib

import numpy as np
import pytest

from lamina.flows.study.modes import with_modes
from lamina.flows.study.monte_carlo import Accuracies, monte_carlo
from lamina.models.chips import Chips
from lamina.models.config import ResetRule
from lamina.models.faults import FaultModel
from lamina.models.program import Layer, Program

TIERS = (2, 2, 2, 2)
MODES = ("UV3@0.75", "UV1@0.85", "UV-PG1@0.7")


@pytest.fixture(name="case", scope="module")
def program_spikes_labels():
    """A random 40-20-5 network that is always right at nominal voltage."""
    rng = np.random.default_rng(0)

    def layer(name, axons, neurons):
        zero = np.zeros(neurons, dtype=np.int64)
        return Layer(name=name, weights=rng.integers(-100, 104, (axons, neurons)), decay=zero + 230,
                     theta=zero + 120, r=zero + 120, v_reset=zero, bias=zero,
                     reset=ResetRule.SUBTRACT)

    program = Program(name="n", layers=(layer("a", 40, 20), layer("b", 20, 5)), timesteps=8,
                      weight_bits=8, acc_bits=20)
    spikes = (rng.random((90, 8, 40)) < 0.3).astype(np.uint8)
    labels = Chips(program, 8, TIERS).predict(spikes, [FaultModel()])[0]
    assert len(np.unique(labels)) > 2
    return program, spikes, labels


def study(case, folder, modes=MODES, chips=25, **options):
    return monte_carlo(case[0], modes, *case[1:], folder, lanes=8, tiers=TIERS, chips=chips,
                       **options)


def files(folder):
    return {path.name: path for path in folder.rglob("chips-*.npz")}


@pytest.fixture(name="done", scope="module")
def finished(case, tmp_path_factory):
    folder, told = tmp_path_factory.mktemp("study"), []
    return study(case, folder, progress=lambda *pair: told.append(pair)), folder, told


def test_every_chip_has_the_accuracy_it_has_alone(case, done):
    program, spikes, labels = case
    for found, mode in zip(done[0], MODES, strict=True):
        chips = Chips(with_modes(program, mode, TIERS), 8, TIERS)
        alone = [(chips.predict(spikes, [FaultModel(chip=chip)]) == labels).mean()
                 for chip in range(25)]
        np.testing.assert_allclose(found.values, alone)
        assert (found.mode, found.fill) == (mode, "mid")
    assert done[0][0].values.std() > 0
    np.testing.assert_array_equal(done[0][1].values, np.ones(25))


def test_progress_counts_chips_of_all_modes(done):
    assert sorted(done[2]) == done[2] and done[2][-1] == (81, 81)
    assert len(files(done[1])) == 5


def test_finished_batches_are_taken(case, done):
    first = files(done[1])["chips-UV3_0.75-0-20.npz"]
    np.savez(first, accuracies=np.full(20, 0.25))
    told = []
    found = study(case, done[1], chips=41, progress=lambda *pair: told.append(pair))
    np.testing.assert_array_equal(found[0].values[:20], 0.25)
    np.testing.assert_array_equal(found[0].values[20:25], done[0][0].values[20:])
    assert len(found[0].values) == 41 and told[0][0] > 81


def test_a_stopped_study_goes_on(case, tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        study(case, tmp_path, MODES[:1], chips=100, workers=1, progress=stop)
    kept = {name: path.stat().st_mtime_ns for name, path in files(tmp_path).items()}
    assert 1 <= len(kept) < 5
    [found] = study(case, tmp_path, MODES[:1], chips=100, workers=1)
    assert len(found.values) == 100
    assert all(files(tmp_path)[name].stat().st_mtime_ns == time for name, time in kept.items())


def test_another_fill_or_kind_is_another_study(case, done, tmp_path):
    values = [study(case, tmp_path, MODES[2:], **changes)[0].values
              for changes in ({"fill": "zero"}, {"kind": "stuck"})]
    assert len(list(tmp_path.iterdir())) == 2
    assert all((each != done[0][2].values).any() for each in values)


def test_statistics():
    found = Accuracies(mode="UV1@0.8", fill="mid", values=np.array([0.2, 0.4, 0.9]))
    assert (found.mean, found.low, found.high) == (pytest.approx(0.5), 0.2, 0.9)
    assert found.percentile(50) == 0.4


def test_every_sample_needs_a_label(case):
    program, spikes, labels = case
    with pytest.raises(ValueError, match=r"^labels must be one per sample, 90, not 89$"):
        study((program, spikes, labels[1:]), pathlib.Path("unused"))
