import dataclasses
import re

import h5py
import nir
import numpy as np
import pytest

from lamina.flows import cli
from lamina.flows.errors import UserError
from lamina.flows.frontend.float_network import run_float
from lamina.flows.frontend.nir.reader import read_network
from lamina.flows.frontend.nir.writer import write_quantised
from lamina.flows.frontend.quantise import Recipe, quantise
from lamina.models.config import ResetRule
from lamina.models.network import run
from lamina.models.program import Layer, Program
from lamina.models.source import INPUT, Source, Window

TIERS = (2, 2, 2, 2)


def layer(name, weights, *, decay=256, theta=7, r=7, rule=ResetRule.SUBTRACT, bias=0, v_reset=0,
          shape=(), **rest):
    neurons = int(np.prod(shape or np.shape(weights)[1:]))
    vectors = {"decay": decay, "theta": theta, "bias": bias, "v_reset": v_reset,
               "r": r if rule is not ResetRule.VALUE else 0}
    return Layer(name=name, weights=np.array(weights), shape=shape, reset=rule, **rest,
                 **{key: np.broadcast_to(value, neurons).astype(np.int64)
                    for key, value in vectors.items()})


def program(*layers, **rest):
    return Program(name="made", layers=layers, timesteps=12, weight_bits=8, state_bits=20,
                   acc_bits=24, decay_bits=8, **rest)


def codes(rng, *shape, low=-20, high=40):
    return rng.integers(low, high, shape)


def dense(rng):
    return program(layer("a", codes(rng, 6, 5), theta=40, r=37, sources=(
        Source(layer=INPUT, units=6),)),
        layer("b", codes(rng, 14, 3), theta=[30, 40, 64], r=32, sources=(
            Source(layer=0, units=5, delay=2), Source(layer=INPUT, units=6),
            Source(layer=1, units=3, delay=1))))


def convolution(rng):
    seen = Window(shape=(2, 7, 6), kernel=(3, 3), stride=(2, 1), padding=(1, 1), pool=(1, 1))
    pooled = Window(shape=(3, 4, 6), kernel=(2, 2), pool=(2, 2))
    return program(
        layer("c", codes(rng, 18, 3), shape=(3, 4, 6), theta=90, r=90,
              sources=(Source(layer=INPUT, units=84, window=seen),)),
        layer("d", codes(rng, 12, 2), shape=(2, 1, 2), theta=60, r=60,
              bias=[1, 2, 3, 4], sources=(Source(layer=0, units=72, window=pooled),)),
        layer("e", codes(rng, 4, 3), theta=50, r=50, sources=(Source(layer=1, units=4),)),
        input_shape=(2, 7, 6))


@pytest.mark.parametrize("make", [dense, convolution])
def test_programs_come_back_and_fire_alike(tmp_path, make):
    """Without a leak nothing is rounded: integers and floats are the same numbers."""
    rng = np.random.default_rng(5)
    made, path = make(rng), tmp_path / "sub" / "net.nir"
    write_quantised(made, path)
    back = read_network(path)
    for one, other in zip(made.layers, back.layers, strict=True):
        assert (one.name, one.shape, one.reset) == (other.name, other.shape, other.reset)
        assert {s.layer for s in one.sources} == {s.layer for s in other.sources}
        assert len(np.unique(other.grid)) == 1
    spikes = (rng.random((20, 12, made.axons)) < 0.3).astype(np.uint8)
    trace, same = run(made, spikes, TIERS, trace=True), run_float(back, spikes, trace=True)
    assert all(0.02 < part.mean() < 0.98 for part in trace.layer_spikes)
    for one, other in zip(trace.layer_spikes, same.layer_spikes, strict=True):
        np.testing.assert_array_equal(one, other)


