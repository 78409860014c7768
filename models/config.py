"""What the Verilog is generated with: the dimensions of a core, its host link and its supplies."""

from __future__ import annotations

import dataclasses
import enum
import itertools
import json
import zlib

from lamina.models.adders.spec import AdderSpec
from lamina.models.check import check_int, check_one_of

__all__ = [
    "BANKS",
    "COUNTERS",
    "FEATURES",
    "KAPPA_BITS",
    "MAX_ADDERS",
    "MAX_PAYLOAD_BYTES",
    "PROTOCOL_VERSION",
    "SPRAM_WAKE_CYCLES",
    "SPRAM_WORDS",
    "WISHBONE_ID",
    "WISHBONE_WORDS",
    "AerConfig",
    "Counter",
    "DescriptorField",
    "EntryKind",
    "EventKind",
    "HardwareConfig",
    "LinkStatus",
    "Opcode",
    "PowerConfig",
    "Register",
    "ResetRule",
    "Space",
    "StateRegion",
    "WishboneFlag",
    "WishboneRegister",
]

BANKS = ("inferred", "spram", "behavioural")
FEATURES = ("ahead", "currents", "follow", "partial", "rederived", "refractory", "sources",
            "subtractive", "windows")
"""What a core is generated with when a program or a fabric needs it: spikes of the next timestep
before this one is closed, integrators and synaptic currents, a bias that follows the number of
spikes, sums of layers that are cut by axons (which takes ``currents`` along), the rule
subtract-rederived, a refractory timestep, several sources with recurrence and delays, the
subtractive leak, convolution (which takes ``sources`` along)."""
_TAKEN_ALONG = {"windows": "sources", "partial": "currents"}
KAPPA_BITS = 4
"""Binary places of the bias per spike."""
MAX_ADDERS = 16
"""Adders that one core may be generated with: the field of a descriptor has four bits."""
PROTOCOL_VERSION = 1
SPRAM_WORDS = 16384
"""Depth of one SB_SPRAM256KA [word]."""
SPRAM_WAKE_CYCLES = 2
"""Clocks after SLEEP in which a SB_SPRAM256KA takes no access, up to 48 MHz: 41.505 ns from the end
of SLEEP to the clock edge (timing data of Project IceStorm, taken from iCEcube2)."""
WISHBONE_ID = 0x4C414D31
"""What a Lamina device answers in the register ID of its Wishbone port: "LAM1"."""
WISHBONE_WORDS = 16
"""Words of up to three bytes that the Wishbone port holds before the device takes them."""
MAX_PAYLOAD_BYTES = 252
"""Payload of the longest host frame [byte]: 256 less sequence number, opcode and CRC."""
_LINK_DEFAULTS = {"payload_bytes": MAX_PAYLOAD_BYTES, "window": 4}


class ResetRule(enum.IntEnum):
    """What a spike does to the membrane; the code that the layer descriptor carries."""

    VALUE = 0
    SUBTRACT = 1
    SUBTRACT_DELAYED = 2
    SUBTRACT_REDERIVED = 3

    @property
    def label(self) -> str:
        """Name on the command line, e.g. ``subtract-delayed``."""
        return self.name.lower().replace("_", "-")

    @classmethod
    def from_label(cls, label: str) -> ResetRule:
        """Inverse of :attr:`label`; raises :class:`ValueError` naming the allowed ones."""
        check_one_of("reset", label, tuple(rule.label for rule in cls))
        return cls[label.upper().replace("-", "_")]


class EventKind(enum.IntEnum):
    """Kind of an event, on streams and in the top two bits of a host output word."""

    SPIKE = 0
    TICK = 1
    CLEAR = 2


class Space(enum.IntEnum):
    """Address spaces of the core's request stream; weights of tier k are ``WEIGHTS + k``."""

    REGISTERS = 0
    DESCRIPTORS = 1
    STATE = 2
    WEIGHTS = 8


