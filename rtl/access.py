"""Host access: registers, descriptors, state and weights behind one request stream."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from lamina.models.config import SPRAM_WAKE_CYCLES, HardwareConfig, Register, Space
from lamina.rtl.copies import copies
from lamina.rtl.streams import request_layout

__all__ = ["CORE_ID", "CORE_VERSION", "HostAccess"]

CORE_ID = 0x4C41
CORE_VERSION = 1


class HostAccess(wiring.Component):
    """Serve one request after the other; memories only while ``idle``.

    A write takes 2 cycles (the last chunk of a wide word commits it, one cycle later), a read of a
    register or weight 7, of a state ``min(lanes, 16) + 7`` at most, a counter read one counter
    round more. What goes to the memories comes from registers.

    Parameters
    ----------
    config : HardwareConfig

    Members
    -------
    request : In(stream of request_layout)
    response : Out(stream of 16 bit)
        One per read.
    idle : In(1)
    between : In(1)
        Between samples: tier modes may take effect.
    layers, input_axons : Out
        Registers of these names.
    loaded : Out(1)
        ``layers`` is not 0.
    gated, fill_mid : Out
        Tiers off now; their fill.
    refused : Out(1)
        A tier that lost its contents is on.
    sleep : Out(tiers)
        ``spram`` only. Tiers that are off and to stay off; after it :data:`SPRAM_WAKE_CYCLES`
        cycles pass without an access.
    descriptor_address, descriptor_write, descriptor_i, descriptor_o
        To the scheduler.
    busy : Out(1)
        The state and weight ports belong to the host.
    hold : Out(1)
        A memory is wanted: take no events, so that ``idle`` comes and stays.
    state_address, state_lanes, state_i, state_shift, state_o
        To the state memory: row to read or write, lanes to write, slot for each block of lanes,
        shift of each, slot of its lane 0. What is written is 0 but with a write.
    weight_address, weight_read, weight_write, weight_i, weight_o
        To the weight memory; the address a cycle before the rest, and while it is wanted.
    zero_stb, counter_read, counter_index, counter_low, counter_high, counter_ready
        To the counters.
    """

    def __init__(self, config: HardwareConfig, counters: int):
        if not isinstance(config, HardwareConfig):
            raise TypeError(f"config must be a HardwareConfig, not {config!r}")
        self._config = config
        self._row_bits = (8 * config.groups - 1).bit_length()
        self._lane_bits = (config.lanes - 1).bit_length()
        self._block_bits = (config.lanes // config.blocks - 1).bit_length()
        tiers = len(config.tiers)
        widest = config.lanes * max(config.tiers)
        super().__init__({
            "request": In(stream.Signature(request_layout())),
            "response": Out(stream.Signature(16)),
            "idle": In(1),
            "between": In(1),
            "layers": Out(range(config.layers + 1)),
            "loaded": Out(1),
            "input_axons": Out((config.axons - 1).bit_length() + 1),
            "gated": Out(tiers),
            "fill_mid": Out(1, init=1),
            "refused": Out(1),
            "descriptor_address": Out((config.layers * config.descriptor_words - 1).bit_length()),
            "descriptor_write": Out(1),
            "descriptor_i": Out(16),
            "descriptor_o": In(16),
            "busy": Out(1),
            "hold": Out(1),
            "state_address": Out(self._row_bits),
            "state_lanes": Out(config.lanes),
            "state_i": Out(data.ArrayLayout(config.slot_bits, config.blocks)),
            "state_shift": Out(config.blocks),
            "state_o": In(data.ArrayLayout(config.slot_bits, config.blocks)),
            "weight_address": Out((config.weight_words - 1).bit_length()),
            "weight_read": Out(tiers),
            "weight_write": Out(tiers),
            "weight_i": Out(widest),
            "weight_o": In(widest),
            "zero_stb": Out(1),
            "counter_read": Out(1),
            "counter_index": Out((counters - 1).bit_length()),
            "counter_low": In(16),
            "counter_high": In(16),
            "counter_ready": In(1),
            **({"sleep": Out(tiers)} if config.bank == "spram" else {}),
        })

    def elaborate(self, platform):
        m = Module()
        request = self.request.payload
        space, address = request.space, request.address
        is_register = space == Space.REGISTERS
        pending, writing, to_register = Signal(), Signal(), Signal()
        served = Signal()
        waking = Signal()
        rested = Signal()
        m.d.sync += [pending.eq(self.request.valid & ~self.request.ready & ~waking),
                     writing.eq(request.write), to_register.eq(is_register),
                     rested.eq(self.idle)]
        m.d.comb += [
            served.eq(pending & (to_register | rested)),
            self.hold.eq(self.request.valid & ~is_register),
        ]
        chunk = self._locate(m, address, space)
        slot = self._stage(m)
        storing, lane = Signal(), Signal.like(chunk["lane"])
        stored = Signal(self._config.slot_bits)
        m.d.comb += self.state_i.as_value().eq(
            Cat(*copies(m, stored, self._config.blocks, "stored")))
        tier_writes = Signal(len(self._config.tiers))
        write = Signal()
        m.d.comb += write.eq(served & writing)
        m.d.sync += [
            self.busy.eq(pending & rested), self.weight_write.eq(tier_writes),
            self.descriptor_address.eq(address), self.descriptor_i.eq(request.data),
            self.descriptor_write.eq(0), storing.eq(0), lane.eq(chunk["lane"]),
        ]
        with m.If(storing):
            m.d.comb += self.state_lanes.eq(1 << lane)
        with m.If(write):
            m.d.comb += self.request.ready.eq(1)
            with m.If(is_register):
                self._write_register(m, address, request.data)
            with m.Elif(space == Space.DESCRIPTORS):
                m.d.sync += self.descriptor_write.eq(1)
            with m.Elif((space == Space.STATE) & chunk["state_last"]):
                m.d.sync += storing.eq(1)
                m.d.comb += stored.eq(slot)
            with m.Elif(space[3] & chunk["weight_last"]):
                m.d.comb += tier_writes.eq(1 << space[:3])
        wanted, lost, switched = self._modes(m, write & is_register)
        if self._config.bank == "spram":
            self._sleep(m, wanted & switched, waking)
        self._read(m, served & ~writing, chunk, {
            Register.LAYERS: self.layers, Register.INPUT_AXONS: self.input_axons,
            Register.TIER_GATED: wanted, Register.TIER_FILL: self.fill_mid,
            Register.TIER_LOST: lost})
        return m

    def _locate(self, m, address, space):
        """Split the word address into row, lane and chunk of each memory."""
        config = self._config
        state_bits = (config.slot_chunks - 1).bit_length()
        state_chunk = address[:state_bits]
        lane = address[state_bits:state_bits + self._lane_bits]
        m.d.sync += self.state_address.eq(address[state_bits + self._lane_bits:])
        counts = [config.tier_chunks(tier) for tier in range(len(config.tiers))]
        weight_chunk = Signal(max((max(counts) - 1).bit_length(), 1))
        weight_last = Signal()
        with m.Switch(space[:3]):
            for count in sorted(set(counts)):
                bits = (count - 1).bit_length()
                tiers = [tier for tier in range(len(counts)) if counts[tier] == count]
                with m.Case(*tiers) if len(set(counts)) > 1 else m.Default():
                    m.d.comb += [self.weight_address.eq(address[bits:]),
                                 weight_chunk.eq(address[:bits]),
                                 weight_last.eq(address[:bits] == count - 1)]
        return {"lane": lane, "state": state_chunk,
                "state_last": state_chunk == config.slot_chunks - 1,
                "weight": weight_chunk, "weight_last": weight_last}

    def _stage(self, m):
        """Collect the chunks of a wide word, the newest one at the top; returns the state slot.

        A chunk is there in the second cycle after its request was taken: none is taken earlier.
        """
        config = self._config
        data, taken = self.request.payload.data, Signal()
        m.d.sync += taken.eq(self.request.valid & self.request.ready & self.request.payload.write)
        widest = max(config.slot_chunks, *(config.tier_chunks(t) for t in range(len(config.tiers))))
        if widest == 1:
            m.d.sync += self.weight_i.eq(data)
            return data
        staged = Signal(16 * (widest - 1))
        with m.If(taken):
            m.d.sync += staged.eq(Cat(staged, self.descriptor_i)[16:])
        whole = Cat(staged, data)
        with m.Switch(self.request.payload.space[:3]):
            for tier in range(len(config.tiers)):
                with m.Case(tier):
                    m.d.sync += self.weight_i.eq(whole[16 * (widest - config.tier_chunks(tier)):])
        return whole[16 * (widest - config.slot_chunks):]

    def _write_register(self, m, address, value):
        with m.Switch(address):
            with m.Case(Register.LAYERS):
                m.d.sync += [self.layers.eq(value), self.loaded.eq(value != 0)]
            with m.Case(Register.INPUT_AXONS):
                m.d.sync += self.input_axons.eq(value)
            with m.Case(Register.TIER_FILL):
                m.d.sync += self.fill_mid.eq(value[0])
            with m.Case(Register.CONTROL):
                m.d.comb += self.zero_stb.eq(value[0])

    def _modes(self, m, write):
        """Tier modes: returns what was asked for, whose contents are lost, what is off next."""
        tiers = len(self._config.tiers)
        request = self.request.payload
        wanted = Signal(tiers)
        lost = Signal(tiers)
        rewritten = Signal(tiers)
        with m.If(write & (request.address == Register.TIER_GATED)):
            m.d.sync += wanted.eq(request.data[:tiers] & ~Const(1, tiers))
        with m.If(write & (request.address == Register.TIER_LOST)):
            m.d.comb += rewritten.eq(request.data)
        kept = (lost & ~rewritten) | self.gated
        switched = Mux(self.between & self.idle, wanted, self.gated)
        m.d.sync += [self.gated.eq(switched), lost.eq(kept),
                     self.refused.eq((kept & ~switched).any())]
        return wanted, lost, switched

    def _sleep(self, m, off, waking):
        """Let the tiers that are `off` sleep; `waking` keeps the requests behind their wake-up.

        A tier wakes only after a write to TIER_GATED, when no other request is pending.
        """
        left = Signal(range(SPRAM_WAKE_CYCLES))
        woken = (self.sleep & ~off).any()
        m.d.comb += waking.eq(woken | left.any())
        m.d.sync += self.sleep.eq(off)
        with m.If(woken):
            m.d.sync += left.eq(SPRAM_WAKE_CYCLES - 1)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)

    def _read(self, m, asked, chunk, variables):
        """Serve reads: fetch, shift the wanted lane down or wait for the counters, respond."""
        request = self.request.payload
        value = Signal(16)
        lane = chunk["lane"]
        shifts = Signal(self._block_bits + 1)
        shifting = Signal()
        slot = self.state_o[0] if self._config.blocks == 1 else (
            self.state_o[lane[self._block_bits:]])
        m.d.comb += self.state_shift.eq(Cat(*copies(m, shifting, self._config.blocks, "shift")))
        counter = Cat(request.address[1:4], request.address[5])
        weight = Signal(16)
        m.d.sync += weight.eq(self.weight_o.word_select(chunk["weight"], 16))
        m.d.comb += [self.response.payload.eq(value), self.counter_index.eq(counter)]
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [shifts.eq(lane[:self._block_bits]), self.weight_read.eq(0)]
                with m.If(asked):
                    m.next = "AIM"
                    with m.If((request.space == Space.REGISTERS) & request.address[4:].any()):
                        m.next = "COUNTER"
                    with m.If(request.space[3]):
                        m.d.sync += self.weight_read.eq(1 << request.space[:3])
            with m.State("AIM"):
                m.d.sync += self.weight_read.eq(0)
                m.next = "WAIT"
            with m.State("WAIT"):
                m.next = "FETCH"
            with m.State("FETCH"):
                m.next = "SELECT"
                with m.If(request.space == Space.STATE):
                    m.d.comb += shifting.eq(1)
                    m.next = "SHIFT"
            with m.State("SELECT"):
                self._select(m, value, variables, weight)
                m.next = "RESPOND"
            with m.State("SHIFT"):
                m.d.comb += shifting.eq(shifts != 0)
                m.d.sync += [shifts.eq(shifts - 1),
                             value.eq(slot.word_select(chunk["state"], 16))]
                with m.If(shifts == 0):
                    m.next = "RESPOND"
            with m.State("COUNTER"):
                m.d.comb += self.counter_read.eq(~request.address[0])
                m.d.sync += value.eq(Mux(request.address[0], self.counter_high, self.counter_low))
                with m.If(self.counter_ready | request.address[0]):
                    m.next = "RESPOND"
            with m.State("RESPOND"):
                m.d.comb += self.response.valid.eq(1)
                with m.If(self.response.ready):
                    m.d.comb += self.request.ready.eq(1)
                    m.next = "IDLE"

    def _select(self, m, value, variables, weight):
        """Latch the word that the request names."""
        request = self.request.payload
        fingerprint = self._config.fingerprint
        constants = {Register.ID: CORE_ID, Register.VERSION: CORE_VERSION,
                     Register.CONFIG_LOW: fingerprint & 0xFFFF,
                     Register.CONFIG_HIGH: fingerprint >> 16}
        with m.Switch(request.space):
            with m.Case(Space.REGISTERS), m.Switch(request.address[:4]):
                for register, known in (constants | variables).items():
                    with m.Case(register):
                        m.d.sync += value.eq(known)
                with m.Default():
                    m.d.sync += value.eq(0)
            with m.Case(Space.DESCRIPTORS):
                m.d.sync += value.eq(self.descriptor_o)
            with m.Default():
                m.d.sync += value.eq(weight)
