"""What a NIR file does not say (time step, reset rule, comparison): stated, or derived openly."""

from __future__ import annotations

import dataclasses
import math
import pathlib

import numpy as np

from lamina.flows.errors import UserError
from lamina.flows.frontend.nir_file import Node
from lamina.models.config import ResetRule

__all__ = ["Discretisation", "NeuronNode", "check_dt", "discretise", "parse_reset"]

_SNNTORCH_DT = 1e-4
_NORSE_DT = 1e-3
_TOLERANCE = 1e-6


@dataclasses.dataclass(frozen=True, kw_only=True)
class NeuronNode:
    """An IF or LIF node with one float64 per neuron in `tau`, `r`, `v_leak`, `theta`, `v_reset`.

    `tau` [s] is None in an IF node and positive in a LIF node.
    """

    node: Node
    tau: np.ndarray | None
    r: np.ndarray
    v_leak: np.ndarray
    theta: np.ndarray
    v_reset: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Discretisation:
    """How the differential equations of the file become timesteps.

    Parameters
    ----------
    dt : float
        Time step [s] of the forward Euler integration.
    reset : ResetRule
    strict : bool
        Whether a neuron fires at ``v > theta`` only.
    assumptions : dict of str to str
        ``dt``, ``integrator``, ``reset``, ``comparison``, ``start``: value and evidence.
    """

    dt: float
    reset: ResetRule
    strict: bool
    assumptions: dict[str, str]


@dataclasses.dataclass(frozen=True)
class _Evidence:
    exporter: str
    dt: float
    why: str


def check_dt(what: str, dt: float) -> float:
    """`dt` [s] if it is positive and finite; else a :class:`UserError` that begins with `what`."""
    if not (math.isfinite(dt) and dt > 0):
        raise UserError(f"{what} must be a positive time in seconds, not {dt}")
    return float(dt)


def parse_reset(what: str, label: str) -> ResetRule:
    """The rule called `label`; :class:`UserError` that begins with `what` if there is none."""
    if label == "subtract-rederived":
        raise UserError(f"{what} subtract-rederived is not supported yet; supported: "
                        f"{', '.join(rule.label for rule in ResetRule)}")
    try:
        return ResetRule.from_label(label)
    except ValueError:
        raise UserError(f"{what} must be one of {', '.join(rule.label for rule in ResetRule)}, "
                        f"not {label!r}") from None


def _constant(values: np.ndarray) -> float | None:
    """The common positive value of `values`, or None."""
    first = float(values[0])
    if first > 0 and np.abs(values / first - 1).max() < _TOLERANCE:
        return first
    return None


def _evidence(neuron: NeuronNode) -> _Evidence | None:
    """The time step that the parameters of one node give away."""
    if neuron.tau is None:
        r = _constant(neuron.r)
        if r is None:
            return None
        if r == 1:
            return _Evidence("none", 1.0, "r is 1 in an IF node, so inputs act unscaled")
        return _Evidence("spikingjelly", 1 / r, f"r = 1/dt = {r:.6g}, as spikingjelly writes it")
    if not neuron.r.all():
        return None
    ratio = _constant(neuron.tau / neuron.r)
    if ratio is not None and abs(ratio / _SNNTORCH_DT - 1) < _TOLERANCE:
        return _Evidence("snnTorch", _SNNTORCH_DT, "r = tau/dt with dt = 0.0001 s, "
                                                   "as snnTorch writes it")
    if (neuron.r == 1).all():
        return _Evidence("Norse", _NORSE_DT, "r is 1, as Norse writes it with dt = 0.001 s")
    if ratio is not None:
        return _Evidence("none", ratio, f"tau/r is {ratio:.6g} s in every neuron, "
                                        f"so inputs act unscaled")
    return None


def _derive_dt(file: pathlib.Path, neurons: list[NeuronNode]) -> _Evidence:
    found = [_evidence(neuron) for neuron in neurons]
    for neuron, evidence in zip(neurons, found, strict=True):
        if evidence is None:
            raise neuron.node.refuse("no known exporter writes such tau and r; say the time step "
                                     "with --dt SECONDS")
        if abs(evidence.dt / found[0].dt - 1) > _TOLERANCE:
            first = neurons[0].node.path
            raise UserError(f"{file}: node {first} implies dt = {found[0].dt:.6g} s "
                            f"({found[0].why}) but node {neuron.node.path} implies "
                            f"dt = {evidence.dt:.6g} s ({evidence.why}); say it with --dt SECONDS")
    return found[0]


