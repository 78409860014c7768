"""Accuracy and energy of a network while tiers of its weight memory are undervolted and gated."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np

from lamina.flows.errors import UserError
from lamina.flows.progress import Reporter
from lamina.flows.search.energy import CALIBRATIONS, relative_energy
from lamina.flows.study.modes import with_modes
from lamina.flows.study.monte_carlo import Accuracies, monte_carlo
from lamina.models.network import run
from lamina.models.program import Program
from lamina.models.voltage import bit_error_rate

__all__ = ["CHIPS", "SAMPLES", "VOLTS", "Mode", "modes_of", "table_rows", "undervolt"]

VOLTS = (0.70, 0.75, 0.775, 0.80, 0.825, 0.85)
"""Supplies of Nguyen 2023b [V]."""
CHIPS, SAMPLES = 20, 1000
_MOST_GATED = 2
_COUNTED_SAMPLES = 100


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mode:
    """One setting of all tiers.

    Parameters
    ----------
    family : str
        ``nominal``; ``gated``: the `count` lowest tiers off; ``UV``: the `count` lowest at `volts`;
        ``UV-PG``: the lowest off, the `count` above it at `volts`.
    count : int
        Tiers.
    volts : float or None
        [V]; None where no tier is undervolted.
    """

    family: str
    count: int = 0
    volts: float | None = None

    def text(self, tiers: int) -> str:
        """As ``--tier-modes`` takes it, on `tiers` tiers."""
        if self.volts is not None:
            return f"{self.family}{self.count}@{self.volts}"
        return ",".join(["nominal"] * (tiers - self.count) + ["gated"] * self.count)


def modes_of(tiers: int, volts: Sequence[float] = VOLTS) -> tuple[Mode, ...]:
    """Nominal, one and two tiers gated, then UV and UV-PG with every count at each of `volts`.

    Raises
    ------
    UserError
        If a voltage is outside .60 .. 1.10 V or no whole number of millivolts.
    """
    volts = _checked(volts)
    families = (("UV", tiers), ("UV-PG", tiers - 1))
    return (Mode(family="nominal"),
            *(Mode(family="gated", count=count)
              for count in range(1, min(_MOST_GATED, tiers - 1) + 1)),
            *(Mode(family=family, count=count, volts=supply) for family, most in families
              for count in range(1, most + 1) for supply in volts))


def undervolt(program: Program, spikes: np.ndarray, labels: np.ndarray, folder: pathlib.Path, *,
              lanes: int, tiers: tuple[int, ...], modes: Sequence[Mode], chips: int = CHIPS,
              fill: str | None = None, kind: str = "flip", calibration: str = "45nm",
              adder_energy: dict[str, float] | None = None, workers: int = 2,
              progress: Reporter | None = None) -> dict:
    """Run `program` in `modes` on chips 0 .. `chips` - 1.

    Parameters
    ----------
    program : Program
        Its own voltages and gates are left out.
    spikes : uint8 array (N, T, axons)
    labels : int array (N,)
    folder : pathlib.Path
        Keeps finished chips: see :func:`lamina.flows.study.monte_carlo.monte_carlo`.
    lanes : int
    tiers : tuple of int
        Bits of each memory tier.
    modes : sequence of Mode
        See :func:`modes_of`.
    chips : int
        At least 1.
    fill : str or None
        What gated tiers read as, ``mid`` or ``zero``; None: as the program has it.
    kind : str
        ``flip`` or ``stuck``.
    calibration : str
        Key of :data:`lamina.flows.search.energy.CALIBRATIONS`.
    adder_energy : dict of str to float or None
        See :func:`lamina.flows.search.energy.relative_energy`.
    workers : int
    progress : callable, optional

    Returns
    -------
    dict
        JSON-ready; see docs/voltage.md.
    """
    fill = fill or program.tier_fill
    texts = [mode.text(len(tiers)) for mode in modes]
    found = monte_carlo(program, texts, spikes, labels, folder, lanes=lanes, tiers=tiers,
                        chips=chips, fill=fill, kind=kind, workers=workers, progress=progress)
    energies = _energies(program, texts, spikes, tiers, fill, calibration, adder_energy or {})
    entries = [_entry(mode, each, energy)
               for mode, each, energy in zip(modes, found, energies, strict=True)]
    return {"network": program.name, "neurons": [layer.neurons for layer in program.layers],
            "axons": program.axons, "timesteps": program.timesteps,
            "weight_bits": program.weight_bits, "tiers": list(tiers), "lanes": lanes,
            "chips": chips, "samples": len(spikes), "fill": fill, "kind": kind,
            "volts": list(dict.fromkeys(mode.volts for mode in modes if mode.volts)),
            "calibration": dataclasses.asdict(CALIBRATIONS[calibration]),
            "modes": entries, "front": _front(entries)}


def _checked(volts: Sequence[float]) -> tuple[float, ...]:
    """Without repetitions, falling."""
    for supply in volts:
        try:
            bit_error_rate(supply)
        except ValueError as error:
            raise UserError(f"--volts: {error}") from None
        if abs(supply * 1000 - round(supply * 1000)) > 1e-6:
            raise UserError(f"--volts must be whole numbers of millivolts, not {supply}")
    return tuple(sorted(set(volts), reverse=True))


def _energies(program: Program, texts: list[str], spikes: np.ndarray, tiers: tuple[int, ...],
              fill: str, calibration: str, adder_energy: dict[str, float]) -> list[float]:
    """Over E0, every mode with the spikes at nominal voltages, counted on some of the samples."""
    nominal = with_modes(program, Mode(family="nominal").text(len(tiers)), tiers, fill)
    sops = run(nominal, spikes[:_COUNTED_SAMPLES], tiers).sops.mean(axis=1)
    return [relative_energy(with_modes(program, text, tiers, fill), sops, float(sops.sum()), tiers,
                            CALIBRATIONS[calibration], adder_energy) for text in texts]


def _entry(mode: Mode, found: Accuracies, energy: float) -> dict:
    return {"mode": found.mode, **dataclasses.asdict(mode), "accuracy": found.mean,
            "low": found.low, "p5": found.percentile(5), "p95": found.percentile(95),
            "high": found.high, "energy": round(energy, 6)}


def _front(entries: list[dict]) -> list[str]:
    """Modes that none beats in both mean accuracy and energy, by falling energy."""
    kept, best = [], -1.0
    for each in sorted(entries, key=lambda each: (each["energy"], -each["accuracy"])):
        if each["accuracy"] > best:
            kept.append(each["mode"])
            best = each["accuracy"]
    return kept[::-1]


def table_rows(result: dict) -> list[tuple[str, str]]:
    """Lines of :func:`undervolt` for people: a voltage, or what is gated, and its figures."""
    cells = {each["mode"]: f"{100 * each['accuracy']:.2f} / {each['energy']:.3f}"
             for each in result["modes"]}
    columns = list(dict.fromkeys((each["family"], each["count"]) for each in result["modes"]
                                 if each["volts"] is not None))
    head = "   ".join(f"{family}{count}".ljust(13) for family, count in columns).rstrip()
    rows = [(f"{each['count']} gated" if each["count"] else "nominal", cells[each["mode"]])
            for each in result["modes"] if each["volts"] is None]
    for supply in result["volts"]:
        line = "   ".join(cells[f"{family}{count}@{supply}"].ljust(13) for family, count in columns)
        rows.append((f"{supply} V", line.rstrip()))
    unit = (f"mean accuracy [%] of {result['chips']} chips, {result['samples']} samples / energy "
            f"over E0, {result['calibration']['name']}; fill {result['fill']}")
    return [("", unit), ("", head), *rows, ("front", "   ".join(result["front"]))]
