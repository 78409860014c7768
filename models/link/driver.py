"""The host's side of the link: one driver for golden device, simulator and board, without I/O.

Every method of :class:`Driver` is a conversation: a generator that yields an :class:`Exchange`, is
sent the bytes that came back, and returns its result. :func:`converse` runs one on a blocking
transport, :func:`converse_async` on one whose ``exchange`` is awaited.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Awaitable, Generator, Iterable
from typing import Protocol, TypeVar

import numpy as np

from lamina.models.check import check_int, check_one_of
from lamina.models.config import (
    COUNTERS,
    PROTOCOL_VERSION,
    Counter,
    EventKind,
    HardwareConfig,
    LinkStatus,
    Opcode,
    Register,
    Space,
)
from lamina.models.faults import FaultModel
from lamina.models.image import memory_image
from lamina.models.link.framing import FrameDecoder, Reply, Request
from lamina.models.placement import Placement, place
from lamina.models.program import Program
from lamina.models.tiers import TIER_FILLS

__all__ = ["AsyncTransport", "Conversation", "Driver", "Exchange", "LinkError", "Status",
           "Transport", "Wait", "converse", "converse_async"]

_T = TypeVar("_T")
_WINDOW = 4
_ATTEMPTS = 5


class LinkError(RuntimeError):
    """A conversation that failed, naming the request; :meth:`Driver.hello` starts afresh."""


class Wait(enum.Enum):
    """What should have happened before the bytes of an exchange are sent.

    A transport that sees the device's pins waits for them, any other one sleeps for about a
    millisecond; both give up after a while, since the host may have to read the output first.
    """

    NOTHING = 0
    TICK_READY = 1
    IDLE = 2
    QUIET = 3
    """Nothing more comes in: late replies are over; wait as long as for a missing reply."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exchange:
    """One turn on the line: wait, send, receive.

    Parameters
    ----------
    data : bytes
        Whole frames, 0..4 of them.
    replies : int
        Return once this many reply frames came (a frame is what two END bytes enclose, empty ones
        not counted) or after a timeout with what there is.
    wait : Wait
        Before sending.
    """

    data: bytes = b""
    replies: int = 0
    wait: Wait = Wait.NOTHING


class Transport(Protocol):
    """A line that blocks, e.g. a serial port or the golden device."""

    def exchange(self, exchange: Exchange) -> bytes:
        """Wait, send, and return everything that was received."""


class AsyncTransport(Protocol):
    """A line that is awaited, e.g. a simulator."""

    def exchange(self, exchange: Exchange) -> Awaitable[bytes]:
        """Wait, send, and return everything that was received."""


Conversation = Generator[Exchange, bytes, _T]


def converse(conversation: Conversation[_T], transport: Transport) -> _T:
    """Run `conversation` to its result."""
    received = None
    while True:
        try:
            exchange = conversation.send(received)
        except StopIteration as end:
            return end.value
        received = transport.exchange(exchange)


async def converse_async(conversation: Conversation[_T], transport: AsyncTransport) -> _T:
    """Run `conversation` to its result."""
    received = None
    while True:
        try:
            exchange = conversation.send(received)
        except StopIteration as end:
            return end.value
        received = await transport.exchange(exchange)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Status:
    """Flags of the core and of the output buffer, and how many words wait in it."""

    idle: bool
    tick_ready: bool
    refused: bool
    output_full: bool
    output_words: int


@dataclasses.dataclass(eq=False)
class _Job:
    """A request without its number, then with its reply."""

    opcode: Opcode
    payload: bytes = b""
    reply: Reply | None = None
    silences: int = 0
    refusals: int = 0

    def __str__(self):
        if self.opcode in (Opcode.WRITE, Opcode.READ):
            address = int.from_bytes(self.payload[1:4], "little")
            return f"{self.opcode.name} of space {self.payload[0]} at {address}"
        return self.opcode.name


