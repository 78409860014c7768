"""Low part of an adder as a netlist of two-input gates."""

from __future__ import annotations

import dataclasses

from lamina.models.check import check_int, check_one_of

__all__ = ["GATES", "Netlist"]

GATES = ("and", "or", "xor", "nand", "nor", "xnor", "andn", "not", "buf")
"""Gates of two inputs x and y; ``andn`` is ``x & ~y``, ``not`` and ``buf`` look at x only."""


@dataclasses.dataclass(frozen=True)
class Netlist:
    """Gates that make k sum bits and a carry from the k low bits of both operands.

    Signals are numbered: ``0..k-1`` bits of a, ``k..2k-1`` bits of b, ``2k`` constant 0, ``2k+1``
    constant 1, then the gates in turn. A gate sees the signals before its own.

    Parameters
    ----------
    name : str
        An identifier.
    low_bits : int
        k, 1..16.
    gates : tuple of (str, int, int)
        Kind, signal x, signal y.
    outputs : tuple of int
        k sum bits, lowest first, then the carry: k + 1 signals.
    """

    name: str
    low_bits: int
    gates: tuple[tuple[str, int, int], ...]
    outputs: tuple[int, ...]

    def __post_init__(self):
        if not self.name.isidentifier():
            raise ValueError(f"netlist name must be an identifier, not {self.name!r}")
        check_int(f"{self.name} low bits", self.low_bits, 1, 16)
        for index, (kind, *inputs) in enumerate(self.gates):
            check_one_of(f"{self.name} gate {index}", kind, GATES)
            for signal in inputs:
                check_int(f"{self.name} gate {index} input", signal, 0, self.first_gate + index - 1)
        if len(self.outputs) != self.low_bits + 1:
            raise ValueError(f"{self.name} must have {self.low_bits} sum bits and a carry, "
                             f"not {len(self.outputs)} outputs")
        for signal in self.outputs:
            check_int(f"{self.name} output", signal, 0, self.first_gate + len(self.gates) - 1)

    @property
    def first_gate(self) -> int:
        """Number of the first gate's signal."""
        return 2 * self.low_bits + 2

    @property
    def used(self) -> tuple[int, ...]:
        """Ascending indices of the gates that an output depends on."""
        wanted, found = list(self.outputs), set()
        while wanted:
            index = wanted.pop() - self.first_gate
            if index < 0 or index in found:
                continue
            found.add(index)
            kind, x, y = self.gates[index]
            wanted += [x] if kind in ("not", "buf") else [x, y]
        return tuple(sorted(found))

    def pruned(self) -> Netlist:
        """The same function without gates that nothing depends on."""
        used = self.used
        numbers = {self.first_gate + old: self.first_gate + new for new, old in enumerate(used)}
        gates = tuple((kind, numbers.get(x, x), 0 if kind in ("not", "buf") else numbers.get(y, y))
                      for kind, x, y in (self.gates[index] for index in used))
        return Netlist(self.name, self.low_bits, gates,
                       tuple(numbers.get(signal, signal) for signal in self.outputs))

    @property
    def text(self) -> str:
        """One word that says all: ``net:NAME:K:kind.x.y,...:outputs``."""
        gates = ",".join(f"{kind}.{x}.{y}" for kind, x, y in self.gates)
        return f"net:{self.name}:{self.low_bits}:{gates}:{','.join(map(str, self.outputs))}"

    @classmethod
    def from_text(cls, text: str) -> Netlist:
        """Inverse of :attr:`text`.

        Raises
        ------
        ValueError
            If a part is missing or no number, or a gate sees itself or a later one.
        """
        parts = text.split(":")
        try:
            _, name, low_bits, gates, outputs = parts
            parsed = tuple((kind, int(x), int(y)) for kind, x, y in (
                gate.split(".") for gate in filter(None, gates.split(","))))
            numbers = tuple(int(signal) for signal in outputs.split(","))
            bits = int(low_bits)
        except ValueError:
            raise ValueError(f"netlist must read net:NAME:K:kind.x.y,...:outputs, "
                             f"not {text[:60]!r}") from None
        return cls(name, bits, parsed, numbers)
