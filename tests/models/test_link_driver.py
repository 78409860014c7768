"""The driver on the golden device: results, losses on the line, and refusals."""

import asyncio
import dataclasses
import re

import numpy as np
import pytest

from lamina.models.config import (
    EventKind,
    HardwareConfig,
    LinkStatus,
    Opcode,
    Register,
    ResetRule,
    Space,
)
from lamina.models.faults import FaultModel, faulty_program
from lamina.models.link.device import GoldenDevice
from lamina.models.link.driver import Driver, Exchange, LinkError, Wait, converse, converse_async
from lamina.models.link.framing import FrameDecoder, Reply, Request
from lamina.models.network import run
from lamina.models.program import Program

CONFIG = HardwareConfig(lanes=4, axons=128, groups=8, weight_words=512, acc_bits=40)


@pytest.fixture
def program(make_layer):
    """Two reporting layers, 100-9-3, that fire now and then."""
    rng = np.random.default_rng(7)
    first = make_layer(name="hidden", weights=rng.integers(-60, 100, (100, 9)), theta=300, r=300,
                       decay=200, report=True)
    second = make_layer(name="out", weights=rng.integers(-90, 128, (9, 3)), theta=90, v_reset=-7,
                        reset=ResetRule.VALUE, report=True)
    return Program(name="small", layers=(first, second), timesteps=6, weight_bits=8, acc_bits=40)


def talk(device, program, spikes):
    """Open, load and run all samples; returns events and membranes per sample."""
    driver = Driver(CONFIG)
    converse(driver.hello(), device)
    converse(driver.load_program(program), device)
    return driver, [converse(driver.run_sample(sample), device) for sample in spikes]


def samples(count=4):
    return (np.random.default_rng(3).random((count, 6, 100)) < 0.2).astype(np.uint8)


def check(program, spikes, results):
    trace = run(program, spikes, CONFIG.tiers, trace=True)
    assert trace.layer_spikes[0].any() and trace.layer_spikes[1].any()
    for index, (events, membranes) in enumerate(results):
        np.testing.assert_array_equal(events[:, :9], trace.layer_spikes[0][index])
        np.testing.assert_array_equal(events[:, 12:15], trace.layer_spikes[1][index])
        assert events.sum() == sum(spike[index].sum() for spike in trace.layer_spikes)
        for got, want in zip(membranes, trace.final_membranes, strict=True):
            np.testing.assert_array_equal(got, want[index])


def test_samples_equal_the_network(program):
    spikes = samples()
    _, results = talk(GoldenDevice(CONFIG), program, spikes)
    check(program, spikes, results)


class Noise:
    """A line that loses, flips and delays bytes of a device, and lets it be busy."""

    def __init__(self, device, seed, busy=0.0):
        self._device, self._busy = device, busy
        self._rng = np.random.default_rng(seed)
        self.damaged = 0

    def _damage(self, data):
        kind = self._rng.integers(30) if data else 3
        place = int(self._rng.integers(len(data) or 1))
        self.damaged += kind < 3
        if kind == 0:
            return data[:place] + bytes((data[place] ^ 1 << int(self._rng.integers(8)),)) \
                + data[place + 1:]
        if kind == 1:
            return data[:place] + data[place + 1:]
        return data[:place] + self._rng.bytes(9) + data[place:] if kind == 2 else data

    def exchange(self, exchange):
        assert exchange.data.count(b"\xc0") <= 8
        if exchange.data and self._rng.random() < self._busy:
            return self._refuse(exchange.data)
        return self._damage(self._device.receive(self._damage(exchange.data)))

    def _refuse(self, data):
        """What a device answers whose core does not take the first EVENTS or memory access."""
        answers = b""
        for body in FrameDecoder().feed(data):
            request = Request.parse(body)
            if request.opcode in (Opcode.WRITE, Opcode.READ, Opcode.EVENTS):
                fresh = request.sequence == self._device._expected
                status = LinkStatus.BUSY if fresh else LinkStatus.SEQUENCE
                payload = b"" if fresh else bytes((self._device._expected,))
                answers += Reply(sequence=request.sequence, opcode=request.opcode,
                                 status=status, payload=payload).encode()
            else:
                answers += self._device.receive(request.encode())
        return answers


