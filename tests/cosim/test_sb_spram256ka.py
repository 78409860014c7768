"""The model of the UltraPlus memory, and where it is defined, Yosys' own."""

import pathlib

import pytest

from lamina.flows.backend.synth import CELL_DEFINES
from lamina.flows.backend.tools import simulation_cells
from lamina.tb.runner import run_bench

MODEL = pathlib.Path(__file__).parents[2] / "tb" / "sb_spram256ka.v"
BENCH = "lamina.tb.bench_sb_spram256ka"


def test_model(build_dir):
    run_bench(BENCH, "SB_SPRAM256KA", [MODEL], build_dir, environment={"LAMINA_STRICT": "1"})


@pytest.mark.long
def test_model_agrees_with_the_one_of_yosys(build_dir):
    run_bench(BENCH, "SB_SPRAM256KA", [simulation_cells("ice40")], build_dir,
              defines=CELL_DEFINES)
