"""Payloads of the streams between the core and whatever feeds it."""

from __future__ import annotations

from amaranth.hdl import unsigned
from amaranth.lib import data

from lamina.models.config import HardwareConfig

__all__ = ["event_layout", "output_layout", "request_layout"]


def event_layout(config: HardwareConfig) -> data.StructLayout:
    """Event into the core: ``kind`` (:class:`EventKind`) and, of a SPIKE, ``axon``.

    With the feature ``ahead`` a SPIKE also says whether it is of the ``next`` timestep.
    """
    return data.StructLayout({"kind": unsigned(2),
                              "axon": unsigned((config.axons - 1).bit_length()),
                              **({"next": unsigned(1)} if config.has("ahead") else {})})


def output_layout(config: HardwareConfig) -> data.StructLayout:
    """Event out of the core: ``kind`` (:class:`EventKind`) and, of a SPIKE, ``neuron``.

    With the feature ``partial`` a SPIKE may carry the partial sum of the neuron, ``value``.
    """
    return data.StructLayout({"kind": unsigned(2),
                              "neuron": unsigned((config.neurons - 1).bit_length()),
                              **({"value": unsigned(config.acc_bits)} if config.has("partial")
                                 else {})})


def request_layout() -> data.StructLayout:
    """Access to one 16-bit word of the core: ``write``, ``space``, ``address``, ``data``."""
    return data.StructLayout({"write": unsigned(1), "space": unsigned(4),
                              "address": unsigned(20), "data": unsigned(16)})
