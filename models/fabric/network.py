"""A mesh of routers, cycle by cycle."""

from __future__ import annotations

import numpy as np

from lamina.models.fabric.config import MeshConfig, Port
from lamina.models.fabric.router import Routers
from lamina.models.fabric.routes import Faults

__all__ = ["Network"]


class Network:
    """All routers of a mesh, linked; each tile puts in and takes out one flit per cycle at most.

    Parameters
    ----------
    config : MeshConfig
    tables : int array (tiles, tiles) or None
        Port by router and destination, with ``routing="table"``.
    faults : Faults or None
        Links that nothing passes: what waits for one stays where it is.
    """

    def __init__(self, config: MeshConfig, tables: np.ndarray | None = None,
                 faults: Faults | None = None):
        self.config = config
        faults = faults or Faults(config)
        tiles = np.arange(config.tiles)
        self.routers = Routers(config, tiles, tables)
        self._links = [self._link(port, faults) for port in config.ports[1:]]
        shape = (config.tiles, len(config.ports))
        self._valid, self._taken = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
        self._flits = np.zeros(shape, dtype=np.int64)

    def _link(self, port: Port, faults: Faults) -> tuple[Port, np.ndarray, np.ndarray]:
        """Tiles that reach a neighbour at `port`, and those neighbours."""
        pairs = [(tile, faults.neighbours(tile).get(port)) for tile in range(self.config.tiles)]
        pairs = [pair for pair in pairs if pair[1] is not None]
        return (port, *np.array(pairs, dtype=np.int64).reshape(-1, 2).T)

    @property
    def ready(self) -> np.ndarray:
        """Tiles whose flit would be taken in this cycle, bool (tiles,)."""
        return self.routers.ready[:, Port.LOCAL]

    @property
    def valid(self) -> np.ndarray:
        """Tiles that are offered a flit, bool (tiles,)."""
        return self.routers.valid[:, Port.LOCAL]

    @property
    def flits(self) -> np.ndarray:
        """What they are offered, int64 (tiles,)."""
        return self.routers.flits[:, Port.LOCAL]

    def step(self, valid: np.ndarray, flits: np.ndarray, taken: np.ndarray) -> None:
        """One clock edge: what the tiles offer, and whether they take what they are offered."""
        ready = self.routers.ready
        self._valid[:, Port.LOCAL], self._flits[:, Port.LOCAL] = valid, flits
        self._taken[:, Port.LOCAL] = taken
        for port, here, there in self._links:
            self._valid[there, port.opposite] = self.routers.valid[here, port]
            self._flits[there, port.opposite] = self.routers.flits[here, port]
            self._taken[here, port] = ready[there, port.opposite]
        self.routers.step(self._valid, self._flits, self._taken)
