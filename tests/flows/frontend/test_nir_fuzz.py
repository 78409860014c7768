"""Mutated files: no traceback, no hang, and what is accepted runs as a second reading says.

The long test takes LAMINA_FUZZ files, 10,000 without it.
"""

import itertools
import os
import time

import h5py
import nir
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamina.flows.check import check_network
from lamina.flows.errors import UserError
from lamina.flows.frontend.float_network import run_float
from lamina.flows.frontend.nir.reader import read_network, read_outline
from lamina.models.config import ResetRule

STEPS = 8
SLOWEST_SECONDS = 45.0
NEURONS = ("I", "IF", "LI", "LIF", "CubaLI", "CubaLIF", "Threshold")


def leaky(shape, kind=nir.LIF, **fields):
    ones = np.ones(shape)
    values = {"tau": 4e-4, "r": 4.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0} | fields
    return kind(**{name: value * ones for name, value in values.items()})


def cuba(shape):
    ones = np.ones(shape)
    return nir.CubaLIF(tau_syn=2e-4 * ones, w_in=2 * ones, tau_mem=4e-4 * ones, r=4 * ones,
                       v_leak=0 * ones, v_threshold=ones, v_reset=0 * ones)


def dense(rng):
    first = nir.Affine(rng.normal(0.2, 0.6, (5, 6)), rng.normal(0, 0.1, 5))
    nodes = {"input": nir.Input(np.array([6])), "fc1": first, "lif1": leaky(5),
             "scale": nir.Scale(rng.normal(1, 0.2, 5)), "delay": nir.Delay(np.full(5, 2e-4)),
             "fc2": nir.Linear(rng.normal(0.3, 0.7, (3, 5))),
             "lif2": leaky(3, v_leak=0.125, v_reset=0.25), "output": nir.Output(np.array([3]))}
    names = list(nodes)
    nodes["skip"] = nir.Linear(rng.normal(0, 0.3, (5, 6)))
    return nodes, [*itertools.pairwise(names), ("input", "skip"), ("skip", "scale")]


def convolution(rng):
    kernel = rng.normal(0.1, 0.4, (3, 2, 3, 3))
    two = np.array([2, 2])
    nodes = {"input": nir.Input(np.array([2, 8, 8])),
             "conv": nir.Conv2d((8, 8), kernel, 1, 1, 1, 1, rng.normal(0, 0.1, 3)),
             "if1": nir.IF(r=np.full((3, 8, 8), 1e4), v_threshold=np.ones((3, 8, 8))),
             "pool": nir.AvgPool2d(two, two, 0 * two),
             "flat": nir.Flatten({"input": np.array([3, 4, 4])}, 0, -1),
             "fc": nir.Linear(rng.normal(0.1, 0.4, (4, 48))),
             "if2": nir.IF(r=np.full(4, 1e4), v_threshold=np.ones(4)),
             "output": nir.Output(np.array([4]))}
    names = list(nodes)
    return nodes, list(itertools.pairwise(names))


def recurrent(rng):
    inner = nir.NIRGraph(
        nodes={"input": nir.Input(np.array([5])), "lif": cuba(5),
               "w_rec": nir.Affine(rng.normal(0, 0.5, (5, 5)), rng.normal(0, 0.1, 5)),
               "output": nir.Output(np.array([5]))},
        edges=[("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")])
    nodes = {"input": nir.Input(np.array([4])), "fc1": nir.Linear(rng.normal(0.3, 0.6, (5, 4))),
             "block": inner, "fc2": nir.Linear(rng.normal(-0.1, 0.5, (3, 5))), "lif": cuba(3),
             "output": nir.Output(np.array([3]))}
    names = list(nodes)
    return nodes, list(itertools.pairwise(names))


