"""The board's executor over the golden device: in process, and through a pseudo-terminal."""

import os
import threading

import numpy as np
import pytest

from lamina.flows.backend.board import (
    SerialTransport,
    _to_tick,
    link_rate,
    run_board,
    run_over,
)
from lamina.flows.errors import UserError
from lamina.models.config import HardwareConfig, ResetRule
from lamina.models.link.device import GoldenDevice
from lamina.models.link.driver import Driver, Exchange, LinkError, Wait, converse
from lamina.models.network import run
from lamina.models.program import Layer, Program

CONFIG = HardwareConfig(lanes=4, weight_words=256, axons=32, groups=4, acc_bits=20)


def layer(name, axons, neurons, report):
    rng = np.random.default_rng(neurons)
    return Layer(name=name, weights=rng.integers(-40, 90, (axons, neurons)), report=report,
                 decay=np.full(neurons, 230), theta=np.full(neurons, 120),
                 r=np.full(neurons, 120), v_reset=np.zeros(neurons, int),
                 bias=np.zeros(neurons, int), reset=ResetRule.SUBTRACT)


@pytest.fixture
def program():
    return Program(name="small", layers=(layer("a", 20, 6, False), layer("b", 6, 3, True)),
                   timesteps=5, weight_bits=8, acc_bits=20, input_shape=(20,))


@pytest.fixture
def spikes():
    return (np.random.default_rng(1).random((3, 5, 20)) < 0.3).astype(np.uint8)


@pytest.fixture
def port():
    """A golden device behind a pseudo-terminal, as slow to answer as a thread is."""
    ours, theirs = os.openpty()
    device = GoldenDevice(CONFIG)

    def serve():
        while True:
            try:
                data = os.read(ours, 256)
            except OSError:
                return
            os.write(ours, device.receive(data))

    threading.Thread(target=serve, daemon=True).start()
    yield os.ttyname(theirs)
    os.close(theirs)


def check(found, wanted, traced):
    assert wanted.spikes.any() and wanted.layer_spikes[0].any()
    np.testing.assert_array_equal(found.spikes, wanted.spikes)
    for a, b in zip(found.final_membranes, wanted.final_membranes, strict=True):
        np.testing.assert_array_equal(a, b)
    assert bool(found.layer_spikes) == traced
    for a, b in zip(found.layer_spikes, wanted.layer_spikes, strict=traced):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(found.layer_membranes, wanted.layer_membranes, strict=traced):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("traced", [False, True])
def test_the_device_equals_the_golden_model(program, spikes, traced):
    seen = []
    found = run_over(GoldenDevice(CONFIG), program, CONFIG, spikes, trace=traced,
                     progress=lambda done, total: seen.append((done, total)))
    check(found, run(program, spikes, CONFIG.tiers, trace=True), traced)
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_the_serial_port_carries_a_run(program, spikes, port):
    found = run_board(program, CONFIG, spikes, port=port, baud=115200)
    check(found, run(program, spikes, CONFIG.tiers, trace=True), False)


def test_a_quiet_wait_collects_what_is_late(port):
    line = SerialTransport(port, 115200)
    line._line.write(b"\xc0")
    converse(Driver(CONFIG).hello(), line)
    assert line.exchange(Exchange(wait=Wait.QUIET)) == b""
    line.close()


def test_a_board_with_another_core_is_refused(program, spikes, port):
    other = HardwareConfig(lanes=8, weight_words=256, axons=32, groups=4, acc_bits=20)
    message = (rf"^{port}: configuration lamina must have fingerprint {other.fingerprint:08x}, "
               rf"not {CONFIG.fingerprint:08x}$")
    with pytest.raises(UserError, match=message):
        run_board(program, other, spikes, port=port, baud=115200)


def test_a_port_that_is_none_is_refused(program, spikes):
    message = r"^/dev/ttyNone: cannot be opened as a serial port: .*No such file or directory.*$"
    with pytest.raises(UserError, match=message):
        run_board(program, CONFIG, spikes, port="/dev/ttyNone", baud=115200)


def test_the_link_carries_less_the_more_there_is_to_say(program, spikes):
    silent, busy = (link_rate(program, CONFIG, sample, 1_000_000)
                    for sample in (np.zeros_like(spikes[0]), np.ones_like(spikes[0])))
    assert 100 < busy < silent < 1_000_000 / 10 / (5 * 9)
    assert link_rate(program, CONFIG, spikes[0], 2_000_000) > 1.9 * busy


def test_a_device_without_a_tick_is_given_up():
    line, driver = GoldenDevice(CONFIG), Driver(CONFIG)
    converse(driver.hello(), line)
    with pytest.raises(LinkError, match=r"^output must hold a TICK after 1000 requests, not none$"):
        converse(_to_tick(driver), line)