def _choose_dt(file: pathlib.Path, neurons: list[NeuronNode], option: float | None,
               stated: float | None) -> tuple[float, str]:
    clues = [evidence for evidence in map(_evidence, neurons) if evidence is not None]
    strong = next((clue for clue in clues if clue.exporter == "snnTorch"), None)
    if option is not None:
        note = f"; the file's metadata says {stated:.6g} s" if stated not in (None, option) else ""
        if strong and abs(option / strong.dt - 1) > _TOLERANCE:
            note += f"; the parameters look different: {strong.why}"
        return option, f"{option:.6g} s, from --dt{note}"
    if stated is not None:
        if strong and abs(stated / strong.dt - 1) > _TOLERANCE:
            raise UserError(f"{file}: metadata lamina_dt = {stated:.6g} s contradicts the "
                            f"parameters ({strong.why}); say the time step with --dt SECONDS")
        return stated, f"{stated:.6g} s, from the file's metadata"
    derived = _derive_dt(file, neurons)
    return derived.dt, f"{derived.dt:.6g} s, derived: {derived.why}"


def _choose_reset(neurons: list[NeuronNode], dt: float, option: ResetRule | None,
                  stated: ResetRule | None) -> tuple[ResetRule, str]:
    if option is not None:
        note = f"; the file's metadata says {stated.label}" if stated not in (None, option) else ""
        return option, f"{option.label}, from --reset{note}"
    if stated is not None:
        return stated, f"{stated.label}, from the file's metadata"
    if any(neuron.v_reset.any() for neuron in neurons):
        return ResetRule.VALUE, "value, derived: v_reset is not 0 everywhere"
    clues = [_evidence(neuron) for neuron in neurons]
    if all(clue and clue.exporter == "snnTorch" for clue in clues) and dt == _SNNTORCH_DT:
        return ResetRule.SUBTRACT_DELAYED, (f"subtract-delayed, snnTorch's default, derived: "
                                            f"{clues[0].why}")
    return ResetRule.VALUE, "value, as in NIR's equations; nothing in the file says otherwise"


def _choose_strict(neurons: list[NeuronNode], stated: bool | None) -> tuple[bool, str]:
    if stated is not None:
        return stated, f"{'>' if stated else '>='}, from the file's metadata"
    clues = [_evidence(neuron) for neuron in neurons]
    if all(clue and clue.exporter == "spikingjelly" for clue in clues):
        return False, f">=, spikingjelly's, derived: {clues[0].why}"
    return True, ">, as in NIR's equations"


def _check(neurons: list[NeuronNode], dt: float, reset: ResetRule) -> None:
    for neuron in neurons:
        if neuron.tau is not None and dt > neuron.tau.min() * (1 + _TOLERANCE):
            raise neuron.node.refuse(f"dt must be at most tau, the smallest is "
                                     f"{neuron.tau.min():.6g} s, not {dt:.6g} s")
        if reset is not ResetRule.VALUE:
            if neuron.v_reset.any():
                bad = neuron.v_reset[neuron.v_reset != 0][0]
                raise neuron.node.refuse(f"v_reset must be 0 under reset {reset.label}, "
                                         f"not {bad:.6g}; use --reset value")
            if neuron.theta.min() <= 0:
                raise neuron.node.refuse(f"v_threshold must be positive under reset "
                                         f"{reset.label}, not {neuron.theta.min():.6g}")


def discretise(file: pathlib.Path, neurons: list[NeuronNode], *, dt: float | None = None,
               reset: ResetRule | None = None, stated_dt: float | None = None,
               stated_reset: ResetRule | None = None,
               stated_strict: bool | None = None) -> Discretisation:
    """Decide time step, reset rule and comparison of a network, and say why.

    An option wins over the metadata, the metadata over what the parameters give away; every
    assumption names the loser too. The evidence known: snnTorch (dt = 1e-4 s, r = tau/dt,
    subtraction one step late), Norse (dt = 1e-3 s, r = 1), spikingjelly's IF (r = 1/dt, ``>=``),
    any other common tau/r or 1/r (inputs act unscaled). snnTorch's ``zero`` clears the membrane one
    step late and holds it a step, which no rule here does yet.

    Parameters
    ----------
    file : pathlib.Path
        For messages.
    neurons : list of NeuronNode
        At least one.
    dt, reset
        Options of the user [s], or None.
    stated_dt, stated_reset, stated_strict
        Metadata of the file, or None.

    Raises
    ------
    UserError
        If nothing gives the time step away, two nodes or metadata and parameters contradict each
        other, dt exceeds a tau, or the reset rule does not go with v_reset or v_threshold.
    """
    step, dt_why = _choose_dt(file, neurons, dt, stated_dt)
    rule, reset_why = _choose_reset(neurons, step, reset, stated_reset)
    strict, strict_why = _choose_strict(neurons, stated_strict)
    _check(neurons, step, rule)
    return Discretisation(dt=step, reset=rule, strict=strict, assumptions={
        "dt": dt_why,
        "integrator": "Euler: v += dt/tau * (v_leak - v + r * input), the leak on the old v",
        "reset": reset_why,
        "comparison": strict_why,
        "start": "every membrane starts a sample at 0",
    })
