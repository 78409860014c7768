"""Memories of an ASIC: OpenRAM macros of SkyWater 130 for large ones, flip-flops for small ones."""

from __future__ import annotations

import dataclasses
import functools
import operator

from amaranth.hdl import (
    Array,
    Cat,
    ClockDomain,
    ClockSignal,
    Const,
    Elaboratable,
    Instance,
    MemoryData,
    MemoryInstance,
    Module,
    Mux,
    Signal,
    Value,
)
from amaranth.lib.memory import Memory

__all__ = [
    "BIT_AREA",
    "CLOCK_GATE",
    "MACROS",
    "MACRO_HALO",
    "OUTLINES",
    "GatedMemory",
    "MacroLayout",
    "MacroMemory",
    "OpenRam",
    "gated",
    "layout_of",
]

CLOCK_GATE = "sky130_fd_sc_hd__dlclkp_1"
MACROS = {256: "sky130_sram_1kbyte_1rw1r_32x256_8", 512: "sky130_sram_2kbyte_1rw1r_32x512_8"}
"""Macro by its depth; both are 32 bit wide, with a write mask per byte."""
OUTLINES = {256: (479.78, 397.5), 512: (683.1, 416.54)}
"""Width and height of a macro by its depth, from its LEF [um]."""
MACRO_HALO = 20.0
"""Room around a macro on every side for wires and straps [um]."""
BIT_AREA = 30.0
"""Of a clock-gated flip-flop and its share of the read multiplexer [um2]."""
_MACRO_BYTES = 4
_BANK_WORDS = 32
_WIDE_BITS = 32
"""From here on a register behind a memory stands still unless what it holds may change."""
_GROUP_ROWS = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class MacroLayout:
    """How a memory lies in macros.

    Parameters
    ----------
    depth : int
        Words of the memory.
    width : int
        Bits of a word.
    parts : int
        Equal parts of a word that are written one by one; each begins at a byte.
    """

    depth: int
    width: int
    parts: int = 1

    @property
    def part_bits(self) -> int:
        """Bits of a part."""
        return self.width // self.parts

    @property
    def part_bytes(self) -> int:
        """Bytes that hold a part."""
        return -(-self.part_bits // 8)

    @property
    def word_bytes(self) -> int:
        """Bytes that hold a word."""
        return self.parts * self.part_bytes

    @property
    def pack(self) -> int:
        """Words in one line of the macros: 4, 2 or 1."""
        return {1: 4, 2: 2}.get(self.word_bytes, 1)

    @property
    def lines(self) -> int:
        """Lines that are needed."""
        return -(-self.depth // self.pack)

    @property
    def macro_words(self) -> int:
        """Depth of the macro that is taken, a key of :data:`MACROS`."""
        return 256 if self.lines <= 256 else 512

    @property
    def rows(self) -> int:
        """Macros above one another, of which an access takes one."""
        return -(-self.lines // self.macro_words)

    @property
    def columns(self) -> int:
        """Macros beside one another, all of which an access takes."""
        return -(-self.word_bytes * self.pack // _MACRO_BYTES)

    @property
    def area(self) -> float:
        """Of the macros, each with the room around it [um2]."""
        width, height = (side + 2 * MACRO_HALO for side in OUTLINES[self.macro_words])
        return self.rows * self.columns * width * height


def layout_of(memory: Memory) -> MacroLayout:
    """How `memory`, with one write port, would lie in macros."""
    (write,) = memory.write_ports
    return MacroLayout(depth=memory.depth, width=Value.cast(write.data).shape().width,
                       parts=len(write.en))


class OpenRam:
    """An Amaranth platform without pins: large memories become macros, others flip-flops.

    Macros where they take less area than flip-flops would (:data:`BIT_AREA`), and there is one read
    port; memories with several read ports are flip-flops whatever their size. Contents start
    undefined.
    """

    def get_memory(self, memory: Memory) -> Elaboratable:
        """What stands for `memory`: see :class:`amaranth.lib.memory.Memory`."""
        bits = Value.cast(memory.read_ports[0].data).shape().width * memory.depth
        if len(memory.read_ports) > 1:
            return GatedMemory(memory)
        large = layout_of(memory).area < BIT_AREA * bits
        return MacroMemory(memory) if large else GatedMemory(memory)


class GatedMemory(Elaboratable):
    """A memory in flip-flops, in banks of 32 words that stand still unless they are accessed.

    Synthesis puts a clock gate before every word; one more before each bank keeps those still.
    Addresses and data reach the bank that they are for alone. Latency 1 cycle; a word that is
    written while it is read comes out as it was before.

    Parameters
    ----------
    memory : Memory
        With one write port; all ports of the domain ``sync``.
    """

    def __init__(self, memory: Memory):
        (self._write,) = memory.write_ports
        self._memory = memory
        self._width = Value.cast(memory.write_ports[0].data).shape().width

    def elaborate(self, platform):
        m = Module()
        banks = range(-(-self._memory.depth // _BANK_WORDS))
        offset_bits = min((self._memory.depth - 1).bit_length(), (_BANK_WORDS - 1).bit_length())
        found = [[] for _ in self._memory.read_ports]
        for bank in banks:
            depth = min(_BANK_WORDS, self._memory.depth - bank * _BANK_WORDS)
            words, place_bits = self._bank(m, bank, depth, offset_bits), (depth - 1).bit_length()
            for read, outputs in zip(self._memory.read_ports, found, strict=True):
                here = read.addr[offset_bits:] == bank
                word = Signal(self._width, name=f"word_{bank}")
                words.read_port(domain="comb", data=word, en=Const(1), transparent_for=(),
                                addr=read.addr[:place_bits] & here.replicate(place_bits))
                outputs.append(word & here.replicate(self._width))
        for number, (read, outputs) in enumerate(zip(self._memory.read_ports, found, strict=True)):
            reading = read.en
            if self._width >= _WIDE_BITS:
                reading = _changing(m, f"port_{number}", read.en, read.addr,
                                    self._write.en.any(), self._write.addr)
            with m.If(reading):
                m.d.sync += Value.cast(read.data).eq(functools.reduce(operator.or_, outputs))
        return m

    def _bank(self, m, bank, depth, offset_bits):
        """Words of `bank` with their write port."""
        write = self._write
        name, here = f"written_{bank}", Signal(name=f"writes_{bank}")
        domain = ClockDomain(name, local=True, reset_less=True)
        m.domains += domain
        m.d.comb += [
            here.eq(write.en.any() & (write.addr[offset_bits:] == bank)),
            domain.clk.eq(gated(m, f"gate_{bank}", ClockSignal(), here)),
        ]
        words = MemoryInstance(
            data=MemoryData(shape=self._width, depth=depth, init=[]), attrs=self._memory.attrs)
        m.submodules[f"bank_{bank}"] = words
        words.write_port(domain=name, addr=write.addr[:(depth - 1).bit_length()], en=write.en,
                         data=Value.cast(write.data) & here.replicate(self._width))
        return words


class MacroMemory(Elaboratable):
    """A memory with one read and one write port on macros, each clocked when it is accessed only.

    Port 0 of the macros writes, port 1 reads; latency 1 cycle, one access per cycle and port, as
    the memory that it stands for. A line that is read again is not accessed again unless it was
    written since, so a read port that is always enabled costs what its changes cost. A tree of
    clock gates, groups of 8 rows first, leads the clock to the row that is accessed; the address of
    a group stays zero while another one is accessed.

    Parameters
    ----------
    memory : Memory
        With one read port and one write port of the domain ``sync``; contents start undefined.
    """

    def __init__(self, memory: Memory):
        (self._read,), (self._write,) = memory.read_ports, memory.write_ports
        self.layout = layout_of(memory)

    def elaborate(self, platform):
        m = Module()
        layout, read, write = self.layout, self._read, self._write
        offset_bits = (layout.pack - 1).bit_length()
        line, written = read.addr[offset_bits:], write.addr[offset_bits:]
        reading = _changing(m, "line", read.en, line, write.en.any(), written)
        writing = self._rows(m, "write", write.en.any(), written)
        fetching = self._rows(m, "read", reading, line)
        mask, data = self._bytes(write.addr[:offset_bits])
        lines = []
        for row, (into, out) in enumerate(zip(writing, fetching, strict=True)):
            words = []
            for column in range(layout.columns):
                word = Signal(32, name=f"word_{row}_{column}")
                part = slice(column * _MACRO_BYTES, (column + 1) * _MACRO_BYTES)
                m.submodules[f"macro_{row}_{column}"] = Instance(
                    MACROS[layout.macro_words],
                    i_clk0=into[0], i_csb0=Const(0, 1), i_web0=Const(0, 1), i_addr0=into[1],
                    i_wmask0=Cat(*mask[part]), i_din0=Cat(*data[part]),
                    i_clk1=out[0], i_csb1=Const(0, 1), i_addr1=out[1], o_dout1=word)
                words.append(word)
            lines.append(Cat(*words))
        self._deliver(m, lines, line, reading)
        return m

    def _rows(self, m, name, enable, line):
        """Clock and address of every row of macros."""
        layout = self.layout
        place_bits = (layout.macro_words - 1).bit_length()
        row_number, address = line[place_bits:], Cat(line, Const(0, place_bits))[:place_bits]
        rows = []
        for first in range(0, layout.rows, _GROUP_ROWS):
            group = range(first, min(first + _GROUP_ROWS, layout.rows))
            chosen, place = enable, address
            if layout.rows > _GROUP_ROWS:
                here = Signal(name=f"{name}_group_{first}")
                m.d.comb += here.eq(row_number // _GROUP_ROWS == first // _GROUP_ROWS)
                chosen, place = enable & here, address & here.replicate(place_bits)
            clock = gated(m, f"{name}_gate_{first}", ClockSignal(), chosen)
            for row in group:
                rows.append((clock if len(group) == 1 else gated(
                    m, f"{name}_row_{row}", clock, row_number == row), place))
        return rows

    def _bytes(self, offset):
        """Write mask and bytes of a line, the same word in every place of it."""
        layout, write = self.layout, self._write
        value = Value.cast(write.data)
        mask, data = [], []
        for place in range(layout.pack):
            for part in range(layout.parts):
                bits = value.word_select(part, layout.part_bits)
                padded = Cat(bits, Const(0, 8 * layout.part_bytes - layout.part_bits))
                for byte in range(layout.part_bytes):
                    here = offset == place if layout.pack > 1 else Const(1, 1)
                    mask.append(write.en[part] & here)
                    data.append(padded.word_select(byte, 8))
        missing = layout.columns * _MACRO_BYTES - len(mask)
        return mask + [Const(0, 1)] * missing, data + [Const(0, 8)] * missing

    def _deliver(self, m, lines, line, reading):
        """Take the word out of the line that was read."""
        layout, read = self.layout, self._read
        place_bits = (layout.macro_words - 1).bit_length()
        found = lines[0]
        if layout.rows > 1:
            row = Signal(range(layout.rows), name="read_row")
            with m.If(reading):
                m.d.sync += row.eq(line[place_bits:])
            found = Array(lines)[row]
        if layout.pack > 1:
            offset = Signal(range(layout.pack), name="read_offset")
            with m.If(read.en):
                m.d.sync += offset.eq(read.addr)
            found = found.word_select(offset, 8 * layout.word_bytes)
        parts = [found[8 * layout.part_bytes * part:][:layout.part_bits]
                 for part in range(layout.parts)]
        m.d.comb += Value.cast(read.data).eq(Cat(*parts))


def _changing(m: Module, name: str, enable: Value, place: Value, writing: Value, written: Value
              ) -> Signal:
    """Whether a read may bring something new: another place, or one that was written since."""
    last, held = Signal.like(place, name=f"last_{name}"), Signal.like(place, name=f"held_{name}")
    stale, reading = Signal(init=1, name=f"stale_{name}"), Signal(name=f"reading_{name}")
    m.d.comb += [reading.eq(enable & (stale | (place != last))),
                 held.eq(Mux(reading, place, last))]
    m.d.sync += stale.eq((stale & ~reading) | (writing & (written == held)))
    with m.If(reading):
        m.d.sync += last.eq(place)
    return reading


def gated(m: Module, name: str, clock: Value, enable: Value) -> Signal:
    """`clock` in cycles with `enable`, by a clock gate of the library."""
    gated = Signal(name=f"{name}_clock")
    m.submodules[name] = Instance(CLOCK_GATE, i_CLK=clock, i_GATE=enable, o_GCLK=gated)
    return gated
