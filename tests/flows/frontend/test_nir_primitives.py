"""Nodes that need more than a matrix: what they fold into, and what is refused."""

import itertools

import h5py
import nir
import numpy as np
import pytest

from lamina.flows.frontend.float_network import run_float
from lamina.flows.frontend.nir.reader import read_network
from lamina.models.source import Source, Window

MAP = (2, 6, 6)


def chain(inputs, outputs, **nodes):
    return {"input": nir.Input(np.array(inputs)), **nodes, "output": nir.Output(np.array(outputs))}


def conv(weight, *, stride=1, padding=0, dilation=1, groups=1, bias=None):
    weight = np.asarray(weight, dtype=float)
    bias = np.zeros(len(weight)) if bias is None else bias
    return nir.Conv2d((6, 6), weight, stride, padding, dilation, groups, bias)


def pool(kind, size, stride=None, padding=0):
    return kind(np.array([size] * 2), np.array([stride or size] * 2), np.array([padding] * 2))


KERNEL = np.random.default_rng(0).normal(size=(4, 2, 3, 3))


def test_a_convolution_is_stored_once(write_nir, lif):
    bias = np.arange(4.0)
    (layer,) = read_network(write_nir(chain(
        MAP, [4, 3, 3], conv=conv(KERNEL, stride=2, padding=1, bias=bias),
        lif=lif((4, 3, 3))))).layers
    assert layer.shape == (4, 3, 3) and layer.weights.shape == (18, 4)
    np.testing.assert_allclose(layer.weights, KERNEL.transpose(2, 3, 1, 0).reshape(18, 4))
    np.testing.assert_allclose(layer.bias, np.repeat(bias, 9))
    assert layer.sources == (Source(layer=-1, units=72, window=Window(
        shape=MAP, kernel=(3, 3), stride=(2, 2), padding=(1, 1))),)


def test_groups_reach_only_their_channels(write_nir, lif):
    (layer,) = read_network(write_nir(chain(
        MAP, [4, 4, 4], conv=conv(KERNEL[:, :1], groups=2), lif=lif((4, 4, 4))))).layers
    taps = layer.weights.reshape(3, 3, 2, 4)
    assert not taps[:, :, 1, :2].any() and not taps[:, :, 0, 2:].any()
    np.testing.assert_allclose(taps[:, :, 0, :2], KERNEL[:2, 0].transpose(1, 2, 0))


def test_pools_before_a_convolution_cost_no_weights(write_nir, lif):
    one, two = read_network(write_nir(chain(
        MAP, [4, 1, 1], first=lif(MAP), avg=pool(nir.AvgPool2d, 2), conv=conv(KERNEL),
        lif=lif((4, 1, 1))))).layers
    assert two.sources[0].window == Window(shape=MAP, kernel=(3, 3), pool=(2, 2))
    np.testing.assert_allclose(two.weights, KERNEL.transpose(2, 3, 1, 0).reshape(18, 4) / 4)
    assert one.sources[0].window is None


def test_pools_behind_a_convolution_widen_its_kernel(write_nir, lif):
    (layer,) = read_network(write_nir(chain(
        MAP, [4, 2, 2], conv=conv(KERNEL), sum=pool(nir.SumPool2d, 2),
        lif=lif((4, 2, 2))))).layers
    assert layer.sources[0].window == Window(shape=MAP, kernel=(4, 4), stride=(2, 2))
    wide = np.zeros((4, 2, 4, 4))
    for y, x in itertools.product(range(2), repeat=2):
        wide[:, :, y:y + 3, x:x + 3] += KERNEL
    np.testing.assert_allclose(layer.weights, wide.transpose(2, 3, 1, 0).reshape(32, 4))


def test_a_reshape_ends_a_pool(write_nir, lif):
    """Behind Flatten a value's neighbours are others: the pool is written out."""
    flat = nir.Flatten({"input": np.array([2, 3, 3])}, 1, 2)
    line = nir.Conv1d(9, np.ones((1, 2, 2)), 1, 0, 1, 1, np.zeros(1))
    network = read_network(write_nir(chain(
        MAP, [1, 8], first=lif(MAP), sum=pool(nir.SumPool2d, 2), flat=flat, line=line,
        lif=lif((1, 8)))))
    weights = network.layers[1].weights.reshape(2, 3, 2, 3, 2, 8)
    seen = weights.transpose(5, 0, 1, 3, 2, 4).reshape(8, 2, 9, 4)
    expected = np.zeros((8, 2, 9, 4))
    for position in range(8):
        expected[position, :, position:position + 2] = 1
    np.testing.assert_array_equal(seen, expected)


