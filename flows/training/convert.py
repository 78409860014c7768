"""From a ReLU network to integrate-and-fire neurons: threshold balancing on real activations."""

from __future__ import annotations

import dataclasses
import pathlib

import nir
import numpy as np
import torch
from torch import nn

from lamina.flows.errors import UserError
from lamina.flows.training.export import write_graph

__all__ = ["Balance", "convert", "load_ann"]

_DT = 1e-4
_IGNORED = (nn.ReLU, nn.Dropout, nn.Identity, nn.Softmax, nn.LogSoftmax)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Balance:
    """How one layer was scaled.

    Parameters
    ----------
    name : str
    activation : float
        The ANN's activation that becomes one spike per timestep.
    clipped : float
        Share of the calibration activations above it, which saturate.
    """

    name: str
    activation: float
    clipped: float


def load_ann(path: pathlib.Path) -> nn.Sequential:
    """The feed-forward ReLU network in an ONNX file, as torch modules.

    Gemm, MatMul with Add, Conv, AveragePool, Relu, Flatten, Reshape to one dimension, Dropout,
    Identity and a final Softmax are understood.

    Raises
    ------
    UserError
        If the package onnx is missing, the file is none, or an operator is not known.
    """
    try:
        import onnx
        from onnx import numpy_helper
    except ModuleNotFoundError:
        raise UserError("reading ONNX needs the package onnx: pip install onnx") from None
    try:
        graph = onnx.load(str(path)).graph
    except Exception as error:  # whatever the parser makes of a file that is none
        raise UserError(f"{path}: not an ONNX file ({' '.join(str(error).split())[:80]})") from None
    arrays = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    modules: list[nn.Module] = []
    for node in graph.node:
        modules += _modules(path, node, arrays, modules)
    return nn.Sequential(*modules)


def _modules(path, node, arrays, before) -> list[nn.Module]:
    from onnx import helper
    given = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    constants = [arrays[name] for name in node.input if name in arrays]
    if node.op_type in ("Gemm", "MatMul"):
        weight = constants[0] if given.get("transB") else constants[0].T
        return [_linear(weight, constants[1] if len(constants) > 1 else None)]
    if node.op_type == "Add" and before and isinstance(before[-1], nn.Linear) and constants:
        with torch.no_grad():
            before[-1].bias += torch.as_tensor(constants[0].ravel().copy())
        return []
    if node.op_type == "Conv":
        pads, strides = given.get("pads", [0, 0, 0, 0]), given.get("strides", [1, 1])
        if list(pads[:2]) != list(pads[2:]) or given.get("group", 1) != 1:
            raise UserError(f"{path}: Conv {node.name} must have equal padding and one group")
        weight = torch.as_tensor(constants[0].copy())
        conv = nn.Conv2d(weight.shape[1], weight.shape[0], tuple(weight.shape[2:]), tuple(strides),
                         tuple(pads[:2]))
        with torch.no_grad():
            conv.weight.copy_(weight)
            conv.bias.copy_(torch.as_tensor(constants[1].copy()) if len(constants) > 1
                            else torch.zeros(len(weight)))
        return [conv]
    if node.op_type == "AveragePool":
        return [nn.AvgPool2d(tuple(given["kernel_shape"]), tuple(given.get(
            "strides", given["kernel_shape"])))]
    simple = {"Relu": nn.ReLU, "Flatten": nn.Flatten, "Reshape": nn.Flatten,
              "Dropout": nn.Identity, "Identity": nn.Identity, "Softmax": nn.Identity,
              "LogSoftmax": nn.Identity}
    if node.op_type not in simple:
        raise UserError(f"{path}: operator {node.op_type} cannot be converted; known: Gemm, "
                        f"MatMul, Add, Conv, AveragePool, {', '.join(simple)}")
    return [simple[node.op_type]()]


def _linear(weight: np.ndarray, bias: np.ndarray | None) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        linear.weight.copy_(torch.as_tensor(weight.copy()))
        linear.bias.copy_(torch.zeros(len(weight)) if bias is None
                          else torch.as_tensor(bias.ravel().copy()))
    return linear


