"""Surrogate-assisted search: many guesses for each configuration that is really tried."""

from __future__ import annotations

import dataclasses
import itertools
import pathlib

import numpy as np

from lamina.flows.errors import UserError
from lamina.flows.progress import Reporter
from lamina.flows.search.energy import CALIBRATIONS, relative_energy
from lamina.flows.search.evaluate import Evaluation, Setup
from lamina.flows.search.front import expected_gains, front_of
from lamina.flows.search.kept import Kept, job_folder
from lamina.flows.search.space import Configuration, Space
from lamina.flows.search.surrogate import LEVELS, Surrogate
from lamina.flows.search.workers import workers as run_workers
from lamina.models.network import run

__all__ = ["Outcome", "search"]

_BATCH = 4
"""Configurations between two fits of the surrogate; a constant, so that the number of workers does
not change the result."""
_POPULATION, _GENERATIONS = 60, 40
_LISTED = 1000
"""Configurations up to which all of them are guessed."""
_HOPEFUL = LEVELS // 6
"""Level of loss that NSGA-II sees: a configuration falls short of it in one case of six."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a search found.

    Parameters
    ----------
    evaluations : tuple of Evaluation
        In the order of the proposals; the first is exact at nominal voltages.
    front : tuple of Evaluation
        Those that no other beats in both accuracy and energy, by falling energy.
    """

    evaluations: tuple[Evaluation, ...]
    front: tuple[Evaluation, ...]


def search(setup: Setup, space: Space, folder: pathlib.Path, *, budget: int, seed: int = 0,
           workers: int = 1, scheduler: str | None = None,
           progress: Reporter | None = None) -> Outcome:
    """Look for configurations of little loss and little energy.

    After a start of plain configurations, rounds of four: NSGA-II runs on a Gaussian process that
    has learnt from all evaluations, and those of its front are tried that promise the largest
    gain in hypervolume. Evaluations are kept in `folder`: a search that was stopped goes on.

    Parameters
    ----------
    setup : Setup
    space : Space
    folder : pathlib.Path
    budget : int
        Real evaluations, at least 1.
    seed : int
    workers : int
    scheduler : str or None
    progress : callable, optional
        Called with evaluations done and budget.

    Raises
    ------
    UserError
        If the budget is below 1 or the workers fail; what was finished is kept.
    """
    if budget < 1:
        raise UserError(f"--budget must be at least 1, not {budget}")
    job = job_folder(setup, folder)
    kept = Kept(job / "evaluations.jsonl")
    proposer = _Proposer(setup, space, seed)
    done: list[Evaluation] = []
    with run_workers(job / "setup", workers, scheduler) as evaluate:
        while len(done) < min(budget, space.size):
            wanted = proposer.propose(done, min(_BATCH, budget - len(done)))
            for result in evaluate([each for each in wanted if each not in kept]):
                kept.add(result)
                if progress is not None:
                    progress(min(budget, len(done) + 1), budget)
            done += [kept[each] for each in wanted]
            if progress is not None:
                progress(len(done), budget)
    return Outcome(evaluations=tuple(done), front=front_of(done))