def test_currents_and_readouts_become_their_nodes(tmp_path):
    rng = np.random.default_rng(6)
    rest = {"rule": ResetRule.VALUE, "spiking": False, "theta": 0}
    made = program(
        layer("n.current", codes(rng, 5, 4), decay=128, **rest),
        layer("n", np.zeros((0, 4), dtype=int), decay=192, rule=ResetRule.VALUE, theta=50,
              current=0, refractory=1, bias=3),
        layer("t", codes(rng, 4, 3), decay=0, rule=ResetRule.VALUE, theta=20,
              sources=(Source(layer=1, units=4),)),
        layer("out", codes(rng, 3, 2), decay=192, sources=(Source(layer=2, units=3),), **rest),
        decoding="v_final")
    path = tmp_path / "net.nir"
    write_quantised(made, path)
    nodes = nir.read(path).nodes
    assert [type(nodes[name]) for name in ("n", "t", "out")] == [nir.CubaLIF, nir.Threshold,
                                                                nir.LI]
    back = read_network(path)
    assert [(part.name, part.refractory) for part in back.layers] == [
        ("n.current", 0), ("n", 1), ("t", 0), ("out", 0)]
    for one, other in zip(made.layers, back.layers, strict=True):
        np.testing.assert_allclose(other.decay, one.decay / 256, atol=1e-12)
        if one.sources:
            np.testing.assert_array_equal(other.weights / other.grid, one.weights)


def test_a_quantised_file_keeps_its_codes(small_net, tmp_path):
    network, recipe = read_network(small_net), Recipe.choose(8)
    spikes = np.random.default_rng(0).integers(0, 2, (20, 16, 6), dtype=np.uint8)
    first, _ = quantise(network, spikes, None, recipe=recipe)
    write_quantised(first, tmp_path / "q.nir")
    for name, node in nir.read(tmp_path / "q.nir").nodes.items():
        if isinstance(node, nir.Affine):
            told = node.metadata
            np.testing.assert_array_equal(node.weight,
                                          told["quant_weight"] * told["quant_weight_scale"])
            assert told["quant_weight_zero_point"] == 0, name
    second, _ = quantise(read_network(tmp_path / "q.nir"), spikes, None, recipe=recipe)
    for one, other in zip(first.layers, second.layers, strict=True):
        np.testing.assert_array_equal(one.weights, other.weights)


def test_the_same_program_gives_the_same_bytes(tmp_path):
    made = dense(np.random.default_rng(1))
    for name in ("a.nir", "b.nir"):
        write_quantised(made, tmp_path / name)
    assert (tmp_path / "a.nir").read_bytes() == (tmp_path / "b.nir").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nir", "b.nir"]


def quantised(path, **metadata):
    """A file whose only Linear node has this metadata."""
    node = nir.Linear(np.array([[0.6, -1.1], [2.4, 0.1]]), metadata=metadata)
    cell = nir.LIF(*(value * np.ones(2) for value in (4e-4, 4.0, 0.0, 1.0, 0.0)))
    nodes = {"input": nir.Input(np.array([2])), "fc": node, "lif": cell,
             "output": nir.Output(np.array([2]))}
    nir.write(path, nir.NIRGraph(nodes=nodes, edges=[("input", "fc"), ("fc", "lif"),
                                                     ("lif", "output")]))
    return path


def test_codes_count_where_a_file_has_them(tmp_path):
    path = quantised(tmp_path / "q.nir", quant_weight=np.array([[3, -4], [7, 2]]),
                     quant_weight_scale=np.array([0.25, 0.5]), quant_weight_zero_point=1)
    (layer_,) = read_network(path).layers
    np.testing.assert_array_equal(layer_.weights, [[0.5, 3.0], [-1.25, 0.5]])
    np.testing.assert_array_equal(layer_.grid, [0.25, 0.5])


CODES = np.array([[3, -4], [7, 2]])


