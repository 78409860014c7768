"""Routers of a mesh, linked."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from lamina.models.fabric.config import MeshConfig, Port
from lamina.rtl.fabric.chip_link import ChipLink
from lamina.rtl.fabric.router import Router, router_members
from lamina.rtl.fabric.shared import Shared

__all__ = ["RouterMesh"]

ALIVE = Const(0)
"""Of a link that cannot be dead."""


class RouterMesh(wiring.Component):
    """All routers of a mesh; what leaves towards an absent neighbour cannot occur with legal flits.

    Links between chips have a :class:`lamina.rtl.fabric.chip_link.ChipLink` at each end.
    Golden: :class:`lamina.models.fabric.network.Network`.

    Parameters
    ----------
    config : MeshConfig
    router : str or None
        Module of a :class:`Router` that is written by itself; None: all routers are written.

    Members
    -------
    inject, eject : array (tiles) of In / Out(stream of flit_bits)
        Of each tile, by number.
    table_tile : In(log2(tiles) + 1)
        Router whose route or dead links are set; with ``routing="table"``, as are the next ones.
    table_write, table_address, table_port : In
        See :class:`Router`.
    dead_write, dead_ports : In(1), In(ports)
        Set which links of a router are dead, a bit by :class:`Port`, none after reset: nothing
        passes a link, in either direction, that one of its ends has as dead.
    count_tile, count_port, count_field : In
        End of a link between chips and :class:`LinkCounter`, or the local port of a router and
        :class:`RouterCounter`.
    count : Out(16)
        That counter; 0 where there is none.
    """

    def __init__(self, config: MeshConfig, router: str | None = None):
        self._config, self._router = config, router
        flits = stream.Signature(config.flit_bits)
        tables = {} if config.routing == "order" else {
            "table_tile": In(config.tiles.bit_length()), "table_write": In(1),
            "table_address": In(config.address_bits),
            "table_port": In((len(config.ports) - 1).bit_length()),
            "dead_write": In(1), "dead_ports": In(len(config.ports))}
        counters = {
            "count_tile": In(config.tiles.bit_length()), "count_port": In(3), "count_field": In(1),
            "count": Out(16)}
        super().__init__({"inject": In(flits).array(config.tiles),
                          "eject": Out(flits).array(config.tiles), **tables, **counters})

    def elaborate(self, platform):
        m = Module()
        config = self._config
        routers = [Router(config) if self._router is None else
                   Shared(router_members(config), self._router) for _ in range(config.tiles)]
        dead = [self._dead(m, tile) for tile in range(config.tiles)]
        for tile, router in enumerate(routers):
            m.submodules[f"router{tile}"] = router
            self._link(m, self.inject[tile], router.inputs[Port.LOCAL])
            self._link(m, router.outputs[Port.LOCAL], self.eject[tile])
            for port in config.ports[1:]:
                other = config.neighbour(tile, port)
                if other is not None and not config.leaves_chip(tile, port):
                    self._link(m, router.outputs[port], routers[other].inputs[port.opposite],
                               dead[tile][port] | dead[other][port.opposite])
            self._set_up(m, tile, router)
            self._tell(m, tile, Port.LOCAL, router.hops[:16], router.hops[16:])
        self._leave_chips(m, routers, dead)
        return m

    def _tell(self, m, tile, port, *counters):
        """Counters of one place, by ``count_field``."""
        with m.If((self.count_tile == tile) & (self.count_port == port)):
            m.d.comb += self.count.eq(Mux(self.count_field, counters[1], counters[0]))

    def _leave_chips(self, m, routers, dead):
        """An end of a link at every port behind which there is another chip."""
        config = self._config
        ends = {(tile, port): ChipLink(config, tile, port) for tile in range(config.tiles)
                for port in config.ports if config.leaves_chip(tile, port)}
        for (tile, port), end in ends.items():
            m.submodules[f"link{tile}_{port.name.lower()}"] = end
            far = ends[config.neighbour(tile, port), port.opposite]
            m.d.comb += [far.rx_frame.eq(end.tx_frame), far.rx_data.eq(end.tx_data)]
            cut = dead[tile][port] | dead[config.neighbour(tile, port)][port.opposite]
            self._link(m, routers[tile].outputs[port], end.i, cut)
            self._link(m, end.o, routers[tile].inputs[port], cut)
            if config.routing == "table":
                self._set_routes(m, tile, end)
            self._tell(m, tile, port, end.malformed, end.resent)

    @staticmethod
    def _link(m, source, sink, dead=ALIVE):
        m.d.comb += [sink.valid.eq(source.valid & ~dead), sink.payload.eq(source.payload),
                     source.ready.eq(sink.ready & ~dead)]

    def _dead(self, m, tile):
        """Dead ports of a router."""
        if self._config.routing == "order":
            return Const(0, len(self._config.ports))
        dead = Signal(len(self._config.ports), name=f"dead{tile}")
        with m.If(self.dead_write & (self.table_tile == tile)):
            m.d.sync += dead.eq(self.dead_ports)
        return dead

    def _set_up(self, m, tile, router):
        if self._config.routing == "order":
            m.d.comb += router.here.eq(
                Const(self._config.address(tile), self._config.address_bits))
        else:
            self._set_routes(m, tile, router)

    def _set_routes(self, m, tile, block):
        m.d.comb += [block.table_write.eq(self.table_write & (self.table_tile == tile)),
                     block.table_address.eq(self.table_address),
                     block.table_port.eq(self.table_port)]
