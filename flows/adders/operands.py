"""What adders are given: accumulators and weights as a core sees them, seeded."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np

from lamina.flows.job import Options, compile_for, load_program, resolve
from lamina.models.adders.adder import add
from lamina.models.adders.spec import AdderSpec
from lamina.models.fixed import bounds

__all__ = ["KINDS", "UNIFORM_WEIGHTS", "Operands", "network_weights"]

KINDS = ("walk", "uniform")
"""``walk``: sums of a neuron, one weight after the other; ``uniform``: unrelated pairs."""
UNIFORM_WEIGHTS = np.arange(-128, 128)
"""Every 8-bit weight once."""
_REACH = 1 << 13
_SUMS, _ADDITIONS = 256, 32


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Operands:
    """A seeded stream of operand pairs.

    Parameters
    ----------
    kind : str
        One of :data:`KINDS`.
    weights : int array
        Weights, equally likely [LSB].
    seed : int
    """

    kind: str = "walk"
    weights: np.ndarray = dataclasses.field(default_factory=lambda: UNIFORM_WEIGHTS)
    seed: int = 0

    def stream(self, spec: AdderSpec, bits: int) -> tuple[np.ndarray, np.ndarray]:
        """Accumulators and weights, both int64 (32, 256): 256 streams of 32 additions.

        Accumulators begin uniform in ±2**13 [LSB], or as far as `bits` go. Under ``walk`` each is
        the sum that `spec` made of the pair before it, under ``uniform`` drawn anew.
        """
        rng = np.random.default_rng(self.seed)
        low, high = (max(-_REACH, bounds(bits)[0]), min(_REACH - 1, bounds(bits)[1]))
        weights = rng.choice(self.weights, (_ADDITIONS, _SUMS))
        sums = rng.integers(low, high + 1, (_ADDITIONS, _SUMS))
        if self.kind == "walk":
            for step in range(1, _ADDITIONS):
                sums[step] = add(spec, sums[step - 1], weights[step - 1], bits)
        return sums, weights


def network_weights(net: pathlib.Path) -> np.ndarray:
    """Weights of all layers of a network, flat [LSB].

    Parameters
    ----------
    net : pathlib.Path
        A ``.nir`` file, compiled as ``lamina compile`` does by default, or the folder of a program.

    Raises
    ------
    UserError
        If there is no network.
    """
    job = resolve(Options(net=net), "adders")
    program = (compile_for(job, None).program if job.program_folder is None
               else load_program(job.program_folder))
    return np.concatenate([layer.weights.ravel() for layer in program.layers])
