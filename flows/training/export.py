"""A trained network as a NIR file that converts to the same codes."""

from __future__ import annotations

import os
import pathlib

import nir
import numpy as np

from lamina.flows.training.model import SpikingLayer, SpikingNetwork, codes

__all__ = ["export", "write_graph"]

_DT = 1e-4


def _quantised(layer: SpikingLayer, parameter) -> tuple[np.ndarray, dict]:
    """Weights and the metadata that name their codes."""
    code = codes(parameter.detach(), layer.grid).numpy().astype(np.int16)
    scale = 1 / layer.grid.levels
    return code * np.float64(scale), {"quant_weight": code, "quant_weight_scale": scale,
                                      "quant_weight_zero_point": 0}


def _weights(layer: SpikingLayer):
    """The node in front of a layer's neurons."""
    weight, metadata = _quantised(layer, layer.weight)
    bias = layer.bias_on_grid().detach().numpy().astype(np.float64)
    spec = layer.spec
    if not spec.kernel:
        return nir.Affine(weight=weight, bias=bias, metadata=metadata)
    size = tuple(extent // spec.pool for extent in spec.inputs[1:])
    return nir.Conv2d(input_shape=size, weight=weight, stride=spec.stride, padding=spec.padding,
                      dilation=1, groups=1, bias=bias, metadata=metadata)


def _neurons(layer: SpikingLayer) -> nir.LIF:
    """Leak D / 256 and threshold 1 as snnTorch would write them."""
    ones = np.ones(layer.spec.shape)
    leak = 1 - layer.recipe.decay / 256
    if leak == 0:
        return nir.IF(r=ones / _DT, v_threshold=ones, v_reset=0 * ones)
    return nir.LIF(tau=ones * _DT / leak, r=ones / leak, v_leak=0 * ones, v_threshold=ones,
                   v_reset=0 * ones)


def export(network: SpikingNetwork, path: pathlib.Path, *, encoder: str) -> None:
    """Write `network` as NIR; what the format cannot say goes into the root's metadata.

    The file appears by rename, and the same network gives the same bytes.

    Parameters
    ----------
    network : SpikingNetwork
    path : pathlib.Path
    encoder : str
        Of real-valued data, or ``spikes``.
    """
    nodes, edges = {"input": nir.Input(np.array(network.input_shape))}, []
    before = "input"
    for number, layer in enumerate(network.layers, start=1):
        chain = {}
        if layer.spec.pool > 1:
            pool = np.array([layer.spec.pool] * 2)
            chain[f"pool{number}"] = nir.SumPool2d(kernel_size=pool, stride=pool,
                                                   padding=0 * pool)
        if not layer.spec.kernel and len(layer.spec.inputs) > 1:
            channels, *size = layer.spec.inputs
            shape = (channels, *(extent // layer.spec.pool for extent in size))
            chain[f"flatten{number}"] = nir.Flatten({"input": np.array(shape)}, 0, -1)
        chain[f"fc{number}" if not layer.spec.kernel else f"conv{number}"] = _weights(layer)
        chain[f"lif{number}"] = _neurons(layer)
        for name, node in chain.items():
            nodes[name] = node
            edges.append((before, name))
            before = name
        if layer.own is not None:
            weight, metadata = _quantised(layer, layer.own)
            nodes[f"rec{number}"] = nir.Linear(weight=weight, metadata=metadata)
            edges += [(f"lif{number}", f"rec{number}"), (f"rec{number}", f"lif{number}")]
    nodes["output"] = nir.Output(np.array(network.layers[-1].spec.shape))
    edges.append((before, "output"))
    recipe = network.recipe
    metadata = {"lamina_dt": _DT, "lamina_reset": recipe.reset,
                "lamina_timesteps": recipe.timesteps, "lamina_encoder": encoder,
                "lamina_gain": 1.0, "lamina_seed": 0, "lamina_decoding": "count",
                "lamina_strict": False}
    write_graph(path, nodes, edges, metadata)


def write_graph(path: pathlib.Path, nodes: dict, edges: list[tuple[str, str]],
                metadata: dict) -> None:
    """Write a NIR file by rename; the same graph gives the same bytes."""
    graph = nir.NIRGraph(nodes=nodes, edges=sorted(edges), metadata=metadata, type_check=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    nir.write(partial, graph)
    os.replace(partial, path)
