"""Folders of recordings: layouts, splits, labels, refusals."""

import numpy as np
import pytest

from lamina.flows.frontend.data import Binning, load_data

BINS = Binning(bins=4)


def recording(x):
    """A file of one event in column `x`."""
    return bytes((x, 0, 0, 0, 9))


@pytest.fixture
def tree(tmp_path):
    """Function ``tree({path: content}) -> tmp_path``."""
    def make(files):
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path
    return make


def columns(data):
    """Column of the one spike of every sample."""
    return [int(np.flatnonzero(sample)[0]) % 34 for sample in data.spikes[:len(data)]]


def test_nmnist_by_lists(tree):
    folder = tree({"test2.txt": "#sample #class\n7 4\n\n5 1\n", "train.txt": "5 1\n",
                   "bin/7.bin": recording(7), "bin/5.bin": recording(5)})
    data = load_data(f"nmnist:{folder}")
    assert data.labels.tolist() == [4, 1] and columns(data) == [7, 5] and data.timesteps == 310
    assert load_data(f"nmnist:{folder}", split="train").labels.tolist() == [1]


def test_nmnist_by_folders(tree):
    folder = tree({f"Test/{label}/{n}.bin": recording(label) for label in range(10)
                   for n in range(1 + label % 2)} | {"Train/3/1.bin": recording(3)})
    data = load_data(f"nmnist:{folder}", binning=Binning(seconds=0.01))
    assert data.labels.tolist() == [*range(10), *range(1, 10, 2)]
    assert columns(data) == data.labels.tolist() and data.timesteps == 31
    assert load_data(f"nmnist:{folder}", split="train").labels.tolist() == [3]


def test_classes_take_turns_and_are_numbered_by_name(tree):
    folder = tree({"set/cat/a.bin": recording(1), "set/cat/b.bin": recording(2),
                   "set/ant/z.bin": recording(3), "set/cat/note.txt": b"no recording"})
    data = load_data(f"events:{folder / 'set'}", binning=BINS)
    assert data.labels.tolist() == [0, 1, 1] and columns(data) == [3, 1, 2]
    np.testing.assert_array_equal(
        load_data(f"events:{folder / 'set'}", split="train", binning=BINS).labels, data.labels)


def test_classes_that_are_numbers_keep_them(tree):
    folder = tree({"set/10/a.bin": recording(1), "set/9/a.bin": recording(2)})
    assert load_data(f"events:{folder / 'set'}", binning=BINS).labels.tolist() == [9, 10]


@pytest.mark.parametrize("test", ["test", "Test", "testing"])
def test_splits_are_folders_where_there_are(tree, test):
    folder = tree({f"{test}/0/a.bin": recording(1), "train/1/a.bin": recording(2)})
    assert columns(load_data(f"events:{folder}", binning=BINS)) == [1]
    assert columns(load_data(f"events:{folder}", split="train", binning=BINS)) == [2]


def test_flat_files_have_a_table(tree):
    folder = tree({"a.bin": recording(1), "sub/b.bin": recording(2),
                   "labels.csv": "file,label\nsub/b.bin,3\na.bin,0\n"})
    data = load_data(f"events:{folder}", binning=BINS)
    assert data.labels.tolist() == [3, 0] and columns(data) == [2, 1]


def test_tables_can_split(tree):
    folder = tree({"a.bin": recording(1), "b.bin": recording(2),
                   "test.csv": "file,label\nb.bin,1\n", "train.csv": "file,label\na.bin,0\n"})
    assert columns(load_data(f"events:{folder}", binning=BINS)) == [2]
    assert columns(load_data(f"events:{folder}", split="train", binning=BINS)) == [1]


TABLE = "must be a CSV table with the columns file and label"


@pytest.mark.parametrize(("files", "message"), [
    ({"labels.csv": "name,label\na,0\n"}, f"labels.csv: {TABLE}"),
    ({"labels.csv": "file,label\n"}, f"labels.csv: {TABLE}"),
    ({"labels.csv": b"file,label\n\xff,0\n"}, f"labels.csv: {TABLE}"),
    ({"labels.csv": "file,label\na.bin,one\n"}, "labels.csv: line 2 must be a file and a label "
                                                "from 0, not 'a.bin' and 'one'"),
])
def test_broken_tables_are_refused(tree, refused, files, message):
    folder = tree(files)
    with refused(f"{folder}/{message}"):
        load_data(f"events:{folder}", binning=BINS)


def test_missing_folders_are_told(tmp_path, refused):
    with refused(f"--data events:{tmp_path / 'x'}: {tmp_path / 'x'} is no folder"):
        load_data(f"events:{tmp_path / 'x'}", binning=BINS)
    with refused(f"{tmp_path}: must hold a folder for each class with recordings "
                 f"(.bin, .aedat, .aedat4, .dat, .raw)"):
        load_data(f"events:{tmp_path}", binning=BINS)
    with refused(f"N-MNIST not found in {tmp_path}: expected Test/0..9/*.bin, or one test*.txt and "
                 f"bin/ID.bin"):
        load_data(f"nmnist:{tmp_path}")


def test_missing_recordings_are_counted(tree, refused):
    folder = tree({"test.txt": "1 0\n2 1\n3 0\n", "bin/1.bin": recording(1)})
    with refused(f"--data nmnist:{folder}: 2 of 3 recordings are missing, the first one is "
                 f"{folder}/bin/2.bin"):
        load_data(f"nmnist:{folder}")


@pytest.mark.parametrize(("text", "message"), [
    ("# nothing\n", "names no samples"),
    ("1 0\n2\n", "line 2 must be a sample and a class, not '2'"),
    ("1 -1\n", "line 1 must be a sample and a class, not '1 -1'")])
def test_broken_lists_are_refused(tree, refused, text, message):
    folder = tree({"test.txt": text})
    with refused(f"{folder}/test.txt: {message}"):
        load_data(f"nmnist:{folder}")


def test_timesteps_must_be_said(tree, refused):
    folder = tree({"set/0/a.bin": recording(1) + bytes((0, 0, 0, 20, 0))})
    spec = f"events:{folder / 'set'}"
    with refused(f"--data {spec}: --bins N must say the timesteps of a recording, with --bin "
                 f"SECONDS their width"):
        load_data(spec)
    with refused(f"--data {spec}: --bins N must say the timesteps of a recording; the first one "
                 f"fills 6"):
        load_data(spec, binning=Binning(seconds=1e-3))