def test_delays_that_differ_split_the_source(write_nir, lif):
    late = nir.Delay(np.array([0.0, 3e-4, 3e-4]))
    (layer,) = read_network(write_nir(chain([3], [3], late=late, lif=lif(3)))).layers
    assert [source.delay for source in layer.sources] == [0, 3]
    np.testing.assert_array_equal(layer.weights, np.concatenate([np.diag([1, 0, 0]),
                                                                 np.diag([0, 1, 1])]))


def test_readouts_integrate(write_nir, lif):
    ones = np.ones(2)
    for node, decay in ((nir.LI(tau=4e-4 * ones, r=4 * ones, v_leak=0 * ones), 0.75),
                        (nir.I(r=1e4 * ones), 1.0)):
        network = read_network(write_nir(chain([2], [2], first=lif(2), last=node)))
        layer = network.layers[-1]
        assert not layer.spiking and network.decoding == "v_final"
        np.testing.assert_allclose(layer.decay, decay)
        spikes = np.ones((1, 4, 2), dtype=np.uint8)
        trace = run_float(network, spikes, trace=True)
        assert trace.layer_spikes[0].any() and (trace.final_membranes[1] > 0).all()


def test_a_current_based_readout_is_two_integrators(write_nir):
    ones = np.ones(2)
    node = nir.CubaLI(tau_mem=4e-4 * ones, tau_syn=2e-4 * ones, r=4 * ones, v_leak=0 * ones,
                      w_in=2 * ones)
    network = read_network(write_nir(chain([2], [2], last=node)))
    assert [(layer.name, layer.current, layer.spiking) for layer in network.layers] == [
        ("last.current", None, False), ("last", 0, False)]
    impulse = np.zeros((1, 4, 2), dtype=np.uint8)
    impulse[0, 0] = 1
    trace = run_float(network, impulse, trace=True)
    np.testing.assert_allclose(trace.layer_membranes[0][0, :, 0], [1, 0.5, 0.25, 0.125])
    np.testing.assert_allclose(trace.layer_membranes[1][0, :, 0],
                               [1, 1.25, 1.1875, 1.015625])


def edited(path, name, value):
    with h5py.File(path, "r+") as file:
        if name in file["node/nodes"]:
            del file[f"node/nodes/{name}"]
        if value is not None:
            file[f"node/nodes/{name}"] = value
    return path


def convolved(lif, **fields):
    return chain(MAP, [4, 4, 4], node=conv(KERNEL, **fields), lif=lif((4, 4, 4)))


def before(node, inputs=(3,)):
    return lambda lif: chain(list(inputs), [3], node=node, lif=lif(3))