class StateRegion(enum.IntEnum):
    """Regions of the state memory: one row per group and region, one slot per lane."""

    MEMBRANE = 0
    DECAY = 1
    BIAS = 2
    THETA = 3
    RESET = 4


class DescriptorField(enum.IntEnum):
    """16-bit words of a descriptor entry; word address = entry * ``descriptor_words`` + field.

    An entry is a layer with its first source, a further source of the layer before it, or a relay.
    ``LAST_LANES`` holds the number of the layer's adder in bits 11..8. ``CURRENT`` is read with
    ``currents``, ``KAPPA`` with ``follow``, both with ``sources``; with ``partial`` bit 15 of
    ``CURRENT`` says that the layer adds the sums of another tile, bit 14 that its own leave as
    values. The fields from ``SOURCE_WORDS`` on exist with ``sources``, those from ``POSITIONS`` on
    with ``windows``; pairs hold rows in the low and columns in the high byte.
    """

    AXONS = 0
    GROUPS = 1
    WEIGHT_BASE = 2
    STATE_BASE = 3
    SOURCE = 4
    FLAGS = 5
    LAST_LANES = 6
    CURRENT = 7
    KAPPA = 8
    SOURCE_WORDS = 9
    POSITIONS = 10
    KERNEL = 11
    POOL = 12
    STRIDE = 13
    DILATION = 14
    PADDING = 15
    ROWS = 16
    COLUMNS = 17
    PITCH = 18
    ROW_DILATION = 19
    ROW_STRIDE = 20
    ROW_ORIGIN = 21
    UNIT_STEP = 22
    UNIT_DILATION = 23
    UNIT_STRIDE = 24
    UNIT_ORIGIN = 25
    LAYOUT = 26


class EntryKind(enum.IntEnum):
    """What a descriptor entry is: bits 15..14 of ``LAST_LANES``."""

    LAYER = 0
    SOURCE = 1
    RELAY = 2


class Register(enum.IntEnum):
    """Word addresses in ``Space.REGISTERS``."""

    ID = 0
    VERSION = 1
    CONFIG_LOW = 2
    CONFIG_HIGH = 3
    LAYERS = 4
    INPUT_AXONS = 5
    TIER_GATED = 6
    TIER_FILL = 7
    TIER_LOST = 8
    CONTROL = 9
    COUNTERS = 16


class Counter(enum.IntEnum):
    """32-bit counters; low word at ``COUNTERS + 2*k``, reading it latches the high word.

    ``ACCESSES + tier`` counts the reads of each tier by the lanes.
    """

    CYCLES = 0
    TICKS = 1
    SPIKES_IN = 2
    SOPS = 3
    SPIKES_OUT = 4
    DROPPED = 5
    ACCESSES = 6


COUNTERS = tuple(counter.name.lower() for counter in Counter if counter is not Counter.ACCESSES)


class Opcode(enum.IntEnum):
    """Requests of the host link; a reply carries ``opcode | 0x80``."""

    HELLO = 0
    STATUS = 1
    WRITE = 2
    READ = 3
    EVENTS = 4
    OUTPUT = 5


class LinkStatus(enum.IntEnum):
    """First payload byte of every reply."""

    OK = 0
    BUSY = 1
    SEQUENCE = 2
    OPCODE = 3
    RANGE = 4
    TIER_LOST = 5


class WishboneRegister(enum.IntEnum):
    """Byte addresses of the 32-bit registers of the Wishbone port; they repeat every 16 bytes.

    ``DATA``: three bytes of the byte streams, the first one lowest, and in bits 25..24 how many of
    them count. ``STATUS``: see :class:`WishboneFlag`. ``FINGERPRINT``: of the HardwareConfig.
    """

    DATA = 0
    STATUS = 4
    ID = 8
    FINGERPRINT = 12


