"""The bring-up firmware on the golden device: agreement, differences, and devices that fail."""

import re

import pytest

from lamina.models.config import LinkStatus, WishboneRegister
from lamina.models.link.device import GoldenDevice
from lamina.models.link.wishbone import GoldenWishbone, bytes_of


@pytest.fixture
def device(config):
    return GoldenWishbone(GoldenDevice(config), config.fingerprint)


def changed(name, index, by=1):
    """Change of one number of a table in C."""
    def change(text):
        start = text.index(f" {name}[] = {{")
        numbers = list(re.finditer(r"\b\d+\b", text[start:text.index("};", start)]))
        found = numbers[index]
        place = start + found.start()
        return f"{text[:place]}{int(found[0]) + by}{text[start + found.end():]}"
    return change


class Noisy:
    """The line between registers and device loses, doubles and spoils bytes now and then."""

    def __init__(self, device, every):
        self._device, self._every, self._moved, self.spoiled = device, every, 0, 0

    def read(self, address):
        word = self._device.read(address)
        if address == WishboneRegister.DATA and bytes_of(word):
            word = self._spoil(word)
        return word

    def write(self, address, word):
        self._device.write(address, self._spoil(word))

    def _spoil(self, word):
        self._moved += 1
        if self._moved % self._every:
            return word
        self.spoiled += 1
        return word ^ 0x10


def test_it_agrees_with_the_golden_device(selftest, device):
    result, report = selftest(device)
    assert (result, report.error) == (0, 0)
    assert report.events > 20 and report.membranes > 20
    assert (report.sample, report.timestep) == (1, 4)


@pytest.mark.parametrize("every", [211, 307])
def test_a_line_that_spoils_bytes_changes_nothing(selftest, device, every):
    bus = Noisy(device, every)
    result, report = selftest(bus)
    assert (result, report.error) == (0, 0)
    assert bus.spoiled > 1


@pytest.mark.parametrize("table, events", [("outputs", True), ("membranes", False),
                                           ("words", None)])
def test_a_difference_is_found(selftest, device, table, events):
    """Another expectation, or another weight in the most significant tier."""
    result, report = selftest(device, changed(table, 4 if events is not None else 60, 3))
    assert result > 0 and report.error == 0
    if events is not None:
        assert (report.event_mismatches > 0) is events
        assert (report.membrane_mismatches > 0) is not events
        assert (report.sample, report.timestep) == ((0, 0) if events else (0, 4))


class Fake:
    def __init__(self, words):
        self._words, self.writes = words, 0

    def read(self, address):
        return self._words.get(WishboneRegister(address), 0)

    def write(self, address, word):
        self.writes += 1


def test_devices_that_are_none_or_others_or_silent(selftest, device, config):
    assert selftest(Fake({}))[0] == -1
    known = {WishboneRegister.ID: device.read(WishboneRegister.ID)}
    assert selftest(Fake(known))[0] == -2
    silent = Fake(known | {WishboneRegister.FINGERPRINT: config.fingerprint,
                           WishboneRegister.STATUS: 16})
    assert selftest(silent)[0] == -3
    assert silent.writes == 5 * 2


def test_an_error_of_the_device_is_reported(selftest, device):
    """A block of a space that does not exist."""
    result, report = selftest(device, lambda text: text.replace("{0, 4, 1, 0},", "{7, 4, 1, 0},"))
    assert (result, report.status) == (-4, LinkStatus.RANGE)
