"""Window walker: the words of a feature map that one output position of a convolution looks at."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from lamina.models.config import DescriptorField, HardwareConfig

__all__ = ["WindowWalker", "aim_layout", "view_fields", "view_layout"]

_EXTENT_BITS = 15
"""Width of a map coordinate, with its sign."""


def view_layout(config: HardwareConfig) -> data.StructLayout:
    """A window as its descriptor entry has it; addresses are in words of the map's memory."""
    address = signed(_address_bits(config) + 1)
    return data.StructLayout({
        "last_row": unsigned(8), "last_column": unsigned(8),
        "kernel_y": unsigned(8), "kernel_x": unsigned(8),
        "pool_y": unsigned(8), "pool_x": unsigned(8),
        "stride_y": unsigned(8), "stride_x": unsigned(8),
        "dilation_y": unsigned(8), "dilation_x": unsigned(8),
        "padding_y": unsigned(8), "padding_x": unsigned(8),
        "rows": unsigned(_EXTENT_BITS - 1), "columns": unsigned(_EXTENT_BITS - 1),
        "pitch": address, "row_dilation": address, "row_stride": address, "row_origin": address,
        "unit_step": address, "unit_dilation": address, "unit_stride": address,
        "unit_origin": address,
        "step": unsigned(8), "pack": unsigned(3), "slot": unsigned(3),
    })


def aim_layout(config: HardwareConfig) -> data.StructLayout:
    """A window and where it lies: ``view`` and the members ``y x row unit`` of the walker."""
    address = signed(_address_bits(config) + 1)
    return data.StructLayout({"view": view_layout(config), "y": signed(_EXTENT_BITS),
                              "x": signed(_EXTENT_BITS), "row": address, "unit": address})


def view_fields(view: data.View, word: Signal) -> dict[DescriptorField, list]:
    """Assignments of a descriptor `word` to the fields of `view`, by the word's number."""
    low, high = word[:8], word[8:]
    pairs = {DescriptorField.KERNEL: "kernel", DescriptorField.POOL: "pool",
             DescriptorField.STRIDE: "stride", DescriptorField.DILATION: "dilation",
             DescriptorField.PADDING: "padding"}
    fields = {field: [view[f"{name}_y"].eq(low), view[f"{name}_x"].eq(high)]
              for field, name in pairs.items()}
    fields[DescriptorField.POSITIONS] = [view.last_row.eq(low - 1), view.last_column.eq(high - 1)]
    for field in (DescriptorField.ROWS, DescriptorField.COLUMNS, DescriptorField.PITCH,
                  DescriptorField.ROW_DILATION, DescriptorField.ROW_STRIDE,
                  DescriptorField.ROW_ORIGIN, DescriptorField.UNIT_STEP,
                  DescriptorField.UNIT_DILATION, DescriptorField.UNIT_STRIDE,
                  DescriptorField.UNIT_ORIGIN):
        fields[field] = [view[field.name.lower()].eq(word.as_signed())]
    fields[DescriptorField.LAYOUT] = [view.step.eq(low), view.pack.eq(word[8:11]),
                                      view.slot.eq(word[12:15])]
    return fields


