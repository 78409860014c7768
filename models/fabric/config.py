"""Numbers of a mesh, shared by golden models and hardware: sizes, ports, fields of a flit."""

from __future__ import annotations

import dataclasses
import enum
import json
import math

from lamina.models.check import check_int, check_one_of
from lamina.models.config import HardwareConfig

__all__ = ["ROUTINGS", "ChannelField", "FabricConfig", "FlitKind", "MeshConfig", "Port",
           "RangeField", "TileSpace"]

ROUTINGS = ("order", "table")
MAX_TILES = 1 << 14


class Port(enum.IntEnum):
    """Port of a router: the tile itself, then the two neighbours along each axis."""

    LOCAL = 0
    WEST = 1
    EAST = 2
    SOUTH = 3
    NORTH = 4
    DOWN = 5
    UP = 6

    @property
    def axis(self) -> int | None:
        """0 for x, 1 for y, 2 for z; None for the tile itself."""
        return None if self is Port.LOCAL else (self - 1) // 2

    @property
    def step(self) -> int:
        """Change of the coordinate along :attr:`axis`: -1 or 1; 0 for the tile itself."""
        return 0 if self is Port.LOCAL else 1 - 2 * (self % 2)

    @property
    def opposite(self) -> Port:
        """Port of the neighbour at the other end of the link."""
        if self is Port.LOCAL:
            return self
        return Port(self + 1 if self % 2 else self - 1)

    @classmethod
    def along(cls, axis: int, step: int) -> Port:
        """Port towards falling (`step` -1) or rising (1) coordinates of `axis`."""
        return cls(1 + 2 * axis + (step > 0))


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeshConfig:
    """A mesh of tiles in one to three dimensions, and its routers.

    A flit is a whole packet: the coordinates of its tile (x in the lowest bits), then the payload.

    Parameters
    ----------
    size : tuple of int
        Tiles along x, y, z, each 1..128, at most 16384 in all; trailing ones are dropped.
    payload_bits : int
        1..64.
    fifo_depth : int
        Flits that an input of a router holds, 2..64.
    routing : str
        ``order``: along x, then y, then z. ``table``: each router looks its port up by the tile.
    """

    size: tuple[int, ...] = (2, 2)
    payload_bits: int = 24
    fifo_depth: int = 4
    routing: str = "order"

    def __post_init__(self):
        size = tuple(self.size)
        if not 1 <= len(size) <= 3:
            raise ValueError(f"size must have 1..3 dimensions, not {len(size)}")
        for axis, tiles in zip("xyz", size, strict=False):
            check_int(f"size along {axis}", tiles, 1, 128)
        while len(size) > 1 and size[-1] == 1:
            size = size[:-1]
        object.__setattr__(self, "size", size)
        check_int("number of tiles", self.tiles, 1, MAX_TILES)
        check_int("payload_bits", self.payload_bits, 1, 64)
        check_int("fifo_depth", self.fifo_depth, 2, 64)
        check_one_of("routing", self.routing, ROUTINGS)

    @property
    def dimensions(self) -> int:
        """1..3."""
        return len(self.size)

    @property
    def tiles(self) -> int:
        """Of the whole mesh."""
        return math.prod(self.size)

    @property
    def ports(self) -> tuple[Port, ...]:
        """Of each router: 3, 5 or 7."""
        return tuple(Port)[:1 + 2 * self.dimensions]

    @property
    def coordinate_bits(self) -> tuple[int, ...]:
        """Width of each coordinate in a flit [bit], at least 1."""
        return tuple(max(1, (tiles - 1).bit_length()) for tiles in self.size)

    @property
    def address_bits(self) -> int:
        """Width of all coordinates [bit]."""
        return sum(self.coordinate_bits)

    @property
    def flit_bits(self) -> int:
        """[bit]"""
        return self.address_bits + self.payload_bits

    def coordinates(self, tile: int) -> tuple[int, ...]:
        """Of tile number `tile`; x runs fastest."""
        check_int("tile", tile, 0, self.tiles - 1)
        found = []
        for tiles in self.size:
            tile, place = divmod(tile, tiles)
            found.append(place)
        return tuple(found)

    def tile(self, coordinates: tuple[int, ...]) -> int:
        """Inverse of :meth:`coordinates`."""
        number = 0
        for place, tiles in zip(reversed(coordinates), reversed(self.size), strict=True):
            check_int("coordinate", place, 0, tiles - 1)
            number = number * tiles + place
        return number

    def address(self, tile: int) -> int:
        """Coordinates of a tile as the lowest bits of a flit have them."""
        word, shift = 0, 0
        for place, bits in zip(self.coordinates(tile), self.coordinate_bits, strict=True):
            word |= place << shift
            shift += bits
        return word

    def neighbour(self, tile: int, port: Port) -> int | None:
        """Tile at the other end of a link; None beyond the edge, or for the tile itself."""
        if port.axis is None or port.axis >= self.dimensions:
            return None
        place = list(self.coordinates(tile))
        place[port.axis] += port.step
        inside = 0 <= place[port.axis] < self.size[port.axis]
        return self.tile(tuple(place)) if inside else None

    def inputs_of(self, output: Port) -> tuple[Port, ...]:
        """Inputs of a router from which flits can turn to `output`, in the order of service.

        None turns back to where it came from, so a tile sends nothing to itself. With dimension
        order a flit never returns to an axis that it has left: towards x come only those along x
        and those of the tile.
        """
        turning = [port for port in self.ports if port is not output]
        if self.routing == "order" and output is not Port.LOCAL:
            turning = [port for port in turning
                       if port is Port.LOCAL or port.axis < output.axis or port is output.opposite]
        return tuple(turning)

    def to_json(self) -> str:
        """Inverse of :meth:`from_json`."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> MeshConfig:
        """Read what :meth:`to_json` wrote."""
        fields = json.loads(text)
        return cls(**{**fields, "size": tuple(fields["size"])})


class FlitKind(enum.IntEnum):
    """Kind of a flit; the first three are those of events."""

    SPIKE = 0
    TICK = 1
    CLEAR = 2
    CREDIT = 3


class TileSpace(enum.IntEnum):
    """Write-only address spaces of a tile, beside those of its core."""

    CHANNELS = 3
    RANGES = 4
    CREDITS = 5
    ROUTES = 6


class ChannelField(enum.IntEnum):
    """Words of a channel at its target; address = channel * 4 + field, FLAGS last.

    ``SOURCE`` is the address of the tile that credits go to, ``CREDIT`` the number of the target
    there; bits of ``FLAGS``: 0 used, 1 delayed, 2 the source is the host, 3 what comes are values.
    """

    SOURCE = 0
    CREDIT = 1
    FLAGS = 2


class RangeField(enum.IntEnum):
    """Words of a range at its source; address = range * 8 + field.

    Bits of ``FLAGS``: 0 sends TICK and CLEAR too, 1 for the host, 2 last range of the table.
    """

    FIRST = 0
    LAST = 1
    TARGET = 2
    CHANNEL = 3
    BASE = 4
    FLAGS = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class FabricConfig:
    """A mesh of tiles, each a core with an inbox and an outbox, and the host's node at tile 0.

    Parameters
    ----------
    size, fifo_depth, routing
        Of the mesh: see :class:`MeshConfig`.
    core : HardwareConfig
        Of every tile; gets the feature ``ahead``.
    inputs : int
        Input lines of the host, 1..65536.
    channels : int
        That a tile can have, 1..64.
    targets : int
        Channels that a tile can feed, 1..64.
    ranges, host_ranges : int
        Entries of the tables of a tile and of the host, 2..4096.
    """

    core: HardwareConfig
    size: tuple[int, ...] = (2, 2)
    fifo_depth: int = 4
    routing: str = "order"
    inputs: int = 1024
    channels: int = 4
    targets: int = 4
    ranges: int = 16
    host_ranges: int = 16

    def __post_init__(self):
        if not isinstance(self.core, HardwareConfig):
            raise TypeError(f"core must be a HardwareConfig, not {self.core!r}")
        features = (*self.core.features, *(() if self.core.has("ahead") else ("ahead",)))
        object.__setattr__(self, "core", dataclasses.replace(self.core, features=features))
        check_int("inputs", self.inputs, 1, 1 << 16)
        check_int("channels", self.channels, 1, 64)
        check_int("targets", self.targets, 1, 64)
        check_int("ranges", self.ranges, 2, 4096)
        check_int("host_ranges", self.host_ranges, 2, 4096)
        object.__setattr__(self, "size", self.mesh.size)

    @property
    def mesh(self) -> MeshConfig:
        """Routers and links."""
        plain = MeshConfig(size=self.size, fifo_depth=self.fifo_depth, routing=self.routing)
        channel_bits = max(1, (max(self.channels, self.targets, plain.tiles) - 1).bit_length())
        number_bits = (max(self.core.axons, self.core.neurons) - 1).bit_length()
        return dataclasses.replace(
            plain, payload_bits=3 + channel_bits + number_bits + self.value_bits)

    @property
    def value_bits(self) -> int:
        """Width of a partial sum in a flit [bit]: the accumulator's, 0 without ``partial``."""
        return self.core.acc_bits if self.core.has("partial") else 0

    @property
    def payload_fields(self) -> dict[str, int]:
        """Widths of the members of a payload [bit], lowest bits first.

        ``channel`` is the target's number of the channel, the tile for a flit to the host, the
        source's number of the target for a CREDIT; ``number`` an axon, for the host a neuron, of a
        SPIKE over a channel of values the neuron of the target that adds ``value``, the partial
        sum; it is there with the feature ``partial`` only.
        """
        number_bits = (max(self.core.axons, self.core.neurons) - 1).bit_length()
        channel_bits = self.mesh.payload_bits - 3 - number_bits - self.value_bits
        return {"kind": 2, "channel": channel_bits, "number": number_bits, "host": 1,
                **({"value": self.value_bits} if self.value_bits else {})}

    @property
    def flit_fields(self) -> dict[str, int]:
        """Of a flit: the address of its tile, then the payload."""
        return {"address": self.mesh.address_bits, **self.payload_fields}

    @property
    def input_bits(self) -> int:
        """Width of the number of an input line [bit]."""
        return max(1, (self.inputs - 1).bit_length())

    @property
    def host_tile(self) -> int:
        """Tile number of the host's node in requests: behind the last tile."""
        return self.mesh.tiles

    def to_json(self) -> str:
        """Inverse of :meth:`from_json`."""
        return json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> FabricConfig:
        """Read what :meth:`to_json` wrote."""
        fields = json.loads(text)
        core = HardwareConfig.from_json(json.dumps(fields.pop("core")))
        return cls(**{**fields, "core": core, "size": tuple(fields["size"])})
