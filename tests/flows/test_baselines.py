"""Size and speed of the boards that ship, held to what was measured before."""

import json
import pathlib

import pytest

from lamina.flows.backend.generate import generate
from lamina.flows.backend.synth import synthesise
from lamina.flows.designs import TARGETS

BASELINES = pathlib.Path(__file__).parents[1] / "baselines"


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", TARGETS)
def test_synthesis_is_within_5_percent_of_the_baseline(name, tmp_path):
    target = TARGETS[name]
    generate(target.config, target, tmp_path / "design")
    result = synthesise(tmp_path / "design", target, tmp_path / "synth")
    baseline = json.loads((BASELINES / f"{name}.json").read_text())
    measured = {key: result[key] for key in baseline}
    assert set(baseline) == {"luts", "ffs", "brams", "sprams", "dsps", "fmax_mhz"}
    assert measured == pytest.approx(baseline, rel=0.05)
    assert measured["fmax_mhz"] >= target.core_mhz
