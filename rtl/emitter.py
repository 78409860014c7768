"""Emitter: spike masks of finished groups become output events."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from lamina.models.config import EventKind, HardwareConfig
from lamina.rtl.set_bits import SetBits
from lamina.rtl.streams import output_layout

__all__ = ["Emitter"]


class Emitter(wiring.Component):
    """Queue of two masks; each leaves as its SPIKEs, lowest lane first, then a TICK or CLEAR.

    One event per cycle. A mask without events costs one cycle. Back-pressure fills the queue, the
    core asks ``free`` before it lets a group finish. Golden: :func:`lamina.models.emitter.emit`.

    Parameters
    ----------
    config : HardwareConfig

    Members
    -------
    push : In(1)
        Enqueue; only when a place was reserved.
    mask : In(lanes)
    row : In(log2(groups))
        Row of the state memory that the mask belongs to.
    values : In(lanes * acc_bits)
        What the SPIKEs of the mask carry, by lane; with the feature ``partial`` only.
    tick, clear : In(1)
        A TICK or CLEAR follows the spikes of the mask.
    reserve : In(1)
        A place is taken from now on (to be pushed later).
    free : Out(1)
        A place can be reserved.
    empty : Out(1)
        No place is reserved and no event waits.
    output : Out(stream of output_layout)
    """

    def __init__(self, config: HardwareConfig):
        if not isinstance(config, HardwareConfig):
            raise TypeError(f"config must be a HardwareConfig, not {config!r}")
        self._config = config
        super().__init__({
            "push": In(1),
            "mask": In(config.lanes),
            "row": In((config.groups - 1).bit_length()),
            "tick": In(1),
            "clear": In(1),
            "reserve": In(1),
            "free": Out(1),
            "empty": Out(1),
            "output": Out(stream.Signature(output_layout(config))),
            **({"values": In(config.lanes * config.acc_bits)} if config.has("partial") else {}),
        })

    def elaborate(self, platform):
        m = Module()
        taken = Signal(2)
        release = Signal()
        m.d.sync += taken.eq(taken + self.reserve - release)
        m.d.comb += [self.free.eq(~taken[1]), self.empty.eq(taken == 0)]

        carries = self._config.has("partial")
        names = ("row", "tick", "clear", *(["values"] if carries else []))
        pushed = {name: getattr(self, name) for name in names}
        mask = SetBits(m, self._config, "mask", pushed)
        now = mask.tag
        marker = now["tick"] | now["clear"]
        spike = mask.any
        payload = self.output.payload
        m.d.comb += [
            self.output.valid.eq(mask.valid & (spike | marker)),
            payload.kind.eq(EventKind.SPIKE),
            payload.neuron.eq(Cat(mask.index, now["row"])),
        ]
        with m.If(~spike):
            m.d.comb += [payload.neuron.eq(0), payload.kind.eq(EventKind.TICK)]
            with m.If(now["clear"]):
                m.d.comb += payload.kind.eq(EventKind.CLEAR)
        if carries:
            value = now["values"].word_select(mask.index, self._config.acc_bits)
            m.d.comb += payload.value.eq(Mux(spike, value, 0))
        last = (spike & ~mask.several & ~marker) | ~spike
        accepted = self.output.ready | ~self.output.valid
        m.d.comb += release.eq(mask.valid & last & accepted)
        leaving = release | ~mask.valid
        with m.If(~leaving & self.output.valid & self.output.ready):
            mask.take(m)
        if self._config.preview:
            mask.feed(m, leaving, self.push, self.mask, pushed)
        else:
            self._queue(m, mask, leaving, pushed)
        return m

    def _queue(self, m, mask, leaving, pushed):
        """Keep a mask that is pushed while another one is sent."""
        valid, word = Signal(name="next_valid"), Signal.like(self.mask, name="next_mask")
        kept = {name: Signal.like(each, name=f"next_{name}") for name, each in pushed.items()}
        mask.feed(m, leaving, valid | self.push, Mux(valid, word, self.mask),
                  {name: Mux(valid, kept[name], pushed[name]) for name in pushed})
        with m.If(leaving):
            m.d.sync += valid.eq(valid & self.push)
        with m.Elif(self.push):
            m.d.sync += valid.eq(1)
        with m.If(self.push):
            m.d.sync += [word.eq(self.mask), *[kept[name].eq(pushed[name]) for name in pushed]]
