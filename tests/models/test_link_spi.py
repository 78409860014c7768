"""The host link over SPI without hardware: fillers, whole conversations, lost replies."""

import numpy as np
import pytest

from lamina.models.config import HardwareConfig
from lamina.models.link.device import GoldenDevice
from lamina.models.link.driver import Driver, Exchange, LinkError, Wait, converse
from lamina.models.link.framing import END, count_frames, encode_frame
from lamina.models.link.spi import GoldenSpi, SpiTransport, without_fillers
from lamina.models.network import run
from lamina.models.program import Program

CONFIG = HardwareConfig(lanes=4, axons=32, groups=8, weight_words=256, acc_bits=40)


@pytest.mark.parametrize("line, taken", [
    (b"", b""),
    (END, b""),
    (3 * END + b"a" + 2 * END + b"bc" + END, b"a" + END + b"bc" + END),
    (b"a" + 2 * END, b"a" + END),
    (b"\xdb\xdc\xc1", b"\xdb\xdc\xc1"),
])
def test_without_fillers(line, taken):
    assert without_fillers(line) == taken


def test_a_reply_begins_behind_the_end_of_its_request():
    request = encode_frame(b"\x00\x00")
    line = GoldenSpi(GoldenDevice(CONFIG))
    answer = line.transfer(request + 20 * END)
    assert answer[:len(request)] == len(request) * END
    assert count_frames(answer) == 1
    assert answer[len(request):].startswith(END + b"\x00\x80\x00")


@pytest.mark.parametrize("window", [1, 2, 4])
def test_samples_over_spi(window, make_layer):
    rng = np.random.default_rng(7)
    layer = make_layer(weights=rng.integers(-60, 100, (30, 9)), theta=300, r=300, decay=200,
                       report=True)
    program = Program(name="small", layers=(layer,), timesteps=5, weight_bits=8, acc_bits=40)
    spikes = (rng.random((2, 5, 30)) < 0.3).astype(np.uint8)
    golden = run(program, spikes, CONFIG.tiers)
    assert golden.spikes.any()
    transport = SpiTransport(GoldenSpi(GoldenDevice(CONFIG)).transfer)
    driver = Driver(CONFIG, window=window)
    converse(driver.hello(), transport)
    converse(driver.load_program(program), transport)
    for index, sample in enumerate(spikes):
        events, membranes = converse(driver.run_sample(sample), transport)
        np.testing.assert_array_equal(events[:, :9], golden.spikes[index])
        for layer, final in zip(membranes, golden.final_membranes, strict=True):
            np.testing.assert_array_equal(layer, final[index])


def test_half_a_frame_is_kept_for_the_next_exchange():
    frame = encode_frame(bytes(range(40)))
    answers = iter([frame + frame[:7], frame[7:]])
    transport = SpiTransport(lambda data: next(answers))
    assert transport.exchange(Exchange(data=b"x", replies=1)) == frame + END
    assert transport.exchange(Exchange(data=b"y", replies=1)) == frame


def test_silence_ends():
    sent = []

    def transfer(data):
        sent.append(len(data))
        return len(data) * END

    transport = SpiTransport(transfer, patience=100)
    assert not transport.exchange(Exchange(data=b"x", replies=1)).strip(END)
    assert 100 <= sum(sent) <= 140
    sent.clear()
    assert not transport.exchange(Exchange(wait=Wait.QUIET)).strip(END)
    assert 100 <= sum(sent) <= 140
    with pytest.raises(LinkError, match=r"^HELLO was not answered after 5 attempts$"):
        converse(Driver(CONFIG).hello(), transport)


def test_patience():
    with pytest.raises(ValueError, match=r"^patience must be in 1\.\.1073741824, not 0$"):
        SpiTransport(lambda data: data, patience=0)
