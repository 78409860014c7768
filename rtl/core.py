"""The core: a spiking network, layer by layer, group by group, spike by spike."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped

from lamina.models.config import Counter, HardwareConfig, StateRegion
from lamina.rtl.access import HostAccess
from lamina.rtl.copies import is_fast
from lamina.rtl.counters import Counters
from lamina.rtl.emitter import Emitter
from lamina.rtl.lanes import Lanes, StateMemory
from lamina.rtl.partial_memory import PartialMemory
from lamina.rtl.scanner import Scanner
from lamina.rtl.scheduler import Scheduler, job_switches
from lamina.rtl.sequencer import Sequencer
from lamina.rtl.spike_buffer import SpikeBuffer
from lamina.rtl.streams import event_layout, output_layout, request_layout
from lamina.rtl.weight_memory import WeightMemory

__all__ = ["Core"]


class Core(wiring.Component):
    """Leaky integrate-and-fire layers on tiered weight memory (docs/architecture.md).

    Golden: :func:`lamina.models.network.run`; cycles: :mod:`lamina.models.cost`.

    Parameters
    ----------
    config : HardwareConfig

    Members
    -------
    events : In(stream of event_layout)
    output : Out(stream of output_layout)
    request : In(stream of request_layout)
    response : Out(stream of 16 bit)
    idle : Out(1)
        No closed bitmap waits, no layer runs, every output was taken.
    tick_ready : Out(1)
        A TICK or CLEAR given now would be taken at once.
    refused : Out(1)
        A tier that lost its contents is switched on; events are not taken.
    freed_stb : Out(1)
        The closed bitmap was scanned and erased; with the feature ``ahead`` only.
    ended_stb : Out(1)
        A timestep or clearing is over: the sums that came for it are not read again; with the
        feature ``partial`` only.
    partial_stb, partial_neuron, partial_next, partial_value : In
        The sum of another tile for a neuron, of the timestep that is open or of the next one; with
        the feature ``partial`` only.
    """

    def __init__(self, config: HardwareConfig):
        if not isinstance(config, HardwareConfig):
            raise TypeError(f"config must be a HardwareConfig, not {config!r}")
        self._config = config
        super().__init__({
            "events": In(stream.Signature(event_layout(config))),
            "output": Out(stream.Signature(output_layout(config))),
            "request": In(stream.Signature(request_layout())),
            "response": Out(stream.Signature(16)),
            "idle": Out(1),
            "tick_ready": Out(1),
            "refused": Out(1),
            **({"freed_stb": Out(1)} if config.has("ahead") else {}),
            **({"ended_stb": Out(1), "partial_stb": In(1),
                "partial_neuron": In((config.neurons - 1).bit_length()),
                "partial_next": In(1), "partial_value": In(config.acc_bits)}
               if config.has("partial") else {}),
        })

    def elaborate(self, platform):
        m = Module()
        config = self._config
        most = [1, 1, 1, config.lanes * config.ports, config.lanes, 1]
        most += [config.ports] * len(config.tiers)
        m.submodules.buffer = buffer = SpikeBuffer(config)
        m.submodules.scanner = scanner = Scanner(config)
        m.submodules.scheduler = scheduler = Scheduler(config)
        m.submodules.sequencer = sequencer = Sequencer(config)
        m.submodules.weights = weights = WeightMemory(config)
        m.submodules.state = state = StateMemory(config)
        m.submodules.lanes = lanes = Lanes(config)
        m.submodules.emitter = emitter = Emitter(config)
        m.submodules.counters = counters = Counters(most, distributed=is_fast(config, platform))
        m.submodules.access = access = HostAccess(config, len(most))
        connect(m, flipped(self.events), buffer.events)
        connect(m, emitter.output, flipped(self.output))
        connect(m, flipped(self.request), access.request)
        connect(m, access.response, flipped(self.response))

        drained = ~sequencer.active & emitter.empty
        m.d.comb += [
            self.idle.eq(scheduler.waiting & ~scheduler.job_valid & drained),
            self.tick_ready.eq(buffer.open),
            self.refused.eq(access.refused),
            buffer.hold.eq(access.refused | access.hold | ~access.loaded
                           | scheduler.resetting),
            buffer.input_axons.eq(access.input_axons),
            access.idle.eq(self.idle),
            access.between.eq(scheduler.between),
            scheduler.drained.eq(drained),
            scheduler.layers.eq(access.layers),
            scheduler.closed.eq(buffer.closed),
            scheduler.clear.eq(buffer.clear),
            buffer.done_stb.eq(scheduler.done_stb),
        ]
        self._connect_jobs(m, scheduler, sequencer)
        former = self._connect_spikes(m, buffer, scanner, scheduler, sequencer, lanes)
        self._connect_weights(m, sequencer, weights, lanes, access)
        self._connect_state(m, sequencer, scheduler, state, lanes, access)
        m.d.comb += [
            lanes.add.eq(sequencer.add), lanes.first.eq(sequencer.first),
            lanes.enabled.eq(sequencer.enabled), lanes.step.eq(sequencer.step),
            lanes.rule.eq(sequencer.rule), lanes.finishing.eq(sequencer.finishing),
            lanes.weights.eq(weights.weights), lanes.word.eq(state.word),
            lanes.spiked.eq(former), lanes.store.eq(sequencer.store),
            *[getattr(lanes, name).eq(getattr(sequencer, name))
              for name in job_switches(config)],
            *([scanner.kappa.eq(scheduler.kappa),
               lanes.follow.eq(self._followed(m, scanner, sequencer))]
              if config.has("follow") else []),
            *([self.freed_stb.eq(scheduler.done_stb)] if config.has("ahead") else []),
            *([lanes.adder.eq(sequencer.adder)] if len(config.adders) > 1 else []),
            *([sequencer.axon_second.eq(scanner.axon_second),
               weights.access_second.eq(sequencer.access_second),
               weights.address_second.eq(sequencer.address_second.as_value()),
               lanes.add_second.eq(sequencer.add_second),
               lanes.weights_second.eq(weights.weights_second)] if config.ports > 1 else []),
            scheduler.descriptor_address.eq(access.descriptor_address),
            scheduler.descriptor_write.eq(access.descriptor_write),
            scheduler.descriptor_i.eq(access.descriptor_i),
            access.descriptor_o.eq(scheduler.descriptor_o),
        ]
        self._connect_output(m, sequencer, scheduler, emitter, lanes)
        if config.has("partial"):
            self._connect_partial(m, buffer, sequencer, scheduler, lanes)
        self._connect_counters(m, counters, access, buffer, scanner, scheduler, sequencer, weights,
                               lanes)
        return m

    def _followed(self, m, scanner, sequencer):
        """What the finishing group follows: the list may be another one's when it is added."""
        followed = Signal.like(scanner.follow0)
        with m.If(sequencer.listed_stb):
            m.d.sync += followed.eq(Mux(sequencer.tag, scanner.follow1, scanner.follow0))
        return followed

    def _connect_jobs(self, m, scheduler, sequencer):
        m.d.comb += [
            sequencer.job.eq(scheduler.job),
            sequencer.job_valid.eq(scheduler.job_valid),
            scheduler.job_take.eq(sequencer.job_take),
        ]

    def _connect_spikes(self, m, buffer, scanner, scheduler, sequencer, lanes):
        """Bitmaps to lists; returns the former spikes of the finishing group."""
        config = self._config
        m.submodules.masks = masks = Memory(shape=config.lanes, depth=config.mask_rows, init=[],
                                            attrs={"no_rw_check": 1})
        write, scan, former = masks.write_port(), masks.read_port(), masks.read_port()
        job = scheduler.job
        taken = sequencer.tag == job.tag
        behind = Mux(taken, sequencer.ending, sequencer.active)
        spiked = Signal(config.lanes)
        m.d.sync += spiked.eq(former.data)
        m.d.comb += [
            former.addr.eq(sequencer.mask_row),
            write.addr.eq(Mux(scheduler.clearing, scheduler.clear_row, sequencer.store_row)),
            write.data.eq(Mux(scheduler.clearing, 0, lanes.spikes)),
            write.en.eq(sequencer.store[0] | scheduler.clearing),
            scan.addr.eq(job.source_row + scanner.address),
            buffer.address.eq(Mux(scheduler.clearing, scheduler.clear_row, scanner.address)),
            buffer.erase.eq((scanner.fetch & ~job.internal) | scheduler.clearing),
            buffer.erase_all.eq(scheduler.resetting),
            scanner.word.eq(Mux(job.internal, scan.data, buffer.word)),
            scanner.start.eq(scheduler.scan_start),
            scanner.slot.eq(scheduler.scan_tag),
            scanner.words.eq(scheduler.scan_words),
            scanner.silent.eq(buffer.silent & ~job.internal),
            scanner.ready_words.eq(scheduler.scan_words),
            scheduler.scan_busy.eq(scanner.busy),
            scanner.read_slot.eq(sequencer.tag),
            scanner.read_index.eq(sequencer.read_index),
            sequencer.axon.eq(scanner.axon),
            sequencer.count.eq(Mux(sequencer.tag, scanner.count1, scanner.count0)),
            sequencer.complete.eq(~scanner.busy | (sequencer.tag != job.tag)),
        ]
        if config.has("sources"):
            behind = behind & (job.source_row == sequencer.base_row)
            self._connect_sources(m, buffer, scanner, scheduler, sequencer, write, scan)
        with m.If(job.internal & behind):
            m.d.comb += scanner.ready_words.eq(Mux(sequencer.fresh & ~taken, 0,
                                                   sequencer.rows_done))
        return spiked

    def _connect_sources(self, m, buffer, scanner, scheduler, sequencer, write, scan):
        """Several sources per list, relays that copy spikes, windows over maps."""
        job = scheduler.job
        place = job.source_row + Mux(scheduler.copying, scheduler.copy_index, scanner.address)
        lists = scanner.busy | scheduler.listing
        taken = (scanner.fetch | scheduler.copying) & ~job.internal & ~job.keep
        m.d.comb += [
            scheduler.running.eq(sequencer.active),
            scanner.append.eq(scheduler.scan_append),
            scan.addr.eq(place),
            buffer.address.eq(Mux(scheduler.clearing, scheduler.clear_row, place)),
            buffer.erase.eq(taken | scheduler.clearing),
            sequencer.complete.eq(~lists | (sequencer.tag != job.tag)),
        ]
        with m.If(scheduler.copied):
            m.d.comb += [write.addr.eq(scheduler.copy_row), write.en.eq(1),
                         write.data.eq(Mux(job.internal, scan.data, buffer.word))]
        if self._config.has("windows"):
            m.d.comb += [scanner.window.eq(scheduler.window), scanner.aim.eq(scheduler.aim)]

    def _connect_weights(self, m, sequencer, weights, lanes, access):
        m.d.comb += [
            weights.access.eq(sequencer.access),
            sequencer.host_address.eq(access.weight_address),
            weights.address.eq(sequencer.address.as_value()),
            weights.gated.eq(access.gated | sequencer.gated),
            weights.fill_mid.eq(access.fill_mid),
            weights.host_read.eq(access.weight_read),
            weights.host_write.eq(access.weight_write),
            weights.host_i.eq(access.weight_i),
            access.weight_o.eq(weights.host_o),
        ]
        if self._config.bank == "spram":
            self._connect_pins(m, sequencer, weights, access)

    def _connect_pins(self, m, sequencer, weights, access):
        """Tiers that the layer does not read stand by, as do all while neither it nor the host do.

        STANDBY ends a cycle after a layer's start or a request's arrival; the first access comes a
        cycle later for the host, two for a layer.
        """
        asked = self.request.valid & self.request.payload.space[3]
        resting = Mux(sequencer.active, sequencer.resting, ~0)
        needed = ~resting | asked.replicate(len(weights.standby))
        m.d.sync += weights.standby.eq(~needed)
        m.d.comb += weights.sleep.eq(access.sleep)

    def _connect_state(self, m, sequencer, scheduler, state, lanes, access):
        config = self._config
        m.d.comb += [
            state.address.eq(Mux(access.busy, access.state_address, sequencer.state_address)),
            state.shift.eq(access.state_shift),
            *[access.state_o[block].eq(state.word[block * config.lanes // config.blocks])
              for block in range(config.blocks)],
            state.write_address.eq(sequencer.store_row),
        ]
        stored, cleared = Signal(config.lanes), Signal(config.lanes)
        stores = Cat(*[store.replicate(config.lanes // config.blocks) for store in sequencer.store])
        m.d.comb += stored.eq(sequencer.finishing & stores)
        with m.If(scheduler.clearing):
            row = StateRegion.MEMBRANE * config.groups + scheduler.clear_row
            inside = scheduler.clear_row < config.groups
            m.d.comb += [state.write_address.eq(row), cleared.eq(inside.replicate(config.lanes))]
        with m.Elif(access.busy):
            m.d.comb += state.write_address.eq(access.state_address)
        m.d.comb += state.write_lanes.eq(stored | cleared | access.state_lanes)
        for lane in range(config.lanes):
            membrane = lanes.membranes[lane].as_unsigned()
            extended = Cat(membrane, membrane[-1].replicate(config.slot_bits - config.state_bits))
            given = access.state_i[lane * config.blocks // config.lanes]
            m.d.comb += state.write_word[lane].eq((extended | given).as_signed())

    def _connect_output(self, m, sequencer, scheduler, emitter, lanes):
        """Masks to the emitter, in a wide core through a register."""
        cleared, mask = scheduler.cleared_stb, Signal(self._config.lanes)
        domain = m.d.sync if self._config.blocks > 1 else m.d.comb
        m.d.comb += mask.eq(Mux(sequencer.store[0] & sequencer.report, lanes.spikes, 0))
        if self._config.has("partial"):
            with m.If(sequencer.store[0] & sequencer.sends):
                m.d.comb += mask.eq(sequencer.finishing)
            domain += emitter.values.eq(lanes.totals.as_value())
        domain += [
            emitter.push.eq(sequencer.push | cleared),
            emitter.mask.eq(mask),
            emitter.row.eq(sequencer.store_row),
            emitter.tick.eq(sequencer.tick),
            emitter.clear.eq(cleared),
        ]
        m.d.comb += [
            emitter.reserve.eq(sequencer.reserve | cleared),
            sequencer.free.eq(emitter.free),
        ]

    def _connect_partial(self, m, buffer, sequencer, scheduler, lanes):
        """Sums of other tiles to the lanes."""
        m.submodules.partial = partial = PartialMemory(self._config)
        m.d.comb += [
            partial.write.eq(self.partial_stb), partial.neuron.eq(self.partial_neuron),
            partial.value.eq(self.partial_value),
            partial.side.eq(buffer.open_id ^ self.partial_next),
            partial.address.eq(sequencer.mask_row), partial.read_side.eq(sequencer.side),
            lanes.partial.eq(partial.word),
            scheduler.side.eq(~buffer.open_id),
            self.ended_stb.eq((sequencer.push & sequencer.tick) | scheduler.cleared_stb),
        ]

    def _connect_counters(self, m, counters, access, buffer, scanner, scheduler, sequencer, weights,
                          lanes):
        fired = self._fired(m, sequencer, lanes)
        adds = {
            Counter.CYCLES: ~self.idle,
            Counter.TICKS: sequencer.push & sequencer.tick,
            Counter.SPIKES_IN: buffer.fresh_stb if self._config.has("sources")
            else scanner.found_stb & ~scheduler.job.internal,
            Counter.SOPS: sequencer.sops,
            Counter.SPIKES_OUT: fired,
            Counter.DROPPED: buffer.dropped_stb,
        }
        for tier in range(len(self._config.tiers)):
            adds[Counter.ACCESSES + tier] = weights.accesses[tier] + (
                weights.accesses_second[tier] if self._config.ports > 1 else 0)
        for index, value in adds.items():
            m.d.comb += getattr(counters, f"add{int(index)}").eq(value)
        m.d.comb += [
            counters.zero_stb.eq(access.zero_stb),
            counters.read.eq(access.counter_read),
            counters.index.eq(access.counter_index),
            access.counter_low.eq(counters.low),
            access.counter_high.eq(counters.high),
            access.counter_ready.eq(counters.ready),
        ]

    def _fired(self, m, sequencer, lanes):
        """Spikes of the group that was stored before, added in steps of eight at most.

        Two cycles before, three with more than 64 lanes.
        """
        fired, parts = Signal(range(self._config.lanes + 1)), []
        for first in range(0, self._config.lanes, 8):
            part = Signal(range(9), name=f"fired{first}")
            counted = _population(lanes.spikes[first:first + 8])
            m.d.sync += part.eq(counted & sequencer.store[0].replicate(len(part)))
            parts.append(part)
        m.d.sync += fired.eq(sum(_sums(m, parts)))
        return fired


def _sums(m: Module, parts: list[Signal]) -> list[Signal]:
    """At most eight parts; of more, sums of eight, a cycle later."""
    if len(parts) <= 8:
        return parts
    sums = [sum(parts[first:first + 8]) for first in range(0, len(parts), 8)]
    later = [Signal.like(each, name=f"fired_sum{index}") for index, each in enumerate(sums)]
    m.d.sync += [part.eq(each) for part, each in zip(later, sums, strict=True)]
    return later


def _population(word: Value) -> Value:
    """Set bits of a word, added in pairs."""
    if len(word) == 1:
        return word
    half = len(word) // 2
    return _population(word[:half]) + _population(word[half:])
