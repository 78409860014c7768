"""What quantisation lost: the integer program against the float network, layer by layer."""

from __future__ import annotations

import dataclasses

import numpy as np

from lamina.flows.frontend.float_network import FloatNetwork, run_float
from lamina.models.decoder import decode
from lamina.models.fixed import bounds
from lamina.models.network import run
from lamina.models.program import Program

__all__ = ["Calibration", "LayerLoss", "assess"]

_CHUNK_SAMPLES = 500


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerLoss:
    """How one integer layer compares with its float counterpart in the running network.

    Parameters
    ----------
    name : str
    scale : str
        ``neuron`` or ``layer``: what shares one weight scale; ``given`` for a finished program.
    spike_agreement : float
        Equal spike bits over all bits.
    jaccard : float
        Spikes that both fire over spikes that either fires; 1 when neither fires.
    float_spikes, integer_spikes : int
    saturations : int
        Membranes stored at a bound of ``state_bits``.
    membrane_low, membrane_high, theta_low, theta_high : int
        Ranges seen [LSB].
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

    def to_dict(self) -> dict:
        """Plain numbers and text, for JSON."""
        return dataclasses.asdict(self)


class _Tally:
    """Sums over chunks of samples for one layer."""

    def __init__(self):
        self.bits = self.equal = self.both = self.either = 0
        self.float_spikes = self.integer_spikes = self.saturations = 0
        self.low = self.high = 0

    def add(self, wanted: np.ndarray, got: np.ndarray, membranes: np.ndarray,
            state_bits: int) -> None:
        both = int(np.count_nonzero(wanted & got))
        either = int(np.count_nonzero(wanted | got))
        low, high = bounds(state_bits)
        self.bits += got.size
        self.equal += got.size - (either - both)
        self.both += both
        self.either += either
        self.float_spikes += int(np.count_nonzero(wanted))
        self.integer_spikes += int(np.count_nonzero(got))
        self.saturations += int(np.count_nonzero((membranes == low) | (membranes == high)))
        self.low = min(self.low, int(membranes.min()))
        self.high = max(self.high, int(membranes.max()))


def _loss(layer, tally: _Tally, scale: str) -> LayerLoss:
    return LayerLoss(
        name=layer.name, scale=scale, spike_agreement=tally.equal / tally.bits,
        jaccard=tally.both / tally.either if tally.either else 1.0,
        float_spikes=tally.float_spikes, integer_spikes=tally.integer_spikes,
        saturations=tally.saturations, membrane_low=tally.low, membrane_high=tally.high,
        theta_low=int(layer.theta.min()), theta_high=int(layer.theta.max()))


def assess(network: FloatNetwork, program: Program, spikes: np.ndarray,
           labels: np.ndarray | None = None, *, tiers: tuple[int, ...],
           scales: tuple[str, ...] = ()) -> Calibration:
    """Run both on `spikes` and compare predictions and every layer's spikes.

    Parameters
    ----------
    network : FloatNetwork
    program : Program
        Quantised from `network`.
    spikes : uint8 array (N, T, axons)
        N of at least 1.
    labels : int array (N,) or None
    tiers : tuple of int
        Bits of the memory tiers.
    scales : tuple of str
        Scale kind of each layer for the table.
    """
    tallies = [_Tally() for _ in program.layers]
    predictions = []
    for first in range(0, len(spikes), _CHUNK_SAMPLES):
        chunk = spikes[first:first + _CHUNK_SAMPLES]
        wanted, got = run_float(network, chunk, trace=True), run(program, chunk, tiers, trace=True)
        for index, tally in enumerate(tallies):
            tally.add(wanted.layer_spikes[index], got.layer_spikes[index],
                      got.layer_membranes[index], program.state_bits)
        predictions.append([decode(program.decoding, trace.spikes, trace.membranes)
                            for trace in (wanted, got)])
    float_guess, integer_guess = np.concatenate(predictions, axis=1)
    kinds = scales or ("given",) * len(tallies)
    return Calibration(
        samples=len(spikes), agreement=float((float_guess == integer_guess).mean()),
        float_accuracy=None if labels is None else float((float_guess == labels).mean()),
        integer_accuracy=None if labels is None else float((integer_guess == labels).mean()),
        layers=tuple(_loss(*parts) for parts in zip(program.layers, tallies, kinds, strict=True)))
