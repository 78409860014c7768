"""The file side of NIR: from HDF5 to a graph of nodes, or one sentence about what is wrong."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np

from lamina.flows.errors import UserError
from lamina.flows.frontend.nir.hdf5_worker import read_tree

__all__ = ["LINEAR", "NEURONS", "SUPPORTED", "Graph", "Node", "read_graph"]

NEURONS = ("I", "IF", "LI", "LIF", "CubaLI", "CubaLIF", "Threshold")
LINEAR = ("Affine", "AvgPool2d", "Conv1d", "Conv2d", "Delay", "Flatten", "Linear", "Scale",
          "SumPool2d")
SUPPORTED = ("Input", "Output", *LINEAR, *NEURONS)
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

    @property
    def metadata(self) -> Node:
        """The node's metadata, to be read like a node."""
        metadata = self.fields.get("metadata")
        return dataclasses.replace(self, fields=metadata if isinstance(metadata, dict) else {})

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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Graph:
    """A network file with nested graphs dissolved into their nodes.

    Parameters
    ----------
    file : pathlib.Path
    nodes : dict of str to Node
        By path, sorted.
    edges : frozenset of (str, str)
        Paths of source and target.
    metadata : dict
        Of the root graph.
    notes : tuple of str
        What was mended because its meaning is clear, one sentence each.
    """

    file: pathlib.Path
    nodes: dict[str, Node]
    edges: frozenset[tuple[str, str]]
    metadata: dict
    notes: tuple[str, ...]

    def before(self, path: str) -> list[str]:
        """Paths of the nodes that feed `path`, sorted."""
        return sorted(source for source, target in self.edges if target == path)

    def after(self, path: str) -> list[str]:
        """Paths of the nodes that `path` feeds, sorted."""
        return sorted(target for source, target in self.edges if source == path)


class _Builder:
    """Collects the nodes and edges of nested graphs."""

    def __init__(self, file: pathlib.Path):
        self.file = file
        self.nodes: dict[str, Node] = {}
        self.edges: set[tuple[str, str]] = set()
        self.notes: list[str] = []

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
        for source, target in self._mended(where, children, self._edges(where, fields)):
            self.edges.add((self._port(prefix + source, children[source], "Output"),
                            self._port(prefix + target, children[target], "Input")))

    def _edges(self, where: str, fields: dict) -> list[tuple[str, str]]:
        edges = fields.get("edges")
        array = np.asarray([] if edges is None else edges, dtype=object)
        if array.size and (array.ndim != 2 or array.shape[1] != 2):
            raise UserError(f"{self.file}: {where}: edges must be pairs of node names, "
                            f"not an array of shape {array.shape}")
        return sorted({(_text(source), _text(target)) for source, target in array.reshape(-1, 2)})

    def _mended(self, where: str, children: dict, edges: list[tuple[str, str]]
                ) -> list[tuple[str, str]]:
        """`edges` with the one unknown name replaced by the one node that no edge names."""
        named = {name for edge in edges for name in edge}
        unknown = sorted(named - set(children))
        if not unknown:
            return edges
        loose = sorted(set(children) - named)
        if len(unknown) > 1 or len(loose) != 1:
            source, target = next(edge for edge in edges if unknown[0] in edge)
            raise UserError(f"{self.file}: {where}: edge {source} -> {target} names {unknown[0]}, "
                            f"which is no node")
        self.notes.append(f"{where}: edges name {unknown[0]}, which is no node; taken for "
                          f"{loose[0]}, the only node without edges")
        return [tuple(loose[0] if name == unknown[0] else name for name in edge) for edge in edges]

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


def read_graph(path: pathlib.Path) -> Graph:
    """Read a NIR file of any version, nested graphs dissolved, ports kept as nodes.

    A name in an edge that is no node stands for the only node that no edge names, if there is one
    of each: older exporters renamed nodes but not edges.

    Parameters
    ----------
    path : pathlib.Path

    Raises
    ------
    UserError
        If the file is no readable NIR file or an edge leads nowhere; one line that names file and
        node, the rule and what was found.
    """
    root = _load(path)
    builder = _Builder(path)
    builder.add("", root)
    metadata = root.get("metadata")
    return Graph(file=path, nodes=dict(sorted(builder.nodes.items())),
                 edges=frozenset(builder.edges), notes=tuple(builder.notes),
                 metadata=metadata if isinstance(metadata, dict) else {})
