"""The golden device: core, memories and host link as bytes in and bytes out."""

from __future__ import annotations

import collections

import numpy as np

from lamina.models.config import (
    PROTOCOL_VERSION,
    Counter,
    DescriptorField,
    EventKind,
    HardwareConfig,
    LinkStatus,
    Opcode,
    Register,
    ResetRule,
    Space,
    StateRegion,
)
from lamina.models.link.driver import Exchange
from lamina.models.link.framing import FrameDecoder, Reply, Request
from lamina.models.neuron import lif_step
from lamina.models.program import Layer
from lamina.models.tiers import join_slices

__all__ = ["GoldenCore", "GoldenDevice"]

_ID, _VERSION = 0x4C41, 1
_INTERNAL = 1 << 15
_PLAIN = (Register.LAYERS, Register.INPUT_AXONS, Register.TIER_FILL)


class GoldenCore:
    """What the core does to its memories and with events, without time: it is always idle.

    Parameters
    ----------
    config : HardwareConfig
    """

    def __init__(self, config: HardwareConfig):
        self.output: collections.deque[int] = collections.deque()
        self._config = config
        self._tiers = len(config.tiers)
        self._descriptors = np.zeros(config.layers * 8, dtype=np.int64)
        self._slots = np.zeros((len(StateRegion), config.neurons), dtype=np.int64)
        self._weights = [np.zeros((config.weight_words, config.tier_chunks(tier)), dtype="<u2")
                         for tier in range(self._tiers)]
        self._registers = dict.fromkeys(_PLAIN, 0) | {Register.TIER_FILL: 1}
        self._wanted = self._gated = self._lost = 0
        self._between = True
        self._staged: collections.deque[int] = collections.deque(maxlen=128)
        self._counters = [0] * (Counter.ACCESSES + self._tiers)
        self._latched = 0
        self._bitmap = np.zeros(config.axons, dtype=np.uint8)
        self._former = np.zeros(config.neurons, dtype=np.uint8)
        self._layers: list[Layer | None] | None = None

    @property
    def refused(self) -> bool:
        """A tier that lost its contents is on."""
        return bool(self._lost & ~self._gated)

    @property
    def takes_events(self) -> bool:
        """A program is loaded and no tier without contents is on."""
        return self._registers[Register.LAYERS] != 0 and not self.refused

    def write(self, space: int, address: int, word: int) -> None:
        """Write one 16-bit word; the last chunk of a slot or weight word commits all of it."""
        self._staged.append(word)
        self._layers = None
        if space == Space.REGISTERS:
            self._write_register(address, word)
        elif space == Space.DESCRIPTORS and address < self._descriptors.size:
            self._descriptors[address] = word
        elif space == Space.STATE:
            self._write_slot(*divmod(address, self._config.slot_chunks))
        elif space >= Space.WEIGHTS:
            self._write_weights(space - Space.WEIGHTS, address)

    def _commit(self, chunks: int) -> list[int]:
        recent = [0] * chunks + list(self._staged)
        return recent[-chunks:]

    def _write_slot(self, slot: int, chunk: int) -> None:
        if chunk == self._config.slot_chunks - 1 and slot < self._slots.size:
            value = sum(word << (16 * place) for place, word in
                        enumerate(self._commit(self._config.slot_chunks)))
            self._slots.flat[slot] = value & ((1 << self._config.slot_bits) - 1)

    def _write_weights(self, tier: int, address: int) -> None:
        chunks = self._config.tier_chunks(tier)
        word, chunk = divmod(address, chunks)
        if chunk == chunks - 1 and word < self._config.weight_words:
            self._weights[tier][word] = self._commit(chunks)

    def _write_register(self, register: int, word: int) -> None:
        if register in _PLAIN:
            self._registers[register] = word
        elif register == Register.TIER_GATED:
            self._wanted = word & ((1 << self._tiers) - 2)
        elif register == Register.TIER_LOST:
            self._lost &= ~word
        elif register == Register.CONTROL and word & 1:
            self._counters = [0] * len(self._counters)
        self._switch_tiers()

    def _switch_tiers(self) -> None:
        if self._between:
            self._gated = self._wanted
        self._lost |= self._gated

    def read(self, space: int, address: int) -> int:
        """Read one 16-bit word; 0 where there is none."""
        if space == Space.REGISTERS:
            return self._read_register(address)
        if space == Space.DESCRIPTORS:
            return int(self._descriptors[address]) if address < self._descriptors.size else 0
        if space == Space.STATE:
            slot, chunk = divmod(address, self._config.slot_chunks)
            value = int(self._slots.flat[slot]) if slot < self._slots.size else 0
            return value >> (16 * chunk) & 0xFFFF
        words = self._weights[space - Space.WEIGHTS].reshape(-1)
        return int(words[address]) if address < words.size else 0

    def _read_register(self, register: int) -> int:
        fingerprint = self._config.fingerprint
        values = self._registers | {
            Register.ID: _ID, Register.VERSION: _VERSION,
            Register.CONFIG_LOW: fingerprint & 0xFFFF, Register.CONFIG_HIGH: fingerprint >> 16,
            Register.TIER_GATED: self._wanted, Register.TIER_LOST: self._lost}
        counter, high = divmod(register - Register.COUNTERS, 2)
        if not 0 <= counter < len(self._counters):
            return values.get(register, 0)
        if not high:
            self._latched = self._counters[counter] & 0xFFFFFFFF
        return self._latched >> (16 * high) & 0xFFFF

    def spike(self, axon: int) -> None:
        """Set `axon` in the open bitmap; dropped and counted beyond the program's inputs."""
        if axon < self._registers[Register.INPUT_AXONS]:
            self._bitmap[axon] = 1
        else:
            self._counters[Counter.DROPPED] += 1

    def clear(self) -> None:
        """End the sample: zero membranes, former spikes and bitmap, switch tiers."""
        self._slots[StateRegion.MEMBRANE] = 0
        self._former[:] = 0
        self._bitmap[:] = 0
        self._between = True
        self._switch_tiers()
        self._layers = None
        self.output.append(EventKind.CLEAR << 14)

    def tick(self) -> None:
        """Run all layers on the open bitmap, in order of their descriptors."""
        self._between = False
        if self._layers is None:
            self._layers = [self._decode(index)
                            for index in range(self._registers[Register.LAYERS])]
        for index, layer in enumerate(self._layers):
            if layer is not None:
                self._run(index, layer)
        self._bitmap[:] = 0
        self._counters[Counter.TICKS] += 1
        self.output.append(EventKind.TICK << 14)

    def _field(self, layer: int, field: DescriptorField) -> int:
        return int(self._descriptors[8 * layer + field])

    def _run(self, index: int, layer: Layer) -> None:
        config = self._config
        source = self._field(index, DescriptorField.SOURCE)
        flags = self._field(index, DescriptorField.FLAGS)
        first = self._field(index, DescriptorField.STATE_BASE) * config.lanes
        here = slice(first, first + layer.neurons)
        if source & _INTERNAL:
            start = (source & ~_INTERNAL) * config.lanes
            spikes = self._former[start:start + layer.axons]
        else:
            spikes = self._bitmap[:layer.axons]
            self._counters[Counter.SPIKES_IN] += int(spikes.sum())
        v = self._signed(self._slots[StateRegion.MEMBRANE, here])
        fired, v, _ = lif_step(layer, v, spikes, decay_bits=config.decay_bits,
                               state_bits=config.state_bits, acc_bits=config.acc_bits)
        self._slots[StateRegion.MEMBRANE, here] = v & ((1 << config.slot_bits) - 1)
        self._former[here] = fired
        self._count(index, layer, int(spikes.sum()), int(fired.sum()))
        if flags & 4:
            self.output.extend((first + np.flatnonzero(fired)).tolist())

    def _count(self, index: int, layer: Layer, spikes: int, fired: int) -> None:
        self._counters[Counter.SOPS] += spikes * layer.neurons
        self._counters[Counter.SPIKES_OUT] += fired
        off = self._off(index)
        for tier in range(self._tiers):
            if not off >> tier & 1:
                groups = self._field(index, DescriptorField.GROUPS)
                self._counters[Counter.ACCESSES + tier] += spikes * groups

    def _off(self, index: int) -> int:
        return self._gated | self._field(index, DescriptorField.FLAGS) >> 8

    def _signed(self, slots: np.ndarray) -> np.ndarray:
        half = 1 << (self._config.state_bits - 1)
        return ((slots & (2 * half - 1)) ^ half) - half

    def _decode(self, index: int) -> Layer | None:
        """The layer that the memories hold at `index`; None if it has no groups."""
        config = self._config
        groups = self._field(index, DescriptorField.GROUPS)
        if groups == 0:
            return None
        last = self._field(index, DescriptorField.LAST_LANES)
        neurons = (groups - 1) * config.lanes + (last & 0xFF)
        first = self._field(index, DescriptorField.STATE_BASE) * config.lanes
        slots = self._slots[:, first:first + neurons]
        rule = ResetRule(self._field(index, DescriptorField.FLAGS) & 3)
        operand = self._signed(slots[StateRegion.RESET])
        none = np.zeros_like(operand)
        by_value = rule is ResetRule.VALUE
        return Layer(
            name=f"layer{index}", weights=self._decode_weights(index, groups)[:, :neurons],
            decay=slots[StateRegion.DECAY], theta=~self._signed(slots[StateRegion.THETA]),
            bias=self._signed(slots[StateRegion.BIAS]), r=none if by_value else ~operand,
            v_reset=operand if by_value else none, reset=rule, adder=config.adders[last >> 8 & 15])

    def _decode_weights(self, index: int, groups: int) -> np.ndarray:
        """Weights (axons, groups * lanes) as the lanes read them, gated tiers filled."""
        config = self._config
        axons = self._field(index, DescriptorField.AXONS)
        base = self._field(index, DescriptorField.WEIGHT_BASE)
        off, filled, slices = self._off(index), False, []
        for tier, bits in enumerate(config.tiers):
            if off >> tier & 1:
                middle = 0 if filled or not self._registers[Register.TIER_FILL] & 1 else 1
                part = np.full((axons, groups * config.lanes), middle << (bits - 1))
                filled = True
            else:
                part = self._slices(tier, base, groups, axons)
            slices.append(part)
        return join_slices(slices, config.tiers)

    def _slices(self, tier: int, base: int, groups: int, axons: int) -> np.ndarray:
        lanes, bits = self._config.lanes, self._config.tiers[tier]
        words = self._weights[tier][base:base + groups * axons]
        stream = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")[:, :lanes * bits]
        values = stream.reshape(groups, axons, lanes, bits) @ (1 << np.arange(bits))
        return values.transpose(1, 0, 2).reshape(axons, groups * lanes)


