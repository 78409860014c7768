"""Routers of a mesh, linked."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from lamina.models.fabric.config import MeshConfig, Port
from lamina.rtl.fabric.router import Router, router_members
from lamina.rtl.fabric.shared import Shared

__all__ = ["RouterMesh"]

ALIVE = Const(0)
"""Of a link that cannot be dead."""


class RouterMesh(wiring.Component):
    """All routers of a mesh; what leaves towards an absent neighbour cannot occur with legal flits.

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
    """

    def __init__(self, config: MeshConfig, router: str | None = None):
        self._config, self._router = config, router
        flits = stream.Signature(config.flit_bits)
        tables = {} if config.routing == "order" else {
            "table_tile": In(config.tiles.bit_length()), "table_write": In(1),
            "table_address": In(config.address_bits),
            "table_port": In((len(config.ports) - 1).bit_length()),
            "dead_write": In(1), "dead_ports": In(len(config.ports))}
        super().__init__({"inject": In(flits).array(config.tiles),
                          "eject": Out(flits).array(config.tiles), **tables})

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
                if other is not None:
                    self._link(m, router.outputs[port], routers[other].inputs[port.opposite],
                               dead[tile][port] | dead[other][port.opposite])
            self._set_up(m, tile, router)
        return m

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
            m.d.comb += [router.table_write.eq(self.table_write & (self.table_tile == tile)),
                         router.table_address.eq(self.table_address),
                         router.table_port.eq(self.table_port)]
