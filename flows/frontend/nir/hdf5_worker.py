"""Reads HDF5 in a process of its own: on a broken file the HDF5 library may crash or never end."""

from __future__ import annotations

import atexit
import pathlib
import pickle
import signal
import subprocess
import sys
import threading

import h5py
from nir.serialization import hdf2dict

__all__ = ["read_tree"]

TIME_LIMIT_SECONDS = 10.0
_SLOWEST_BYTES_PER_SECOND = 4 << 20
_LARGEST_ARRAY_BYTES = 1 << 32
_BEST_COMPRESSION = 1100  # deflate reaches 1032
_LENGTH_BYTES = 8


class _Worker:
    """A child process that reads one file after the other; it ends with its parent."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lamina.flows.frontend.nir.hdf5_worker"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def ask(self, path: pathlib.Path) -> bytes | None:
        """The pickled answer; None if the child crashed or had to be stopped."""
        seconds = TIME_LIMIT_SECONDS + path.stat().st_size / _SLOWEST_BYTES_PER_SECOND
        timer = threading.Timer(seconds, self._process.kill)
        timer.start()
        try:
            self._process.stdin.write(pickle.dumps(str(path.resolve())))
            self._process.stdin.flush()
            length = int.from_bytes(self._process.stdout.read(_LENGTH_BYTES), "little")
            answer = self._process.stdout.read(length)
        except OSError:
            return None
        finally:
            timer.cancel()
        return answer if answer and len(answer) == length else None

    @property
    def alive(self) -> bool:
        """Whether the child still runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """Stop the child and free its pipes."""
        self._process.kill()
        self._process.communicate()


_lock = threading.Lock()
_idle: list[_Worker] = []


def _take() -> _Worker:
    """A worker that nobody else uses."""
    with _lock:
        while _idle:
            worker = _idle.pop()
            if worker.alive:
                return worker
            worker.close()
    return _Worker()


@atexit.register
def _close_all() -> None:
    while _idle:
        _idle.pop().close()


def read_tree(path: pathlib.Path, group: str) -> dict | None:
    """Content of `group` in the HDF5 file `path` as nested dictionaries of arrays and text.

    A worker process is started by the first call (a fraction of a second) and kept for later ones.

    Parameters
    ----------
    path : pathlib.Path
    group : str

    Returns
    -------
    dict or None
        None if there is no such group.

    Raises
    ------
    ValueError
        With the reason if the HDF5 library fails, crashes or takes over 10 s and a quarter of a
        second for each MiB, or if an array claims to be larger than the file can hold.
    """
    worker = _take()
    answer = worker.ask(path)
    if answer is None:
        worker.close()
        raise ValueError("the HDF5 library cannot cope with it")
    with _lock:
        _idle.append(worker)
    tree, reason = pickle.loads(answer)
    if reason is not None:
        raise ValueError(reason)
    return tree.get(group)


def _check_sizes(file: h5py.File, file_bytes: int) -> None:
    """Refuse arrays that no such file can hold, before memory is spent on them."""
    limit = min(_LARGEST_ARRAY_BYTES, _BEST_COMPRESSION * file_bytes)

    def check(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.nbytes > limit:
            raise ValueError(f"{name} claims {item.nbytes} bytes")

    file.visititems(check)


def _answer(path: pathlib.Path) -> tuple[dict | None, str | None]:
    try:
        with h5py.File(path, "r") as file:
            _check_sizes(file, path.stat().st_size)
            return hdf2dict(file), None
    except Exception as error:  # whatever the library makes of a broken file
        return None, " ".join(str(error).split())[:100] or type(error).__name__


def _serve() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            path = pathlib.Path(pickle.load(sys.stdin.buffer))
        except EOFError:
            return
        answer = pickle.dumps(_answer(path))
        sys.stdout.buffer.write(len(answer).to_bytes(_LENGTH_BYTES, "little") + answer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    _serve()
