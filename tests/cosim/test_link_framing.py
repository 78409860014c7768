"""The generated frame receiver and sender against the golden framing, and mutants of them."""

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect, flipped

from lamina.rtl.link import framing
from lamina.tb.runner import run_bench

BENCH = "lamina.tb.bench_link_framing"
MUTANTS = {
    "takes any CRC": (" & (crc == 0)", ""),
    "takes long frames": (" | (count == SEQUENCE_ADDRESS % self._size)", ""),
    "takes an escaped END": ("~bad & ~escaped &", "~bad &"),
    "sends half a CRC": ("with m.If(last):", "with m.If(1):"),
    "escapes all alike": ("Mux(byte[0], _ESC_ESC, _ESC_END)", "_ESC_END"),
    "sends the kept reply only": ("Mux(self.tail, TAIL_ADDRESS % self._size, 0)", "0"),
}


class FramePair(wiring.Component):
    """Receiver and sender of `module` with all their ports, unconnected."""

    def __init__(self, module):
        self._blocks = {"receiver": module.FrameReceiver(), "sender": module.FrameSender()}
        super().__init__({name: Out(block.signature) for name, block in self._blocks.items()})

    def elaborate(self, platform):
        m = Module()
        for name, block in self._blocks.items():
            m.submodules[name] = block
            connect(m, block, flipped(getattr(self, name)))
        return m


def bench(module, verilog, build_dir):
    run_bench(BENCH, "frame_pair", [verilog(FramePair(module), "frame_pair")], build_dir)


def test_framing(verilog, build_dir):
    bench(framing, verilog, build_dir)


@pytest.mark.long
@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(framing, *MUTANTS[name]), verilog, build_dir)
