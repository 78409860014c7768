"""Leaky integrate-and-fire lanes and the state memory that feeds them."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, enum, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from lamina.models.adders.spec import AdderSpec
from lamina.models.config import HardwareConfig, ResetRule, StateRegion
from lamina.rtl.adders import chosen_sum, sum_of
from lamina.rtl.copies import copies, is_fast
from lamina.rtl.fixed import saturate
from lamina.rtl.scheduler import job_switches

__all__ = ["LaneStep", "Lanes", "StateMemory"]

_DISTRIBUTED_ROWS = 64


class LaneStep(enum.Flag, shape=10):
    """What the lanes do with the state word that the memory delivers: one bit, or none.

    A bit each, so that nothing has to be decoded on its way to all lanes.
    """

    NONE = 0
    MEMBRANE = 1
    DECAY = 2
    BIAS = 4
    THETA = 8
    RESET = 16
    REPLACE = 32
    CURRENT = 64
    LOAD_THETA = 128
    CORRECT = 256
    FOLLOW = 512


class StateMemory(wiring.Component):
    """One word of ``lanes`` slots per row: membrane, decay, bias, threshold, reset.

    Read latency 2 cycles (memory, then register), one row per cycle; a write may go on beside it to
    another row. The register shifts for the host, one lane per cycle, lane 0 of each block first.
    Wide memories of few rows are distributed: block RAM is wide enough only side by side.

    Parameters
    ----------
    config : HardwareConfig
        ``8 * groups`` rows of ``lanes * slot_bits``; row = region * groups + group.

    Members
    -------
    address : In(log2(8 * groups))
    word : Out(array of signed(slot_bits))
        Row read, two cycles later.
    shift : In(blocks)
        Move the register of each block of lanes down by one lane instead of loading it.
    write_address : In(log2(8 * groups))
    write_lanes : In(lanes)
        Lanes to store.
    write_word : In(array of signed(slot_bits))
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        row_bits = (8 * config.groups - 1).bit_length()
        word = data.ArrayLayout(signed(config.slot_bits), config.lanes)
        super().__init__({
            "address": In(row_bits),
            "word": Out(word),
            "shift": In(config.blocks),
            "write_address": In(row_bits),
            "write_lanes": In(config.lanes),
            "write_word": In(word),
        })

    def elaborate(self, platform):
        m = Module()
        config = self._config
        lanes = config.lanes // config.blocks
        width, words = lanes * config.slot_bits, []
        fast = is_fast(config, platform)
        moving = Const(1) if fast else copies(m, self._moves(m), 1, "moves", init=1)[0]
        distributed = fast and 8 * config.groups <= _DISTRIBUTED_ROWS
        regions = len(StateRegion) if getattr(platform, "exact_size", False) else 8
        addresses = copies(m, self.address, config.blocks, "row") if distributed else []
        stored = self._stored(m, distributed)
        for block in range(config.blocks):
            memory = Memory(shape=width, depth=regions * config.groups, init=[],
                            attrs={"no_rw_check": 1, "ram_style": "distributed" if distributed
                                   else "block"})
            m.submodules["memory" if config.blocks == 1 else f"memory{block}"] = memory
            read = memory.read_port(domain="comb" if distributed else "sync")
            write = memory.write_port(granularity=config.slot_bits)
            m.d.comb += [
                read.addr.eq(addresses[block] if distributed else self.address),
                write.addr.eq(stored["write_address"][block]),
                write.en.eq(stored["write_lanes"][0].word_select(block, lanes)),
                write.data.eq(stored["write_word"][0].word_select(block, width)),
            ]
            word = Signal(width, name=f"word{block}", reset_less=True)
            shift = self.shift[block]
            with m.If(shift | moving):
                m.d.sync += word.eq(Mux(shift, word >> config.slot_bits, read.data))
            words.append(word)
        m.d.comb += self.word.as_value().eq(Cat(*words))
        return m

    def _stored(self, m, distributed):
        """What is written, a copy or one per block; a cycle later where the row is read later."""
        blocks, given = self._config.blocks, {
            "write_address": self.write_address, "write_lanes": self.write_lanes,
            "write_word": self.write_word.as_value()}
        if not distributed:
            return {name: [value] * blocks for name, value in given.items()}
        return {name: copies(m, value, blocks if name == "write_address" else 1, name)
                for name, value in given.items()}

    def _moves(self, m):
        """Whether the memory's output may differ from the register.

        Another row was addressed, some row was written before the last read, or the register was
        shifted. The register has as many bits as all membranes of a row: still, it costs nothing;
        but an enable that reaches all of them takes its time.
        """
        last, wrote = Signal.like(self.address), Signal()
        m.d.sync += [last.eq(self.address), wrote.eq(self.write_lanes.any())]
        return (self.address != last) | wrote | self.shift.any()


