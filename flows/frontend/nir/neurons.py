"""Neuron nodes of NIR with one parameter per neuron."""

from __future__ import annotations

import dataclasses

import numpy as np

from lamina.flows.frontend.nir.file import Node

__all__ = ["NeuronNode", "neuron_node"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class NeuronNode:
    """A neuron node with one float64 per neuron in each parameter, in C order.

    Parameters
    ----------
    node : Node
    r, v_leak, v_reset : float64 array
        NIR's; r is 1 in a Threshold node.
    tau : float64 array or None
        Membrane time constant [s], positive; None of I, IF and Threshold.
    theta : float64 array or None
        None of nodes that do not spike.
    tau_syn, w_in : float64 array or None
        Of current-based synapses (CubaLI, CubaLIF).
    lowering : float64 array or None
        What a reset by subtraction subtracts, from the node's metadata ``lamina_r``; None: theta.
    """

    node: Node
    r: np.ndarray
    v_leak: np.ndarray
    v_reset: np.ndarray
    tau: np.ndarray | None = None
    theta: np.ndarray | None = None
    tau_syn: np.ndarray | None = None
    w_in: np.ndarray | None = None
    lowering: np.ndarray | None = None

    @property
    def spiking(self) -> bool:
        """Whether it fires."""
        return self.theta is not None

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        return len(self.r)

    @property
    def is_threshold(self) -> bool:
        """Whether it only compares, without a membrane."""
        return self.node.kind == "Threshold"


def _vector(node: Node, name: str, neurons: int, default: float | None = None) -> np.ndarray:
    """Parameter `name` of a neuron node, one per neuron; a single value counts for all."""
    if name not in node.fields and default is not None:
        return np.full(neurons, default)
    array = node.array(name)
    if array.size not in (1, neurons) or array.size == 0:
        raise node.refuse(f"{name} must have 1 or {neurons} entries, as many as the node before "
                          f"it has outputs, not {array.size}")
    return np.broadcast_to(array.ravel(), (neurons,))


def _time(node: Node, name: str, neurons: int) -> np.ndarray:
    tau = _vector(node, name, neurons)
    if tau.min() <= 0:
        raise node.refuse(f"{name} must be positive, not {tau.min():.6g}")
    return tau


def neuron_node(node: Node, neurons: int) -> NeuronNode:
    """Parameters of `node`, whose input has `neurons` values.

    Raises
    ------
    UserError
        If one is missing, has another length, or a time constant is not positive.
    """
    kind = node.kind
    if kind == "Threshold":
        ones = np.ones(neurons)
        return NeuronNode(node=node, r=ones, v_leak=0 * ones, v_reset=0 * ones,
                          theta=_vector(node, "threshold", neurons))
    synaptic = kind in ("CubaLI", "CubaLIF")
    tau = None
    if kind not in ("I", "IF"):
        tau = _time(node, "tau_mem" if synaptic else "tau", neurons)
    leaky = tau is not None
    spiking = kind in ("IF", "LIF", "CubaLIF")
    told = "lamina_r" in node.metadata.fields
    return NeuronNode(
        node=node, tau=tau, r=_vector(node, "r", neurons),
        v_leak=_vector(node, "v_leak", neurons) if leaky else np.zeros(neurons),
        theta=_vector(node, "v_threshold", neurons) if spiking else None,
        v_reset=_vector(node, "v_reset", neurons, 0.0) if spiking else np.zeros(neurons),
        tau_syn=_time(node, "tau_syn", neurons) if synaptic else None,
        w_in=_vector(node, "w_in", neurons, 1.0) if synaptic else None,
        lowering=_vector(node.metadata, "lamina_r", neurons) if told else None)
