"""The generated power controller against the golden rule, and mutants of it."""

import pytest

from lamina.models.config import PowerConfig
from lamina.models.energy import STACKED_45NM
from lamina.models.power import power_config
from lamina.rtl import power
from lamina.tb.runner import run_bench

BENCH = "lamina.tb.bench_power"
CONFIGS = {
    "uneven": PowerConfig(tier_power=((50, 40, 33), (20, 17, 11), (9, 8, 1)), fixed_power=13,
                          hysteresis=3, activity_bits=4),
    "stacked": power_config(STACKED_45NM, (1100, 1000, 900, 850, 800, 750, 700), tiers=4,
                            full_power=1000, hysteresis=20),
    "gates only": PowerConfig(tier_power=((5,),) * 8, activity_bits=1),
    "single": PowerConfig(tier_power=((7, 6, 2, 1),)),
}
MUTANTS = {
    "gates one step early": ("with m.If(code != self._config.steps):",
                             "with m.If(code + 1 < self._config.steps):"),
    "goes below tier 0": ("with m.Elif(tier != 0):", "with m.Else():"),
    "raises without room for the hysteresis": ("exceeded(config.hysteresis)", "exceeded(0)"),
    "estimates the present step": ("m.d.comb += above.eq(1)", "m.d.comb += above.eq(0)"),
    "does not wait for the weights": ("rewriting.eq(~acknowledge)", "rewriting.eq(0)"),
    "on before it is rewritten": ("waits = (tier == k) & rewriting if k else 0", "waits = 0"),
    "takes a late acknowledge": ("(tier != self._config.tiers - 1) & ~acknowledge",
                                 "tier != self._config.tiers - 1"),
    "does not withdraw its request": (", code.eq(0), rewriting.eq(0)]", ", code.eq(0)]"),
    "at the budget is above it": ("product + offset > budget", "product + offset >= budget"),
    "inputs of a later cycle": ("m.d.comb += self.busy.eq(1)",
                                "m.d.comb += self.busy.eq(1)\n"
                                "        m.d.sync += budget.eq(self.budget)"),
}
QUICK = "takes a late acknowledge"


def bench(module, config, verilog, build_dir):
    run_bench(BENCH, "power", [verilog(module.PowerController(config), "power")], build_dir,
              environment={"LAMINA_CONFIG": config.to_json()})


@pytest.mark.parametrize("shape", [
    "uneven", *(pytest.param(shape, marks=pytest.mark.long)
                for shape in ("stacked", "gates only", "single"))])
def test_power(shape, verilog, build_dir):
    bench(power, CONFIGS[shape], verilog, build_dir)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.long] * (name != QUICK)) for name in MUTANTS])
def test_mutants_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(power, *MUTANTS[name]), CONFIGS["uneven"], verilog, build_dir)
