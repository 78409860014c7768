"""Equal blocks as one Verilog module that is written once."""

from __future__ import annotations

from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Flow

__all__ = ["Shared"]


class Shared(wiring.Component):
    """An instance of the module that a component becomes when it is written by itself.

    Parameters
    ----------
    members : dict
        Of the component's signature.
    name : str
        Of its module, which has ``clk`` and ``rst`` besides them.

    Members
    -------
    As given.
    """

    def __init__(self, members: dict, name: str):
        self._name = name
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        ports = {"i_clk": ClockSignal(), "i_rst": ResetSignal()}
        for path, member, value in self.signature.flatten(self):
            side = "i" if member.flow is Flow.In else "o"
            ports[f"{side}_{'__'.join(map(str, path))}"] = Value.cast(value)
        m.submodules.module = Instance(self._name, **ports)
        return m
