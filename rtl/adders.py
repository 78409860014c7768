"""Adders that trade errors for gates: one interface, chosen by name."""

from __future__ import annotations

import functools
import operator

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from lamina.models.adders.spec import AdderSpec

__all__ = ["Adder", "chosen_sum", "sum_of"]


class Adder(wiring.Component):
    """``o = a (+) b`` modulo ``2**bits``, combinational.

    Below bit k the family's own logic gives sum bits and a carry; above it an exact adder. GeAr
    has exact windows over the whole width. Golden: :func:`lamina.models.adders.adder.add`; sources:
    docs/adders.md.

    Parameters
    ----------
    spec : AdderSpec
    bits : int
        Width of operands and sum, at least ``spec.low_bits + 1``.

    Members
    -------
    a, b : In(signed(bits))
        Accumulator and weight [LSB].
    o : Out(signed(bits))
    """

    def __init__(self, spec: AdderSpec, bits: int):
        if not isinstance(spec, AdderSpec):
            raise TypeError(f"spec must be an AdderSpec, not {spec!r}")
        if bits <= spec.low_bits:
            raise ValueError(f"bits of {spec.label} must be at least {spec.low_bits + 1}, "
                             f"not {bits}")
        self._spec = spec
        super().__init__({"a": In(signed(bits)), "b": In(signed(bits)), "o": Out(signed(bits))})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(sum_of(m, self._spec, self.a, self.b))
        return m


def sum_of(m: Module, spec: AdderSpec, a, b):
    """Value of ``a (+) b``, as wide as `a`; both signed, `b` not wider."""
    bits = len(a)
    b = _extended(b, bits)
    if spec.is_exact:
        return (a + b)[:bits].as_signed()
    if spec.window:
        return _windows(spec, a, b)
    low, carry = _low_part(m, spec, a, b)
    return _joined(a, b, low, carry)


def chosen_sum(m: Module, specs: tuple[AdderSpec, ...], choice, a, b):
    """Value of ``a (+) b`` by the adder that `choice` (an index into `specs`) names.

    Low parts and carries are chosen before one exact upper adder that all of them share; windowed
    adders stand beside it.
    """
    bits = len(a)
    b = _extended(b, bits)
    sharing = [spec for spec in specs if not spec.window]
    most = max(spec.low_bits for spec in sharing) if sharing else 0
    sums = {spec: _windows(spec, a, b) for spec in specs if spec.window}
    if sharing:
        parts = {spec: _low_part(m, spec, a, b) for spec in sharing if spec.low_bits}
        shared = _shared_sum(m, sharing, parts, specs, choice, a, b, most)
        sums |= dict.fromkeys(sharing, shared)
    result = Signal(signed(bits))
    with m.Switch(choice):
        for number, spec in enumerate(specs):
            with m.Case(number):
                m.d.comb += result.eq(sums[spec])
    return result


def _shared_sum(m, sharing, parts, specs, choice, a, b, most):
    """One exact adder whose operands carry c into bit k, and the low bits in its place."""
    bits = len(a)
    keep, carry = Signal(bits), Signal(bits)
    low = Signal(max(1, most))
    for number, spec in enumerate(specs):
        if spec not in parts:
            continue
        sums, out = parts[spec]
        with m.If(choice == number):
            m.d.comb += [keep.eq((1 << spec.low_bits) - 1), low.eq(sums),
                         carry.eq(Mux(out, 1 << (spec.low_bits - 1), 0))]
    total = (((a.as_unsigned() & ~keep) | carry) + ((b.as_unsigned() & ~keep) | carry))[:bits]
    return ((total & ~keep) | (low & keep))[:bits].as_signed()


def _extended(b, bits):
    return Cat(b, b[-1].replicate(bits - len(b))).as_signed()


def _joined(a, b, low, carry):
    k, bits = len(low), len(a)
    upper = (a[k:] + b[k:] + carry)[:bits - k]
    return Cat(low, upper).as_signed()