def varied(rng):
    one, two = np.array([1, 1]), np.array([2, 2])
    nodes = {"input": nir.Input(np.array([4, 6, 6])),
             "conv": nir.Conv2d((6, 6), rng.normal(0.1, 0.3, (6, 2, 3, 3)), 1, "same", 2, 2,
                                rng.normal(0, 0.1, 6)),
             "sum": nir.SumPool2d(two, one, one), "fire": nir.Threshold(np.full((6, 7, 7), 1.5)),
             "pool": nir.SumPool2d(two, two, 0 * two), "half": nir.Scale(np.full((6, 3, 3), 0.5)),
             "grid": nir.Flatten({"input": np.array([6, 3, 3])}, 1, 2),
             "line": nir.Conv1d(9, rng.normal(0, 0.2, (3, 6, 4)), 2, 1, 1, 1, np.zeros(3)),
             "lif": leaky((3, 4), v_threshold=0.5), "flat": nir.Flatten({"input": np.array([3, 4])},
                                                                        0, 1),
             "fc": nir.Linear(rng.normal(0.1, 0.5, (4, 12))), "last": leaky(4),
             "output": nir.Output(np.array([4]))}
    return nodes, list(itertools.pairwise(nodes))


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("originals")
    for seed, make in enumerate((dense, convolution, recurrent, varied)):
        nodes, edges = make(np.random.default_rng(seed))
        nir.write(folder / f"{make.__name__}.nir",
                  nir.NIRGraph(nodes=nodes, edges=edges, type_check=False), compression=None)
    return {path.stem: path.read_bytes() for path in sorted(folder.glob("*.nir"))}