class WishboneFlag(enum.IntEnum):
    """Lowest bits of the fields of ``STATUS``.

    ``ROOM`` (8 bits): words that can be written to ``DATA``. ``WAITING`` (8): bytes that can be
    read from it. ``OVERRUN``: a word was written without room and is lost; cleared by writing a 1
    to it. The others are those of the device.
    """

    ROOM = 0
    WAITING = 8
    IDLE = 16
    TICK_READY = 17
    REFUSED = 18
    OVERRUN = 19


def _is_power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class HardwareConfig:
    """Dimensions of one core.

    Parameters
    ----------
    name : str
        Verilog prefix and name of the design.
    lanes : int
        Accumulator datapaths, a power of two, 4..128.
    tiers : tuple of int
        Bits of a weight in each stacked bank, most significant slice first; 1..8 tiers, sum 1..16.
        A single bit holds a weight of -1 (0) or +1 (1).
    bank : str
        ``inferred``, ``spram`` (``lanes * bits`` must be 16 in every tier) or ``behavioural``.
    weight_words : int
        Words in every tier, 16..65536 (SPRAM: at most 16384).
    axons : int
        Largest number of input lines of a layer, a power of two, 16..16384 and >= ``2 * lanes``.
    groups : int
        Rows of neurons, a power of two, 2..1024: ``lanes * groups`` neurons.
    layers : int
        Descriptor entries, 1..256.
    decay_bits : int
        F of the leak ``(v * D) >> F``, 4..16.
    state_bits : int
        Membrane, threshold, bias and reset operands, 8..32.
    acc_bits : int
        Accumulators, ``state_bits + 1`` .. 40.
    output_words : int
        Output buffer of the host link, a power of two, 16..4096 [event].
    features : tuple of str
        Some of :data:`FEATURES`, sorted; what is not named is not generated.
    mask_rows : int
        Rows of former spikes, ``groups`` or more: a relay of a delayed source takes rows of its
        own; 0 stands for ``groups``.
    adders : tuple of str
        Names of the accumulation adders (:class:`lamina.models.adders.spec.AdderSpec`), 1..16; a
        layer chooses one of them where there are several.
    ports : int
        Weight words that are read in a cycle, 1 or 2; 2 takes ``inferred`` banks, each twice.
    payload_bytes : int
        Longest payload of a request to the host link, 4 less than a power of two, 12..252 [byte].
    window : int
        Requests that may be on their way to the host link, and replies that it keeps: 1, 2 or 4.
    """

    name: str = "lamina"
    lanes: int = 8
    tiers: tuple[int, ...] = (2, 2, 2, 2)
    bank: str = "inferred"
    weight_words: int = 16384
    axons: int = 1024
    groups: int = 32
    layers: int = 4
    decay_bits: int = 8
    state_bits: int = 16
    acc_bits: int = 18
    output_words: int = 512
    features: tuple[str, ...] = ()
    mask_rows: int = 0
    adders: tuple[str, ...] = ("exact",)
    ports: int = 1
    payload_bytes: int = MAX_PAYLOAD_BYTES
    window: int = 4

    def __post_init__(self):
        if not self.name.isidentifier():
            raise ValueError(f"name must be a Verilog identifier, not {self.name!r}")
        check_int("lanes", self.lanes, 4, 128)
        check_one_of("bank", self.bank, BANKS)
        check_int("weight_words", self.weight_words, 16, 65536)
        self._check_tiers()
        check_int("axons", self.axons, max(16, 2 * self.lanes), 16384)
        check_int("groups", self.groups, 2, 1024)
        check_int("layers", self.layers, 1, 256)
        check_int("decay_bits", self.decay_bits, 4, 16)
        check_int("state_bits", self.state_bits, 8, 32)
        check_int("acc_bits", self.acc_bits, self.state_bits + 1, 40)
        check_int("output_words", self.output_words, 16, 4096)
        for name in ("lanes", "axons", "groups", "output_words"):
            if not _is_power_of_two(getattr(self, name)):
                raise ValueError(f"{name} must be a power of two, not {getattr(self, name)}")
        if self.neurons > 16384:
            raise ValueError(f"lanes * groups must be at most 16384, not {self.neurons}")
        check_int("ports", self.ports, 1, 2)
        if self.ports > 1 and self.bank != "inferred":
            raise ValueError(f"ports must be 1 with {self.bank} banks, not {self.ports}")
        self._check_link()
        self._check_features()
        self._check_adders()
        if self.neurons > self.axons and not self.has("sources"):
            raise ValueError(f"axons must be at least lanes * groups = {self.neurons}, "
                             f"not {self.axons}")

    def _check_link(self):
        check_int("payload_bytes", self.payload_bytes, 12, MAX_PAYLOAD_BYTES)
        if not _is_power_of_two(self.payload_bytes + 4):
            raise ValueError("payload_bytes must be 4 less than a power of two, "
                             f"not {self.payload_bytes}")
        check_int("window", self.window, 1, 4)
        if not _is_power_of_two(self.window):
            raise ValueError(f"window must be a power of two, not {self.window}")

    def _check_features(self):
        for feature in self.features:
            check_one_of("feature", feature, FEATURES)
        features = {*self.features, *(_TAKEN_ALONG[feature] for feature in self.features
                                      if feature in _TAKEN_ALONG)}
        object.__setattr__(self, "features", tuple(sorted(features)))
        object.__setattr__(self, "mask_rows", self.mask_rows or self.groups)
        check_int("mask_rows", self.mask_rows, self.groups, 16384)

    def _check_adders(self):
        check_int("number of adders", len(self.adders), 1, MAX_ADDERS)
        specs = [AdderSpec.parse(name) for name in self.adders]
        object.__setattr__(self, "adders", tuple(spec.name for spec in specs))
        if len(set(self.adders)) != len(self.adders):
            raise ValueError(f"adders must differ, not {', '.join(self.adders)}")
        for spec in specs:
            if spec.low_bits >= self.acc_bits:
                raise ValueError(f"acc_bits must be above the {spec.low_bits} low bits of "
                                 f"{spec.label}, not {self.acc_bits}")

    def has(self, feature: str) -> bool:
        """Whether the core is generated with `feature`."""
        return feature in self.features

    @property
    def descriptor_fields(self) -> int:
        """Words of a descriptor entry that the core reads."""
        if self.has("windows"):
            return len(DescriptorField)
        if self.has("sources"):
            return DescriptorField.POSITIONS
        if self.has("follow"):
            return DescriptorField.SOURCE_WORDS
        return DescriptorField.KAPPA if self.has("currents") else DescriptorField.CURRENT

    @property
    def descriptor_words(self) -> int:
        """Address distance of two descriptor entries, a power of two."""
        return 1 << (self.descriptor_fields - 1).bit_length()

    def _check_tiers(self):
        if not isinstance(self.tiers, tuple):
            raise TypeError(f"tiers must be a tuple, not {self.tiers!r}")
        check_int("number of tiers", len(self.tiers), 1, 8)
        for bits in self.tiers:
            check_int("bits of a tier", bits, 1, 16)
        check_int("sum of tiers", sum(self.tiers), 1, 16)
        if self.bank == "spram" and any(self.lanes * bits != 16 for bits in self.tiers):
            raise ValueError("tiers must hold lanes * bits = 16 bits each in SPRAM banks, "
                             f"not {self.tiers} with {self.lanes} lanes")
        if self.bank == "spram" and self.weight_words > SPRAM_WORDS:
            raise ValueError(f"weight_words must be at most {SPRAM_WORDS} in SPRAM banks, "
                             f"not {self.weight_words}")

    @property
    def weight_bits(self) -> int:
        """Stored bits of a weight."""
        return sum(self.tiers)

    @property
    def is_binary(self) -> bool:
        """Whether a weight is one bit, 0 for -1 and 1 for +1."""
        return self.weight_bits == 1

    @property
    def code_bits(self) -> int:
        """Width of a weight as the lanes add it, in two's complement."""
        return max(2, self.weight_bits)

    @property
    def blocks(self) -> int:
        """Blocks of lanes: one up to 16, else of 8 each; what controls all has a copy for each."""
        return 1 if self.lanes <= 16 else self.lanes // 8

    @property
    def preview(self) -> int:
        """Cycles in which a word is looked over before its bits are taken: one in a wide core."""
        return int(self.blocks > 1)

    @property
    def address_copies(self) -> int:
        """Copies of the address of a weight word: one for each tier of a wide core."""
        return 1 if self.blocks == 1 else len(self.tiers)

    @property
    def neurons(self) -> int:
        """Neurons that the state memory holds."""
        return self.lanes * self.groups

    @property
    def slot_bits(self) -> int:
        """Width of one lane's slot in the state memory: a membrane, or 2**F as a signed number."""
        return max(self.state_bits, self.decay_bits + 2)

    @property
    def slot_chunks(self) -> int:
        """16-bit host words per state slot."""
        return -(-self.slot_bits // 16)

    def tier_chunks(self, tier: int) -> int:
        """16-bit host words per weight word of `tier`, a power of two."""
        words = -(-self.lanes * self.tiers[tier] // 16)
        return 1 << (words - 1).bit_length()

    @property
    def reply_bytes(self) -> int:
        """Room for one reply in the host link, a power of two [byte]."""
        return max(32, self.payload_bytes + 4)

    @property
    def reply_words(self) -> int:
        """Most 16-bit words that one READ or OUTPUT brings."""
        return (self.reply_bytes - 16) // 2

    @property
    def fingerprint(self) -> int:
        """CRC-32 of the configuration without its name; the core answers it to the driver.

        One port, and the usual host link, do not count: they are those of cores from before there
        was a choice.
        """
        fields = json.loads(self.to_json())
        del fields["name"]
        for name, usual in {"ports": 1, **_LINK_DEFAULTS}.items():
            if fields[name] == usual:
                del fields[name]
        return zlib.crc32(json.dumps(fields, sort_keys=True).encode())

    def to_json(self) -> str:
        """Stable JSON text, the same bytes for equal configurations."""
        return json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> HardwareConfig:
        """Inverse of :meth:`to_json`; validates like the constructor."""
        fields = json.loads(text)
        fields["tiers"] = tuple(fields["tiers"])
        for name, default in (("features", ()), ("adders", ("exact",))):
            fields[name] = tuple(fields.get(name, default))
        return cls(**fields)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AerConfig:
    """Address-event representation of one sensor.

    Parameters
    ----------
    address_bits : int
        Width of the address bus, 1..24.
    x_low, x_bits, y_low, y_bits, polarity_low : int
        Lowest bit and width of the coordinates, the bit of the polarity; within the address.
    columns, rows, polarities : int
        Sensor size; 1 or 2 polarities (1: the bit is not looked at). Events outside are dropped.
    x_step, y_step, polarity_step : int
        Axon of an event: ``x * x_step + y * y_step + polarity * polarity_step``; 0 stands for the
        C order of (polarity, row, column).
    timesteps : int
        Ticks after which a CLEAR follows by itself; 0: never.
    active_low : bool
        Whether request and acknowledge are asserted low at the pins.
    """

    address_bits: int = 13
    x_low: int = 0
    x_bits: int = 6
    y_low: int = 6
    y_bits: int = 6
    polarity_low: int = 12
    columns: int = 34
    rows: int = 34
    polarities: int = 2
    x_step: int = 0
    y_step: int = 0
    polarity_step: int = 0
    timesteps: int = 0
    active_low: bool = False

    def __post_init__(self):
        check_int("address_bits", self.address_bits, 1, 24)
        for name in ("x", "y"):
            low, bits = getattr(self, f"{name}_low"), getattr(self, f"{name}_bits")
            check_int(f"{name}_bits", bits, 1, 14)
            check_int(f"{name}_low", low, 0, self.address_bits - bits)
        check_int("polarity_low", self.polarity_low, 0, self.address_bits - 1)
        check_int("columns", self.columns, 1, 1 << self.x_bits)
        check_int("rows", self.rows, 1, 1 << self.y_bits)
        check_int("polarities", self.polarities, 1, 2)
        check_int("timesteps", self.timesteps, 0, 65535)
        for name in ("x_step", "y_step", "polarity_step"):
            check_int(name, getattr(self, name), 0, 1 << 14)

    @property
    def steps(self) -> tuple[int, int, int]:
        """Axons per column, row and polarity."""
        if self.x_step or self.y_step or self.polarity_step:
            return self.x_step, self.y_step, self.polarity_step
        return 1, self.columns, self.columns * self.rows

    @property
    def axons(self) -> int:
        """Axons from 0 that events can reach."""
        x, y, polarity = self.steps
        return ((self.columns - 1) * x + (self.rows - 1) * y + (self.polarities - 1) * polarity) + 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class PowerConfig:
    """Tiers and voltages of one power-budget controller, and what each costs.

    A voltage has a code: 0 nominal, rising to ``steps`` (V_min); ``off`` is no supply. Powers share
    one unit, the caller's choice [LSB].

    Parameters
    ----------
    tier_power : tuple of tuple of int
        Power at full activity per tier (1..8 of them, tier 0 first) and voltage code (1..16, as
        many in every tier), 1..65535 [LSB], falling with every step.
    fixed_power : int
        Power that follows neither voltages nor activity, 0..65535 [LSB].
    hysteresis : int
        Room that is left below the budget when power is raised, 0..65535 [LSB].
    activity_bits : int
        F, 1..16: an activity of ``2**F`` is full.
    """

    tier_power: tuple[tuple[int, ...], ...]
    fixed_power: int = 0
    hysteresis: int = 0
    activity_bits: int = 8

    def __post_init__(self):
        if not (isinstance(self.tier_power, tuple)
                and all(isinstance(powers, tuple) for powers in self.tier_power)):
            raise TypeError(f"tier_power must be a tuple of tuples, not {self.tier_power!r}")
        check_int("number of tiers", len(self.tier_power), 1, 8)
        for powers in self.tier_power:
            check_int("voltages of a tier", len(powers), 1, 16)
            for power in powers:
                check_int("tier_power", power, 1, 65535)
            if any(low >= high for high, low in itertools.pairwise(powers)):
                raise ValueError(f"tier_power must fall with every step, not {powers}")
        if len({len(powers) for powers in self.tier_power}) != 1:
            raise ValueError("tier_power must have as many voltages in every tier, "
                             f"not {tuple(len(powers) for powers in self.tier_power)}")
        check_int("fixed_power", self.fixed_power, 0, 65535)
        check_int("hysteresis", self.hysteresis, 0, 65535)
        check_int("activity_bits", self.activity_bits, 1, 16)

    @property
    def tiers(self) -> int:
        """Supplies that are controlled."""
        return len(self.tier_power)

    @property
    def steps(self) -> int:
        """Steps from the nominal voltage to V_min, and the code of V_min."""
        return len(self.tier_power[0]) - 1

    @property
    def off(self) -> int:
        """Voltage code of a tier without supply."""
        return self.steps + 1

    @property
    def full_power(self) -> int:
        """Estimated power of all tiers at the nominal voltage and full activity [LSB]."""
        return self.fixed_power + sum(powers[0] for powers in self.tier_power)

    @property
    def budget_bits(self) -> int:
        """Width of a budget that is enough for everything, hysteresis included [bit]."""
        return (self.full_power + self.hysteresis).bit_length()

    def to_json(self) -> str:
        """Stable JSON text, the same bytes for equal configurations."""
        return json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> PowerConfig:
        """Inverse of :meth:`to_json`; validates like the constructor."""
        fields = json.loads(text)
        fields["tier_power"] = tuple(tuple(powers) for powers in fields["tier_power"])
        return cls(**fields)
