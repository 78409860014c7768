"""Router of a mesh: buffers at the inputs, a round-robin choice and a register per output."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from lamina.models.fabric.config import MeshConfig, Port

__all__ = ["InputBuffer", "Router", "router_members"]


def router_members(config: MeshConfig) -> dict:
    """Of the signature of a :class:`Router`."""
    ports, flits = len(config.ports), stream.Signature(config.flit_bits)
    extra = ({"here": In(config.address_bits)} if config.routing == "order" else {
        "table_write": In(1), "table_address": In(config.address_bits),
        "table_port": In((ports - 1).bit_length())})
    return {"inputs": In(flits).array(ports), "outputs": Out(flits).array(ports),
            "hops": Out(32), **extra}


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
                m.d.sync += place.eq(_after(place, self._depth))
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
    hops : Out(32)
        Flits that were sent on over links, two cycles late; modulo 2^32.
    here : In(address_bits)
        Coordinates of the tile, x lowest; constant. With ``routing="order"``.
    table_write : In(1)
        Set a route. With ``routing="table"``; every route is set before the first flit arrives.
    table_address, table_port : In(address_bits), In(log2(ports))
        Coordinates of a tile; the :class:`Port` to it.
    """

    def __init__(self, config: MeshConfig):
        self._config = config
        super().__init__(router_members(config))

    def elaborate(self, platform):
        m = Module()
        config = self._config
        heads = {port: self._buffer(m, port) for port in config.ports}
        grants = {port: {} for port in config.ports}
        for output in config.ports:
            inputs = config.inputs_of(output)
            chosen = self._choose(m, output, [
                heads[port].valid & (heads[port].payload[config.flit_bits:] == output)
                for port in inputs])
            self._register(m, output, [heads[port].payload for port in inputs], chosen)
            for place, port in enumerate(inputs):
                grants[port][output] = chosen[place]
        for port, head in heads.items():
            m.d.comb += head.ready.eq(Cat(grants[port].values()).any())
        self._count(m)
        return m

    def _count(self, m):
        leaving = [self.outputs[port].valid & self.outputs[port].ready
                   for port in self._config.ports if port is not Port.LOCAL]
        moved = Signal(range(len(leaving) + 1))
        m.d.sync += [moved.eq(sum(leaving)), self.hops.eq(self.hops + moved)]

    def _buffer(self, m, port):
        """Buffer of an input; returns its outgoing stream, the output above the flit."""
        config, name = self._config, port.name.lower()
        way = Signal(range(len(config.ports)), name=f"way_{name}")
        m.submodules[f"buffer_{name}"] = buffer = InputBuffer(
            width=config.flit_bits + len(way), depth=config.fifo_depth)
        arriving = self.inputs[port]
        there = arriving.payload[:config.address_bits]
        if config.routing == "order":
            self._ordered(m, way, there)
        else:
            self._looked_up(m, name, way, there)
        m.d.comb += [buffer.i.valid.eq(arriving.valid), arriving.ready.eq(buffer.i.ready),
                     buffer.i.payload.eq(Cat(arriving.payload, way))]
        return buffer.o

    def _ordered(self, m, way, there):
        """Along the first axis on which the tiles differ."""
        layout = data.StructLayout({f"axis{axis}": bits for axis, bits in enumerate(
            self._config.coordinate_bits)})
        there, here = layout(there), layout(self.here)
        found = Port.LOCAL
        for axis in reversed(range(self._config.dimensions)):
            target, place = there[f"axis{axis}"], here[f"axis{axis}"]
            towards = Mux(target < place, Port.along(axis, -1), Port.along(axis, 1))
            found = Mux(target != place, towards, found)
        m.d.comb += way.eq(found)

    def _looked_up(self, m, name, way, there):
        m.submodules[f"table_{name}"] = table = Memory(
            shape=len(way), depth=1 << self._config.address_bits, init=[])
        write, read = table.write_port(), table.read_port(domain="comb")
        m.d.comb += [write.en.eq(self.table_write), write.addr.eq(self.table_address),
                     write.data.eq(self.table_port), read.addr.eq(there), way.eq(read.data)]

    def _choose(self, m, output, asks):
        """One of the inputs that ask, if the register can take it; the turn goes behind it."""
        name, leaving, count = output.name.lower(), self.outputs[output], len(asks)
        asking = Signal(count, name=f"asking_{name}")
        behind = Signal(count, name=f"behind_{name}")
        grants = Signal(count, name=f"grants_{name}")
        able = ~leaving.valid | leaving.ready
        later = asking & behind
        first = Mux(later.any(), later, asking)
        m.d.comb += asking.eq(Cat(asks))
        for place in range(count):
            m.d.comb += grants[place].eq(able & first[place] & ~first[:place].any())
        with m.If(asking.any() & able):
            m.d.sync += behind.eq(Cat(grants[:place].any() for place in range(count)))
        return grants

    def _register(self, m, output, flits, grants):
        leaving = self.outputs[output]
        flit = 0
        for entry, grant in zip(flits, grants, strict=True):
            flit |= Mux(grant, entry[:self._config.flit_bits], 0)
        with m.If(grants.any()):
            m.d.sync += [leaving.valid.eq(1), leaving.payload.eq(flit)]
        with m.Elif(leaving.ready):
            m.d.sync += leaving.valid.eq(0)


def _after(place, depth):
    """The next one of `depth` places, round."""
    if depth & (depth - 1) == 0:
        return (place + 1)[:len(place)]
    return Mux(place == depth - 1, 0, place + 1)
