"""Rounding and saturation, written once."""

from __future__ import annotations

from amaranth.hdl import Cat, Value

__all__ = ["saturate"]


def saturate(value: Value, bits: int, enable: Value) -> Value:
    """Two's-complement `value` limited to `bits` [bit], or zero without `enable`; combinational.

    The top ``len(value) - bits + 1`` bits agree when nothing is lost; else the sign decides between
    ``-2**(bits-1)`` and ``2**(bits-1) - 1``. Golden: :func:`lamina.models.fixed.saturate`.

    Raises
    ------
    ValueError
        If `bits` is not in ``2..len(value)``.
    """
    if not 2 <= bits <= len(value):
        raise ValueError(f"bits must be in 2..{len(value)}, not {bits}")
    sign = value[-1]
    head = value[bits - 1:]
    lost = head.any() & ~head.all()
    kept = (enable & ~lost).replicate(bits - 1)
    filled = (enable & lost & ~sign).replicate(bits - 1)
    return Cat((value[:bits - 1] & kept) | filled, sign & enable).as_signed()
