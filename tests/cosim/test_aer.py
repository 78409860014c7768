"""The generated event bridge before a camera on a clock of its own, and mutants of it."""

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
    "a tick overtakes": ("closes.eq(~valid & ~waiting & (tick | clear))",
                         "closes.eq(tick | clear)"),
    "rows and columns swapped": ("x * steps[0] + y * steps[1]", "y * steps[0] + x * steps[1]"),
}


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
