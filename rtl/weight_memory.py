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
_SUFFIXES = ("", "_second")
"""Of the members of each port."""


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
    """All tiers of one core; returns the codes of one word for every lane, of two with two ports.

    Latency 2 cycles from ``access`` to ``weights``, one word per cycle. The bits of a gated tier
    are replaced by the fill: zero, or 1 in the highest gated bit. A second port is a second copy of
    every tier, written together. Golden:
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
    access_second, address_second, weights_second, accesses_second
        The same of the second port, where there are two; both addresses are that of the host while
        it writes.
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
        port = {
            "access": In(1),
            "address": In(data.ArrayLayout((config.weight_words - 1).bit_length(),
                                           config.address_copies)),
            "weights": Out(data.ArrayLayout(signed(config.code_bits), config.lanes)),
            "accesses": Out(tiers),
        }
        super().__init__({
            **{name + suffix: member for suffix in _SUFFIXES[:config.ports]
               for name, member in port.items()},
            "gated": In(tiers),
            "fill_mid": In(1),
            "host_read": In(tiers),
            "host_write": In(tiers),
            "host_i": In(widest),
            "host_o": Out(widest),
            **(dict.fromkeys(_PINS, In(tiers)) if config.bank == "spram" else {}),
        })

    def elaborate(self, platform):
        m = Module()
        config = self._config
        for suffix in _SUFFIXES[:config.ports]:
            access, weights = getattr(self, f"access{suffix}"), getattr(self, f"weights{suffix}")
            slices = [self._tier(m, tier, suffix, access) for tier in range(len(config.tiers))]
            if not suffix:
                self._answer(m, slices)
            for lane in range(config.lanes):
                code = Cat(*[slices[tier][lane] for tier in reversed(range(len(config.tiers)))])
                m.d.comb += weights[lane].eq(code.as_signed())
        return m

    def _tier(self, m, tier, suffix, access):
        """Bank of a tier at one port; returns what each lane gets of it. The host reads the first.
        """
        config, bits = self._config, self._config.tiers[tier]
        width = config.lanes * bits
        bank = TierBank(bank=config.bank, words=config.weight_words, bits=width)
        m.submodules[f"tier{tier}{suffix}"] = bank
        reading = access & ~self.gated[tier]
        asked = reading if suffix else reading | self.host_read[tier]
        address = getattr(self, f"address{suffix}")
        m.d.comb += [
            bank.enable.eq(asked | self.host_write[tier]),
            bank.write.eq(self.host_write[tier]),
            bank.address.eq(address[tier % config.address_copies]),
            bank.i.eq(self.host_i[:width]),
            getattr(self, f"accesses{suffix}")[tier].eq(reading),
        ]
        if config.bank == "spram":
            m.d.comb += [getattr(bank, pin).eq(getattr(self, pin)[tier]) for pin in _PINS]
        return self._slices(m, tier, suffix, bank.o, access, asked)

    def _slices(self, m, tier, suffix, word, access, reading):
        """What each lane gets of a tier that was `reading` in the cycle before, or its fill."""
        bits = self._config.tiers[tier]
        rests = Signal(name=f"rests{tier}{suffix}", init=1)
        filled = Signal(name=f"filled{tier}{suffix}")
        highest = self.gated[tier] & (~self.gated[tier - 1] if tier else 1)
        m.d.sync += [rests.eq(~reading), filled.eq(access & highest & self.fill_mid)]
        found = []
        for lane in range(self._config.lanes):
            part, fill = word.word_select(lane, bits), Cat(Const(0, bits - 1), filled)
            if self._config.is_binary:
                part, fill = Cat(Const(1, 1), ~part), Const(0, 2)
            slot = Signal(len(part), name=f"weight{tier}_{lane}{suffix}", reset_less=True)
            m.d.sync += slot.eq(Mux(rests, fill, part))
            found.append(slot)
        return found

    def _answer(self, m, slices):
        """To the host, what the one tier gave that was read; the others rested."""
        if self._config.is_binary:
            slices = [[part[0] & ~part[1] for part in slices[0]]]
        words = [Cat(*parts) for parts in slices]
        m.d.comb += self.host_o.eq(functools.reduce(operator.or_, words))
