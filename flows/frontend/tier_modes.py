"""The text of ``--tier-modes``: which of the lowest weight tiers are switched off, and where."""

from __future__ import annotations

import dataclasses

from lamina.flows.errors import UserError

__all__ = ["TierModes", "parse_tier_modes"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TierModes:
    """Tiers that are off, counted from the lowest.

    Parameters
    ----------
    program : int
        For the whole program.
    layers : dict of str to int
        Not accessed by a layer, by its name.
    """

    program: int = 0
    layers: dict[str, int] = dataclasses.field(default_factory=dict)


def parse_tier_modes(text: str | None, tiers: int, layers: dict[str, str]) -> TierModes:
    """Read ``nominal,nominal,nominal,gated`` or ``fc1:...;fc2:...``.

    Parameters
    ----------
    text : str or None
        One entry per tier, highest first: ``nominal`` or ``gated``; None: all nominal. Layers that
        are not named are nominal.
    tiers : int
    layers : dict of str to str
        Name of the layer by each name that a user may call it (its own, its weight node's).

    Raises
    ------
    UserError
        On a wrong count, an unknown word or layer, a voltage (no fault model exists yet), tier 0
        gated, or a gated tier above a nominal one.
    """
    if text is None:
        return TierModes()
    if ":" not in text:
        return TierModes(program=_gated(text, tiers))
    gated: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, _, modes = part.rpartition(":")
        if name not in layers:
            raise UserError(f"--tier-modes: layers are {', '.join(dict.fromkeys(layers))}, "
                            f"not {name!r}")
        if layers[name] in gated:
            raise UserError(f"--tier-modes: layer {name} must be named once, not twice")
        gated[layers[name]] = _gated(modes, tiers)
    return TierModes(layers=gated)


def _gated(text: str, tiers: int) -> int:
    modes = [mode.strip() for mode in text.split(",")]
    if len(modes) != tiers:
        raise UserError(f"--tier-modes must have {tiers} entries, one per tier, not {len(modes)}")
    for mode in modes:
        if mode not in ("nominal", "gated"):
            raise UserError(_refuse(mode))
    count = modes.count("gated")
    if modes[0] == "gated":
        raise UserError("--tier-modes: tier 0 holds the signs and must stay nominal")
    if modes[tiers - count:] != ["gated"] * count:
        tier = modes.index("gated")
        raise UserError(f"--tier-modes: only the last tiers may be gated, not tier {tier} above a "
                        f"nominal one")
    return count


def _refuse(mode: str) -> str:
    try:
        float(mode.lower().removesuffix("v"))
    except ValueError:
        return f"--tier-modes entries must be nominal or gated, not {mode!r}"
    return f"--tier-modes: a voltage ({mode}) is refused until a fault model exists; use nominal " \
           f"or gated"
