"""The generated UART against a terminal, at the smallest and at an odd divisor, and mutants."""

import pytest

from lamina.rtl.link import uart
from lamina.tb.runner import run_bench

BENCH = "lamina.tb.bench_uart"
MUTANTS = {
    "samples at the edge": ("self._divisor // 2 - 1", "self._divisor - 1"),
    "ignores the stop bit": ("(places == 1) & line & ~blocked", "(places == 1) & ~blocked"),
    "overwrites a byte": ("blocked.eq(self.rx.valid & ~self.rx.ready)", "blocked.eq(0)"),
    "starts at a low line": ("begins.eq(before & ~line &", "begins.eq(~line &"),
    "sends nine bits": ("places.eq(10)]\n        with m.Elif(strobe",
                        "places.eq(9)]\n        with m.Elif(strobe"),
}


def bench(module, divisor, verilog, build_dir):
    run_bench(BENCH, "uart", [verilog(module.Uart(divisor), "uart")], build_dir,
              environment={"LAMINA_DIVISOR": str(divisor)})


@pytest.mark.parametrize("divisor", [8, pytest.param(17, marks=pytest.mark.long)])
def test_uart(divisor, verilog, build_dir):
    bench(uart, divisor, verilog, build_dir)


@pytest.mark.long
@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(uart, *MUTANTS[name]), 8, verilog, build_dir)
