"""Readers of the file formats: path to events, sensor and origin.

The sensor is (rows, columns), or None where the file does not say. The origin is the time [us] at
which the sample begins, None for that of the first event.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pathlib
import re
import sys
from collections.abc import Callable, Iterator

import numpy as np

from lamina.flows.errors import UserError

__all__ = ["EVENT", "READERS"]

EVENT = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])
"""Of all recordings: ``t`` [us], column, row, polarity (1: brighter)."""
_ATIS_OVERFLOW_ROW = 240
_ATIS_OVERFLOW_US = 1 << 13
_NMNIST_SENSOR = (34, 34)

Read = tuple[np.ndarray, tuple[int, int] | None, int | None]


def _events(t, x, y, p) -> np.ndarray:
    events = np.empty(len(t), dtype=EVENT)
    events["t"], events["x"], events["y"], events["p"] = t, x, y, p
    return events


def _read_atis(path: pathlib.Path) -> Read:
    """N-MNIST: 5 bytes x, y, polarity in bit 7 and a 23-bit time; row 240 advances the clock."""
    content = path.read_bytes()
    if len(content) % 5:
        raise UserError(f"{path}: truncated: {len(content)} bytes are not a whole number of "
                        f"5-byte events")
    column = np.frombuffer(content, dtype=np.uint8).reshape(-1, 5).T.astype(np.int64)
    t = ((column[2] & 0x7F) << 16) | (column[3] << 8) | column[4]
    overflow = column[1] == _ATIS_OVERFLOW_ROW
    t += _ATIS_OVERFLOW_US * np.cumsum(overflow)
    events = _events(t, column[0], column[1], column[2] >> 7)
    return events[~overflow], _NMNIST_SENSOR, 0


def _body(path: pathlib.Path, mark: bytes) -> tuple[bytes, bytes]:
    """Header lines of text, which begin with `mark`, and what follows them."""
    content = path.read_bytes()
    end = re.match(rb"(?:" + mark + rb"[\t -~]*\r?\n)*", content).end()
    return content[:end], content[end:]


def _read_aedat2(path: pathlib.Path) -> Read:
    """AEDAT 2: pairs of big-endian 32-bit address and time; DVS128 or DAVIS addresses.

    Their row 0 is the lowest, ours the highest; a row below it becomes an address outside.
    """
    header, body = _body(path, b"#")
    if not header.startswith(b"#!AER-DAT2"):
        raise UserError(f"{path}: must begin with #!AER-DAT2.0 (AEDAT 2); AEDAT 4 files are "
                        f"called .aedat4, AEDAT 3 is not read")
    if len(body) % 8:
        raise UserError(f"{path}: truncated: {len(body)} bytes after its header are not a whole "
                        f"number of 8-byte events")
    address, t = np.frombuffer(body, dtype=">u4").reshape(-1, 2).T.astype(np.int64)
    davis = re.search(rb"DAVIS(\d+)", header, flags=re.IGNORECASE)
    if davis is None:
        pixels = address >> 15 == 0
        address, t = address[pixels], t[pixels]
        events = _events(t, address >> 1 & 0x7F, 127 - (address >> 8 & 0x7F), address & 1)
        return events, (128, 128), None
    rows, columns = {b"240": (180, 240), b"346": (260, 346)}.get(davis[1], (None, None))
    if rows is None:
        raise UserError(f"{path}: AEDAT 2 addresses must be of a DVS128, DAVIS240 or DAVIS346, "
                        f"not of a {davis[0].decode()}")
    pixels = address & (1 << 31 | 1 << 10) == 0
    address, t = address[pixels], t[pixels]
    row = rows - 1 - (address >> 22 & 0x1FF)
    events = _events(t, address >> 12 & 0x3FF, row & 0xFFFF, address >> 11 & 1)
    return events, (rows, columns), None


def _package(name: str, path: pathlib.Path):
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise UserError(f"{path}: reading {path.suffix} files needs the Python package {name}: "
                        f"pip install 'lamina[events]'") from None


def _read_aedat4(path: pathlib.Path) -> Read:
    """AEDAT 4 by the package aedat: the packets of its first event stream."""
    package = _package("aedat", path)
    try:
        decoder = package.Decoder(path)
        streams = {number: stream for number, stream in decoder.id_to_stream().items()
                   if stream["type"] == "events"}
        if not streams:
            raise UserError(f"{path}: has no stream of events")
        number, stream = min(streams.items())
        packets = [packet["events"] for packet in decoder if packet["stream_id"] == number]
    except (RuntimeError, ValueError, KeyError) as error:
        raise UserError(f"{path}: damaged or truncated AEDAT 4 file: {error}") from None
    found = np.concatenate(packets) if packets else np.empty(0, dtype=EVENT)
    p = found[found.dtype.names[3]]
    return _events(found["t"], found["x"], found["y"], p), (stream["height"], stream["width"]), None


def _read_prophesee(path: pathlib.Path) -> Read:
    """Prophesee DAT, EVT2 or EVT3 by the package expelliarmus."""
    package = _package("expelliarmus", path)
    header, body = _body(path, b"%")
    encoding, word = _prophesee_encoding(path, header)
    body = body[2:] if encoding == "dat" else body
    if len(body) % word:
        raise UserError(f"{path}: truncated: {len(body)} bytes after its header are not a whole "
                        f"number of {word}-byte words")
    sensor = _prophesee_sensor(header)
    if not body:
        return np.empty(0, dtype=EVENT), sensor, None
    with _silenced():
        found = package.Wizard(encoding=encoding).read(str(path))
    if found is None:
        raise UserError(f"{path}: not a {encoding.upper()} recording, or damaged")
    return _events(found["t"], found["x"], found["y"], found["p"]), sensor, None


def _prophesee_encoding(path: pathlib.Path, header: bytes) -> tuple[str, int]:
    """Encoding and bytes per word."""
    if not header:
        raise UserError(f"{path}: must begin with a header of lines after %")
    if path.suffix.lower() == ".dat":
        return "dat", 8
    match = re.search(rb"% *(?:evt *([23])\.0|format +EVT([23]))", header, flags=re.IGNORECASE)
    if match is None:
        raise UserError(f"{path}: its header must say evt 2.0, evt 3.0 or format EVT2 or EVT3")
    return {b"2": ("evt2", 4), b"3": ("evt3", 2)}[match[1] or match[2]]


def _prophesee_sensor(header: bytes) -> tuple[int, int] | None:
    """Rows and columns, said as ``geometry WxH``, ``width=W;height=H`` or in two lines."""
    size = {}
    for name in (b"width", b"height"):
        match = re.search(name + rb"[ =]+(\d+)", header, flags=re.IGNORECASE)
        if match:
            size[name] = int(match[1])
    match = re.search(rb"geometry +(\d+)x(\d+)", header, flags=re.IGNORECASE)
    if match:
        size = {b"width": int(match[1]), b"height": int(match[2])}
    return (size[b"height"], size[b"width"]) if len(size) == 2 else None


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Keep a library that writes its own messages to file descriptors 1 and 2 quiet."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(number) for number in (1, 2)]
    try:
        with open(os.devnull, "wb") as sink:
            for number in (1, 2):
                os.dup2(sink.fileno(), number)
            yield
    finally:
        for number, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, number)
            os.close(copy)


READERS: dict[str, Callable[[pathlib.Path], Read]] = {
    ".bin": _read_atis, ".aedat": _read_aedat2, ".aedat4": _read_aedat4,
    ".dat": _read_prophesee, ".raw": _read_prophesee}
"""By suffix."""
