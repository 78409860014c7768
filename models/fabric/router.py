"""Routers cycle by cycle: input buffers, one round-robin choice per output, registered outputs."""

from __future__ import annotations

import numpy as np

from lamina.models.fabric.config import MeshConfig, Port

__all__ = ["Routers", "first_port"]


def first_port(config: MeshConfig, here: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Port that dimension order takes: the first axis along which two tiles differ.

    Parameters
    ----------
    config : MeshConfig
    here, there : int arrays (..., dimensions)
        Coordinates.

    Returns
    -------
    int array (...)
        :class:`Port` numbers.
    """
    found = np.full(np.broadcast_shapes(here.shape, there.shape)[:-1], int(Port.LOCAL))
    for axis in reversed(range(config.dimensions)):
        way = np.sign(there[..., axis] - here[..., axis])
        found = np.where(way, 1 + 2 * axis + (way > 0), found)
    return found


class Routers:
    """Any number of routers side by side, not connected.

    In each cycle an output whose register is free, or was taken in this cycle, takes the head of
    one input that asks for it: the first one behind the input that it took from last, in the order
    of :meth:`MeshConfig.inputs_of`. A flit that arrives can leave its buffer a cycle later.

    Parameters
    ----------
    config : MeshConfig
    tiles : int array (R,)
        Where each router stands.
    tables : int array (R, tiles) or None
        Port by destination; needed with ``routing="table"``.

    Attributes
    ----------
    hops : int64 array (R,)
        Flits that each has sent on over its links.
    """

    def __init__(self, config: MeshConfig, tiles: np.ndarray, tables: np.ndarray | None = None):
        self._config = config
        count, ports = len(tiles), len(config.ports)
        every = np.array([config.coordinates(tile) for tile in range(config.tiles)])
        self._ways = np.asarray(tables) if tables is not None else first_port(
            config, every[np.asarray(tiles)][:, None], every[None])
        self._address = np.full(1 << config.address_bits, -1)
        for tile in range(config.tiles):
            self._address[config.address(tile)] = tile
        self._inputs = [np.array(config.inputs_of(port)) for port in config.ports]
        self._rows = np.arange(count)
        self._buffers = np.zeros((count, ports, config.fifo_depth), dtype=np.int64)
        self._wanted = np.zeros((count, ports, config.fifo_depth), dtype=np.int64)
        self.levels = np.zeros((count, ports), dtype=np.int64)
        self.valid = np.zeros((count, ports), dtype=bool)
        self.flits = np.zeros((count, ports), dtype=np.int64)
        self._turns = np.zeros((count, ports), dtype=np.int64)
        self.hops = np.zeros(count, dtype=np.int64)

    @property
    def ready(self) -> np.ndarray:
        """Inputs that would take a flit in this cycle, bool (R, ports)."""
        return self.levels < self._config.fifo_depth

    def step(self, valid: np.ndarray, flits: np.ndarray, taken: np.ndarray) -> None:
        """One clock edge.

        Parameters
        ----------
        valid, flits : arrays (R, ports)
            What is offered to the inputs.
        taken : bool array (R, ports)
            Outputs whose neighbour is ready.
        """
        arriving = valid & self.ready
        free = ~self.valid | taken
        self.hops += (self.valid & taken)[:, 1:].sum(axis=1)
        self.valid &= ~taken
        leaving = np.zeros_like(arriving)
        heads = np.where(self.levels > 0, self._wanted[:, :, 0], -1)
        for output, inputs in enumerate(self._inputs):
            asking = (heads[:, inputs] == output) & free[:, output, None]
            chosen, any_asks = self._choose(asking, self._turns[:, output])
            rows = self._rows[any_asks]
            source = inputs[chosen[any_asks]]
            leaving[rows, source] = True
            self.valid[rows, output] = True
            self.flits[rows, output] = self._buffers[rows, source, 0]
            self._turns[rows, output] = (chosen[any_asks] + 1) % len(inputs)
        self._shift(leaving, arriving, flits)

    @staticmethod
    def _choose(asking: np.ndarray, turns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First column that asks, from column `turns` on and round; whether there is one."""
        columns = np.arange(asking.shape[1])
        distance = (columns - turns[:, None]) % asking.shape[1]
        distance = np.where(asking, distance, asking.shape[1])
        return distance.argmin(axis=1), asking.any(axis=1)

    def _shift(self, leaving: np.ndarray, arriving: np.ndarray, flits: np.ndarray) -> None:
        for store in (self._buffers, self._wanted):
            store[leaving, :-1] = store[leaving, 1:]
        self.levels -= leaving
        rows, ports = np.nonzero(arriving)
        places = self.levels[rows, ports]
        new = flits[rows, ports]
        tiles = self._address[new & ((1 << self._config.address_bits) - 1)]
        self._buffers[rows, ports, places] = new
        self._wanted[rows, ports, places] = self._ways[rows, tiles]
        self.levels += arriving
