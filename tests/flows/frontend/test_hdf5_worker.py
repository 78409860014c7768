import os

import h5py
import numpy as np
import pytest

from lamina.flows.frontend.nir import hdf5_worker
from lamina.flows.frontend.nir.hdf5_worker import read_tree


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        handle["node/x"] = np.arange(3)
        handle["node/inner/text"] = "hello"
    return tmp_path / "a.h5"


def check(tree):
    assert tree["x"].tolist() == [0, 1, 2] and tree["inner"] == {"text": "hello"}


def test_groups_become_dictionaries(file):
    check(read_tree(file, "node"))
    assert read_tree(file, "edges") is None


def test_a_worker_is_kept(file):
    read_tree(file, "node")
    workers = list(hdf5_worker._idle)
    read_tree(file, "node")
    assert hdf5_worker._idle == workers and len(workers) == 1


def test_a_worker_that_died_is_replaced(file):
    read_tree(file, "node")
    hdf5_worker._idle[-1]._process.kill()
    hdf5_worker._idle[-1]._process.wait()
    check(read_tree(file, "node"))


def test_a_worker_that_hangs_is_stopped(file, tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")  # opening it waits for a writer, forever
    monkeypatch.setattr(hdf5_worker, "TIME_LIMIT_SECONDS", 0.5)
    with pytest.raises(ValueError, match=r"^the HDF5 library cannot cope with it$"):
        read_tree(tmp_path / "pipe", "node")
    monkeypatch.undo()
    check(read_tree(file, "node"))


def test_reasons_of_the_library_are_handed_on(tmp_path):
    path = tmp_path / "text.h5"
    path.write_text("hello")
    with pytest.raises(ValueError, match=r"^Unable to synchronously open file \(file signature "
                                         r"not found\)$"):
        read_tree(path, "node")


def test_workers_are_closed_at_exit(file):
    read_tree(file, "node")
    process = hdf5_worker._idle[-1]._process
    hdf5_worker._close_all()
    assert process.poll() is not None and hdf5_worker._idle == []
