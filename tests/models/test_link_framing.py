"""Frames against hand-worked bytes, and garbage that must not pass."""

import re

import numpy as np
import pytest

from lamina.models.config import LinkStatus, Opcode
from lamina.models.link.framing import FrameDecoder, Reply, Request, crc16, encode_frame


def test_crc_check_value():
    assert crc16(b"123456789") == 0x29B1
    assert crc16(b"") == 0xFFFF


def test_crc_of_data_with_its_crc_is_zero():
    data = b"lamina"
    assert crc16(data + crc16(data).to_bytes(2, "big")) == 0


def test_crc_bit_by_bit():
    data, register = bytes(range(100, 200)), 0xFFFF
    for bit in np.unpackbits(np.frombuffer(data, dtype=np.uint8)).tolist():
        feedback = register >> 15 ^ bit
        register = (register << 1 & 0xFFFF) ^ 0x1021 * feedback
    assert crc16(data) == register


def test_frame_bytes():
    assert encode_frame(b"123456789") == b"\xc0123456789\x29\xb1\xc0"
    frame = encode_frame(b"\x00\xc0\xdb\x01")
    assert frame[:7] == b"\xc0\x00\xdb\xdc\xdb\xdd\x01"
    assert frame[-1:] == b"\xc0"


def test_decoder_is_incremental():
    frames = [bytes((k, 1)) + bytes(range(256 - k, 256)) for k in range(1, 100)]
    stream = b"".join(encode_frame(frame) for frame in frames)
    decoder, found = FrameDecoder(), []
    for byte in stream:
        found += decoder.feed(bytes((byte,)))
    assert found == frames
    assert FrameDecoder().feed(stream) == frames


@pytest.mark.parametrize("bad", [
    b"\xc0\xc0\xc0",
    encode_frame(b"\x01")[:-1] + b"\xc0",
    encode_frame(bytes(255)),
    b"\xc0\x01\x02\xdb\x03" + crc16(b"\x01\x02\xdb\x03").to_bytes(2, "big") + b"\xc0",
    b"\xc0\x01\x02\xdb\xc0",
    encode_frame(b"\x01\x02\x03")[:-3] + b"\xc0",
    bytes(5000),
], ids=["empty", "short", "long", "escape", "escaped end", "cut", "endless"])
def test_bad_frames_are_skipped_and_the_next_one_is_found(bad):
    good = encode_frame(b"\x01\x02\x03")
    assert FrameDecoder().feed(bad + good) == [b"\x01\x02\x03"]


def test_every_flipped_bit_is_noticed():
    good = encode_frame(b"\x10\x02\xc0\x00\xff")
    for bit in range(8, 8 * len(good) - 8):
        broken = bytearray(good)
        broken[bit // 8] ^= 1 << bit % 8
        assert FrameDecoder().feed(bytes(broken)) == []


def test_garbage_does_not_pile_up():
    decoder = FrameDecoder()
    for _ in range(100):
        assert decoder.feed(np.random.default_rng(1).bytes(1000).replace(b"\xc0", b"")) == []
    assert len(decoder._open) <= 513


def test_longest_frame_passes():
    body = bytes((7, 2)) + bytes((0xC0,)) * 252
    assert FrameDecoder().feed(encode_frame(body)) == [body]


def test_request_round_trip():
    request = Request(sequence=255, opcode=Opcode.READ, payload=b"\xc0\xdb")
    [body] = FrameDecoder().feed(request.encode())
    assert Request.parse(body) == request


def test_reply_round_trip():
    reply = Reply(sequence=3, opcode=Opcode.EVENTS, status=LinkStatus.BUSY, payload=b"x")
    [body] = FrameDecoder().feed(reply.encode())
    assert body == b"\x03\x84\x01x"
    assert Reply.parse(body) == reply


@pytest.mark.parametrize("body", [b"\x00\x80", b"\x00\x00\x00", b"\x00\x80\x77"])
def test_what_is_no_reply(body):
    assert Reply.parse(body) is None


@pytest.mark.parametrize("fields, message", [
    ({"sequence": 256, "opcode": 0}, "sequence must be in 0..255, not 256"),
    ({"sequence": 0, "opcode": -1}, "opcode must be in 0..255, not -1"),
    ({"sequence": 0, "opcode": 0, "payload": bytes(253)},
     "payload bytes must be in 0..252, not 253"),
])
def test_request_ranges(fields, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Request(**fields)
