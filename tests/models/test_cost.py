"""Cycles of scans, windows, jobs and relays: hand-worked values, and sums of the golden model.

The generated core is held to the cost of whole samples in ``tests/cosim`` and ``tests/rtl``.
"""

import dataclasses

import numpy as np
import pytest

from lamina.models.config import FEATURES, HardwareConfig
from lamina.models.cost import sample_cycles, scan_times
from lamina.models.cost.graph import jobs_of, relays_of
from lamina.models.cost.scanner import OUTSIDE, window_times
from lamina.models.drive import window_taps
from lamina.models.network import run
from lamina.models.program import Program
from lamina.models.source import INPUT, Source, Window
from lamina.tb.graphs import random_graph
from lamina.tb.programs import random_spikes

GRAPHS = HardwareConfig(lanes=4, tiers=(2, 2), weight_words=4096, groups=256, layers=32,
                        mask_rows=1024, state_bits=12, acc_bits=22, features=FEATURES)


@pytest.mark.parametrize(("words", "counted", "complete"), [
    ([], [], 12), ([0], [], 14), ([1], [15], 15), ([2, 0, 1], [15, 16, 18], 18)])
def test_a_word_takes_a_cycle_per_spike(words, counted, complete):
    assert scan_times(words, [0] * len(words), 10) == (counted, complete)


def test_words_wait_until_they_may_be_read():
    assert scan_times([1, 1, 1], [0, 20, 20], 10) == ([15, 24, 25], 25)


@pytest.mark.parametrize(("words", "counted", "complete"), [
    ([OUTSIDE] * 3, (), 5), ([1, OUTSIDE, OUTSIDE, 1], (5, 8), 8), ([5, OUTSIDE, 1],
     (5, 6, 7, 8, 9, 10), 10), ([1, OUTSIDE, OUTSIDE, OUTSIDE], (5,), 6)])
def test_words_outside_the_map_cost_nothing_while_others_are_at_work(words, counted, complete):
    assert window_times(tuple(words)) == (counted, complete)


def chain(make_layer, config, timesteps, **fields):
    """One silent neuron behind one axon."""
    layer = dataclasses.replace(make_layer(weights=[[1]]), **fields)
    return Program(name="one", layers=(layer,), timesteps=timesteps, weight_bits=2, acc_bits=18,
                   decay_bits=config.decay_bits, state_bits=config.state_bits)


def silent_cycles(program, config):
    spikes = np.zeros((program.timesteps, 1), dtype=np.uint8)
    return sample_cycles(program, config, spikes, [spikes]).cycles


@pytest.mark.parametrize(("features", "cycles"), [((), 23), (("sources",), 28),
                                                  (("sources", "windows"), 45)])
def test_a_silent_timestep(make_layer, features, cycles):
    """Fetched from 1 on, with sources from 2; no word is looked at; leaked, finished, announced."""
    config = HardwareConfig(features=features)
    assert silent_cycles(chain(make_layer, config, 1), config) == cycles


@pytest.mark.parametrize(("lanes", "groups", "ports", "cycles"), [
    (8, 16, 1, 16 * 96 + 3), (64, 2, 1, 2 * 96 + 3), (64, 1, 1, 96 + 11), (8, 16, 2, 16 * 48 + 3),
    (64, 2, 2, 96 + 10), (64, 4, 2, 4 * 48 + 3)])
