"""Every weight width tried, kept and resumed, and the narrowest that keeps enough."""

import dataclasses
import json
import pathlib

import pytest

from lamina.flows import cli, explore, steps
from lamina.flows.errors import UserError
from lamina.flows.frontend.data import load_data
from lamina.flows.job import Options, load_program
from lamina.models.config import HardwareConfig
from lamina.models.source import INPUT, Source

NET = pathlib.Path("examples/digits.nir")


@pytest.fixture(scope="module")
def explored(tmp_path_factory):
    """Folder of an exploration at three widths, and its result; treated as read-only."""
    folder = tmp_path_factory.mktemp("explored") / "digits"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explore, "WIDTHS", (2, 8, 16))
        options = Options(net=NET, data="digits", out=folder)
        return folder, steps.quantise(options, explore=True, keep=0.1).result


def entry(bits, accuracy, *, agreement=1.0, samples=1000):
    return {"weight_bits": bits, "accuracy": accuracy, "float_accuracy": 0.98,
            "agreement": agreement, "samples": samples}


def test_widths_are_judged(explored):
    _, result = explored
    two, eight, sixteen = result["widths"]
    assert two["accuracy"] < 0.96 < eight["accuracy"]
    assert two["jaccard"] < eight["jaccard"] < sixteen["jaccard"]
    assert two["memory_bits"] * 4 == eight["memory_bits"] == (64 * 32 + 32 * 10) * 8
    assert 1000 < eight["cycles_per_sample"] < 4000 and sixteen["cycles_per_sample"] is None
    assert (eight["fits"], sixteen["fits"]) == (True, False)
    assert set(eight["scales"].values()) <= {"neuron", "layer", "given"}


def test_the_chosen_width_is_compiled(explored):
    folder, result = explored
    assert result["chosen"] == 8
    assert load_program(folder / "program").weight_bits == 8
    assert json.loads((folder / "quantise" / "explore.json").read_text()) == result
    assert (folder / "quantise" / "explore.png").read_bytes().startswith(b"\x89PNG")


def test_kept_widths_are_not_done_again(explored, monkeypatch):
    folder, result = explored
    monkeypatch.setattr(explore, "WIDTHS", (2, 8, 16))

    def refuse(*arguments):
        raise AssertionError(f"compiled again: {arguments}")

    monkeypatch.setattr(explore, "_judge", refuse)
    again = Options(net=NET, data="digits", out=folder)
    assert steps.quantise(again, explore=True, keep=0.1).result == result
    with pytest.raises(AssertionError, match=r"^compiled again: "):
        steps.quantise(dataclasses.replace(again, seed=3), explore=True)


@pytest.mark.parametrize(("keep", "chosen"), [(0.5, 4), (0.1, 8), (0.05, 8), (2, 2)])
def test_the_narrowest_that_keeps_enough_is_chosen(keep, chosen):
    widths = [entry(8, 0.98), entry(4, 0.976), entry(2, 0.962), entry(16, 0.98)]
    assert explore.choose_width(widths, keep) == chosen


def test_one_sample_may_always_be_lost():
    assert explore.choose_width([entry(3, 0.97, samples=100)], 0.1) == 3
    assert explore.choose_width([entry(3, 0.96, samples=100)], 0.1) is None


def test_without_labels_the_agreement_counts():
    widths = [entry(4, None, agreement=0.99), entry(8, None, agreement=0.9995)]
    assert explore.choose_width(widths, 0.1) == 8


def test_cycles_are_predicted_for_chains_and_graphs(explored):
    folder, _ = explored
    program, config = load_program(folder / "program"), HardwareConfig()
    graphs = dataclasses.replace(config, features=("sources",))
    spikes = load_data("digits").encoded(program, 0, 3)
    assert spikes.any()
    plain = explore.predict_cycles(program, config, spikes)
    assert plain > 1000
    late = dataclasses.replace(program.layers[0], sources=(
        Source(layer=INPUT, units=64, delay=1),))
    delayed = dataclasses.replace(program, layers=(late, *program.layers[1:]))
    assert explore.predict_cycles(delayed, graphs, spikes) > plain


def test_one_width_is_a_compilation(tmp_path, capsys):
    arguments = ["quantise", str(NET), "--data", "digits", "--weight-bits", "4", "-o"]
    assert cli.main([*arguments, str(tmp_path / "out")]) == 0
    assert "integer accuracy" in capsys.readouterr().out
    assert load_program(tmp_path / "out" / "program").weight_bits == 4


def test_a_width_and_all_widths_exclude_each_other():
    with pytest.raises(UserError, match=r"^--explore tries every width: leave --weight-bits out$"):
        steps.quantise(Options(net=NET, weight_bits=8), explore=True)


def test_a_program_is_not_quantised_again(explored):
    folder, _ = explored
    with pytest.raises(UserError, match=r"program: must be a .nir file, it is a program already$"):
        steps.quantise(Options(net=folder / "program"), explore=True)


def test_points_have_a_range(capsys):
    with pytest.raises(SystemExit):
        cli.main(["quantise", str(NET), "--keep", "-1"])
    assert capsys.readouterr().err == "lamina: argument --keep: must be in 0..100 points, not -1\n"