def convert(ann: nn.Sequential, images: np.ndarray, path: pathlib.Path, *,
            input_shape: tuple[int, ...], timesteps: int = 32, percentile: float = 99.9,
            encoder: str = "rate") -> tuple[Balance, ...]:
    """Write the spiking counterpart of a ReLU network as NIR.

    Each layer's activations are divided by their `percentile` over the calibration images, so
    that an integrate-and-fire neuron with threshold 1, reset by subtraction and bias as a constant
    current fires at the rate of its ReLU (Diehl et al. 2015; Rueckauer et al. 2017). The last
    layer does not spike: its membranes sum the logits.

    Parameters
    ----------
    ann : torch.nn.Sequential
        Linear, Conv2d, AvgPool2d, Flatten, ReLU, Dropout; a ReLU behind every hidden layer.
    images : float array (N, values)
        Calibration inputs in 0..1.
    path : pathlib.Path
    input_shape : tuple of int
        Of one image: ``(values,)`` or ``(channels, rows, columns)``.
    timesteps : int
        T of one sample.
    percentile : float
        50..100.
    encoder : str
        ``rate`` or ``bernoulli``.

    Returns
    -------
    tuple of Balance
        Of every layer that spikes.

    Raises
    ------
    UserError
        If a module cannot be converted.
    """
    if not 50 <= percentile <= 100:
        raise UserError(f"--percentile must be in 50..100, not {percentile}")
    values = torch.as_tensor(images, dtype=torch.float32).reshape(-1, *input_shape)
    nodes, edges, before = {"input": nir.Input(np.array(input_shape))}, [], "input"
    balances, scale = [], 1.0
    ann = ann.eval()
    last = max(index for index, module in enumerate(ann)
               if isinstance(module, (nn.Linear, nn.Conv2d)))
    with torch.no_grad():
        for index, module in enumerate(ann):
            shape = tuple(values.shape[1:])
            values = module(values)
            if isinstance(module, _IGNORED):
                continue
            name, node, weighted = _node(index, module, shape)
            if weighted:
                top = 1.0
                if index != last:
                    active = torch.relu(values)
                    top = max(float(np.percentile(active.numpy(), percentile)), 1e-6)
                    balances.append(Balance(name=name, activation=top,
                                            clipped=float((active > top).float().mean())))
                node.weight, node.bias = node.weight * (scale / top), node.bias / top
                scale = top
            nodes[name] = node
            edges.append((before, name))
            before = name
            if weighted:
                nodes[f"neurons{index}"] = _neurons(tuple(values.shape[1:]), index == last)
                edges.append((name, f"neurons{index}"))
                before = f"neurons{index}"
                values = values if index == last else torch.relu(values)
    nodes["output"] = nir.Output(np.array(values.shape[1:]))
    edges.append((before, "output"))
    write_graph(path, nodes, edges, {
        "lamina_dt": _DT, "lamina_reset": "subtract", "lamina_timesteps": timesteps,
        "lamina_encoder": encoder, "lamina_gain": 1.0, "lamina_seed": 0,
        "lamina_decoding": "v_final", "lamina_strict": False})
    return tuple(balances)


def _neurons(shape: tuple[int, ...], readout: bool) -> nir.NIRNode:
    ones = np.ones(shape)
    if readout:
        return nir.I(r=ones / _DT)
    return nir.IF(r=ones / _DT, v_threshold=ones, v_reset=0 * ones)


def _node(index: int, module: nn.Module, shape: tuple[int, ...]):
    """Name and NIR node of a module, and whether it has weights."""
    if isinstance(module, (nn.Linear, nn.Conv2d)):
        weight = module.weight.numpy().astype(np.float64)
        bias = np.zeros(len(weight)) if module.bias is None \
            else module.bias.numpy().astype(np.float64)
        if isinstance(module, nn.Linear):
            return f"fc{index}", nir.Affine(weight=weight, bias=bias), True
        return f"conv{index}", nir.Conv2d(
            input_shape=shape[1:], weight=weight, stride=module.stride, padding=module.padding,
            dilation=module.dilation, groups=module.groups, bias=bias), True
    if isinstance(module, nn.AvgPool2d):
        pair = np.array(module.kernel_size if isinstance(module.kernel_size, tuple)
                        else (module.kernel_size,) * 2)
        return f"pool{index}", nir.AvgPool2d(kernel_size=pair, stride=pair, padding=0 * pair), False
    if isinstance(module, nn.Flatten):
        return f"flatten{index}", nir.Flatten({"input": np.array(shape)}, 0, -1), False
    raise UserError(f"module {index}: {type(module).__name__} cannot be converted; known: Linear, "
                    f"Conv2d, AvgPool2d, Flatten, ReLU, Dropout")
