"""Router of a mesh: buffers at the inputs, a round-robin choice and a register per output."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from lamina.models.fabric.config import MeshConfig, Port

__all__ = ["InputBuffer", "Router"]


class InputBuffer(wiring.Component):
    """Flits that wait at an input, each with the output that it wants.

    What is taken in a cycle can leave in the next one. Memory that reads at once (distributed RAM).

    Parameters
    ----------
    width : int
        Of an entry [bit].
    depth : int
        Entries, 2 or more.

    Members
    -------
    i : In(stream of width)
    o : Out(stream of width)
    """

    def __init__(self, *, width: int, depth: int):
        self._width, self._depth = width, depth
        super().__init__({"i": In(stream.Signature(width)), "o": Out(stream.Signature(width))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.entries = entries = Memory(shape=self._width, depth=self._depth, init=[])
        write, read = entries.write_port(), entries.read_port(domain="comb")
        level = Signal(range(self._depth + 1))
        full = Signal()
        put, get = Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(~full), self.o.valid.eq(level != 0), self.o.payload.eq(read.data),
            put.eq(self.i.valid & self.i.ready), get.eq(self.o.valid & self.o.ready),
            write.en.eq(put), write.data.eq(self.i.payload),
        ]
        for port, moves in ((write, put), (read, get)):
            place = Signal(range(self._depth))
            m.d.comb += port.addr.eq(place)
            with m.If(moves):
                m.d.sync += place.eq(Mux(place == self._depth - 1, 0, place + 1))
        with m.If(put & ~get):
            m.d.sync += [level.eq(level + 1), full.eq(level == self._depth - 1)]
        with m.Elif(get & ~put):
            m.d.sync += [level.eq(level - 1), full.eq(0)]
        return m


class Router(wiring.Component):
    """Move flits between the tile and its neighbours, one per cycle and port, two cycles per hop.

    An output whose register is free, or is being taken, takes the head of one input that asks for
    it: the first one behind the input that it took from last, in the order of
    :meth:`MeshConfig.inputs_of`. Flits of one input for one output keep their order; a flit never
    waits for one that came later at its input.

    Parameters
    ----------
    config : MeshConfig

    Members
    -------
    inputs, outputs : array (ports) of In / Out(stream of flit_bits)
        By :class:`Port`; tie the streams of absent neighbours to 0.
    here : In(address_bits)
        Coordinates of the tile, x lowest; constant. With ``routing="order"``.
    table_write : In(1)
        Set a route. With ``routing="table"``; every route is set before the first flit arrives.
    table_address, table_port : In(address_bits), In(log2(ports))
        Coordinates of a tile; the :class:`Port` to it.
    """

    def __init__(self, config: MeshConfig):
        self._config = config
        ports = len(config.ports)
        extra = ({"here": In(config.address_bits)} if config.routing == "order" else {
            "table_write": In(1), "table_address": In(config.address_bits),
            "table_port": In(ports.bit_length())})
        flits = stream.Signature(config.flit_bits)
        super().__init__({"inputs": In(flits).array(ports), "outputs": Out(flits).array(ports),
                          **extra})

    def elaborate(self, platform):
        m = Module()
        config = self._config
        heads = [self._buffer(m, port) for port in config.ports]
        asked = {port: Signal(len(config.ports), name=f"asked_{port.name.lower()}")
                 for port in config.ports}
        for port, head in zip(config.ports, heads, strict=True):
            m.d.comb += asked[port].eq(
                Mux(head.valid, head.payload[config.flit_bits:], 0))
        taken = {port: [] for port in config.ports}
        for output in config.ports:
            inputs = config.inputs_of(output)
            grants = self._choose(m, output, Cat(asked[port][output] for port in inputs))
            self._register(m, output, [heads[port] for port in inputs], grants)
            for port, grant in zip(inputs, grants, strict=True):
                taken[port].append(grant)
        for port, head in zip(config.ports, heads, strict=True):
            m.d.comb += head.ready.eq(Cat(taken[port]).any())
        return m

    def _buffer(self, m, port):
        """Buffer of an input; returns its outgoing stream, the outputs above the flit."""
        config = self._config
        width = config.flit_bits + len(config.ports)
        m.submodules[f"buffer_{port.name.lower()}"] = buffer = InputBuffer(
            width=width, depth=config.fifo_depth)
        arriving = self.inputs[port]
        way = Signal(len(config.ports), name=f"way_{port.name.lower()}")
        there = arriving.payload[:config.address_bits]
        if config.routing == "order":
            self._ordered(m, way, there)
        else:
            self._looked_up(m, port, way, there)
        m.d.comb += [buffer.i.valid.eq(arriving.valid), arriving.ready.eq(buffer.i.ready),
                     buffer.i.payload.eq(Cat(arriving.payload, way))]
        return buffer.o

    def _ordered(self, m, way, there):
        """Along the first axis on which the tiles differ."""
        layout = data.StructLayout({f"axis{axis}": bits for axis, bits in enumerate(
            self._config.coordinate_bits)})
        there, here = layout(there), layout(self.here)
        differs = 0
        m.d.comb += way[Port.LOCAL].eq(there.as_value() == here.as_value())
        for axis in range(self._config.dimensions):
            target, place = there[f"axis{axis}"], here[f"axis{axis}"]
            m.d.comb += [way[Port.along(axis, -1)].eq(~differs & (target < place)),
                         way[Port.along(axis, 1)].eq(~differs & (target > place))]
            differs = differs | (target != place)

    def _looked_up(self, m, port, way, there):
        ports = len(self._config.ports)
        m.submodules[f"table_{port.name.lower()}"] = table = Memory(
            shape=ports.bit_length(), depth=1 << self._config.address_bits, init=[])
        write, read = table.write_port(), table.read_port(domain="comb")
        m.d.comb += [write.en.eq(self.table_write), write.addr.eq(self.table_address),
                     write.data.eq(self.table_port), read.addr.eq(there),
                     way.eq(Cat(read.data == number for number in range(ports)))]

    def _choose(self, m, output, asking):
        """One of the inputs that ask, if the register can take it; the turn goes behind it."""
        name, leaving = output.name.lower(), self.outputs[output]
        count = len(asking)
        behind = Signal(count, name=f"behind_{name}")
        grants = Signal(count, name=f"grants_{name}")
        later = asking & behind
        first = Mux(later.any(), later & -later, asking & -asking)
        m.d.comb += grants.eq(Mux(~leaving.valid | leaving.ready, first[:count], 0))
        with m.If(grants.any()):
            m.d.sync += behind.eq(~(grants | (grants - 1)))
        return grants

    def _register(self, m, output, heads, grants):
        leaving = self.outputs[output]
        with m.If(grants.any()):
            flit = 0
            for head, grant in zip(heads, grants, strict=True):
                flit |= Mux(grant, head.payload[:self._config.flit_bits], 0)
            m.d.sync += [leaving.valid.eq(1), leaving.payload.eq(flit)]
        with m.Elif(leaving.ready):
            m.d.sync += leaving.valid.eq(0)
