"""A core with flip-flops at its streams, for pins or logic that give it an event per clock."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from lamina.models.config import HardwareConfig
from lamina.rtl.core import Core
from lamina.rtl.streams import event_layout, output_layout, request_layout

__all__ = ["StreamCore", "StreamCores", "StreamRegister"]


class StreamRegister(wiring.Component):
    """A stream through flip-flops in both directions: latency 1 cycle, throughput 1 per cycle.

    Two places: what arrives in the cycle in which the sink stops has one to go to.

    Parameters
    ----------
    shape : ShapeLike
        Of a payload.

    Members
    -------
    i : In(stream of shape)
    o : Out(stream of shape)
    """

    def __init__(self, shape):
        payloads = stream.Signature(shape)
        super().__init__({"i": In(payloads), "o": Out(payloads)})

    def elaborate(self, platform):
        m = Module()
        kept = Signal.like(self.i.payload)
        keeping = Signal()
        free = Signal()
        m.d.comb += [free.eq(~self.o.valid | self.o.ready), self.i.ready.eq(~keeping)]
        m.d.sync += keeping.eq((keeping | self.i.valid) & ~free)
        with m.If(free):
            m.d.sync += [
                self.o.valid.eq(self.i.valid | keeping),
                self.o.payload.eq(Mux(keeping, kept, self.i.payload)),
            ]
        with m.If(~keeping):
            m.d.sync += kept.eq(self.i.payload)
        return m


class StreamCore(wiring.Component):
    """One :class:`Core`, each of its streams through a :class:`StreamRegister`.

    Parameters
    ----------
    config : HardwareConfig

    Members
    -------
    events, output, request, response, idle
        Of the core; ``idle`` a cycle late.

    Raises
    ------
    TypeError
        If `config` is not a :class:`HardwareConfig`.
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
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = core = Core(self._config)
        for name, inner in (("events", core.events), ("request", core.request)):
            m.submodules[name] = register = StreamRegister(inner.payload.shape())
            connect(m, flipped(getattr(self, name)), register.i)
            connect(m, register.o, inner)
        for name, inner in (("output", core.output), ("response", core.response)):
            m.submodules[name] = register = StreamRegister(inner.payload.shape())
            connect(m, inner, register.i)
            connect(m, register.o, flipped(getattr(self, name)))
        m.d.sync += self.idle.eq(core.idle)
        return m


class StreamCores(wiring.Component):
    """Cores side by side that share a clock and nothing else: who feeds them deals out samples.

    Parameters
    ----------
    config : HardwareConfig
        Of each.
    count : int
        At least 1.

    Members
    -------
    core0, core1, ...
        The streams of each :class:`StreamCore`.

    Raises
    ------
    TypeError
        If `config` is not a :class:`HardwareConfig`.
    ValueError
        If `count` is below 1.
    """

    def __init__(self, config: HardwareConfig, count: int):
        if count < 1:
            raise ValueError(f"count must be at least 1, not {count}")
        self._cores = {f"core{number}": StreamCore(config) for number in range(count)}
        super().__init__({name: Out(core.signature) for name, core in self._cores.items()})

    def elaborate(self, platform):
        m = Module()
        for name, core in self._cores.items():
            m.submodules[name] = core
            connect(m, core, flipped(getattr(self, name)))
        return m
