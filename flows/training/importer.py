"""snnTorch modules to NIR, with what its own exporter loses: reset rule, scalar leaks, batches."""

from __future__ import annotations

import pathlib

import nir
import numpy as np
import torch
from torch import nn

from lamina.flows.errors import UserError
from lamina.flows.training.export import write_graph

__all__ = ["from_snntorch"]

_DT = 1e-4
_DROPPED = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Identity)
_NEURONS = ("Leaky", "RLeaky", "Synaptic", "RSynaptic")


def from_snntorch(net: nn.Sequential, sample: torch.Tensor, path: pathlib.Path, *,
                  timesteps: int, encoder: str = "spikes") -> None:
    """Write an snnTorch network as NIR with true metadata.

    Leaks and thresholds may be scalars, `sample` may be a batch, BatchNorm is folded into the
    layer before it, Dropout is left out, and the reset rule, its delay included, is kept.

    Parameters
    ----------
    net : torch.nn.Sequential
        Of Linear, Conv2d, AvgPool2d, Flatten, BatchNorm, Dropout and snntorch Leaky, RLeaky,
        Synaptic, RSynaptic, all with the same reset.
    sample : tensor (..., *input shape)
        One timestep's input, with or without a batch dimension of 1 or more.
    path : pathlib.Path
    timesteps : int
        T of one sample.
    encoder : str
        See :class:`lamina.models.program.Encoder`.

    Raises
    ------
    UserError
        If a module is not known, resets differ, or recurrence is not all to all.
    """
    modules = [module for module in net if not isinstance(module, _DROPPED)]
    values = sample if _fits(modules, sample) else sample[0]
    batch = values[None]
    nodes, edges, before = {"input": nir.Input(np.array(values.shape))}, [], "input"
    resets = set()
    for index, module in enumerate(modules):
        name, kind = f"{type(module).__name__.lower()}{index}", type(module).__name__
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            _fold(nodes[before], module)
            batch = module.eval()(batch)
            continue
        shape = tuple(batch.shape[1:])
        if kind in _NEURONS:
            nodes[name] = _neurons(module, kind, shape)
            resets.add(_reset(module))
            if kind.startswith("R"):
                nodes[f"{name}_rec"] = _recurrent(module, index)
                edges += [(name, f"{name}_rec"), (f"{name}_rec", name)]
        else:
            nodes[name] = _node(index, module, shape)
            with torch.no_grad():
                batch = module(batch)
        edges.append((before, name))
        before = name
    if len(resets) != 1:
        raise UserError(f"the network must have neurons with one reset rule, not {sorted(resets)}")
    (rule, rest), = resets
    nodes["output"] = nir.Output(np.array(batch.shape[1:]))
    edges.append((before, "output"))
    write_graph(path, nodes, edges, {
        "lamina_dt": _DT, "lamina_reset": rule, "lamina_refractory": rest,
        "lamina_timesteps": timesteps, "lamina_encoder": encoder, "lamina_strict": True})


def _fits(modules: list[nn.Module], sample: torch.Tensor) -> bool:
    """Whether `sample` is one frame without a batch dimension."""
    first = next(module for module in modules
                 if isinstance(module, (nn.Linear, nn.Conv2d, nn.Flatten)))
    if isinstance(first, nn.Conv2d):
        return sample.ndim == 3
    return sample.ndim == 1 or (isinstance(first, nn.Flatten) and sample.ndim == 3)


def _array(value: object, shape: tuple[int, ...]) -> np.ndarray:
    given = value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    given = np.clip(given.astype(np.float64), None, None)
    if given.size not in (1, int(np.prod(shape))):
        given = given.reshape(-1, *([1] * (len(shape) - 1)))
    return np.broadcast_to(given if given.size > 1 else given.ravel(), shape).copy()


def _reset(module: nn.Module) -> tuple[str, int]:
    """Rule and timesteps of rest; Leaky zeroes before it integrates and so does not rest."""
    delayed = getattr(module, "reset_delay", True)
    rests = int(type(module).__name__ != "Leaky")
    rules = {("subtract", True): ("subtract-delayed", 0),
             ("subtract", False): ("subtract-rederived", 0), ("zero", True): ("value", rests),
             ("zero", False): ("value", 0)}
    key = module.reset_mechanism, bool(delayed)
    if key not in rules:
        raise UserError(f"{type(module).__name__} must reset by subtract or zero, "
                        f"not {module.reset_mechanism}")
    return rules[key]


def _neurons(module: nn.Module, kind: str, shape: tuple[int, ...]) -> nir.NIRNode:
    beta = _array(module.beta, shape)
    threshold, zero = _array(module.threshold, shape), np.zeros(shape)
    leak = 1 - beta
    if "Synaptic" not in kind:
        if not leak.any():
            return nir.IF(r=np.ones(shape) / _DT, v_threshold=threshold, v_reset=zero)
        return nir.LIF(tau=_DT / leak, r=1 / leak, v_leak=zero, v_threshold=threshold,
                       v_reset=zero)
    fade = 1 - _array(module.alpha, shape)
    return nir.CubaLIF(tau_mem=_DT / leak, tau_syn=_DT / fade, r=1 / leak, w_in=1 / fade,
                       v_leak=zero, v_threshold=threshold, v_reset=zero)


def _recurrent(module: nn.Module, index: int) -> nir.NIRNode:
    recurrent = getattr(module, "recurrent", None)
    if not isinstance(recurrent, nn.Linear):
        raise UserError(f"module {index}: {type(module).__name__} must be recurrent all to all, "
                        f"by a linear layer")
    return _node(index, recurrent, (recurrent.in_features,))


def _node(index: int, module: nn.Module, shape: tuple[int, ...]) -> nir.NIRNode:
    if isinstance(module, (nn.Linear, nn.Conv2d)):
        weight = module.weight.detach().numpy().astype(np.float64)
        bias = np.zeros(len(weight)) if module.bias is None \
            else module.bias.detach().numpy().astype(np.float64)
        if isinstance(module, nn.Linear):
            return nir.Affine(weight=weight, bias=bias)
        return nir.Conv2d(input_shape=shape[1:], weight=weight, stride=module.stride,
                          padding=module.padding, dilation=module.dilation, groups=module.groups,
                          bias=bias)
    if isinstance(module, nn.AvgPool2d):
        pair = np.array(module.kernel_size if isinstance(module.kernel_size, tuple)
                        else (module.kernel_size,) * 2)
        return nir.AvgPool2d(kernel_size=pair, stride=pair, padding=0 * pair)
    if isinstance(module, nn.Flatten):
        return nir.Flatten({"input": np.array(shape)}, 0, -1)
    raise UserError(f"module {index}: {type(module).__name__} is not known; known: Linear, Conv2d, "
                    f"AvgPool2d, Flatten, BatchNorm, Dropout, {', '.join(_NEURONS)}")


def _fold(node: nir.NIRNode, norm: nn.Module) -> None:
    """Put a BatchNorm's running statistics into the weights before it."""
    if not hasattr(node, "weight"):
        raise UserError("BatchNorm must follow a layer with weights, "
                        f"not {type(node).__name__}")
    with torch.no_grad():
        factor = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).numpy().astype(np.float64)
        shift = norm.bias.numpy() - norm.running_mean.numpy() * factor
    node.weight = node.weight * factor.reshape(-1, *([1] * (node.weight.ndim - 1)))
    node.bias = node.bias * factor + shift
