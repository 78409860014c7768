"""Output folders: complete or absent, never half-written, never on top of what is not ours."""

from __future__ import annotations

import contextlib
import json
import pathlib
import shutil
from collections.abc import Iterator

from lamina.flows.errors import UserError

__all__ = ["MARKER", "read_settings", "replaced_file", "replaced_folder", "workspace"]

MARKER = "lamina.json"
"""File that makes a folder ours; it holds the settings of the run as JSON."""


@contextlib.contextmanager
def replaced_file(target: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yield a path beside `target` to write to; it becomes `target` when the block succeeds.

    When the block raises, what was written is removed and an older `target` stays as it was.

    Raises
    ------
    UserError
        If `target` is a folder.
    """
    if target.is_dir():
        raise UserError(f"{target}: output must be a file, not a folder")
    with _parents(target.parent):
        partial = target.with_name(f".{target.name}.partial")
        try:
            yield partial
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def replaced_folder(target: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yield an empty folder beside `target`; it becomes `target` when the block succeeds.

    When the block raises, the new folder is removed and an older `target` stays as it was.
    """
    partial = target.with_name(f".{target.name}.partial")
    former = target.with_name(f".{target.name}.former")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        shutil.rmtree(former, ignore_errors=True)
        if target.exists():
            target.rename(former)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(former, ignore_errors=True)


@contextlib.contextmanager
def workspace(out: pathlib.Path, settings: dict) -> Iterator[pathlib.Path]:
    """Make `out` ours (or find it so), store `settings` in it, and yield it.

    When the block raises before it left a result, a folder that did not exist vanishes again.

    Raises
    ------
    UserError
        If `out` is a file, or a folder with other things in it than an earlier run's.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: output must be a folder, not a file")
    if out.is_dir() and any(out.iterdir()) and not (out / MARKER).is_file():
        raise UserError(f"{out}: output must be a new or empty folder or one of an earlier run, "
                        f"not one that holds {min(path.name for path in out.iterdir())}")
    with _parents(out):
        try:
            yield out
        except BaseException:
            if not (out / MARKER).exists() and any(out.iterdir()):
                _store_settings(out, settings)
            raise
        _store_settings(out, settings)


def read_settings(folder: pathlib.Path) -> dict:
    """Settings of the run that made `folder`; empty if it was none of ours.

    Raises
    ------
    UserError
        If the marker file is damaged.
    """
    try:
        settings = json.loads((folder / MARKER).read_text())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ValueError as error:
        raise UserError(f"{folder / MARKER}: must be JSON: {error}") from None
    if not isinstance(settings, dict):
        raise UserError(f"{folder / MARKER}: must hold a JSON object, not {settings!r}")
    return settings


def _store_settings(out: pathlib.Path, settings: dict) -> None:
    with replaced_file(out / MARKER) as partial:
        partial.write_text(json.dumps(settings, indent=1, sort_keys=True) + "\n")


@contextlib.contextmanager
def _parents(folder: pathlib.Path) -> Iterator[None]:
    """Create `folder` and its parents; on an error remove those that stayed empty."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise
