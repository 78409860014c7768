"""The file side of NIR: from HDF5 to one chain of nodes, or one sentence about what is wrong."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np

from lamina.flows.errors import UserError
from lamina.flows.frontend.hdf5_worker import read_tree

__all__ = ["SUPPORTED", "Node", "read_chain"]

SUPPORTED = ("Input", "Output", "Affine", "Linear", "Flatten", "Scale", "IF", "LIF")
_PORTS = ("Input", "Output")
_MAX_DEPTH = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class Node:
    """A node as the file has it.

    Parameters
    ----------
    path : str
        Names of the enclosing graphs and of the node, joined by dots.
    kind : str
        NIR type, e.g. ``LIF``.
    fields : dict
        Parameters by name: arrays, numbers or text, unchecked.
    file : pathlib.Path
    """

    path: str
    kind: str
    fields: dict
    file: pathlib.Path

    def refuse(self, sentence: str) -> UserError:
        """The error to raise about this node: ``FILE: node PATH: SENTENCE``."""
        return UserError(f"{self.file}: node {self.path}: {sentence}")

    def array(self, name: str) -> np.ndarray:
        """Parameter `name` as float64 of any shape.

        Raises
        ------
        UserError
            If it is missing, no number, or not finite.
        """
        if name not in self.fields:
            raise self.refuse(f"{self.kind} must have a {name}, it has none")
        try:
            array = np.asarray(self.fields[name])
            if array.dtype.kind not in "biuf":
                raise TypeError
            array = array.astype(np.float64)
        except (TypeError, ValueError):
            raise self.refuse(f"{name} must be an array of numbers, "
                              f"not {_short(self.fields[name])}") from None
        if not np.isfinite(array).all():
            raise self.refuse(f"{name} must be finite, not {array[~np.isfinite(array)][0]}")
        return array

    def shape(self, name: str) -> tuple[int, ...]:
        """Parameter `name` as a shape: whole numbers, at least 1 each.

        Raises
        ------
        UserError
            If it is missing or no such shape.
        """
        array = self.array(name).ravel()
        if array.size == 0 or (array != np.rint(array)).any() or array.min() < 1 \
                or np.prod(array) > 2**31:
            raise self.refuse(f"{name} must be a shape of whole numbers from 1, "
                              f"not {tuple(array.tolist())}")
        return tuple(int(extent) for extent in array)


def _short(value: object) -> str:
    text = repr(value).replace("\n", " ")
    return text if len(text) <= 40 else text[:37] + "..."


def _load(path: pathlib.Path) -> dict:
    """Content of the ``node`` group as nested dictionaries."""
    if path.is_dir():
        raise UserError(f"{path}: is a directory, expected a .nir file")
    if not path.is_file():
        raise UserError(f"{path}: no such file, expected a .nir file")
    try:
        tree = read_tree(path, "node")
    except ValueError as error:
        if not _has_signature(path):
            raise UserError(f"{path}: not an HDF5 file, expected one written by "
                            f"nir.write") from None
        raise UserError(f"{path}: truncated or damaged HDF5 file ({error})") from None
    if not isinstance(tree, dict):
        raise UserError(f"{path}: not a NIR file: it has no group 'node'")
    return tree


def _has_signature(path: pathlib.Path) -> bool:
    with path.open("rb") as file:
        return file.read(8) == b"\x89HDF\r\n\x1a\n"


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf8", "replace")
    return value if isinstance(value, str) else _short(value)


class _Graph:
    """Nodes and edges of a file with nested graphs dissolved into their nodes."""

    def __init__(self, file: pathlib.Path):
        self.file = file
        self.nodes: dict[str, Node] = {}
        self.edges: set[tuple[str, str]] = set()

    def add(self, path: str, fields: object, depth: int = 0) -> None:
        """Add the node or graph `fields` under `path`; the root graph has the path ``""``."""
        where = f"node {path}" if path else "root"
        if not isinstance(fields, dict) or "type" not in fields:
            raise UserError(f"{self.file}: {where}: must be a group with a type, "
                            f"not {_short(fields)}")
        kind = _text(fields["type"])
        if kind != "NIRGraph":
            if not path:
                raise UserError(f"{self.file}: root: must be a NIRGraph, not {kind}")
            self.nodes[path] = Node(path=path, kind=kind, fields=fields, file=self.file)
            return
        if depth > _MAX_DEPTH:
            raise UserError(f"{self.file}: {where}: graphs must be nested at most {_MAX_DEPTH} "
                            f"deep")
        children = fields.get("nodes")
        if not isinstance(children, dict) or not children:
            raise UserError(f"{self.file}: {where}: a graph must have nodes, it has none")
        prefix = f"{path}." if path else ""
        for name, child in children.items():
            self.add(prefix + name, child, depth + 1)
        for source, target in self._edges(where, fields.get("edges")):
            if source not in children or target not in children:
                missing = source if source not in children else target
                raise UserError(f"{self.file}: {where}: edge {source} -> {target} names "
                                f"{missing}, which is no node")
            self.edges.add((self._port(prefix + source, children[source], "Output"),
                            self._port(prefix + target, children[target], "Input")))

    def _edges(self, where: str, edges: object) -> list[tuple[str, str]]:
        array = np.asarray([] if edges is None else edges, dtype=object)
        if array.size and (array.ndim != 2 or array.shape[1] != 2):
            raise UserError(f"{self.file}: {where}: edges must be pairs of node names, "
                            f"not an array of shape {array.shape}")
        return [(_text(source), _text(target)) for source, target in array.reshape(-1, 2)]

    def _port(self, path: str, fields: object, kind: str) -> str:
        """`path` itself, or the only port of `kind` of the graph there."""
        if not isinstance(fields, dict) or _text(fields.get("type", "")) != "NIRGraph":
            return path
        ports = [name for name, node in self.nodes.items()
                 if name.startswith(f"{path}.") and "." not in name[len(path) + 1:]
                 and node.kind == kind]
        if len(ports) != 1:
            raise UserError(f"{self.file}: node {path}: a graph must have one {kind} node, "
                            f"not {len(ports)}")
        return ports[0]


def _check_kinds(graph: _Graph) -> None:
    for path in sorted(graph.nodes):
        node = graph.nodes[path]
        if node.kind not in SUPPORTED:
            raise node.refuse(f"{node.kind} is not supported yet; supported: "
                              f"{', '.join(SUPPORTED)}")


def _ends(graph: _Graph, kind: str) -> Node:
    """The one port of `kind` at the border of the file."""
    inner = {target if kind == "Input" else source for source, target in graph.edges}
    ends = [node for path, node in sorted(graph.nodes.items())
            if node.kind == kind and path not in inner]
    if len(ends) != 1:
        names = f" ({', '.join(node.path for node in ends)})" if ends else ""
        raise UserError(f"{graph.file}: a network must have one {kind} node, "
                        f"not {len(ends)}{names}")
    return ends[0]


def _follow(graph: _Graph, start: Node, end: Node) -> list[Node]:
    """Nodes from `start` to `end` along the edges; nothing may branch, join or close a cycle."""
    after: dict[str, list[str]] = {}
    before: dict[str, list[str]] = {}
    for source, target in sorted(graph.edges):
        after.setdefault(source, []).append(target)
        before.setdefault(target, []).append(source)
    chain = [start]
    while chain[-1] is not end:
        node = chain[-1]
        targets = after.get(node.path, [])
        if not targets:
            raise node.refuse("leads nowhere, every path must end in the Output node")
        if len(targets) > 1:
            raise node.refuse(f"branches to {', '.join(targets)}; only chains are supported yet")
        sources = before[targets[0]]
        if len(sources) > 1:
            raise _join(graph, targets[0], sources, after)
        chain.append(graph.nodes[targets[0]])
    return chain


def _reaches(source: str, goal: str, after: dict[str, list[str]]) -> bool:
    seen, queue = set(), [source]
    while queue:
        path = queue.pop()
        if path == goal:
            return True
        if path not in seen:
            seen.add(path)
            queue += after.get(path, [])
    return False


def _join(graph: _Graph, path: str, sources: list[str], after: dict) -> UserError:
    node = graph.nodes[path]
    if any(_reaches(path, source, after) for source in sources):
        return node.refuse(f"lies on a cycle (from {', '.join(sources)}); recurrence is not "
                           f"supported yet")
    return node.refuse(f"joins {', '.join(sources)}; only chains are supported yet")


def read_chain(path: pathlib.Path) -> tuple[list[Node], dict]:
    """Read a NIR file that is one chain of nodes.

    The order is that of the edges from Input to Output, whatever the nodes are called. Nested
    graphs are dissolved; their ports stay in the chain as nodes that change nothing.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    nodes : list of Node
        From the Input to the Output, both included; every kind is in :data:`SUPPORTED`.
    metadata : dict
        Of the root graph.

    Raises
    ------
    UserError
        If the file is no readable NIR file or its graph is not such a chain; one line that names
        file and node, the rule and what was found.
    """
    root = _load(path)
    graph = _Graph(path)
    graph.add("", root)
    _check_kinds(graph)
    chain = _follow(graph, _ends(graph, "Input"), _ends(graph, "Output"))
    on_chain = {node.path for node in chain}
    for name in sorted(graph.nodes):
        if name not in on_chain:
            raise graph.nodes[name].refuse("is not on the path from the Input to the Output node")
    metadata = root.get("metadata")
    return chain, metadata if isinstance(metadata, dict) else {}
