"""The text of ``--tier-modes``: which weight tiers are undervolted or switched off, and where."""

from __future__ import annotations

import dataclasses
import re

from lamina.flows.errors import UserError
from lamina.models.voltage import bit_error_rate

__all__ = ["TierModes", "TierSetting", "parse_tier_modes"]

_NOMINAL = 1100
_NAMED = re.compile(r"UV(-PG)?(\d+)@(.*)", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TierSetting:
    """Modes of all tiers.

    Parameters
    ----------
    gated : int
        Tiers that are off, counted from the lowest.
    millivolts : tuple of int
        Supply of each tier, highest first [mV], gated ones as nominal; empty: all nominal.
    """

    gated: int = 0
    millivolts: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class TierModes:
    """What ``--tier-modes`` asks for.

    Parameters
    ----------
    program : TierSetting
        For the whole program.
    layers : dict of str to TierSetting
        While a layer runs, by its name.
    """

    program: TierSetting = TierSetting()
    layers: dict[str, TierSetting] = dataclasses.field(default_factory=dict)


def parse_tier_modes(text: str | None, tiers: int, layers: dict[str, str]) -> TierModes:
    """Read ``nominal,nominal,0.8,gated``, ``UV-PG1@0.8`` or ``fc1:...;fc2:...``.

    Parameters
    ----------
    text : str or None
        One entry per tier, highest first: ``nominal``, ``gated`` or a voltage [V]; or ``UVk@V``
        (the k lowest tiers at V) or ``UV-PGk@V`` (the lowest gated, the k above it at V; Nguyen
        2023b). None: all nominal. Layers that are not named are nominal.
    tiers : int
    layers : dict of str to str
        Name of the layer by each name that a user may call it (its own, its weight node's).

    Raises
    ------
    UserError
        On a wrong count, an unknown word or layer, a voltage outside .60..1.10 V or finer than
        1 mV, tier 0 gated, or a gated tier above one that is not.
    """
    if text is None:
        return TierModes()
    if ":" not in text:
        return TierModes(program=_setting(text, tiers))
    settings: dict[str, TierSetting] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, _, modes = part.rpartition(":")
        if name not in layers:
            raise UserError(f"--tier-modes: layers are {', '.join(dict.fromkeys(layers))}, "
                            f"not {name!r}")
        if layers[name] in settings:
            raise UserError(f"--tier-modes: layer {name} must be named once, not twice")
        settings[layers[name]] = _setting(modes, tiers)
    return TierModes(layers=settings)


def _setting(text: str, tiers: int) -> TierSetting:
    modes = _spelled_out(text.strip(), tiers) or [mode.strip() for mode in text.split(",")]
    if len(modes) != tiers:
        raise UserError(f"--tier-modes must have {tiers} entries, one per tier, not {len(modes)}")
    millivolts = tuple(_NOMINAL if mode in ("nominal", "gated") else _millivolts(mode)
                       for mode in modes)
    count = modes.count("gated")
    if modes[0] == "gated":
        raise UserError("--tier-modes: tier 0 holds the signs and must stay on, not gated")
    if modes[tiers - count:] != ["gated"] * count:
        tier = modes.index("gated")
        raise UserError(f"--tier-modes: only the last tiers may be gated, not tier {tier} above "
                        f"one that is on")
    return TierSetting(gated=count, millivolts=millivolts if set(millivolts) != {_NOMINAL} else ())


def _spelled_out(text: str, tiers: int) -> list[str]:
    """The modes that ``UVk@V`` or ``UV-PGk@V`` stands for; empty if `text` is neither."""
    named = _NAMED.fullmatch(text)
    if named is None:
        return []
    off, count = int(named[1] is not None), int(named[2])
    if not 1 <= count <= tiers - off:
        raise UserError(f"--tier-modes: {text} must undervolt 1..{tiers - off} of {tiers} tiers, "
                        f"not {count}")
    return ["nominal"] * (tiers - off - count) + [named[3].strip()] * count + ["gated"] * off


def _millivolts(mode: str) -> int:
    try:
        volts = float(mode.lower().removesuffix("v"))
    except ValueError:
        raise UserError(f"--tier-modes entries must be nominal, gated or a voltage, "
                        f"not {mode!r}") from None
    try:
        bit_error_rate(volts)
    except ValueError as error:
        raise UserError(f"--tier-modes: {error}") from None
    if abs(volts * 1000 - round(volts * 1000)) > 1e-6:
        raise UserError(f"--tier-modes: voltage must be a whole number of millivolts, not {volts}")
    return round(volts * 1000)