class _Window:
    """Go-back-N: up to `size` numbered requests are on their way at a time.

    After BUSY, SEQUENCE or silence nothing new is sent until the replies on their way are in; then
    everything from the first unanswered request on is sent again, under the same numbers.
    """

    def __init__(self, jobs: Iterable[_Job], sequence: int, size: int, patience: int, poll: _Job):
        self.jobs = list(jobs)
        self._poll = poll
        self._sequence = sequence
        self._size = size
        self._patience = patience
        self._base = self._next = self._flying = 0
        self._holding = False
        self._busy: int | None = None

    @property
    def done(self) -> bool:
        return self._base == len(self.jobs)

    @property
    def stalled(self) -> bool:
        """Nothing is on its way and nothing new may be sent."""
        return self._holding and self._flying == 0 and not self.done

    @property
    def awaited(self) -> int:
        """Replies to wait for: half a window stays on its way while there is more to send."""
        if self._holding or self._next == len(self.jobs):
            return self._flying
        return max(1, self._flying - self._size // 2)

    def number(self, index: int) -> int:
        return (self._sequence + index) & 0xFF

    def send(self) -> bytes:
        """The frames that may go out now."""
        data = b""
        end = 0 if self._holding else min(len(self.jobs), self._base + self._size)
        for index in range(self._next, end):
            job = self.jobs[index]
            data += Request(sequence=self.number(index), opcode=job.opcode,
                            payload=job.payload).encode()
            self._flying += 1
            self._next = index + 1
        return data

    def receive(self, reply: Reply) -> None:
        """Note `reply`; one whose number is not on its way is stale and ignored."""
        index = self._base + ((reply.sequence - self.number(self._base)) & 0xFF)
        if index >= self._next:
            return
        self._flying = max(0, self._flying - 1)
        if reply.status is LinkStatus.BUSY:
            self._holding, self._busy = True, index
        elif reply.status is LinkStatus.SEQUENCE:
            self._refuse_stranger(reply, index)
            self._holding = True
        else:
            self._accept(self.jobs[index], reply)

    def _accept(self, job: _Job, reply: Reply) -> None:
        if reply.opcode != job.opcode:
            raise LinkError(f"reply {reply.sequence} must answer {job}, "
                            f"not opcode {reply.opcode}")
        job.reply = reply
        while self._base < self._next and self.jobs[self._base].reply is not None:
            self._base += 1

    def _refuse_stranger(self, reply: Reply, index: int) -> None:
        """A device that expects a number from outside the window was reset meanwhile."""
        expected = reply.payload[0]
        if (expected - self.number(self._base) + self._size) & 0xFF > 2 * self._size:
            raise LinkError(f"{self.jobs[index]} must have number {expected}, "
                            f"not {reply.sequence}: the device was reset")

    def lose(self) -> None:
        """No more replies come; what was BUSY may have been executed since."""
        self._flying, self._holding, self._busy = 0, True, None

    def restart(self) -> Wait:
        """Go back to the first unanswered request; what it has to wait for.

        A BUSY one is preceded by OUTPUT from now on, because a full buffer stops the core; its
        number is still unused.
        """
        job, busy = self.jobs[self._base], self._busy == self._base
        self._next, self._holding, self._busy = self._base, False, None
        job.refusals += busy
        job.silences += not busy
        if job.silences == _ATTEMPTS:
            raise LinkError(f"{job} was not answered after {_ATTEMPTS} attempts")
        if job.refusals > self._patience:
            raise LinkError(f"{job} was answered BUSY {job.refusals} times")
        if not busy:
            return Wait.NOTHING
        self.jobs.insert(self._base, dataclasses.replace(self._poll))
        return Wait.TICK_READY if job.opcode is Opcode.EVENTS else Wait.IDLE


def _words_of(payload: bytes) -> np.ndarray:
    return np.frombuffer(payload, dtype="<u2")


class Driver:
    """Speaks the host protocol; all its methods are conversations.

    Parameters
    ----------
    config : HardwareConfig
        What the device was generated with; :meth:`hello` holds it to that.
    window : int
        Requests that may be on their way at a time, 1..4.
    patience : int
        How often in a row a request may be answered BUSY, or the output be found without the
        expected events, before it is an error.
    """

    def __init__(self, config: HardwareConfig, *, window: int = _WINDOW, patience: int = 10000):
        self._config = config
        self._size = check_int("window", window, 1, _WINDOW)
        self._patience = check_int("patience", patience, 1, 1 << 30)
        self._decoder = FrameDecoder()
        self._sequence = 0
        self._program: Program | None = None
        self._faults: FaultModel | None = None
        self._output: list[int] = []

    def _replies(self, received: bytes) -> list[Reply]:
        replies = [Reply.parse(body) for body in self._decoder.feed(received)]
        return [reply for reply in replies if reply is not None]

    def _transact(self, *requests: _Job,
                  wait: Wait = Wait.NOTHING) -> Conversation[list[Reply]]:
        """Have `requests` executed in order; raises :class:`LinkError` unless all are OK."""
        window = _Window(requests, self._sequence, self._size, self._patience, self._poll())
        while not window.done:
            exchange = Exchange(data=window.send(), replies=window.awaited, wait=wait)
            replies = self._replies((yield exchange))
            for reply in replies:
                window.receive(reply)
            if len(replies) < exchange.replies:
                self._replies((yield Exchange(wait=Wait.QUIET)))
                window.lose()
            wait = window.restart() if window.stalled else Wait.NOTHING
        self._sequence = window.number(len(window.jobs))
        for job in window.jobs:
            if job.reply.status is not LinkStatus.OK:
                raise LinkError(f"{job} was refused: {job.reply.status.name}")
            if job.opcode is Opcode.OUTPUT:
                self._output += _words_of(job.reply.payload).tolist()
        return [job.reply for job in requests]

    def _poll(self) -> _Job:
        return _Job(Opcode.OUTPUT, bytes((self._config.reply_words,)))

    def _reads(self, space: int, address: int, count: int) -> list[_Job]:
        most = self._config.reply_words
        return [_Job(Opcode.READ, _place(space, address + start)
                     + bytes((min(most, count - start),))) for start in range(0, count, most)]

    def _events(self, spikes: np.ndarray, kind: EventKind = EventKind.TICK) -> list[_Job]:
        """Frames of one timestep: the bitmap from its first to its last byte that is not zero."""
        bitmap = np.packbits(np.asarray(spikes) != 0, bitorder="little")
        used, most = np.flatnonzero(bitmap), self._config.payload_bytes - 3
        first, end = (int(used[0]), int(used[-1]) + 1) if used.size else (0, 0)
        starts = range(first, end, most) or [0]
        flag = 1 if kind is EventKind.TICK else 2
        return [_Job(Opcode.EVENTS, bytes((flag if start == starts[-1] else 0,))
                     + (8 * start).to_bytes(2, "little")
                     + bitmap[start:min(start + most, end)].tobytes()) for start in starts]

    def hello(self) -> Conversation[None]:
        """Open the link, counting from 0, and check that the device is the expected one.

        Raises
        ------
        LinkError
            If nothing answers, or with another protocol version or another configuration.
        """
        self._sequence = 0
        request = Request(sequence=self._sequence, opcode=Opcode.HELLO).encode()
        for _ in range(_ATTEMPTS):
            replies = self._replies((yield Exchange(data=request, replies=1)))
            answers = [reply for reply in replies if reply.opcode == Opcode.HELLO
                       and reply.sequence == self._sequence and len(reply.payload) == 6]
            if answers:
                self._check_hello(answers[-1].payload)
                self._sequence = (self._sequence + 1) & 0xFF
                self._output = []
                return
            yield Exchange(wait=Wait.QUIET)
        raise LinkError(f"HELLO was not answered after {_ATTEMPTS} attempts")

    def _check_hello(self, payload: bytes) -> None:
        version, window = payload[0], payload[5]
        fingerprint = int.from_bytes(payload[1:5], "little")
        if version != PROTOCOL_VERSION:
            raise LinkError(f"protocol version must be {PROTOCOL_VERSION}, not {version}")
        if fingerprint != self._config.fingerprint:
            raise LinkError(f"configuration {self._config.name} must have fingerprint "
                            f"{self._config.fingerprint:08x}, not {fingerprint:08x}")
        self._size = min(self._size, window)

    def status(self) -> Conversation[Status]:
        """Flags and fill of the output buffer; never BUSY."""
        [reply] = yield from self._transact(_Job(Opcode.STATUS))
        flags = reply.payload[0]
        return Status(idle=bool(flags & 1), tick_ready=bool(flags & 2), refused=bool(flags & 4),
                      output_full=bool(flags & 8),
                      output_words=int.from_bytes(reply.payload[1:3], "little"))

    def write(self, space: int, address: int, words: np.ndarray) -> Conversation[None]:
        """Write 16-bit `words` to ascending addresses; memories wait until the core is idle."""
        data = np.asarray(words).astype("<u2")
        most = (self._config.payload_bytes - 4) // 2
        yield from self._transact(*(
            _Job(Opcode.WRITE, _place(space, address + start)
                 + data[start:start + most].tobytes())
            for start in range(0, len(data), most)))

    def read(self, space: int, address: int, count: int) -> Conversation[np.ndarray]:
        """Read `count` 16-bit words, uint16 array; memories wait until the core is idle."""
        replies = yield from self._transact(*self._reads(space, address, count))
        return _words_of(b"".join(reply.payload for reply in replies))

    def load_program(self, program: Program,
                     faults: FaultModel | None = None) -> Conversation[None]:
        """Load `program` over the link, clear the core and zero the counters.

        With `faults` its weights are those of undervolted tiers: see
        :func:`lamina.models.image.memory_image`.

        Raises
        ------
        ValueError
            If the program does not fit the configuration, or `faults` are transient.
        LinkError
            If a request fails.
        """
        image = memory_image(program, self._config, faults)
        [layers] = yield from self.read(Space.REGISTERS, Register.LAYERS, 1)
        status = yield from self.status()
        if layers and (status.tick_ready or not status.idle):
            yield from self.clear()
        for space, address, words in image:
            yield from self.write(space, address, words)
        self._program, self._faults = program, faults
        yield from self.clear()
        yield from self.zero_counters()

    def send_timestep(self, spikes: np.ndarray,
                      kind: EventKind = EventKind.TICK) -> Conversation[None]:
        """Send one timestep: `spikes` (axons,) of 0 and 1, closed by `kind` TICK or CLEAR."""
        yield from self._transact(*self._events(self._lines(spikes), kind))

    def read_output(self) -> Conversation[list[tuple[EventKind, int]]]:
        """Events that wait in the output buffer, as many as one reply holds, as (kind, neuron)."""
        yield from self._transact(self._poll())
        words, self._output = self._output, []
        return [(EventKind(word >> 14), word & 0x3FFF) for word in words]

    def clear(self) -> Conversation[None]:
        """End a sample: send CLEAR and drop the output up to the CLEAR that comes back."""
        yield from self.send_timestep(np.zeros(0), EventKind.CLEAR)
        yield from self._until(EventKind.CLEAR, 1)

    def run_sample(self, spikes: np.ndarray) -> Conversation[tuple[np.ndarray, list[np.ndarray]]]:
        """Run one sample on the loaded program and clear the core.

        Timesteps are sent ahead as far as the core takes them.

        Parameters
        ----------
        spikes : array (T, axons)
            0 or 1.

        Returns
        -------
        events : uint8 array (T, neurons)
            How often each neuron of the core was reported, by its index ``lane + lanes * row``.
        membranes : list of int64 arrays (neurons,)
            Of each layer after the last timestep [LSB].

        Raises
        ------
        LinkError
            If no program was loaded, a request fails, or the output holds other than T TICKs.
        """
        yield from self._transact(*(job for step in self._lines(spikes)
                                    for job in self._events(step)))
        words = yield from self._until(EventKind.TICK, len(spikes))
        membranes = yield from self.read_membranes()
        yield from self.clear()
        return self._histogram(words, len(spikes)), membranes

    def trace_sample(
        self, spikes: np.ndarray
    ) -> Conversation[tuple[np.ndarray, list[np.ndarray]]]:
        """Like :meth:`run_sample`, but with the membranes after every timestep.

        Returns
        -------
        events : uint8 array (T, neurons)
        membranes : list of int64 arrays (T, neurons)
            Of each layer [LSB].
        """
        words, membranes = [], []
        for step in spikes:
            yield from self.send_timestep(step)
            words += yield from self._until(EventKind.TICK, 1)
            membranes.append((yield from self.read_membranes()))
        yield from self.clear()
        return (self._histogram(words, len(spikes)),
                [np.stack(layer) for layer in zip(*membranes, strict=True)])

    def _until(self, kind: EventKind, count: int) -> Conversation[list[int]]:
        """Take output words up to the `count`-th of `kind`."""
        for _ in range(self._patience):
            seen = [place for place, word in enumerate(self._output) if word >> 14 == kind]
            if len(seen) >= count:
                end = seen[count - 1] + 1
                words, self._output = self._output[:end], self._output[end:]
                return words
            yield from self._transact(self._poll(), self._poll(), wait=Wait.IDLE)
        raise LinkError(f"output must hold {count} of {kind.name}, not {len(seen)}")

    def _histogram(self, words: list[int], timesteps: int) -> np.ndarray:
        words = np.array(words, dtype=np.int64)
        kind, neuron = words >> 14, words & 0x3FFF
        if (kind == EventKind.CLEAR).any():
            raise LinkError(f"output must hold {timesteps} of TICK in a row, not CLEAR")
        spike = kind == EventKind.SPIKE
        timestep = np.cumsum(kind == EventKind.TICK)
        events = np.zeros((timesteps, self._config.neurons), dtype=np.uint8)
        np.add.at(events, (timestep[spike], neuron[spike]), 1)
        return events

    def read_membranes(self) -> Conversation[list[np.ndarray]]:
        """Membranes of each layer, int64 arrays (neurons,) [LSB], once the core is idle."""
        if self._program is None:
            raise LinkError("no program was loaded")
        config, placement = self._config, self._placement()
        words = yield from self.read(Space.STATE, 0,
                                     placement.rows * config.lanes * config.slot_chunks)
        chunks = words.astype(np.int64).reshape(-1, config.slot_chunks)
        slots = (chunks << (16 * np.arange(config.slot_chunks))).sum(axis=1)
        half = 1 << (config.state_bits - 1)
        values = ((slots & (2 * half - 1)) ^ half) - half
        return [values[placed.units] for placed in placement.layers]

    def _placement(self) -> Placement:
        return place(self._program, self._config.lanes, len(self._config.tiers))

    def _lines(self, spikes: np.ndarray) -> np.ndarray:
        """`spikes` (..., axons of the program) on the core's lines."""
        if self._program is None or spikes.size == 0:
            return spikes
        axons = self._placement().input_axons
        lines = np.zeros((*spikes.shape[:-1], int(axons.max()) + 1), dtype=spikes.dtype)
        lines[..., axons] = spikes
        return lines

    def read_counters(self) -> Conversation[dict[str, int]]:
        """The counters by their names in ``COUNTERS``; ``accesses_k`` for tier k."""
        tiers = len(self._config.tiers)
        names = [*COUNTERS, *(f"accesses_{tier}" for tier in range(tiers))]
        words = yield from self.read(Space.REGISTERS, Register.COUNTERS,
                                     2 * (Counter.ACCESSES + tiers))
        values = words.astype(np.int64)
        return dict(zip(names, (values[::2] | values[1::2] << 16).tolist(), strict=True))

    def zero_counters(self) -> Conversation[None]:
        """Set all counters to 0."""
        yield from self._set(Register.CONTROL, 1)

    def _set(self, register: Register, value: int) -> Conversation[None]:
        yield from self.write(Space.REGISTERS, register, np.array([value]))

    def set_tier_modes(self, gated: int, fill: str) -> Conversation[None]:
        """Switch the lowest `gated` tiers off and all others on, between samples.

        Tiers that come back have lost their contents and are loaded again.

        Parameters
        ----------
        gated : int
            0 .. number of tiers - 1.
        fill : str
            ``zero`` or ``mid``, what replaces the gated bits.

        Raises
        ------
        ValueError
            If `gated` or `fill` is none of these.
        LinkError
            If no program was loaded or a request fails.
        """
        tiers = len(self._config.tiers)
        check_int("gated tiers", gated, 0, tiers - 1)
        check_one_of("tier fill", fill, TIER_FILLS)
        if self._program is None:
            raise LinkError("no program was loaded")
        off = ((1 << gated) - 1) << (tiers - gated)
        yield from self._set(Register.TIER_FILL, TIER_FILLS.index(fill))
        yield from self._set(Register.TIER_GATED, off)
        [lost] = yield from self.read(Space.REGISTERS, Register.TIER_LOST, 1)
        missing = int(lost) & ~off
        for space, address, words in memory_image(self._program, self._config, self._faults):
            if space >= Space.WEIGHTS and missing >> (space - Space.WEIGHTS) & 1:
                yield from self.write(space, address, words)
        yield from self._set(Register.TIER_LOST, missing)


def _place(space: int, address: int) -> bytes:
    return bytes((space,)) + address.to_bytes(3, "little")