class Lanes(wiring.Component):
    """All accumulator datapaths: leak, accumulate, bias, threshold, reset, saturate.

    ``u = (v * D) >> F``; ``x = u + w1 + w2 ...``; then on the finished sum ``a = x + bias``
    (``- p * r`` when delayed), ``spike = a >= theta``, reset, saturation to ``state_bits``. Sums
    are modulo ``2**acc_bits``. Weights are added by the layer's adder, all else exactly. One
    accumulation per cycle; the finishing steps of a group overlap with the accumulation of the
    next. Golden: :func:`lamina.models.neuron.lif_step`.

    Parameters
    ----------
    config : HardwareConfig

    Members
    -------
    weights : In(array of signed(code_bits))
    add : In(1)
        Accumulate ``weights`` in the enabled lanes.
    weights_second, add_second : In
        What is added behind it in the same cycle, 0 without ``add_second``; with two ports only.
    first : In(1)
        Start from the leaked membrane instead of the accumulator (also without a weight: then the
        weights must be zero).
    enabled : In(lanes)
        Lanes that hold a neuron; the others do not add.
    follow : In(signed(state_bits))
        What FOLLOW, after BIAS and CURRENT, adds in all lanes; with its feature only.
    adder : In(log2(adders))
        Which of ``config.adders`` adds; only where there are several.
    step : In(LaneStep)
        What ``word`` is: MEMBRANE then DECAY prepare the leaked membrane of the next group, which
        is there four cycles behind DECAY; BIAS,
        in the cycle after the last weight, takes the sum over; THETA and RESET (REPLACE under
        ``VALUE``) act on it, in the order of the rule; what they subtract comes as its one's
        complement. CURRENT, after BIAS,
        adds a synaptic current. LOAD_THETA, after DECAY, and CORRECT, after THETA, belong to
        ``SUBTRACT_REDERIVED``: the one compares the stored membrane, the other turns ``x - p*r``
        into ``x - spike*r``.
    word : In(array of signed(slot_bits))
    rule : In(2)
        :class:`lamina.models.config.ResetRule` of the finishing group.
    spiked : In(lanes)
        Spikes of the previous timestep, valid in the cycles of THETA and RESET: p under
        ``SUBTRACT_DELAYED``, and what a refractory neuron rests after.
    silent, refractory, subtractive, receives : In(1)
        The finishing group does not spike, or rests for a timestep after a spike; the membrane
        leaks by subtraction; CURRENT adds ``partial``. Each exists with its feature only.
    partial : In(array of signed(acc_bits))
        Sums of other tiles for the finishing group; with its feature only.
    finishing : In(lanes)
        Lanes of the finishing group that hold a neuron.
    spikes : Out(lanes)
        From the cycle after THETA.
    store : In(1)
        The group is stored in this cycle: after its last step, with the next BIAS at the latest.
    membranes : Out(array of signed(state_bits))
        Saturated; zero without ``store``.
    totals : Out(array of signed(acc_bits))
        What is saturated; with the feature ``partial`` only.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        sums = data.ArrayLayout(signed(config.acc_bits), config.lanes)
        super().__init__({
            "weights": In(data.ArrayLayout(signed(config.code_bits), config.lanes)),
            "add": In(config.blocks),
            **({"weights_second": In(data.ArrayLayout(signed(config.code_bits), config.lanes)),
                "add_second": In(config.blocks)} if config.ports > 1 else {}),
            "first": In(config.blocks),
            "enabled": In(config.lanes),
            "step": In(data.ArrayLayout(LaneStep, config.blocks)),
            "word": In(data.ArrayLayout(signed(config.slot_bits), config.lanes)),
            "rule": In(data.ArrayLayout(2, config.blocks)),
            "spiked": In(config.lanes),
            "finishing": In(config.lanes),
            "spikes": Out(config.lanes),
            "store": In(config.blocks),
            "membranes": Out(data.ArrayLayout(signed(config.state_bits), config.lanes)),
            **dict.fromkeys(job_switches(config), In(1)),
            **({"follow": In(signed(config.state_bits))} if config.has("follow") else {}),
            **({"adder": In(range(len(config.adders)))} if len(config.adders) > 1 else {}),
            **({"partial": In(sums), "totals": Out(sums)} if config.has("partial") else {}),
        })
        self._adders = tuple(AdderSpec.parse(name) for name in config.adders)

    def elaborate(self, platform):
        m = Module()
        for block in range(self._config.blocks):
            control = _Control(self, block)
            delayed = Signal(name=f"delayed{block}")
            subtract = Signal(name=f"subtract{block}")
            m.d.comb += subtract.eq(control.at(LaneStep.THETA) | control.at(LaneStep.RESET))
            domain = m.d.sync if is_fast(self._config, platform) else m.d.comb
            domain += delayed.eq(control.rule == ResetRule.SUBTRACT_DELAYED)
            for lane in control.lanes:
                acc = self._accumulate(m, lane, control, is_fast(self._config, platform))
                self._finish(m, lane, control, acc, delayed, subtract)
        return m

    def _accumulate(self, m, lane, control, fast):
        """Leak and accumulator of one lane; returns the accumulator."""
        config = self._config
        word = self.word[lane]
        membrane = Signal(signed(config.state_bits), name=f"membrane{lane}", reset_less=True)
        decay = Signal(signed(config.slot_bits), name=f"decay{lane}", reset_less=True)
        loaded = membrane, decay
        if fast:
            membrane = self._later(m, membrane, f"held_membrane{lane}")
            decay = self._later(m, decay, f"held_decay{lane}")
        leaked = ((membrane * decay) >> config.decay_bits)[:config.state_bits].as_signed()
        if config.has("subtractive"):
            nearer = Mux(membrane < 0, membrane + decay, membrane - decay)
            past = (nearer < 0) != (membrane < 0)
            leaked = Mux(self.subtractive, Mux(past, 0, nearer), leaked)[:config.state_bits]
            leaked = leaked.as_signed()
        if fast:
            leaked = self._later(m, self._later(m, leaked, f"product{lane}"), f"leaked{lane}")
        acc = Signal(signed(config.acc_bits), name=f"acc{lane}", reset_less=True)
        with m.If(control.at(LaneStep.MEMBRANE)):
            m.d.sync += loaded[0].eq(word)
        with m.If(control.at(LaneStep.DECAY)):
            m.d.sync += loaded[1].eq(word)
        with m.If((control.add | control.first) & self.enabled[lane]):
            m.d.sync += acc.eq(self._sum(m, lane, control, Mux(control.first, leaked, acc)))
        return acc

    @staticmethod
    def _later(m, value, name):
        """A register behind `value`: the way to a multiplier and from it is long."""
        later = Signal.like(value, name=name, reset_less=True)
        m.d.sync += later.eq(value)
        return later

    def _sum(self, m, lane, control, base):
        """Base (+) weight, or weights of both ports."""
        total = self._added(m, control.add, base, self.weights[lane], f"base{lane}")
        if self._config.ports == 1:
            return total
        return self._added(m, control.add_second, total, self.weights_second[lane],
                           f"base_second{lane}")

    def _added(self, m, adding, base, weight, name):
        """Base (+) weight; the mere leak of a group without spikes passes no approximate adder."""
        if all(spec.is_exact for spec in self._adders):
            return base + weight
        start = Signal(signed(self._config.acc_bits), name=name)
        m.d.comb += start.eq(base)
        if len(self._adders) == 1:
            total = sum_of(m, self._adders[0], start, weight)
        else:
            total = chosen_sum(m, self._adders, self.adder, start, weight)
        return Mux(adding, total, start)

    def _finish(self, m, lane, control, acc, delayed, subtract):
        """Bias, threshold, reset and store value of one lane: one adder with a carry input."""
        config = self._config
        total = Signal(signed(config.acc_bits), name=f"total{lane}", reset_less=True)
        result = Signal(signed(config.acc_bits + 1), name=f"result{lane}")
        taking = control.at(LaneStep.BIAS)
        replacing = control.at(LaneStep.REPLACE)
        resetting = control.at(LaneStep.RESET) | replacing
        base = Mux(replacing, 0, Mux(taking, acc, total))
        operand = self.word[lane].as_unsigned()[:config.state_bits]
        hit = Mux(delayed, self.spiked[lane], self.spikes[lane])
        fires = ~result[-1] & self.finishing[lane]
        adding = taking
        if config.has("currents"):
            fires = fires & ~self.silent
            adding = adding | control.at(LaneStep.CURRENT)
        if config.has("follow"):
            following = control.at(LaneStep.FOLLOW)
            adding = adding | following
            operand = Mux(following, self.follow.as_unsigned(), operand)
        if config.has("refractory"):
            rests = self.refractory & self.spiked[lane]
            fires, hit = fires & ~rests, hit | rests
        if config.has("rederived"):
            above = self._above(m, lane, control)
            correcting = control.at(LaneStep.CORRECT)
            back = correcting & above
            hit = Mux(control.rule == ResetRule.SUBTRACT_REDERIVED, above, hit)
            adding = adding | (correcting & (above != self.spikes[lane]))
            operand = operand ^ back.replicate(config.state_bits)
            subtract = subtract | (correcting & ~above)
        if config.has("partial"):
            receiving = control.at(LaneStep.CURRENT) & self.receives
            operand = Mux(receiving, self.partial[lane], operand.as_signed()).as_unsigned()
            m.d.comb += self.totals[lane].eq(total)
        m.d.comb += result.eq(
            (Cat(Const(1, 1), base).as_signed() + Cat(subtract, operand).as_signed()) >> 1)
        with m.If(adding | (resetting & hit)):
            m.d.sync += total.eq(result)
        with m.If(control.at(LaneStep.THETA)):
            m.d.sync += self.spikes[lane].eq(fires)
        m.d.comb += self.membranes[lane].eq(saturate(total, config.state_bits, control.store))

    def _above(self, m, lane, control):
        """Whether the membrane that the finishing group had stored reaches its threshold.

        It is compared while the group is loaded and travels with its sum.
        """
        config = self._config
        membrane = Signal(signed(config.state_bits), name=f"stored{lane}", reset_less=True)
        loaded, summed, above = (Signal(name=f"{name}{lane}", reset_less=True)
                                 for name in ("above_loaded", "above_summed", "above"))
        with m.If(control.at(LaneStep.MEMBRANE)):
            m.d.sync += membrane.eq(self.word[lane])
        with m.If(control.at(LaneStep.LOAD_THETA)):
            m.d.sync += loaded.eq(~(membrane + self.word[lane] + 1)[-1])
        with m.If(control.first):
            m.d.sync += summed.eq(loaded)
        with m.If(control.at(LaneStep.BIAS)):
            m.d.sync += above.eq(summed)
        return above


class _Control:
    """What a block of lanes is told."""

    def __init__(self, lanes: Lanes, block: int):
        width = lanes._config.lanes // lanes._config.blocks
        self.lanes = range(block * width, (block + 1) * width)
        self.add, self.first, self.store = lanes.add[block], lanes.first[block], lanes.store[block]
        if lanes._config.ports > 1:
            self.add_second = lanes.add_second[block]
        self.rule, self._step = lanes.rule[block], lanes.step[block].as_value()

    def at(self, step: LaneStep) -> Value:
        """Whether `step` is taken."""
        return self._step[step.value.bit_length() - 1]
