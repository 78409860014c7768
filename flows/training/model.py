"""Spiking layers in torch with the hardware's weights, leak and reset rules."""

from __future__ import annotations

import math

import torch
from torch import nn

from lamina.flows.training.recipe import Recipe, WeightGrid
from lamina.flows.training.spec import LayerSpec, parse_architecture
from lamina.models.config import ResetRule

__all__ = ["SpikingLayer", "SpikingNetwork", "codes"]

_DELAYED = (ResetRule.SUBTRACT_DELAYED, ResetRule.SUBTRACT_REDERIVED)


class _Spike(torch.autograd.Function):
    """Heaviside step whose gradient is that of an arc tangent (Fang et al. 2021)."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return (x >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient / (1 + (math.pi * x).square())


def codes(weights: torch.Tensor, grid: WeightGrid) -> torch.Tensor:
    """Integer codes of `weights`, as floats."""
    if grid.bits == 1:
        return torch.where(weights >= 0, 1.0, -1.0)
    return (weights * grid.levels).round().clamp(grid.low, grid.high)


def _flipped(values: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """`values` (codes) with bits flipped as ``recipe.bit_errors`` says."""
    width = sum(recipe.tiers)
    words = values.to(torch.int64) & ((1 << width) - 1)
    bit = width
    for bits, probability in zip(recipe.tiers, recipe.bit_errors, strict=True):
        for _ in range(bits):
            bit -= 1
            hit = torch.rand(values.shape) < probability
            words = words ^ (hit.to(torch.int64) << bit)
    half = 1 << (width - 1)
    return ((words ^ half) - half).to(values.dtype)


class SpikingLayer(nn.Module):
    """Weights on a grid, then neurons; membranes start at 0 with every call.

    Thresholds are 1, so a weight of one LSB is ``1 / grid.levels``.
    """

    def __init__(self, spec: LayerSpec, recipe: Recipe):
        super().__init__()
        self.spec, self.recipe, self.grid = spec, recipe, recipe.grid(spec.fan_in)
        channels = spec.shape[0]
        shape = (channels, spec.inputs[0], spec.kernel, spec.kernel) if spec.kernel else (
            channels, spec.fan_in)
        reach = self.grid.high / self.grid.levels
        bound = min(reach, 1 / math.sqrt(spec.fan_in)) if self.grid.bits > 3 else reach
        self.weight = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.own = nn.Parameter(torch.zeros(channels, channels).uniform_(-bound / 4, bound / 4)) \
            if spec.recurrent else None

    def clip(self) -> None:
        """Keep the weights where their gradient can still move a code."""
        edge = (self.grid.high + 0.4) / self.grid.levels
        with torch.no_grad():
            for parameter in (self.weight, self.own):
                if parameter is not None:
                    parameter.clamp_(-edge, edge)

    def on_grid(self, parameter: torch.Tensor) -> torch.Tensor:
        """`parameter` as the hardware holds it; the gradient passes straight through."""
        values = codes(parameter, self.grid)
        if self.training and self.recipe.bit_errors:
            values = _flipped(values, self.recipe)
        return parameter + (values / self.grid.levels - parameter).detach()

    def bias_on_grid(self) -> torch.Tensor:
        """Bias in whole LSB."""
        return self.bias + ((self.bias * self.grid.levels).round() / self.grid.levels
                            - self.bias).detach()

    def currents(self, spikes: torch.Tensor) -> torch.Tensor:
        """Input of every timestep (T, B, ...) [threshold], recurrence not included."""
        timesteps, batch = spikes.shape[:2]
        flat = spikes.flatten(0, 1)
        if self.spec.pool > 1:
            flat = nn.functional.avg_pool2d(flat, self.spec.pool) * self.spec.pool**2
        weight, bias = self.on_grid(self.weight), self.bias_on_grid()
        if self.spec.kernel:
            out = nn.functional.conv2d(flat, weight, bias, self.spec.stride, self.spec.padding)
        else:
            out = nn.functional.linear(flat.flatten(1), weight, bias)
        return out.unflatten(0, (timesteps, batch))

    def forward(self, spikes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Spikes and input currents, both (T, B, ...)."""
        currents = self.currents(spikes)
        own = None if self.own is None else self.on_grid(self.own)
        v = torch.zeros_like(currents[0])
        fired, out = v, []
        for current in currents:
            if own is not None:
                current = current + nn.functional.linear(fired, own)
            fired, v = self._step(v, current)
            out.append(fired)
        return torch.stack(out), currents

    def _step(self, v: torch.Tensor, current: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One timestep of architecture 3; the reset itself has no gradient."""
        rule = self.recipe.rule
        x = v * (self.recipe.decay / 256) + current
        a = x - (v >= 1).to(x.dtype).detach() if rule in _DELAYED else x
        fired = _Spike.apply(a - 1)
        taken = fired.detach()
        if rule is ResetRule.VALUE:
            return fired, a * (1 - taken)
        if rule is ResetRule.SUBTRACT_DELAYED:
            return fired, a
        return fired, x - taken


class SpikingNetwork(nn.Module):
    """A chain of spiking layers."""

    def __init__(self, recipe: Recipe):
        super().__init__()
        self.recipe = recipe
        self.layers = nn.ModuleList(SpikingLayer(spec, recipe)
                                    for spec in parse_architecture(recipe.architecture))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one frame."""
        return self.layers[0].spec.inputs

    def forward(self, spikes: torch.Tensor):
        """Output spikes (T, B, outputs), spikes of each hidden layer, currents of each."""
        hidden, currents = [], []
        for layer in self.layers[:-1]:
            spikes, current = layer(spikes)
            hidden.append(spikes)
            currents.append(current)
        if self.training and self.recipe.dropout and hidden:
            kept = torch.rand(spikes.shape[1:]) >= self.recipe.dropout
            spikes = spikes * kept / (1 - self.recipe.dropout)
        out, _ = self.layers[-1](spikes)
        return out, hidden, currents

    def clip(self) -> None:
        """See :meth:`SpikingLayer.clip`."""
        for layer in self.layers:
            layer.clip()
