"""Sequencer: streams the spike list through every group of a layer, and finishes each group."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from lamina.models.config import HardwareConfig, ResetRule, StateRegion
from lamina.rtl.copies import copies
from lamina.rtl.lanes import LaneStep
from lamina.rtl.scheduler import job_layout, job_switches

__all__ = ["Sequencer", "finish_slots"]

_APART = 6
"""Cycles between the last elements of two jobs' groups, beside those of the finish: the one is
stored when the other is issued."""
_TURN = 4
"""Cycles from taking a job until what its additions need takes the place of the job before."""


def finish_slots(config: HardwareConfig) -> tuple[str, ...]:
    """What the state memory is read for when a group ends, a cycle each: names of the slots.

    ``first`` and ``second`` are THETA and RESET, or the other way round where the rule compares
    after it subtracts.
    """
    return ("bias", *(["current"] if config.has("currents") else []),
            *(["follow"] if config.has("follow") else []), "first", "second",
            *(["correct"] if config.has("rederived") else []))


class Sequencer(wiring.Component):
    """Group-stationary execution of one job after the other.

    An element is a list entry of a group (or, for an empty list, a mere leak); with two ports it is
    a pair of entries, or the odd one at the end. It is issued in
    cycle 0; its axon arrives in 1, its weight address in 3, its weight and the addition in 5. The
    last element of a group starts the finish: bias, threshold and reset words are read in 4, 5, 6
    and act in 6, 7, 8; the group is stored in 9; a synaptic current and a correction of the reset,
    where the core has them, each take a cycle more (:func:`finish_slots`). One element per cycle,
    groups without a gap as long as they have enough elements (cost:
    :func:`lamina.models.cost.sample_cycles`).

    A job is taken as soon as the last element of the one before was issued: while that one ends,
    the membranes of the next are loaded, those of the same rows behind their store, and its
    elements follow. At most one job ends: the first group of the next one finishes behind it.

    Parameters
    ----------
    config : HardwareConfig

    Members
    -------
    job, job_valid, job_take
        From the scheduler; taken when the job before is issued.
    count : In(log2(axons) + 1)
        Entries of list ``tag`` so far.
    complete : In(1)
        The list will not grow.
    tag : Out(1)
        List of the job that is issued.
    read_index : Out(log2(axons))
        Entry, or pair of entries, of that list wanted in this cycle.
    axon : In(log2(axons))
        Entry asked for in the cycle before.
    access, address : Out
        Weight word wanted (cycle 3).
    axon_second, access_second, address_second, add_second
        The same of the second entry of a pair; with two ports only.
    host_address : In
        What ``address`` follows, a cycle later, while no job runs.
    gated : Out(tiers)
        Gate mask of the layer whose weights are read.
    resting : Out(tiers)
        Tiers that neither this layer nor the one that was taken last reads.
    add, first, enabled : Out
        To the lanes (cycle 5).
    state_address : Out
        Row of the state memory to read.
    step, rule, finishing : Out
        To the lanes, when the row is there. What all lanes need has a copy for each block of them.
    mask_row : Out
        Row whose former spikes the lanes need under ``SUBTRACT_DELAYED`` (cycle 5).
    store : Out(1)
        Membranes and spikes of ``store_row`` are to be stored (cycle 9).
    rows_done : Out
        Groups of the finishing job stored so far.
    fresh : Out(1)
        That is not the job that was taken last.
    reserve, push, tick : Out(1)
        To the emitter; ``report``: the job's spikes are wanted.
    free : In(1)
    active : Out(1)
        A job runs or ends.
    ending : Out(1)
        All elements of a job were issued, its last group is not stored yet.
    sops : Out
        Weights added to neurons in this cycle.
    silent, refractory, subtractive, receives : Out(1)
        To the lanes, each with its feature only.
    sends, side : Out(1)
        Of the finishing job: its sums leave, and where those of other tiles lie; with the feature
        ``partial`` only.
    base_row : Out
        First row of the finishing job; with the feature ``sources`` only.
    listed_stb : Out(1)
        The last element of a group is issued; with the feature ``follow`` only.
    adder : Out
        Of the job whose weights are added; where there are several.
    """

    def __init__(self, config: HardwareConfig):
        if not isinstance(config, HardwareConfig):
            raise TypeError(f"config must be a HardwareConfig, not {config!r}")
        self._config = config
        axon_bits = (config.axons - 1).bit_length()
        address = data.ArrayLayout((config.weight_words - 1).bit_length(), config.address_copies)
        second = {"axon_second": In(axon_bits), "access_second": Out(1),
                  "address_second": Out(address), "add_second": Out(config.blocks)}
        self._row_bits = (config.groups - 1).bit_length()
        super().__init__({
            "job": In(job_layout(config)),
            "job_valid": In(1),
            "job_take": Out(1),
            "count": In(axon_bits + 1),
            "complete": In(1),
            "tag": Out(1),
            "read_index": Out(axon_bits - (config.ports - 1)),
            "axon": In(axon_bits),
            "access": Out(1),
            "address": Out(address),
            **(second if config.ports > 1 else {}),
            "host_address": In((config.weight_words - 1).bit_length()),
            "gated": Out(len(config.tiers)),
            "resting": Out(len(config.tiers)),
            "add": Out(config.blocks),
            "first": Out(config.blocks),
            "enabled": Out(config.lanes),
            "state_address": Out((8 * config.groups - 1).bit_length()),
            "step": Out(data.ArrayLayout(LaneStep, config.blocks)),
            "rule": Out(data.ArrayLayout(2, config.blocks)),
            "finishing": Out(config.lanes),
            "mask_row": Out(self._row_bits),
            "store": Out(config.blocks),
            "store_row": Out(self._row_bits),
            "rows_done": Out(self._row_bits + 1),
            "fresh": Out(1),
            "reserve": Out(1),
            "push": Out(1),
            "tick": Out(1),
            "report": Out(1),
            "free": In(1),
            "active": Out(1),
            "ending": Out(1),
            "sops": Out((config.lanes - 1).bit_length() + config.ports),
            **{name: Out(1) for name in job_switches(config)},
            **({"base_row": Out(self._row_bits)} if config.has("sources") else {}),
            **({"sends": Out(1), "side": Out(1)} if config.has("partial") else {}),
            **({"listed_stb": Out(1)} if config.has("follow") else {}),
            **({"adder": Out(range(len(config.adders)))} if len(config.adders) > 1 else {}),
        })
        self._slots = finish_slots(config)
        self._flags = ("real", "first", "last", "final", *(["second"] if config.ports > 1 else []))

    def elaborate(self, platform):
        m = Module()
        config = self._config
        job, running, skipping, loaded = Signal(job_layout(config)), Signal(), Signal(), Signal()
        used = Cat(*[lane < job.last_lanes for lane in range(config.lanes)])
        turn = self._turn(m, job, used)
        skip_tick = self._skip(m, job, skipping)
        element = self._issue(m, job, loaded, running)
        stages = self._pipeline(m, job, element)
        m.d.comb += [
            self.tag.eq(job.tag), self.reserve.eq(element["reserve"] | skip_tick),
            self.job_take.eq(self.job_valid & ~running & ~skipping & ~stages[1]["first"]),
        ]
        if config.has("follow"):
            m.d.comb += self.listed_stb.eq(element["valid"] & element["last"])
        self._accumulate(m, job, stages, used)
        finish = self._finish(m, turn, stages, skip_tick)
        self._load(m, job, stages, finish, loaded)
        with m.If(turn.ended):
            m.d.sync += [self.ending.eq(0), self.active.eq(running | skipping)]
        with m.If(element["valid"] & element["last"] & element["final"]):
            m.d.sync += self.ending.eq(1)
        with m.If(self.job_take):
            m.d.sync += [job.eq(self.job), self.active.eq(1)]
        return m

    def _turn(self, m, job, used):
        """Hand the job that was taken to the finish, when that of the one before is over."""
        config, turn = self._config, _Turn(self._config)
        m.d.comb += turn.begun.eq(self.fresh & (~self.ending | turn.ended))
        with m.If(turn.begun):
            m.d.sync += [turn.job.eq(job), turn.last_mask.eq(used), self.fresh.eq(0),
                         self.store_row.eq(job.state_base), self.rows_done.eq(0)]
        with m.If(self.job_take):
            m.d.sync += self.fresh.eq(1)
        done = turn.job
        m.d.comb += [turn.next.eq(job), self.report.eq(done.report),
                     *[getattr(self, name).eq(done[name]) for name in job_switches(config)
                       if name != "subtractive"]]
        if config.has("sources"):
            m.d.comb += self.base_row.eq(done.state_base)
        if config.has("partial"):
            m.d.comb += [self.sends.eq(done.sends), self.side.eq(done.side)]
        rules = [done.rule] if config.blocks == 1 else copies(m, done.rule, config.blocks, "rule")
        m.d.comb += [self.rule[block].eq(rule) for block, rule in enumerate(rules)]
        return turn

    def _issue(self, m, job, loaded, running):
        """Decide about the next element; returns its flags in cycle 0.

        The list is seen one cycle late; what it means is one comparison, the rest is known before.
        """
        count = Signal.like(self.count)
        complete = Signal()
        m.d.sync += [count.eq(self.count), complete.eq(self.complete)]
        following = Signal.like(self.count)
        groups = Signal(self._row_bits + 1)
        first = Signal()
        spacing = Signal(range(len(self._slots) + _APART))
        names = ("valid", *self._flags, "reserve")
        element = {name: Signal(name=f"issue_{name}") for name in names}
        ports = self._config.ports
        goes_on = Signal()
        ready = Signal()
        may_end = Signal()
        reporting = job.report | (element["final"] & job.closing)
        m.d.comb += [
            goes_on.eq(following < count),
            ready.eq(running & (~first | loaded)),
            may_end.eq(ready & complete & (spacing == 0) & (self.free | ~reporting)),
            element["first"].eq(first),
            element["last"].eq(~goes_on),
            element["final"].eq(groups == 1),
            element["valid"].eq(Mux(goes_on, ready, may_end)),
            element["real"].eq(goes_on | (following == count) if ports == 1 else count.any()),
            element["reserve"].eq(~goes_on & may_end & reporting),
        ]
        if ports > 1:
            m.d.comb += element["second"].eq(goes_on | (following == count))
        with m.If(spacing != 0):
            m.d.sync += spacing.eq(spacing - 1)
        with m.If(element["valid"]):
            m.d.sync += [self.read_index.eq(following[ports - 1:]),
                         following.eq(following + ports), first.eq(0)]
            with m.If(element["last"]):
                m.d.sync += [self.read_index.eq(0), following.eq(ports), first.eq(1),
                             groups.eq(groups - 1), running.eq(~element["final"]),
                             spacing.eq(Mux(element["final"], len(self._slots) - 1 + _APART,
                                            len(self._slots) - 1))]
        with m.If(self.job_take):
            m.d.sync += [self.read_index.eq(0), following.eq(ports), first.eq(1),
                         groups.eq(self.job.groups), running.eq(self.job.groups != 0)]
        return element

    def _skip(self, m, job, skipping):
        """End a job without groups; returns the strobe that pushes its TICK."""
        none = Signal()
        tick = Signal(name="skip_tick")
        m.d.comb += [none.eq(skipping & ~self.ending), tick.eq(none & job.closing & self.free)]
        with m.If(none & (self.free | ~job.closing)):
            m.d.sync += [skipping.eq(0), self.active.eq(0)]
        with m.If(self.job_take):
            m.d.sync += skipping.eq(self.job.groups == 0)
        return tick

    def _pipeline(self, m, job, element):
        """Flags of the elements in cycles 1..5; list entry to weight address."""
        stages = [element]
        for cycle in range(1, 6):
            stage = {name: Signal(name=f"{name}{cycle}") for name in self._flags}
            for name in self._flags:
                flag = stages[-1][name]
                m.d.sync += stage[name].eq(flag & element["valid"] if cycle == 1 else flag)
            stages.append(stage)
        base = Signal.like(self.host_address)
        fresh = Signal()
        with m.If(stages[1]["first"]):
            m.d.sync += fresh.eq(0)
            m.d.sync += base.eq(base + job.axons)
            with m.If(fresh):
                m.d.sync += base.eq(job.weight_base)
        with m.If(self.job_take):
            m.d.sync += fresh.eq(1)
        self._read(m, base, self.axon, self.address, "")
        m.d.comb += self.access.eq(stages[3]["real"])
        if self._config.ports > 1:
            self._read(m, base, self.axon_second, self.address_second, "_second")
            m.d.comb += self.access_second.eq(stages[3]["second"])
        return stages

    def _read(self, m, base, entry, address, suffix):
        """From a list entry to the address of its weight word, a cycle later."""
        axon = Signal.like(entry, name=f"axon{suffix}")
        m.d.sync += axon.eq(entry)
        word = Signal.like(self.host_address, name=f"word{suffix}")
        m.d.comb += word.eq(Mux(self.active, base + axon, self.host_address))
        count = self._config.address_copies
        m.d.comb += address.as_value().eq(Cat(*copies(m, word, count, f"word{suffix}")))

    def _accumulate(self, m, job, stages, used):
        """Weights into lanes; what a job sets there changes while none of its elements is there.

        The last one of the job before is added 5 cycles after it was issued, the first one of the
        next is read in no earlier than 6 after that job was taken.
        """
        config, last, blocks = self._config, stages[5], self._config.blocks
        taken = [self.job_take]
        for cycle in range(1, _TURN + 1):
            taken.append(Signal(name=f"taken{cycle}"))
            m.d.sync += taken[-1].eq(taken[-2])
        lanes, last_mask = Signal.like(job.last_lanes), Signal(config.lanes, name="added_mask")
        held = [(lanes, job.last_lanes), (last_mask, used), (self.gated, job.gated)]
        if config.has("subtractive"):
            held.append((self.subtractive, job.subtractive))
        if len(config.adders) > 1:
            held.append((self.adder, job.adder))
        with m.If(taken[_TURN]):
            m.d.sync += [register.eq(value) for register, value in held]
        m.d.comb += [
            self.resting.eq(self.gated & job.gated),
            self.add.eq(Cat(*copies(m, stages[4]["real"], blocks, "add_copy"))),
            self.first.eq(Cat(*copies(m, stages[4]["first"], blocks, "first_copy"))),
            self.enabled.eq(Mux(last["final"], last_mask, ~Const(0, config.lanes))),
        ]
        neurons = Mux(last["final"], lanes, config.lanes)
        with m.If(last["real"]):
            m.d.comb += self.sops.eq(neurons)
        if config.ports > 1:
            second = copies(m, stages[4]["second"], blocks, "add_second_copy")
            m.d.comb += self.add_second.eq(Cat(*second))
            with m.If(last["second"]):
                m.d.comb += self.sops.eq(neurons << 1)

    def _finish(self, m, turn, stages, skip_tick):
        """Cycles from 4 on of a group's last element; returns (reading, address, step)."""
        slots, job, last_mask = self._slots, turn.job, turn.last_mask
        final = [stages[4]["final"] & stages[4]["last"]]
        steps = [stages[4]["last"]]
        for cycle in range(5, 7 + len(slots)):
            steps.append(Signal(name=f"finish{cycle}"))
            final.append(Signal(name=f"finish_final{cycle}"))
            m.d.sync += [steps[-1].eq(steps[-2]), final[-1].eq(final[-2])]
        row = Signal(self._row_bits)
        with m.If(steps[len(slots) - 1]):
            m.d.sync += row.eq(row + 1)
        with m.If(turn.begun):
            m.d.sync += row.eq(turn.next.state_base)
        reading, address, step, late = self._finish_reads(m, turn, steps, row)
        first, last = slots.index("first"), len(slots)
        store = steps[2 + last]
        threshold = Mux(late, final[3 + first], final[2 + first])
        m.d.comb += [
            self.mask_row.eq(row),
            self.finishing.eq(Mux(threshold | final[2 + last], last_mask,
                                  ~Const(0, self._config.lanes))),
            self.store.eq(Cat(*copies(m, steps[1 + last], self._config.blocks, "store_copy"))),
            self.tick.eq((final[2 + last] & job.closing) | skip_tick),
            self.push.eq((store & (job.report | self.tick)) | skip_tick),
            turn.ended.eq(final[2 + last]),
        ]
        with m.If(store & ~turn.begun):
            m.d.sync += [self.store_row.eq(self.store_row + 1),
                         self.rows_done.eq(self.rows_done + 1)]
        return reading, address, step

    def _finish_reads(self, m, turn, steps, row):
        """What is read in which slot; returns (reading, address, step, compares last)."""
        slots, job = self._slots, turn.job
        late = Signal()
        behind = [ResetRule.SUBTRACT_DELAYED,
                  *([ResetRule.SUBTRACT_REDERIVED] if "correct" in slots else [])]
        m.d.sync += late.eq(Cat(*[job.rule == rule for rule in behind]).any())
        first = slots.index("first")
        compares = steps[first] ^ (late & (steps[first] | steps[first + 1]))
        region = Mux(steps[0], StateRegion.BIAS, Mux(compares, StateRegion.THETA,
                                                     StateRegion.RESET))
        reset = Mux(job.rule == ResetRule.VALUE, LaneStep.REPLACE, LaneStep.RESET)
        step = Mux(steps[0], LaneStep.BIAS, Mux(compares, LaneStep.THETA, reset))
        reading = steps[0]
        for taken in steps[1:len(slots)]:
            reading = reading | taken
        address = Cat(row, region)
        if "current" in slots:
            current = steps[slots.index("current")]
            current_row = Signal(self._row_bits)
            with m.If(steps[len(slots) - 1]):
                m.d.sync += current_row.eq(current_row + 1)
            with m.If(turn.begun):
                m.d.sync += current_row.eq(turn.next.current_row)
            address = Mux(current, Cat(current_row, Const(StateRegion.MEMBRANE, 3)), address)
            adds = job.has_current
            if self._config.has("partial"):
                adds = adds | job.receives
            step = Mux(current, Mux(adds, LaneStep.CURRENT, LaneStep.NONE), step)
        if "follow" in slots:
            step = Mux(steps[slots.index("follow")], LaneStep.FOLLOW, step)
        if "correct" in slots:
            rederived = job.rule == ResetRule.SUBTRACT_REDERIVED
            correct = steps[slots.index("correct")]
            step = Mux(correct, Mux(rederived, LaneStep.CORRECT, LaneStep.NONE), step)
        return reading, address, step, late

    def _load(self, m, job, stages, finish, loaded):
        """Read what the next group starts from when the finish leaves the port alone.

        What the job before has yet to store in the same rows is waited for.
        """
        finishing, finish_address, finish_step = finish
        row = Signal(self._row_bits)
        left = Signal(self._row_bits + 1)
        wanting = Signal()
        words = [(StateRegion.MEMBRANE, LaneStep.MEMBRANE), (StateRegion.DECAY, LaneStep.DECAY)]
        if self._config.has("rederived"):
            words.append((StateRegion.THETA, LaneStep.LOAD_THETA))
        word = Signal(range(len(words)))
        granted, same, stale = Signal(), Signal(), Signal()
        m.d.comb += [stale.eq(self.ending & same & (row >= self.store_row)),
                     granted.eq(wanting & ~finishing & ~stale)]
        with m.If(granted):
            m.d.sync += word.eq(word + 1)
            with m.If(word == len(words) - 1):
                m.d.sync += [word.eq(0), wanting.eq(0), row.eq(row + 1), left.eq(left - 1),
                             loaded.eq(1)]
        with m.If(stages[0]["valid"] & stages[0]["first"]):
            m.d.sync += loaded.eq(0)
        with m.If(stages[2]["first"] & (left != 0)):
            m.d.sync += wanting.eq(1)
        with m.If(self.job_take):
            m.d.sync += [row.eq(self.job.state_base), left.eq(self.job.groups),
                         wanting.eq(self.job.groups != 0),
                         same.eq(self.job.state_base == job.state_base)]
        region, step = Signal(3), Signal(LaneStep)
        with m.Switch(word):
            for index, (place, action) in enumerate(words):
                with m.Case(index):
                    m.d.comb += [region.eq(place), step.eq(action)]
        m.d.comb += self.state_address.eq(Mux(finishing, finish_address, Cat(row, region)))
        now = Signal(LaneStep)
        later = Signal(LaneStep)
        with m.If(finishing):
            m.d.comb += now.eq(finish_step)
        with m.Elif(granted):
            m.d.comb += now.eq(step)
        m.d.sync += later.eq(now)
        for block, step in enumerate(copies(m, later, self._config.blocks, "step_copy")):
            m.d.comb += self.step[block].eq(step)


class _Turn:
    """The job whose groups finish, and when the next one takes its place."""

    def __init__(self, config: HardwareConfig):
        self.job, self.next = (Signal(job_layout(config), name=name)
                               for name in ("finishing_job", "next_job"))
        self.last_mask = Signal(config.lanes, name="last_mask")
        self.begun, self.ended = Signal(name="begun"), Signal(name="ended")
