"""What a NIR file does not say (time step, reset rule, comparison): stated, or derived openly."""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Sequence

import numpy as np

from lamina.flows.errors import UserError
from lamina.flows.frontend.nir.file import Node
from lamina.flows.frontend.nir.neurons import NeuronNode
from lamina.models.config import ResetRule

__all__ = ["INTEGRATORS", "Choices", "Discretisation", "check_dt", "discretise", "parse_reset"]

INTEGRATORS = {
    "euler": "Euler: v += dt/tau * (v_leak - v + r * input), the leak on the old v",
    "exponential": "exponential: v = v exp(-dt/tau) + (1 - exp(-dt/tau)) (v_leak + r * input)",
    "mixed": "mixed: v = v exp(-dt/tau) + dt/tau * (v_leak + r * input)",
}
_SNNTORCH_DT = 1e-4
_NORSE_DT = 1e-3
_TOLERANCE = 1e-6
_MOST_DELAY = 255
_NEWTON_STEPS = 50


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choices:
    """What user and file say about the discretisation; None where they are silent.

    Parameters
    ----------
    dt, reset, integrator, refractory
        Options of the user.
    stated_dt, stated_reset, stated_strict, stated_refractory
        Metadata of the file.
    """

    dt: float | None = None
    reset: ResetRule | None = None
    integrator: str | None = None
    refractory: int | None = None
    stated_dt: float | None = None
    stated_reset: ResetRule | None = None
    stated_strict: bool | None = None
    stated_refractory: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Discretisation:
    """How the differential equations of the file become timesteps.

    Parameters
    ----------
    dt : float
        Time step [s].
    integrator : str
        A key of :data:`INTEGRATORS`.
    reset : ResetRule
    refractory : int
        Timesteps of rest after a reset to value, 0 or 1.
    strict : bool
        Whether a neuron fires at ``v > theta`` only.
    assumptions : dict of str to str
        ``dt``, ``integrator``, ``reset``, ``comparison``, ``start``: value and evidence.
    """

    dt: float
    integrator: str = "euler"
    reset: ResetRule
    refractory: int = 0
    strict: bool
    assumptions: dict[str, str]

    def _rates(self, tau: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Share of a state that leaks away in a timestep, and share of its drive that arrives."""
        step, settled = self.dt / tau, -np.expm1(-self.dt / tau)
        return {"euler": (step, step), "exponential": (settled, settled),
                "mixed": (settled, step)}[self.integrator]

    def membrane(self, neuron: NeuronNode) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Decay, factor of the input and factor of v_leak, each one per neuron."""
        if neuron.is_threshold:
            return np.zeros(neuron.neurons), np.ones(neuron.neurons), np.zeros(neuron.neurons)
        if neuron.tau is None:
            leak, feed = np.zeros(neuron.neurons), np.full(neuron.neurons, self.dt)
        else:
            leak, feed = self._rates(neuron.tau)
        gain = neuron.r * feed
        return (np.clip(1 - leak, 0, 1), np.where(np.abs(gain - 1) < _TOLERANCE, 1.0, gain),
                leak if neuron.tau is None else feed)

    def synapse(self, neuron: NeuronNode) -> tuple[np.ndarray, np.ndarray]:
        """Decay of the synaptic current and factor of its input."""
        leak, feed = self._rates(neuron.tau_syn)
        gain = neuron.w_in * feed
        return np.clip(1 - leak, 0, 1), np.where(np.abs(gain - 1) < _TOLERANCE, 1.0, gain)

    def whole_steps(self, node: Node, delay: float) -> int:
        """`delay` [s] of a Delay node as timesteps."""
        steps = delay / self.dt
        whole = round(steps)
        if abs(steps - whole) > 1e-3 or whole > _MOST_DELAY:
            raise node.refuse(f"delay must be 0..{_MOST_DELAY} whole timesteps of {self.dt:.6g} s "
                              f"on the way into this node, not {delay:.6g} s")
        return whole


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
        if r == 1 and neuron.node.kind == "IF":
            return _Evidence("sinabs", 1.0, "r is 1 in an IF node, as sinabs writes it, whose "
                                            "inputs act unscaled")
        if r == 1:
            return _Evidence("none", 1.0, f"r is 1 in an {neuron.node.kind} node, so inputs act "
                                          f"unscaled")
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
    return _rockpool(neuron)


def _rockpool(neuron: NeuronNode) -> _Evidence | None:
    """Rockpool's r: the solution dt/tau of ``x exp(x) = 1/r`` gives the same dt in every neuron."""
    if neuron.r.min() <= 0:
        return None
    steps = np.log1p(1 / neuron.r)
    for _ in range(_NEWTON_STEPS):
        steps -= (steps - np.exp(-steps) / neuron.r) / (1 + steps)
    dt = _constant(steps * neuron.tau)
    if dt is None:
        return None
    return _Evidence("Rockpool", dt, "r = tau exp(-dt/tau)/dt, as Rockpool writes it")


def _synaptic_clash(neuron: NeuronNode) -> str | None:
    """What the synapse says about dt when it contradicts the membrane."""
    found = _evidence(neuron)
    if neuron.tau_syn is None or found is None or found.exporter != "snnTorch":
        return None
    ratio = _constant(neuron.tau_syn / np.where(neuron.w_in == 0, np.nan, neuron.w_in))
    if ratio is None or abs(ratio / found.dt - 1) > 1e-4:
        return f"tau_syn/w_in is {'no constant' if ratio is None else f'{ratio:.6g} s'}"
    return None


def _comparable(neurons: Sequence[NeuronNode]) -> list[NeuronNode]:
    """Nodes whose parameters can give a time step away."""
    return [neuron for neuron in neurons if not neuron.is_threshold]


def _derive_dt(file: pathlib.Path, neurons: Sequence[NeuronNode]) -> _Evidence:
    neurons = _comparable(neurons)
    if not neurons:
        return _Evidence("none", 1.0, "no node has dynamics")
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
        clash = _synaptic_clash(neuron)
        if clash:
            raise neuron.node.refuse(f"the membrane implies dt = {evidence.dt:.6g} s "
                                     f"({evidence.why}) but {clash}; say it with --dt SECONDS")
    return found[0]


def _choose_dt(file: pathlib.Path, neurons: Sequence[NeuronNode], option: float | None,
               stated: float | None) -> tuple[float, str]:
    clues = [evidence for evidence in map(_evidence, _comparable(neurons)) if evidence is not None]
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


def _choose_reset(neurons: Sequence[NeuronNode], dt: float, option: ResetRule | None,
                  stated: ResetRule | None) -> tuple[ResetRule, str]:
    if option is not None:
        note = f"; the file's metadata says {stated.label}" if stated not in (None, option) else ""
        return option, f"{option.label}, from --reset{note}"
    if stated is not None:
        return stated, f"{stated.label}, from the file's metadata"
    if any(neuron.v_reset.any() for neuron in neurons):
        return ResetRule.VALUE, "value, derived: v_reset is not 0 everywhere"
    clues = [_evidence(neuron) for neuron in _comparable(neurons)]
    if clues and all(clue and clue.exporter == "snnTorch" for clue in clues) \
            and dt == _SNNTORCH_DT:
        return ResetRule.SUBTRACT_DELAYED, (f"subtract-delayed, snnTorch's default, derived: "
                                            f"{clues[0].why}; its zero is --reset value "
                                            f"--refractory 1")
    if clues and all(clue and clue.exporter == "sinabs" for clue in clues):
        return ResetRule.SUBTRACT, f"subtract, sinabs's default, derived: {clues[0].why}"
    return ResetRule.VALUE, "value, as in NIR's equations; nothing in the file says otherwise"


def _choose_strict(neurons: Sequence[NeuronNode], stated: bool | None) -> tuple[bool, str]:
    if stated is not None:
        return stated, f"{'>' if stated else '>='}, from the file's metadata"
    clues = [_evidence(neuron) for neuron in _comparable(neurons)]
    for exporter in ("spikingjelly", "sinabs"):
        if clues and all(clue and clue.exporter == exporter for clue in clues):
            return False, f">=, {exporter}'s, derived: {clues[0].why}"
    return True, ">, as in NIR's equations"


def _choose_integrator(neurons: Sequence[NeuronNode], option: str | None) -> tuple[str, str]:
    if option is not None:
        return option, ", from --integrator"
    clues = [_evidence(neuron) for neuron in _comparable(neurons) if neuron.tau is not None]
    if clues and all(clue and clue.exporter == "Rockpool" for clue in clues):
        return "mixed", f", derived: {clues[0].why}"
    return "euler", ""


def _check(neurons: Sequence[NeuronNode], dt: float, reset: ResetRule, integrator: str) -> None:
    for neuron in neurons:
        for name, tau in (("tau", neuron.tau), ("tau_syn", neuron.tau_syn)):
            if tau is not None and integrator == "euler" and dt > tau.min() * (1 + _TOLERANCE):
                raise neuron.node.refuse(f"dt must be at most {name}, the smallest is "
                                         f"{tau.min():.6g} s, not {dt:.6g} s")
        if reset is ResetRule.VALUE or not neuron.spiking or neuron.is_threshold:
            continue
        if neuron.v_reset.any():
            bad = neuron.v_reset[neuron.v_reset != 0][0]
            raise neuron.node.refuse(f"v_reset must be 0 under reset {reset.label}, "
                                     f"not {bad:.6g}; use --reset value")
        if neuron.theta.min() <= 0:
            raise neuron.node.refuse(f"v_threshold must be positive under reset "
                                     f"{reset.label}, not {neuron.theta.min():.6g}")


def discretise(file: pathlib.Path, neurons: Sequence[NeuronNode],
               choices: Choices | None = None) -> Discretisation:
    """Decide time step, integrator, reset rule and comparison of a network, and say why.

    An option wins over the metadata, the metadata over what the parameters give away; every
    assumption names the loser too. The evidence known: snnTorch (dt = 1e-4 s, r = tau/dt, for
    synapses w_in = tau_syn/dt; subtraction one step late), Norse (dt = 1e-3 s, r = 1),
    spikingjelly's IF (r = 1/dt, ``>=``), sinabs's IF (r = 1, subtraction, ``>=``), Rockpool
    (r = tau exp(-dt/tau)/dt where tau differs), any other common tau/r or 1/r (inputs act
    unscaled).
    snnTorch's ``zero``, which clears the membrane one step late and holds it a step, is the rule
    ``value`` with a refractory timestep.

    Parameters
    ----------
    file : pathlib.Path
        For messages.
    neurons : sequence of NeuronNode
        At least one.
    choices : Choices or None

    Raises
    ------
    UserError
        If nothing gives the time step away, two nodes or metadata and parameters contradict each
        other, dt exceeds a time constant, or the reset rule does not go with v_reset, v_threshold
        or a refractory timestep.
    """
    choices = choices or Choices()
    step, dt_why = _choose_dt(file, neurons, choices.dt, choices.stated_dt)
    rule, reset_why = _choose_reset(neurons, step, choices.reset, choices.stated_reset)
    strict, strict_why = _choose_strict(neurons, choices.stated_strict)
    integrator, integrator_why = _choose_integrator(neurons, choices.integrator)
    if integrator not in INTEGRATORS:
        raise UserError(f"--integrator must be one of {', '.join(INTEGRATORS)}, "
                        f"not {integrator!r}")
    rest = choices.refractory if choices.refractory is not None else choices.stated_refractory or 0
    if rest not in (0, 1):
        raise UserError(f"--refractory must be 0 or 1, not {rest}")
    if rest and rule is not ResetRule.VALUE:
        raise UserError(f"{file}: --refractory {rest} goes with --reset value, not {rule.label}")
    _check(neurons, step, rule, integrator)
    if rest:
        reset_why += "; a neuron rests for one timestep after a spike"
    return Discretisation(dt=step, integrator=integrator, reset=rule, refractory=rest,
                          strict=strict, assumptions={
        "dt": dt_why, "integrator": INTEGRATORS[integrator] + integrator_why, "reset": reset_why,
        "comparison": strict_why, "start": "every membrane starts a sample at 0"})
