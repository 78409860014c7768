"""From folded drives and neuron parameters to the float layers of a network."""

from __future__ import annotations

import numpy as np

from lamina.flows.frontend.float_network import FloatLayer
from lamina.flows.frontend.nir.discretise import Discretisation
from lamina.flows.frontend.nir.fold import Drive, Term
from lamina.flows.frontend.nir.linear_map import LinearMap
from lamina.flows.frontend.nir.neurons import NeuronNode
from lamina.flows.frontend.nir.ordering import Outline, total_inputs
from lamina.models.config import ResetRule
from lamina.models.source import INPUT, Source, Window

__all__ = ["assemble"]


def assemble(plan: Outline, neurons: tuple[NeuronNode, ...], step: Discretisation
             ) -> tuple[FloatLayer, ...]:
    """Layers in execution order; a current-based neuron is two: its current, then its membrane.

    Raises
    ------
    UserError
        If a delay is no whole number of timesteps, a map is too large, or parameters multiply out
        of range.
    """
    numbers, count = {}, 0
    for path, neuron in zip(plan.order, neurons, strict=True):
        count += 1 if neuron.tau_syn is None else 2
        numbers[path] = count - 1
    layers: list[FloatLayer] = []
    for path, neuron in zip(plan.order, neurons, strict=True):
        weights, sources, shape = _weights(plan, path, neuron, step, numbers)
        try:
            layers += _layers(plan, path, neuron, step, weights, sources, shape, len(layers))
        except ValueError as error:
            raise neuron.node.refuse(f"weights and parameters multiply out of range "
                                     f"({error})") from None
    return tuple(layers)


def _layers(plan, path, neuron, step, weights, sources, shape, number) -> list[FloatLayer]:
    drive, name = plan.drives[path], plan.names[path]
    decay, gain, pull = step.membrane(neuron)
    value = step.reset is ResetRule.VALUE or not neuron.spiking or neuron.is_threshold
    zeros = np.zeros(neuron.neurons)
    theta = zeros if neuron.theta is None else neuron.theta
    rule = ResetRule.VALUE if value else step.reset
    lowering = zeros if value else theta if neuron.lowering is None else neuron.lowering
    membrane = {"decay": decay, "theta": theta, "v_reset": neuron.v_reset,
                "r": lowering, "reset": rule, "strict": step.strict,
                "spiking": neuron.spiking, "kind": neuron.node.kind, "nodes": drive.nodes,
                "refractory": step.refractory if neuron.spiking and value
                and not neuron.is_threshold else 0}
    leak = pull * neuron.v_leak
    if neuron.tau_syn is None:
        return [_scaled(name, weights, sources, shape, drive, gain, leak, membrane)]
    keep, feed = step.synapse(neuron)
    still = {"decay": keep, "theta": zeros, "v_reset": zeros, "r": zeros,
             "reset": ResetRule.VALUE, "strict": step.strict, "spiking": False,
             "kind": neuron.node.kind, "nodes": drive.nodes}
    current = _scaled(f"{name}.current", weights, sources, shape, drive, feed * gain, zeros, still)
    columns = shape[0] if len(shape) == 3 else neuron.neurons
    return [current, FloatLayer(name=name, weights=np.zeros((0, columns)), bias=leak,
                                shape=shape, current=number, **membrane)]


def _scaled(name, weights, sources, shape, drive: Drive, gain, leak, fields) -> FloatLayer:
    """A layer whose input is multiplied by `gain`, per neuron.

    Where the neurons of a channel have different gains, their membranes are measured in units of
    their gain instead, which changes no spike.
    """
    columns = weights.shape[1]
    per_column = gain.reshape(columns, -1)
    grid = drive.grid
    if (per_column == per_column[:, :1]).all():
        bias, factor = drive.constant * gain + leak, per_column[:, 0]
    else:
        factor = np.ones(columns)
        bias = drive.constant + leak / gain
        fields = fields | {key: fields[key] / gain for key in ("theta", "v_reset", "r")}
    return FloatLayer(name=name, weights=weights * factor, bias=bias, sources=sources, shape=shape,
                      grid=None if grid is None else grid * factor, **fields)


def _weights(plan: Outline, path: str, neuron: NeuronNode, step: Discretisation,
             numbers: dict[str, int]) -> tuple[np.ndarray, tuple[Source, ...], tuple[int, ...]]:
    """Weight matrix, sources and shape of the layer at `path`."""
    drive, node = plan.drives[path], neuron.node
    windowed = [term.map for term in drive.terms if term.map.window is not None]
    shape = (windowed[0].channels, *windowed[0].positions) if windowed else (neuron.neurons,)
    parts: dict[tuple, np.ndarray] = {}
    for term in sorted(drive.terms, key=lambda term: term.source):
        if windowed and not _fits_window(term.map, shape):
            windowed, shape = [], (neuron.neurons,)
            break
    firsts = total_inputs(plan.inputs)
    try:
        for term in sorted(drive.terms, key=lambda term: term.source):
            source, block = _part(plan, path, term, shape, step, numbers, firsts)
            parts[source] = parts[source] + block if source in parts else block
    except ValueError as error:
        raise node.refuse(str(error)) from None
    return np.concatenate(list(parts.values())), tuple(parts), shape


def _fits_window(map_: LinearMap, shape: tuple[int, ...]) -> bool:
    if map_.window is not None:
        return (map_.channels, *map_.positions) == shape
    return map_.is_identity and map_.units == int(np.prod(shape))


def _part(plan, path, term: Term, shape, step, numbers, firsts) -> tuple[Source, np.ndarray]:
    """One source and its rows of the weight matrix."""
    delay = plan.steps(path, term, step.whole_steps(plan.graph.nodes[path], term.delay))
    where = {"layer": numbers[term.source], "units": term.map.units} if term.source in numbers \
        else {"layer": INPUT, "units": term.map.units, "first": firsts[term.source]}
    if len(shape) == 1:
        return Source(delay=delay, **where), term.map.dense().T
    map_ = term.map
    if map_.is_identity:
        channels = shape[0]
        map_ = LinearMap(shape=shape, units=map_.units, positions=shape[1:],
                         kernel=np.eye(channels)[:, :, None, None],
                         window=Window(shape=shape, kernel=(1, 1)))
    kernel = map_.taps_kernel().transpose(2, 3, 1, 0)
    return (Source(delay=delay, window=map_.window, **where),
            kernel.reshape(-1, kernel.shape[3]))
