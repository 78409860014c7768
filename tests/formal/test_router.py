"""Proofs about a router, by induction: any flits, any stalls, for ever.

The memory of a buffer is taken as registers, which it is to its ports.
"""

from __future__ import annotations

import typing

import pytest
from amaranth.hdl import (
    Array,
    Assert,
    Assume,
    Cat,
    Cover,
    Elaboratable,
    Fragment,
    Module,
    Mux,
    ResetSignal,
    Signal,
)

from lamina.models.fabric.config import MeshConfig, Port
from lamina.rtl.fabric import router
from tests.formal.conftest import signals

CONFIGS = {
    "line": MeshConfig(size=(3,), payload_bits=2, fifo_depth=3),
    "plane": MeshConfig(size=(3, 3), payload_bits=2, fifo_depth=2),
}


class WritePort:
    def __init__(self, width, depth):
        self.addr, self.data, self.en = Signal(range(depth)), Signal(width), Signal()


class ReadPort:
    def __init__(self, width, depth):
        self.addr, self.data = Signal(range(depth)), Signal(width)


class Registers(Elaboratable):
    """A memory that is written at the clock and read at once, whose rows can be looked at."""

    made: typing.ClassVar[list[Registers]] = []

    def __init__(self, *, shape, depth, init):
        self._width, self._depth = shape, depth
        self.rows = [Signal(shape, name=f"row{number}") for number in range(depth)]
        self.made.append(self)

    def write_port(self):
        self.write = WritePort(self._width, self._depth)
        return self.write

    def read_port(self, *, domain):
        assert domain == "comb"
        self.read = ReadPort(self._width, self._depth)
        return self.read

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.read.data.eq(Array(self.rows)[self.read.addr])
        with m.If(self.write.en):
            m.d.sync += Array(self.rows)[self.write.addr].eq(self.write.data)
        return m


def implies(condition, *claims):
    return [Assert(~condition | claim) for claim in claims]


