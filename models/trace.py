"""What an executor leaves behind: spikes, membranes and counts of a run."""

from __future__ import annotations

import dataclasses

import numpy as np

__all__ = ["Trace"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Trace:
    """Result of a run over N samples of T timesteps.

    Parameters
    ----------
    spikes : uint8 array (N, T, outputs)
        Spikes of the last layer.
    final_membranes : tuple of int64 arrays (N, neurons)
        Membranes after the last timestep, layer by layer [LSB]; float64 from the float reference.
    layer_spikes : tuple of uint8 arrays (N, T, neurons)
        Of every layer; empty unless traced.
    layer_membranes : tuple of int64 arrays (N, T, neurons)
        Of every layer after each timestep; empty unless traced.
    spike_counts : int64 array (layers + 1, N)
        Spikes into the network (row 0) and out of each layer.
    wraps : int
        Accumulator overflows seen; the bound of the compiler makes it 0.
    sops : int64 array (layers, N) or None
        Weights added because of a spike; None where the executor does not count them.
    """

    spikes: np.ndarray
    final_membranes: tuple[np.ndarray, ...]
    spike_counts: np.ndarray
    layer_spikes: tuple[np.ndarray, ...] = ()
    layer_membranes: tuple[np.ndarray, ...] = ()
    wraps: int = 0
    sops: np.ndarray | None = None

    @property
    def membranes(self) -> np.ndarray:
        """Of the last layer: (N, T, outputs) when traced, else (N, outputs)."""
        return self.layer_membranes[-1] if self.layer_membranes else self.final_membranes[-1]
