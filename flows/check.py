"""Judges a network file without building anything: a verdict per node, and what was derived."""

from __future__ import annotations

import dataclasses
import pathlib

from lamina.flows.errors import UserError
from lamina.flows.frontend.nir.file import NEURONS, SUPPORTED, Graph, Node, read_graph
from lamina.flows.frontend.nir.reader import read_network

__all__ = ["NodeVerdict", "Verdict", "check_network"]

_PORTS = ("Input", "Output")


@dataclasses.dataclass(frozen=True, kw_only=True)
class NodeVerdict:
    """What becomes of one node.

    Parameters
    ----------
    path, kind : str
    verdict : str
        ``supported`` (a layer of neurons or a port), ``folded`` (into the layers that it leads to)
        or ``refused``.
    why : str
        What it becomes; of a refused node what is wrong and what would be right.
    """

    path: str
    kind: str
    verdict: str
    why: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is said of a file.

    Parameters
    ----------
    network : str
    nodes : tuple of NodeVerdict
        By path.
    layers : tuple of dict
        Name, neuron model, neurons and axons of each layer in execution order; empty when refused.
    assumptions : dict of str to str
        The discretisation and what it rests on.
    refusal : str or None
        Why the network cannot be built; None when it can.
    """

    network: str
    nodes: tuple[NodeVerdict, ...]
    layers: tuple[dict, ...] = ()
    assumptions: dict[str, str] = dataclasses.field(default_factory=dict)
    refusal: str | None = None

    def to_dict(self) -> dict:
        """Plain data for JSON, with ``supported`` true or false."""
        return {**dataclasses.asdict(self), "supported": self.refusal is None}


def check_network(path: pathlib.Path, **options) -> Verdict:
    """Judge a file; what the file says wrongly is part of the verdict.

    Parameters
    ----------
    path : pathlib.Path
    **options
        As for :func:`lamina.flows.frontend.nir.reader.read_network`.

    Raises
    ------
    UserError
        If the file cannot be read at all, or an option is wrong by itself.
    """
    path = pathlib.Path(path)
    graph = read_graph(path)
    try:
        network = read_network(path, **options)
    except UserError as error:
        return _refused(graph, str(error))
    kept = {node for layer in network.layers for node in layer.nodes}
    layers = tuple({"name": layer.name, "neuron_model": layer.kind, "neurons": layer.neurons,
                    "axons": layer.axons, "spiking": layer.spiking,
                    "shape": list(layer.shape)} for layer in network.layers)
    return Verdict(network=network.name, assumptions=network.assumptions, layers=layers,
                   nodes=tuple(_accepted(graph, node, kept) for node in graph.nodes.values()))


def _accepted(graph: Graph, node: Node, kept: set[str]) -> NodeVerdict:
    if node.kind in NEURONS:
        verdict, why = "supported", "a layer of neurons"
        if node.kind in ("CubaLI", "CubaLIF"):
            why = "a layer of neurons and one that integrates its synaptic current"
    elif node.kind in _PORTS:
        inner = graph.before(node.path) if node.kind == "Input" else graph.after(node.path)
        verdict, why = ("folded", "a port of a nested graph") if inner else (
            "supported", "the border of the network")
    else:
        why = "into the weights of the layers that it leads to" if node.path in kept \
            else "changes nothing on its way"
        verdict = "folded"
    return NodeVerdict(path=node.path, kind=node.kind, verdict=verdict, why=why)


def _refused(graph: Graph, message: str) -> Verdict:
    """A verdict that says which nodes are to blame."""
    nodes, blamed = [], False
    for node in graph.nodes.values():
        mark = f"node {node.path}: "
        if node.kind not in SUPPORTED:
            why = f"{node.kind} is no NIR primitive of version 1.0.8"
            nodes.append(NodeVerdict(path=node.path, kind=node.kind, verdict="refused", why=why))
        elif mark in message and not blamed:
            blamed = True
            why = message.split(mark, 1)[1]
            nodes.append(NodeVerdict(path=node.path, kind=node.kind, verdict="refused", why=why))
        else:
            verdict = "supported" if node.kind in (*NEURONS, *_PORTS) else "folded"
            nodes.append(NodeVerdict(path=node.path, kind=node.kind, verdict=verdict,
                                     why="by itself"))
    return Verdict(network=graph.file.stem, nodes=tuple(nodes), refusal=message)
