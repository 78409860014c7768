"""The thread count of BLAS inside and after its block."""

from __future__ import annotations

import threading

import pytest

from lamina.models import blas


@pytest.fixture(name="threads")
def fake_threads(monkeypatch):
    """Stand in for OpenBLAS with a list whose only entry is the thread count."""
    count = [4]
    controls = (lambda: count[0], lambda value: count.__setitem__(0, value))
    monkeypatch.setattr(blas, "_controls", lambda: controls)
    return count


def test_one_thread_inside_and_the_old_count_after(threads):
    with blas.single_threaded():
        assert threads == [1]
        with blas.single_threaded():
            assert threads == [1]
        assert threads == [1]
    assert threads == [4]


def test_an_error_restores_the_count(threads):
    with pytest.raises(KeyError, match=r"^'x'$"), blas.single_threaded():
        raise KeyError("x")
    assert threads == [4]


def test_the_last_of_overlapping_blocks_restores(threads):
    entered, leave = threading.Event(), threading.Event()

    def other():
        with blas.single_threaded():
            entered.set()
            leave.wait()

    thread = threading.Thread(target=other)
    with blas.single_threaded():
        thread.start()
        entered.wait()
    assert threads == [1]
    leave.set()
    thread.join()
    assert threads == [4]


def test_other_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(blas, "_controls", lambda: None)
    with blas.single_threaded():
        pass
    assert blas._active == 0


def test_the_real_library_is_found_or_absent():
    controls = blas._controls()
    before = controls and controls[0]()
    with blas.single_threaded():
        assert controls is None or controls[0]() == 1
    assert controls is None or controls[0]() == before
