"""Argument checks that speak one language: subject, rule, offending value."""

from __future__ import annotations

__all__ = ["check_int", "check_one_of"]


def check_int(name: str, value: object, low: int, high: int) -> int:
    """Return `value` if it is a Python int in ``low..high``.

    Raises
    ------
    TypeError
        If it is no int (``bool`` and NumPy integers are refused).
    ValueError
        If it lies outside the range.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, not {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be in {low}..{high}, not {value}")
    return value


def check_one_of(name: str, value: object, allowed: tuple[str, ...]) -> str:
    """Return `value` if it is one of `allowed`; raises :class:`ValueError` otherwise."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
    return str(value)
