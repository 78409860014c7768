"""What reaches each layer of neurons: everything linear before it, folded, source by source."""

from __future__ import annotations

import dataclasses

import numpy as np

from lamina.flows.errors import UserError
from lamina.flows.frontend.nir.file import NEURONS, Graph, Node
from lamina.flows.frontend.nir.linear_map import LinearMap, convolve, extents
from lamina.models.source import Window

__all__ = ["Drive", "Folder", "Term"]

_MAX_VALUES = 1 << 20
_MAX_TERMS = 256


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Term:
    """Spikes of one source on their way.

    Parameters
    ----------
    source : str
        Path of a neuron or Input node.
    delay : float
        Of the Delay nodes on the way [s].
    cuts : int
        How many ``--cut`` edges the way crosses; each is a delay of one timestep.
    map : LinearMap
    """

    source: str
    delay: float
    cuts: int
    map: LinearMap


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Drive:
    """Input of a node: the sum of its terms and a constant.

    Parameters
    ----------
    shape : tuple of int
    terms : tuple of Term
    constant : float64 array (values,)
        In C order.
    nodes : tuple of str
        Paths of the nodes that were folded.
    grid : float64 array (outputs,) or None
        Weight of one LSB, where the only matrix on the way was quantised.
    """

    shape: tuple[int, ...]
    terms: tuple[Term, ...]
    constant: np.ndarray
    nodes: tuple[str, ...] = ()
    grid: np.ndarray | None = None

    def mapped(self, node: Node, change) -> Drive:
        """The drive behind a node that applies `change` to each map."""
        try:
            terms = tuple(dataclasses.replace(term, map=change(term.map)) for term in self.terms)
        except ValueError as error:
            raise node.refuse(f"{node.kind} {error}") from None
        return dataclasses.replace(self, terms=terms, shape=terms[0].map.shape,
                                   nodes=(*self.nodes, node.path))


def _pair(node: Node, name: str, default: int, low: int, dimensions: int) -> tuple[int, int]:
    """Parameter `name` as (rows, columns); of a Conv1d the rows are `low` or 0."""
    values = node.array(name).ravel() if name in node.fields else np.array([default])
    if values.size == 1 and dimensions == 2:
        values = np.repeat(values, 2)
    if values.size != dimensions or (values != np.rint(values)).any() or values.min() < low \
            or values.max() > 255:
        raise node.refuse(f"{name} must be {dimensions} whole numbers in {low}..255, "
                          f"not {values.tolist()}")
    whole = [int(value) for value in values]
    return (low, whole[0]) if dimensions == 1 else (whole[0], whole[1])


