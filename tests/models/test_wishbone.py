"""The registers of the Wishbone port and the driver's line over them."""

import asyncio

import numpy as np
import pytest

from lamina.models.config import HardwareConfig, WishboneFlag, WishboneRegister
from lamina.models.link.device import GoldenDevice
from lamina.models.link.driver import Driver, Exchange, LinkError, Wait, converse, converse_async
from lamina.models.link.framing import Request, count_frames
from lamina.models.link.wishbone import (
    AsyncWishboneTransport,
    GoldenWishbone,
    WishboneTransport,
    bytes_of,
    word_of,
)
from lamina.models.network import run
from lamina.models.program import Program

CONFIG = HardwareConfig(lanes=4, axons=128, groups=8, weight_words=512, acc_bits=40)


@pytest.fixture
def program(make_layer):
    rng = np.random.default_rng(7)
    first = make_layer(name="hidden", weights=rng.integers(-60, 100, (100, 9)), theta=300, r=300,
                       decay=200, report=True)
    second = make_layer(name="out", weights=rng.integers(-90, 128, (9, 3)), theta=90, report=True)
    return Program(name="small", layers=(first, second), timesteps=6, weight_bits=8, acc_bits=40)


@pytest.fixture
def port():
    return GoldenWishbone(GoldenDevice(CONFIG), CONFIG.fingerprint)


class Narrow:
    """A port with one word of room, which loses what comes too soon and answers one byte a read."""

    def __init__(self, port):
        self._port, self._held, self.overruns, self.accesses = port, None, 0, 0
        self._bytes = b""

    def read(self, address):
        self.accesses += 1
        if address == WishboneRegister.STATUS:
            room, self._held = int(self._held is None), None
            status = self._port.read(address) & ~0xFF
            waiting = (status >> WishboneFlag.WAITING & 0xFF) + len(self._bytes)
            return status & ~0xFF00 | waiting << WishboneFlag.WAITING | room
        if address != WishboneRegister.DATA:
            return self._port.read(address)
        self._bytes = self._bytes or bytes_of(self._port.read(address))
        found, self._bytes = self._bytes[:1], self._bytes[1:]
        return word_of(found)

    def write(self, address, word):
        self.accesses += 1
        self.overruns += self._held is not None
        self._held = word
        self._port.write(address, word)


class Awaited:
    def __init__(self, bus):
        self._bus = bus

    async def read(self, address):
        await asyncio.sleep(0)
        return self._bus.read(address)

    async def write(self, address, word):
        await asyncio.sleep(0)
        self._bus.write(address, word)


def check(program, spikes, results):
    trace = run(program, spikes, CONFIG.tiers, trace=True)
    assert all(layer.any() for layer in trace.layer_spikes)
    for index, (events, membranes) in enumerate(results):
        np.testing.assert_array_equal(events[:, :9], trace.layer_spikes[0][index])
        for got, want in zip(membranes, trace.final_membranes, strict=True):
            np.testing.assert_array_equal(got, want[index])


def samples():
    return (np.random.default_rng(3).random((2, 6, 100)) < 0.2).astype(np.uint8)


@pytest.mark.parametrize("narrow", [False, True])
def test_the_driver_runs_samples_over_the_registers(program, port, narrow):
    bus = Narrow(port) if narrow else port
    line, driver, spikes = WishboneTransport(bus), Driver(CONFIG), samples()
    converse(driver.hello(), line)
    converse(driver.load_program(program), line)
    check(program, spikes, [converse(driver.run_sample(sample), line) for sample in spikes])
    assert not narrow or bus.overruns == 0


def test_and_over_an_awaited_bus(program, port):
    line, driver, spikes = AsyncWishboneTransport(Awaited(port)), Driver(CONFIG), samples()

    async def talk():
        await converse_async(driver.hello(), line)
        await converse_async(driver.load_program(program), line)
        return [await converse_async(driver.run_sample(sample), line) for sample in spikes]

    check(program, spikes, asyncio.run(talk()))


def test_registers(port):
    assert port.read(WishboneRegister.ID) == int.from_bytes(b"LAM1", "big")
    assert port.read(WishboneRegister.FINGERPRINT) == CONFIG.fingerprint
    assert port.read(WishboneRegister.STATUS) == 16 | 1 << WishboneFlag.IDLE
    assert port.read(16 + WishboneRegister.ID) == port.read(WishboneRegister.ID)
    assert port.read(WishboneRegister.DATA) == 0
    hello = Request(sequence=0, opcode=0).encode()
    for start in range(0, len(hello), 3):
        port.write(WishboneRegister.DATA, word_of(hello[start:start + 3]))
    assert port.read(WishboneRegister.STATUS) >> WishboneFlag.WAITING & 0xFF == 13
    first = port.read(WishboneRegister.DATA)
    assert first >> 24 == 3 and first & 0xFF == 0xC0
    port.write(WishboneRegister.ID, word_of(b"abc"))
    assert port.read(WishboneRegister.STATUS) >> WishboneFlag.WAITING & 0xFF == 10


class Dead:
    """Registers of a device that is held in reset."""

    reads = 0

    def read(self, address):
        self.reads += 1
        return 0

    def write(self, address, word):
        raise AssertionError("there is no room")


@pytest.mark.parametrize("wait", Wait)
def test_a_port_that_does_not_move_is_given_up(wait):
    bus = Dead()
    line = WishboneTransport(bus, patience=7)
    assert line.exchange(Exchange(data=b"\xc0", replies=1, wait=wait)) == b""
    assert bus.reads == 7 * (1 if wait is Wait.NOTHING else 2)


def test_the_driver_says_that_a_dead_port_does_not_answer():
    with pytest.raises(LinkError, match=r"^HELLO was not answered after 5 attempts$"):
        converse(Driver(CONFIG).hello(), WishboneTransport(Dead(), patience=7))


def test_words():
    assert word_of(b"") == 0
    assert word_of(b"\x01\x02\x03") == 0x03030201
    assert bytes_of(0x02FF0201) == b"\x01\x02"
    with pytest.raises(ValueError, match=r"^a word must hold at most 3 bytes, not 4$"):
        word_of(b"abcd")


def test_frames_are_counted():
    assert count_frames(b"\xc0a\xc0\xc0b") == 1
    assert count_frames(b"a\xc0b\xc0\xc0\xc0c\xc0") == 2
