"""Dask: work on processes of this machine, or on a cluster, finished results kept when it goes."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence

from lamina.flows.errors import UserError

__all__ = ["Client", "connected"]

_CONNECT_SECONDS = 10


class Client:
    """Runs a function on many arguments elsewhere.

    Parameters
    ----------
    distributed : module
        Dask's.
    client : distributed.Client
    """

    def __init__(self, distributed, client):
        self._distributed, self._client = distributed, client

    def results(self, function: Callable, calls: Sequence[tuple]) -> Iterator[object]:
        """Results of ``function(*call)`` as they are finished, in any order.

        Raises
        ------
        UserError
            If the scheduler or its workers go away.
        Exception
            What the function raised.
        """
        for result, error in self._outcomes(function, calls):
            if error is not None:
                raise error
            yield result

    def _outcomes(self, function: Callable, calls: Sequence[tuple]
                  ) -> Iterator[tuple[object, Exception | None]]:
        distributed = self._distributed
        try:
            futures = [self._client.submit(_outcome, function, call, pure=False) for call in calls]
            for _, outcome in distributed.as_completed(futures, with_results=True):
                if isinstance(outcome, Exception):
                    raise outcome
                yield outcome
        except (OSError, distributed.CancelledError, distributed.scheduler.KilledWorker,
                RuntimeError) as error:
            raise UserError(f"the scheduler went away: what was finished is kept, "
                            f"{type(error).__name__}") from None


def _outcome(function: Callable, call: tuple) -> tuple[object, Exception | None]:
    """What the function returns, and what it raises: its errors are not those of the cluster."""
    try:
        return function(*call), None
    except Exception as error:
        return None, error


@contextlib.contextmanager
def connected(count: int, scheduler: str | None) -> Iterator[Client]:
    """Yield a client of a scheduler, or of `count` processes of this machine.

    Parameters
    ----------
    count : int
    scheduler : str or None
        Address of a Dask scheduler, e.g. ``tcp://10.0.0.1:8786``.

    Raises
    ------
    UserError
        If Dask is not installed, or the scheduler is not there.
    """
    try:
        import distributed
    except ModuleNotFoundError:
        raise UserError("work on a cluster needs Dask: pip install 'lamina[search]'") from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as stack:
        target = scheduler or stack.enter_context(distributed.LocalCluster(
            n_workers=count, threads_per_worker=1, dashboard_address=None))
        try:
            client = stack.enter_context(distributed.Client(target, timeout=_CONNECT_SECONDS))
        except (OSError, TimeoutError, ValueError):
            raise UserError(f"--scheduler must be a Dask scheduler that answers, "
                            f"not {scheduler}") from None
        yield Client(distributed, client)