class Folder:
    """Folds the linear nodes of a graph.

    Parameters
    ----------
    graph : Graph
    cuts : frozenset of (str, str)
        Edges that take one timestep.
    """

    def __init__(self, graph: Graph, cuts: frozenset[tuple[str, str]] = frozenset()):
        self._graph, self._cuts = graph, cuts
        self._outputs: dict[str, Drive] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._open: list[str] = []

    def into(self, path: str) -> Drive:
        """Sum of everything that the edges into node `path` carry.

        Raises
        ------
        UserError
            If nothing does, shapes differ, or a cycle has no neurons.
        """
        node, before = self._graph.nodes[path], self._graph.before(path)
        if not before:
            raise node.refuse("has no edge into it, every path must begin at an Input node")
        drives = [self._through(source, path) for source in before]
        if len(drives) == 1:
            return drives[0]
        shape = drives[0].shape
        for source, drive in zip(before[1:], drives[1:], strict=True):
            if int(np.prod(drive.shape)) != int(np.prod(shape)):
                raise node.refuse(f"joins {before[0]} of shape {shape} and {source} of shape "
                                  f"{drive.shape}, which must hold as many values")
        terms = tuple(dataclasses.replace(term, map=term.map.reshaped(shape))
                      for drive in drives for term in drive.terms)
        if len(terms) > _MAX_TERMS:
            raise node.refuse(f"must be reached on at most {_MAX_TERMS} ways, not {len(terms)}")
        nodes = tuple(dict.fromkeys(path for drive in drives for path in drive.nodes))
        return Drive(shape=shape, terms=terms, nodes=nodes, grid=_common_grid(drives),
                     constant=sum(drive.constant for drive in drives))

    def _through(self, source: str, target: str) -> Drive:
        drive = self.out_of(source)
        if (source, target) not in self._cuts:
            return drive
        if drive.constant.any():
            raise self._graph.nodes[source].refuse(
                "has a bias, which an edge that takes a timestep cannot hold back; cut the edge "
                "into it instead")
        terms = tuple(dataclasses.replace(term, cuts=term.cuts + 1) for term in drive.terms)
        return dataclasses.replace(drive, terms=terms)

    def out_of(self, path: str) -> Drive:
        """What leaves node `path`; errors as in :meth:`into`."""
        if path in self._outputs:
            return self._outputs[path]
        node = self._graph.nodes[path]
        if path in self._open:
            cycle = " -> ".join([*self._open[self._open.index(path):], path])
            raise UserError(f"{self._graph.file}: node {path}: lies on a cycle without neurons "
                            f"({cycle}), which has no meaning in timesteps")
        self._open.append(path)
        drive = self._fold(node)
        self._open.pop()
        self._outputs[path] = drive
        return drive

    def shape_of(self, path: str) -> tuple[int, ...]:
        """Shape of the values of a source: an Input node's own, a neuron node's input shape."""
        if path in self._shapes:
            return self._shapes[path]
        node = self._graph.nodes[path]
        if node.kind in NEURONS:
            shape = self._neuron_shape(node)
        else:
            shape = node.shape("shape" if "shape" in node.fields else "input_type")
        if np.prod(shape) > _MAX_VALUES:
            raise node.refuse(f"shape must hold at most {_MAX_VALUES} values, not {shape}")
        self._shapes[path] = shape
        return shape

    def _neuron_shape(self, node: Node) -> tuple[int, ...]:
        """Shape of a neuron node: of its input, found without going round a cycle."""
        for name in ("v_threshold", "r", "threshold", "tau", "tau_mem"):
            if name in node.fields and node.array(name).size > 1:
                shape = node.array(name).shape
                if len(shape) in (2, 3):
                    return shape
                return self._forward_shape(node, shape)
        return self._forward_shape(node, None)

    def _forward_shape(self, node: Node, known: tuple[int, ...] | None) -> tuple[int, ...]:
        """Shape of what feeds `node`, of as many values as `known` where that is given."""
        for before in self._graph.before(node.path):
            source = self._graph.nodes[before]
            if source.kind in ("Affine", "Linear"):
                shape = source.array("weight").shape[:1]
            elif node.path not in self._ancestors(before):
                shape = self.out_of(before).shape
            else:
                continue
            if known is None or int(np.prod(shape)) == int(np.prod(known)):
                return shape
        return known or (1,)

    def _ancestors(self, path: str) -> set[str]:
        """Paths of all nodes that lead to `path`, itself included."""
        seen, queue = set(), [path]
        while queue:
            at = queue.pop()
            if at not in seen:
                seen.add(at)
                queue += self._graph.before(at)
        return seen

    def _fold(self, node: Node) -> Drive:
        border = node.kind == "Input" and not self._graph.before(node.path)
        if border or node.kind in NEURONS:
            shape = self.shape_of(node.path)
            term = Term(source=node.path, delay=0.0, cuts=0, map=LinearMap.identity(shape))
            return Drive(shape=shape, terms=(term,), constant=np.zeros(int(np.prod(shape))))
        drive = self.into(node.path)
        return getattr(self, f"_{node.kind.lower()}")(node, drive)

    def _input(self, node: Node, drive: Drive) -> Drive:
        if "shape" in node.fields or "input_type" in node.fields:
            shape = node.shape("shape" if "shape" in node.fields else "input_type")
            if int(np.prod(shape)) != int(np.prod(drive.shape)):
                raise node.refuse(f"shape must hold {int(np.prod(drive.shape))} values like the "
                                  f"node before it, not {shape}")
        return drive

    _output = _input

    def _linear(self, node: Node, drive: Drive) -> Drive:
        weights = _weights(node)
        if weights.ndim != 2 or 0 in weights.shape:
            raise node.refuse(f"weight must have two dimensions with at least one input and one "
                              f"output, not shape {weights.shape}")
        size = int(np.prod(drive.shape))
        extents_ = tuple(extent for extent in drive.shape if extent != 1) or (1,)
        if extents_ != (weights.shape[1],):
            hint = "; a Flatten node is missing" if len(extents_) > 1 else ""
            raise node.refuse(f"weight must have {size} inputs for the shape {drive.shape} "
                              f"before it, not {weights.shape[1]}{hint}")
        folded = drive.mapped(node, lambda map_: map_.affine(weights))
        grid = _grid(node, len(weights)) if all(t.map.is_identity for t in drive.terms) else None
        return dataclasses.replace(folded, constant=weights @ drive.constant, grid=grid)

    def _affine(self, node: Node, drive: Drive) -> Drive:
        folded = self._linear(node, drive)
        bias = node.array("bias")
        if bias.size not in (1, folded.shape[0]):
            raise node.refuse(f"bias must have {folded.shape[0]} entries, not {bias.size}")
        return dataclasses.replace(folded, constant=folded.constant + bias.ravel())

    def _scale(self, node: Node, drive: Drive) -> Drive:
        scale = node.array("scale")
        size = int(np.prod(drive.shape))
        try:
            scale = np.broadcast_to(scale, drive.shape)
        except ValueError:
            if scale.size != size:
                raise node.refuse(f"scale must fit the shape {drive.shape} before it, "
                                  f"not have shape {scale.shape}") from None
            scale = scale.reshape(drive.shape)
        folded = drive.mapped(node, lambda map_: map_.scaled(scale))
        return dataclasses.replace(folded, constant=drive.constant * scale.ravel(), grid=None)

    def _flatten(self, node: Node, drive: Drive) -> Drive:
        shape = drive.shape
        if "input_type" in node.fields:
            stated = node.shape("input_type")
            if int(np.prod(stated)) != int(np.prod(shape)):
                raise node.refuse(f"input_type must hold {int(np.prod(shape))} values like the "
                                  f"shape {shape} before it, not {stated}")
            shape = stated
        start = _dimension(node, "start_dim", 1, len(shape))
        end = _dimension(node, "end_dim", -1, len(shape))
        if start <= end:
            shape = (*shape[:start], int(np.prod(shape[start:end + 1])), *shape[end + 1:])
        return drive.mapped(node, lambda map_: map_.reshaped(shape))

    def _delay(self, node: Node, drive: Drive) -> Drive:
        delays = node.array("delay").ravel()
        size = int(np.prod(drive.shape))
        if delays.size not in (1, size) or delays.min(initial=0) < 0:
            raise node.refuse(f"delay must be one time from 0 or one per value, {size}, "
                              f"not {delays.size} from {delays.min(initial=0):.6g}")
        if delays.any() and drive.constant.any():
            raise node.refuse("cannot hold back the bias that comes with its input; put the Delay "
                              "before the node with the bias")
        terms = []
        for delay in np.unique(delays):
            chosen = np.broadcast_to(delays == delay, size).reshape(drive.shape).astype(float)
            for term in drive.terms:
                part = term.map if chosen.all() else term.map.scaled(chosen)
                terms.append(dataclasses.replace(term, map=part, delay=term.delay + float(delay)))
        return dataclasses.replace(drive, terms=tuple(terms), nodes=(*drive.nodes, node.path))

    def _conv2d(self, node: Node, drive: Drive) -> Drive:
        return self._convolution(node, drive, 2)

    def _conv1d(self, node: Node, drive: Drive) -> Drive:
        return self._convolution(node, drive, 1)

    def _convolution(self, node: Node, drive: Drive, dimensions: int) -> Drive:
        weights = _weights(node)
        if weights.ndim != 2 + dimensions or 0 in weights.shape:
            raise node.refuse(f"weight must have {2 + dimensions} dimensions of at least 1, "
                              f"not shape {weights.shape}")
        if dimensions == 1:
            weights = weights[:, :, None]
        if len(drive.shape) != 1 + dimensions:
            raise node.refuse(f"needs values of {1 + dimensions} dimensions, not {drive.shape}")
        channels, *size = drive.shape if dimensions == 2 else (drive.shape[0], 1, drive.shape[1])
        kernel = _ungrouped(node, weights, channels)
        stride = _pair(node, "stride", 1, 1, dimensions)
        dilation = _pair(node, "dilation", 1, 1, dimensions)
        padding = _padding(node, kernel.shape[2:], stride, dilation, dimensions)
        positions = extents(tuple(size), kernel.shape[2:], stride, padding, dilation)
        if min(positions) < 1:
            raise node.refuse(f"kernel {kernel.shape[2:]} must fit the padded map {tuple(size)}")
        folded = drive.mapped(node, lambda map_: map_.convolved(kernel, stride, padding, dilation,
                                                                positions))
        window = Window(shape=(channels, *size), kernel=kernel.shape[2:], stride=stride,
                        padding=padding, dilation=dilation)
        constant = convolve(drive.constant[None], kernel, window, positions)[0]
        bias = node.array("bias") if "bias" in node.fields else np.zeros(1)
        if bias.size not in (1, len(kernel)):
            raise node.refuse(f"bias must have {len(kernel)} entries, not {bias.size}")
        constant = constant + bias.reshape(-1, 1, 1)
        shape = folded.shape if dimensions == 2 else (folded.shape[0], folded.shape[2])
        grid = _grid(node, len(kernel)) if all(
            t.map.matrix is None and t.map.kernel is None for t in drive.terms) else None
        terms = tuple(dataclasses.replace(term, map=term.map.reshaped(shape))
                      for term in folded.terms)
        return dataclasses.replace(folded, terms=terms, shape=shape, constant=constant.ravel(),
                                   grid=grid)

    def _sumpool2d(self, node: Node, drive: Drive) -> Drive:
        return self._pool(node, drive, average=False)

    def _avgpool2d(self, node: Node, drive: Drive) -> Drive:
        return self._pool(node, drive, average=True)

    def _pool(self, node: Node, drive: Drive, *, average: bool) -> Drive:
        node.array("kernel_size")
        kernel = _pair(node, "kernel_size", 1, 1, 2)
        stride = _pair(node, "stride", 1, 1, 2) if "stride" in node.fields else kernel
        padding = _pair(node, "padding", 0, 0, 2)
        if len(drive.shape) != 3:
            raise node.refuse(f"needs values of 3 dimensions, not {drive.shape}")
        gain = 1 / (kernel[0] * kernel[1]) if average else 1.0
        positions = extents(drive.shape[1:], kernel, stride, padding, (1, 1))
        if min(positions) < 1:
            raise node.refuse(f"kernel_size {kernel} must fit the map {drive.shape[1:]}")
        ones = np.eye(drive.shape[0])[:, :, None, None] * np.full(kernel, gain)
        simple = kernel == stride and padding == (0, 0)
        folded = drive.mapped(node, lambda map_: map_.pooled(kernel, gain) if simple
                              else map_.convolved(ones, stride, padding, (1, 1), positions))
        window = Window(shape=drive.shape, kernel=kernel, stride=stride, padding=padding)
        constant = convolve(drive.constant[None], ones, window, positions)[0]
        return dataclasses.replace(folded, constant=constant.ravel(), grid=None)


