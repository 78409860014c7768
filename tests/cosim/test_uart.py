"""UART: the generated Verilog against a terminal, at the smallest and at an odd divisor."""

import pytest

from lamina.rtl.link.uart import Uart
from lamina.tb.runner import run_bench

BENCH = "lamina.tb.bench_uart"


@pytest.mark.parametrize("divisor", [8, 17])
def test_uart(divisor, verilog, build_dir):
    run_bench(BENCH, "uart", [verilog(Uart(divisor), "uart")], build_dir,
              environment={"LAMINA_DIVISOR": str(divisor)})