def _low_part(m, spec, a, b):
    """Sum bits (k wide) and carry of the approximate part."""
    k = spec.low_bits
    if not k:
        return Const(0, 0), Const(0, 1)
    if spec.netlist is not None:
        return _netlist(spec.netlist, a[:k], b[:k])
    return _FAMILIES[spec.family](spec, a[:k], b[:k])


def _or_part(spec, a, b):
    return a | b, a[-1] & b[-1]


def _or_part_alone(spec, a, b):
    return a | b, Const(0, 1)


def _or_part_with_ones(spec, a, b):
    return (a | b) | ((1 << spec.ones) - 1), a[-1] & b[-1]


def _or_part_with_xor(spec, a, b):
    return Cat((a | b)[:-1], a[-1] ^ b[-1]), a[-1] & b[-1]


def _filled(spec, a, b):
    """Everything at and below the highest pair of ones reads as one."""
    pairs = a & b
    below = [pairs[place:].any() for place in range(len(a))]
    return (a ^ b) | Cat(*below), Const(0, 1)


def _constant(value):
    return lambda spec, a, b: (Const(value and (1 << len(a)) - 1, len(a)), Const(0, 1))


def _second(spec, a, b):
    return b, Const(0, 1)


def _second_with_carry(spec, a, b):
    return b, a[-1]


def _mirror(cell):
    def part(spec, a, b):
        carry, sums = Const(0, 1), []
        for x, y in zip(a, b, strict=True):
            total, carry = cell(x, y, carry)
            sums.append(total)
        return Cat(*sums), carry
    return part


def _mirror1(x, y, c):
    return Mux(x == y, c, 0), y | (x & c)


def _mirror2(x, y, c):
    major = (x & (y | c)) | (y & c)
    return ~major[0], major


def _mirror3(x, y, c):
    carry = y | (x & c)
    return ~carry[0], carry


def _mirror4(x, y, c):
    return c & (y | ~x)[0], x


def _evolved(bits):
    def part(spec, a, b):
        *sums, carry = bits(a, b)
        return Cat(*(bit[0] for bit in sums)), carry[0]
    return part


_ZERO = Const(0, 1)
_FAMILIES = {
    "loa": _or_part, "loawa": _or_part_alone, "oloca": _or_part_with_ones,
    "heaa": _or_part_with_xor, "eta1": _filled, "trua0": _constant(0), "trua1": _constant(1),
    "copy": _second, "ama1": _mirror(_mirror1), "ama2": _mirror(_mirror2),
    "ama3": _mirror(_mirror3), "ama4": _mirror(_mirror4), "ama5": _second_with_carry,
    "5qt": _evolved(lambda a, b: (~(a[0] & b[0]), a[0] & b[0])),
    "5qc": _evolved(lambda a, b: (_ZERO, a[0])),
    "5kb": _evolved(lambda a, b: (b[1], ~(a[1] & b[0]), a[1] & b[0])),
    "5rl": _evolved(lambda a, b: (_ZERO, a[1], b[2], a[2])),
    "5rp": _evolved(lambda a, b: (a[0], b[2], ~a[2], a[2])),
    "5y6": _evolved(lambda a, b: (a[0], _ZERO, a[2], b[3], a[3])),
}

_GATES = {
    "and": operator.and_, "or": operator.or_, "xor": operator.xor,
    "nand": lambda x, y: ~(x & y), "nor": lambda x, y: ~(x | y), "xnor": lambda x, y: ~(x ^ y),
    "andn": lambda x, y: x & ~y, "not": lambda x, y: ~x, "buf": lambda x, y: x,
}


def _netlist(netlist, a, b):
    signals = [*a, *b, Const(0, 1), Const(1, 1)]
    for kind, x, y in netlist.gates:
        signals.append(_GATES[kind](signals[x], signals[y])[0])
    *sums, carry = (signals[number] for number in netlist.outputs)
    return Cat(*sums), carry


def _windows(spec, a, b):
    parts = []
    for first, end, kept in spec.windows(len(a)):
        width = end - first
        total = (a[first:end] + b[first:end])[:width]
        parts.append(total[kept - first:])
    return functools.reduce(lambda low, high: Cat(low, high), parts).as_signed()
