import re

import h5py
import nir
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamina.flows.errors import UserError
from lamina.flows.frontend.float_network import run_float
from lamina.flows.frontend.nir.reader import DEFAULT_TIMESTEPS, read_network
from lamina.models.config import ResetRule
from lamina.models.program import Encoder
from lamina.models.source import Source

WEIGHT = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])


def chain(inputs, outputs, **nodes):
    return {"input": nir.Input(np.array(inputs)), **nodes, "output": nir.Output(np.array(outputs))}


def test_a_small_network_is_read(small_net):
    network = read_network(small_net)
    assert [layer.name for layer in network.layers] == ["lif1", "lif2"]
    assert [layer.nodes for layer in network.layers] == [("fc1",), ("fc2",)]
    assert [layer.weights.shape for layer in network.layers] == [(6, 5), (5, 3)]
    assert network.name == "net" and network.input_shape == (6,)
    assert network.axons == 6 and network.outputs == 3
    first = network.layers[0]
    np.testing.assert_allclose(first.decay, 0.75)
    np.testing.assert_array_equal(first.theta, 1.0)
    np.testing.assert_array_equal(first.r, 1.0)
    assert first.reset is ResetRule.SUBTRACT_DELAYED and first.strict
    assert network.timesteps == DEFAULT_TIMESTEPS
    spikes = np.random.default_rng(0).integers(0, 2, (20, 16, 6), dtype=np.uint8)
    assert 0 < run_float(network, spikes).spikes.mean() < 1


def test_maps_fold_into_one_matrix_and_bias(write_nir, lif):
    scale_in, scale_out = np.array([2.0, 0.5]), np.array([1.0, -1.0, 4.0])
    second, bias = np.array([[1.0, 0.0, 2.0], [0.0, 1.0, -1.0]]), np.array([0.5, -0.25, 1.0])
    network = read_network(write_nir(chain(
        [2], [2], a=nir.Scale(scale_in), b=nir.Affine(WEIGHT, bias), c=nir.Scale(scale_out),
        d=nir.Linear(second), e=lif(2))))
    layer = network.layers[0]
    expected = second @ np.diag(scale_out) @ WEIGHT @ np.diag(scale_in)
    np.testing.assert_allclose(layer.weights, expected.T)
    np.testing.assert_allclose(layer.bias, second @ (scale_out * bias))
    assert layer.nodes == ("a", "b", "c", "d")


def test_euler_constants_follow_nir(write_nir):
    tau, r = np.array([2e-3, 4e-3, 1e-3]), np.array([1.0, 3.0, -2.0])
    cell = nir.LIF(tau=tau, r=r, v_leak=np.array([0.0, 0.5, 1.0]),
                   v_threshold=np.array([1.0, 2.0, 3.0]), v_reset=np.array([0.0, 0.5, -1.0]))
    network = read_network(write_nir(chain([2], [3], fc=nir.Affine(WEIGHT, np.ones(3)), lif=cell)),
                           dt=5e-4)
    layer = network.layers[0]
    np.testing.assert_allclose(layer.decay, [0.75, 0.875, 0.5])
    np.testing.assert_allclose(layer.weights, (WEIGHT * [[0.25], [0.375], [-1.0]]).T)
    np.testing.assert_allclose(layer.bias, [0.25, 0.375 + 0.0625, -1.0 + 0.5])
    np.testing.assert_array_equal(layer.v_reset, [0.0, 0.5, -1.0])
    np.testing.assert_array_equal(layer.r, 0.0)
    assert layer.reset is ResetRule.VALUE


def test_if_neurons_scale_by_r_dt_and_do_not_leak(write_nir):
    cell = nir.IF(r=np.array([2.0, 4.0, 8.0]), v_threshold=np.ones(3))
    layer = read_network(write_nir(chain([2], [3], fc=nir.Linear(WEIGHT), neuron=cell)),
                         dt=0.25, reset="subtract").layers[0]
    np.testing.assert_array_equal(layer.weights, (WEIGHT * [[0.5], [1.0], [2.0]]).T)
    np.testing.assert_array_equal(layer.decay, 1.0)
    assert layer.reset is ResetRule.SUBTRACT


