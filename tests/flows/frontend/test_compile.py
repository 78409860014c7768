import dataclasses
import pathlib

import nir
import numpy as np
import pytest

from lamina.flows.frontend.compile import CompileOptions, check_fit, compile_network
from lamina.models.config import HardwareConfig, ResetRule
from lamina.models.network import run
from lamina.models.placement import grown, misfits

CONFIG = HardwareConfig(weight_words=64, axons=16, groups=2)
EXAMPLES = pathlib.Path(__file__).parents[3] / "examples"


def test_without_data_random_spikes_calibrate(small_net):
    made = compile_network(small_net, CompileOptions(), CONFIG)
    assert misfits(made.program, CONFIG) == [] and made.tiers == (2, 2, 2, 2)
    assert made.calibration.float_accuracy is None and made.calibration.samples == 64
    assert made.calibration.agreement > 0.9
    assert made.calibration.layers[-1].integer_spikes > 0
    assert made.data.name == "random" and len(made.data) == 64
    assert made.program.layers[0].reset is ResetRule.SUBTRACT_DELAYED


def test_options_reach_the_program(small_net):
    options = CompileOptions(weight_bits=4, reset="value", timesteps=7, encoder="rate", seed=5,
                             decoding="v_final", tier_fill="zero",
                             tier_modes="fc2:nominal,nominal,nominal,gated")
    program = compile_network(small_net, options, CONFIG).program
    assert (program.weight_bits, program.timesteps, program.decoding) == (4, 7, "v_final")
    assert (program.encoder.kind, program.encoder.seed) == ("rate", 5)
    assert program.tier_fill == "zero" and program.gated_tiers == 0
    assert [layer.gated_tiers for layer in program.layers] == [0, 1]
    assert program.layers[0].reset is ResetRule.VALUE


def test_recorded_spikes_and_labels_are_judged(small_net, tmp_path):
    rng = np.random.default_rng(3)
    path = tmp_path / "events.npz"
    np.savez(path, spikes=rng.integers(0, 2, (80, 9, 6)), labels=rng.integers(0, 3, 80))
    made = compile_network(small_net, CompileOptions(data=str(path)), CONFIG)
    assert made.program.timesteps == 9 and made.program.encoder.kind == "spikes"
    assert 0 <= made.calibration.integer_accuracy <= 1 and made.calibration.samples == 80


def test_sixteen_bits_need_no_hardware(small_net, refused):
    options = CompileOptions(weight_bits=16)
    program = compile_network(small_net, options).program
    assert program.decay_bits == 16 and program.stored_bits == 16
    with refused("net does not fit lamina: needs 16 weight bits, has 8; needs 16 decay bits, "
                 "has 8; no known target would do"):
        compile_network(small_net, options, CONFIG)


def test_the_smallest_fitting_target_is_named(small_net, refused):
    tight = dataclasses.replace(CONFIG, lanes=4, groups=2)
    targets = [("big", HardwareConfig()), ("middle", CONFIG), ("tight", tight)]
    with refused("net does not fit tight: needs 3 neuron groups, has 2; "
                 "the smallest target that would do is middle"):
        compile_network(small_net, CompileOptions(), tight, targets)


def test_a_finished_program_is_checked_too(small_net, refused):
    program = compile_network(small_net, CompileOptions()).program
    wide = dataclasses.replace(program, state_bits=20, acc_bits=24)
    with refused("net does not fit lamina: needs 20 membrane bits, has 16; needs 24 accumulator "
                 "bits, has 18; the smallest target that would do is wider"):
        check_fit(wide, CONFIG, [("wider", dataclasses.replace(CONFIG, state_bits=20,
                                                               acc_bits=24))])
    loud = dataclasses.replace(program.layers[0], theta=program.layers[0].theta + 9000)
    wide = dataclasses.replace(wide, layers=(loud, *program.layers[1:]))
    narrow = dataclasses.replace(CONFIG, state_bits=8)
    with refused("net does not fit lamina: needs 20 membrane bits, has 16; needs 24 accumulator "
                 "bits, has 18; no known target would do"):
        check_fit(wide, CONFIG, [("narrow", narrow)])


