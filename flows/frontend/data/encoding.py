"""The text of ``--encoder``."""

from __future__ import annotations

from lamina.flows.errors import UserError
from lamina.models.program import ENCODINGS

__all__ = ["parse_encoder"]

_VALUES = {"delta": ("step", float), "constant": ("levels", int)}
"""Kinds that take a value: field of :class:`lamina.models.program.Encoder`, and its type."""


def parse_encoder(text: str) -> dict[str, str | float | int]:
    """Fields of an Encoder: ``KIND``, ``delta:STEP`` or ``constant:LEVELS``.

    Raises
    ------
    UserError
        If the kind is unknown, takes no value, or the value is out of its range.
    """
    kind, colon, value = text.partition(":")
    if kind not in ENCODINGS:
        raise UserError(f"--encoder must be one of {', '.join(ENCODINGS)}, not {kind!r}")
    if not colon:
        return {"kind": kind}
    if kind not in _VALUES:
        raise UserError(f"--encoder {kind} takes no value, not {value!r}")
    field, number = _VALUES[kind]
    try:
        parsed = number(value)
    except ValueError:
        parsed = -1
    if not (1 <= parsed <= 255 if number is int else 0 < parsed < float("inf")):
        rule = "delta:STEP, above 0" if kind == "delta" else "constant:LEVELS, 1..255"
        raise UserError(f"--encoder must be {rule}, not {text}")
    return {"kind": kind, field: parsed}
