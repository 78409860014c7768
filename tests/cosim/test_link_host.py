"""The generated host link with a Python core behind it, and mutants of it."""

import pytest

from lamina.models.config import HardwareConfig
from lamina.rtl.link import host
from lamina.tb.runner import run_bench

BENCH = "lamina.tb.bench_link_host"
CONFIGS = {
    "small": HardwareConfig(lanes=4, tiers=(3, 1, 4), weight_words=256, axons=32, groups=8,
                            layers=3, acc_bits=20, output_words=64),
    "wide": HardwareConfig(lanes=8, tiers=(4, 4), weight_words=256, axons=64, groups=4,
                           state_bits=20, decay_bits=16, acc_bits=26, output_words=256),
    "pair": HardwareConfig(lanes=4, tiers=(4, 4), weight_words=64, axons=32, groups=4,
                           acc_bits=20, output_words=64, payload_bytes=28, window=2),
    "least": HardwareConfig(lanes=4, tiers=(4,), weight_words=64, axons=16, groups=4, layers=2,
                            decay_bits=4, state_bits=8, acc_bits=20, output_words=16,
                            payload_bytes=12, window=1),
}
MUTANTS = {
    "keeps three replies": ("(age <= self._kept)", "(age <= 3)"),
    "keeps SEQUENCE": ("(status == LinkStatus.BUSY) | (status == LinkStatus.SEQUENCE)",
                       "status == LinkStatus.BUSY"),
    "writes a slot that is being sent": (
        "with m.If(~sender.busy | (sender.busy_slot != self._slot)):", "with m.If(1):"),
    "uses the number of a BUSY request": (
        "self._end[0] & self._fresh & (self._status != LinkStatus.BUSY)",
        "self._end[0] & self._fresh"),
    "forgets the eighth axon": ("self._address[:3] == 7", "self._address[:3] == 6"),
    "waits for a refusing core": ("stopped = self.refused | (", "stopped = 0 & ("),
    "overwrites the output": ("self.full.eq(Mux(write.en, following == behind, head == behind))",
                              "self.full.eq(0)"),
}


def bench(module, config, verilog, build_dir):
    run_bench(BENCH, "host_link", [verilog(module.HostLink(config), "host_link")], build_dir,
              environment={"LAMINA_CONFIG": config.to_json()})


@pytest.mark.parametrize("shape", ["small", "least", *[
    pytest.param(shape, marks=pytest.mark.long) for shape in ("wide", "pair")]])
def test_host(shape, verilog, build_dir):
    bench(host, CONFIGS[shape], verilog, build_dir)


@pytest.mark.long
@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_die(name, verilog, build_dir, mutant, killed):
    with killed:
        bench(mutant(host, *MUTANTS[name]), CONFIGS["small"], verilog, build_dir)
