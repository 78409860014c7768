"""Protocol rules of the golden device, frame by frame."""

import numpy as np
import pytest

from lamina.models.config import HardwareConfig, LinkStatus, Opcode, Register, Space
from lamina.models.link.device import GoldenDevice
from lamina.models.link.framing import FrameDecoder, Reply, Request

CONFIG = HardwareConfig(lanes=4, axons=64, groups=8, weight_words=256, acc_bits=40,
                        state_bits=20, tiers=(3, 5))


def ask(device, sequence, opcode, payload=b""):
    frame = Request(sequence=sequence, opcode=opcode, payload=payload).encode()
    [body] = FrameDecoder().feed(device.receive(frame))
    reply = Reply.parse(body)
    assert (reply.sequence, reply.opcode) == (sequence, opcode & 0x7F)
    return reply.status, reply.payload


@pytest.fixture
def device():
    """Device with one external layer of one neuron, weight 1 at axon 5, theta 1."""
    device = GoldenDevice(CONFIG)
    write = device.core.write
    for address, word in enumerate((64, 1, 0, 0, 0, 1 | 1 << 2, 1)):
        write(Space.DESCRIPTORS, address, word)
    for region, value in ((1, 256), (3, ~1), (4, ~1)):
        write(Space.STATE, region * 8 * 4 * 2, value & 0xFFFF)
        write(Space.STATE, region * 8 * 4 * 2 + 1, value >> 16 & 0xF)
    write(Space.WEIGHTS + 1, 2 * 5, 1)
    write(Space.WEIGHTS + 1, 2 * 5 + 1, 0)
    write(Space.REGISTERS, Register.INPUT_AXONS, 60)
    write(Space.REGISTERS, Register.LAYERS, 1)
    return device


def test_hello():
    device = GoldenDevice(CONFIG)
    status, payload = ask(device, 77, Opcode.HELLO)
    assert status == LinkStatus.OK
    assert payload == b"\x01" + CONFIG.fingerprint.to_bytes(4, "little") + b"\x04"
    assert ask(device, 78, Opcode.STATUS) == (LinkStatus.OK, b"\x01\0\0")
    assert ask(device, 77, Opcode.STATUS) == (LinkStatus.SEQUENCE, bytes((79,)))


def test_a_spike_a_tick_and_the_output(device):
    assert ask(device, 0, Opcode.EVENTS, b"\0\0\0\x20") == (LinkStatus.OK, b"")
    assert ask(device, 1, Opcode.EVENTS, b"\x01\x38\0\xf0") == (LinkStatus.OK, b"")
    assert ask(device, 2, Opcode.STATUS) == (LinkStatus.OK, b"\x03\x02\0")
    assert ask(device, 3, Opcode.OUTPUT, b"\x01") == (LinkStatus.OK, b"\0\0")
    assert ask(device, 4, Opcode.OUTPUT, b"\x78") == (LinkStatus.OK, b"\0\x40")
    assert ask(device, 5, Opcode.EVENTS, b"\x02\0\0") == (LinkStatus.OK, b"")
    assert ask(device, 6, Opcode.OUTPUT, b"\x78") == (LinkStatus.OK, b"\0\x80")
    status, words = ask(device, 7, Opcode.READ, b"\0\x10\0\0\x0c")
    assert status == LinkStatus.OK
    counts = np.frombuffer(words, dtype="<u2")[::2].tolist()
    assert counts == [0, 1, 1, 1, 1, 4]


def test_repetition_executes_nothing(device):
    first = ask(device, 0, Opcode.EVENTS, b"\x01\0\0\x20")
    for _ in range(3):
        assert ask(device, 0, Opcode.EVENTS, b"\x01\0\0\x20") == first
    assert len(device.core.output) == 2
    for number in range(1, 5):
        ask(device, number, Opcode.STATUS)
    assert ask(device, 1, Opcode.STATUS)[0] == LinkStatus.OK
    assert ask(device, 0, Opcode.EVENTS & 0x7F)[0] == LinkStatus.SEQUENCE