def test_scalars_count_for_every_neuron(write_nir):
    cell = nir.LIF(tau=np.array([4e-4]), r=np.array([4.0]), v_leak=np.array([0.0]),
                   v_threshold=np.array([1.5]))
    layer = read_network(write_nir(chain([2], [3], fc=nir.Linear(WEIGHT), lif=cell))).layers[0]
    np.testing.assert_array_equal(layer.theta, [1.5, 1.5, 1.5])


def test_shapes_flatten_in_c_order(write_nir, lif):
    weight = np.random.default_rng(1).normal(size=(3, 24))
    flat = nir.Flatten(input_type={"input": np.array([2, 3, 4])}, start_dim=0)
    network = read_network(write_nir(chain([2, 3, 4], [3], f=flat, fc=nir.Linear(weight),
                                           lif=lif(3))))
    assert network.input_shape == (2, 3, 4)
    np.testing.assert_array_equal(network.layers[0].weights, weight.T)


def test_a_scale_broadcasts_over_the_shape(write_nir, lif):
    scale = np.array([1.0, 2.0, 3.0]).reshape(3, 1)
    flat = nir.Flatten(input_type={"input": np.array([3, 2])}, start_dim=0)
    layer = read_network(write_nir(chain([3, 2], [6], s=nir.Scale(scale), f=flat,
                                         lif=lif(6)))).layers[0]
    np.testing.assert_array_equal(layer.weights, np.diag([1.0, 1, 2, 2, 3, 3]))


def test_neurons_may_stand_on_the_input_and_on_neurons(write_nir, lif):
    network = read_network(write_nir(chain([2], [2], one=lif(2), two=lif(2))))
    assert [layer.name for layer in network.layers] == ["one", "two"]
    for layer in network.layers:
        np.testing.assert_array_equal(layer.weights, np.eye(2))


def test_order_comes_from_the_edges(write_nir, lif):
    rng = np.random.default_rng(5)
    nodes = {"z": nir.Input(np.array([2])), "b": nir.Linear(rng.normal(size=(3, 2))),
             "y": lif(3), "a": nir.Linear(rng.normal(size=(4, 3))), "x": lif(4),
             "0": nir.Output(np.array([4]))}
    edges = [("a", "x"), ("x", "0"), ("y", "a"), ("z", "b"), ("b", "y"), ("b", "y")]
    network = read_network(write_nir(nodes, edges))
    assert [layer.name for layer in network.layers] == ["y", "x"]


def test_nested_graphs_are_dissolved(write_nir, lif):
    inner = nir.NIRGraph(nodes=chain([2], [3], fc=nir.Linear(WEIGHT), lif=lif(3)),
                         edges=[("input", "fc"), ("fc", "lif"), ("lif", "output")])
    network = read_network(write_nir(chain([2], [3], block=inner)))
    assert [layer.name for layer in network.layers] == ["block"]
    assert network.layers[0].nodes == ("block.fc",)


def test_metadata_of_the_training_scripts_count(write_nir, lif):
    metadata = {"lamina_dt": 1e-4, "lamina_reset": "subtract", "lamina_timesteps": 12,
                "lamina_encoder": "rate", "lamina_gain": 0.5, "lamina_seed": 3,
                "lamina_decoding": "first", "lamina_strict": False}
    path = write_nir(chain([2], [3], fc=nir.Linear(WEIGHT), lif=lif(3)), metadata=metadata)
    network = read_network(path)
    assert network.encoder == Encoder(kind="rate", gain=0.5, seed=3)
    assert (network.timesteps, network.decoding) == (12, "first")
    assert network.layers[0].reset is ResetRule.SUBTRACT and not network.layers[0].strict
    assert network.assumptions["reset"] == "subtract, from the file's metadata"
    other = read_network(path, timesteps=5, encoder="bernoulli", decoding="count", seed=9,
                         reset="value")
    assert other.encoder == Encoder(kind="bernoulli", gain=0.5, seed=9)
    assert other.assumptions["timesteps"] == "5, from --timesteps; the file's metadata says 12"
    assert other.assumptions["reset"] == "value, from --reset; the file's metadata says subtract"


def test_recorded_spikes_set_timesteps_and_encoder(small_net):
    network = read_network(small_net, recorded=9)
    assert network.timesteps == 9 and network.encoder.kind == "spikes"
    assert network.assumptions["timesteps"] == "9, as in the data; the file does not say"