@pytest.mark.parametrize("seed", range(6))
def test_a_noisy_line_changes_nothing(program, seed):
    spikes = samples()
    line = Noise(GoldenDevice(CONFIG), seed, busy=0.3)
    _, results = talk(line, program, spikes)
    check(program, spikes, results)
    assert line.damaged > 5


def test_async_transport(program):
    class Line:
        def __init__(self):
            self._device = GoldenDevice(CONFIG)

        async def exchange(self, exchange):
            await asyncio.sleep(0)
            return self._device.receive(exchange.data)

    async def session():
        line, driver = Line(), Driver(CONFIG)
        await converse_async(driver.hello(), line)
        await converse_async(driver.load_program(program), line)
        return await converse_async(driver.run_sample(samples()[0]), line)

    check(program, samples()[:1], [asyncio.run(session())])


def test_few_exchanges_per_sample(program):
    class Line(GoldenDevice):
        turns = 0

        def exchange(self, exchange):
            self.turns += 1
            return super().exchange(exchange)

    line = Line(CONFIG)
    driver, _ = talk(line, program, samples(1))
    line.turns = 0
    converse(driver.run_sample(samples()[0]), line)
    assert line.turns <= 10


def test_status_output_and_single_timesteps(program):
    device = GoldenDevice(CONFIG)
    driver, _ = talk(device, program, samples(1))
    status = converse(driver.status(), device)
    assert (status.idle, status.tick_ready, status.refused, status.output_full,
            status.output_words) == (True, True, False, False, 0)
    converse(driver.send_timestep(np.ones(100)), device)
    assert converse(driver.status(), device).output_words > 1
    events = converse(driver.read_output(), device)
    assert events[0] == (EventKind.SPIKE, 0)
    assert events[-1] == (EventKind.TICK, 0)
    assert converse(driver.read_output(), device) == []
    converse(driver.clear(), device)
    assert not any(v.any() for v in converse(driver.read_membranes(), device))


def test_counters(program):
    device, spikes = GoldenDevice(CONFIG), samples()
    driver, _ = talk(device, program, spikes)
    trace = run(program, spikes, CONFIG.tiers)
    counters = converse(driver.read_counters(), device)
    hidden = trace.spike_counts[1].sum()
    assert counters["ticks"] == 24
    assert counters["spikes_in"] == spikes.sum()
    assert counters["sops"] == spikes.sum() * 9 + hidden * 3
    assert counters["spikes_out"] == trace.spike_counts[1:].sum()
    assert counters["accesses_3"] == spikes.sum() * 3 + hidden
    converse(driver.zero_counters(), device)
    assert not any(converse(driver.read_counters(), device).values())


def test_tier_modes_come_and_go(program):
    device, spikes = GoldenDevice(CONFIG), samples()
    driver, nominal = talk(device, program, spikes)
    converse(driver.set_tier_modes(2, "mid"), device)
    converse(driver.zero_counters(), device)
    gated = [converse(driver.run_sample(sample), device) for sample in spikes]
    modes = Program(**{name: getattr(program, name) for name in (
        "name", "layers", "timesteps", "weight_bits", "acc_bits")}, gated_tiers=2, tier_fill="mid")
    check(modes, spikes, gated)
    assert any((a[0] != b[0]).any() for a, b in zip(nominal, gated, strict=True))
    counters = converse(driver.read_counters(), device)
    assert counters["accesses_1"] > 0 and counters["accesses_2"] == counters["accesses_3"] == 0
    device.core._weights[3][:] = 0xAAAA
    converse(driver.set_tier_modes(0, "mid"), device)
    check(program, spikes, [converse(driver.run_sample(sample), device) for sample in spikes])


