"""Bridges between asynchronous address-events (4-phase) and the core's streams."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from lamina.models.config import AerConfig, EventKind, HardwareConfig
from lamina.rtl.streams import event_layout, output_layout

__all__ = ["AerReceiver", "AerSender"]


class AerReceiver(wiring.Component):
    """Take events of a camera, number their axons, and close timesteps.

    Handshake: the sender holds ``address``, raises ``req``, and may change both after ``ack`` rose
    and before it falls. The request passes two flip-flops; with an immediate sender an event takes
    6 cycles. Alternatively ``raw`` takes one address per cycle from a sender in the core's clock
    domain; it must not be used together with the handshake. What has been acknowledged always
    reaches ``events``. Golden: :func:`lamina.models.aer.aer_axons`.

    Parameters
    ----------
    config : HardwareConfig
    aer : AerConfig
        Its axons must fit those of `config`.

    Members
    -------
    req, address, ack
        The camera's pins; asserted low with ``aer.active_low``.
    raw : In(stream of address)
    tick_stb, clear_stb : In(1)
        A timestep, or a sample, ends with the events taken so far. A strobe is remembered until it
        could be passed on; a second one before that is lost.
    events : Out(stream of event_layout)
    taken_stb, dropped_stb : Out(1)
        An event was taken; it lay outside the sensor.
    """

    def __init__(self, config: HardwareConfig, aer: AerConfig):
        if aer.axons > config.axons:
            raise ValueError(f"aer must reach at most {config.axons} axons, not {aer.axons}")
        self._config, self._aer = config, aer
        super().__init__({
            "req": In(1),
            "address": In(aer.address_bits),
            "ack": Out(1),
            "raw": In(stream.Signature(aer.address_bits)),
            "tick_stb": In(1),
            "clear_stb": In(1),
            "events": Out(stream.Signature(event_layout(config))),
            "taken_stb": Out(1),
            "dropped_stb": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        low = self._aer.active_low
        request, synchronised = Signal(name="request"), Signal(name="synchronised")
        acknowledge = Signal()
        m.d.sync += [request.eq(~self.req if low else self.req), synchronised.eq(request)]
        m.d.comb += self.ack.eq(~acknowledge if low else acknowledge)

        captured = Signal(self._aer.address_bits)
        waiting = Signal()
        room, advance = Signal(), Signal()
        shaking = Signal()
        closing = self._closing(m)
        m.d.comb += [
            shaking.eq(synchronised & ~acknowledge & room),
            self.raw.ready.eq(room & ~shaking),
            self.taken_stb.eq(shaking | (self.raw.valid & self.raw.ready)),
        ]
        with m.If(shaking):
            m.d.sync += acknowledge.eq(1)
        with m.If(~synchronised):
            m.d.sync += acknowledge.eq(0)
        with m.If(self.taken_stb):
            m.d.sync += [waiting.eq(1),
                         captured.eq(Mux(shaking, self.address, self.raw.payload))]
        with m.Elif(advance):
            m.d.sync += waiting.eq(0)
        self._pass_on(m, captured, waiting, room, advance, closing)
        return m

    def _closing(self, m):
        """Ends of timesteps and samples that wait to be passed on, in the order of their strobes.

        A tick goes before the clear of the same cycle.
        """
        tick, clear = Signal(name="tick_waits"), Signal(name="clear_waits")
        clear_first, clear_next = Signal(name="clear_first"), Signal(name="clear_next")
        passed = Signal(name="close_passed")
        tick_passed = passed & ~clear_next
        sample_ends = self._sample_ends(m, tick_passed)
        m.d.comb += clear_next.eq(clear & (~tick | clear_first))
        m.d.sync += [
            tick.eq(self.tick_stb | (tick & ~tick_passed)),
            clear.eq(self.clear_stb | sample_ends | (clear & ~(passed & clear_next))),
            clear_first.eq(Mux(passed, tick_passed & (clear | sample_ends), clear_next)),
        ]
        return tick | clear, clear_next, passed

    def _sample_ends(self, m, tick_passed):
        """Condition: the tick that is passed on is the last of its sample."""
        timesteps = self._aer.timesteps
        if not timesteps:
            return 0
        left = Signal(range(timesteps), init=timesteps - 1)
        with m.If(tick_passed):
            m.d.sync += left.eq(Mux(left == 0, timesteps - 1, left - 1))
        return tick_passed & (left == 0)

    def _pass_on(self, m, captured, waiting, room, advance, closing):
        """One captured event at a time; a tick goes out when none waits."""
        aer, payload = self._aer, self.events.payload
        x = captured[aer.x_low:aer.x_low + aer.x_bits]
        y = captured[aer.y_low:aer.y_low + aer.y_bits]
        polarity = captured[aer.polarity_low] if aer.polarities == 2 else 0
        inside = (x < aer.columns) & (y < aer.rows)
        axon = Signal(range(self._config.axons))
        known, valid = Signal(name="known"), Signal(name="valid")
        steps = aer.steps
        closed, clear_next, passed = closing
        closes = Signal()
        m.d.comb += [
            advance.eq(~valid | ~known | self.events.ready),
            closes.eq(~valid & ~waiting & closed),
            room.eq(~closed & (~waiting | advance)),
            self.events.valid.eq((valid & known) | closes),
            payload.kind.eq(Mux(valid, EventKind.SPIKE,
                                Mux(clear_next, EventKind.CLEAR, EventKind.TICK))),
            payload.axon.eq(Mux(valid, axon, 0)),
            passed.eq(closes & self.events.ready),
            self.dropped_stb.eq(valid & ~known),
        ]
        with m.If(advance):
            m.d.sync += [valid.eq(waiting), known.eq(inside),
                         axon.eq(x * steps[0] + y * steps[1] + polarity * steps[2])]


class AerSender(wiring.Component):
    """Send the core's spikes out as 4-phase address-events; ticks and clears end here.

    The address is the neuron's number. The acknowledge passes two flip-flops; with an immediate
    receiver an event takes 6 cycles.

    Parameters
    ----------
    config : HardwareConfig

    Members
    -------
    output : In(stream of output_layout)
    req, address : Out
    ack : In(1)
    tick_stb, clear_stb : Out(1)
        A TICK or CLEAR came out of the core.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        super().__init__({
            "output": In(stream.Signature(output_layout(config))),
            "req": Out(1),
            "address": Out((config.neurons - 1).bit_length()),
            "ack": In(1),
            "tick_stb": Out(1),
            "clear_stb": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        payload = self.output.payload
        acknowledged, synchronised = Signal(name="acknowledged"), Signal(name="synchronised")
        m.d.sync += [acknowledged.eq(self.ack), synchronised.eq(acknowledged)]
        spike = payload.kind == EventKind.SPIKE
        free = ~self.req & ~synchronised
        m.d.comb += [
            self.output.ready.eq(free | ~spike),
            self.tick_stb.eq(self.output.valid & (payload.kind == EventKind.TICK)),
            self.clear_stb.eq(self.output.valid & (payload.kind == EventKind.CLEAR)),
        ]
        with m.If(self.output.valid & spike & free):
            m.d.sync += [self.req.eq(1), self.address.eq(payload.neuron)]
        with m.Elif(synchronised):
            m.d.sync += self.req.eq(0)
        return m
