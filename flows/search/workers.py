"""Where evaluations run: in this process, on workers of this machine, or on a cluster."""

from __future__ import annotations

import contextlib
import logging
import pathlib
from collections.abc import Callable, Iterator, Sequence

from lamina.flows.errors import UserError
from lamina.flows.search.evaluate import Evaluation, evaluate
from lamina.flows.search.space import Configuration

__all__ = ["Evaluate", "workers"]

Evaluate = Callable[[Sequence[Configuration]], Iterator[Evaluation]]
"""Evaluations as they are finished, in any order."""

_CONNECT_SECONDS = 10


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
    distributed = _distributed()
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as stack:
        target = scheduler or stack.enter_context(distributed.LocalCluster(
            n_workers=count, threads_per_worker=1, dashboard_address=None))
        try:
            client = stack.enter_context(distributed.Client(target, timeout=_CONNECT_SECONDS))
        except (OSError, TimeoutError, ValueError):
            raise UserError(f"--scheduler must be a Dask scheduler that answers, "
                            f"not {scheduler}") from None
        yield lambda configurations: _mapped(distributed, client, folder, configurations)


def _mapped(distributed, client, folder: pathlib.Path, configurations: Sequence[Configuration]
            ) -> Iterator[Evaluation]:
    try:
        futures = [client.submit(evaluate, folder, each, pure=False) for each in configurations]
        for _, result in distributed.as_completed(futures, with_results=True):
            yield result
    except (OSError, distributed.CancelledError, distributed.scheduler.KilledWorker,
            RuntimeError) as error:
        raise UserError(f"the scheduler went away: what was finished is kept, "
                        f"{type(error).__name__}") from None


def _distributed():
    try:
        import distributed
    except ModuleNotFoundError:
        raise UserError("parallel searches need Dask: pip install 'lamina[search]'") from None
    return distributed