class _Proposer:
    """What to try next, a function of the evaluations so far and the seed."""

    def __init__(self, setup: Setup, space: Space, seed: int):
        self._setup, self._space, self._seed = setup, space, seed
        trace = run(setup.program, setup.spikes, setup.tiers)
        self._sops = trace.sops.mean(axis=1)
        columns = np.array([layer.weights.shape[1] for layer in setup.program.layers])
        fan_in = self._sops / columns / setup.spikes.shape[1]
        self._surrogate = Surrogate(space, setup.program, fan_in, setup.tiers, seed)
        self._energies: dict[tuple, float] = {}

    def propose(self, done: list[Evaluation], count: int) -> list[Configuration]:
        """`count` configurations that were not tried yet."""
        tried = {each.configuration for each in done}
        start = [each for each in self._start() if each not in tried]
        if start:
            return start[:count]
        best = done[0].accuracy
        losses = [best - each.accuracy for each in done]
        self._surrogate.fit([each.configuration for each in done],
                            [each.accuracy for each in done])
        guesses = [each for each in dict.fromkeys([*self._guesses(len(done)),
                                                   *self._neighbours(done)]) if each not in tried]
        return self._promising(guesses, losses, done, count) or self._random(tried, count)

    def _start(self) -> list[Configuration]:
        """Exact at nominal voltages, then the same in every layer, then each layer alone.

        Of the modes those that no other beats in both energy and noise, of the adders the middle
        one and the last; in a layer alone the mode of least energy.
        """
        space, layers = self._space, len(self._space.layers)
        exact = "exact" if "exact" in space.adders else space.adders[0]
        nominal = next((mode for mode in space.modes if "@" not in mode
                        and set(mode.split(",")) == {"nominal"}), space.modes[0])
        plain = Configuration((exact,) * layers, (nominal,) * layers)
        modes = [Configuration(plain.adders, (mode,) * layers) for mode in space.modes]
        modes.sort(key=self._energy, reverse=True)
        worth = [each for number, each in enumerate(modes) if self._surrogate.noise(each)
                 < min(map(self._surrogate.noise, modes[number + 1:]), default=np.inf)]
        adders = [Configuration((adder,) * layers, plain.modes)
                  for adder in (space.adders[len(space.adders) // 2], space.adders[-1])]
        alone = [Configuration(plain.adders, _replaced(plain.modes, layer, modes[-1].modes[layer]))
                 for layer in range(layers)]
        return list(dict.fromkeys([plain, *worth, *adders, *alone]))

    def _random(self, tried: set[Configuration], count: int) -> list[Configuration]:
        rng = np.random.default_rng([self._seed, len(tried)])
        found: list[Configuration] = []
        while len(found) < count:
            genes = tuple(int(rng.integers(limit)) for limit in self._space.limits)
            each = self._space.decode(genes)
            if each not in tried and each not in found:
                found.append(each)
            if len(tried) + len(found) >= self._space.size:
                break
        return found

    def _energy(self, configuration: Configuration) -> float:
        """As the calibration has it, with the spikes of the exact network."""
        total = 0.0
        for index, choice in enumerate(zip(configuration.adders, configuration.modes,
                                           strict=True)):
            if (index, *choice) not in self._energies:
                self._energies.update(self._layer_energies(*choice))
            total += self._energies[index, *choice]
        return total

    def _layer_energies(self, adder: str, mode: str) -> dict[tuple, float]:
        setup, layers = self._setup, len(self._space.layers)
        program = Configuration((adder,) * layers, (mode,) * layers).applied(
            setup.program, setup.tiers)
        return {(index, adder, mode): relative_energy(
            program, np.where(np.arange(layers) == index, self._sops, 0), float(self._sops.sum()),
            setup.tiers, CALIBRATIONS[setup.calibration], setup.adder_energy)
            for index in range(layers)}

    def _guesses(self, turn: int) -> list[Configuration]:
        """A small space itself; of a large one the last population of NSGA-II on the surrogate."""
        if self._space.size <= _LISTED:
            return [self._space.decode(genes)
                    for genes in itertools.product(*map(range, self._space.limits))]
        return self._evolved(turn)

    def _evolved(self, turn: int) -> list[Configuration]:
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.core.problem import Problem
        from pymoo.operators.crossover.ux import UniformCrossover
        from pymoo.operators.mutation.pm import PM
        from pymoo.operators.repair.rounding import RoundingRepair
        from pymoo.operators.sampling.rnd import IntegerRandomSampling
        from pymoo.optimize import minimize

        limits, proposer = np.array(self._space.limits), self

        class Guess(Problem):
            def __init__(self):
                super().__init__(n_var=len(limits), n_obj=2, xl=0, xu=limits - 1, vtype=int)

            def _evaluate(self, x, out, *args, **kwargs):
                configurations = [proposer._space.decode(tuple(map(int, row))) for row in x]
                losses = proposer._surrogate.predict(configurations)
                energies = [proposer._energy(each) for each in configurations]
                out["F"] = np.column_stack([losses[:, _HOPEFUL], energies])

        algorithm = NSGA2(pop_size=_POPULATION, sampling=IntegerRandomSampling(),
                          crossover=UniformCrossover(),
                          mutation=PM(prob_var=1 / len(limits), eta=3.0, vtype=float,
                                      repair=RoundingRepair()),
                          eliminate_duplicates=True)
        result = minimize(Guess(), algorithm, ("n_gen", _GENERATIONS), verbose=False,
                          seed=self._seed * 1000 + turn)
        rows = sorted({tuple(map(int, row)) for row in result.pop.get("X")})
        return [self._space.decode(row) for row in rows]

    def _neighbours(self, done: list[Evaluation]) -> list[Configuration]:
        """The front of `done` with one gene changed."""
        found = []
        for each in front_of(done):
            for layer in range(len(self._space.layers)):
                found += [Configuration(_replaced(each.adders, layer, adder), each.modes)
                          for adder in self._space.adders]
                found += [Configuration(each.adders, _replaced(each.modes, layer, mode))
                          for mode in self._space.modes]
        return found

    def _promising(self, guesses: list[Configuration], losses: list[float],
                   done: list[Evaluation], count: int) -> list[Configuration]:
        """Greedily, what should add most to the hypervolume, each as if the others were tried."""
        if not guesses:
            return []
        points = [(loss, each.energy) for loss, each in zip(losses, done, strict=True)]
        energies = np.array([self._energy(each) for each in guesses])
        chosen: list[int] = []
        for _ in range(min(count, len(guesses))):
            expected = self._surrogate.predict(guesses)
            gains = expected_gains(np.array(points), expected, energies)
            gains[chosen] = -1
            best = int(gains.argmax())
            chosen.append(best)
            points.append((float(expected[best].mean()), float(energies[best])))
            self._surrogate.believe(guesses[best])
        return [guesses[number] for number in chosen]


def _replaced(choices: tuple[str, ...], layer: int, choice: str) -> tuple[str, ...]:
    return (*choices[:layer], choice, *choices[layer + 1:])
