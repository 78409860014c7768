"""Graphs of layers on the core: branches, loops, delays, windows, currents, all reset rules."""

import pytest

from lamina.models.config import FEATURES, HardwareConfig
from lamina.rtl.core import Core
from lamina.tb.runner import run_bench

SMALL = {"lanes": 4, "tiers": (2, 2), "weight_words": 4096, "axons": 1024, "groups": 256,
         "layers": 32, "mask_rows": 1024, "state_bits": 12, "acc_bits": 22}
CONFIGS = {
    "sources": SMALL | {"features": ("sources",)},
    "neurons": SMALL | {"features": tuple(sorted(set(FEATURES) - {"windows"}))},
    "windows": SMALL | {"features": ("sources", "windows")},
    "binary": SMALL | {"tiers": (1,), "features": ("sources", "windows")},
    "everything": SMALL | {"lanes": 8, "tiers": (4, 3, 1), "features": FEATURES},
}


@pytest.mark.parametrize("name", CONFIGS)
def test_random_graphs_agree(name, verilog, build_dir):
    config = HardwareConfig(name="graphs", **CONFIGS[name])
    sources = [verilog(Core(config), "graphs_core")]
    run_bench("lamina.tb.bench_graphs", "graphs_core", sources, build_dir,
              environment={"LAMINA_CONFIG": config.to_json()})
