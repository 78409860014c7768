"""Names and parameters of the adders; numbers only, for golden models and RTL alike."""

from __future__ import annotations

import dataclasses
import functools

from lamina.models.adders.netlist import Netlist
from lamina.models.check import check_int

__all__ = ["EVOLVED", "EXACT", "FAMILIES", "AdderSpec"]

EVOLVED = {"5qt": 1, "5qc": 1, "5kb": 2, "5rl": 3, "5rp": 3, "5y6": 4}
"""Low bits of the EvoApproxLib ``add12se`` circuits, by name."""
FAMILIES = {
    "exact": (), "loa": ("k",), "loawa": ("k",), "oloca": ("k", "l"), "heaa": ("k",),
    "eta1": ("k",), "trua0": ("k",), "trua1": ("k",), "copy": ("k",), "ama1": ("k",),
    "ama2": ("k",), "ama3": ("k",), "ama4": ("k",), "ama5": ("k",), "gear": ("r", "p"),
    "aca1": ("p",), "eta2": ("r",), "esa": ("r",), **dict.fromkeys(EVOLVED, ()),
}
"""Parameters of each family. k: approximate low bits; l: of these, set to one. r, p: result and
prediction bits of the windows of GeAr, of which ``aca1`` (r = 1), ``eta2`` (p = r) and ``esa``
(p = 0) are cases."""
_LARGEST_K = 16


@dataclasses.dataclass(frozen=True)
class AdderSpec:
    """One adder, for operands of any width.

    Parameters
    ----------
    family : str
        A key of :data:`FAMILIES`, or ``net``.
    numbers : tuple of int
        Its parameters in order.
    netlist : Netlist or None
        Of the family ``net``.
    """

    family: str
    numbers: tuple[int, ...] = ()
    netlist: Netlist | None = None

    @classmethod
    def parse(cls, name: str) -> AdderSpec:
        """Read ``exact``, ``loa:4``, ``oloca:6:2``, ``gear:4:2``, ``5kb`` or ``net:...``.

        Raises
        ------
        ValueError
            If the family is not known, or a parameter is missing, too many or out of range.
        """
        return _parse(name)

    def __post_init__(self):
        if self.family == "net":
            return
        names = FAMILIES[self.family]
        if len(self.numbers) != len(names):
            raise ValueError(f"adder {self.family} must have {len(names)} parameters"
                             f"{' (' + ', '.join(names) + ')' if names else ''}, "
                             f"not {len(self.numbers)}")
        fields = dict(zip(names, self.numbers, strict=True))
        limits = {"k": (1, _LARGEST_K), "r": (1, _LARGEST_K), "p": (0, _LARGEST_K),
                  "l": (0, fields.get("k", 0))}
        if self.family == "heaa":
            limits["k"] = (2, _LARGEST_K)
        for field, value in fields.items():
            check_int(f"adder {self.family} {field}", value, *limits[field])

    @property
    def name(self) -> str:
        """Its text; :meth:`parse` reads it."""
        if self.netlist is not None:
            return self.netlist.text
        return ":".join([self.family, *map(str, self.numbers)])

    @property
    def label(self) -> str:
        """Short name for tables and plots."""
        return self.name if self.netlist is None else self.netlist.name

    @property
    def is_exact(self) -> bool:
        """Whether sums are never wrong."""
        return self.family == "exact"

    @property
    def window(self) -> tuple[int, int] | None:
        """(R, P) of the GeAr family, else None."""
        if self.family == "gear":
            return self.numbers[0], self.numbers[1]
        (number,) = self.numbers if self.family in ("aca1", "eta2", "esa") else (0,)
        return {"aca1": (1, number), "eta2": (number, number), "esa": (number, 0)}.get(self.family)

    @property
    def low_bits(self) -> int:
        """k: bits below the exact upper part; 0 where the whole width is cut into windows."""
        if self.netlist is not None:
            return self.netlist.low_bits
        if self.family in EVOLVED:
            return EVOLVED[self.family]
        return self.numbers[0] if self.window is None and self.numbers else 0

    @property
    def ones(self) -> int:
        """l of OLOCA."""
        return self.numbers[1] if self.family == "oloca" else 0

    def windows(self, bits: int) -> tuple[tuple[int, int, int], ...]:
        """GeAr's windows over `bits`: (first bit, end, first bit that is kept).

        From the top down each gives R bits and looks at P below them; the lowest one keeps all
        that is left.
        """
        r, p = self.window
        end, windows = bits, []
        while end - r >= r + p:
            windows.append((end - r - p, end, end - r))
            end -= r
        return tuple(reversed([*windows, (0, end, 0)]))


@functools.lru_cache(maxsize=256)
def _parse(name: str) -> AdderSpec:
    family, *numbers = name.split(":")
    if family == "net":
        return AdderSpec("net", netlist=Netlist.from_text(name))
    if family not in FAMILIES:
        raise ValueError(f"adder must be one of {', '.join(FAMILIES)} or net:..., not {name!r}")
    try:
        return AdderSpec(family, tuple(int(number) for number in numbers))
    except ValueError as error:
        if "invalid literal" in str(error):
            raise ValueError(f"adder parameters must be integers, not {name!r}") from None
        raise


EXACT = AdderSpec("exact")