def _dimension(node: Node, name: str, default: int, count: int) -> int:
    value = node.array(name).ravel() if name in node.fields else np.array([default])
    if value.size != 1 or value[0] != np.rint(value[0]) or abs(value[0]) > 32:
        raise node.refuse(f"{name} must be one whole number, not {value.tolist()}")
    index = int(value[0])
    return min(index % max(1, count) if index < 0 else index, count)


def _ungrouped(node: Node, weights: np.ndarray, channels: int) -> np.ndarray:
    """Kernel over all channels, zero where a group does not reach."""
    stated = node.array("groups").ravel() if "groups" in node.fields else np.ones(1)
    if stated.size != 1 or stated[0] != np.rint(stated[0]):
        raise node.refuse(f"groups must be one whole number, not {stated.tolist()}")
    groups = int(stated[0])
    outputs, per_group = weights.shape[:2]
    if groups < 1 or outputs % groups or per_group * groups != channels:
        raise node.refuse(f"weight must take {channels} channels in groups, not {groups} groups "
                          f"of {per_group}")
    if groups == 1:
        return weights
    kernel = np.zeros((outputs, channels, *weights.shape[2:]))
    for group in range(groups):
        rows = slice(group * outputs // groups, (group + 1) * outputs // groups)
        kernel[rows, group * per_group:(group + 1) * per_group] = weights[rows]
    return kernel


def _padding(node: Node, kernel: tuple[int, int], stride: tuple[int, int],
             dilation: tuple[int, int], dimensions: int) -> tuple[int, int]:
    value = node.fields.get("padding", 0)
    text = value.decode("utf8", "replace") if isinstance(value, bytes) else value
    if not isinstance(text, str):
        pair = _pair(node, "padding", 0, 0, dimensions)
        return pair
    if text == "valid":
        return (0, 0)
    total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    if text != "same" or stride != (1, 1) or any(n % 2 for n in total):
        raise node.refuse(f"padding must be numbers, 'valid', or 'same' with stride 1 and an odd "
                          f"reach, not {text!r}")
    return total[0] // 2, total[1] // 2


def _weights(node: Node) -> np.ndarray:
    """Weights of a node; of a quantised one exactly codes times scale."""
    if "quant_weight" not in node.metadata.fields:
        return node.array("weight")
    codes = node.metadata.array("quant_weight")
    if "weight" in node.fields and node.array("weight").shape != codes.shape:
        raise node.refuse(f"quant_weight must have the shape {node.array('weight').shape} of "
                          f"weight, not {codes.shape}")
    if (codes != np.rint(codes)).any():
        bad = codes[codes != np.rint(codes)][0]
        raise node.refuse(f"quant_weight must be whole numbers, not {bad:.6g}")
    outputs, aside = len(codes) if codes.ndim else 1, (1,) * max(0, codes.ndim - 1)
    if "quant_weight_zero_point" in node.metadata.fields:
        zero = node.metadata.array("quant_weight_zero_point").ravel()
        if zero.size not in (1, outputs) or (zero != np.rint(zero)).any():
            raise node.refuse(f"quant_weight_zero_point must be one or {outputs} whole numbers, "
                              f"not {zero.tolist()}")
        codes = codes - zero.reshape(-1, *aside)
    if "quant_weight_scale" not in node.metadata.fields:
        raise node.refuse("quant_weight must come with a quant_weight_scale, it has none")
    return codes * _grid(node, outputs).reshape(-1, *aside)


def _grid(node: Node, outputs: int) -> np.ndarray | None:
    """Weight of one LSB per output from the metadata of a quantised node, or None."""
    if "quant_weight_scale" not in node.metadata.fields:
        return None
    scale = node.metadata.array("quant_weight_scale").ravel()
    if scale.size not in (1, outputs) or scale.min() <= 0:
        raise node.refuse(f"quant_weight_scale must be positive, one or {outputs} of them, "
                          f"not {scale.size} from {scale.min(initial=np.inf):.6g}")
    return np.broadcast_to(scale, outputs).astype(np.float64)


def _common_grid(drives: list[Drive]) -> np.ndarray | None:
    grids = [drive.grid for drive in drives]
    if any(grid is None for grid in grids):
        return None
    return grids[0] if all(np.array_equal(grid, grids[0]) for grid in grids) else None
