"""Programs on a board behind a serial port, and what the port can carry."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import serial

from lamina.flows.errors import UserError
from lamina.flows.progress import Reporter
from lamina.models.config import EventKind, HardwareConfig
from lamina.models.faults import FaultModel
from lamina.models.link.device import GoldenDevice
from lamina.models.link.driver import (
    Conversation,
    Driver,
    Exchange,
    LinkError,
    Transport,
    Wait,
    converse,
)
from lamina.models.link.framing import END, count_frames
from lamina.models.placement import place
from lamina.models.program import Program
from lamina.models.trace import Trace

__all__ = ["SerialTransport", "link_rate", "run_board", "run_over"]

_QUIET_SECONDS = 0.05
_REPLY_SECONDS = 0.5
_POLL_SECONDS = 0.001
_BITS_PER_BYTE = 10
_PATIENCE = 1000


class SerialTransport:
    """A serial port as the driver's line.

    Parameters
    ----------
    port : str
        For example ``/dev/ttyUSB1``.
    baud : int
        [bit/s]

    Raises
    ------
    UserError
        If the port cannot be opened.
    """

    def __init__(self, port: str, baud: int):
        try:
            self._line = serial.Serial(port, baud, timeout=_REPLY_SECONDS)
        except (OSError, ValueError) as error:
            raise UserError(f"{port}: cannot be opened as a serial port: {error}") from error

    def exchange(self, exchange: Exchange) -> bytes:
        """Wait, send, and return what came back, complete or after a timeout."""
        received = b""
        if exchange.wait is Wait.QUIET:
            received = self._until_quiet()
        elif exchange.wait is not Wait.NOTHING:
            time.sleep(_POLL_SECONDS)
        self._line.write(exchange.data)
        while count_frames(received) < exchange.replies:
            part = self._line.read_until(END)
            received += part
            if not part.endswith(END):
                break
        return received

    def _until_quiet(self) -> bytes:
        received = b""
        self._line.timeout = _QUIET_SECONDS
        while part := self._line.read(256):
            received += part
        self._line.timeout = _REPLY_SECONDS
        return received

    def close(self) -> None:
        """Give the port back."""
        self._line.close()


@dataclasses.dataclass
class _Counted:
    """A golden device that counts the bytes it is sent and sends."""

    device: GoldenDevice
    sent: int = 0
    received: int = 0

    def exchange(self, exchange: Exchange) -> bytes:
        answer = self.device.exchange(exchange)
        self.sent += len(exchange.data)
        self.received += len(answer)
        return answer


def run_board(program: Program, config: HardwareConfig, spikes: np.ndarray, *, port: str,
              baud: int, trace: bool = False, faults: FaultModel | None = None,
              progress: Reporter | None = None) -> Trace:
    """Load `program` over a serial port and run every sample on the board.

    Parameters
    ----------
    program : Program
        Fits `config`.
    config : HardwareConfig
        What the bitstream was generated with; the board is held to it.
    spikes : uint8 array (N, T, axons)
    port, baud
        See :class:`SerialTransport`.
    trace : bool
        Have every layer report, and read the membranes after every timestep.
    faults : FaultModel or None
        Of undervolted tiers, injected through the memory image.
    progress : callable, optional
        Called with samples done and samples.

    Raises
    ------
    UserError
        If the port cannot be opened or the board does not answer as it should.
    """
    line = SerialTransport(port, baud)
    try:
        return run_over(line, program, config, spikes, trace=trace, faults=faults,
                        progress=progress)
    except (LinkError, serial.SerialException) as error:
        raise UserError(f"{port}: {error}") from error
    finally:
        line.close()


def run_over(line: Transport, program: Program, config: HardwareConfig, spikes: np.ndarray, *,
             trace: bool = False, faults: FaultModel | None = None,
             progress: Reporter | None = None) -> Trace:
    """Like :func:`run_board`, over any line that the driver can speak on.

    Raises
    ------
    LinkError
        If a request is not answered, or not as it should be.
    """
    if trace:
        layers = tuple(dataclasses.replace(layer, report=True) for layer in program.layers)
        program = dataclasses.replace(program, layers=layers)
    driver = Driver(config)
    converse(driver.hello(), line)
    converse(driver.load_program(program, faults), line)
    runs = []
    for index, sample in enumerate(spikes):
        runs.append(converse(_stepwise(driver, sample) if trace else driver.run_sample(sample),
                             line))
        if progress is not None:
            progress(index + 1, len(spikes))
    return _collect(program, config, spikes, runs, trace)


def _stepwise(driver: Driver,
              sample: np.ndarray) -> Conversation[tuple[np.ndarray, list[list[np.ndarray]]]]:
    """Events (T, neurons) of the core and the membranes of each layer after every timestep."""
    events, membranes = [], []
    for step in sample:
        yield from driver.send_timestep(step)
        events.append((yield from _to_tick(driver)))
        membranes.append((yield from driver.read_membranes()))
    yield from driver.clear()
    return events, membranes


def _to_tick(driver: Driver) -> Conversation[list[int]]:
    """Neurons that are reported up to the next TICK."""
    fired = []
    for _ in range(_PATIENCE):
        for kind, neuron in (yield from driver.read_output()):
            if kind is EventKind.TICK:
                return fired
            fired.append(neuron)
    raise LinkError(f"output must hold a TICK after {_PATIENCE} requests, not none")


def _collect(program: Program, config: HardwareConfig, spikes: np.ndarray, runs: list,
             traced: bool) -> Trace:
    places = [placed.units for placed in place(program, config.lanes, len(config.tiers)).layers]
    events = np.zeros((len(runs), program.timesteps, config.neurons), dtype=np.uint8)
    for index, (fired, _) in enumerate(runs):
        if traced:
            for timestep, neurons in enumerate(fired):
                events[index, timestep, neurons] = 1
        else:
            events[index] = fired
    layer_spikes = tuple(events[:, :, place] for place in places)
    stored = [[np.stack(sample) for sample in zip(*membranes, strict=True)] if traced
              else membranes for _, membranes in runs]
    layer_membranes = tuple(np.stack(layer) for layer in zip(*stored, strict=True))
    counts = [spikes.sum(axis=(1, 2), dtype=np.int64),
              *(layer.sum(axis=(1, 2), dtype=np.int64) for layer in layer_spikes)]
    final = tuple(layer[:, -1] if traced else layer for layer in layer_membranes)
    return Trace(spikes=layer_spikes[-1], final_membranes=final, spike_counts=np.array(counts),
                 layer_spikes=layer_spikes if traced else (),
                 layer_membranes=layer_membranes if traced else ())


def link_rate(program: Program, config: HardwareConfig, sample: np.ndarray, baud: int) -> float:
    """Samples per second that the serial port can carry, both directions at work at a time.

    Counted are all bytes of one sample, spikes in and output events back, without membranes.

    Parameters
    ----------
    program : Program
        Fits `config`.
    config : HardwareConfig
    sample : uint8 array (T, axons)
    baud : int
        8N1 [bit/s].
    """
    line, driver = _Counted(GoldenDevice(config)), Driver(config)
    converse(driver.hello(), line)
    converse(driver.load_program(program), line)
    line.sent = line.received = 0
    converse(_classify(driver, sample), line)
    return round(baud / _BITS_PER_BYTE / max(line.sent, line.received), 1)


def _classify(driver: Driver, sample: np.ndarray) -> Conversation[None]:
    for step in sample:
        yield from driver.send_timestep(step)
    yield from driver.clear()
