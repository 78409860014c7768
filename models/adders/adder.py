"""What the adders compute: two integers, or 64 pairs of bits in a machine word at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from lamina.models.adders.netlist import Netlist
from lamina.models.adders.spec import AdderSpec
from lamina.models.fixed import wrap

__all__ = ["add", "low_sum"]

Planes = Sequence[np.ndarray]
"""Bits of a number, lowest first: boolean arrays, or unsigned words with a number in each bit."""


def add(spec: AdderSpec, a: np.ndarray, b: np.ndarray, bits: int) -> np.ndarray:
    """``a (+) b`` modulo ``2**bits``.

    The k low bits follow the equations of :func:`low_sum`; above them
    ``(a >> k) + (b >> k) + carry`` is exact. The windows of GeAr take the whole width.

    Parameters
    ----------
    spec : AdderSpec
    a, b : int64 arrays that broadcast
        Two's complement [LSB], within `bits`; a is the accumulator, b the weight.
    bits : int
        2..62.

    Returns
    -------
    int64 array [LSB]

    Raises
    ------
    ValueError
        If `bits` is narrower than the low part.
    """
    k = bits if spec.window else spec.low_bits
    if k > bits:
        raise ValueError(f"adder {spec.label} must have at least {k} bits, not {bits}")
    a, b = np.broadcast_arrays(np.asarray(a, dtype=np.int64), np.asarray(b, dtype=np.int64))
    if k == 0:
        return wrap(a + b, bits)
    sums, carry = low_sum(spec, _planes(a, k), _planes(b, k))
    low = sum(plane.astype(np.int64) << place for place, plane in enumerate(sums))
    if spec.window:
        return wrap(low, bits)
    return wrap((((a >> k) + (b >> k) + carry) << k) + low, bits)


def _planes(x: np.ndarray, k: int) -> list[np.ndarray]:
    return [(x >> place & 1).astype(bool) for place in range(k)]


def low_sum(spec: AdderSpec, a: Planes, b: Planes) -> tuple[list[np.ndarray], np.ndarray]:
    """Sum bits and carry of the low part, from as many bits of either operand.

    With g = a & b, p = a ^ b, o = a | b of each bit (techniques and sources: docs/adders.md).

    Parameters
    ----------
    spec : AdderSpec
        Not ``exact``.
    a, b : planes
        ``spec.low_bits`` of them, or of a windowed adder all.
    """
    if spec.netlist is not None:
        return _netlist(spec.netlist, a, b)
    if spec.window:
        return _windows(spec, a, b)
    return _RULES[spec.family](spec, a, b)


def _zero(plane: np.ndarray) -> np.ndarray:
    return plane ^ plane


def _loa(spec: AdderSpec, a: Planes, b: Planes):
    """OR below, the carry of the highest approximate bit (Mahdiani 2010)."""
    return [x | y for x, y in zip(a, b, strict=True)], a[-1] & b[-1]


def _loawa(spec: AdderSpec, a: Planes, b: Planes):
    return [x | y for x, y in zip(a, b, strict=True)], _zero(a[0])


def _oloca(spec: AdderSpec, a: Planes, b: Planes):
    """LOA whose lowest l bits are one (Dalloo 2018)."""
    sums, carry = _loa(spec, a, b)
    ones = ~_zero(a[0])
    return [ones] * spec.ones + sums[spec.ones:], carry


def _heaa(spec: AdderSpec, a: Planes, b: Planes):
    """LOA with an exact sum bit at the top (Balasubramanian)."""
    sums, carry = _loa(spec, a, b)
    return [*sums[:-1], a[-1] ^ b[-1]], carry


def _eta1(spec: AdderSpec, a: Planes, b: Planes):
    """XOR down to the first pair of ones, ones from there on (Zhu 2010)."""
    sums, hit = [], _zero(a[0])
    for x, y in zip(reversed(a), reversed(b), strict=True):
        hit = hit | (x & y)
        sums.append(hit | (x ^ y))
    return sums[::-1], _zero(a[0])


def _trua0(spec: AdderSpec, a: Planes, b: Planes):
    return [_zero(plane) | _zero(other) for plane, other in zip(a, b, strict=True)], \
        _zero(a[0]) | _zero(b[0])


def _trua1(spec: AdderSpec, a: Planes, b: Planes):
    zeros, carry = _trua0(spec, a, b)
    return [~zero for zero in zeros], carry


def _copy(spec: AdderSpec, a: Planes, b: Planes):
    return [y | _zero(x) for x, y in zip(a, b, strict=True)], _zero(a[0])


def _ama(sum_bit: Callable, carry_bit: Callable) -> Callable:
    """A ripple of approximate mirror adders, without a carry at the bottom (Gupta 2013)."""
    def rule(spec: AdderSpec, a: Planes, b: Planes):
        sums, c = [], _zero(a[0])
        for x, y in zip(a, b, strict=True):
            sums.append(sum_bit(x, y, c))
            c = carry_bit(x, y, c)
        return sums, c
    return rule


def _majority(x, y, c):
    return (x & y) | (x & c) | (y & c)


def _ama5(spec: AdderSpec, a: Planes, b: Planes):
    return [y | _zero(x) for x, y in zip(a, b, strict=True)], a[-1] | _zero(b[-1])


def _windows(spec: AdderSpec, a: Planes, b: Planes):
    """Exact sums of overlapping windows without a carry from below (Shafique 2015)."""
    sums = []
    for first, end, kept in spec.windows(len(a)):
        carry = _zero(a[0])
        for place in range(first, end):
            x, y = a[place], b[place]
            if place >= kept:
                sums.append(x ^ y ^ carry)
            carry = _majority(x, y, carry)
    return sums, carry


def _evolved(bits: Callable) -> Callable:
    def rule(spec: AdderSpec, a: Planes, b: Planes):
        zero = _zero(a[0]) | _zero(b[0])
        *sums, carry = bits(a, b, zero)
        return [plane | zero for plane in sums], carry | zero
    return rule


_RULES = {
    "loa": _loa, "loawa": _loawa, "oloca": _oloca, "heaa": _heaa, "eta1": _eta1,
    "trua0": _trua0, "trua1": _trua1, "copy": _copy, "ama5": _ama5,
    "ama1": _ama(lambda x, y, c: c & ~(x ^ y), lambda x, y, c: y | (x & c)),
    "ama2": _ama(lambda x, y, c: ~_majority(x, y, c), _majority),
    "ama3": _ama(lambda x, y, c: ~(y | (x & c)), lambda x, y, c: y | (x & c)),
    "ama4": _ama(lambda x, y, c: c & (~x | y), lambda x, y, c: x | _zero(y)),
    "5qt": _evolved(lambda a, b, zero: (~(a[0] & b[0]), a[0] & b[0])),
    "5qc": _evolved(lambda a, b, zero: (zero, a[0])),
    "5kb": _evolved(lambda a, b, zero: (b[1], ~(a[1] & b[0]), a[1] & b[0])),
    "5rl": _evolved(lambda a, b, zero: (zero, a[1], b[2], a[2])),
    "5rp": _evolved(lambda a, b, zero: (a[0], b[2], ~a[2], a[2])),
    "5y6": _evolved(lambda a, b, zero: (a[0], zero, a[2], b[3], a[3])),
}

_GATE = {
    "and": lambda x, y: x & y, "or": lambda x, y: x | y, "xor": lambda x, y: x ^ y,
    "nand": lambda x, y: ~(x & y), "nor": lambda x, y: ~(x | y), "xnor": lambda x, y: ~(x ^ y),
    "andn": lambda x, y: x & ~y, "not": lambda x, y: ~x, "buf": lambda x, y: x,
}


def _netlist(netlist: Netlist, a: Planes, b: Planes):
    zero = _zero(a[0]) | _zero(b[0])
    signals = [*a, *b, zero, ~zero]
    for kind, x, y in netlist.gates:
        signals.append(_GATE[kind](signals[x], signals[y]))
    *sums, carry = (signals[number] | zero for number in netlist.outputs)
    return sums, carry
