"""Routers of a mesh, linked."""

from __future__ import annotations

from amaranth.hdl import Const, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from lamina.models.fabric.config import MeshConfig, Port
from lamina.rtl.fabric.router import Router

__all__ = ["RouterMesh"]


class RouterMesh(wiring.Component):
    """All routers of a mesh; what leaves towards an absent neighbour cannot occur with legal flits.

    Parameters
    ----------
    config : MeshConfig

    Members
    -------
    inject, eject : array (tiles) of In / Out(stream of flit_bits)
        Of each tile, by number.
    table_tile : In(log2(tiles) + 1)
        Router whose route is set; with ``routing="table"``, as are the next three.
    table_write, table_address, table_port : In
        See :class:`Router`.
    """

    def __init__(self, config: MeshConfig):
        self._config = config
        flits = stream.Signature(config.flit_bits)
        tables = {} if config.routing == "order" else {
            "table_tile": In(config.tiles.bit_length()), "table_write": In(1),
            "table_address": In(config.address_bits),
            "table_port": In((len(config.ports) - 1).bit_length())}
        super().__init__({"inject": In(flits).array(config.tiles),
                          "eject": Out(flits).array(config.tiles), **tables})

    def elaborate(self, platform):
        m = Module()
        config = self._config
        routers = [Router(config) for _ in range(config.tiles)]
        for tile, router in enumerate(routers):
            m.submodules[f"router{tile}"] = router
            self._link(m, self.inject[tile], router.inputs[Port.LOCAL])
            self._link(m, router.outputs[Port.LOCAL], self.eject[tile])
            for port in config.ports[1:]:
                other = config.neighbour(tile, port)
                if other is not None:
                    self._link(m, router.outputs[port], routers[other].inputs[port.opposite])
            self._set_up(m, tile, router)
        return m

    @staticmethod
    def _link(m, source, sink):
        m.d.comb += [sink.valid.eq(source.valid), sink.payload.eq(source.payload),
                     source.ready.eq(sink.ready)]

    def _set_up(self, m, tile, router):
        if self._config.routing == "order":
            m.d.comb += router.here.eq(
                Const(self._config.address(tile), self._config.address_bits))
        else:
            m.d.comb += [router.table_write.eq(self.table_write & (self.table_tile == tile)),
                         router.table_address.eq(self.table_address),
                         router.table_port.eq(self.table_port)]
