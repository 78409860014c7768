"""The generated core against the golden network, in several shapes."""

import pytest

from lamina.models.config import HardwareConfig
from lamina.rtl.core import Core
from lamina.tb.runner import run_bench

BENCH = "lamina.tb.bench_core"
CONFIGS = {
    "even": HardwareConfig(weight_words=1024, axons=128, groups=8, acc_bits=20),
    "uneven": HardwareConfig(
        lanes=4, tiers=(3, 1, 4), bank="behavioural", weight_words=512, axons=32, groups=8,
        layers=3, decay_bits=4, state_bits=12, acc_bits=17),
    "wide": HardwareConfig(
        lanes=16, tiers=(8, 4, 4), weight_words=256, axons=64, groups=4, decay_bits=16,
        state_bits=20, acc_bits=26),
}


@pytest.mark.parametrize("shape", CONFIGS)
def test_core(shape, verilog, build_dir):
    config = CONFIGS[shape]
    source = verilog(Core(config), "lamina_core")
    run_bench(BENCH, "lamina_core", [source], build_dir,
              environment={"LAMINA_CONFIG": config.to_json()})
