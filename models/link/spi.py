"""The host link over SPI: what the line carries, and the driver's transport on it.

Each byte that the host sends brings one back. Where a side has nothing to say it sends END, which
between frames means nothing.
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Callable, Generator

from lamina.models.check import check_int
from lamina.models.link.device import GoldenDevice
from lamina.models.link.driver import Exchange, Wait
from lamina.models.link.framing import END, count_frames

__all__ = ["GoldenSpi", "SpiLine", "SpiTransport", "without_fillers"]

_CHUNK = 32


def without_fillers(line: bytes) -> bytes:
    """`line` without the ENDs that follow an END, nor one at its start: what a peripheral takes."""
    pairs = itertools.pairwise(END + line)
    return bytes(byte for before, byte in pairs if not before == byte == END[0])


class GoldenSpi:
    """The golden device behind SPI: a byte back for each byte in.

    A reply begins with the byte after the END that closes its request.

    Parameters
    ----------
    device : GoldenDevice
    """

    def __init__(self, device: GoldenDevice):
        self._device = device
        self._queue: collections.deque[int] = collections.deque()

    def transfer(self, data: bytes) -> bytes:
        """What comes back while `data` go out, as long as these."""
        answer = bytearray()
        for byte in data:
            answer.append(self._queue.popleft() if self._queue else END[0])
            self._queue.extend(self._device.receive(bytes((byte,))))
        return bytes(answer)


class SpiLine:
    """The driver's exchanges as transfers of bytes, without I/O.

    Parameters
    ----------
    patience : int
        Bytes without a reply after which it is missing, 1 or more.
    """

    def __init__(self, patience: int = 4096):
        self._patience = check_int("patience", patience, 1, 1 << 30)
        self._held = b""

    def transfers(self, exchange: Exchange) -> Generator[bytes, bytes, bytes]:
        """Yields bytes to send, is sent those that came meanwhile; returns whole frames."""
        received = self._held
        if exchange.wait is Wait.QUIET:
            received += yield from self._until_quiet()
        elif exchange.wait is not Wait.NOTHING:
            received += yield _CHUNK * END
        if exchange.data:
            received += yield exchange.data
        count, silent = count_frames(received), 0
        while count < exchange.replies and silent < self._patience:
            received += yield _CHUNK * END
            silent += _CHUNK
            if count_frames(received) > count:
                count, silent = count_frames(received), 0
        end = received.rfind(END) + 1
        self._held = received[end:] and END + received[end:]
        return received[:end]

    def _until_quiet(self) -> Generator[bytes, bytes, bytes]:
        """Everything up to as many fillers as a missing reply would take."""
        received, silent = b"", 0
        while silent < self._patience:
            part = yield _CHUNK * END
            received += part
            silent = silent + _CHUNK if part == _CHUNK * END else 0
        return received


class SpiTransport:
    """An SPI port as the driver's line.

    Parameters
    ----------
    transfer : callable
        Sends bytes and returns those that came back meanwhile, as many: for example
        ``lambda data: bytes(spidev.xfer3(data))``. One that does not look at the device's
        ``ready`` needs a driver with a window of 2 or less.
    patience : int
        Bytes without a reply after which it is missing.
    """

    def __init__(self, transfer: Callable[[bytes], bytes], patience: int = 4096):
        self._transfer, self._line = transfer, SpiLine(patience)

    def exchange(self, exchange: Exchange) -> bytes:
        """Wait, send, and return what came back, complete or after a timeout."""
        transfers, answer = self._line.transfers(exchange), None
        while True:
            try:
                data = transfers.send(answer)
            except StopIteration as end:
                return end.value
            answer = self._transfer(data)
