"""Host link: the generated Verilog with a Python core behind it."""

import pytest

from lamina.models.config import HardwareConfig
from lamina.rtl.link.host import HostLink
from lamina.tb.runner import run_bench

BENCH = "lamina.tb.bench_link_host"
CONFIGS = {
    "small": HardwareConfig(lanes=4, tiers=(3, 1, 4), weight_words=256, axons=32, groups=8,
                            layers=3, acc_bits=20, output_words=64),
    "wide": HardwareConfig(lanes=8, tiers=(4, 4), weight_words=256, axons=64, groups=4,
                           state_bits=20, decay_bits=16, acc_bits=26, output_words=256),
}


@pytest.mark.parametrize("shape", CONFIGS)
def test_host(shape, verilog, build_dir):
    config = CONFIGS[shape]
    run_bench(BENCH, "host_link", [verilog(HostLink(config), "host_link")], build_dir,
              environment={"LAMINA_CONFIG": config.to_json()})
