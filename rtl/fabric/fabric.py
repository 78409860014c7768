"""The fabric: a mesh of tiles, and the host's node at tile 0."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from lamina.models.fabric.config import FabricConfig, TileSpace
from lamina.rtl.fabric.flits import (
    fabric_request_layout,
    host_event_layout,
    host_output_layout,
)
from lamina.rtl.fabric.host import HostNode
from lamina.rtl.fabric.mesh import RouterMesh
from lamina.rtl.fabric.router import Router
from lamina.rtl.fabric.shared import Shared
from lamina.rtl.fabric.tile import Tile, tile_members

__all__ = ["Fabric"]


class Fabric(wiring.Component):
    """A spiking network on many cores that compute what one would.

    Golden: :func:`lamina.models.fabric.run.run_fabric`.

    Parameters
    ----------
    config : FabricConfig
    shared : bool
        Tiles and routers are instances of one module each, :attr:`parts`, written by themselves.

    Attributes
    ----------
    parts : dict of str to Component
        What is shared, by its module; elaborate each.

    Members
    -------
    events : In(stream of host_event_layout)
    output : Out(stream of host_output_layout)
        See :class:`lamina.rtl.fabric.host.HostNode`.
    request : In(stream of fabric_request_layout)
        One after the other; memories and tables while nothing is under way.
    response : Out(stream of 16 bit)
        One per read of a core's space, or of ``TileSpace.LINKS``.
    idle : Out(1)
        No core has work in hand.
    """

    def __init__(self, config: FabricConfig, *, shared: bool = False):
        self._config = config
        self.parts = {"lamina_tile": Tile(config),
                      "lamina_router": Router(config.mesh)} if shared else {}
        super().__init__({
            "events": In(stream.Signature(host_event_layout(config))),
            "output": Out(stream.Signature(host_output_layout(config))),
            "request": In(stream.Signature(fabric_request_layout(config))),
            "response": Out(stream.Signature(16)), "idle": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config = self._config
        tile_module, router_module = self.parts or (None, None)
        m.submodules.mesh = mesh = RouterMesh(config.mesh, router_module)
        m.submodules.host = host = HostNode(config)
        tiles = [Shared(tile_members(config), tile_module) if tile_module else Tile(config)
                 for _ in range(config.mesh.tiles)]
        for number, tile in enumerate(tiles):
            m.submodules[f"tile{number}"] = tile
            m.d.comb += tile.here.eq(Const(config.mesh.address(number), config.mesh.address_bits))
            ends = (host.to_tile, host.from_tile) if number == 0 else (
                mesh.eject[number], mesh.inject[number])
            self._link(m, ends[0], tile.arriving)
            self._link(m, tile.leaving, ends[1])
        self._link(m, mesh.eject[0], host.from_router)
        self._link(m, host.to_router, mesh.inject[0])
        connect(m, flipped(self.events), host.events)
        connect(m, host.output, flipped(self.output))
        idle = Signal(len(tiles))
        m.d.comb += [*(idle[number].eq(tile.idle) for number, tile in enumerate(tiles)),
                     self.idle.eq(idle.all())]
        self._serve(m, tiles, host, mesh)
        return m

    @staticmethod
    def _link(m, source, sink):
        m.d.comb += [sink.valid.eq(source.valid), sink.payload.eq(source.payload),
                     source.ready.eq(sink.ready)]

    def _serve(self, m, tiles, host, mesh):
        """Every tile sees the request, the one that is meant takes it."""
        request, valid = self.request.payload, self.request.valid
        with m.Switch(request.tile):
            for number, tile in enumerate(tiles):
                m.d.comb += [getattr(tile.request.payload, name).eq(getattr(request, name))
                             for name in ("write", "space", "address", "data")]
                with m.Case(number):
                    m.d.comb += [
                        tile.request.valid.eq(valid), self.request.ready.eq(tile.request.ready),
                        self.response.valid.eq(tile.response.valid),
                        self.response.payload.eq(tile.response.payload),
                        tile.response.ready.eq(self.response.ready),
                    ]
            with m.Default():
                m.d.comb += [
                    self.request.ready.eq(1),
                    host.range_write.eq(valid & (request.space == TileSpace.RANGES)),
                    host.credit_write.eq(valid & (request.space == TileSpace.CREDITS)),
                ]
        m.d.comb += [host.address.eq(request.address), host.data.eq(request.data)]
        if self._config.routing == "table":
            routes = request.write & (request.space == TileSpace.ROUTES)
            links = request.write & (request.space == TileSpace.LINKS)
            m.d.comb += [mesh.table_tile.eq(request.tile), mesh.table_write.eq(valid & routes),
                         mesh.table_address.eq(request.address),
                         mesh.table_port.eq(request.data),
                         mesh.dead_write.eq(valid & links), mesh.dead_ports.eq(request.data)]
            with m.If(routes | links):
                m.d.comb += [tile.request.valid.eq(0) for tile in tiles]
                m.d.comb += self.request.ready.eq(1)
        self._tell_counters(m, tiles, mesh)

    def _tell_counters(self, m, tiles, mesh):
        """Answer requests for counters of routers and their links, in the second cycle."""
        request = self.request.payload
        asked, told, count = Signal(), Signal(), Signal(16)
        with m.If(told):
            m.d.sync += told.eq(~self.request.ready)
        with m.Else():
            m.d.sync += [told.eq(self.request.valid & asked), count.eq(mesh.count)]
        m.d.comb += [asked.eq(request.space == TileSpace.LINKS),
                     mesh.count_tile.eq(request.tile),
                     Cat(mesh.count_field, mesh.count_port).eq(request.address)]
        with m.If(asked):
            m.d.comb += [tile.request.valid.eq(0) for tile in tiles]
            m.d.comb += [self.response.valid.eq(told & ~request.write),
                         self.response.payload.eq(count),
                         self.request.ready.eq(told & (self.response.ready | request.write))]
