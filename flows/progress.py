"""What a long step shows while it works: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

import rich.console
import rich.progress

__all__ = ["Reporter", "say", "step"]

Reporter = Callable[[int, int], None]
"""Called as ``progress(done, total)``, in any unit, as often as one likes."""


def say(message: str) -> None:
    """Print one line on standard error; results alone go to standard output."""
    print(message, file=sys.stderr, flush=True)


@contextlib.contextmanager
def step(title: str) -> Iterator[Reporter]:
    """Show `title` and, on a terminal, a bar driven by the yielded reporter."""
    console = rich.console.Console(stderr=True)
    if not console.is_terminal:
        say(title)
        yield lambda done, total: None
        return
    columns = (rich.progress.SpinnerColumn(), rich.progress.TextColumn("{task.description}"),
               rich.progress.BarColumn(), rich.progress.MofNCompleteColumn(),
               rich.progress.TimeElapsedColumn())
    with rich.progress.Progress(*columns, console=console) as bars:
        task = bars.add_task(title, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
