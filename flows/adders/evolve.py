"""Evolves low parts of adders by Cartesian genetic programming (Miller 2000).

A genome is a netlist of a fixed number of gates, of which most feed nothing. Of four mutants of the
parent the best takes its place if it is not worse; worse is what breaks a limit or costs more.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Sequence

import numpy as np

from lamina.flows.adders.walk import Walk
from lamina.flows.progress import Reporter
from lamina.models.adders.netlist import GATES, Netlist
from lamina.models.check import check_int, check_one_of

__all__ = ["COSTS", "LARGEST", "Evolution", "estimated_cost", "evolve", "ripple"]

LARGEST = 8
"""Most low bits: every pair of operands is tried, an accumulator in each bit of a word."""
COSTS = ("energy", "area")
_AREA = {"and": 6.256, "or": 6.256, "xor": 8.758, "nand": 3.754, "nor": 3.754, "xnor": 8.758,
         "andn": 6.256, "not": 3.754, "buf": 0.0}
"""Smallest cell of sky130_fd_sc_hd [um2]."""
_INNER = {"and": 9.7, "or": 9.1, "xor": 7.8, "nand": 3.5, "nor": 4.0, "xnor": 12.7, "andn": 4.9,
          "not": 2.6, "buf": 0.0}
"""Energy within that cell per edge of its output, at a slope of 0.1 ns and a load of 5 fF [fJ]."""
_PIN = {"and": 2.4, "or": 2.4, "xor": 7.1, "nand": 3.8, "nor": 3.8, "xnor": 7.3, "andn": 3.1,
        "not": 3.7, "buf": 0.0}
"""Energy of charging one of its inputs, per edge [fJ]."""
_OUTPUT = 2.8
"""Energy of charging the input of a flip-flop behind a sum bit, per edge [fJ]."""
_CARRY = {"energy": 35.0, "area": 40.0}
"""What the upper part costs more when a carry comes in: loa:4 against loawa:4 in the catalogue."""
_OPERATIONS = {
    "and": lambda x, y, ones: x & y, "or": lambda x, y, ones: x | y,
    "xor": lambda x, y, ones: x ^ y, "nand": lambda x, y, ones: (x & y) ^ ones,
    "nor": lambda x, y, ones: (x | y) ^ ones, "xnor": lambda x, y, ones: x ^ y ^ ones,
    "andn": lambda x, y, ones: x & (y ^ ones), "not": lambda x, y, ones: x ^ ones,
    "buf": lambda x, y, ones: x,
}
_OFFSPRING, _MOST_MUTATIONS, _SPARE = 4, 6, 2
_TRIED = 4096
_MOST_ADDITIONS = 1024


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evolution:
    """What is evolved, within which limits.

    Parameters
    ----------
    low_bits : int
        k, 1..6.
    worst : int
        Largest absolute error of an addition allowed [LSB], at least 0.
    bias : float
        Largest absolute mean error of an addition allowed [LSB], at least 0.
    spread : float
        Largest standard deviation allowed of the error of `additions` of them over the square root
        of their number [LSB], at least 0.
    additions : int
        1..1024, one after the other onto an accumulator that begins uniform: errors that later ones
        make up for are forgiven, those that add up are not.
    weights : int array
        Weights, equally likely [LSB].
    cost : str
        One of :data:`COSTS`: ``energy`` per addition [fJ], of one addition when successive operands
        are independent, of several as they follow each other; or ``area`` [um2]; both of the gates
        as they stand, before a synthesiser improves on them.
    generations : int
        At least 1.
    seed : int
        At least 0.
    """

    low_bits: int
    worst: int
    bias: float
    weights: np.ndarray
    spread: float = math.inf
    additions: int = 1
    cost: str = "energy"
    generations: int = 20000
    seed: int = 0

    def __post_init__(self):
        check_int("low bits", self.low_bits, 1, LARGEST)
        check_int("worst error", self.worst, 0, 4 << self.low_bits)
        check_one_of("cost", self.cost, COSTS)
        check_int("generations", self.generations, 1, 10 ** 9)
        check_int("seed", self.seed, 0, (1 << 32) - 1)
        check_int("additions", self.additions, 1, _MOST_ADDITIONS)
        if not 0 <= self.bias < math.inf:
            raise ValueError(f"bias must be at least 0, not {self.bias}")
        if not self.spread >= 0:
            raise ValueError(f"spread must be at least 0, not {self.spread}")

    @property
    def likelihood(self) -> np.ndarray:
        """Share of the weights by their k low bits, float (2**k,)."""
        low = self.weights & ((1 << self.low_bits) - 1)
        return np.bincount(low, minlength=1 << self.low_bits) / low.size


def ripple(low_bits: int, name: str = "ripple") -> Netlist:
    """The exact ripple-carry adder of k low bits."""
    k = low_bits
    gates, sums, carry = [], [], 2 * k
    for place in range(k):
        first = 2 * k + 2 + len(gates)
        gates += [("xor", place, k + place), ("xor", first, carry), ("and", place, k + place),
                  ("and", first, carry), ("or", first + 2, first + 3)]
        sums.append(first + 1)
        carry = first + 4
    return Netlist(name, k, tuple(gates), (*sums, carry))


def evolve(evolution: Evolution, name: str, progress: Reporter | None = None) -> Netlist:
    """The cheapest low part that was found within the limits; at worst the exact one.

    Same evolution, same netlist.

    Parameters
    ----------
    evolution : Evolution
    name : str
        Of the netlist.
    progress : callable, optional
        Called as ``progress(done, generations)``.
    """
    dice = random.Random(evolution.seed)
    judge = _Judge(evolution)
    parent = _Genome.of(ripple(evolution.low_bits), spare=_SPARE * evolution.low_bits)
    fitness = judge(parent)
    for generation in range(evolution.generations):
        if progress is not None and generation % 1000 == 0:
            progress(generation, evolution.generations)
        children = [parent.mutated(dice) for _ in range(_OFFSPRING)]
        scores = [judge(child) for child in children]
        best = min(range(_OFFSPRING), key=lambda number: scores[number])
        if scores[best] <= fitness:
            parent, fitness = children[best], scores[best]
    return parent.netlist(name)


def estimated_cost(netlist: Netlist, evolution: Evolution) -> float:
    """What `evolution` makes as small as it can, [fJ] or [um2]; infinite outside its limits."""
    return _Judge(evolution)(_Genome.of(netlist, spare=0))[0]


@dataclasses.dataclass
class _Genome:
    """Gates and outputs of a netlist as lists."""

    low_bits: int
    gates: list[tuple[str, int, int]]
    outputs: list[int]

    @classmethod
    def of(cls, netlist: Netlist, spare: int) -> _Genome:
        """With `spare` gates more, which nothing looks at yet."""
        return cls(netlist.low_bits, [*netlist.gates, *[("buf", 0, 0)] * spare],
                   list(netlist.outputs))

    @property
    def first_gate(self) -> int:
        return 2 * self.low_bits + 2

    def mutated(self, dice: random.Random) -> _Genome:
        """One to six genes drawn anew: kinds, inputs and outputs are equally likely."""
        child = _Genome(self.low_bits, self.gates.copy(), self.outputs.copy())
        for _ in range(dice.randint(1, _MOST_MUTATIONS)):
            gene = dice.randrange(3 * len(self.gates) + len(self.outputs))
            index, part = divmod(gene, 3)
            if index >= len(self.gates):
                number = gene - 3 * len(self.gates)
                child.outputs[number] = dice.randrange(self.first_gate + len(self.gates))
                continue
            gate = list(child.gates[index])
            gate[part] = dice.choice(GATES) if part == 0 else dice.randrange(
                self.first_gate + index)
            child.gates[index] = tuple(gate)
        return child

    def used(self) -> list[tuple[int, str, int, int]]:
        """Signal, kind, x and y of the gates that an output depends on, in order.

        Gates of one input have it as both.
        """
        first, wanted, used = self.first_gate, set(self.outputs), []
        for index in range(len(self.gates) - 1, -1, -1):
            if first + index in wanted:
                kind, x, y = self.gates[index]
                y = x if kind in ("not", "buf") else y
                wanted |= {x, y}
                used.append((first + index, kind, x, y))
        return used[::-1]

    def netlist(self, name: str) -> Netlist:
        """Without gates that are not used and without buffers."""
        same = list(range(self.first_gate + len(self.gates)))
        for signal, kind, x, _ in self.used():
            same[signal] = same[x] if kind == "buf" else signal
        gates = tuple((kind, same[x], same[y]) for kind, x, y in self.gates)
        return Netlist(name, self.low_bits, gates,
                       tuple(same[signal] for signal in self.outputs)).pruned()


class _Judge:
    """Fitness of genomes: (cost, mean square error), infinite outside the limits."""

    def __init__(self, evolution: Evolution):
        k = evolution.low_bits
        self._evolution, self._likelihood = evolution, evolution.likelihood
        values = np.arange(1 << k)
        bits = [values >> place & 1 for place in range(k)]
        shape = np.ones((1 << k, 1 << k), dtype=np.uint8)
        self._ones = _words(shape)
        zero = np.zeros_like(self._ones)
        low = [_words(shape * bit.astype(np.uint8)) for bit in bits]
        high = [_words(shape * bit.astype(np.uint8)[:, None]) for bit in bits]
        self._inputs = [*low, *high, zero, self._ones]
        self._exact = values[:, None] + values
        self._walk = None if evolution.additions == 1 else Walk(
            self._likelihood, evolution.additions, evolution.seed)
        self._known: dict[tuple, tuple[float, float]] = {}

    def __call__(self, genome: _Genome) -> tuple[float, float]:
        used = genome.used()
        key = (*used, *genome.outputs)
        if key not in self._known:
            if len(self._known) >= _TRIED:
                self._known.clear()
            self._known[key] = self._judged(used, genome.outputs)
        return self._known[key]

    def _judged(self, used: Sequence[tuple[int, str, int, int]], outputs: list[int]
                ) -> tuple[float, float]:
        signals = dict(enumerate(self._inputs))
        for signal, kind, x, y in used:
            signals[signal] = _OPERATIONS[kind](signals[x], signals[y], self._ones)
        errors = self._errors([signals[signal] for signal in outputs])
        if max(errors.max(), -errors.min()) > self._evolution.worst:
            return math.inf, math.inf
        if self._walk is None:
            mean = float(errors.mean(axis=1) @ self._likelihood)
            square = float((errors * errors).mean(axis=1) @ self._likelihood)
            variance = square - mean * mean
        else:
            mean, variance, square = self._walk.moments(errors)
        if abs(mean) > self._evolution.bias or variance > self._evolution.spread ** 2:
            return math.inf, math.inf
        return self._cost(used, outputs, signals, errors), square

    def _errors(self, outputs: list[np.ndarray]) -> np.ndarray:
        """By weight and accumulator, int64 (2**k, 2**k)."""
        values = len(self._ones)
        total = np.zeros((values, values), dtype=np.int64)
        for place, plane in enumerate(outputs):
            octets = plane.view(np.uint8).reshape(values, -1)
            total += np.unpackbits(octets, axis=1, bitorder="little")[:, :values].astype(
                np.int64) << place
        return total - self._exact

    def _cost(self, used, outputs: list[int], signals: dict[int, np.ndarray], errors: np.ndarray
              ) -> float:
        carry = signals[outputs[-1]]
        constant = not carry.any() or np.array_equal(carry, self._ones)
        cost = 0.0 if constant else _CARRY[self._evolution.cost]
        if self._evolution.cost == "area":
            return cost + sum(_AREA[kind] for _, kind, _, _ in used)
        moves = self._moves(signals, errors)
        if self._walk is not None:
            cost += _OUTPUT * sum(moves[signal] for signal in outputs[:-1])
        return cost + sum(_INNER[kind] * moves[signal] + _PIN[kind] * moves[x]
                          + (_PIN[kind] * moves[y] if kind != "not" else 0.0)
                          for signal, kind, x, y in used)

    def _moves(self, signals: dict[int, np.ndarray], errors: np.ndarray) -> dict[int, float]:
        """Edges of every signal per addition."""
        planes = np.stack(list(signals.values()))
        if self._walk is not None:
            return dict(zip(signals, self._walk.moves(planes, errors), strict=True))
        ones = np.bitwise_count(planes).sum(axis=2) @ self._likelihood / len(self._ones)
        return dict(zip(signals, (2 * ones * (1 - ones)).tolist(), strict=True))


def _words(bits: np.ndarray) -> np.ndarray:
    """0/1 uint8 (weights, accumulators) to uint64 (weights, words), 64 accumulators in a word."""
    padded = np.zeros((len(bits), -(-bits.shape[1] // 64) * 64), dtype=np.uint8)
    padded[:, :bits.shape[1]] = bits
    return np.packbits(padded, axis=1, bitorder="little").view(np.uint64)