@pytest.mark.parametrize(("options", "message"), [
    ({"weight_bits": 9}, "--weight-bits must be 1..8 or 16, not 9"),
    ({"tier_fill": "ones"}, "--tier-fill must be mid or zero, not 'ones'"),
])
def test_bad_options_are_refused(refused, options, message):
    with refused(message):
        CompileOptions(**options)


def test_data_must_fit_the_network(small_net, refused):
    with refused("--data digits: frames have 64 axons, shape (8, 8); the network has 6, "
                 "shape (6,)"):
        compile_network(small_net, CompileOptions(data="digits"), CONFIG)


def test_a_network_of_another_shape_is_named(write_nir, lif):
    path = write_nir({"input": nir.Input(np.array([8, 8])),
                      "f": nir.Flatten({"input": np.array([8, 8])}, start_dim=0),
                      "fc": nir.Linear(np.random.default_rng(0).normal(0, 0.3, (10, 64))),
                      "lif": lif(10), "output": nir.Output(np.array([10]))})
    made = compile_network(path, CompileOptions(data="digits", calibration_samples=50))
    assert made.program.input_shape == (8, 8) and made.calibration.samples == 449


@pytest.mark.parametrize(("bits", "agreement", "jaccard"), [(8, 0.99, 0.85), (16, 0.99, 0.99)])
def test_digits_reach_the_bars(bits, agreement, jaccard):
    options = CompileOptions(data="digits", weight_bits=bits)
    config = HardwareConfig() if bits == 8 else None
    made = compile_network(EXAMPLES / "digits.nir", options, config)
    table = made.calibration
    assert table.samples == 449 and table.layers[-1].float_spikes > 3000
    assert table.agreement >= agreement and table.layers[-1].jaccard >= jaccard
    assert table.integer_accuracy >= 0.95
    spikes = made.data.encoded(made.program, 0, 20)
    assert run(made.program, spikes, made.tiers, plain=True).wraps == 0


@pytest.fixture
def recurrent_net(write_nir, lif):
    """File of a 6-8 network whose neurons hear each other, some weights far above theta."""
    rng = np.random.default_rng(11)
    weights = rng.normal(0.1, 0.5, (8, 6))
    weights[:, ::2] *= 25
    return write_nir(
        {"input": nir.Input(np.array([6])), "fc": nir.Linear(weights), "lif": lif(8),
         "w_rec": nir.Linear(rng.normal(0, 0.5, (8, 8))), "output": nir.Output(np.array([8]))},
        edges=[("input", "fc"), ("fc", "lif"), ("lif", "w_rec"), ("w_rec", "lif"),
               ("lif", "output")])


def test_copies_are_taken_as_far_as_they_fit(recurrent_net):
    free = compile_network(recurrent_net, CompileOptions())
    copies = len(free.program.layers[0].sources) // 2
    assert copies in (2, 4, 8, 16) and free.calibration.layers[0].integer_spikes > 100
    assert free.calibration.layers[0].scale.endswith(f", {copies} copies")
    most = {"layers": 64, "weight_words": 1024, "axons": 512, "groups": 8, "mask_rows": 64,
            "state_bits": 24, "acc_bits": 32, "decay_bits": 14}
    wide = compile_network(recurrent_net, CompileOptions(), CONFIG, most=most)
    assert len(wide.program.layers[0].sources) == 2 * copies
    narrow = compile_network(recurrent_net, CompileOptions(), CONFIG, most=most | {"layers": 2})
    assert len(narrow.program.layers[0].sources) == 2
    assert misfits(narrow.program, grown(narrow.program, CONFIG, most | {"layers": 2})) == []
    assert wide.calibration.layers[0].jaccard > narrow.calibration.layers[0].jaccard
