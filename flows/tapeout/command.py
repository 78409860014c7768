"""The command ``tapeout``: a network to the submission repository of a shuttle."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shutil
from collections.abc import Callable

from lamina.flows import progress
from lamina.flows.errors import UserError
from lamina.flows.job import Job, Options, compile_for, load_program, resolve
from lamina.flows.steps import Summary
from lamina.flows.tapeout import caravel
from lamina.flows.tapeout.design import LARGEST, base_config, hand_off_config
from lamina.flows.tapeout.librelane import harden
from lamina.flows.workspace import replaced_folder, workspace
from lamina.models.program import Program

__all__ = ["PLACES", "tapeout"]

_SAMPLES = 2
"""Samples of the self-test unless told otherwise."""
_WEIGHT_BITS = 8


def _caravel(job: Job, program: Program, out: pathlib.Path) -> dict:
    base = base_config(job.name, program.stored_bits)
    config = hand_off_config(program, base)
    spikes = job.data(program).encoded(program, 0, job.samples)
    with progress.step(f"writing {out}"):
        found = caravel.write_repository(program, config, spikes[:job.samples], out,
                                         native=job.options.native_tools, notice=progress.say)
    return {"floorplan": found, "config": json.loads(config.to_json())}


PLACES: dict[str, Callable[[Job, Program, pathlib.Path], dict]] = {"caravel": _caravel}
"""Writes the repository of each shuttle: of a job, its program and the folder."""
_HARDENED = {"caravel": "openlane/user_project_wrapper/config.json"}


def tapeout(options: Options, place: str, *, hardened: bool = False) -> Summary:
    """Write the submission repository of `place` to ``OUT/PLACE``.

    Parameters
    ----------
    options : Options
        ``samples``: of the self-test, 2 where not given.
    place : str
        One of :data:`PLACES`.
    hardened : bool
        Then lay it out with LibreLane.

    Raises
    ------
    UserError
        If the place is unknown, the network does not fit it, or a tool is missing.
    """
    if place not in PLACES:
        raise UserError(f"place must be one of {', '.join(PLACES)}, not {place}")
    if options.target is not None and options.target != "sky130":
        raise UserError(f"--target: {place} is made in sky130, not {options.target}")
    options = dataclasses.replace(options, target=None, samples=options.samples or _SAMPLES)
    job = resolve(options, "tapeout")
    base = base_config(job.name, options.weight_bits or _WEIGHT_BITS)
    job = dataclasses.replace(job, target=dataclasses.replace(job.target, config=base,
                                                              most=LARGEST))
    with workspace(job.out, job.settings):
        program = _program(job)
        result = PLACES[place](job, program, job.out / place)
        if hardened:
            harden(job.out / place / _HARDENED[place])
    return Summary(result=result, path=job.out / place)


def _program(job: Job) -> Program:
    """The program of `job`, compiled or copied to ``OUT/program``."""
    folder = job.out / "program"
    if job.program_folder is None:
        with progress.step(f"compiling {job.source}"):
            program = compile_for(job, job.target.config).program
        with replaced_folder(folder) as partial:
            program.save(partial)
        return program
    program = load_program(job.program_folder)
    if folder.resolve() != job.program_folder.resolve():
        with replaced_folder(folder) as partial:
            shutil.copytree(job.program_folder, partial, dirs_exist_ok=True)
    return program
