"""The generated router against the golden one, in one to three dimensions, and mutants of it."""

import pytest

from lamina.models.fabric.config import MeshConfig
from lamina.rtl.fabric import router
from lamina.tb.runner import run_bench

BENCH = "lamina.tb.bench_router"
CONFIGS = {
    "plane": MeshConfig(size=(3, 3), fifo_depth=4, payload_bits=24),
    "line": MeshConfig(size=(5,), fifo_depth=2, payload_bits=20),
    "solid": MeshConfig(size=(3, 3, 3), fifo_depth=3, payload_bits=24),
    "table": MeshConfig(size=(3, 4), fifo_depth=5, payload_bits=24, routing="table"),
}
MUTANTS = {
    "always the first": ("behind.eq(Cat(grants[:place].any() for place in range(count)))",
                         "behind.eq(0)"),
    "turn stays": ("grants[:place].any() for", "grants[:place + 1].any() for"),
    "overwrites its register": ("able = ~leaving.valid | leaving.ready", "able = asking.any()"),
    "waits for an empty register": ("able = ~leaving.valid | leaving.ready",
                                    "able = ~leaving.valid"),
    "one entry less": ("full.eq(level == self._depth - 1)", "full.eq(level >= self._depth - 2)"),
    "full is never left": ("[level.eq(level - 1), full.eq(0)]", "[level.eq(level - 1)]"),
    "last axis first": ("for axis in reversed(range(self._config.dimensions)):",
                        "for axis in range(self._config.dimensions):"),
    "signs swapped": ("Mux(target < place, Port", "Mux(target > place, Port"),
    "two at a time": ("first[place] & ~first[:place].any()", "first[place]"),
}
QUICK = "turn stays"


def bench(module, config, verilog, build_dir):
    run_bench(BENCH, "router", [verilog(module.Router(config), "router")], build_dir,
              environment={"LAMINA_CONFIG": config.to_json()})


@pytest.mark.parametrize("shape", ["plane", "table", *(
    pytest.param(shape, marks=pytest.mark.long) for shape in ("line", "solid"))])
def test_router(shape, verilog, build_dir):
    bench(router, CONFIGS[shape], verilog, build_dir)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] * (name != QUICK)) for name in MUTANTS])
def test_mutants_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(router, *MUTANTS[name]), CONFIGS["plane"], verilog, build_dir)
