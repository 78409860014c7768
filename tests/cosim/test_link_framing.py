"""Frame receiver and sender: the generated Verilog against the golden framing."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect, flipped

from lamina.rtl.link.framing import FrameReceiver, FrameSender
from lamina.tb.runner import run_bench

BENCH = "lamina.tb.bench_link_framing"


class FramePair(wiring.Component):
    """A receiver and a sender with all their ports, unconnected."""

    def __init__(self):
        super().__init__({"receiver": Out(FrameReceiver().signature),
                          "sender": Out(FrameSender().signature)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = FrameReceiver()
        m.submodules.sender = sender = FrameSender()
        connect(m, receiver, flipped(self.receiver))
        connect(m, sender, flipped(self.sender))
        return m


def test_framing(verilog, build_dir):
    run_bench(BENCH, "frame_pair", [verilog(FramePair(), "frame_pair")], build_dir)
