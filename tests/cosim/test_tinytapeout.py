"""The Tiny Tapeout top with its memories in latches, from its pins, and mutants of it."""

import pytest

from lamina.flows.backend.generate import convert
from lamina.flows.errors import UserError
from lamina.flows.sky130.cells import cell_models
from lamina.flows.sky130.liberty import read_cells
from lamina.flows.sky130.pdk import find_library
from lamina.models.config import HardwareConfig
from lamina.rtl.boards import tinytapeout
from lamina.rtl.latches import LATCH, Latches
from lamina.rtl.openram import CLOCK_GATE
from lamina.tb.runner import run_bench

BENCH = "lamina.tb.bench_tinytapeout"
CONFIG = HardwareConfig(lanes=4, tiers=(4,), weight_words=64, axons=16, groups=4, layers=2,
                        decay_bits=4, state_bits=8, acc_bits=12, output_words=16,
                        payload_bytes=12, window=1)
MUTANTS = {
    "never resets": ("sync.rst.eq(~running)", "sync.rst.eq(0)"),
    "always drives the bus": ("self.uio_oe.eq(~self.uio_in[_CS_N] << _CIPO)",
                              "self.uio_oe.eq(1 << _CIPO)"),
    "swaps two flags": ("device.idle, device.tick_ready", "device.tick_ready, device.idle"),
}


@pytest.fixture
def bench(tmp_path, build_dir):
    """Function ``module`` that runs the bench on its top."""
    try:
        cells = read_cells(find_library(), [CLOCK_GATE, LATCH])
    except UserError as error:
        pytest.skip(str(error))

    def run(module):
        (tmp_path / "cells.v").write_text(cell_models(cells))
        (tmp_path / "top.v").write_text(convert(module.TinyTapeout(CONFIG), "tt_um_lamina",
                                                platform=Latches(), initial=False))
        run_bench(BENCH, "tt_um_lamina", [tmp_path / "top.v", tmp_path / "cells.v"], build_dir,
                  environment={"LAMINA_CONFIG": CONFIG.to_json()})

    return run


def test_tinytapeout(bench):
    bench(tinytapeout)


@pytest.mark.long
@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_die(name, bench, mutant, killed):
    with killed:
        bench(mutant(tinytapeout, *MUTANTS[name]))
