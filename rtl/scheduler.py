"""Scheduler: layers in order, one ahead of the sequencer; scans their spikes; clears at CLEAR."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from lamina.models.config import DescriptorField, HardwareConfig

__all__ = ["Scheduler", "job_layout"]

_FETCH_WORDS = len(DescriptorField)


def job_layout(config: HardwareConfig) -> data.StructLayout:
    """One layer in one timestep, as the sequencer needs it.

    ``tag`` alternates from job to job and names the spike list; ``closing`` marks the last layer.
    """
    return data.StructLayout({
        "axons": unsigned((config.axons - 1).bit_length() + 1),
        "groups": unsigned((config.groups - 1).bit_length() + 1),
        "weight_base": unsigned((config.weight_words - 1).bit_length()),
        "state_base": unsigned((config.groups - 1).bit_length()),
        "source_row": unsigned((config.groups - 1).bit_length()),
        "internal": unsigned(1),
        "rule": unsigned(2),
        "report": unsigned(1),
        "gated": unsigned(len(config.tiers)),
        "last_lanes": unsigned((config.lanes - 1).bit_length() + 1),
        "tag": unsigned(1),
        "closing": unsigned(1),
    })


class Scheduler(wiring.Component):
    """Fetch a layer's descriptor, start its scan, offer it as a job; between samples clear.

    The descriptor of the next layer is fetched (8 cycles) and its spikes are scanned while the
    sequencer still runs the layer before. A job is offered as soon as its scan has begun.

    Parameters
    ----------
    config : HardwareConfig

    Members
    -------
    layers : In
        Layers of the loaded program; nothing is started at 0.
    closed, clear : In(1)
        State of the spike buffer.
    done_stb : Out(1)
        The closed bitmap was scanned and erased.
    scan_start, scan_words, scan_tag, scan_busy
        To and from the scanner.
    job : Out(job_layout)
    job_valid : Out(1)
    job_take : In(1)
    drained : In(1)
        Sequencer and emitter are empty.
    clearing : Out(1)
        Zero the membranes of row ``clear_row`` and, of the closed bitmap (of both when
        ``resetting``), the word ``clear_row``.
    resetting : Out(1)
        The clearing after reset.
    cleared_stb : Out(1)
        Last cycle of a clearing that a CLEAR asked for.
    between : Out(1)
        No timestep was started since the last clearing.
    waiting : Out(1)
        Nothing in hand.
    descriptor_address, descriptor_write, descriptor_i, descriptor_o
        Descriptor memory for the host; the read latency is 1 cycle; only while ``waiting``.
    """

    def __init__(self, config: HardwareConfig):
        if not isinstance(config, HardwareConfig):
            raise TypeError(f"config must be a HardwareConfig, not {config!r}")
        self._config = config
        self._rows = max(config.groups, config.axons // config.lanes)
        word_bits = (config.axons // config.lanes - 1).bit_length()
        address_bits = (config.layers * 8 - 1).bit_length()
        super().__init__({
            "layers": In(range(config.layers + 1)),
            "closed": In(1),
            "clear": In(1),
            "done_stb": Out(1),
            "scan_start": Out(1),
            "scan_words": Out(word_bits + 1),
            "scan_tag": Out(1),
            "scan_busy": In(1),
            "job": Out(job_layout(config)),
            "job_valid": Out(1),
            "job_take": In(1),
            "drained": In(1),
            "clearing": Out(1),
            "clear_row": Out(range(self._rows)),
            "resetting": Out(1, init=1),
            "cleared_stb": Out(1),
            "between": Out(1, init=1),
            "waiting": Out(1),
            "descriptor_address": In(address_bits),
            "descriptor_write": In(1),
            "descriptor_i": In(16),
            "descriptor_o": Out(16),
        })

    def elaborate(self, platform):
        m = Module()
        config = self._config
        layer = Signal(range(config.layers))
        field = Signal(range(_FETCH_WORDS + 1))
        m.submodules.descriptors = memory = Memory(
            shape=16, depth=config.layers * 8, init=[], attrs={"no_rw_check": 1})
        read, write = memory.read_port(), memory.write_port()
        fetching = Signal()
        m.d.comb += [
            read.addr.eq(Mux(fetching, Cat(field[:3], layer), self.descriptor_address)),
            write.addr.eq(self.descriptor_address),
            write.data.eq(self.descriptor_i),
            write.en.eq(self.descriptor_write),
            self.descriptor_o.eq(read.data),
        ]
        lane_bits = (config.lanes - 1).bit_length()
        m.d.comb += [
            self.scan_words.eq((self.job.axons + (config.lanes - 1)) >> lane_bits),
            self.scan_tag.eq(self.job.tag),
        ]
        with m.If(self.job_take):
            m.d.sync += self.job_valid.eq(0)
        self._sequence(m, layer, field, fetching, read.data)
        return m

    def _sequence(self, m, layer, field, fetching, word):
        with m.FSM(init="CLEAR"):
            with m.State("WAIT"):
                m.d.comb += self.waiting.eq(~self.closed)
                m.d.sync += [layer.eq(0), field.eq(0)]
                with m.If(self.closed & ~self.clear & ~self.job_valid & self.layers.any()):
                    m.d.sync += self.between.eq(0)
                    m.next = "FETCH"
                with m.Elif(self.closed & self.clear & ~self.job_valid & self.drained):
                    m.next = "CLEAR"
            with m.State("CLEAR"):
                last = self.clear_row == self._rows - 1
                m.d.comb += [self.clearing.eq(1), self.cleared_stb.eq(last & ~self.resetting)]
                m.d.sync += self.clear_row.eq(Mux(last, 0, self.clear_row + 1))
                with m.If(last):
                    m.d.comb += self.done_stb.eq(~self.resetting)
                    m.d.sync += [self.between.eq(1), self.resetting.eq(0)]
                    m.next = "WAIT"
            with m.State("FETCH"):
                m.d.comb += fetching.eq(1)
                m.d.sync += field.eq(field + 1)
                self._fill(m, field, word)
                with m.If(field == _FETCH_WORDS):
                    m.d.sync += [self.job.closing.eq(layer == (self.layers - 1)[:len(layer)])]
                    m.next = "START"
            with m.State("START"):
                m.d.comb += self.scan_start.eq(1)
                m.d.sync += self.job_valid.eq(1)
                m.next = "SCAN"
            with m.State("SCAN"), m.If(~self.scan_busy):
                m.d.comb += self.done_stb.eq(~self.job.internal)
                m.next = "HANDED"
            with m.State("HANDED"):
                m.d.sync += field.eq(0)
                with m.If(~self.job_valid):
                    m.d.sync += [self.job.tag.eq(~self.job.tag), layer.eq(layer + 1)]
                    with m.If(self.job.closing):
                        m.next = "WAIT"
                    with m.Else():
                        m.next = "FETCH"

    def _fill(self, m, field, word):
        """Store the descriptor word that was addressed one cycle earlier."""
        job = self.job
        flags = data.View(data.StructLayout({"rule": 2, "report": 1, "rest": 5, "gated": 8}), word)
        wanted = {
            DescriptorField.AXONS: [job.axons.eq(word)],
            DescriptorField.GROUPS: [job.groups.eq(word)],
            DescriptorField.WEIGHT_BASE: [job.weight_base.eq(word)],
            DescriptorField.STATE_BASE: [job.state_base.eq(word)],
            DescriptorField.SOURCE: [job.source_row.eq(word), job.internal.eq(word[15])],
            DescriptorField.FLAGS: [job.rule.eq(flags.rule), job.report.eq(flags.report),
                                    job.gated.eq(flags.gated)],
            DescriptorField.LAST_LANES: [job.last_lanes.eq(word)],
        }
        with m.Switch(field):
            for name, statements in wanted.items():
                with m.Case(Const(name + 1, len(field))):
                    m.d.sync += statements
