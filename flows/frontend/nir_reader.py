"""Reads a NIR file into a float network: one weight matrix and bias per layer of neurons."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np

from lamina.flows.errors import UserError
from lamina.flows.frontend.discretise import (
    Discretisation,
    NeuronNode,
    check_dt,
    discretise,
    parse_reset,
)
from lamina.flows.frontend.float_network import FloatLayer, FloatNetwork
from lamina.flows.frontend.nir_file import Node, read_chain
from lamina.models.config import ResetRule
from lamina.models.program import DECODINGS, ENCODINGS, Encoder

__all__ = ["DEFAULT_TIMESTEPS", "read_network"]

DEFAULT_TIMESTEPS = 16
_MAX_AXONS = 1 << 20
_MAX_DIAGONAL = 4096


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Stage:
    """A layer of neurons behind ``weights @ x + bias``; `weights` (neurons, axons)."""

    neuron: NeuronNode
    weights: np.ndarray
    bias: np.ndarray
    sources: tuple[str, ...]


class _Fold:
    """The linear map since the last neurons, ``weights @ x + bias``, with the shape it yields.

    `weights` is None while the map is the identity on `size` axons.
    """

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape
        self.sources: tuple[str, ...] = ()
        self.weights: np.ndarray | None = None
        self.bias = np.zeros(self.size)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    @property
    def changes(self) -> bool:
        return self.weights is not None

    def matrix(self, node: Node) -> np.ndarray:
        if self.weights is None and self.size > _MAX_DIAGONAL:
            raise node.refuse(f"more than {_MAX_DIAGONAL} values without a weight matrix before "
                              f"it are not supported, not {self.size}")
        return np.eye(self.size) if self.weights is None else self.weights

    def affine(self, node: Node) -> None:
        weights = node.array("weight")
        if weights.ndim != 2:
            raise node.refuse(f"weight must have two dimensions, not {weights.ndim}")
        if 0 in weights.shape:
            raise node.refuse(f"weight must have at least one input and one output, "
                              f"not shape {weights.shape}")
        extents = tuple(extent for extent in self.shape if extent != 1) or (1,)
        if extents != (weights.shape[1],):
            raise node.refuse(f"weight must have {self.size} inputs for the shape {self.shape} "
                              f"before it, not {weights.shape[1]}"
                              + ("; a Flatten node is missing" if len(extents) > 1 else ""))
        bias = node.array("bias") if node.kind == "Affine" else np.zeros(1)
        if bias.size not in (1, weights.shape[0]):
            raise node.refuse(f"bias must have {weights.shape[0]} entries, not {bias.size}")
        self.bias = weights @ self.bias + bias.ravel()
        self.weights = weights if self.weights is None else weights @ self.weights
        self.shape = (weights.shape[0],)
        self.sources += (node.path,)

    def scale(self, node: Node) -> None:
        scale = node.array("scale")
        try:
            scale = np.broadcast_to(scale, self.shape).ravel()
        except ValueError:
            if scale.size != self.size:
                raise node.refuse(f"scale must fit the shape {self.shape} before it, "
                                  f"not have shape {scale.shape}") from None
            scale = scale.ravel()
        self.weights = self.matrix(node) * scale[:, None]
        self.bias = self.bias * scale
        self.sources += (node.path,)

    def flatten(self, node: Node) -> None:
        if "input_type" in node.fields:
            shape = node.shape("input_type")
            if int(np.prod(shape)) != self.size:
                raise node.refuse(f"input_type must hold {self.size} values like the shape "
                                  f"{self.shape} before it, not {shape}")
            self.shape = shape
        start, end = (self._dimension(node, *item) for item in (("start_dim", 1), ("end_dim", -1)))
        if start <= end:
            middle = int(np.prod(self.shape[start:end + 1]))
            self.shape = (*self.shape[:start], middle, *self.shape[end + 1:])

    def _dimension(self, node: Node, name: str, default: int) -> int:
        value = node.array(name).ravel() if name in node.fields else np.array([default])
        if value.size != 1 or value[0] != np.rint(value[0]) or abs(value[0]) > 32:
            raise node.refuse(f"{name} must be one whole number, not {value.tolist()}")
        return min(int(value[0]) % max(1, len(self.shape)) if value[0] < 0 else int(value[0]),
                   len(self.shape))


def _vector(node: Node, name: str, neurons: int, default: float | None = None) -> np.ndarray:
    """Parameter `name` of a neuron node, one per neuron; a single value counts for all."""
    if name not in node.fields and default is not None:
        return np.full(neurons, default)
    array = node.array(name)
    if array.size not in (1, neurons) or array.size == 0:
        raise node.refuse(f"{name} must have 1 or {neurons} entries, as many as the node before "
                          f"it has outputs, not {array.size}")
    return np.broadcast_to(array.ravel(), (neurons,))


def _neurons(node: Node, neurons: int) -> NeuronNode:
    leaky = node.kind == "LIF"
    tau = _vector(node, "tau", neurons) if leaky else None
    if leaky and tau.min() <= 0:
        raise node.refuse(f"tau must be positive, not {tau.min():.6g}")
    return NeuronNode(node=node, tau=tau, r=_vector(node, "r", neurons),
                      v_leak=_vector(node, "v_leak", neurons) if leaky else np.zeros(neurons),
                      theta=_vector(node, "v_threshold", neurons),
                      v_reset=_vector(node, "v_reset", neurons, 0.0))


def _check_port(node: Node, fold: _Fold) -> None:
    shape = node.shape("shape")
    if int(np.prod(shape)) != fold.size:
        raise node.refuse(f"shape must hold {fold.size} values like the node before it, "
                          f"not {shape}")


def _stages(chain: list[Node]) -> list[_Stage]:
    """Fold everything between two layers of neurons into one map."""
    shape = chain[0].shape("shape")
    if np.prod(shape) > _MAX_AXONS:
        raise chain[0].refuse(f"shape must hold at most {_MAX_AXONS} values, not {shape}")
    stages, fold = [], _Fold(shape)
    for node in chain[1:]:
        if node.kind in ("Affine", "Linear"):
            fold.affine(node)
        elif node.kind == "Scale":
            fold.scale(node)
        elif node.kind == "Flatten":
            fold.flatten(node)
        elif node.kind in ("Input", "Output"):
            _check_port(node, fold)
        else:
            stages.append(_Stage(neuron=_neurons(node, fold.size), weights=fold.matrix(node),
                                 bias=fold.bias, sources=fold.sources))
            fold = _Fold(fold.shape)
    if fold.changes:
        last = next(node for node in reversed(chain) if node.kind in ("Affine", "Linear", "Scale"))
        raise last.refuse(f"{last.kind} without neurons behind it is not supported yet; end the "
                          f"network in an IF or LIF node")
    if not stages:
        raise UserError(f"{chain[0].file}: the network must have an IF or LIF node, it has none")
    return stages


def _float_layer(stage: _Stage, step: Discretisation) -> FloatLayer:
    neuron, dt = stage.neuron, step.dt
    leak = np.zeros_like(neuron.r) if neuron.tau is None else dt / neuron.tau
    scale = neuron.r * (dt if neuron.tau is None else leak)
    scale = np.where(np.abs(scale - 1) < 1e-6, 1.0, scale)
    value = step.reset is ResetRule.VALUE
    try:
        return FloatLayer(
            name=neuron.node.path, weights=(stage.weights * scale[:, None]).T,
            bias=stage.bias * scale + leak * neuron.v_leak, decay=np.clip(1 - leak, 0, 1),
            theta=neuron.theta, strict=step.strict, v_reset=neuron.v_reset,
            r=np.zeros_like(scale) if value else neuron.theta, reset=step.reset,
            nodes=stage.sources)
    except ValueError as error:
        raise neuron.node.refuse(f"weights and parameters multiply out of range "
                                 f"({error})") from None


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


def _encoder(meta: _Metadata, kind: str | None, seed: int | None,
             recorded: bool) -> tuple[Encoder, str]:
    stated = meta.one_of("encoder", ENCODINGS)
    if recorded:
        return Encoder(kind="spikes"), "spikes, as the data hold them"
    gain = meta.number("gain", 1.0)
    stated_seed = meta.whole("seed", 0, 2**32 - 1)
    if not 0 < gain <= 1:
        raise UserError(f"{meta.file}: metadata lamina_gain must be in 0..1 and not 0, not {gain}")
    encoder = Encoder(kind=kind or stated or "bernoulli", gain=gain,
                      seed=seed if seed is not None else stated_seed or 0)
    source = ("--encoder" if kind else "the file's metadata" if stated
              else "nothing in the file, the default")
    return encoder, (f"{encoder.kind}, gain {encoder.gain:g}, seed {encoder.seed}, "
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
    for flag, value, allowed in (("--encoder", encoder, ENCODINGS),
                                 ("--decoding", decoding, DECODINGS)):
        if value is not None and value not in allowed:
            raise UserError(f"{flag} must be one of {', '.join(allowed)}, not {value!r}")
    return None if reset is None else parse_reset("--reset", reset)


def read_network(path: pathlib.Path, *, dt: float | None = None, reset: str | None = None,
                 timesteps: int | None = None, encoder: str | None = None,
                 decoding: str | None = None, seed: int | None = None,
                 recorded: int | None = None) -> FloatNetwork:
    """Read a NIR file that is a chain of Affine, Linear, Scale, Flatten, IF and LIF nodes.

    Every layer of neurons gets one weight matrix and bias: the product of the maps before it,
    times ``r * dt / tau`` (LIF) or ``r * dt`` (IF); ``v_leak`` becomes ``dt / tau * v_leak`` of
    bias, the decay is ``1 - dt / tau``. What the file does not say comes from the options, else
    from its metadata (``lamina_dt``, ``_reset``, ``_timesteps``, ``_encoder``, ``_gain``,
    ``_seed``, ``_decoding``, ``_strict``), else by :func:`discretise`, else from a default; each
    with a sentence in ``assumptions``. A reset by subtraction subtracts the threshold.

    Parameters
    ----------
    path : pathlib.Path
    dt : float
        Time step [s], positive, at most the smallest tau.
    reset : str
        ``value``, ``subtract`` or ``subtract-delayed``.
    timesteps : int
        T of a sample, 1..65535; :data:`DEFAULT_TIMESTEPS` where nobody says.
    encoder, decoding : str
        See :class:`lamina.models.program.Program`.
    seed : int
        Of the encoder, 0..2**32-1.
    recorded : int
        T of data that are spikes already: the encoder is then ``spikes``, and T this one where
        neither option nor metadata say.

    Raises
    ------
    UserError
        One line that names file and node or the option, the rule, and the value.
    """
    rule = _check_options(dt, reset, timesteps, encoder, decoding, seed)
    path = pathlib.Path(path)
    chain, metadata = read_chain(path)
    meta = _Metadata(path, metadata)
    with np.errstate(all="ignore"):
        stages = _stages(chain)
        step = discretise(path, [stage.neuron for stage in stages], dt=dt, reset=rule,
                          stated_dt=meta.dt(), stated_reset=meta.reset(),
                          stated_strict=meta.flag("strict"))
        layers = tuple(_float_layer(stage, step) for stage in stages)
    steps, steps_why = _said(timesteps, meta.whole("timesteps", 1, 65535),
                             recorded or DEFAULT_TIMESTEPS, "--timesteps")
    if recorded and steps_why.endswith("does not say"):
        steps_why = f"{recorded}, as in the data; the file does not say"
    decode, decode_why = _said(decoding, meta.one_of("decoding", DECODINGS), "count", "--decoding")
    coder, coder_why = _encoder(meta, encoder, seed, recorded is not None)
    return FloatNetwork(
        name=path.stem, layers=layers, input_shape=chain[0].shape("shape"), timesteps=steps,
        encoder=coder, decoding=decode,
        assumptions=step.assumptions | {"timesteps": steps_why, "encoder": coder_why,
                                        "decoding": decode_why})
