"""Graphs of layers: both executors against one neuron and one spike at a time in plain Python."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from lamina.models.config import ResetRule
from lamina.models.network import run, sops_per_sample
from lamina.models.program import Layer, Program
from lamina.models.ranges import accumulator_bits
from lamina.models.source import INPUT, Source, Window

TIERS = (3, 2)
WIDTHS = {"decay_bits": 6, "state_bits": 10}


def arriving(source, layer, position, frame):
    """Axons of `source`, counted from its first, whose weight a spike of `frame` adds."""
    if source.window is None:
        return np.flatnonzero(frame).tolist()
    window, axons = source.window, []
    channels, rows, columns = window.shape
    y, x = divmod(position, layer.shape[2])
    (pool_y, pool_x), (high, wide) = window.pool, window.kernel
    for ky, kx, channel in itertools.product(range(high), range(wide), range(channels)):
        row = y * window.stride[0] + ky * window.dilation[0] - window.padding[0]
        column = x * window.stride[1] + kx * window.dilation[1] - window.padding[1]
        if not (0 <= row < rows // pool_y and 0 <= column < columns // pool_x):
            continue
        for dy, dx in itertools.product(range(pool_y), range(pool_x)):
            unit = (channel * rows + row * pool_y + dy) * columns + column * pool_x + dx
            if frame[unit]:
                axons.append((ky * wide + kx) * channels + channel)
    return axons


class Naive:
    """One sample of a program, neuron by neuron."""

    def __init__(self, program, inputs, scalar_step):
        self.program, self.inputs, self.step = program, inputs, scalar_step
        self.spikes = [np.zeros((len(inputs), layer.neurons), np.uint8)
                       for layer in program.layers]
        self.membranes = [np.zeros((len(inputs) + 1, layer.neurons), np.int64)
                          for layer in program.layers]
        self.sops = [0] * len(program.layers)
        for t, number in itertools.product(range(len(inputs)), range(len(program.layers))):
            for neuron in range(program.layers[number].neurons):
                self.advance(t, number, neuron)

    def sent(self, source, t):
        """What left `source` its delay before `t`."""
        when = t - source.delay
        if when < 0:
            return np.zeros(source.units, np.uint8)
        if source.layer == INPUT:
            return self.inputs[when, source.first:source.first + source.units]
        return self.spikes[source.layer][when]

    def advance(self, t, number, neuron):
        """One neuron in one timestep."""
        program, layer = self.program, self.program.layers[number]
        column, position = divmod(neuron, layer.neurons // layer.weights.shape[1])
        weights, base = [], 0
        for source in layer.sources:
            weights += [int(layer.weights[base + axon, column]) for axon in
                        arriving(source, layer, position, self.sent(source, t))]
            base += source.axons
        self.sops[number] += len(weights)
        current = 0 if layer.current is None else self.membranes[layer.current][t + 1, neuron]
        spiked = self.spikes[number][t - 1, neuron] if t else 0
        spike, v, _ = self.step(
            layer, neuron, int(self.membranes[number][t, neuron]), weights, current=int(current),
            spiked=int(spiked), decay_bits=program.decay_bits, state_bits=program.state_bits,
            acc_bits=program.acc_bits)
        self.spikes[number][t, neuron] = spike
        self.membranes[number][t + 1, neuron] = v


def random_pair(rng, low, high):
    return tuple(int(number) for number in rng.integers(low, high, 2))


def random_window(rng, shape):
    """Any window over a map of `shape`."""
    return Window(shape=shape, kernel=random_pair(rng, 1, 4), stride=random_pair(rng, 1, 3),
                  padding=random_pair(rng, 0, 3), dilation=random_pair(rng, 1, 3),
                  pool=tuple(min(size, extent) for size, extent
                             in zip(random_pair(rng, 1, 3), shape[1:], strict=True)))


def random_sources(rng, number, outputs, inputs, maps):
    """One to three sources of layer `number`, of `maps` with windows or of anything without."""
    known = [(INPUT, first, shape) for first, shape in inputs]
    known += [(layer, 0, shape) for layer, shape in outputs.items()]
    known = [item for item in known if len(item[2]) == 3 or not maps]
    sources = []
    for _ in range(int(rng.integers(1, 4))):
        layer, first, shape = known[int(rng.integers(len(known)))]
        least = int(layer >= number)
        sources.append(Source(layer=layer, first=first, units=int(np.prod(shape)),
                              delay=least + int(rng.choice([0, 0, 1, 3])),
                              window=random_window(rng, shape) if maps else None))
    return tuple(sources)


def random_graph(rng, random_layer, random_model):
    """Two inputs, three to five layers of any shape; integrators feed the layer behind them."""
    inputs = [(0, (2, 4, 3)), (24, (5,))]
    count = int(rng.integers(3, 6))
    shapes = [tuple(int(n) for n in rng.integers(1, 4, 3)) if rng.random() < 0.5
              else (int(rng.integers(1, 8)),) for _ in range(count)]
    pairs = [k for k in range(count - 1) if rng.random() < 0.3]
    for k in pairs:
        shapes[k + 1] = shapes[k]
    outputs = {k: shape for k, shape in enumerate(shapes) if k not in pairs}
    layers = []
    for k, shape in enumerate(shapes):
        current = k - 1 if k - 1 in pairs else None
        alone = current is not None and rng.random() < 0.5
        sources = () if alone else random_sources(rng, k, outputs, inputs, len(shape) == 3)
        layer = random_layer(
            rng, name=f"layer{k}", axons=sum(source.axons for source in sources) or 1,
            neurons=int(np.prod(shape)), weight_bits=5, **WIDTHS)
        layer = spiking_or_not(random_model(rng, layer, 10), k in pairs)
        layer = dataclasses.replace(layer, sources=sources, shape=shape, current=current,
                                    weights=layer.weights[:0 if alone else None, :shape[0]])
        layers.append(layer)
    bits = accumulator_bits(layers, tiers=TIERS, gated=0, fill="mid", **WIDTHS)
    return Program(name="graph", layers=tuple(layers), timesteps=6, weight_bits=5, acc_bits=bits,
                   input_shape=(29,), **WIDTHS)


def spiking_or_not(layer, still) -> Layer:
    """An integrator if `still`, else a layer that spikes and whose thresholds are within reach."""
    zeros = np.zeros(layer.neurons, dtype=np.int64)
    if still:
        return dataclasses.replace(layer, reset=ResetRule.VALUE, spiking=False, theta=zeros,
                                   r=zeros, v_reset=zeros, refractory=0)
    return dataclasses.replace(layer, spiking=True, theta=layer.theta % 40 + 1)


def kinds(program):
    """What of the contract a program makes use of."""
    found = set()
    for number, layer in enumerate(program.layers):
        found |= {layer.reset.label, f"leak {layer.leak}", f"refractory {layer.refractory}"}
        if layer.current is not None:
            found.add("current")
        for source in layer.sources:
            found.add("loop" if source.layer == number else "input" if source.layer == INPUT
                      else "back" if source.layer > number else "on")
            found.add(f"delay {source.delay}")
            if source.window is not None:
                found |= {name for name in ("stride", "padding", "dilation", "pool")
                          if max(getattr(source.window, name)) > int(name != "padding")}
    return found


@pytest.mark.parametrize("seed", range(3))
def test_both_executors_equal_plain_python(random_layer, random_model, scalar_step, seed):
    rng = np.random.default_rng(seed)
    seen, fired = set(), []
    for _ in range(40):
        program = random_graph(rng, random_layer, random_model)
        spikes = (rng.random((2, 6, program.axons)) < 0.4).astype(np.uint8)
        expected = [Naive(program, sample, scalar_step) for sample in spikes]
        for plain in (True, False):
            trace = run(program, spikes, TIERS, trace=True, plain=plain)
            assert trace.wraps == 0
            for number in range(len(program.layers)):
                for sample, naive in enumerate(expected):
                    assert trace.sops[number, sample] == naive.sops[number]
                    np.testing.assert_array_equal(trace.layer_spikes[number][sample],
                                                  naive.spikes[number])
                    np.testing.assert_array_equal(trace.layer_membranes[number][sample],
                                                  naive.membranes[number][1:])
            counts = [[naive.spikes[k].sum() for naive in expected]
                      for k in range(len(program.layers))]
            assert trace.spike_counts[1:].tolist() == counts
            assert sops_per_sample(program, trace).tolist() == [
                sum(naive.sops) for naive in expected]
        seen |= kinds(program)
        fired += [trace.layer_spikes[k].mean() for k, layer in enumerate(program.layers)
                  if layer.spiking]
    assert seen == {
        "value", "subtract", "subtract-delayed", "subtract-rederived", "leak decay",
        "leak subtract", "refractory 0", "refractory 1", "current", "loop", "input", "back", "on",
        "delay 0", "delay 1", "delay 2", "delay 3", "delay 4", "stride", "padding", "dilation",
        "pool"}
    assert np.count_nonzero(fired) > len(fired) // 2 and 0.1 < np.mean(fired) < 0.9


def test_a_loop_and_a_delay_worked_by_hand(make_layer):
    layer = make_layer(weights=[[60], [40], [-30]], theta=100, r=100, sources=(
        Source(layer=INPUT, units=1), Source(layer=INPUT, units=1, delay=2),
        Source(layer=0, units=1, delay=1)))
    program = Program(name="loop", layers=(layer,), timesteps=5, weight_bits=8, acc_bits=18)
    spikes = np.array([[[1], [0], [1], [0], [0]]], dtype=np.uint8)
    for plain in (True, False):
        trace = run(program, spikes, (4, 4), trace=True, plain=plain)
        assert trace.layer_membranes[0][0, :, 0].tolist() == [60, 60, 60, 30, 70]
        assert trace.spikes[0, :, 0].tolist() == [0, 0, 1, 0, 0]
        assert trace.sops.tolist() == [[2 + 2 + 1]]


def test_a_pooled_window_worked_by_hand():
    window = Window(shape=(1, 4, 4), kernel=(1, 2), pool=(2, 2), padding=(0, 1))
    layer = Layer(
        name="conv", weights=np.array([[10], [1]]), shape=(1, 2, 3), spiking=False,
        reset=ResetRule.VALUE, sources=(Source(layer=INPUT, units=16, window=window),),
        **{name: np.zeros(6, dtype=np.int64)
           for name in ("decay", "theta", "r", "v_reset", "bias")})
    program = Program(name="pool", layers=(layer,), timesteps=1, weight_bits=8, acc_bits=18,
                      input_shape=(1, 4, 4))
    frame = np.array([[1, 1, 0, 0], [1, 0, 0, 1], [0, 0, 1, 1], [0, 0, 1, 1]], dtype=np.uint8)
    trace = run(program, frame.reshape(1, 1, 16), (4, 4), plain=True)
    assert trace.final_membranes[0].tolist() == [[3, 31, 10, 0, 4, 40]]


@pytest.mark.parametrize(("first", "units", "delay", "wanted"), [
    (0, 3, 0, [[1, 0, 1], [0, 1, 1], [1, 1, 0]]), (1, 2, 1, [[0, 0], [0, 1], [1, 1]]),
    (2, 1, 3, [[0], [0], [0]]), (0, 1, 9, [[0], [0], [0]])])
def test_spikes_of_a_source_arrive_late(first, units, delay, wanted):
    sent = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 0]], dtype=np.uint8)
    source = Source(layer=INPUT, first=first, units=units, delay=delay)
    found = source.arriving(sent)
    assert found.dtype == sent.dtype and found.tolist() == wanted
    assert source.arriving(np.stack([sent, 0 * sent])).tolist() == [wanted, np.zeros_like(
        wanted).tolist()]
