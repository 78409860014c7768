"""Which layer runs when: order within a timestep, delays, recurrence, names."""

from __future__ import annotations

import dataclasses

import numpy as np

from lamina.flows.errors import UserError
from lamina.flows.frontend.nir.file import NEURONS, Graph
from lamina.flows.frontend.nir.fold import Drive, Folder, Term

__all__ = ["Outline", "outline"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Outline:
    """Layers of neurons in order, with what drives them.

    Parameters
    ----------
    graph : Graph
    order : tuple of str
        Paths of the neuron nodes; the output is last.
    names : dict of str to str
        Layer name by path.
    drives : dict of str to Drive
        By path.
    inputs : tuple of (str, tuple of int)
        Path and shape of the Input nodes, sorted.
    """

    graph: Graph
    order: tuple[str, ...]
    names: dict[str, str]
    drives: dict[str, Drive]
    inputs: tuple[tuple[str, tuple[int, ...]], ...]

    def steps(self, path: str, term: Term, delay_steps: int) -> int:
        """Timesteps that `term` takes into `path`, its Delay nodes counted as `delay_steps`."""
        total = delay_steps + term.cuts
        return max(1, total) if term.source == path else total


def outline(graph: Graph, cuts: frozenset[tuple[str, str]] = frozenset()) -> Outline:
    """Fold a graph, order its layers and name them.

    A layer that feeds itself does so one timestep late. The order follows the edges without
    delay, by name where they leave a choice; the layer before the Output node comes last.

    Raises
    ------
    UserError
        If the graph has no Input or not one Output, an edge between several layers closes a cycle
        without delay, a node leads nowhere, or the Output is fed by anything but one layer.
    """
    folder = Folder(graph, cuts)
    paths = [path for path, node in graph.nodes.items() if node.kind in NEURONS]
    output = _output_layer(graph, folder)
    drives = {path: folder.into(path) for path in paths}
    _check_reach(graph, paths, drives)
    borders = {term.source for drive in drives.values() for term in drive.terms}
    inputs = tuple((path, folder.shape_of(path)) for path in sorted(borders)
                   if graph.nodes[path].kind == "Input")
    if not inputs:
        raise UserError(f"{graph.file}: a network must have an Input node that leads to neurons, "
                        f"it has none")
    return Outline(graph=graph, order=_order(graph, paths, drives, output), names=_names(paths),
                   drives=drives, inputs=inputs)


def _output_layer(graph: Graph, folder: Folder) -> str:
    ends = [path for path, node in graph.nodes.items()
            if node.kind == "Output" and not graph.after(path)]
    if len(ends) != 1:
        names = f" ({', '.join(ends)})" if ends else ""
        raise UserError(f"{graph.file}: a network must have one Output node, "
                        f"not {len(ends)}{names}")
    drive, node = folder.into(ends[0]), graph.nodes[ends[0]]
    sources = {term.source for term in drive.terms}
    if len(sources) > 1:
        raise node.refuse(f"must be fed by one layer of neurons, not by "
                          f"{', '.join(sorted(sources))}")
    (source,) = sources
    if graph.nodes[source].kind == "Input":
        raise node.refuse("is fed by the Input node without neurons between them")
    plain = len(drive.terms) == 1 and drive.terms[0].map.is_identity
    if not plain or drive.constant.any() or drive.terms[0].delay or drive.terms[0].cuts:
        last = drive.nodes[-1] if drive.nodes else ends[0]
        raise graph.nodes[last].refuse(
            f"{graph.nodes[last].kind} without neurons behind it is not supported; end the "
            f"network in a node of neurons (LI or I for a readout that does not spike)")
    return source


def _check_reach(graph: Graph, paths: list[str], drives: dict[str, Drive]) -> None:
    for path in paths:
        for term in drives[path].terms:
            source = graph.nodes[term.source]
            if source.kind in ("I", "LI", "CubaLI"):
                raise source.refuse(f"{source.kind} does not spike and can only end a network, "
                                    f"here it feeds {path}")
    seen, queue = set(), [path for path, node in graph.nodes.items()
                          if node.kind == "Output" and not graph.after(path)]
    while queue:
        path = queue.pop()
        if path not in seen:
            seen.add(path)
            queue += graph.before(path)
    for path, node in graph.nodes.items():
        if path not in seen:
            raise node.refuse("leads nowhere, every path must end in the Output node")


def _order(graph: Graph, paths: list[str], drives: dict[str, Drive], output: str
           ) -> tuple[str, ...]:
    before = {path: {term.source for term in drives[path].terms
                     if term.source in drives and term.source != path
                     and term.delay == 0 and term.cuts == 0} for path in paths}
    order: list[str] = []
    waiting = sorted(paths)
    while waiting:
        ready = [path for path in waiting if before[path] <= set(order)]
        if not ready:
            raise _cycle(graph, before, set(order), waiting)
        late = [path for path in ready if path != output] or ready
        if late == [output] and len(waiting) > 1:
            raise graph.nodes[output].refuse(
                f"feeds {', '.join(w for w in waiting if w != output)} without delay although it "
                f"feeds the Output node; delay that edge by a Delay node or --cut EDGE")
        order.append(late[0])
        waiting.remove(late[0])
    return tuple(order)


def _cycle(graph: Graph, before: dict[str, set], done: set[str], waiting: list[str]) -> UserError:
    path, way = waiting[0], []
    while path not in way:
        way.append(path)
        path = sorted(before[path] - done)[0]
    cycle = [*way[way.index(path):], path]
    return graph.nodes[path].refuse(
        f"lies on a cycle through several layers of neurons ({' <- '.join(cycle)}) without delay; "
        f"put a Delay node into it or say which edge takes a timestep with --cut SOURCE->TARGET")


def _names(paths: list[str]) -> dict[str, str]:
    names = {}
    for path in paths:
        parts = path.split(".")
        heads = [".".join(parts[:count + 1]) for count in range(len(parts))]
        names[path] = next((head for head in heads if not any(
            other != path and (other == head or other.startswith(f"{head}."))
            for other in paths)), path)
    return names


def total_inputs(inputs: tuple[tuple[str, tuple[int, ...]], ...]) -> dict[str, int]:
    """First axon of each input, by path."""
    firsts, first = {}, 0
    for path, shape in inputs:
        firsts[path] = first
        first += int(np.prod(shape))
    return firsts