@pytest.mark.parametrize(("metadata", "message"), [
    ({"quant_weight": CODES}, "quant_weight must come with a quant_weight_scale, it has none"),
    ({"quant_weight": CODES + 0.5, "quant_weight_scale": 1.0},
     "quant_weight must be whole numbers, not 3.5"),
    ({"quant_weight": CODES[:1], "quant_weight_scale": 1.0},
     "quant_weight must have the shape (2, 2) of weight, not (1, 2)"),
    ({"quant_weight": CODES, "quant_weight_scale": -1.0},
     "quant_weight_scale must be positive, one or 2 of them, not 1 from -1"),
    ({"quant_weight": CODES, "quant_weight_scale": np.ones(3)},
     "quant_weight_scale must be positive, one or 2 of them, not 3 from 1"),
    ({"quant_weight": CODES, "quant_weight_scale": 1.0, "quant_weight_zero_point": 0.5},
     "quant_weight_zero_point must be one or 2 whole numbers, not [0.5]"),
])
def test_bad_codes_are_refused(tmp_path, refused, metadata, message):
    path = quantised(tmp_path / "q.nir", **metadata)
    with refused(f"{path}: node fc: {message}"):
        read_network(path)


def one(**fields):
    return layer("a", np.ones((3, 2), dtype=int), sources=(Source(layer=INPUT, units=3),),
                 **fields)


def after(units=2, **fields):
    return layer("b", np.ones((units, 2), dtype=int), sources=(Source(layer=0, units=units),),
                 **fields)


QUIET = {"rule": ResetRule.VALUE, "spiking": False, "theta": 0}


def twice_integrated():
    second = layer("b", np.zeros((0, 2), dtype=int), current=0, **QUIET)
    return program(one(**QUIET), second, layer("c", np.zeros((0, 2), dtype=int), current=1))


def beside_current():
    still = one(**QUIET)
    return program(still, layer("b", np.ones((3, 2), dtype=int), current=0,
                                sources=(Source(layer=INPUT, units=3),)))


def cropped():
    window = Window(shape=(1, 4, 4), kernel=(2, 2))
    return program(layer("a", np.ones((4, 1), dtype=int), shape=(1, 2, 3),
                         sources=(Source(layer=INPUT, units=16, window=window),)))


def uneven_threshold():
    window = Window(shape=(1, 2, 2), kernel=(1, 1))
    return program(layer("a", np.ones((1, 1), dtype=int), shape=(1, 2, 2), decay=0, theta=1,
                         rule=ResetRule.VALUE, bias=[1, 2, 3, 4],
                         sources=(Source(layer=INPUT, units=4, window=window),)))


@pytest.mark.parametrize(("made", "message"), [
    (program(one(leak="subtract")), "layer a leaks by subtract, which NIR cannot say"),
    (beside_current(), "layer b has weights beside its synaptic current, which NIR cannot say"),
    (program(one(**QUIET), layer("b", np.ones((3, 2), dtype=int), sources=(
        Source(layer=INPUT, units=3),))),
     "layer a does not spike and is not the last, which NIR cannot say"),
    (twice_integrated(), "layer c has a current of a current, which NIR cannot say"),
    (cropped(), "layer a sees (2, 3) positions of (3, 3), which NIR cannot say"),
    (uneven_threshold(),
     "layer a has a bias that differs within a channel, which NIR cannot say"),
    (program(one(), after(rule=ResetRule.VALUE)),
     "the layers must share one reset rule in NIR, they have subtract, value"),
])
def test_what_nir_cannot_say_is_refused(tmp_path, made, message):
    path = tmp_path / "net.nir"
    with pytest.raises(UserError, match=f"^{re.escape(f'{path}: {message}')}$"):
        write_quantised(made, path)
    assert list(tmp_path.iterdir()) == []


def test_names_of_ports_give_way_to_layers(tmp_path):
    made = program(dataclasses.replace(one(), name="input"))
    write_quantised(made, tmp_path / "net.nir")
    with h5py.File(tmp_path / "net.nir") as file:
        assert sorted(file["node/nodes"]) == ["input", "input.w0", "input_", "output"]
    assert read_network(tmp_path / "net.nir").inputs == (("input_", (3,)),)


def test_the_command_exports(tmp_path, capsys):
    path = tmp_path / "digits-q.nir"
    assert cli.main(["compile", "examples/digits.nir", "--data", "digits", "-o",
                     str(tmp_path / "out"), "--export-nir", str(path)]) == 0
    assert all(layer_.grid is not None for layer_ in read_network(path).layers)