def test_a_lost_tier_is_refused(program):
    device = GoldenDevice(CONFIG)
    driver, _ = talk(device, program, samples(1))
    converse(driver.set_tier_modes(1, "zero"), device)
    converse(driver.write(Space.REGISTERS, Register.TIER_GATED, np.array([0])), device)
    assert converse(driver.status(), device).refused
    with pytest.raises(LinkError, match=r"^EVENTS was refused: TIER_LOST$"):
        converse(driver.run_sample(samples()[0]), device)
    converse(driver.set_tier_modes(0, "zero"), device)
    check(program, samples(1), [converse(driver.run_sample(samples()[0]), device)])


def test_a_running_device_is_loaded_again(program):
    device = GoldenDevice(CONFIG)
    driver, _ = talk(device, program, samples(1))
    converse(driver.set_tier_modes(3, "mid"), device)
    converse(driver.send_timestep(np.ones(100)), device)
    other = Driver(CONFIG)
    converse(other.hello(), device)
    converse(other.load_program(program), device)
    check(program, samples(1), [converse(other.run_sample(samples()[0]), device)])


def test_long_bitmaps_travel_in_stretches(make_layer):
    config = HardwareConfig(lanes=4, axons=4096, groups=2, weight_words=8192, acc_bits=40)
    layer = make_layer(weights=np.arange(4000)[:, None] % 100, theta=1000, r=1000, report=True)
    program = Program(name="wide", layers=(layer,), timesteps=1, weight_bits=8, acc_bits=40)
    device, driver = GoldenDevice(config), Driver(config)
    converse(driver.hello(), device)
    converse(driver.load_program(program), device)
    spikes = np.zeros((3, 4000), dtype=np.uint8)
    spikes[0, [9, 1999, 2000, 3999]] = spikes[2, 3990] = 1
    _, [membrane] = converse(driver.run_sample(spikes), device)
    assert membrane.tolist() == [9 + 99 + 0 + 99 + 90]


def test_words_survive_a_round_trip():
    device, driver = GoldenDevice(CONFIG), Driver(CONFIG)
    converse(driver.hello(), device)
    words = np.random.default_rng(1).integers(0, 1 << 16, 500).astype(np.uint16)
    converse(driver.write(Space.WEIGHTS + 1, 8, words & 0xFF), device)
    np.testing.assert_array_equal(converse(driver.read(Space.WEIGHTS + 1, 8, 500), device),
                                  words & 0xFF)


class Script:
    """A line with given answers to each exchange; silent when they are used up."""

    def __init__(self, *answers):
        self._answers = list(answers)
        self.waits = []

    def exchange(self, exchange: Exchange) -> bytes:
        self.waits.append(exchange.wait)
        return self._answers.pop(0) if self._answers else b""


def reply(sequence, opcode, status, payload=b""):
    return Reply(sequence=sequence, opcode=opcode, status=status, payload=payload).encode()


def refuses(message, conversation, *answers):
    with pytest.raises(LinkError, match=f"^{re.escape(message)}$"):
        converse(conversation, Script(*answers))


def test_silence():
    refuses("HELLO was not answered after 5 attempts", Driver(CONFIG).hello())
    refuses("READ of space 2 at 7 was not answered after 5 attempts",
            Driver(CONFIG).read(2, 7, 1))
    refuses("STATUS was not answered after 5 attempts", Driver(CONFIG).status())


def hello(version=1, fingerprint=CONFIG.fingerprint, window=4):
    payload = bytes((version,)) + fingerprint.to_bytes(4, "little") + bytes((window,))
    return reply(0, Opcode.HELLO, LinkStatus.OK, payload)


def test_wrong_device():
    refuses("protocol version must be 1, not 2", Driver(CONFIG).hello(), hello(version=2))
    refuses(f"configuration lamina must have fingerprint {CONFIG.fingerprint:08x}, not 00000007",
            Driver(CONFIG).hello(), hello(fingerprint=7))


def test_smaller_window_of_the_device_is_kept():
    driver, line = Driver(CONFIG), Script(hello(window=1))
    converse(driver.hello(), line)
    conversation = driver.write(0, 0, np.arange(300))
    assert conversation.send(None).data.count(b"\xc0") == 2


