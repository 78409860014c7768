"""What a configuration will lose, guessed from what its layers add in noise."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np

from lamina.flows.search.space import Configuration, Space
from lamina.flows.study.modes import with_modes
from lamina.models.adders.errors import error_moments
from lamina.models.adders.spec import AdderSpec
from lamina.models.program import Layer, Program
from lamina.models.tiers import effective_weights
from lamina.models.voltage import bit_error_rate, supplies

__all__ = ["Surrogate", "adder_noise", "weight_noise"]

_SMALLEST = 1e-4
_TABLED_BITS = 10


def weight_noise(layer: Layer, volts: tuple[float, ...], gated: int, fill: str,
                 tiers: tuple[int, ...]) -> float:
    """Root mean square error of a weight [LSB]: failing cells by p(V), gated tiers by their fill.

    Accuracy follows it closely (Nguyen 2023b): flat below some 3 LSB, gone above 12.
    """
    square, place = 0.0, sum(tiers)
    for bits, supply in zip(tiers, volts, strict=True):
        place -= bits
        if supply:
            square += bit_error_rate(supply) * sum(4.0 ** (place + bit) for bit in range(bits))
    if gated:
        seen = effective_weights(layer.weights, tiers, gated, fill)
        square += float(np.var(seen - layer.weights))
    return square ** 0.5


def adder_noise(layer: Layer) -> float:
    """Root mean square error of an addition about its mean [LSB], which compensation leaves."""
    spec = AdderSpec.parse(layer.adder)
    if spec.is_exact:
        return 0.0
    if spec.window or spec.low_bits > _TABLED_BITS:
        return float(1 << (spec.low_bits or 8))
    moments = error_moments(spec)
    return max(0.0, moments.mean_square - moments.mean ** 2) ** 0.5


class Surrogate:
    """Gaussian process over the logarithms of the noise.

    Parameters
    ----------
    space : Space
    program : Program
        Exact, at nominal voltages.
    fan_in : float array (layers,)
    tiers : tuple of int
    seed : int
    """

    def __init__(self, space: Space, program: Program, fan_in: np.ndarray,
                 tiers: tuple[int, ...], seed: int):
        self._space, self._program, self._tiers = space, program, tiers
        self._fan_in, self._seed = fan_in, seed
        self._weights: dict[str, list[float]] = {}
        self._adders: dict[tuple[int, str], float] = {}
        self._model = None

    def features(self, configuration: Configuration) -> np.ndarray:
        """Logarithms of the noise of each layer, by weights and by adders, and of all together.

        Noise on the sum of a timestep, over the threshold.
        """
        sizes = []
        for index, (adder, mode) in enumerate(zip(configuration.adders, configuration.modes,
                                                  strict=True)):
            layer = self._program.layers[index]
            theta = max(1.0, float(np.median(np.abs(layer.theta))))
            scale = float(np.sqrt(max(1.0, self._fan_in[index]))) / theta
            sizes += [scale * self._weight_noise(mode)[index],
                      scale * self._adder_noise(index, adder)]
        total = float(np.sqrt(np.square(sizes).sum()))
        return np.log(np.maximum(_SMALLEST, [*sizes, total]))

    def _weight_noise(self, mode: str) -> list[float]:
        """Of every layer in one mode."""
        if mode not in self._weights:
            text = ";".join(f"{layer.name}:{mode}" for layer in self._program.layers)
            program = with_modes(self._program, text, self._tiers)
            self._weights[mode] = [
                weight_noise(layer, supplies(program, layer, len(self._tiers)), layer.gated_tiers,
                             program.tier_fill, self._tiers) for layer in program.layers]
        return self._weights[mode]

    def _adder_noise(self, index: int, adder: str) -> float:
        if (index, adder) not in self._adders:
            layer = dataclasses.replace(self._program.layers[index], adder=adder)
            self._adders[index, adder] = adder_noise(layer)
        return self._adders[index, adder]

    def fit(self, configurations: list[Configuration], losses: list[float]) -> None:
        """Learn from evaluations; losses in 0..1."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

        points = np.array([self.features(configuration) for configuration in configurations])
        values = np.log(np.maximum(losses, 0) + 1e-3)
        kernel = (ConstantKernel(1.0, (1e-2, 1e3)) * RBF(np.full(points.shape[1], 3.0),
                                                         (0.3, 100.0))
                  + WhiteKernel(0.05, (1e-3, 1.0)))
        model = GaussianProcessRegressor(kernel, normalize_y=True, n_restarts_optimizer=1,
                                         random_state=self._seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._model = model.fit(points, values)

    def predict(self, configurations: list[Configuration]) -> tuple[np.ndarray, np.ndarray]:
        """Expected loss, and one that it falls short of in about one case of six (optimistic)."""
        points = np.array([self.features(configuration) for configuration in configurations])
        mean, deviation = self._model.predict(points, return_std=True)
        return np.exp(mean) - 1e-3, np.exp(mean - deviation) - 1e-3
