"""Registers that hold the same, so that none has to reach all of a wide core; when they pay."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, Value

from lamina.models.config import HardwareConfig

__all__ = ["copies", "is_fast"]


def is_fast(config: HardwareConfig, platform: object) -> bool:
    """Whether a wide core is for an FPGA: there the clock counts, on a chip the energy.

    Parameters
    ----------
    config : HardwareConfig
    platform : object
        As given to ``elaborate``; None: an FPGA.
    """
    return config.blocks > 1 and platform is None


def copies(m: Module, value: Value, count: int, name: str, *, init: int = 0
           ) -> list[Signal]:
    """Registers of `value`, a cycle behind it.

    One is like any other; several have no reset, so what they follow must be idle in reset, and
    carry the attribute ``keep``, by which synthesis is told not to merge them.

    Parameters
    ----------
    m : Module
    value : Value
    count : int
        At least 1.
    name : str
    init : int
        Value after configuration; of one alone, in reset too.
    """
    if count == 1:
        found = [Signal.like(value, name=name, init=init)]
    else:
        found = [Signal.like(value, name=f"{name}{copy}", init=init, reset_less=True,
                             attrs={"keep": 1}) for copy in range(count)]
    m.d.sync += [each.eq(value) for each in found]
    return found
