"""Recordings: every file format from bytes, frames against a reference, refusals."""

import itertools
import pathlib
import re
import struct
import sys

import numpy as np
import pytest

from lamina.flows.errors import UserError
from lamina.flows.frontend.data import Binning, axons, load_data, play, read_events
from lamina.flows.frontend.data.recording import EVENT, read_recording

SHARED = pathlib.Path(__file__).parents[4] / "shared" / "data"
NMNIST, SAMPLES = SHARED / "nmnist", SHARED / "events"
EVENTS = [(5, 1, 0, 0), (10, 2, 3, 1), (900, 2, 3, 1), (900, 33, 0, 0), (2600, 7, 33, 1)]
"""Time [us], column, row, polarity; the last row is 33."""
needs_nmnist = pytest.mark.skipif(not NMNIST.is_dir(), reason=f"{NMNIST} is not there")
needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"{SAMPLES} is not there")


def atis(events=EVENTS):
    return b"".join(bytes((x, y, p << 7 | t >> 16, t >> 8 & 255, t & 255)) for t, x, y, p in events)


def aedat2(chip, addresses):
    header = b"#!AER-DAT2.0\r\n# AEChip: " + chip + b"\r\n"
    return header + b"".join(struct.pack(">II", address, t) for t, address in addresses)


def dat(events=EVENTS, header=b"% Data file\n% Version 2\n% Height 40\n% Width 50\n"):
    words = (struct.pack("<II", t, x | y << 14 | p << 28) for t, x, y, p in events)
    return header + bytes((0, 8)) + b"".join(words)


def evt2(events=EVENTS, header=b"% evt 2.0\n% geometry 50x40\n"):
    words = []
    for t, x, y, p in events:
        words += [8 << 28 | t >> 6, p << 28 | (t & 63) << 22 | x << 11 | y]
    return header + struct.pack(f"<{len(words)}I", *words)


def evt3(events=EVENTS, header=b"% format EVT3;height=40;width=50\n% end\n"):
    words = []
    for t, x, y, p in events:
        words += [0x8000 | t >> 12, 0x6000 | t & 0xFFF, y, 0x2000 | p << 11 | x]
    return header + struct.pack(f"<{len(words)}H", *words)


