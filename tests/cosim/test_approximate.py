"""A real network with every adder, mode and fault on one core, against the golden model."""

import dataclasses
import pathlib

import pytest

from lamina.flows.backend.verify import verify
from lamina.flows.designs import TARGETS
from lamina.flows.frontend.adders import compensated, with_adders
from lamina.flows.frontend.compile import CompileOptions, compile_network
from lamina.flows.study.modes import with_modes
from lamina.models.faults import FaultModel

NET = pathlib.Path(__file__).parents[2] / "examples" / "digits.nir"
SAMPLES = 50
ADDERS = ("exact", "loa:5", "loawa:4", "oloca:6:3", "heaa:5", "eta1:5", "trua0:5", "trua1:6",
          "copy:5", "ama1:5", "ama2:4", "ama3:4", "ama4:5", "ama5:5", "gear:8:4", "5kb")
MORE = ("5qt", "5qc", "5rl", "5rp", "5y6", "aca1:9", "eta2:9", "esa:12",
        "net:sample:2:and.0.2,xor.1.3,nor.6.1,andn.7.8,not.9.0,nand.10.2:10,8,11")
CASES = [(adder, None) for adder in (*ADDERS, *MORE)]
CASES += [("exact", mode) for mode in ("UV3@0.8", "UV4@0.75", "UV-PG2@0.7",
                                       "0.8,0.8,gated,gated", "lif1:UV2@0.7;lif2:UV-PG1@0.75")]
CASES += [("loa:5", "UV3@0.8"), ("trua0:5", "lif1:UV-PG1@0.8;lif2:UV4@0.78")]


@pytest.fixture(scope="module")
def digits():
    compiled = compile_network(NET, CompileOptions(data="digits"))
    spikes = compiled.data.encoded(compiled.network)
    return compiled.program, spikes[:SAMPLES], spikes[SAMPLES:SAMPLES + 40]


def config_with(adders):
    base = TARGETS["icebreaker"].config
    return dataclasses.replace(base, bank="behavioural", adders=adders, acc_bits=22,
                               features=("follow",))


@pytest.mark.long
@pytest.mark.parametrize(("adder", "mode"), CASES)
def test_a_network_agrees(digits, adder, mode, build_dir, tmp_path):
    program, spikes, calibration = digits
    config = config_with(ADDERS if adder in ADDERS else MORE)
    tiers = config.tiers
    names = [layer.name for layer in program.layers]
    program = with_adders(with_modes(program, mode, tiers) if mode else program,
                          dict.fromkeys(names, adder), tiers, acc_bits=config.acc_bits)
    program = compensated(program, calibration, tiers, follow=True)
    (tmp_path / "simulation").symlink_to(build_dir.resolve(), target_is_directory=True)
    result = verify(program, config, spikes, None, tmp_path,
                    faults=FaultModel(chip=3) if mode else None)
    assert result["mismatches"] == 0
    assert result["samples"] == SAMPLES and result["events_compared"] > 500
    assert result["membranes_compared"] == SAMPLES * sum(
        layer.neurons for layer in program.layers)
