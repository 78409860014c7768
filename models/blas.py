"""One thread per matrix product, so that threads over samples do not fight BLAS' own."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import threading
from collections.abc import Iterator

import numpy as np

__all__ = ["single_threaded"]

_PREFIXES = ("scipy_openblas", "openblas")
_SUFFIXES = ("64_", "")
_lock = threading.Lock()
_active = 0
_saved = 0


@functools.cache
def _controls():
    """Getter and setter of OpenBLAS' thread count, or None where NumPy uses another BLAS."""
    library = ctypes.CDLL(np._core._multiarray_umath.__file__)
    for prefix in _PREFIXES:
        for suffix in _SUFFIXES:
            with contextlib.suppress(AttributeError):
                return (getattr(library, f"{prefix}_get_num_threads{suffix}"),
                        getattr(library, f"{prefix}_set_num_threads{suffix}"))
    return None


@contextlib.contextmanager
def single_threaded() -> Iterator[None]:
    """Run OpenBLAS with one thread inside the block, process-wide; other BLASes are left alone.

    Blocks may nest and overlap between threads; the last one to end restores the thread count.
    """
    global _active, _saved
    controls = _controls()
    if controls is None:
        yield
        return
    get_threads, set_threads = controls
    with _lock:
        if _active == 0:
            _saved = get_threads()
            set_threads(1)
        _active += 1
    try:
        yield
    finally:
        with _lock:
            _active -= 1
            if _active == 0:
                set_threads(_saved)