class Reference:
    """Runs a file node by node and timestep by timestep, in the words of NIR's documents.

    A neuron that is asked for its own spikes gives those of the timestep before.
    """

    def __init__(self, path, step):
        self.step, self.nodes, self.edges = step, {}, set()
        with h5py.File(path) as file:
            self._add("", file["node"])
        self.state, self.last, self.close, self.looped = {}, {}, False, 0

    def _add(self, path, group):
        names = group["nodes"]
        for name, node in names.items():
            inner = f"{path}{name}"
            if node["type"][()] == b"NIRGraph":
                self._add(f"{inner}.", node)
            else:
                self.nodes[inner] = {key: value[()] for key, value in node.items()
                                     if isinstance(value, h5py.Dataset)}

        def port(name, kind):
            if names[name]["type"][()] != b"NIRGraph":
                return path + name
            (found,) = (key for key, node in names[name]["nodes"].items()
                        if node["type"][()] == kind)
            return f"{path}{name}.{found}"

        for source, target in group["edges"][()]:
            self.edges.add((port(source.decode(), b"Output"), port(target.decode(), b"Input")))

    def before(self, name):
        return [source for source, target in self.edges if target == name]

    def run(self, spikes, inputs, output):
        """Spikes (T, neurons) of node `output`; `close` says if rounding may decide one."""
        fired = []
        for frame in spikes:
            self.done, self.active, at = {}, [], 0
            for name, shape in inputs:
                size = int(np.prod(shape))
                self.done[name] = frame[at:at + size].reshape(shape).astype(float)
                at += size
            fired.append(self.value(output).ravel().copy())
            for name, node in self.nodes.items():
                if node["type"] == b"Delay" and name in self.done:
                    self.state[name] = [*self.state.get(name, []), self.inbound(name)]
            self.last = dict(self.done)
        return np.array(fired)

    def inbound(self, name):
        values = [self.value(source) for source in sorted(self.before(name))]
        return sum((value.reshape(values[0].shape) for value in values[1:]), values[0])

    def value(self, name):
        if name in self.active and self.nodes[name]["type"].decode() in NEURONS:
            last, self.looped = self.last.get(name), self.looped + 1
            return np.zeros(self.shape(name)) if last is None else last
        if name in self.done:
            return self.done[name]
        self.active.append(name)
        node, before = self.nodes[name], self.looped
        kind = node["type"].decode()
        value = self.delayed(name, node) if kind == "Delay" else getattr(
            self, kind.lower(), self.neuron)(node, self.inbound(name), name)
        self.active.remove(name)
        if kind in NEURONS:
            self.looped = before
        if before == self.looped:
            self.done[name] = value
        return value

    def shape(self, name):
        return max((np.shape(value) for value in self.nodes[name].values()), key=np.prod)

    def delayed(self, name, node):
        now = self.inbound(name)
        steps = np.rint(np.broadcast_to(node["delay"].reshape(-1), now.size) / self.step.dt)
        past = [*self.state.get(name, []), now]
        flat = [frame.ravel() for frame in past]
        return np.array([flat[-1 - int(s)][i] if s < len(flat) else 0.0
                         for i, s in enumerate(steps)]).reshape(now.shape)

    def input(self, node, x, name):
        return x

    output = input

    def linear(self, node, x, name):
        return node["weight"].astype(float) @ x.ravel()

    def affine(self, node, x, name):
        return self.linear(node, x, name) + node["bias"]

    def scale(self, node, x, name):
        try:
            return x * np.broadcast_to(node["scale"], x.shape)
        except ValueError:
            return x * node["scale"].reshape(x.shape)

    def flatten(self, node, x, name):
        if "input_type" in node:
            x = x.reshape(np.ravel(node["input_type"]).astype(int))
        start = int(np.ravel(node.get("start_dim", 1))[0])
        end = int(np.ravel(node.get("end_dim", -1))[0])
        start, end = (index % x.ndim if index < 0 else index for index in (start, end))
        end = min(end, x.ndim - 1)
        if start > end:
            return x
        return x.reshape(*x.shape[:start], -1, *x.shape[end + 1:])

    def windows(self, x, kernel, node, stride):
        def two(value):
            return np.broadcast_to(np.ravel(value).astype(int), 2)

        (py, px), (sy, sx) = two(node.get("padding", 0)), two(node.get("stride", stride))
        dy, dx = two(node.get("dilation", 1))
        x = np.pad(x, ((0, 0), (py, py), (px, px)))
        reach = dy * (kernel[0] - 1) + 1, dx * (kernel[1] - 1) + 1
        seen = np.lib.stride_tricks.sliding_window_view(x, reach, axis=(1, 2))
        return seen[:, ::sy, ::sx, ::dy, ::dx]

    def conv1d(self, node, x, name):
        padding = node.get("padding", 0)
        flat = {key: [low, np.ravel(node[key])[0]] for key, low in (("stride", 1), ("dilation", 1))
                if key in node}
        flat["padding"] = padding if isinstance(padding, bytes) else [0, np.ravel(padding)[0]]
        wide = node | flat | {"weight": node["weight"][:, :, None]}
        return self.conv2d(wide, x[:, None], name)[:, 0]

    def conv2d(self, node, x, name):
        weight = node["weight"].astype(float)
        if isinstance(node.get("padding"), bytes):
            reach = np.broadcast_to(np.ravel(node.get("dilation", 1)), 2) * (
                np.array(weight.shape[2:]) - 1)
            node = node | {"padding": reach // 2 * (node["padding"] == b"same")}
        groups = int(np.ravel(node.get("groups", 1))[0])
        seen = self.windows(x, weight.shape[2:], node, 1)
        outputs, inputs = weight.shape[0] // groups, weight.shape[1]
        parts = [np.einsum("oiyx,ihwyx->ohw", weight[g * outputs:(g + 1) * outputs],
                           seen[g * inputs:(g + 1) * inputs]) for g in range(groups)]
        return np.concatenate(parts) + np.reshape(node.get("bias", 0.0), (-1, 1, 1))

    def sumpool2d(self, node, x, name):
        kernel = np.broadcast_to(np.ravel(node["kernel_size"]).astype(int), 2)
        return self.windows(x, tuple(kernel), node, kernel).sum(axis=(3, 4))

    def avgpool2d(self, node, x, name):
        kernel = np.broadcast_to(np.ravel(node["kernel_size"]).astype(int), 2)
        return self.windows(x, tuple(kernel), node, kernel).mean(axis=(3, 4))

    def neuron(self, node, x, name):
        """Euler's step of every neuron of NIR, and the reset rule that was derived."""
        def field(key, default=None):
            return np.broadcast_to(np.ravel(node.get(key, default)).astype(float), x.size)

        x, shape, dt = x.ravel(), x.shape, self.step.dt
        if node["type"] == b"Threshold":
            theta = field("threshold")
            return ((x > theta) if self.step.strict else x >= theta).astype(float).reshape(shape)
        v, current, spiked = self.state.get(name, (np.zeros(x.size),) * 3)
        if "tau_syn" in node:
            current = current + dt / field("tau_syn") * (field("w_in", 1.0) * x - current)
            x = current
        if "tau" in node or "tau_mem" in node:
            tau = field("tau" if "tau" in node else "tau_mem")
            new = v + dt / tau * (field("v_leak") - v + field("r") * x)
        else:
            new = v + dt * field("r") * x
        if "v_threshold" not in node:
            self.state[name] = new, current, spiked
            return np.zeros(shape)
        theta, rule = field("v_threshold"), self.step.reset
        if rule is ResetRule.SUBTRACT_DELAYED:
            new = new - spiked * theta
        fires = new > theta if self.step.strict else new >= theta
        self.close |= bool(np.abs(new - theta).min() < 1e-6 * (1 + np.abs(theta).max()))
        kept = np.where(fires, field("v_reset", 0.0), new) if rule is ResetRule.VALUE else (
            new - fires * theta if rule is ResetRule.SUBTRACT else new)
        self.state[name] = kept, current, fires.astype(float)
        return fires.astype(float).reshape(shape)


def numbers(file):
    """Paths of everything that holds numbers or text below the nodes."""
    found = []
    file["node"].visititems(lambda name, item: found.append(f"node/{name}")
                            if isinstance(item, h5py.Dataset) and item.size < 1 << 20 else None)
    return found


def put(file, name, value):
    del file[name]
    file[name] = value


def change_value(file, rng):
    name = rng.choice([n for n in numbers(file) if file[n].dtype.kind == "f" and file[n].size])
    values = np.array(file[name])
    at = rng.randrange(values.size)
    values.flat[at] = rng.choice([np.nan, np.inf, -values.flat[at], 0.0, 1e300, 1e-300,
                                  1.5 * values.flat[at], 2.0 ** rng.randrange(-20, 20)])
    put(file, name, values)


def change_all(file, rng):
    name = rng.choice([n for n in numbers(file) if file[n].dtype.kind in "fi" and file[n].size])
    factor = rng.choice([-1, 0, 2, 3, 0.5, 0.75, 1e9, np.nan])
    with np.errstate(all="ignore"):
        put(file, name, np.array(file[name]) * factor)


def change_shape(file, rng):
    name = rng.choice([n for n in numbers(file) if file[n].dtype.kind in "fi"])
    values = np.array(file[name])
    put(file, name, rng.choice([
        values.ravel(), values[None], values.reshape(-1)[:-1], values.reshape(-1)[:1],
        np.concatenate([values.ravel()] * 2), values.T, np.float64(values.ravel()[0]),
        np.zeros(0)] if values.size else [np.zeros(1)]))


def change_type(file, rng):
    name = rng.choice([n for n in numbers(file) if n.endswith("/type")])
    put(file, name, rng.choice([*NEURONS, "Input", "Output", "Linear", "Affine", "Flatten",
                                "Scale", "NIRGraph", "Delay", "Conv2d", "SumPool2d", "Banana"]))


def change_kind(file, rng):
    put(file, rng.choice(numbers(file)), rng.choice(["text", b"\xff", 3, [1, 2, 3], np.nan, True]))


def drop(file, rng):
    del file[rng.choice(numbers(file))]


def claim(file, rng):
    name = rng.choice(numbers(file))
    del file[name]
    file.create_dataset(name, shape=(1 << rng.randrange(20, 42),), chunks=(1 << 16,), dtype="f8")


def rewire(file, rng):
    groups = ["node", *(f"node/{name}" for name in ("nodes/block",) if name in file["node"])]
    group = file[rng.choice(groups)]
    edges = [list(edge) for edge in group["edges"].asstr()[()]]
    names = [*group["nodes"], "nobody"]
    action = rng.randrange(4)
    if action == 0:
        edges.pop(rng.randrange(len(edges)))
    elif action == 1:
        edges.append([rng.choice(names), rng.choice(names)])
    else:
        edges[rng.randrange(len(edges))][rng.randrange(2)] = rng.choice(names)
    put(file, f"{group.name}/edges", np.array(edges, dtype=object).reshape(-1, 2))


def rename(file, rng):
    nodes = file["node/nodes"]
    name = rng.choice(list(nodes))
    nodes.move(name, rng.choice([f"{name}x", f"{name}.y", "a b", "zero"]))


CHANGES = (change_value, change_value, change_all, change_shape, change_type, change_kind, drop,
           claim, rewire, rewire, rename)


def mutate(path, content, rng):
    """A mutant of `content` in `path`."""
    if rng.random() < 0.3:
        content = bytearray(content)
        for _ in range(rng.randrange(1, 6)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        if rng.random() < 0.3:
            content = content[:rng.randrange(len(content))]
        path.write_bytes(content)
        return
    path.write_bytes(content)
    with h5py.File(path, "r+") as file:
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            try:
                rng.choice(CHANGES)(file, rng)
            except (KeyError, IndexError, TypeError, ValueError):
                continue


def agrees(path, network, step):
    """Whether the float network fires like the reference."""
    spikes = (np.random.default_rng(1).random((1, STEPS, network.axons)) < 0.4).astype(np.uint8)
    got = run_float(network, spikes).spikes[0]
    reference = Reference(path, step)
    (output,) = (name for name, node in reference.nodes.items() if node["type"] == b"Output"
                 and not any(source == name for source, _ in reference.edges))
    with np.errstate(all="ignore"):
        expected = reference.run(spikes[0], network.inputs, output)
    return np.array_equal(got, expected) or reference.close


def is_comparable(network):
    """Whether the reference can follow: plain edges, spikes, sums that float64 holds."""
    def spread(layer):
        sizes = np.abs(layer.weights[layer.weights != 0])
        return np.log2(sizes.max()) - np.log2(sizes.min()) if sizes.size else 0.0

    return ("file" not in network.assumptions and network.axons <= 4096
            and network.layers[-1].spiking and max(map(spread, network.layers)) < 20)


def refusal(path):
    """What ``lamina check`` says against a file."""
    try:
        return check_network(path).refusal
    except UserError as error:
        return str(error)


def examine(path, tally):
    """Read a mutant and judge what came of it."""
    start = time.monotonic()
    try:
        network = read_network(path)
    except UserError as error:
        assert "\n" not in str(error) and path.name in str(error)
        assert refusal(path).split(" (")[0] == str(error).split(" (")[0]
        tally["refused"] += 1
    else:
        tally["accepted"] += 1
        if is_comparable(network):
            assert agrees(path, network, read_outline(path).step)
            tally["compared"] += 1
    assert time.monotonic() - start < SLOWEST_SECONDS


@pytest.mark.parametrize("name", ["convolution", "dense", "recurrent", "varied"])
def test_originals_run_as_the_reference(originals, tmp_path, name):
    path = tmp_path / "net.nir"
    path.write_bytes(originals[name])
    network = read_network(path)
    spikes = (np.random.default_rng(2).random((1, 40, network.axons)) < 0.4).astype(np.uint8)
    got = run_float(network, spikes).spikes[0]
    expected = Reference(path, read_outline(path).step).run(spikes[0], network.inputs, "output")
    assert 0.05 < got.mean() < 0.95
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("examples", [
    300, pytest.param(int(os.environ.get("LAMINA_FUZZ", "10000")), marks=[
        pytest.mark.long, pytest.mark.timeout(7200)])])
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_mutants_are_refused_or_run_as_they_say(originals, tmp_path, examples):
    tally = {"refused": 0, "accepted": 0, "compared": 0}
    path = tmp_path / "mutant.nir"

    @settings(max_examples=examples, deadline=None, derandomize=True, database=None,
              suppress_health_check=list(HealthCheck))
    @given(name=st.sampled_from(sorted(originals)), rng=st.randoms(use_true_random=True))
    def mutants(name, rng):
        mutate(path, originals[name], rng)
        examine(path, tally)

    mutants()
    assert min(tally.values()) > examples // 20, tally
