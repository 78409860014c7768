"""Recordings through the command line: every executor sees the same frames; mistakes are a line."""

import json

import numpy as np
import pytest

from lamina.flows import cli
from lamina.flows.frontend.data import Binning, load_data
from lamina.models.program import Program


@pytest.fixture
def recordings(tmp_path):
    """``--data`` of 12 recordings of 60 events in 3 columns and one row, three classes."""
    rng = np.random.default_rng(11)
    for label in range(3):
        folder = tmp_path / "set" / str(label)
        folder.mkdir(parents=True)
        for n in range(4):
            t = np.sort(rng.integers(0, 8000, 60))
            (folder / f"{n}.bin").write_bytes(b"".join(
                bytes((int(x), 0, int(p) << 7, int(us) >> 8, int(us) & 255))
                for x, p, us in zip(rng.integers(0, 3, 60), rng.integers(0, 2, 60), t,
                                    strict=True)))
    return f"events:{tmp_path / 'set'}"


def run(capsys, *arguments):
    status = cli.main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    assert status == 0, printed.err
    return json.loads(printed.out)


OPTIONS = ("--bin", "0.001", "--bins", "8", "--crop", "3x1+0+0")


@pytest.mark.parametrize(("counts", "copies"), [("clip", 1), ("repeat", 9)])
def test_executors_see_the_same_frames(small_net, recordings, tmp_path, capsys, counts, copies):
    spikes = {}
    for on in ("float", "golden"):
        out = tmp_path / f"{on}.npz"
        result = run(capsys, "run", small_net, "--data", recordings, *OPTIONS, "--counts", counts,
                     "--max-count", 9, "--on", on, "-o", out, "--json", "--weight-bits", 16)
        assert result["samples"] == 12 and result["accuracy"] is not None
        with np.load(out) as arrays:
            spikes[on] = arrays["spikes"]
    assert spikes["golden"].any() and spikes["golden"].shape == (12, 8, 3)
    assert (spikes["float"] != spikes["golden"]).mean() < 0.02


def test_a_program_remembers_how_frames_were_made(small_net, recordings, tmp_path, capsys):
    out = tmp_path / "out"
    made = run(capsys, "compile", small_net, "--data", recordings, *OPTIONS, "--counts", "repeat",
               "--max-count", 9, "-o", out, "--json")
    program = json.loads((out / "program" / "program.json").read_text())
    assert program["input_shape"] == [9, 6]
    assert program["assumptions"]["binning"] == "8 of 0.001 s, later events in the last one"
    assert program["assumptions"]["frames"] == ("polarities off, on; 3x1 pixels; cut out at "
                                                "3x1+0+0")
    assert program["assumptions"]["input"] == "9 copies of each axon"
    weights = Program.load(out / "program").layers[0].weights.reshape(9, 6, 5)
    assert weights.any() and (weights == weights[0]).all()
    again = run(capsys, "run", out, "--on", "golden", "-o", tmp_path / "again.npz", "--json")
    assert again["accuracy"] == made["golden"]["accuracy"]


def test_other_data_take_no_binning_over(small_net, recordings, tmp_path, capsys):
    out, other = tmp_path / "out", tmp_path / "other.npz"
    run(capsys, "compile", small_net, "--data", recordings, *OPTIONS, "--counts", "clip",
        "-o", out, "--json")
    data = load_data(recordings, counts="clip",
                     binning=Binning(seconds=1e-3, bins=8, crop="3x1+0+0"))
    np.savez(other, spikes=data.spikes[:5], labels=data.labels[:5])
    result = run(capsys, "run", out, "--data", other, "-o", tmp_path / "other_trace.npz", "--json")
    assert result["samples"] == 5 and result["output_spikes"] > 0


@pytest.mark.parametrize(("extra", "message"), [
    (("--bin", "0.001"), "--bins N must say the timesteps of a recording; the first one fills 8"),
    (("--bins", "8"), "frames have 2312 axons, shape (2, 34, 34); the network has 6, shape (6,)"),
    (OPTIONS, "spikes must be 0 or 1, the largest count is"),
    ((*OPTIONS, "--counts", "repeat", "--max-count", "2"),
     "counts must be at most 2 under --counts repeat, the largest is"),
    ((*OPTIONS, "--max-count", "1"), "--max-count must be in 2..255, not 1"),
    ((*OPTIONS, "--sensor", "wide"), "--sensor must be WxH in pixels, not wide"),
    (("--bin", "nan"), "must be a positive number of seconds, not nan"),
    (("--bins", "0"), "must be a positive integer, not 0"),
    ((*OPTIONS, "--encoder", "delta:-1"), "--encoder must be delta:STEP, above 0, not delta:-1"),
])
def test_a_mistake_is_one_line_and_leaves_nothing(small_net, recordings, tmp_path, capsys, extra,
                                                  message):
    out = tmp_path / "out"
    try:
        status = cli.main(["compile", str(small_net), "--data", recordings, *extra, "-o", str(out)])
    except SystemExit as error:
        status = error.code
    lines = [line for line in capsys.readouterr().err.splitlines()
             if not line.startswith("compiling ")]
    assert status == 2 and len(lines) == 1 and message in lines[0]
    assert not out.exists()