@pytest.mark.parametrize("opcode, payload", [
    (Opcode.HELLO, b"\0"),
    (Opcode.STATUS, b"\0"),
    (Opcode.WRITE, b"\0\0\0"),
    (Opcode.WRITE, b"\0\0\0\0\1"),
    (Opcode.WRITE, b"\3\0\0\0\1\1"),
    (Opcode.WRITE, b"\x0a\0\0\0\1\1"),
    (Opcode.WRITE, b"\2\0\0\x10\1\1"),
    (Opcode.READ, b"\0\0\0\0"),
    (Opcode.READ, b"\0\0\0\0\1\1"),
    (Opcode.READ, b"\0\0\0\0\0"),
    (Opcode.READ, b"\0\0\0\0\x79"),
    (Opcode.EVENTS, b"\0\0"),
    (Opcode.EVENTS, b"\3\0\0"),
    (Opcode.EVENTS, b"\0\x04\0"),
    (Opcode.EVENTS, b"\0\x40\0"),
    (Opcode.EVENTS, b"\1\x38\0\0\0"),
    (Opcode.OUTPUT, b""),
    (Opcode.OUTPUT, b"\0"),
    (Opcode.OUTPUT, b"\x79"),
    (Opcode.OUTPUT, b"\1\1"),
])
def test_ranges_use_the_number(device, opcode, payload):
    assert ask(device, 0, opcode, payload) == (LinkStatus.RANGE, b"")
    assert ask(device, 1, Opcode.STATUS) == (LinkStatus.OK, b"\x03\0\0")


def test_unknown_opcodes(device):
    assert ask(device, 0, 6) == (LinkStatus.OPCODE, b"")
    assert ask(device, 1, 0x80) == (LinkStatus.OPCODE, b"")
    assert ask(device, 2, Opcode.STATUS)[0] == LinkStatus.OK


def test_without_a_program_events_are_busy():
    device = GoldenDevice(CONFIG)
    assert ask(device, 0, Opcode.EVENTS, b"\1\0\0\1") == (LinkStatus.BUSY, b"")
    assert ask(device, 0, Opcode.STATUS) == (LinkStatus.OK, b"\x01\0\0")


def test_a_lost_tier(device):
    assert ask(device, 0, Opcode.WRITE, b"\0\x06\0\0\2\0") == (LinkStatus.OK, b"")
    assert ask(device, 1, Opcode.WRITE, b"\0\x06\0\0\0\0") == (LinkStatus.OK, b"")
    assert ask(device, 2, Opcode.STATUS) == (LinkStatus.OK, b"\x05\0\0")
    assert ask(device, 3, Opcode.EVENTS, b"\1\0\0") == (LinkStatus.TIER_LOST, b"")
    assert ask(device, 4, Opcode.WRITE, b"\0\x08\0\0\2\0") == (LinkStatus.OK, b"")
    assert ask(device, 5, Opcode.EVENTS, b"\1\0\0") == (LinkStatus.OK, b"")


def test_modes_change_at_clear(device):
    read_lost = b"\0\x08\0\0\1"
    ask(device, 0, Opcode.EVENTS, b"\1\0\0")
    ask(device, 1, Opcode.WRITE, b"\0\x06\0\0\3\0")
    assert ask(device, 2, Opcode.READ, read_lost) == (LinkStatus.OK, b"\0\0")
    ask(device, 3, Opcode.EVENTS, b"\2\0\0")
    assert ask(device, 4, Opcode.READ, read_lost) == (LinkStatus.OK, b"\2\0")


def test_the_last_chunk_commits(device):
    address = (2 * (3 * 8 * 4)).to_bytes(3, "little")
    ask(device, 0, Opcode.WRITE, b"\2" + address + b"\x34\x12")
    assert ask(device, 1, Opcode.READ, b"\2" + address + b"\2")[1] == b"\xfe\xff\x0f\x00"
    ask(device, 2, Opcode.WRITE, b"\2" + address + b"\x34\x12\xff\xff")
    assert ask(device, 3, Opcode.READ, b"\2" + address + b"\2")[1] == b"\x34\x12\x0f\x00"


def test_identity_registers(device):
    fingerprint = CONFIG.fingerprint.to_bytes(4, "little")
    assert ask(device, 0, Opcode.READ, b"\0\0\0\0\6")[1] == (
        b"\x41\x4c\1\0" + fingerprint + b"\1\0\x3c\0")


def test_what_does_not_exist_reads_as_nothing(device):
    for space in (1, 2, 8, 9):
        payload = bytes((space,)) + b"\xff\xff\x0f"
        assert ask(device, 0, Opcode.HELLO)[0] == LinkStatus.OK
        assert ask(device, 1, Opcode.WRITE, payload + b"\1\1")[0] == LinkStatus.OK
        assert ask(device, 2, Opcode.READ, payload + b"\1") == (LinkStatus.OK, b"\0\0")
    assert ask(device, 3, Opcode.READ, b"\0\x0f\0\0\1")[1] == b"\0\0"
