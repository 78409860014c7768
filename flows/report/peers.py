"""Published and measured figures of comparable systems, each with its origin."""

from __future__ import annotations

import dataclasses

__all__ = ["MARKS", "PEERS", "Peer"]

MARKS = {
    "M": "measured: Yosys 0.70 and nextpnr 0.11 for LFE5U-85F speed 6 at defaults and one seed, or "
         "by simulating the released RTL",
    "R": "reported by the authors",
    "D": "derived from the released RTL",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Peer:
    """One system; every figure ends with its mark, and is a dash where nobody published it.

    Parameters
    ----------
    system, what : str
        Name, and what it is.
    cycles, resources, clock, accuracy, source : str
        Cycles of its unit of work; logic, flip-flops, block RAMs, DSPs; clock [MHz]; accuracy on
        MNIST; entry in the README's references, empty where there is none.
    """

    system: str
    what: str
    cycles: str = "-"
    resources: str = "-"
    clock: str = "-"
    accuracy: str = "-"
    source: str = ""


PEERS = (
    Peer(system="Spiker+", what="784-128-10, T = 100, weights in ROM",
         cycles="92,565 per image at any density [M]",
         resources="7,788 LUT, 2,346 FF, 31 BRAM [M]", clock="100 on Zynq [R]",
         accuracy="93.85 % [R]", source="Carpegna 2024"),
    Peer(system="Flexi-NeurA", what="256-128-10 on two cores", cycles="1.1 ms per image [R]",
         resources="1,623 LC, 7 BRAM [R]", accuracy="97.23 % [R]", source="Farahani 2026"),
    Peer(system="SYNtzulu", what="iCE40UP5K, up to 256 inputs, skips empty groups of 4",
         cycles=".125 per position [D]", resources="3,473 LC, 17 EBR, 4 SPRAM, 2 DSP [R]",
         clock="24 [R]", source="Leone 2025"),
    Peer(system="tinyODIN", what="256 LIF neurons, 4-bit weights, serial",
         cycles="2.03 per SOP; 2,819 per 256-10 image of 100 spikes [M]",
         resources="2,809 LUT, 1,810 FF, 17 BRAM [M]", clock="37.5 [M]", source="Frenkel 2019"),
    Peer(system="ODIN", what="256 LIF or Izhikevich neurons, on-chip learning",
         cycles="2.03 per SOP [M]", resources="11,150 LUT, 4,513 FF, 20 BRAM, 1 DSP [M]",
         clock="19.8 [M]", source="Frenkel 2019"),
    Peer(system="RANC core", what="256 x 256, TrueNorth-like",
         cycles="66,051 per tick whatever the spikes [M]",
         resources="4,083 LUT, 1,607 FF, 11 BRAM, 1 DSP [M]", clock="30.9 [M]",
         source="Mack 2021"),
    Peer(system="OpenSpike", what="SkyWater 130, 1-bit unsigned weights",
         cycles="140,876 per image [M]", resources="24,701 FF, 77 SRAM macros [R]",
         clock="40 claimed, 25 in the flow [R]", source="Modaresi 2023"),
    Peer(system="snn-fpga", what="snnTorch to Artix-7", cycles=".52 ms per 8x8 image [R]",
         resources="6,358 LUT, 40.5 BRAM [R]", clock="100 [R]", source="Fan 2025"),
)
