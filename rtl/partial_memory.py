"""Partial sums that other tiles have sent, for two timesteps."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from lamina.models.config import HardwareConfig

__all__ = ["PartialMemory"]


class PartialMemory(wiring.Component):
    """A row of ``lanes`` sums per group and side; the sides change roles from slot to slot.

    A sum is written in the cycle in which it comes, whatever the core does. What is read is never
    written in the same slot; every slot brings all sums, so none is cleared. Read latency 2 cycles
    (memory, then register), one row per cycle.

    Parameters
    ----------
    config : HardwareConfig
        With the feature ``partial``: sums are as wide as accumulators, so that none saturates.

    Members
    -------
    write : In(1)
    neuron : In(log2(neurons))
        ``lane + lanes * row`` of the state memory.
    side : In(1)
        To write.
    value : In(acc_bits)
    address : In(log2(groups))
    read_side : In(1)
    word : Out(array of signed(acc_bits))
    """

    def __init__(self, config: HardwareConfig):
        if not isinstance(config, HardwareConfig):
            raise TypeError(f"config must be a HardwareConfig, not {config!r}")
        self._config = config
        super().__init__({
            "write": In(1),
            "neuron": In((config.neurons - 1).bit_length()),
            "side": In(1),
            "value": In(config.acc_bits),
            "address": In((config.groups - 1).bit_length()),
            "read_side": In(1),
            "word": Out(data.ArrayLayout(signed(config.acc_bits), config.lanes)),
        })

    def elaborate(self, platform):
        m = Module()
        config = self._config
        lane_bits = (config.lanes - 1).bit_length()
        m.submodules.memory = memory = Memory(
            shape=config.lanes * config.acc_bits, depth=2 * config.groups, init=[],
            attrs={"no_rw_check": 1, "ram_style": "block"})
        read, write = memory.read_port(), memory.write_port(granularity=config.acc_bits)
        lane, row = self.neuron[:lane_bits], self.neuron[lane_bits:]
        m.d.comb += [
            write.addr.eq(Cat(row, self.side)),
            write.en.eq(self.write << lane),
            write.data.eq(self.value.replicate(config.lanes)),
            read.addr.eq(Cat(self.address, self.read_side)),
        ]
        m.d.sync += self.word.as_value().eq(read.data)
        return m
