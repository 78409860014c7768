"""A network's submission repository for each shuttle."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
from collections.abc import Callable

from lamina.flows import progress
from lamina.flows.errors import UserError
from lamina.flows.job import Job, Options
from lamina.flows.tapeout import caravel
from lamina.flows.tapeout.librelane import harden
from lamina.models.program import Program

__all__ = ["PLACES", "options_for", "write"]

_SAMPLES = 2
"""Samples of the self-test unless told otherwise."""
_PROCESS = "sky130"


def _caravel(job: Job, program: Program, out: pathlib.Path) -> dict:
    name = re.sub(r"\W", "_", job.name)
    config = dataclasses.replace(job.target.fitted(program).config,
                                 name=name if name.isidentifier() else f"n_{name}")
    spikes = job.data(program).encoded(program, 0, job.samples)
    with progress.step(f"writing {out}"):
        found = caravel.write_repository(program, config, spikes, out,
                                         native=job.options.native_tools, notice=progress.say)
    return {**found, "config": json.loads(config.to_json())}


PLACES: dict[str, Callable[[Job, Program, pathlib.Path], dict]] = {"caravel": _caravel}
"""Writes the repository of each shuttle: of a job, its program and the folder."""
_OWN_WAY = "tinytapeout"
"""Made by :mod:`lamina.flows.tapeout.tinytapeout`, whose core is no target's."""
_LAYOUTS = {"caravel": "openlane/user_project_wrapper/config.json"}


def options_for(options: Options, place: str) -> Options:
    """`options` with the process of `place` and few samples, where nothing else is said.

    Raises
    ------
    UserError
        If the place is unknown, or is none of the target.
    """
    if place not in PLACES:
        raise UserError(f"place must be one of {', '.join((*PLACES, _OWN_WAY))}, not {place}")
    if options.target not in (None, _PROCESS):
        raise UserError(f"--target: {place} is made in {_PROCESS}, not {options.target}")
    return dataclasses.replace(options, target=_PROCESS, samples=options.samples or _SAMPLES)


def write(job: Job, program: Program, place: str, *, hardened: bool = False) -> dict:
    """Write the submission repository of `place` to ``OUT/PLACE``; then lay it out if asked to.

    Raises
    ------
    UserError
        If the network does not fit the place, or a tool is missing.
    """
    result = PLACES[place](job, program, job.out / place)
    if hardened:
        harden(job.out / place / _LAYOUTS[place])
    return result
