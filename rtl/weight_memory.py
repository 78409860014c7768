"""Stacked weight memory: every tier holds one slice of each weight, all see the same address."""

from __future__ import annotations

import functools
import operator

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from lamina.models.config import HardwareConfig

__all__ = ["TierBank", "WeightMemory"]

_PINS = ("standby", "sleep")


class TierBank(wiring.Component):
    """One single-port bank: inferred block RAM, SB_SPRAM256KA, or behavioural.

    Read latency 1 cycle, one access per cycle. A SPRAM's output is undefined after a write.

    Parameters
    ----------
    bank : str
        One of :data:`lamina.models.config.BANKS`.
    words : int
        Depth.
    bits : int
        Word width [bit]; 16 for ``spram``.

    Members
    -------
    enable, write : In(1)
        Access; without ``enable`` nothing is clocked.
    address : In
    i, o : In(bits), Out(bits)
        Written and read word.
    standby, sleep : In(1)
        ``spram`` only. Contents are kept, no access is taken; ``o`` is undefined from the next edge
        on (``standby``) or 0 at once (``sleep``, asynchronous: it must come from a flip-flop).
    """

    def __init__(self, *, bank: str, words: int, bits: int):
        self._bank, self._words, self._bits = bank, words, bits
        super().__init__({"enable": In(1), "write": In(1), "address": In((words - 1).bit_length()),
                          "i": In(bits), "o": Out(bits),
                          **(dict.fromkeys(_PINS, In(1)) if bank == "spram" else {})})

    def elaborate(self, platform):
        m = Module()
        if self._bank == "spram":
            m.submodules.spram = self._spram()
            return m
        attrs = {"no_rw_check": 1}
        if self._bank == "inferred":
            attrs["ram_style"] = "block"
        m.submodules.memory = memory = Memory(shape=self._bits, depth=self._words, init=[],
                                              attrs=attrs)
        read, write = memory.read_port(), memory.write_port()
        m.d.comb += [
            read.addr.eq(self.address),
            read.en.eq(self.enable & ~self.write),
            write.addr.eq(self.address),
            write.en.eq(self.enable & self.write),
            write.data.eq(self.i),
            self.o.eq(read.data),
        ]
        return m

    def _spram(self) -> Instance:
        address = Cat(self.address, Const(0, 14 - len(self.address)))
        return Instance(
            "SB_SPRAM256KA",
            i_ADDRESS=address, i_DATAIN=self.i, i_MASKWREN=Const(0xF, 4), i_WREN=self.write,
            i_CHIPSELECT=self.enable, i_CLOCK=ClockSignal(), i_STANDBY=self.standby,
            i_SLEEP=self.sleep, i_POWEROFF=Const(1, 1), o_DATAOUT=self.o)


class WeightMemory(wiring.Component):
    """All tiers of one core; returns the codes of one word for every lane.

    Latency 2 cycles from ``access`` to ``weights``, one word per cycle. The bits of a gated tier
    are replaced by the fill: zero, or 1 in the highest gated bit. Golden:
    :func:`lamina.models.tiers.effective_weights`. Source: TVLSI23 (see README, References).

    Parameters
    ----------
    config : HardwareConfig

    Members
    -------
    access : In(1)
        Read ``address`` in every tier that is not gated.
    address : In(log2(weight_words))
        A copy for each tier of a wide core.
    gated : In(tiers)
        Bit k: tier k (0 most significant) is not accessed. Stable from an access to its weights.
    fill_mid : In(1)
        Fill of gated tiers: 10..0 rather than 0.
    weights : Out(array of signed(code_bits))
        Zero in cycles that follow no access.
    accesses : Out(tiers)
        Bit k: tier k was read for the lanes in this cycle.
    host_read, host_write : In(tiers)
        Access of tier k at ``address`` for the host; never together with ``access``.
    host_i : In(widest tier word)
    host_o : Out(widest tier word)
        Word read for the host, two cycles after ``host_read`` and only then.
    standby, sleep : In(tiers)
        ``spram`` only: pins of each tier's :class:`TierBank`, 0 where it is accessed.
    """

    def __init__(self, config: HardwareConfig):
        if not isinstance(config, HardwareConfig):
            raise TypeError(f"config must be a HardwareConfig, not {config!r}")
        self._config = config
        widest = config.lanes * max(config.tiers)
        tiers = len(config.tiers)
        super().__init__({
            "access": In(1),
            "address": In(data.ArrayLayout((config.weight_words - 1).bit_length(),
                                           config.address_copies)),
            "gated": In(tiers),
            "fill_mid": In(1),
            "weights": Out(data.ArrayLayout(signed(config.code_bits), config.lanes)),
            "accesses": Out(tiers),
            "host_read": In(tiers),
            "host_write": In(tiers),
            "host_i": In(widest),
            "host_o": Out(widest),
            **(dict.fromkeys(_PINS, In(tiers)) if config.bank == "spram" else {}),
        })

    def elaborate(self, platform):
        m = Module()
        config = self._config
        slices = []
        for tier, bits in enumerate(config.tiers):
            width = config.lanes * bits
            bank = TierBank(bank=config.bank, words=config.weight_words, bits=width)
            m.submodules[f"tier{tier}"] = bank
            reading = self.access & ~self.gated[tier]
            m.d.comb += [
                bank.enable.eq(reading | self.host_read[tier] | self.host_write[tier]),
                bank.write.eq(self.host_write[tier]),
                bank.address.eq(self.address[tier % config.address_copies]),
                bank.i.eq(self.host_i[:width]),
                self.accesses[tier].eq(reading),
            ]
            if config.bank == "spram":
                m.d.comb += [getattr(bank, pin).eq(getattr(self, pin)[tier]) for pin in _PINS]
            slices.append(self._slices(m, tier, bits, bank.o, reading | self.host_read[tier]))
        self._answer(m, slices)
        for lane in range(config.lanes):
            code = Cat(*[slices[tier][lane] for tier in reversed(range(len(config.tiers)))])
            m.d.comb += self.weights[lane].eq(code.as_signed())
        return m

    def _slices(self, m, tier, bits, word, reading):
        """What each lane gets of a tier that was `reading` in the cycle before, or its fill."""
        rests = Signal(name=f"rests{tier}", init=1)
        filled = Signal(name=f"filled{tier}")
        highest = self.gated[tier] & (~self.gated[tier - 1] if tier else 1)
        m.d.sync += [rests.eq(~reading), filled.eq(self.access & highest & self.fill_mid)]
        found = []
        for lane in range(self._config.lanes):
            part, fill = word.word_select(lane, bits), Cat(Const(0, bits - 1), filled)
            if self._config.is_binary:
                part, fill = Cat(Const(1, 1), ~part), Const(0, 2)
            slot = Signal(len(part), name=f"weight{tier}_{lane}", reset_less=True)
            m.d.sync += slot.eq(Mux(rests, fill, part))
            found.append(slot)
        return found

    def _answer(self, m, slices):
        """To the host, what the one tier gave that was read; the others rested."""
        if self._config.is_binary:
            slices = [[part[0] & ~part[1] for part in slices[0]]]
        words = [Cat(*parts) for parts in slices]
        m.d.comb += self.host_o.eq(functools.reduce(operator.or_, words))
