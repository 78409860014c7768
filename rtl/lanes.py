"""Leaky integrate-and-fire lanes and the state memory that feeds them."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, enum, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from lamina.models.adders.spec import AdderSpec
from lamina.models.config import HardwareConfig, ResetRule
from lamina.rtl.adders import chosen_sum, sum_of
from lamina.rtl.fixed import saturate

__all__ = ["LaneStep", "Lanes", "StateMemory"]

_SWITCHES = {"silent": "currents", "refractory": "refractory", "subtractive": "subtractive",
             "receives": "partial"}


class LaneStep(enum.Enum, shape=4):
    """What the lanes do with the state word that the memory delivers."""

    NONE = 0
    MEMBRANE = 1
    DECAY = 2
    BIAS = 3
    THETA = 4
    RESET = 5
    CURRENT = 6
    LOAD_THETA = 7
    CORRECT = 8
    FOLLOW = 9


class StateMemory(wiring.Component):
    """One word of ``lanes`` slots per row: membrane, decay, bias, threshold, reset.

    Read latency 2 cycles (memory, then register), one row per cycle; a write may go on beside it to
    another row. The register shifts for the host, one lane per cycle, lane 0 first.

    Parameters
    ----------
    config : HardwareConfig
        ``8 * groups`` rows of ``lanes * slot_bits``; row = region * groups + group.

    Members
    -------
    address : In(log2(8 * groups))
    word : Out(array of signed(slot_bits))
        Row read, two cycles later.
    shift : In(1)
        Move the register down by one lane instead of loading it.
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
            "shift": In(1),
            "write_address": In(row_bits),
            "write_lanes": In(config.lanes),
            "write_word": In(word),
        })

    def elaborate(self, platform):
        m = Module()
        config = self._config
        width = config.lanes * config.slot_bits
        m.submodules.memory = memory = Memory(shape=width, depth=8 * config.groups, init=[],
                                              attrs={"no_rw_check": 1, "ram_style": "block"})
        read = memory.read_port()
        write = memory.write_port(granularity=config.slot_bits)
        m.d.comb += [
            read.addr.eq(self.address),
            write.addr.eq(self.write_address),
            write.en.eq(self.write_lanes),
            write.data.eq(self.write_word.as_value()),
        ]
        word = Signal(width, reset_less=True)
        with m.If(self.shift | self._moves(m)):
            m.d.sync += word.eq(Mux(self.shift, word >> config.slot_bits, read.data))
        m.d.comb += self.word.as_value().eq(word)
        return m

    def _moves(self, m):
        """Whether the memory's output may differ from the register.

        Another row was addressed, some row was written before the last read, or the register was
        shifted. The register has as many bits as all membranes of a row: still, it costs nothing.
        """
        last, wrote, moves = Signal.like(self.address), Signal(), Signal(init=1)
        m.d.sync += [last.eq(self.address), wrote.eq(self.write_lanes.any()),
                     moves.eq((self.address != last) | wrote | self.shift)]
        return moves


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
        What ``word`` is: MEMBRANE then DECAY prepare the leaked membrane of the next group; BIAS,
        in the cycle after the last weight, takes the sum over; THETA and RESET act on it, in the
        order of the rule; what they subtract comes as its one's complement. CURRENT, after BIAS,
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
            "add": In(1),
            "first": In(1),
            "enabled": In(config.lanes),
            "step": In(LaneStep),
            "word": In(data.ArrayLayout(signed(config.slot_bits), config.lanes)),
            "rule": In(2),
            "spiked": In(config.lanes),
            "finishing": In(config.lanes),
            "spikes": Out(config.lanes),
            "store": In(1),
            "membranes": Out(data.ArrayLayout(signed(config.state_bits), config.lanes)),
            **{name: In(1) for name, feature in _SWITCHES.items() if config.has(feature)},
            **({"follow": In(signed(config.state_bits))} if config.has("follow") else {}),
            **({"adder": In(range(len(config.adders)))} if len(config.adders) > 1 else {}),
            **({"partial": In(sums), "totals": Out(sums)} if config.has("partial") else {}),
        })
        self._adders = tuple(AdderSpec.parse(name) for name in config.adders)

    def elaborate(self, platform):
        m = Module()
        delayed = Signal()
        subtract = Signal()
        m.d.comb += [
            delayed.eq(self.rule == ResetRule.SUBTRACT_DELAYED),
            subtract.eq((self.step == LaneStep.THETA)
                        | ((self.step == LaneStep.RESET) & (self.rule != ResetRule.VALUE))),
        ]
        for lane in range(self._config.lanes):
            acc = self._accumulate(m, lane)
            self._finish(m, lane, acc, delayed, subtract)
        return m

    def _accumulate(self, m, lane):
        """Leak and accumulator of one lane; returns the accumulator."""
        config = self._config
        word = self.word[lane]
        membrane = Signal(signed(config.state_bits), name=f"membrane{lane}", reset_less=True)
        decay = Signal(signed(config.slot_bits), name=f"decay{lane}", reset_less=True)
        leaked = ((membrane * decay) >> config.decay_bits)[:config.state_bits].as_signed()
        if config.has("subtractive"):
            nearer = Mux(membrane < 0, membrane + decay, membrane - decay)
            past = (nearer < 0) != (membrane < 0)
            leaked = Mux(self.subtractive, Mux(past, 0, nearer), leaked)[:config.state_bits]
            leaked = leaked.as_signed()
        acc = Signal(signed(config.acc_bits), name=f"acc{lane}", reset_less=True)
        with m.If(self.step == LaneStep.MEMBRANE):
            m.d.sync += membrane.eq(word)
        with m.If(self.step == LaneStep.DECAY):
            m.d.sync += decay.eq(word)
        with m.If((self.add | self.first) & self.enabled[lane]):
            m.d.sync += acc.eq(self._sum(m, lane, Mux(self.first, leaked, acc)))
        return acc

    def _sum(self, m, lane, base):
        """Base (+) weight; the mere leak of a group without spikes passes no approximate adder."""
        weight = self.weights[lane]
        if all(spec.is_exact for spec in self._adders):
            return base + weight
        start = Signal(signed(self._config.acc_bits), name=f"base{lane}")
        m.d.comb += start.eq(base)
        if len(self._adders) == 1:
            total = sum_of(m, self._adders[0], start, weight)
        else:
            total = chosen_sum(m, self._adders, self.adder, start, weight)
        return Mux(self.add, total, start)

    def _finish(self, m, lane, acc, delayed, subtract):
        """Bias, threshold, reset and store value of one lane: one adder with a carry input."""
        config = self._config
        total = Signal(signed(config.acc_bits), name=f"total{lane}", reset_less=True)
        result = Signal(signed(config.acc_bits + 1), name=f"result{lane}")
        taking = self.step == LaneStep.BIAS
        resetting = self.step == LaneStep.RESET
        replacing = resetting & (self.rule == ResetRule.VALUE)
        base = Mux(replacing, 0, Mux(taking, acc, total))
        operand = self.word[lane].as_unsigned()[:config.state_bits]
        hit = Mux(delayed, self.spiked[lane], self.spikes[lane])
        fires = ~result[-1] & self.finishing[lane]
        adding = taking
        if config.has("currents"):
            fires = fires & ~self.silent
            adding = adding | (self.step == LaneStep.CURRENT)
        if config.has("follow"):
            following = self.step == LaneStep.FOLLOW
            adding = adding | following
            operand = Mux(following, self.follow.as_unsigned(), operand)
        if config.has("refractory"):
            rests = self.refractory & self.spiked[lane]
            fires, hit = fires & ~rests, hit | rests
        if config.has("rederived"):
            above = self._above(m, lane)
            correcting = self.step == LaneStep.CORRECT
            back = correcting & above
            hit = Mux(self.rule == ResetRule.SUBTRACT_REDERIVED, above, hit)
            adding = adding | (correcting & (above != self.spikes[lane]))
            operand = operand ^ back.replicate(config.state_bits)
            subtract = subtract | (correcting & ~above)
        if config.has("partial"):
            receiving = (self.step == LaneStep.CURRENT) & self.receives
            operand = Mux(receiving, self.partial[lane], operand.as_signed()).as_unsigned()
            m.d.comb += self.totals[lane].eq(total)
        m.d.comb += result.eq(
            (Cat(Const(1, 1), base).as_signed() + Cat(subtract, operand).as_signed()) >> 1)
        with m.If(adding | (resetting & hit)):
            m.d.sync += total.eq(result)
        with m.If(self.step == LaneStep.THETA):
            m.d.sync += self.spikes[lane].eq(fires)
        m.d.comb += self.membranes[lane].eq(saturate(total, config.state_bits, self.store))

    def _above(self, m, lane):
        """Whether the membrane that the finishing group had stored reaches its threshold.

        It is compared while the group is loaded and travels with its sum.
        """
        config = self._config
        membrane = Signal(signed(config.state_bits), name=f"stored{lane}", reset_less=True)
        loaded, summed, above = (Signal(name=f"{name}{lane}", reset_less=True)
                                 for name in ("above_loaded", "above_summed", "above"))
        with m.If(self.step == LaneStep.MEMBRANE):
            m.d.sync += membrane.eq(self.word[lane])
        with m.If(self.step == LaneStep.LOAD_THETA):
            m.d.sync += loaded.eq(~(membrane + self.word[lane] + 1)[-1])
        with m.If(self.first):
            m.d.sync += summed.eq(loaded)
        with m.If(self.step == LaneStep.BIAS):
            m.d.sync += above.eq(summed)
        return above