class RouterProof(Elaboratable):
    """One flit is followed: any one that any input takes; what happens to it happens to all.

    It waits behind those that its buffer held, then stands in the register of the right output
    unchanged, and leaves. While it is the head of its buffer, its output takes at most one flit
    of each other input, and takes one whenever it can.
    """

    def __init__(self, config, module=router):
        self._config, self._router = config, module.Router(config)
        self.source = Signal(range(len(config.ports)))
        self.follow = Signal()

    @property
    def inputs(self):
        tested = self._router
        pins = [self.source, self.follow, tested.here]
        for stream in tested.inputs:
            pins += [stream.valid, stream.payload]
        return [*pins, *(stream.ready for stream in tested.outputs)]

    def elaborate(self, platform):
        m = Module()
        config, tested = self._config, self._router
        Registers.made.clear()
        m.submodules.router = fragment = Fragment.get(tested, platform)
        self._buffers = [signals(Fragment.get(sub, platform)) for sub, *_ in fragment.subfragments]
        self._inside, self._memories = signals(fragment), list(Registers.made)
        self._constants(m)
        for number in range(len(config.ports)):
            self._buffer(m, number)
        for output in config.ports:
            self._turns(m, output)
        self._followed(m)
        return m

    def _constants(self, m):
        """The tile stands still, and flits come only from where they can come and for tiles."""
        config, tested = self._config, self._router
        for pin in (self.source, tested.here):
            past, started = Signal.like(pin, name=f"{pin.name}_past"), Signal(name=f"{pin.name}_s")
            m.d.sync += [past.eq(pin), started.eq(1)]
            m.d.comb += Assume(~started | (pin == past))
            if pin is tested.here:
                m.d.comb += Assert(~started | (pin == past))
        m.d.comb += [Assume(~ResetSignal()), Assume(self.source < len(config.ports))]
        for number, stream in enumerate(tested.inputs):
            way = self._inside[f"way_{config.ports[number].name.lower()}"]
            m.d.comb += Assume(~stream.valid | self._legal(number, way))

    def _legal(self, number, way):
        """An output that this input can turn to."""
        config = self._config
        return Cat(way == port for port in config.ports
                   if config.ports[number] in config.inputs_of(port)).any()

    def _entry(self, number, place):
        """Entry `place` behind the head of a buffer."""
        memory, depth = self._memories[number], self._config.fifo_depth
        index = memory.read.addr + place
        return Array(memory.rows)[Mux(index >= depth, index - depth, index)]

    def _buffer(self, m, number):
        """What makes the buffer a queue; every flit in it is for the output beside it."""
        config = self._config
        depth, memory = config.fifo_depth, self._memories[number]
        level, full = (self._buffers[number][name] for name in ("level", "full"))
        end = memory.read.addr + level
        m.d.comb += [
            Assert(level <= depth), Assert(full == (level == depth)),
            Assert(memory.read.addr < depth),
            Assert(memory.write.addr == Mux(end >= depth, end - depth, end))]
        for place in range(depth):
            entry = self._entry(number, place)
            m.d.comb += implies(level > place, self._legal(number, entry[config.flit_bits:]))

    def _turns(self, m, output):
        """The inputs behind the last one are the last few in the order of service."""
        behind = self._inside[f"behind_{output.name.lower()}"]
        count = len(behind)
        m.d.comb += Assert(Cat(behind == ((1 << count) - (1 << start)) % (1 << count)
                               for start in range(count + 1)).any())
        grants = self._inside[f"grants_{output.name.lower()}"]
        leaving = self._router.outputs[output]
        asks = self._inside[f"asking_{output.name.lower()}"]
        m.d.comb += [*implies(asks.any() & (~leaving.valid | leaving.ready), grants.any()),
                     Assert((grants & (grants - 1)) == 0), Assert((grants & ~asks) == 0)]

    def _followed(self, m):
        """Where the flit is: not there yet, `ahead` flits from the head, in a register, gone."""
        config, tested = self._config, self._router
        bits, depth = config.flit_bits, config.fifo_depth
        waiting, standing, gone = Signal(), Signal(), Signal()
        flit, way = Signal(bits), Signal(range(len(config.ports)))
        ahead = Signal(range(depth + 1))
        put = Array(stream.valid & stream.ready for stream in tested.inputs)[self.source]
        level = Array(buffer["level"] for buffer in self._buffers)[self.source]
        get = Array(self._taken(number) for number in range(len(config.ports)))[self.source]
        with m.If(~waiting & ~standing & ~gone & self.follow & put):
            m.d.sync += [
                waiting.eq(1), ahead.eq(level - get),
                flit.eq(Array(stream.payload for stream in tested.inputs)[self.source]),
                way.eq(Array(self._inside[f"way_{port.name.lower()}"]
                             for port in config.ports)[self.source])]
        with m.If(waiting & get):
            m.d.sync += ahead.eq(ahead - 1)
            with m.If(ahead == 0):
                m.d.sync += [waiting.eq(0), standing.eq(1), ahead.eq(0)]
        register = Array(stream.payload for stream in tested.outputs)[way]
        offered = Array(stream.valid for stream in tested.outputs)[way]
        leaves = Array(stream.ready for stream in tested.outputs)[way]
        with m.If(standing & leaves):
            m.d.sync += [standing.eq(0), gone.eq(1)]
        entry = Array(Array(self._entry(number, place) for place in range(depth))[ahead]
                      for number in range(len(config.ports)))[self.source]
        m.d.comb += [
            Assert(waiting + standing + gone <= 1), Cover(gone),
            *implies(waiting, level > ahead, entry == Cat(flit, way)),
            *implies(standing, offered, register == flit),
            *implies(waiting | standing, way < len(config.ports))]
        for port in config.ports:
            there = flit[:config.address_bits] == tested.here
            m.d.comb += implies((waiting | standing) & (way == port),
                                there == (port is Port.LOCAL))
        self._overtaken(m, waiting & (ahead == 0), standing | gone, way)

    def _taken(self, number):
        """Whether the head of a buffer moves on."""
        port = self._config.ports[number]
        return Cat(self._inside[f"grants_{output.name.lower()}"][
            self._config.inputs_of(output).index(port)] for output in self._config.ports
            if port in self._config.inputs_of(output)).any()

    def _overtaken(self, m, head, past, way):
        """At the head, at most one flit of each other input goes before: the rank falls each time.

        The rank counts the inputs between the last one served and this one, in order of service.
        """
        config = self._config
        served = Signal(range(len(config.ports) + 1))
        for output in config.ports:
            inputs = config.inputs_of(output)
            behind, grants = (self._inside[f"{name}_{output.name.lower()}"]
                              for name in ("behind", "grants"))
            for place, port in enumerate(inputs):
                mine = head & (way == output) & (self.source == port)
                with m.If(mine & grants.any() & ~grants[place]):
                    m.d.sync += served.eq(served + 1)
                early = sum(behind[:place]) if place else 0
                rank = Mux(behind[place], early, sum(behind) + place - early)
                m.d.comb += implies(mine, served + rank <= len(inputs) - 1)
        with m.If(~head):
            m.d.sync += served.eq(0)
        m.d.comb += implies(~head & ~past, served == 0)


def proof_of(monkeypatch, config, module=router):
    monkeypatch.setattr(module, "Memory", Registers)
    return RouterProof(config, module)


@pytest.mark.parametrize("shape", ["line", pytest.param("plane", marks=pytest.mark.long)])
def test_flits_are_neither_lost_nor_doubled_nor_overtaken(shape, prove, monkeypatch):
    proof = proof_of(monkeypatch, CONFIGS[shape])
    assert prove(proof, proof.inputs, f"router_{shape}", 2, "prove") == "PASS"
    assert prove(proof, proof.inputs, f"router_{shape}", 6, "cover") == "PASS"


@pytest.mark.parametrize(("old", "new"), [
    ("behind.eq(Cat(grants[:place].any() for place in range(count)))", "behind.eq(0)"),
    ("able = ~leaving.valid | leaving.ready", "able = asking.any()"),
    ("full.eq(level == self._depth - 1)", "full.eq(level == self._depth)"),
    ("self.i.ready.eq(~full), self.o.valid.eq(level != 0)",
     "self.i.ready.eq(1), self.o.valid.eq(level != 0)"),
])
def test_the_proof_notices(old, new, prove, mutant, monkeypatch):
    proof = proof_of(monkeypatch, CONFIGS["line"], mutant(router, old, new))
    assert prove(proof, proof.inputs, "router_mutant", 12) == "FAIL"