@pytest.mark.parametrize(("options", "message"), [
    ({"dt": -1.0}, "--dt must be a positive time in seconds, not -1.0"),
    ({"dt": float("nan")}, "--dt must be a positive time in seconds, not nan"),
    ({"timesteps": 0}, "--timesteps must be in 1..65535, not 0"),
    ({"seed": -1}, "--seed must be in 0..4294967295, not -1"),
    ({"encoder": "morse"}, "--encoder must be one of spikes, bernoulli, rate, latency, delta, "
                           "constant, not 'morse'"),
    ({"decoding": "vote"},
     "--decoding must be one of count, first, v_final, v_sum, v_max, not 'vote'"),
    ({"reset": "zero"}, "--reset must be one of value, subtract, subtract-delayed, "
                        "subtract-rederived, not 'zero'"),
    ({"integrator": "exact"}, "--integrator must be one of euler, exponential, mixed, not 'exact'"),
    ({"refractory": 2, "reset": "value"}, "--refractory must be 0 or 1, not 2"),
])
def test_bad_options_are_refused(small_net, refused, options, message):
    with refused(message):
        read_network(small_net, **options)


@pytest.mark.parametrize(("key", "value", "rule"), [
    ("dt", 0.0, " must be a positive time in seconds, not 0.0"),
    ("dt", "soon", " must be a number, not 'soon'"),
    ("timesteps", 2.5, " must be a whole number in 1..65535, not 2.5"),
    ("reset", "zero", " must be one of value, subtract, subtract-delayed, subtract-rederived, "
                      "not 'zero'"),
    ("encoder", "morse", " must be one of spikes, bernoulli, rate, latency, delta, "
                         "constant, not 'morse'"),
    ("gain", 2.0, " must be in 0..1 and not 0, not 2.0"),
    ("strict", 3, " must be true or false, not 3"),
])
def test_bad_metadata_are_refused(write_nir, lif, refused, key, value, rule):
    path = write_nir(chain([2], [3], fc=nir.Linear(WEIGHT), lif=lif(3)),
                     metadata={f"lamina_{key}": value})
    with refused(f"{path}: metadata lamina_{key}{rule}"):
        read_network(path)


def nan(array):
    array = np.array(array, dtype=float)
    array.flat[1] = np.nan
    return array