class GoldenDevice:
    """A device behind its host link: bytes in, bytes out.

    It has no clock: it is idle between any two frames, its output buffer has no end and its CYCLES
    counter stays 0. It serves as the transport of :func:`lamina.models.link.driver.converse`.

    Parameters
    ----------
    config : HardwareConfig
    """

    def __init__(self, config: HardwareConfig):
        self.core = GoldenCore(config)
        self._config = config
        self._decoder = FrameDecoder(config.payload_bytes)
        self._expected = 0
        self._kept: dict[int, bytes] = {}

    def exchange(self, exchange: Exchange) -> bytes:
        """Transport: the replies to what `exchange` sends."""
        return self.receive(exchange.data)

    def receive(self, data: bytes) -> bytes:
        """Replies to the frames that end in `data`."""
        return b"".join(self._answer(Request.parse(body)) for body in self._decoder.feed(data))

    def _answer(self, request: Request) -> bytes:
        if request.opcode == Opcode.HELLO:
            self._expected, self._kept = request.sequence, {}
        if request.sequence in self._kept:
            return self._kept[request.sequence]
        if request.sequence != self._expected:
            return self._reply(request, LinkStatus.SEQUENCE, bytes((self._expected,)))
        status, payload = self._execute(request)
        reply = self._reply(request, status, payload)
        if status is not LinkStatus.BUSY:
            self._expected = (request.sequence + 1) & 0xFF
            self._kept.pop((request.sequence - self._config.window) & 0xFF, None)
            if request.opcode != Opcode.HELLO:
                self._kept[request.sequence] = reply
        return reply

    def _reply(self, request: Request, status: LinkStatus, payload: bytes = b"") -> bytes:
        return Reply(sequence=request.sequence, opcode=request.opcode, status=status,
                     payload=payload).encode()

    def _execute(self, request: Request) -> tuple[LinkStatus, bytes]:
        actions = {Opcode.HELLO: self._hello, Opcode.STATUS: self._status,
                   Opcode.WRITE: self._write, Opcode.READ: self._read,
                   Opcode.EVENTS: self._events, Opcode.OUTPUT: self._output}
        if request.opcode not in actions:
            return LinkStatus.OPCODE, b""
        result = actions[request.opcode](request.payload)
        return result if isinstance(result, tuple) else (result, b"")

    def _hello(self, payload: bytes) -> LinkStatus | tuple[LinkStatus, bytes]:
        if payload:
            return LinkStatus.RANGE
        return LinkStatus.OK, (bytes((PROTOCOL_VERSION,))
                               + self._config.fingerprint.to_bytes(4, "little")
                               + bytes((self._config.window,)))

    def _status(self, payload: bytes) -> LinkStatus | tuple[LinkStatus, bytes]:
        if payload:
            return LinkStatus.RANGE
        waiting = min(len(self.core.output), self._config.output_words)
        flags = (1 | self.core.takes_events << 1 | self.core.refused << 2
                 | (waiting == self._config.output_words) << 3)
        return LinkStatus.OK, bytes((flags,)) + waiting.to_bytes(2, "little")

    def _place(self, payload: bytes) -> tuple[int, int] | None:
        """Space and address at the start of `payload`, if they exist."""
        space, address = payload[0], int.from_bytes(payload[1:4], "little")
        spaces = [Space.REGISTERS, Space.DESCRIPTORS, Space.STATE,
                  *range(Space.WEIGHTS, Space.WEIGHTS + len(self._config.tiers))]
        return (space, address) if space in spaces and address < 1 << 20 else None

    def _write(self, payload: bytes) -> LinkStatus:
        if len(payload) < 4 or len(payload) % 2 or self._place(payload) is None:
            return LinkStatus.RANGE
        space, address = self._place(payload)
        for offset, word in enumerate(np.frombuffer(payload[4:], dtype="<u2").tolist()):
            self.core.write(space, (address + offset) & 0xFFFFF, word)
        return LinkStatus.OK

    def _read(self, payload: bytes) -> LinkStatus | tuple[LinkStatus, bytes]:
        if len(payload) != 5 or self._place(payload) is None \
                or not 1 <= payload[4] <= self._config.reply_words:
            return LinkStatus.RANGE
        space, address = self._place(payload)
        words = [self.core.read(space, (address + offset) & 0xFFFFF)
                 for offset in range(payload[4])]
        return LinkStatus.OK, np.array(words, dtype="<u2").tobytes()

    def _events(self, payload: bytes) -> LinkStatus:
        if len(payload) < 3 or payload[0] > 2:
            return LinkStatus.RANGE
        offset, bitmap = int.from_bytes(payload[1:3], "little"), payload[3:]
        if offset % 8 or not offset < self._config.axons >= offset + 8 * len(bitmap):
            return LinkStatus.RANGE
        if self.core.refused:
            return LinkStatus.TIER_LOST
        axons = offset + np.flatnonzero(np.unpackbits(np.frombuffer(bitmap, dtype=np.uint8),
                                                      bitorder="little"))
        if not self.core.takes_events:
            return LinkStatus.BUSY
        for axon in axons.tolist():
            self.core.spike(axon)
        if payload[0] == 1:
            self.core.tick()
        elif payload[0] == 2:
            self.core.clear()
        return LinkStatus.OK

    def _output(self, payload: bytes) -> LinkStatus | tuple[LinkStatus, bytes]:
        if len(payload) != 1 or not 1 <= payload[0] <= self._config.reply_words:
            return LinkStatus.RANGE
        words = [self.core.output.popleft()
                 for _ in range(min(payload[0], len(self.core.output)))]
        return LinkStatus.OK, np.array(words, dtype="<u2").tobytes()