def test_timesteps_follow_each_other(make_layer, lanes, groups, ports, cycles):
    """Groups of 96 spikes and 3 cycles; one group waits for its own store, two of two ports for
    their list."""
    config = HardwareConfig(lanes=lanes, groups=512 // lanes, acc_bits=24, ports=ports)
    rng, found, spikes = np.random.default_rng(1), [], np.zeros((6, 784), dtype=np.uint8)
    for step in spikes:
        step[rng.choice(784, 96, replace=False)] = 1
    layer = make_layer(weights=np.zeros((784, lanes * groups), dtype=np.int64))
    for timesteps in (5, 6):
        program = Program(name="wide", layers=(layer,), timesteps=timesteps, weight_bits=2,
                          acc_bits=24)
        silent = np.zeros((timesteps, lanes * groups), dtype=np.uint8)
        found.append(sample_cycles(program, config, spikes[:timesteps], [silent]).cycles)
    assert found[1] - found[0] == cycles


def test_a_relay_waits_for_the_layer_and_holds_the_next_tick(make_layer):
    config = HardwareConfig(features=("sources",))
    program = chain(make_layer, config, 2)
    delayed = chain(make_layer, config, 2, sources=(Source(layer=INPUT, units=1, delay=1),))
    assert [len(relays_of(each, config)) for each in (program, delayed)] == [0, 1]
    assert silent_cycles(program, config) == 45
    assert silent_cycles(delayed, config) == 64


def test_a_window_sees_the_taps_of_the_golden_model():
    spikes_seen = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        program = random_graph(rng, GRAPHS)
        spikes, fired, _ = traced(rng, program)
        for layer, jobs in zip(program.layers, jobs_of(program, GRAPHS, spikes, fired),
                               strict=True):
            for source, scan in zip(layer.sources, jobs.scans, strict=False):
                if source.window is None or source.delay:
                    continue
                sent = spikes if source.layer == INPUT else fired[source.layer]
                units = sent[:, source.first:source.first + source.units]
                taps = window_taps(source.window, units, layer.shape[1:])
                wanted = taps.reshape(len(spikes), jobs.positions, -1).sum(axis=2, dtype=int)
                np.testing.assert_array_equal(listed(scan, *wanted.shape), wanted)
                spikes_seen += wanted.sum()
    assert spikes_seen > 1000


def listed(scan, timesteps, positions):
    """Entries of the lists of every timestep and position."""
    return [[len(scan.times(t, position, 0, ())[0]) for position in range(positions)]
            for t in range(timesteps)]


def traced(rng, program):
    """Random spikes of a sample, those of each layer, and the golden run."""
    spikes = random_spikes(rng, program, 1)
    trace = run(program, spikes, GRAPHS.tiers, trace=True, plain=True)
    return spikes[0], [layer[0] for layer in trace.layer_spikes], trace


def test_windows_count_every_word_under_them(make_layer):
    """Padding left and above, a pool that leaves a column out, two words of channels."""
    window = Window(shape=(5, 3, 5), kernel=(2, 1), padding=(1, 0), pool=(1, 2))
    layer = make_layer(weights=[[1]] * 10)
    layer = dataclasses.replace(layer, shape=(1, 1, 2), sources=(
        Source(layer=INPUT, units=75, window=window),), **{name: np.zeros(2, dtype=np.int64)
                                                           for name in ("r", "v_reset", "bias")},
        decay=np.full(2, 256), theta=np.full(2, 100))
    program = Program(name="window", layers=(layer,), timesteps=1, weight_bits=2, acc_bits=18)
    spikes = np.zeros((1, 75), dtype=np.uint8)
    [jobs] = jobs_of(program, GRAPHS, spikes, [np.zeros((1, 2), dtype=np.uint8)])
    assert (jobs.positions, jobs.groups, jobs.columns) == (2, 1, 1)
    above = inside = 1 * 1 * 2 * 2
    for position in (0, 1):
        assert jobs.scans[0].times(0, position, 0, ()) == ([], 1 + above + 2 + inside)


@pytest.mark.parametrize("seed", range(10))
def test_sops_are_those_of_the_golden_model(seed):
    rng = np.random.default_rng([seed, 1])
    program = random_graph(rng, GRAPHS)
    spikes, fired, trace = traced(rng, program)
    cost = sample_cycles(program, GRAPHS, spikes, fired)
    assert cost.sops == trace.sops.sum()
    assert cost.lane_use == cost.sops / (GRAPHS.lanes * cost.cycles)
    assert cost.lane_use <= 1
