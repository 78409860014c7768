"""Frames of the host link: SLIP, CRC and the numbered request and reply."""

from __future__ import annotations

import binascii
import dataclasses

from lamina.models.check import check_int
from lamina.models.config import MAX_PAYLOAD_BYTES, LinkStatus

__all__ = ["END", "ESC", "ESC_END", "ESC_ESC", "FrameDecoder", "Reply",
           "Request", "count_frames", "crc16", "encode_frame"]

END, ESC, ESC_END, ESC_ESC = b"\xc0", b"\xdb", b"\xdc", b"\xdd"
_MIN_FRAME_BYTES = 4
_REPLY = 0x80
_STATUSES = tuple(LinkStatus)


def crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE of `data`: polynomial 1021h, initial value FFFFh, not reflected.

    Over data that end in their own CRC, high byte first, it is 0.
    """
    return binascii.crc_hqx(data, 0xFFFF)


def encode_frame(body: bytes) -> bytes:
    """``END`` + stuffed `body` and CRC + ``END``, as it goes over the line (RFC 1055)."""
    stuffed = (body + crc16(body).to_bytes(2, "big")).replace(ESC, ESC + ESC_ESC)
    return END + stuffed.replace(END, ESC + ESC_END) + END


def count_frames(received: bytes) -> int:
    """Frames in `received`: what two END bytes enclose, empty ones not counted."""
    return sum(1 for part in received.split(END)[1:-1] if part)


def _unstuff(piece: bytes) -> bytes | None:
    """The bytes between two ENDs without their escapes; None if one of these is broken."""
    first, *others = piece.split(ESC)
    parts = [first]
    for part in others:
        if part[:1] == ESC_END:
            parts.append(END + part[1:])
        elif part[:1] == ESC_ESC:
            parts.append(ESC + part[1:])
        else:
            return None
    return b"".join(parts)


class FrameDecoder:
    """Finds the intact frames in a byte stream; whatever else is in it is skipped.

    It holds at most one frame's worth of bytes, however long the garbage.

    Parameters
    ----------
    payload_bytes : int
        Longest payload that is taken [byte].
    """

    def __init__(self, payload_bytes: int = MAX_PAYLOAD_BYTES):
        self._most = payload_bytes + 4
        self._open = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Bodies (without CRC) of the frames that end in `data`, in order."""
        *pieces, rest = (self._open + data).split(END)
        self._open = rest[:2 * self._most + 1]
        frames = [_unstuff(piece) for piece in pieces]
        return [frame[:-2] for frame in frames if frame is not None
                and _MIN_FRAME_BYTES <= len(frame) <= self._most and crc16(frame) == 0]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What the host asks: `sequence` 0..255, `opcode` 0..255, `payload` of at most 252 bytes.

    Raises
    ------
    ValueError
        If the sequence number or the opcode is no byte or the payload is too long.
    """

    sequence: int
    opcode: int
    payload: bytes = b""

    def __post_init__(self):
        check_int("sequence", self.sequence, 0, 255)
        check_int("opcode", self.opcode, 0, 255)
        check_int("payload bytes", len(self.payload), 0, MAX_PAYLOAD_BYTES)

    def encode(self) -> bytes:
        """The frame on the line."""
        return encode_frame(bytes((self.sequence, self.opcode)) + self.payload)

    @classmethod
    def parse(cls, body: bytes) -> Request:
        """Request in the frame `body` of at least 2 bytes."""
        return cls(sequence=body[0], opcode=body[1], payload=body[2:])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reply:
    """What the device answers to request number `sequence` with `opcode`."""

    sequence: int
    opcode: int
    status: LinkStatus
    payload: bytes = b""

    def encode(self) -> bytes:
        """The frame on the line."""
        return encode_frame(bytes((self.sequence, self.opcode | _REPLY, self.status))
                            + self.payload)

    @classmethod
    def parse(cls, body: bytes) -> Reply | None:
        """Reply in the frame `body`, or None if it is none of this protocol."""
        if len(body) < 3 or not body[1] & _REPLY or body[2] not in _STATUSES:
            return None
        return cls(sequence=body[0], opcode=body[1] ^ _REPLY, status=LinkStatus(body[2]),
                   payload=body[3:])
