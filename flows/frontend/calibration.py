"""What quantisation lost: the integer program against the float network, layer by layer."""

from __future__ import annotations

import dataclasses

import numpy as np

from lamina.flows.frontend.float_network import FloatNetwork, run_float
from lamina.models.decoder import decode
from lamina.models.fixed import bounds
from lamina.models.network import run
from lamina.models.program import Program
from lamina.models.trace import Trace

__all__ = ["Calibration", "Disagreement", "LayerLoss", "assess", "samples_at_once"]

_CHUNK_STATES = 20_000_000
"""Membranes of all timesteps that are held at once."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Disagreement:
    """A spike that only one of the two fires.

    Parameters
    ----------
    sample, timestep : int
    layer : str
    neuron : int
    float_spike, integer_spike : int
        0 or 1.
    float_membrane, float_theta : float
        Stored after the timestep, and threshold [unit of the network].
    integer_membrane, integer_theta : int
        The same [LSB].
    """

    sample: int
    timestep: int
    layer: str
    neuron: int
    float_spike: int
    integer_spike: int
    float_membrane: float
    float_theta: float
    integer_membrane: int
    integer_theta: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerLoss:
    """How one integer layer compares with its float counterpart in the running network.

    Parameters
    ----------
    name : str
    scale : str
        ``neuron`` or ``layer``: what shares one weight scale; ``given`` for a finished program.
        ``neuron, 4 copies``: each weight is the sum of four codes.
    spike_agreement : float
        Equal spike bits over all bits.
    jaccard : float
        Spikes that both fire over spikes that either fires; 1 when neither fires.
    float_spikes, integer_spikes : int
    saturations : int
        Membranes stored at a bound of ``state_bits``.
    membrane_low, membrane_high, theta_low, theta_high : int
        Ranges seen [LSB].
    float_low, float_high : float
        Range of the float membrane [unit of the network].
    first : Disagreement or None
        Of the lowest sample, timestep and neuron, in that order.
    """

    name: str
    scale: str
    spike_agreement: float
    jaccard: float
    float_spikes: int
    integer_spikes: int
    saturations: int
    membrane_low: int
    membrane_high: int
    theta_low: int
    theta_high: int
    float_low: float
    float_high: float
    first: Disagreement | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration:
    """Float network and integer program on the same encoded samples.

    Parameters
    ----------
    samples : int
    float_accuracy, integer_accuracy : float or None
        Right predictions over samples; None without labels.
    agreement : float
        Equal predictions over samples.
    layers : tuple of LayerLoss
    """

    samples: int
    float_accuracy: float | None
    integer_accuracy: float | None
    agreement: float
    layers: tuple[LayerLoss, ...]

    @property
    def first(self) -> Disagreement | None:
        """Where the network first disagrees: lowest sample, timestep and layer, in that order."""
        found = [(loss.first.sample, loss.first.timestep, index)
                 for index, loss in enumerate(self.layers) if loss.first is not None]
        return self.layers[min(found)[2]].first if found else None

    def to_dict(self) -> dict:
        """Plain numbers and text, for JSON; with the first disagreement of all layers."""
        first = None if self.first is None else dataclasses.asdict(self.first)
        return dataclasses.asdict(self) | {"first_disagreement": first}


def samples_at_once(network: FloatNetwork) -> int:
    """Samples whose membranes of all timesteps and layers fit into memory together, 1 or more."""
    states = network.timesteps * sum(layer.neurons for layer in network.layers)
    return max(1, _CHUNK_STATES // states)


class _Tally:
    """Sums over chunks of samples for layer `index`."""

    def __init__(self, network: FloatNetwork, program: Program, index: int):
        self.source, self.layer, self.index = network.layers[index], program.layers[index], index
        self.bounds = bounds(program.state_bits)
        self.bits = self.equal = self.both = self.either = 0
        self.float_spikes = self.integer_spikes = self.saturations = 0
        self.low = self.high = 0
        self.float_low = self.float_high = 0.0
        self.first: Disagreement | None = None

    def add(self, wanted: Trace, got: Trace, start: int) -> None:
        """Count traces of samples from number `start` on."""
        expected, fired = wanted.layer_spikes[self.index], got.layer_spikes[self.index]
        ideal, membranes = wanted.layer_membranes[self.index], got.layer_membranes[self.index]
        both = int(np.count_nonzero(expected & fired))
        either = int(np.count_nonzero(expected | fired))
        low, high = self.bounds
        self.bits += fired.size
        self.equal += fired.size - (either - both)
        self.both += both
        self.either += either
        self.float_spikes += int(np.count_nonzero(expected))
        self.integer_spikes += int(np.count_nonzero(fired))
        self.saturations += int(np.count_nonzero((membranes == low) | (membranes == high)))
        self.low = min(self.low, int(membranes.min()))
        self.high = max(self.high, int(membranes.max()))
        self.float_low = min(self.float_low, float(ideal.min()))
        self.float_high = max(self.float_high, float(ideal.max()))
        if self.first is None and both != either:
            self.first = self._disagreement(expected, fired, ideal, membranes, start)

    def _disagreement(self, expected: np.ndarray, fired: np.ndarray, ideal: np.ndarray,
                      membranes: np.ndarray, start: int) -> Disagreement:
        where = tuple(map(int, np.unravel_index((expected != fired).argmax(), fired.shape)))
        sample, timestep, neuron = where
        return Disagreement(
            sample=start + sample, timestep=timestep, layer=self.layer.name, neuron=neuron,
            float_spike=int(expected[where]), integer_spike=int(fired[where]),
            float_membrane=float(ideal[where]), float_theta=float(self.source.theta[neuron]),
            integer_membrane=int(membranes[where]), integer_theta=int(self.layer.theta[neuron]))

    def loss(self, scale: str) -> LayerLoss:
        """The line of the table."""
        layer = self.layer
        return LayerLoss(
            name=layer.name, scale=scale, spike_agreement=self.equal / self.bits,
            jaccard=self.both / self.either if self.either else 1.0,
            float_spikes=self.float_spikes, integer_spikes=self.integer_spikes,
            saturations=self.saturations, membrane_low=self.low, membrane_high=self.high,
            theta_low=int(layer.theta.min()), theta_high=int(layer.theta.max()),
            float_low=self.float_low, float_high=self.float_high, first=self.first)


def assess(network: FloatNetwork, program: Program, spikes: np.ndarray,
           labels: np.ndarray | None = None, *, tiers: tuple[int, ...],
           scales: tuple[str, ...] = ()) -> Calibration:
    """Run both on `spikes` and compare predictions and every layer's spikes.

    Parameters
    ----------
    network : FloatNetwork
    program : Program
        Quantised from `network`.
    spikes : uint8 array (N, T, axons), or what gives slices of one
        N of at least 1; some samples are taken at a time.
    labels : int array (N,) or None
    tiers : tuple of int
        Bits of the memory tiers.
    scales : tuple of str
        Scale kind of each layer for the table.
    """
    tallies = [_Tally(network, program, index) for index in range(len(program.layers))]
    rows = samples_at_once(network)
    predictions = []
    for first in range(0, len(spikes), rows):
        chunk = spikes[first:first + rows]
        wanted, got = run_float(network, chunk, trace=True), run(program, chunk, tiers, trace=True)
        for tally in tallies:
            tally.add(wanted, got, first)
        predictions.append([decode(program.decoding, trace.spikes, trace.membranes)
                            for trace in (wanted, got)])
    float_guess, integer_guess = np.concatenate(predictions, axis=1)
    kinds = scales or ("given",) * len(tallies)
    return Calibration(
        samples=len(spikes), agreement=float((float_guess == integer_guess).mean()),
        float_accuracy=None if labels is None else float((float_guess == labels).mean()),
        integer_accuracy=None if labels is None else float((integer_guess == labels).mean()),
        layers=tuple(tally.loss(kind) for tally, kind in zip(tallies, kinds, strict=True)))