def test_endless_busy():
    busy = reply(0, Opcode.EVENTS, LinkStatus.BUSY)
    polls = [reply(k, Opcode.OUTPUT, LinkStatus.OK) + reply(k + 1, Opcode.EVENTS, LinkStatus.BUSY)
             for k in range(3)]
    refuses("EVENTS was answered BUSY 3 times",
            Driver(CONFIG, patience=2).send_timestep(np.ones(8)), busy, *polls)


def test_busy_waits_for_what_is_missing():
    line = Script(reply(0, Opcode.READ, LinkStatus.BUSY))
    with pytest.raises(LinkError):
        converse(Driver(CONFIG).read(2, 0, 1), line)
    assert line.waits[:3] == [Wait.NOTHING, Wait.IDLE, Wait.QUIET]


def test_device_that_was_reset():
    driver = Driver(CONFIG)
    driver._sequence = 100
    refuses("STATUS must have number 0, not 100: the device was reset", driver.status(),
            reply(100, Opcode.STATUS, LinkStatus.SEQUENCE, b"\x00"))


def test_answer_to_another_question():
    refuses("reply 0 must answer STATUS, not opcode 3", Driver(CONFIG).status(),
            reply(0, Opcode.READ, LinkStatus.OK))


def test_refused_request_is_named():
    device, driver = GoldenDevice(CONFIG), Driver(CONFIG)
    converse(driver.hello(), device)
    with pytest.raises(LinkError, match=r"^WRITE of space 5 at 3 was refused: RANGE$"):
        converse(driver.write(5, 3, np.array([1])), device)
    assert converse(driver.status(), device).idle


def test_missing_program():
    refuses("no program was loaded", Driver(CONFIG).read_membranes())
    refuses("no program was loaded", Driver(CONFIG).set_tier_modes(0, "mid"))


def test_missing_ticks(program):
    device = GoldenDevice(CONFIG)
    driver, _ = talk(device, program, samples(1))
    driver._patience = 3
    with pytest.raises(LinkError, match=r"^output must hold 2 of TICK, not 1$"):
        converse(driver._until(EventKind.TICK, 2), _after_tick(driver, device))


def _after_tick(driver, device):
    converse(driver.send_timestep(np.zeros(100)), device)
    return device


def test_stray_clear(program):
    device = GoldenDevice(CONFIG)
    driver, _ = talk(device, program, samples(1))
    converse(driver.send_timestep(np.zeros(1), EventKind.CLEAR), device)
    with pytest.raises(LinkError, match=r"^output must hold 6 of TICK in a row, not CLEAR$"):
        converse(driver.run_sample(samples()[0]), device)


@pytest.mark.parametrize("arguments, message", [
    ({"window": 5}, "window must be in 1..4, not 5"),
    ({"patience": 0}, "patience must be in 1..1073741824, not 0"),
])
def test_driver_ranges(arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Driver(CONFIG, **arguments)


@pytest.mark.parametrize("gated, fill, message", [
    (4, "mid", "gated tiers must be in 0..3, not 4"),
    (1, "half", "tier fill must be one of zero, mid, not 'half'"),
])
def test_tier_mode_ranges(gated, fill, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        converse(Driver(CONFIG).set_tier_modes(gated, fill), Script())


def test_faulty_weights_are_loaded_and_loaded_again(program):
    spikes, faults = samples(), FaultModel(chip=4)
    low = dataclasses.replace(program, tier_millivolts=(1100, 800, 750, 700))
    changed = faulty_program(low, CONFIG.lanes, CONFIG.tiers, faults)
    device, driver = GoldenDevice(CONFIG), Driver(CONFIG)
    converse(driver.hello(), device)
    converse(driver.load_program(low, faults), device)
    check(changed, spikes, [converse(driver.run_sample(sample), device) for sample in spikes])
    for gated in (2, 0):
        converse(driver.set_tier_modes(gated, "mid"), device)
    check(changed, spikes, [converse(driver.run_sample(sample), device) for sample in spikes])
