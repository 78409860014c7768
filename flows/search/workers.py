"""Where evaluations run: in this process, on workers of this machine, or on a cluster."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Callable, Iterator, Sequence

from lamina.flows.cluster import connected
from lamina.flows.search.evaluate import Evaluation, evaluate
from lamina.flows.search.space import Configuration

__all__ = ["Evaluate", "workers"]

Evaluate = Callable[[Sequence[Configuration]], Iterator[Evaluation]]
"""Evaluations as they are finished, in any order."""


@contextlib.contextmanager
def workers(folder: pathlib.Path, count: int, scheduler: str | None) -> Iterator[Evaluate]:
    """Yield what evaluates configurations of the setup in `folder`.

    Parameters
    ----------
    folder : pathlib.Path
        Of the setup; a cluster must see it under the same path.
    count : int
        Processes of this machine; 1: this one.
    scheduler : str or None
        Address of a Dask scheduler, e.g. ``tcp://10.0.0.1:8786``.

    Raises
    ------
    UserError
        If Dask is not installed, or the scheduler is not there or goes away.
    """
    if scheduler is None and count == 1:
        yield lambda configurations: (evaluate(folder, each) for each in configurations)
        return
    with connected(count, scheduler) as client:
        yield lambda configurations: client.results(
            evaluate, [(folder, each) for each in configurations])
