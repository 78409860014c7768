"""What the search chooses from: an adder and a mode of the memory tiers for every layer."""

from __future__ import annotations

import dataclasses

from lamina.flows.errors import UserError
from lamina.flows.frontend.adders import with_adders
from lamina.flows.study.modes import with_modes
from lamina.models.adders.spec import AdderSpec
from lamina.models.program import Program

__all__ = ["Configuration", "Space"]


@dataclasses.dataclass(frozen=True)
class Configuration:
    """One point of the space: adder and tier mode of each layer, in the order of the layers."""

    adders: tuple[str, ...]
    modes: tuple[str, ...]

    def text(self, layers: tuple[str, ...]) -> str:
        """One line for people."""
        return "; ".join(f"{layer}: {AdderSpec.parse(adder).label}, {mode}"
                         for layer, adder, mode in zip(layers, self.adders, self.modes,
                                                       strict=True))

    def applied(self, program: Program, tiers: tuple[int, ...]) -> Program:
        """`program` with these adders and modes, its biases as they were."""
        names = [layer.name for layer in program.layers]
        text = ";".join(f"{name}:{mode}" for name, mode in zip(names, self.modes, strict=True))
        changed = with_modes(program, text, tiers)
        return with_adders(changed, dict(zip(names, self.adders, strict=True)), tiers)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Space:
    """All configurations.

    Parameters
    ----------
    layers : tuple of str
        Names.
    adders, modes : tuple of str
        Choices of every layer; modes as ``--tier-modes`` takes them for one layer.
    """

    layers: tuple[str, ...]
    adders: tuple[str, ...]
    modes: tuple[str, ...]

    def __post_init__(self):
        if not self.adders or not self.modes:
            raise UserError("a search needs at least one adder and one mode, not 0")

    @property
    def limits(self) -> tuple[int, ...]:
        """Number of choices of every gene: all adders, then all modes."""
        return (len(self.adders),) * len(self.layers) + (len(self.modes),) * len(self.layers)

    @property
    def size(self) -> int:
        """Number of configurations."""
        return (len(self.adders) * len(self.modes)) ** len(self.layers)

    def decode(self, genes: tuple[int, ...]) -> Configuration:
        """The configuration of integer `genes`, within :attr:`limits`."""
        count = len(self.layers)
        return Configuration(tuple(self.adders[gene] for gene in genes[:count]),
                             tuple(self.modes[gene] for gene in genes[count:]))
