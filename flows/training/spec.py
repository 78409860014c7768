"""The compact language of architectures: ``784-256r-10``, ``2x34x34-12c5s2p1-p2-10``."""

from __future__ import annotations

import dataclasses
import re

from lamina.flows.errors import UserError

__all__ = ["LayerSpec", "parse_architecture"]

_CONV = re.compile(r"(\d+)c(\d+)(?:s(\d+))?(?:p(\d+))?")
_DENSE = re.compile(r"(\d+)(r?)")
_POOL = re.compile(r"p(\d+)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerSpec:
    """One layer of neurons.

    Parameters
    ----------
    inputs, shape : tuple of int
        Shape of what arrives (before the pool) and of the neurons.
    kernel, stride, padding : int
        Of a convolution; kernel 0: fully connected.
    pool : int
        Values that are summed in front of the layer, in both directions.
    recurrent : bool
        Whether the layer hears itself one timestep later.
    """

    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    kernel: int = 0
    stride: int = 1
    padding: int = 0
    pool: int = 1
    recurrent: bool = False

    @property
    def fan_in(self) -> int:
        """Weights of one neuron, its own layer's not counted."""
        channels, *size = self.inputs
        if self.kernel:
            return channels * self.kernel * self.kernel
        for extent in size:
            channels *= extent // self.pool
        return channels


def parse_architecture(text: str) -> tuple[LayerSpec, ...]:
    """Layers of an architecture.

    The first part is the input, ``784`` or ``2x34x34``; each further one a layer: ``256`` neurons,
    ``256r`` with recurrence, ``16c5s2p1`` a convolution of 16 channels with kernel 5, stride 2 and
    padding 1; ``p2`` sums 2 x 2 spikes in front of the next layer.

    Raises
    ------
    UserError
        If a part is none of these or does not fit what comes before it.
    """
    first, *parts = text.split("-")
    if not re.fullmatch(r"\d+(x\d+x\d+)?", first) or not parts or 0 in map(int, first.split("x")):
        raise UserError(f"architecture must be like 784-128-10 or 2x34x34-16c5s2-10, not {text!r}")
    shape, pool, layers = tuple(int(n) for n in first.split("x")), 1, []
    for part in parts:
        if match := _POOL.fullmatch(part):
            pool *= int(match[1])
            if len(shape) != 3 or pool < 1 or shape[1] // pool < 1 or shape[2] // pool < 1:
                raise UserError(f"architecture: {part} must pool a map, not values of shape "
                                f"{shape}")
            continue
        layers.append(_layer(part, shape, pool))
        shape, pool = layers[-1].shape, 1
    if not layers or pool > 1:
        raise UserError(f"architecture must end in a layer of neurons, not {text!r}")
    return tuple(layers)


def _layer(part: str, shape: tuple[int, ...], pool: int) -> LayerSpec:
    if match := _DENSE.fullmatch(part):
        if int(match[1]) == 0:
            raise UserError(f"architecture: a layer must have neurons, not {part!r}")
        return LayerSpec(inputs=shape, shape=(int(match[1]),), pool=pool,
                         recurrent=bool(match[2]))
    match = _CONV.fullmatch(part)
    if not match:
        raise UserError(f"architecture: a layer must be like 256, 256r, 16c5s2p1 or p2, "
                        f"not {part!r}")
    channels, kernel, stride, padding = (int(match[i] or d) for i, d in
                                         ((1, 0), (2, 0), (3, 1), (4, 0)))
    if len(shape) != 3 or min(channels, kernel, stride) < 1:
        raise UserError(f"architecture: {part} must stand on a map, not on values of shape {shape}")
    size = tuple((extent // pool + 2 * padding - kernel) // stride + 1 for extent in shape[1:])
    if min(size) < 1:
        raise UserError(f"architecture: the kernel of {part} must fit the map {shape[1:]}")
    return LayerSpec(inputs=shape, shape=(channels, *size), kernel=kernel, stride=stride,
                     padding=padding, pool=pool)