@pytest.fixture
def write(tmp_path):
    """Function ``write(name, content) -> Path``; folders are made."""
    def make(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path
    return make


@pytest.fixture
def one(write, tmp_path):
    """Function ``one(events) -> str``: the ``--data`` of a set that is one recording."""
    def make(events=EVENTS):
        write("set/3/a.bin", atis(events))
        return f"events:{tmp_path / 'set'}"
    return make


@needs_nmnist
def test_nmnist_equals_the_reference_frames():
    data = load_data(f"nmnist:{NMNIST}", counts="clip")
    with np.load(NMNIST / "nmnist_test100_1ms.npz") as reference:
        shape, labels = reference["shape"], reference["labels"]
        wanted = np.unpackbits(reference["packed"], axis=1)[:, :np.prod(shape[1:])]
    assert data.shape == (2, 34, 34) and data.timesteps == 310 and len(data) == 100
    np.testing.assert_array_equal(data.labels, labels)
    got = data.spikes[:100]
    assert got.sum() > 300_000
    np.testing.assert_array_equal(got.reshape(100, -1), wanted)


@needs_nmnist
def test_nmnist_has_its_training_split():
    data = load_data(f"nmnist:{NMNIST}", split="train")
    assert len(data) == 1000 and np.bincount(data.labels).min() > 50


@needs_nmnist
def test_any_slice_is_the_same():
    data = load_data(f"nmnist:{NMNIST}", counts="clip", binning=Binning(bins=20))
    whole = data.spikes[:6]
    assert whole.any() and len(data.spikes[98:200]) == 2
    np.testing.assert_array_equal(data.spikes[2:5], whole[2:5])


@needs_samples
def test_a_real_davis_recording_is_read():
    pytest.importorskip("aedat")
    recording = read_recording(SAMPLES / "tonic_sample.aedat4")
    assert len(recording.events) == 111954 and recording.sensor == (240, 320)
    assert recording.events[0].tolist() == (1605537493718345, 154, 204, 0)
    assert recording.events[-1].tolist() == (1605537494308262, 88, 237, 1)


def test_atis_events_have_an_overflow_record(write):
    events = [(8000, 1, 0, 0), (100, 0, 240, 0), (200, 2, 1, 1), (0, 0, 240, 1), (300, 3, 2, 0)]
    path = write("a.bin", atis(events))
    assert read_events(path).tolist() == [(8000, 1, 0, 0), (8392, 2, 1, 1), (16684, 3, 2, 0)]
    assert read_recording(path).sensor == (34, 34)


def test_the_time_of_atis_has_23_bits(write):
    assert read_events(write("a.bin", atis([(0x7FFFFF, 33, 33, 1)]))).tolist() == [
        (0x7FFFFF, 33, 33, 1)]


def test_aedat2_of_a_dvs128_counts_rows_from_below(write):
    addresses = [(7, 3 << 1 | 1), (9, 127 << 8 | 127 << 1), (12, 1 << 15 | 5), (13, 2 << 8)]
    recording = read_recording(write("a.aedat", aedat2(b"DVS128", addresses)))
    assert recording.events.tolist() == [(7, 3, 127, 1), (9, 127, 0, 0), (13, 0, 125, 0)]
    assert recording.sensor == (128, 128) and recording.origin is None


@pytest.mark.parametrize(("chip", "sensor"), [(b"Davis240C", (180, 240)),
                                              (b"Davis346mini", (260, 346))])
def test_aedat2_of_a_davis_holds_more_than_pixels(write, chip, sensor):
    addresses = [(7, 1 << 11 | 20 << 12 | 35 << 22), (8, 1 << 31), (9, 1 << 10),
                 (10, 511 << 22)]
    recording = read_recording(write("a.aedat", aedat2(chip, addresses)))
    assert recording.sensor == sensor
    assert recording.events[0].tolist() == (7, 20, sensor[0] - 36, 1)
    assert len(recording.events) == 2 and recording.events[1]["y"] > sensor[0]


def test_events_that_begin_like_a_header_line_are_events(write):
    content = aedat2(b"Davis240C", [(7, 0x23000000), (0x0A0D, 0x23000000)])
    assert read_events(write("a.aedat", content))["t"].tolist() == [7, 0x0A0D]


@pytest.mark.parametrize(("name", "content", "sensor"), [
    ("a.dat", dat(), (40, 50)), ("a.raw", evt2(), (40, 50)), ("b.raw", evt3(), (40, 50)),
    ("c.raw", evt3(header=b"% evt 3.0\n"), None)], ids=["DAT", "EVT2", "EVT3", "EVT3 alone"])
def test_prophesee_files_are_read(write, name, content, sensor):
    pytest.importorskip("expelliarmus")
    recording = read_recording(write(name, content))
    assert recording.events.tolist() == EVENTS and recording.events.dtype == EVENT
    assert recording.sensor == sensor


FORMATS = [
    ("a.txt", b"x", "recordings must be .bin, .aedat, .aedat4, .dat, .raw, not '.txt'"),
    ("a.bin", b"", "holds no events"),
    ("a.bin", atis()[:-2], "truncated: 23 bytes are not a whole number of 5-byte events"),
    ("a.bin", atis([(0, 0, 240, 0)]), "holds no events"),
    ("a.aedat", b"#!AER-DAT3.1\r\n", "must begin with #!AER-DAT2.0 (AEDAT 2); AEDAT 4 files are "
                                     "called .aedat4, AEDAT 3 is not read"),
    ("a.aedat", aedat2(b"DVS128", [(1, 2)])[:-1], "truncated: 7 bytes after its header are not a "
                                                  "whole number of 8-byte events"),
    ("a.aedat", aedat2(b"Davis640", [(1, 2)]), "AEDAT 2 addresses must be of a DVS128, DAVIS240 "
                                               "or DAVIS346, not of a Davis640"),
    ("a.aedat4", b"", "damaged or truncated AEDAT 4 file: failed to fill whole buffer"),
    ("a.raw", b"\x00\x00", "must begin with a header of lines after %"),
    ("a.raw", b"% Date\n\x00\x00", "its header must say evt 2.0, evt 3.0 or format EVT2 or EVT3"),
    ("a.raw", evt2()[:-1], "truncated: 39 bytes after its header are not a whole number of 4-byte "
                           "words"),
    ("a.dat", dat()[:-3], "truncated: 37 bytes after its header are not a whole number of 8-byte "
                          "words"),
    ("a.raw", evt3([]), "holds no events"),
    ("a.dat", dat([]), "holds no events"),
    ("a.raw", evt2(header=b"% evt 2.0\n") + b"\x00\x00\x00\xc0",
     "not a EVT2 recording, or damaged"),
]


@pytest.mark.parametrize(("name", "content", "message"), FORMATS,
                         ids=[f"{name}: {message}" for name, _, message in FORMATS])
def test_broken_recordings_are_refused(write, refused, capfd, name, content, message):
    pytest.importorskip("aedat")
    pytest.importorskip("expelliarmus")
    path = write(name, content)
    with refused(f"{path}: {message}"):
        read_events(path)
    assert capfd.readouterr() == ("", "")


@needs_samples
def test_a_truncated_aedat4_file_is_refused(write):
    pytest.importorskip("aedat")
    path = write("a.aedat4", (SAMPLES / "tonic_sample.aedat4").read_bytes()[:400_000])
    with pytest.raises(UserError, match=f"^{path}: damaged or truncated AEDAT 4 file: [ -~]+$"):
        read_events(path)


def test_a_missing_file_is_told(tmp_path, refused):
    with refused(f"{tmp_path / 'a.bin'}: no such file"):
        read_events(tmp_path / "a.bin")


@pytest.mark.parametrize(("name", "content", "package"), [
    ("a.aedat4", b"", "aedat"), ("a.raw", evt3(), "expelliarmus")])
def test_a_missing_package_is_told(write, refused, monkeypatch, name, content, package):
    path = write(name, content)
    monkeypatch.setitem(sys.modules, package, None)
    with refused(f"{path}: reading {path.suffix} files needs the Python package {package}: "
                 f"pip install 'lamina[events]'"):
        read_events(path)


def spikes_of(spec, *, counts="refuse", **fields):
    """``(timestep, plane, row, column)`` of the spikes of sample 0, and the data set."""
    data = load_data(spec, counts=counts, binning=Binning(**fields))
    frames = data.spikes[:1]
    return np.argwhere(frames.reshape(data.timesteps, *data.shape)).tolist(), data


def test_bins_of_a_width_count_from_the_origin(one):
    found, data = spikes_of(one(), seconds=1e-3, bins=2, counts="clip")
    assert found == [[0, 0, 0, 1], [0, 0, 0, 33], [0, 1, 3, 2], [1, 1, 33, 7]]
    assert data.labels.tolist() == [3] and data.shape == (2, 34, 34)
    assert data.record == {"binning": "2 of 0.001 s, later events in the last one",
                           "frames": "polarities off, on; 34x34 pixels"}


def test_a_boundary_belongs_to_the_later_bin(one):
    found, _ = spikes_of(one([(999, 0, 0, 0), (1000, 1, 0, 0), (9999, 2, 0, 0)]), seconds=1e-3,
                         bins=4)
    assert found == [[0, 0, 0, 0], [1, 0, 0, 1], [3, 0, 0, 2]]


def test_equal_parts_end_with_the_last_event(one):
    found, data = spikes_of(one([(0, 0, 0, 0), (49, 1, 0, 0), (50, 2, 0, 0), (99, 3, 0, 0)]),
                            bins=2)
    assert found == [[0, 0, 0, 0], [0, 0, 0, 1], [1, 0, 0, 2], [1, 0, 0, 3]]
    assert data.record["binning"] == "2 equal parts of each recording"


def test_other_clocks_count_from_the_first_event(write, tmp_path):
    for name, t in (("a", 0), ("b", 10**6)):
        write(f"set/0/{name}.aedat", aedat2(b"DVS128", [(t + 5, 0), (t + 1005, 2)]))
    data = load_data(f"events:{tmp_path / 'set'}", binning=Binning(seconds=1e-3, bins=3))
    spikes = data.spikes[:2]
    assert spikes.sum(axis=2).tolist() == [[1, 1, 0]] * 2
    np.testing.assert_array_equal(spikes[0], spikes[1])


def test_crop_downsample_and_merge(one):
    found, data = spikes_of(one(), seconds=1e-3, bins=3, crop="6x4+1+0", downsample=2,
                            polarity="merge", counts="clip")
    assert data.shape == (1, 2, 3)
    assert found == [[0, 0, 0, 0], [0, 0, 1, 0]]
    assert data.record["frames"] == ("polarities merged; 3x2 pixels; cut out at 6x4+1+0; "
                                     "2 to one each way")


def test_counts_are_refused_clipped_or_repeated(one, tmp_path, refused):
    spec, path = one(), tmp_path / "set" / "3" / "a.bin"
    options = {"binning": Binning(seconds=1e-3, bins=3)}
    with refused(f"{path}: spikes must be 0 or 1, the largest count is 2; use --counts clip, or "
                 f"--counts repeat"):
        _ = load_data(spec, **options).spikes[:1]
    assert load_data(spec, counts="clip", **options).spikes[:1].sum() == 4
    data = load_data(spec, counts="repeat", max_count=3, **options)
    assert data.spikes.shape == (1, 3, 3 * 2312) == (1, data.timesteps, data.axons)
    spikes = data.spikes[:1].reshape(3, 3, 2312)
    assert spikes.sum(axis=2).tolist() == [[3, 1, 0], [0, 0, 0], [1, 0, 0]]
    assert (spikes[0, 1] <= spikes[0, 0]).all()
    many = one([(0, 0, 0, 0)] * 5)
    with refused(f"{path}: counts must be at most 3 under --counts repeat, the largest is 5; use "
                 f"a larger --max-count, or clip"):
        _ = load_data(many, counts="repeat", max_count=3, **options).spikes[:1]


INVALID = [(5, 1, 0, 0), (900, 2, 3, 1), (800, 2, 3, 1), (850, 3, 3, 1), (900, 34, 0, 0),
           (2600, 7, 33, 1)]


def test_invalid_events_are_counted_or_dropped(one, tmp_path, refused):
    path = tmp_path / "set" / "3" / "a.bin"
    with refused(f"{path}: 2 of 6 events run backwards in time and 1 lie outside the 34x34 "
                 f"sensor; use --drop-invalid"):
        spikes_of(one(INVALID), bins=3, seconds=1e-3)
    found, data = spikes_of(one(INVALID), bins=3, seconds=1e-3, drop_invalid=True)
    assert found == [[0, 0, 0, 1], [0, 1, 3, 2], [2, 1, 33, 7]]
    assert data.record["frames"].endswith("; invalid events dropped")
    with refused(f"{path}: none of its 1 events lies within the 34x34 sensor"):
        spikes_of(one([(0, 34, 0, 0)]), bins=3, drop_invalid=True)


def test_the_sensor_must_be_known_and_the_same(write, tmp_path, refused):
    pytest.importorskip("expelliarmus")
    path, spec = write("set/a/a.raw", evt3(header=b"% evt 3.0\n")), f"events:{tmp_path / 'set'}"
    with refused(f"{path}: does not say the size of its sensor; use --sensor WxH"):
        spikes_of(spec, bins=2)
    assert spikes_of(spec, bins=2, sensor="40x36", counts="clip")[1].shape == (2, 36, 40)
    path.unlink()
    write("set/a/a.raw", evt3())
    other = write("set/a/b.bin", atis())
    data = load_data(spec, counts="clip", binning=Binning(bins=2))
    with refused(f"{other}: its sensor has 34x34 pixels, the one of a.raw 50x40; use --sensor WxH"):
        _ = data.spikes[:2]


def test_players_give_time_and_axon_in_order(write):
    path = write("a.bin", atis())
    wanted = [(5, 1), (10, 1156 + 3 * 34 + 2), (900, 1156 + 3 * 34 + 2), (900, 33),
              (2600, 1156 + 33 * 34 + 7)]
    assert list(play(path)) == wanted
    assert [axon for _, axon in wanted] == axons(read_events(path), (2, 34, 34)).tolist()
    assert list(play(path, Binning(crop="2x4+1+0", polarity="merge"))) == [(5, 0), (10, 7),
                                                                          (900, 7)]
    assert all(before <= after for before, after in itertools.pairwise(t for t, _ in play(path)))


def test_players_refuse_invalid_events(write, refused):
    path = write("a.bin", atis(INVALID))
    with refused(f"{path}: 2 of 6 events run backwards in time and 1 lie outside the 34x34 "
                 f"sensor; use --drop-invalid"):
        list(play(path))
    assert len(list(play(path, Binning(drop_invalid=True)))) == 3


def test_axons_outside_are_counted(refused, write):
    with refused("events must lie within 20x10, 2 of 5 do not"):
        axons(read_events(write("a.bin", atis())), (2, 10, 20))


@pytest.mark.parametrize(("fields", "message"), [
    ({"seconds": 1e-7}, "--bin must be a whole number of microseconds from 1e-06, not 1e-07"),
    ({"seconds": 1.5e-6}, "--bin must be a whole number of microseconds from 1e-06, not 1.5e-06"),
    ({"bins": 0}, "--bins must be in 1..65535, not 0"),
    ({"downsample": 0}, "--downsample must be in 1..4096, not 0"),
    ({"polarity": "on"}, "--polarity must be one of both, merge, not 'on'"),
    ({"sensor": "34"}, "--sensor must be WxH in pixels, not 34"),
    ({"sensor": "0x3"}, "--sensor must be WxH in pixels, not 0x3"),
    ({"crop": "3x3"}, "--crop must be WxH+X+Y in pixels, not 3x3"),
])
def test_bad_options_are_refused(refused, fields, message):
    with refused(message):
        Binning(**fields)


def test_a_crop_must_lie_within_the_sensor(one, refused):
    with refused("--crop must lie within the sensor of 34x34 pixels, not 30x4+5+0"):
        spikes_of(one(), bins=2, crop="30x4+5+0")


def test_only_recordings_are_binned(refused):
    with refused("--data digits: is no set of recordings, and takes no options of binning"):
        load_data("digits", binning=Binning(bins=3))


@pytest.mark.parametrize("seed", range(3))
def test_mangled_recordings_never_surprise(write, seed):
    pytest.importorskip("expelliarmus")
    rng = np.random.default_rng(seed)
    whole = {"a.bin": atis(), "a.aedat": aedat2(b"DVS128", [(1, 2), (3, 4)]), "a.dat": dat(),
             "a.raw": evt2(), "b.raw": evt3()}
    told = read = 0
    for name, content in whole.items():
        for _ in range(40):
            mangled = bytearray(content[:rng.integers(len(content) + 1)]
                                if rng.random() < 0.3 else content)
            for place in rng.integers(0, max(1, len(mangled)), 2):
                mangled[place:place + 1] = bytes((int(rng.integers(256)),))
            try:
                assert len(read_events(write(name, bytes(mangled)))) > 0
                read += 1
            except UserError as error:
                assert re.fullmatch(r"[ -~]+", str(error))
                told += 1
    assert told > 20 and read > 20