BROKEN = {
    "nan": (lambda lif: chain([2], [3], fc=nir.Linear(nan(WEIGHT)), lif=lif(3)),
            "node fc: weight must be finite, not nan"),
    "inf": (lambda lif: chain([2], [3], fc=nir.Linear(WEIGHT * np.inf), lif=lif(3)),
            "node fc: weight must be finite, not inf"),
    "text": (lambda lif: chain([2], [3], fc=nir.Linear(np.array([[b"a", b"b"]])), lif=lif(3)),
             "node fc: weight must be an array of numbers, "
             "not array([[b'a', b'b']], dtype='|S1')"),
    "inputs": (lambda lif: chain([4], [3], fc=nir.Linear(WEIGHT), lif=lif(3)),
               "node fc: weight must have 4 inputs for the shape (4,) before it, not 2"),
    "no flatten": (lambda lif: chain([1, 2, 2], [3], fc=nir.Linear(np.ones((3, 4))), lif=lif(3)),
                   "node fc: weight must have 4 inputs for the shape (1, 2, 2) before it, not 4; "
                   "a Flatten node is missing"),
    "three dimensions": (lambda lif: chain([2], [3], fc=nir.Linear(np.ones((2, 3, 2))),
                                           lif=lif(3)),
                         "node fc: weight must have two dimensions with at least one input and one "
                         "output, not shape (2, 3, 2)"),
    "zero neurons": (lambda lif: chain([2], [3], fc=nir.Linear(np.ones((0, 2))), lif=lif(0)),
                     "node fc: weight must have two dimensions with at least one input and one "
                     "output, not shape (0, 2)"),
    "bias": (lambda lif: chain([2], [3], fc=nir.Affine(WEIGHT, np.ones(2)), lif=lif(3)),
             "node fc: bias must have 3 entries, not 2"),
    "scale": (lambda lif: chain([2], [2], s=nir.Scale(np.ones(5)), lif=lif(2)),
              "node s: scale must fit the shape (2,) before it, not have shape (5,)"),
    "flatten": (lambda lif: chain([4], [4], f=nir.Flatten({"input": np.array([5])}), lif=lif(4)),
                "node f: input_type must hold 4 values like the shape (4,) before it, not (5,)"),
    "neurons": (lambda lif: chain([2], [3], fc=nir.Linear(WEIGHT), lif=lif(4)),
                "node lif: tau must have 1 or 3 entries, as many as the node before it has "
                "outputs, not 4"),
    "tau": (lambda lif: chain([2], [3], fc=nir.Linear(WEIGHT), lif=lif(3, tau=-1.0)),
            "node lif: tau must be positive, not -1"),
    "output": (lambda lif: chain([2], [4], fc=nir.Linear(WEIGHT), lif=lif(3)),
               "node output: shape must hold 3 values like the node before it, not (4,)"),
    "trailing": (lambda lif: chain([2], [3], lif=lif(2), fc=nir.Linear(WEIGHT)),
                 "node fc: Linear without neurons behind it is not supported; end the network in a "
                 "node of neurons (LI or I for a readout that does not spike)"),
    "overflow": (lambda lif: chain([2], [3], fc=nir.Linear(WEIGHT * 1e300),
                                   s=nir.Scale(np.full(3, 1e300)), lif=lif(3)),
                 "node lif: weights and parameters multiply out of range "
                 "(lif.weights must be finite, not inf)"),
    "large diagonal": (lambda lif: chain([5000], [5000], lif=lif(5000)),
                       "node lif: a map of 5000 x 5000 values is too large to be written out, the "
                       "most is 16777216 weights"),
    "large input": (lambda lif: chain([2000, 2000], [3], lif=lif(3)),
                    "node input: shape must hold at most 1048576 values, not (2000, 2000)"),
    "pool": (lambda lif: chain([2], [3], **{"fc1.pool": nir.SumPool2d(
                 np.ones(2), np.ones(2), np.zeros(2)), "lif": lif(3)}),
             "node fc1.pool: needs values of 3 dimensions, not (2,)"),
    "delayed threshold": (lambda lif: chain([2], [3], fc=nir.Linear(WEIGHT),
                                            lif=lif(3, v_threshold=-1.0)),
                          "node lif: v_threshold must be positive under reset subtract-delayed, "
                          "not -1"),
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_broken_nodes_are_refused_by_name(write_nir, lif, refused, case):
    nodes, message = BROKEN[case]
    path = write_nir(nodes(lif))
    with refused(f"{path}: {message}"):
        read_network(path)


def test_a_network_without_neurons_is_refused(write_nir, refused):
    path = write_nir(chain([2], [2]))
    with refused(f"{path}: the network must have a node of neurons (I, IF, LI, LIF, CubaLI, "
                 f"CubaLIF, Threshold), it has none"):
        read_network(path)


def graph_case(lif, extra=None):
    return chain([3], [3], fc=nir.Linear(np.eye(3)), lif=lif(3), **(extra or {}))


EDGES = [("input", "fc"), ("fc", "lif"), ("lif", "output")]


@pytest.mark.parametrize(("edges", "message"), [
    ([*EDGES, ("fc", "fc")],
     "node fc: lies on a cycle without neurons (fc -> fc), which has no meaning in timesteps"),
    (EDGES[:2], "node output: has no edge into it, every path must begin at an Input node"),
    (EDGES[1:], "node fc: has no edge into it, every path must begin at an Input node"),
    ([*EDGES, ("fc", "output")],
     "node output: must be fed by one layer of neurons, not by input, lif"),
    ([("input", "fc"), ("fc", "lif"), ("input", "output")],
     "node output: is fed by the Input node without neurons between them"),
])
def test_graphs_without_meaning_are_refused(write_nir, lif, refused, edges, message):
    path = write_nir(graph_case(lif), edges)
    with refused(f"{path}: {message}"):
        read_network(path)


def test_loops_take_one_timestep(write_nir, lif):
    path = write_nir(graph_case(lif, {"w_rec": nir.Linear(np.diag([1.0, 2, 3]))}),
                     [*EDGES, ("lif", "w_rec"), ("w_rec", "lif")])
    (layer,) = read_network(path).layers
    assert layer.sources == (Source(layer=-1, units=3), Source(layer=0, units=3, delay=1))
    np.testing.assert_array_equal(layer.weights, np.concatenate([np.eye(3), np.diag([1, 2, 3])]))


def test_branches_join_in_one_layer(write_nir, lif):
    (layer,) = read_network(write_nir(graph_case(lif), [*EDGES, ("input", "lif")])).layers
    np.testing.assert_array_equal(layer.weights, 2 * np.eye(3))


def test_loops_through_several_layers_need_a_cut(write_nir, lif, refused):
    nodes = chain([3], [3], one=lif(3), two=lif(3))
    edges = [("input", "one"), ("one", "two"), ("two", "one"), ("two", "output")]
    path = write_nir(nodes, edges)
    with refused(f"{path}: node one: lies on a cycle through several layers of neurons "
                 f"(one <- two <- one) without delay; put a Delay node into it or say which edge "
                 f"takes a timestep with --cut SOURCE->TARGET"):
        read_network(path)
    one, two = read_network(path, cuts=("two->one",)).layers
    assert one.sources == (Source(layer=-1, units=3), Source(layer=1, units=3, delay=1))
    assert two.sources == (Source(layer=0, units=3),)
    known = ", ".join(f"{a}->{b}" for a, b in sorted(edges))
    with refused(f"--cut must be an edge of {path}, one of {known}, not 'one->output'"):
        read_network(path, cuts=("one->output",))


def test_a_bias_cannot_be_late(write_nir, lif, refused):
    bias = nir.Affine(np.eye(3), np.ones(3))
    path = write_nir(chain([3], [3], fc=bias, late=nir.Delay(np.full(3, 1e-4)), lif=lif(3)))
    with refused(f"{path}: node late: cannot hold back the bias that comes with its input; put the "
                 f"Delay before the node with the bias"):
        read_network(path)
    path = write_nir(chain([3], [3], fc=bias, lif=lif(3)))
    with refused(f"{path}: node fc: has a bias, which an edge that takes a timestep cannot hold "
                 f"back; cut the edge into it instead"):
        read_network(path, cuts=("fc->lif",))


def test_an_output_in_the_middle_of_a_loop_is_refused(write_nir, lif, refused):
    nodes = chain([3], [3], one=lif(3), two=lif(3))
    path = write_nir(nodes, [("input", "one"), ("one", "two"), ("two", "one"), ("one", "output")])
    with refused(f"{path}: node one: feeds two without delay although it feeds the Output node; "
                 f"delay that edge by a Delay node or --cut EDGE"):
        read_network(path, cuts=("two->one",))


def test_a_node_that_leads_nowhere_is_refused(write_nir, lif, refused):
    path = write_nir(graph_case(lif, {"stray": lif(3)}), [*EDGES, ("fc", "stray")])
    with refused(f"{path}: node stray: leads nowhere, every path must end in the Output node"):
        read_network(path)
    path = write_nir(graph_case(lif, {"idle": nir.Linear(np.eye(3))}), EDGES)
    with refused(f"{path}: node idle: leads nowhere, every path must end in the Output node"):
        read_network(path)


def test_several_inputs_share_the_axons(write_nir, lif):
    path = write_nir(graph_case(lif, {"second": nir.Input(np.array([3]))}),
                     [*EDGES, ("second", "lif")])
    network = read_network(path)
    assert network.inputs == (("input", (3,)), ("second", (3,))) and network.input_shape == (6,)
    assert network.layers[0].sources == (Source(layer=-1, units=3),
                                         Source(layer=-1, units=3, first=3))


def test_idle_ports_are_refused(write_nir, lif, refused):
    path = write_nir(graph_case(lif, {"second": nir.Input(np.array([3]))}), EDGES)
    with refused(f"{path}: node second: leads nowhere, every path must end in the Output node"):
        read_network(path)
    path = write_nir(graph_case(lif, {"second": nir.Output(np.array([3]))}), EDGES)
    with refused(f"{path}: a network must have one Output node, not 2 (output, second)"):
        read_network(path)


def edit(path, change):
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def drop(name):
    def change(file):
        del file[name]
    return change


def put(name, value):
    def change(file):
        if name in file:
            del file[name]
        file[name] = value
    return change


@pytest.mark.parametrize(("change", "message"), [
    (drop("node"), "not a NIR file: it has no group 'node'"),
    (drop("node/type"), "root: must be a group with a type, not {'edges': "),
    (put("node/type", "LIF"), "root: must be a NIRGraph, not LIF"),
    (put("node/nodes/lif1", 3), "node lif1: must be a group with a type, not np.int64(3)"),
    (drop("node/nodes/lif1"), "root: edge fc1 -> lif1 names lif1, which is no node"),
    (drop("node/nodes"), "root: a graph must have nodes, it has none"),
    (put("node/edges", [1, 2, 3]),
     "root: edges must be pairs of node names, not an array of shape (3,)"),
    (drop("node/nodes/lif1/tau"), "node lif1: LIF must have a tau, it has none"),
    (drop("node/nodes/output"), "root: edge lif2 -> output names output, which is no node"),
    (put("node/nodes/input/shape", [-3.0]),
     "node input: shape must be a shape of whole numbers from 1, not (-3.0,)"),
])
def test_broken_groups_are_refused(small_net, change, message):
    path = edit(small_net, change)
    with pytest.raises(UserError, match=f"^{re.escape(f'{path}: {message}')}[^\n]*$"):
        read_network(path)


def test_odd_flattens_are_refused(write_nir, lif, refused):
    flat = nir.Flatten(input_type={"input": np.array([2, 2])}, start_dim=0)
    path = edit(write_nir(chain([2, 2], [4], f=flat, lif=lif(4))),
                put("node/nodes/f/start_dim", 0.5))
    with refused(f"{path}: node f: start_dim must be one whole number, not [0.5]"):
        read_network(path)


@pytest.mark.parametrize("found", [0, 2])
def test_inner_graphs_need_one_port_each(write_nir, lif, refused, found):
    nodes = {"input": nir.Input(np.array([3])), "lif": lif(3)}
    nodes |= {f"output{index}": nir.Output(np.array([3])) for index in range(found)}
    inner = nir.NIRGraph(nodes=nodes, edges=[("input", "lif")], type_check=False)
    path = write_nir(chain([3], [3], block=inner))
    with refused(f"{path}: node block: a graph must have one Output node, not {found}"):
        read_network(path)


def test_deep_nesting_is_refused(write_nir, lif):
    graph = lif(2)
    for _ in range(20):
        graph = nir.NIRGraph(nodes=chain([2], [2], g=graph), edges=[("input", "g"),
                                                                    ("g", "output")])
    path = write_nir(chain([2], [2], g=graph))
    with pytest.raises(UserError, match=r"^\S+: node g(\.g)+: graphs must be nested at most 16 "
                                        r"deep$"):
        read_network(path)


def test_files_that_are_none(tmp_path, small_net, refused):
    with refused(f"{tmp_path}: is a directory, expected a .nir file"):
        read_network(tmp_path)
    missing = tmp_path / "missing.nir"
    with refused(f"{missing}: no such file, expected a .nir file"):
        read_network(missing)
    text = tmp_path / "text.nir"
    text.write_text("hello")
    with refused(f"{text}: not an HDF5 file, expected one written by nir.write"):
        read_network(text)
    half = tmp_path / "half.nir"
    half.write_bytes(small_net.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"^\S+half\.nir: truncated or damaged HDF5 file \(.*\)$"):
        read_network(half)


def test_arrays_larger_than_the_file_can_hold_are_refused(small_net):
    path = edit(small_net, drop("node/nodes/lif1/tau"))
    with h5py.File(path, "r+") as file:
        file.create_dataset("node/nodes/lif1/tau", shape=(1 << 40,), chunks=(1 << 20,), dtype="f8")
    with pytest.raises(UserError, match=r"^\S+net\.nir: truncated or damaged HDF5 file "
                                        r"\(node/nodes/lif1/tau claims 8796093022208 bytes\)$"):
        read_network(path)


@settings(max_examples=400, deadline=None, derandomize=True, database=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_mutated_files_never_crash(small_net, data):
    content = bytearray(small_net.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = small_net.with_name("mutant.nir")
    path.write_bytes(content[:data.draw(st.integers(len(content) // 2, len(content)))]
                     if data.draw(st.booleans()) else content)
    try:
        network = read_network(path)
    except UserError as error:
        assert "\n" not in str(error) and "mutant.nir" in str(error)
    else:
        assert network.outputs >= 1
