"""What a configuration will lose, guessed from what its layers add in noise."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np

from lamina.flows.adders.walk import walk_moments
from lamina.flows.search.space import Configuration, Space
from lamina.flows.study.modes import with_modes
from lamina.models.adders.spec import AdderSpec
from lamina.models.program import Layer, Program
from lamina.models.tiers import effective_weights
from lamina.models.voltage import bit_error_rate, supplies

__all__ = ["LEVELS", "Surrogate", "adder_noise", "weight_noise"]

LEVELS = 30
"""Equally likely losses of a prediction."""
_TABLED_BITS, _ADDITIONS = 10, 32


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
    """Standard deviation that compensation leaves of a sum, per root of additions [LSB]."""
    spec = AdderSpec.parse(layer.adder)
    if spec.is_exact:
        return 0.0
    if spec.window or spec.low_bits > _TABLED_BITS:
        return float(1 << (spec.low_bits or 8))
    _, variance, _ = walk_moments(spec, layer.weights.ravel(), _ADDITIONS)
    return max(0.0, variance) ** 0.5


class Surrogate:
    """Gaussian process over the noise of each layer.

    It learns ``asin(sqrt(error rate))``, which a finite sample blurs by as much everywhere.

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
        """Noise of each layer, by weights and by adders, and of all together.

        Variance on the sum of a timestep, over the square of the threshold.
        """
        sizes = []
        for index, (adder, mode) in enumerate(zip(configuration.adders, configuration.modes,
                                                  strict=True)):
            layer = self._program.layers[index]
            theta = max(1.0, float(np.median(np.abs(layer.theta))))
            scale = float(np.sqrt(max(1.0, self._fan_in[index]))) / theta
            sizes += [(scale * self._weight_noise(mode)[index]) ** 2,
                      (scale * self._adder_noise(index, adder)) ** 2]
        return np.array([*sizes, sum(sizes)])

    def noise(self, configuration: Configuration) -> float:
        """Of all layers together, as in :meth:`features`."""
        return float(self.features(configuration)[-1])

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

    def fit(self, configurations: list[Configuration], accuracies: list[float]) -> None:
        """Learn from evaluations; accuracies in 0..1, the first of what others lose against."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

        points = np.array([self.features(configuration) for configuration in configurations])
        values = np.arcsin(np.sqrt(1 - np.array(accuracies)))
        self._scale, self._least = points.max(axis=0) + 1e-9, 1 - accuracies[0]
        self._points, self._values = points / self._scale, values
        kernel = (ConstantKernel(1.0, (1e-2, 1e3)) * RBF(np.full(points.shape[1], 1.0),
                                                         (0.1, 30.0))
                  + WhiteKernel(0.05, (1e-3, 1.0)))
        model = GaussianProcessRegressor(kernel, normalize_y=True, n_restarts_optimizer=1,
                                         random_state=self._seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._model = model.fit(self._points, values)
        self._blur = float(np.exp(self._model.kernel_.theta[-1]) * values.var())

    def believe(self, configuration: Configuration) -> None:
        """Take `configuration` for tried, with the expected result: what is like it gets surer."""
        from sklearn.gaussian_process import GaussianProcessRegressor

        point = (self.features(configuration) / self._scale)[None]
        self._values = np.append(self._values, self._model.predict(point))
        self._points = np.concatenate([self._points, point])
        self._model = GaussianProcessRegressor(
            self._model.kernel_, optimizer=None, normalize_y=True).fit(self._points, self._values)

    def predict(self, configurations: list[Configuration]) -> np.ndarray:
        """Losses that are equally likely, ascending, float (configurations, LEVELS)."""
        from scipy.special import ndtri

        points = np.array([self.features(configuration) for configuration in configurations])
        mean, deviation = self._model.predict(points / self._scale, return_std=True)
        known = np.sqrt(np.maximum(0.0, deviation ** 2 - self._blur))
        levels = ndtri((np.arange(LEVELS) + 0.5) / LEVELS)
        angles = np.clip(mean[:, None] + known[:, None] * levels, 0.0, np.pi / 2)
        return np.sin(angles) ** 2 - self._least