def _address_bits(config: HardwareConfig) -> int:
    return (max(config.mask_rows, config.axons // config.lanes) - 1).bit_length()


class WindowWalker(wiring.Component):
    """Step through the words under a window: kernel row, pool row, kernel column, pool column,
    channel word; one per cycle, those outside the map included, which are skipped.

    Parameters
    ----------
    config : HardwareConfig

    Members
    -------
    start : In(1)
        Begin; the inputs below must hold until ``done``.
    view : In(view_layout)
    y, x : In(signed)
        Pooled coordinates of the first tap.
    row, unit : In(signed)
        Word of the first tap's row, and its offset in units of ``1 / 2**pack`` words.
    valid : Out(1)
        ``address`` is wanted.
    take : In(1)
        ``address`` is taken in this cycle.
    address : Out
        Word within the map.
    shift : Out(3)
        Position within the word, where several share one.
    tap : Out
        Word of the spike list that the address stands for.
    done : Out(1)
        No word is left.
    """

    def __init__(self, config: HardwareConfig):
        if not isinstance(config, HardwareConfig):
            raise TypeError(f"config must be a HardwareConfig, not {config!r}")
        self._config = config
        bits = _address_bits(config)
        aim = aim_layout(config)
        super().__init__({
            "start": In(1),
            **{name: In(aim[name].shape) for name in ("view", "y", "x", "row", "unit")},
            "valid": Out(1),
            "take": In(1),
            "address": Out(bits),
            "shift": Out(3),
            "tap": Out((config.axons // config.lanes - 1).bit_length()),
            "done": Out(1, init=1),
        })

    def elaborate(self, platform):
        m = Module()
        view = self.view
        names = ("kernel_y", "pool_y", "kernel_x", "pool_x", "channel")
        counts = {name: Signal(8, name=name) for name in names}
        limits = {name: view[name] for name in names[:4]} | {"channel": view.step}
        last = {name: Signal(name=f"last_{name}") for name in names}
        for name in names:
            m.d.comb += last[name].eq(counts[name] == (limits[name] - 1)[:8])
        y, x = Signal.like(self.y, name="at_y"), Signal.like(self.x, name="at_x")
        row, kernel_row = (Signal.like(self.row, name=name) for name in ("at_row", "kernel_row"))
        unit, kernel_unit = (Signal.like(self.unit, name=name)
                             for name in ("at_unit", "kernel_unit"))
        tap, tap_row = (Signal.like(self.tap, name=name) for name in ("at_tap", "tap_row"))
        inside = Signal()
        step = Signal()
        m.d.comb += [
            inside.eq((y >= 0) & (y < view.rows) & (x >= 0) & (x < view.columns)),
            self.valid.eq(~self.done & inside),
            step.eq(~self.done & (self.take | ~inside)),
            self.address.eq(row + (unit >> view.pack) + counts["channel"]),
            self.shift.eq(unit[:3] & ((1 << view.pack) - 1)),
            self.tap.eq(tap + counts["channel"]),
        ]
        with m.If(step):
            self._advance(m, names, counts, last)
            with m.If(last["channel"] & ~last["pool_x"]):
                m.d.sync += unit.eq(unit + view.unit_step)
            with m.If(last["channel"] & last["pool_x"]):
                m.d.sync += [unit.eq(kernel_unit + view.unit_dilation), tap.eq(tap + view.step),
                             kernel_unit.eq(kernel_unit + view.unit_dilation),
                             x.eq(x + view.dilation_x)]
                with m.If(last["kernel_x"]):
                    m.d.sync += [unit.eq(self.unit), kernel_unit.eq(self.unit), x.eq(self.x),
                                 tap.eq(tap_row), row.eq(row + view.pitch)]
                    with m.If(last["pool_y"]):
                        m.d.sync += [row.eq(kernel_row + view.row_dilation),
                                     kernel_row.eq(kernel_row + view.row_dilation),
                                     y.eq(y + view.dilation_y), tap.eq(tap + view.step),
                                     tap_row.eq(tap + view.step)]
                        with m.If(last["kernel_y"]):
                            m.d.sync += self.done.eq(1)
        with m.If(self.start):
            m.d.sync += [self.done.eq(0), y.eq(self.y), x.eq(self.x), row.eq(self.row),
                         kernel_row.eq(self.row), unit.eq(self.unit), kernel_unit.eq(self.unit),
                         tap.eq(0), tap_row.eq(0), *[count.eq(0) for count in counts.values()]]
        return m

    def _advance(self, m, names, counts, last):
        """Count, the channel fastest, the kernel row slowest."""
        carry = 1
        for name in reversed(names):
            with m.If(carry):
                m.d.sync += counts[name].eq(Mux(last[name], 0, counts[name] + 1))
            carry = carry & last[name]
