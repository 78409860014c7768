"""Scheduler: layers in order, one ahead of the sequencer; scans their spikes; clears at CLEAR."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from lamina.models.config import DescriptorField, EntryKind, HardwareConfig
from lamina.rtl.window import aim_layout, view_fields

__all__ = ["Scheduler", "job_layout", "job_switches"]

_SCANNED = 3
"""Cycle of the fetch in which a scan begins: axons and source are there."""


def job_switches(config: HardwareConfig) -> tuple[str, ...]:
    """Flags of a job that the lanes see, as far as `config` has their features."""
    switches = {"silent": "currents", "refractory": "refractory", "subtractive": "subtractive",
                "receives": "partial"}
    return tuple(name for name, feature in switches.items() if config.has(feature))


def job_layout(config: HardwareConfig) -> data.StructLayout:
    """One layer in one timestep, as the sequencer needs it.

    ``tag`` alternates from job to job and names the spike list; ``closing`` marks the last layer.
    Of a convolution each output position is a job. ``side`` is where the sums of other tiles lie.
    """
    words = max(config.mask_rows, config.axons // config.lanes)
    current = {"has_current": unsigned(1),
               "current_row": unsigned((config.groups - 1).bit_length())}
    sources = {"words": unsigned((config.axons // config.lanes - 1).bit_length() + 1),
               "keep": unsigned(1)}
    return data.StructLayout({
        "axons": unsigned((config.axons - 1).bit_length() + 1),
        "groups": unsigned((config.groups - 1).bit_length() + 1),
        "weight_base": unsigned((config.weight_words - 1).bit_length()),
        "state_base": unsigned((config.groups - 1).bit_length()),
        "source_row": unsigned((words - 1).bit_length() if config.has("sources")
                               else (config.groups - 1).bit_length()),
        "internal": unsigned(1),
        "rule": unsigned(2),
        "report": unsigned(1),
        "gated": unsigned(len(config.tiers)),
        "last_lanes": unsigned((config.lanes - 1).bit_length() + 1),
        "tag": unsigned(1),
        "closing": unsigned(1),
        **{name: unsigned(1) for name in job_switches(config)},
        **({"adder": unsigned((len(config.adders) - 1).bit_length())}
           if len(config.adders) > 1 else {}),
        **(current if config.has("currents") else {}),
        **({"sends": unsigned(1), "side": unsigned(1)} if config.has("partial") else {}),
        **(sources if config.has("sources") else {}),
    })


class Scheduler(wiring.Component):
    """Fetch a layer's descriptor, start its scan, offer it as a job; between samples clear.

    The descriptor of the next layer is fetched (8 cycles) and its spikes are scanned while the
    sequencer still runs the layer before. What the scan needs comes first: without ``sources`` it
    begins behind 3 cycles. A job is offered as soon as it is fetched and its scan has begun.

    Parameters
    ----------
    config : HardwareConfig

    Members
    -------
    layers : In
        Layers of the loaded program; nothing is started at 0.
    closed, clear : In(1)
        State of the spike buffer.
    side : In(1)
        Where the sums that came with the closed bitmap lie; with the feature ``partial`` only.
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
    kappa : Out(signed(16))
        Bias per spike of the layer that is scanned; with the feature ``follow`` only.
    descriptor_address, descriptor_write, descriptor_i, descriptor_o
        Descriptor memory for the host; the read latency is 1 cycle; only while ``waiting``.
    """

    def __init__(self, config: HardwareConfig):
        if not isinstance(config, HardwareConfig):
            raise TypeError(f"config must be a HardwareConfig, not {config!r}")
        self._config = config
        self._rows = max(config.mask_rows, config.axons // config.lanes)
        first = [DescriptorField.AXONS, DescriptorField.SOURCE,
                 *([DescriptorField.KAPPA] if config.has("follow") else [])]
        fields = list(DescriptorField)[:config.descriptor_fields]
        self._order = (*first, *(field for field in fields if field not in first))
        word_bits = (config.axons // config.lanes - 1).bit_length()
        address_bits = (config.layers * config.descriptor_words - 1).bit_length()
        row_bits = (self._rows - 1).bit_length()
        graph = {"running": In(1), "scan_append": Out(1), "listing": Out(1), "copying": Out(1),
                 "copy_index": Out(row_bits), "copied": Out(1), "copy_row": Out(row_bits)}
        windows = {"window": Out(1), "aim": Out(aim_layout(config))} \
            if config.has("windows") else {}
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
            **(graph if config.has("sources") else {}), **windows,
            **({"kappa": Out(signed(16))} if config.has("follow") else {}),
            **({"side": In(1)} if config.has("partial") else {}),
        })

    def elaborate(self, platform):
        m = Module()
        config = self._config
        layer = Signal(range(config.layers))
        field = Signal(range(config.descriptor_fields + 1))
        words = config.descriptor_words
        m.submodules.descriptors = memory = Memory(
            shape=16, depth=config.layers * words, init=[], attrs={"no_rw_check": 1})
        read, write = memory.read_port(), memory.write_port()
        fetching = Signal()
        m.d.comb += [
            read.addr.eq(Mux(fetching, Cat(self._place(m, field, words), layer),
                             self.descriptor_address)),
            write.addr.eq(self.descriptor_address),
            write.data.eq(self.descriptor_i),
            write.en.eq(self.descriptor_write),
            self.descriptor_o.eq(read.data),
        ]
        lane_bits = (config.lanes - 1).bit_length()
        m.d.comb += self.scan_tag.eq(self.job.tag)
        with m.If(self.job_take):
            m.d.sync += self.job_valid.eq(0)
        if config.has("sources"):
            m.d.comb += self.scan_words.eq(self.job.words)
            self._sequence_graph(m, layer, field, fetching, read.data)
        else:
            m.d.comb += self.scan_words.eq((self.job.axons + (config.lanes - 1)) >> lane_bits)
            self._sequence(m, layer, field, fetching, read.data)
        return m

    def _place(self, m, field, words):
        """Address of a word within its descriptor, by its place in the order of the fetch."""
        if self._config.has("sources"):
            return field[:(words - 1).bit_length()]
        place = Signal((words - 1).bit_length())
        with m.Switch(field):
            for number, name in enumerate(self._order):
                with m.Case(number):
                    m.d.comb += place.eq(name)
        return place

    def _sequence(self, m, layer, field, fetching, word):
        with m.FSM(init="CLEAR"):
            with m.State("WAIT"):
                m.d.comb += self.waiting.eq(~self.closed)
                with m.If(self.closed & ~self.clear & ~self.job_valid & self.layers.any()):
                    m.d.comb += fetching.eq(1)
                    m.d.sync += [self.between.eq(0), field.eq(1), *self._sided()]
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
                m.d.comb += self.scan_start.eq(field == _SCANNED)
                with m.If(field == self._config.descriptor_fields):
                    m.d.sync += [self.job.closing.eq(layer == (self.layers - 1)[:len(layer)])]
                    m.next = "START"
            with m.State("START"):
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
                        m.d.sync += layer.eq(0)
                        m.next = "WAIT"
                    with m.Else():
                        m.next = "FETCH"

    def _sided(self):
        """Of the timestep that begins: the next one is closed before the last layer runs."""
        return [self.job.side.eq(self.side)] if self._config.has("partial") else []

    def _fill(self, m, field, word):
        """Store the descriptor word that was addressed one cycle earlier."""
        with m.Switch(field):
            for name, statements in self._wanted(word).items():
                with m.Case(Const(self._order.index(name) + 1, len(field))):
                    m.d.sync += statements

    def _wanted(self, word):
        """Assignments of each field of a layer."""
        job = self.job
        flags = data.View(data.StructLayout({
            "rule": 2, "report": 1, "silent": 1, "refractory": 1, "subtractive": 1,
            "has_current": 1, "closing": 1, "gated": 8}), word)
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
        if len(self._config.adders) > 1:
            wanted[DescriptorField.LAST_LANES].append(job.adder.eq(word[8:12]))
        wanted[DescriptorField.FLAGS] += [job[name].eq(flags[name])
                                          for name in job_switches(self._config)
                                          if name != "receives"]
        if self._config.has("currents"):
            wanted[DescriptorField.FLAGS].append(job.has_current.eq(flags.has_current))
            wanted[DescriptorField.CURRENT] = [job.current_row.eq(word)]
        if self._config.has("partial"):
            wanted[DescriptorField.CURRENT] += [job.receives.eq(word[15]), job.sends.eq(word[14])]
        if self._config.has("follow"):
            wanted[DescriptorField.KAPPA] = [self.kappa.eq(word)]
        return wanted

    def _sequence_graph(self, m, entry, field, fetching, word):
        """Layers of several sources and positions, and relays, entry by entry."""
        state = _Progress(self._config)
        rows = self._base_row(m, state)
        external = ~self.job.internal & ~self.job.keep
        barrier = ~self.running & ~self.job_valid
        m.d.sync += self.copied.eq(0)
        if self._config.has("windows"):
            m.d.comb += self.window.eq(state.windowed)
        with m.FSM(init="CLEAR"):
            with m.State("WAIT"):
                m.d.comb += self.waiting.eq(~self.closed)
                m.d.sync += [entry.eq(0), field.eq(0), state.further.eq(0)]
                with m.If(self.closed & ~self.clear & ~self.job_valid & self.layers.any()):
                    m.d.sync += [self.between.eq(0), *self._sided()]
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
                self._fill_graph(m, state, field, word)
                with m.If(field == self._config.descriptor_fields):
                    m.next = "AIM"
            with m.State("AIM"):
                m.d.sync += [self.job.state_base.eq(rows), field.eq(0)]
                self._aim(m, state)
                m.next = "START"
            with m.State("START"):
                windowed = state.windowed | state.was_windowed
                at_once = ~windowed | state.further | state.positions_begun
                with m.If(state.relay & barrier):
                    m.d.sync += self.copy_index.eq(0)
                    m.next = "COPY"
                with m.Elif(~state.relay & (barrier | at_once)):
                    m.d.comb += [self.scan_start.eq(1), self.scan_append.eq(state.further)]
                    m.d.sync += [self.listing.eq(1), state.positions_begun.eq(1)]
                    with m.If(~state.further):
                        m.d.sync += self.job_valid.eq(1)
                    m.next = "SCAN"
            with m.State("SCAN"), m.If(~self.scan_busy & ~self.scan_start):
                m.d.comb += self.done_stb.eq(external)
                m.d.sync += state.further.eq(state.more)
                with m.If(state.more):
                    m.d.sync += entry.eq(entry + 1)
                    m.next = "FETCH"
                with m.Else():
                    m.d.sync += self.listing.eq(0)
                    m.next = "HANDED"
            with m.State("HANDED"), m.If(~self.job_valid):
                m.d.sync += self.job.tag.eq(~self.job.tag)
                self._next(m, state, entry)
            with m.State("COPY"):
                self._copy(m, state, external)
                with m.If(self.copy_index + 1 >= self.job.words):
                    m.d.comb += self.done_stb.eq(external)
                    self._next_entry(m, state, entry)

    def _fill_graph(self, m, state, field, word):
        """Store a word; of a further source only what concerns the source."""
        job = self.job
        wanted = self._wanted(word)
        kept = (DescriptorField.SOURCE, DescriptorField.SOURCE_WORDS)
        wanted[DescriptorField.SOURCE].append(job.keep.eq(word[14]))
        wanted[DescriptorField.SOURCE_WORDS] = [job.words.eq(word)]
        wanted[DescriptorField.FLAGS].append(state.closing.eq(word[7]))
        wanted[DescriptorField.STATE_BASE] = [state.base_row.eq(word)]
        always = {DescriptorField.LAST_LANES: [
            state.more.eq(word[13]), state.relay.eq(word[14:16] == EntryKind.RELAY),
            state.writes.eq(word[0])]}
        if self._config.has("windows"):
            always |= view_fields(self.aim.view, word)
            always[DescriptorField.KERNEL].append(state.windowed.eq(word.any()))
        with m.Switch(field):
            for name in sorted(set(wanted) | set(always)):
                with m.Case(Const(name + 1, len(field))):
                    m.d.sync += always.get(name, [])
                    if name in kept:
                        m.d.sync += wanted[name]
                    elif name in wanted:
                        with m.If(~state.further):
                            m.d.sync += wanted[name]

    def _base_row(self, m, state):
        """Row of the position that comes next."""
        if not self._config.has("windows"):
            return state.base_row
        return state.base_row + state.offset_row

    def _aim(self, m, state):
        """Place the window of the present position over its map."""
        m.d.sync += self.job.closing.eq(state.closing & self._last_position(state))
        if not self._config.has("windows"):
            return
        view, aim = self.aim.view, self.aim
        m.d.sync += [
            aim.y.eq(state.row * view.stride_y - view.padding_y),
            aim.x.eq(state.column * view.stride_x - view.padding_x),
            aim.row.eq(view.row_origin + state.row * view.row_stride),
            aim.unit.eq(view.unit_origin + state.column * view.unit_stride),
        ]

    def _last_position(self, state):
        if not self._config.has("windows"):
            return Const(1)
        view = self.aim.view
        return ~state.windowed | ((state.row == view.last_row)
                                  & (state.column == view.last_column))

    def _next(self, m, state, entry):
        """Go to the next position, or to the next entry."""
        if not self._config.has("windows"):
            self._next_entry(m, state, entry)
            return
        view = self.aim.view
        with m.If(self._last_position(state)):
            self._next_entry(m, state, entry)
        with m.Else():
            last = state.column == view.last_column
            m.d.sync += [
                state.column.eq(Mux(last, 0, state.column + 1)),
                state.row.eq(state.row + last),
                state.offset_row.eq(state.offset_row + self.job.groups),
                state.further.eq(0),
            ]
            m.next = "AIM"
            with m.If(entry != state.first):
                m.d.sync += entry.eq(state.first)
                m.next = "FETCH"

    def _next_entry(self, m, state, entry):
        m.d.sync += [entry.eq(entry + 1), state.first.eq(entry + 1), state.offset_row.eq(0),
                     state.row.eq(0), state.column.eq(0), state.further.eq(0),
                     state.was_windowed.eq(state.windowed), state.positions_begun.eq(0)]
        m.next = "FETCH"
        with m.If(entry == (self.layers - 1)[:len(entry)]):
            m.d.sync += state.first.eq(0)
            m.next = "WAIT"

    def _copy(self, m, state, external):
        """Read a word of the source per cycle and write the one before."""
        m.d.comb += self.copying.eq(1)
        m.d.sync += [self.copy_index.eq(self.copy_index + 1),
                     self.copied.eq(state.writes & (self.job.words != 0)),
                     self.copy_row.eq(state.base_row + self.copy_index)]


class _Progress:
    """Where the scheduler is in a timestep."""

    def __init__(self, config: HardwareConfig):
        rows = max(config.mask_rows, config.axons // config.lanes)
        self.further = Signal(name="further")
        self.more = Signal(name="more")
        self.relay = Signal(name="relay")
        self.writes = Signal(name="writes")
        self.closing = Signal(name="closing")
        self.windowed = Signal(name="windowed")
        self.was_windowed = Signal(name="was_windowed")
        self.positions_begun = Signal(name="positions_begun")
        self.base_row = Signal(range(rows), name="base_row")
        self.offset_row = Signal(range(rows), name="offset_row")
        self.first = Signal(range(config.layers), name="first_entry")
        self.row = Signal(8, name="position_row")
        self.column = Signal(8, name="position_column")
