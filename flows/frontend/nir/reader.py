"""Reads a NIR file into a float network: layers of neurons with everything linear folded away."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np

from lamina.flows.errors import UserError
from lamina.flows.frontend.data.copies import with_copies
from lamina.flows.frontend.data.encoding import parse_encoder
from lamina.flows.frontend.float_network import FloatNetwork
from lamina.flows.frontend.nir.discretise import (
    Choices,
    Discretisation,
    check_dt,
    discretise,
    parse_reset,
)
from lamina.flows.frontend.nir.file import NEURONS, SUPPORTED, Graph, read_graph
from lamina.flows.frontend.nir.layers import assemble
from lamina.flows.frontend.nir.neurons import NeuronNode, neuron_node
from lamina.flows.frontend.nir.ordering import Outline, outline
from lamina.models.config import ResetRule
from lamina.models.program import DECODINGS, ENCODINGS, Encoder

__all__ = ["DEFAULT_TIMESTEPS", "Reading", "read_network", "read_outline"]

DEFAULT_TIMESTEPS = 16


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """A file as it was understood, before timesteps.

    Parameters
    ----------
    graph : Graph
    outline : Outline
    neurons : tuple of NeuronNode
        In the order of the layers.
    step : Discretisation
    """

    graph: Graph
    outline: Outline
    neurons: tuple[NeuronNode, ...]
    step: Discretisation


class _Metadata:
    """Typed access to the ``lamina_*`` keys of a file."""

    def __init__(self, file: pathlib.Path, values: dict):
        self.file = file
        self.values = values

    def _get(self, key: str) -> object:
        value = self.values.get(f"lamina_{key}")
        if isinstance(value, np.ndarray):
            value = value.ravel()[0] if value.size == 1 else value.tolist()
        value = value.item() if isinstance(value, np.generic) else value
        return value.decode("utf8", "replace") if isinstance(value, bytes) else value

    def _refuse(self, key: str, rule: str, value: object) -> UserError:
        text = repr(value).replace("\n", " ")[:60]
        return UserError(f"{self.file}: metadata lamina_{key} must be {rule}, not {text}")

    def number(self, key: str, default: float | None = None) -> float | None:
        value = self._get(key)
        if value is None:
            return default
        if not isinstance(value, (int, float)):
            raise self._refuse(key, "a number", value)
        return float(value)

    def whole(self, key: str, low: int, high: int) -> int | None:
        value = self.number(key)
        if value is None:
            return None
        if not low <= value <= high or value != int(value):
            raise self._refuse(key, f"a whole number in {low}..{high}", value)
        return int(value)

    def one_of(self, key: str, allowed: tuple[str, ...]) -> str | None:
        value = self._get(key)
        if value is not None and value not in allowed:
            raise self._refuse(key, f"one of {', '.join(allowed)}", value)
        return value

    def flag(self, key: str) -> bool | None:
        value = self._get(key)
        if value is not None and value not in (True, False):
            raise self._refuse(key, "true or false", value)
        return None if value is None else bool(value)

    def dt(self) -> float | None:
        value = self.number("dt")
        return None if value is None else check_dt(f"{self.file}: metadata lamina_dt", value)

    def reset(self) -> ResetRule | None:
        value = self._get("reset")
        if value is None:
            return None
        return parse_reset(f"{self.file}: metadata lamina_reset", str(value)[:60])


def _encoder(meta: _Metadata, text: str | None, seed: int | None,
             recorded: bool) -> tuple[Encoder, str]:
    stated = meta.one_of("encoder", ENCODINGS)
    given = parse_encoder(text or stated or "bernoulli")
    if recorded and given["kind"] != "delta":
        return Encoder(kind="spikes"), "spikes, as the data hold them"
    gain = meta.number("gain", 1.0)
    stated_seed = meta.whole("seed", 0, 2**32 - 1)
    if not 0 < gain <= 1:
        raise UserError(f"{meta.file}: metadata lamina_gain must be in 0..1 and not 0, not {gain}")
    encoder = Encoder(**given, gain=gain, seed=seed if seed is not None else stated_seed or 0)
    source = ("--encoder" if text else "the file's metadata" if stated
              else "nothing in the file, the default")
    kind = {"delta": f"delta of {encoder.step:g}",
            "constant": f"constant of {encoder.levels} levels"}.get(encoder.kind, encoder.kind)
    return encoder, (f"{kind}, gain {encoder.gain:g}, seed {encoder.seed}, "
                     f"from {source}")


def _said(option: object, stated: object, default: object, flag: str) -> tuple[object, str]:
    """The value that counts, and a sentence."""
    if option is not None:
        note = f"; the file's metadata says {stated}" if stated not in (None, option) else ""
        return option, f"{option}, from {flag}{note}"
    if stated is not None:
        return stated, f"{stated}, from the file's metadata"
    return default, f"{default}, the default; the file does not say"


def _check_options(dt, reset, timesteps, encoder, decoding, seed) -> ResetRule | None:
    if dt is not None:
        check_dt("--dt", dt)
    if timesteps is not None and not 1 <= timesteps <= 65535:
        raise UserError(f"--timesteps must be in 1..65535, not {timesteps}")
    if seed is not None and not 0 <= seed < 2**32:
        raise UserError(f"--seed must be in 0..{2**32 - 1}, not {seed}")
    if encoder is not None:
        parse_encoder(encoder)
    if decoding is not None and decoding not in DECODINGS:
        raise UserError(f"--decoding must be one of {', '.join(DECODINGS)}, not {decoding!r}")
    return None if reset is None else parse_reset("--reset", reset)


def _cuts(path: pathlib.Path, graph: Graph, texts: tuple[str, ...]) -> frozenset:
    """Edges named by ``--cut SOURCE->TARGET``."""
    cuts = set()
    for text in texts:
        ends = tuple(part.strip() for part in text.split("->"))
        if ends not in graph.edges:
            known = ", ".join(f"{a}->{b}" for a, b in sorted(graph.edges))
            raise UserError(f"--cut must be an edge of {path}, one of {known[:200]}, not {text!r}")
        cuts.add(ends)
    return frozenset(cuts)


def read_outline(path: pathlib.Path, *, dt: float | None = None, reset: str | None = None,
                 integrator: str | None = None, refractory: int | None = None,
                 cuts: tuple[str, ...] = ()) -> Reading:
    """Understand a file without building its layers; options and errors as in `read_network`."""
    rule = _check_options(dt, reset, None, None, None, None)
    path = pathlib.Path(path)
    graph = read_graph(path)
    _check_kinds(graph)
    meta = _Metadata(path, graph.metadata)
    with np.errstate(all="ignore"):
        plan = outline(graph, _cuts(path, graph, cuts))
        neurons = tuple(neuron_node(graph.nodes[name], int(np.prod(plan.drives[name].shape)))
                        for name in plan.order)
        _check_output(graph, neurons[-1].neurons)
        step = discretise(path, neurons, Choices(
            dt=dt, reset=rule, integrator=integrator, refractory=refractory, stated_dt=meta.dt(),
            stated_reset=meta.reset(), stated_strict=meta.flag("strict"),
            stated_refractory=meta.whole("refractory", 0, 1)))
    return Reading(graph=graph, outline=plan, neurons=neurons, step=step)


def _check_output(graph: Graph, neurons: int) -> None:
    """Refuse an Output node whose shape is not that of the layer before it."""
    for path, node in graph.nodes.items():
        if node.kind == "Output" and not graph.after(path) and "shape" in node.fields:
            shape = node.shape("shape")
            if int(np.prod(shape)) != neurons:
                raise node.refuse(f"shape must hold {neurons} values like the node before it, "
                                  f"not {shape}")


def _check_kinds(graph: Graph) -> None:
    for path, node in graph.nodes.items():
        if node.kind not in SUPPORTED:
            raise node.refuse(f"{node.kind} is not supported; supported: {', '.join(SUPPORTED)}")
        if not path:
            raise node.refuse("must have a name")
    if not any(node.kind in NEURONS for node in graph.nodes.values()):
        raise UserError(f"{graph.file}: the network must have a node of neurons "
                        f"({', '.join(NEURONS)}), it has none")


def read_network(path: pathlib.Path, *, dt: float | None = None, reset: str | None = None,
                 integrator: str | None = None, refractory: int | None = None,
                 cuts: tuple[str, ...] = (), timesteps: int | None = None,
                 encoder: str | None = None, decoding: str | None = None,
                 seed: int | None = None, recorded: int | None = None,
                 repeats: int = 1) -> FloatNetwork:
    """Read any network of NIR nodes.

    Every layer of neurons gets the folded maps from its sources, times the input scale of its
    equation (``r * dt / tau`` under Euler); ``v_leak`` becomes bias. A layer is called by the
    shortest leading part of its node's path that no other neuron node shares. What the file does
    not say comes from the options, else from its metadata (``lamina_dt``, ``_reset``,
    ``_refractory``, ``_timesteps``, ``_encoder``, ``_gain``, ``_seed``, ``_decoding``,
    ``_strict``), else by :func:`discretise`, else from a default; each with a sentence in
    ``assumptions``. A reset by subtraction subtracts the threshold.

    Parameters
    ----------
    path : pathlib.Path
    dt : float
        Time step [s], positive, at most the smallest tau under Euler.
    reset : str
        Label of a :class:`lamina.models.config.ResetRule`.
    integrator : str
        ``euler`` or ``exponential``.
    refractory : int
        0 or 1 timesteps of rest after a reset to value (snnTorch's ``zero``, one step late).
    cuts : tuple of str
        Edges ``SOURCE->TARGET`` of cycles that take one timestep.
    timesteps : int
        T of a sample, 1..65535; :data:`DEFAULT_TIMESTEPS` where nobody says.
    encoder, decoding : str
        See :class:`lamina.models.program.Program`; the encoder as ``KIND``, ``delta:STEP`` or
        ``constant:LEVELS``, the latter with that many copies of the input axons.
    seed : int
        Of the encoder, 0..2**32-1.
    recorded : int
        T of data that are spikes or signals: the encoder is then ``spikes``, or ``delta`` where
        asked for, and T this one where neither option nor metadata say.
    repeats : int
        Copies of the input axons that stand for counts in the data.

    Raises
    ------
    UserError
        One line that names file and node or the option, the rule, and the value.
    """
    _check_options(dt, reset, timesteps, encoder, decoding, seed)
    reading = read_outline(path, dt=dt, reset=reset, integrator=integrator,
                           refractory=refractory, cuts=cuts)
    graph, plan = reading.graph, reading.outline
    meta = _Metadata(graph.file, graph.metadata)
    with np.errstate(all="ignore"):
        layers = assemble(plan, reading.neurons, reading.step)
    steps, steps_why = _said(timesteps, meta.whole("timesteps", 1, 65535),
                             recorded or DEFAULT_TIMESTEPS, "--timesteps")
    if recorded and steps_why.endswith("does not say"):
        steps_why = f"{recorded}, as in the data; the file does not say"
    usual = "count" if layers[-1].spiking else "v_final"
    decode, decode_why = _said(decoding, meta.one_of("decoding", DECODINGS), usual, "--decoding")
    coder, coder_why = _encoder(meta, encoder, seed, recorded is not None)
    mended = {"file": "; ".join(graph.notes)} if graph.notes else {}
    shape = plan.inputs[0][1] if len(plan.inputs) == 1 else (
        sum(int(np.prod(shape)) for _, shape in plan.inputs),)
    network = FloatNetwork(
        name=graph.file.stem, layers=layers, input_shape=shape, inputs=plan.inputs,
        timesteps=steps, encoder=coder, decoding=decode,
        assumptions=reading.step.assumptions | mended | {
            "timesteps": steps_why, "encoder": coder_why, "decoding": decode_why})
    if coder.kind == "constant":
        return with_copies(network, coder.copies, scale=1 / coder.copies)
    return with_copies(network, repeats)
