"""The generated event bridges before a camera and a receiver of spikes, and mutants of them."""

import pathlib

import pytest

from lamina.models.config import AerConfig, HardwareConfig
from lamina.rtl.link import aer
from lamina.tb.runner import run_bench

CORE = HardwareConfig(lanes=8, axons=8192)
CAMERA = AerConfig(columns=64, rows=64, polarities=2)
PORT = pathlib.Path(__file__).parents[2] / "tb" / "aer_port.sv"
MUTANTS = {
    "no synchroniser": ("synchronised.eq(request)]",
                        "synchronised.eq(~self.req if low else self.req)]"),
    "acknowledges without room": ("shaking.eq(synchronised & ~acknowledge & room)",
                                  "shaking.eq(synchronised & ~acknowledge)"),
    "acknowledges for ever": ("with m.If(~synchronised):", "with m.If(0):"),
    "a tick overtakes": ("closes.eq(~valid & ~waiting & closed)", "closes.eq(closed)"),
    "rows and columns swapped": ("x * steps[0] + y * steps[1]", "y * steps[0] + x * steps[1]"),
}
SENDER_MUTANTS = {
    "loses spikes": ("self.output.ready.eq(free | ~spike)", "self.output.ready.eq(1)"),
    "rises before the acknowledge fell": ("free = ~self.req & ~synchronised", "free = ~self.req"),
    "falls without an acknowledge": ("with m.Elif(synchronised):", "with m.Elif(self.req):"),
    "a tick waits": ("self.output.ready.eq(free | ~spike)", "self.output.ready.eq(free)"),
    "the next address too early": (
        "m.d.sync += self.req.eq(0)",
        "m.d.sync += self.req.eq(0)\n        with m.Elif(self.output.valid & spike):\n"
        "            m.d.sync += self.address.eq(payload.neuron)"),
}
QUICK = "a tick waits"


def bench(module, verilog, build_dir, events: int = 20000):
    run_bench("lamina.tb.bench_aer", "aer_port",
              [verilog(module.AerReceiver(CORE, CAMERA), "aer_bridge"), PORT], build_dir,
              environment={"LAMINA_EVENTS": str(events)}, defines={"BRIDGE": "aer_bridge"})


def test_aer(verilog, build_dir):
    bench(aer, verilog, build_dir)


@pytest.mark.long
def test_a_million_events(verilog, build_dir):
    bench(aer, verilog, build_dir, events=1_000_000)


@pytest.mark.long
@pytest.mark.parametrize("name", set(MUTANTS) - {"no synchroniser"})
def test_mutants_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(aer, *MUTANTS[name]), verilog, build_dir)


def bench_sender(module, verilog, build_dir):
    run_bench("lamina.tb.bench_aer_sender", "aer_sender",
              [verilog(module.AerSender(CORE), "aer_sender")], build_dir,
              environment={"LAMINA_CONFIG": CORE.to_json()})


def test_aer_sender(verilog, build_dir):
    bench_sender(aer, verilog, build_dir)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] * (name != QUICK)) for name in SENDER_MUTANTS])
def test_mutants_of_the_sender_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench_sender(mutant(aer, *SENDER_MUTANTS[name]), verilog, build_dir)