REFUSED = {
    "kernel dimensions": (lambda lif: convolved(lif), ("node/weight", np.ones((4, 2, 3))),
                          "weight must have 4 dimensions of at least 1, not shape (4, 2, 3)"),
    "flat input": (before(conv(KERNEL)), None, "needs values of 3 dimensions, not (3,)"),
    "channels": (lambda lif: convolved(lif), ("node/groups", 2),
                 "weight must take 2 channels in groups, not 2 groups of 2"),
    "groups": (lambda lif: convolved(lif), ("node/groups", 1.5),
               "groups must be one whole number, not [1.5]"),
    "stride": (lambda lif: convolved(lif), ("node/stride", [0, 1]),
               "stride must be 2 whole numbers in 1..255, not [0.0, 1.0]"),
    "padding": (lambda lif: convolved(lif), ("node/padding", "around"),
                "padding must be numbers, 'valid', or 'same' with stride 1 and an odd reach, "
                "not 'around'"),
    "even same": (lambda lif: chain(MAP, [4, 6, 6], node=conv(KERNEL[..., :2], padding="same"),
                                    lif=lif((4, 6, 6))), None,
                  "padding must be numbers, 'valid', or 'same' with stride 1 and an odd reach, "
                  "not 'same'"),
    "reach": (lambda lif: convolved(lif, dilation=3), None,
              "kernel (3, 3) must fit the padded map (6, 6)"),
    "bias": (lambda lif: convolved(lif, bias=np.ones(3)), None,
             "bias must have 4 entries, not 3"),
    "huge kernel": (lambda lif: chain((1, 1, 400), [1, 1, 101], node=conv(np.ones((1, 1, 1, 300))),
                                      lif=lif((1, 1, 101))), None,
                    "Conv2d window kernel must be in 1..255, not 300"),
    "two convolutions": (lambda lif: chain(
        (1, 90, 90), [1, 88, 88], first=conv(np.ones((1, 1, 2, 2))),
        node=conv(np.ones((1, 1, 2, 2))), lif=lif((1, 88, 88))), None,
        "Conv2d a convolution that no window over a source can hold is too large to be written "
        "out, the most is 16777216 weights"),
    "pool size": (lambda lif: chain(MAP, [2, 3, 3], node=pool(nir.SumPool2d, 2),
                                    lif=lif((2, 3, 3))), ("node/kernel_size", None),
                  "SumPool2d must have a kernel_size, it has none"),
    "pool of a small map": (lambda lif: chain(MAP, [2, 1, 1], node=pool(nir.AvgPool2d, 7),
                                              lif=lif((2, 1, 1))), None,
                            "kernel_size (7, 7) must fit the map (6, 6)"),
    "broken delay": (before(nir.Delay(np.full(3, 1.5e-4))), None, None),
    "delay sizes": (before(nir.Delay(np.full(2, 1e-4))), None,
                    "delay must be one time from 0 or one per value, 3, not 2 from 0"),
    "negative delay": (before(nir.Delay(np.full(3, -1e-4))), None,
                       "delay must be one time from 0 or one per value, 3, not 3 from -0.0001"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_nodes_are_refused(write_nir, lif, refused, case):
    make, edit, message = REFUSED[case]
    path = write_nir(make(lif))
    if edit:
        path = edited(path, *edit)
    where = f"node node: {message}" if message else (
        "node lif: delay must be 0..255 whole timesteps of 0.0001 s on the way into this node, "
        "not 0.00015 s")
    with refused(f"{path}: {where}"):
        read_network(path)


def test_joins_need_as_many_values(write_nir, lif, refused):
    nodes = chain([3], [2], a=nir.Linear(np.ones((2, 3))), lif=lif(2))
    path = write_nir(nodes, [*itertools.pairwise(nodes), ("input", "lif")])
    with refused(f"{path}: node lif: joins a of shape (2,) and input of shape (3,), which must "
                 f"hold as many values"):
        read_network(path)


def test_many_ways_are_refused(write_nir, lif, refused):
    nodes = {"input": nir.Input(np.array([2]))}
    edges = []
    for stage in range(9):
        before_ = f"j{stage - 1}" if stage else "input"
        nodes |= {f"a{stage}": nir.Delay(np.full(2, 1e-4)), f"j{stage}": nir.Scale(np.ones(2))}
        edges += [(before_, f"a{stage}"), (before_, f"j{stage}"), (f"a{stage}", f"j{stage}")]
    nodes |= {"lif": lif(2), "output": nir.Output(np.array([2]))}
    path = write_nir(nodes, [*edges, ("j8", "lif"), ("lif", "output")])
    with refused(f"{path}: node j8: must be reached on at most 256 ways, not 512"):
        read_network(path)


def test_readouts_can_only_end_a_network(write_nir, lif, refused):
    path = write_nir(chain([2], [2], sum=nir.I(r=np.ones(2)), lif=lif(2)))
    with refused(f"{path}: node sum: I does not spike and can only end a network, here it feeds "
                 f"lif"):
        read_network(path, dt=1e-4)


def test_a_network_needs_an_input(write_nir, lif, refused):
    nodes = {"one": lif(2), "output": nir.Output(np.array([2]))}
    path = write_nir(nodes, [("one", "one"), ("one", "output")])
    with refused(f"{path}: a network must have an Input node that leads to neurons, it has none"):
        read_network(path)
