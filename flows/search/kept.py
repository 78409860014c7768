"""Evaluations that outlive a search: a folder for each setup, by its content."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib

from lamina.flows.search.evaluate import Evaluation, Setup
from lamina.flows.search.space import Configuration

__all__ = ["Kept", "job_folder"]


def job_folder(setup: Setup, folder: pathlib.Path) -> pathlib.Path:
    """Folder of the evaluations of `setup`, named by its content."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / "setup"
    setup.save(draft)
    digest = hashlib.sha256()
    for path in sorted(draft.iterdir()):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    job = folder / digest.hexdigest()[:16]
    job.mkdir(exist_ok=True)
    setup.save(job / "setup")
    return job


class Kept:
    """Evaluations in a file, a line each; a line that was cut short is left out.

    Parameters
    ----------
    path : pathlib.Path
        May be absent.
    """

    def __init__(self, path: pathlib.Path):
        self._path = path
        self._found: dict[Configuration, Evaluation] = {}
        text = path.read_text() if path.exists() else ""
        if text and not text.endswith("\n"):
            path.write_text(f"{text}\n")
        for line in text.splitlines():
            try:
                fields = json.loads(line)
            except json.JSONDecodeError:
                continue
            result = Evaluation(**{name: tuple(value) if isinstance(value, list) else value
                                   for name, value in fields.items()})
            self._found[result.configuration] = result

    def __contains__(self, configuration: Configuration) -> bool:
        return configuration in self._found

    def __getitem__(self, configuration: Configuration) -> Evaluation:
        return self._found[configuration]

    def add(self, result: Evaluation) -> None:
        self._found[result.configuration] = result
        with self._path.open("a") as stream:
            stream.write(json.dumps(dataclasses.asdict(result)) + "\n")
