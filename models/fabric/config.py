"""Numbers of a mesh, shared by golden models and hardware: sizes, ports, fields of a flit."""

from __future__ import annotations

import dataclasses
import enum
import json
import math

from lamina.models.check import check_int, check_one_of
from lamina.models.config import HardwareConfig

__all__ = ["ROUTINGS", "ChannelField", "ChipLinkConfig", "FabricConfig", "FlitKind",
           "LinkCounter", "MeshConfig", "Port", "RangeField", "RouterCounter", "TileSpace"]

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


def _check_link_bits(bits: int) -> None:
    check_int("link_bits", bits, 1, 16)
    if bits & (bits - 1):
        raise ValueError(f"link_bits must be a power of two, not {bits}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChipLinkConfig:
    """A link between two chips: flits as packets over a few wires, numbered, checked, answered.

    Parameters
    ----------
    flit_bits : int
        1..128.
    link_bits : int
        Data wires in each direction: 1, 2, 4, 8 or 16.
    sequence_bits : int
        Of the number of a flit, 1..4.
    wire_cycles : int
        That the wires take at most in each direction for nothing to be sent twice, 0..64.
    """

    flit_bits: int = 27
    link_bits: int = 8
    sequence_bits: int = 3
    wire_cycles: int = 4

    def __post_init__(self):
        check_int("flit_bits", self.flit_bits, 1, 128)
        _check_link_bits(self.link_bits)
        check_int("sequence_bits", self.sequence_bits, 1, 4)
        check_int("wire_cycles", self.wire_cycles, 0, 64)

    @property
    def window(self) -> int:
        """Flits on their way or in the far buffer at most."""
        return (1 << self.sequence_bits) - 1

    @property
    def flit_words(self) -> int:
        """Words of a packet with flit and number."""
        return -(-(self.flit_bits + self.sequence_bits) // self.link_bits)

    @property
    def status_words(self) -> int:
        """Words with the two numbers that answer."""
        return -(-2 * self.sequence_bits // self.link_bits)

    @property
    def check_words(self) -> int:
        """Words with the CRC."""
        return 16 // self.link_bits

    @property
    def short_words(self) -> int:
        """Of a packet without a flit."""
        return self.status_words + self.check_words

    @property
    def full_words(self) -> int:
        """Of a packet with a flit; a cycle of rest is behind each."""
        return self.flit_words + self.short_words

    @property
    def retry_cycles(self) -> int:
        """Cycles without an answer after which flits are sent again.

        An answer waits for a packet that had begun, and there may be one in either direction.
        """
        return 4 * (self.full_words + 1) + 2 * self.wire_cycles + 8

    def to_json(self) -> str:
        """Inverse of :meth:`from_json`."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ChipLinkConfig:
        """Read what :meth:`to_json` wrote."""
        return cls(**json.loads(text))


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
    chips : tuple of int
        Chips along x, y, z, equal shares of the tiles; none: one chip.
    link_bits : int
        Data wires of a link between chips: see :class:`ChipLinkConfig`.
    """

    size: tuple[int, ...] = (2, 2)
    payload_bits: int = 24
    fifo_depth: int = 4
    routing: str = "order"
    chips: tuple[int, ...] = ()
    link_bits: int = 8

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
        _check_link_bits(self.link_bits)
        self._set_chips(tuple(self.chips))

    def _set_chips(self, chips: tuple[int, ...]) -> None:
        """Check them; as many numbers as dimensions, or none for one chip."""
        for axis, parts, tiles in zip("xyz", chips, (*self.size, 1, 1), strict=False):
            check_int(f"chips along {axis}", parts, 1, 128)
            if tiles % parts:
                raise ValueError(f"chips along {axis} must divide its {tiles} tiles, not {parts}")
        if len(chips) > 3:
            raise ValueError(f"chips must have 1..3 dimensions, not {len(chips)}")
        chips = (*chips, 1, 1, 1)[:self.dimensions]
        object.__setattr__(self, "chips", chips if math.prod(chips) > 1 else ())

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

    def leaves_chip(self, tile: int, port: Port) -> bool:
        """Whether there is a link at `port` and another chip at its other end."""
        other = self.neighbour(tile, port)
        return bool(self.chips) and other is not None and any(
            here // (tiles // parts) != there // (tiles // parts) for here, there, tiles, parts
            in zip(self.coordinates(tile), self.coordinates(other), self.size, self.chips,
                   strict=True))

    @property
    def chip_link(self) -> ChipLinkConfig:
        """Of the links between chips."""
        return ChipLinkConfig(flit_bits=self.flit_bits, link_bits=self.link_bits)

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
        return cls(**fields)


class FlitKind(enum.IntEnum):
    """Kind of a flit; the first three are those of events."""

    SPIKE = 0
    TICK = 1
    CLEAR = 2
    CREDIT = 3


class TileSpace(enum.IntEnum):
    """Address spaces of a tile beside those of its core, write only but for ``LINKS``.

    Word 0 of LINKS has a bit per :class:`Port`, set where the link there is dead. Read are
    counters: address = port * 2 + :class:`LinkCounter`, at the local port :class:`RouterCounter`.
    """

    CHANNELS = 3
    RANGES = 4
    CREDITS = 5
    ROUTES = 6
    LINKS = 7


class RouterCounter(enum.IntEnum):
    """Halves of the number of flits that a router sent on over its links; modulo 2^32.

    To be read while nothing is under way.
    """

    HOPS_LOW = 0
    HOPS_HIGH = 1


class LinkCounter(enum.IntEnum):
    """Counters at an end of a link between chips; 16 bit, they stop at their highest value."""

    MALFORMED = 0
    RESENT = 1


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
    size, fifo_depth, routing, chips, link_bits
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
    chips: tuple[int, ...] = ()
    link_bits: int = 8

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
        object.__setattr__(self, "chips", self.mesh.chips)

    @property
    def mesh(self) -> MeshConfig:
        """Routers and links."""
        plain = MeshConfig(size=self.size, fifo_depth=self.fifo_depth, routing=self.routing,
                           chips=self.chips, link_bits=self.link_bits)
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
        return cls(**{**fields, "core": core})
