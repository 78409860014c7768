"""Adders of a program: how they are asked for, and what makes up for their bias."""

import re

import pytest

from lamina.flows.errors import UserError
from lamina.flows.frontend.adders import adder_error, compensated, parse_adders, with_adders
from lamina.flows.frontend.compile import CompileOptions, compile_network
from lamina.models.decoder import decode
from lamina.models.network import run

NAMES = {"lif1": "lif1", "fc1": "lif1", "lif2": "lif2", "fc2": "lif2"}
TIERS = (2, 2, 2, 2)


@pytest.mark.parametrize(("text", "wanted"), [
    (None, {}), ("loa:4", {"lif1": "loa:4", "lif2": "loa:4"}), ("fc2=5kb", {"lif2": "5kb"}),
    ("lif1=trua0:3; fc2=exact", {"lif1": "trua0:3", "lif2": "exact"}),
])
def test_adders_by_layer(text, wanted):
    assert parse_adders(text, NAMES) == wanted


@pytest.mark.parametrize(("text", "message"), [
    ("fc3=loa:4", "--adders: layers are lif1, fc1, lif2, fc2, not 'fc3'"),
    ("fc1=loa:4;lif1=loa:3", "--adders: layer lif1 must be named once, not twice"),
    ("loa:99", "--adders: adder loa k must be in 1..16, not 99"),
])
def test_bad_adders_are_refused(text, message):
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        parse_adders(text, NAMES)


def test_an_unknown_compensation_is_refused():
    with pytest.raises(UserError, match=r"^--compensate must be bias, follow or none, "
                                        r"not 'much'$"):
        CompileOptions(compensate="much")


@pytest.fixture(scope="module")
def digits(request):
    net = request.config.rootpath / "examples" / "digits.nir"
    compiled = compile_network(net, CompileOptions(data="digits"))
    return compiled, compiled.data.encoded(compiled.network)


def accuracy(program, spikes, labels):
    trace = run(program, spikes, TIERS)
    return (decode(program.decoding, trace.spikes, trace.membranes) == labels).mean()


def test_compensation_saves_a_network_that_an_adder_has_lost(digits):
    compiled, spikes = digits
    labels = compiled.data.labels
    names = [layer.name for layer in compiled.program.layers]
    lost = with_adders(compiled.program, dict.fromkeys(names, "trua0:6"), TIERS)
    saved = compensated(lost, spikes[:100], TIERS, follow=True)
    constant = compensated(lost, spikes[:100], TIERS)
    figures = [accuracy(program, spikes, labels)
               for program in (compiled.program, lost, constant, saved)]
    assert figures[1] < 0.45 < 0.9 < figures[3]
    assert figures[1] < figures[2] < figures[3]
    assert all(layer.kappa == 0 for layer in constant.layers)
    assert all(layer.kappa > 0 for layer in saved.layers)
    left = adder_error(saved, 0, spikes[:100], TIERS)
    assert left.per_spike < -20


def test_the_exact_adder_has_no_error(digits):
    compiled, spikes = digits
    error = adder_error(compiled.program, 0, spikes[:10], TIERS)
    assert not error.per_step.any() and error.per_spike == 0
    assert compensated(compiled.program, spikes[:10], TIERS) is compiled.program


def test_windowed_adders_run_at_the_width_of_the_hardware(digits):
    program = digits[0].program
    name = program.layers[0].name
    assert with_adders(program, {name: "gear:4:4"}, TIERS, acc_bits=24).acc_bits == 24
    assert with_adders(program, {name: "exact"}, TIERS, acc_bits=24).acc_bits < 24
