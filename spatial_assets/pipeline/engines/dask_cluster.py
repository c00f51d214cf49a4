"""The connection to a Dask cluster: its workers, the tasks sent to it, and their results.

Every request to Dask goes through here, each with a timeout.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from spatial_assets.errors import ClusterError, SpatialAssetsError
from spatial_assets.pipeline.engines.dask_worker import (
    VERSIONED_PACKAGES,
    Pickled,
    RunSpec,
    check_worker,
    perform,
    software_here,
    version_differences,
)

if TYPE_CHECKING:
    from distributed import Client, Future


REPLY_TIMEOUT_SECONDS = 20.0
"""Timeout of a request to the scheduler."""

RESULTS_TIMEOUT_SECONDS = 10.0
"""Timeout of a batch of results: Dask keeps connecting to a dead worker for longer."""

DASK_LOG_LENGTH = 10
"""Messages that Dask keeps for its developers: its 1,000 hold the last thousands of tiles."""

MAX_NAMED_WORKERS = 3

LOST_WORK = (
    "what was in flight is not committed and stays as it was, and another run continues with it"
)

_FAILURES = (OSError, TimeoutError, CancelledError, RuntimeError)


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The connection of one driver to one scheduler."""

    address: str
    client: Client

    @property
    def is_lost(self) -> bool:
        """True if Dask has given up the connection for good."""
        return self.client.status in {"closing", "closed"}

    @property
    def is_connected(self) -> bool:
        """True while the scheduler receives messages."""
        return bool(self.client.status == "running")

    @property
    def _scheduler(self) -> Any:  # noqa: ANN401 - a remote procedure for each name
        return self.client.scheduler

    def workers(self) -> Mapping[str, int] | None:
        """Return worker address -> threads; None: the scheduler did not answer."""
        answer = self._request(partial(self._scheduler.ncores))
        return None if answer is None else dict(answer)

    def worker_by_task(self) -> Mapping[str, str]:
        """Return task key -> worker that has it; empty if the scheduler does not answer."""
        answer = self._request(partial(self._scheduler.processing, workers=None))
        return {str(key): worker for worker, keys in (answer or {}).items() for key in keys}

    def outage(self, workers: Mapping[str, int] | None) -> str:
        """Describe why nothing can run, given the answer of `workers`: empty, or None."""
        if self.is_lost:
            return f"the Dask scheduler at {self.address} is gone"
        if workers is None:
            return f"the Dask scheduler at {self.address} does not answer"
        start = f"dask worker {self.address} --nthreads 1"
        return f"the Dask scheduler at {self.address} has no worker; start some with `{start}`"

    def submit(
        self, spec: RunSpec, job: object, *, key: str, preferred: Sequence[str]
    ) -> Future[Any]:
        """Send a job to any worker, or to one of `preferred` if one of them is there.

        Raises:
            ClusterError: the client has closed, since its scheduler is gone.
        """
        from distributed.client import ClosedClientError

        try:
            return self.client.submit(
                perform,
                spec,
                Pickled.of(job),
                key=key,
                workers=list(preferred) or None,
                allow_other_workers=bool(preferred),
            )
        except ClosedClientError as error:
            raise ClusterError(f"{self.outage(None)}; {LOST_WORK}") from error

    def ended(self, futures: Collection[Future[Any]], *, within: float) -> list[Future[Any]]:
        """Return the tasks that have ended; wait up to `within` seconds for the first."""
        from distributed import wait

        with suppress(*_FAILURES), self.client.as_current():
            wait(list(futures), timeout=within, return_when="FIRST_COMPLETED")
        return [each for each in futures if each.status in {"finished", "error", "cancelled"}]

    def cancel(self, futures: Sequence[Future[Any]]) -> None:
        """Cancel tasks; Dask tells the workers that run them."""
        self._request(partial(self.client.cancel, list(futures), asynchronous=True))

    def error_of(self, future: Future[Any]) -> Exception | None:
        """Return the error of a task; None: its workers died."""
        from distributed import KilledWorker

        error = future.exception()
        if isinstance(error, KilledWorker):
            return None
        if isinstance(error, SpatialAssetsError):
            return error
        return ClusterError(f"a worker could not do its work: {type(error).__name__}: {error}")

    def collect(self, futures: Sequence[Future[Any]]) -> list[Any] | None:
        """Return the results of ended tasks; None: not now, the result of one was lost."""
        gather = partial(self.client.gather, list(futures), asynchronous=True)
        answer = self._request(gather, within=RESULTS_TIMEOUT_SECONDS)
        return None if answer is None else [pickled.load() for pickled in answer]

    def _request(self, request: Any, *, within: float = REPLY_TIMEOUT_SECONDS) -> Any:  # noqa: ANN401 - Dask's own
        """Return Dask's answer, or None if it does not come in time."""
        from distributed import KilledWorker
        from distributed.client import ClosedClientError

        # KilledWorker: a result was lost with its worker, and those that computed it again died;
        # the task has ended with this error then, which `error_of` tells.
        with suppress(*_FAILURES, ClosedClientError, KilledWorker):
            return self.client.sync(request, callback_timeout=within)
        return None

    def check_workers(self, spec: RunSpec) -> None:
        """Check that each worker can do the work, also one that is busy.

        Raises:
            ClusterError: one of them cannot do the work, or does not answer.
        """
        run = partial(self.client.run, check_worker, spec, on_error="return", asynchronous=True)
        answers = self._request(run)
        if answers is None:
            message = (
                f"not every worker of {self.address} has answered in {REPLY_TIMEOUT_SECONDS:.0f} s"
            )
            raise ClusterError(message)
        for worker, error in answers.items():
            if isinstance(error, SpatialAssetsError):
                raise error
            if error is not None:
                raise ClusterError(f"worker {worker}: {type(error).__name__}: {error}")

    def memory(self) -> str:
        """Describe the memory of the worker that has the least."""
        workers: Any = self.client.scheduler_info()["workers"]
        limits = [each["memory_limit"] for each in workers.values() if each["memory_limit"]]
        return f"each may use {min(limits) >> 20:,} MB" if limits else "without a memory limit"

    def refuse_other_software(self) -> None:
        """Refuse a scheduler or workers with other versions of the packages that decide bytes.

        Raises:
            ClusterError: naming the differences, and where they are.
        """
        ours = software_here()
        found: Any = self.client.get_versions(packages=list(VERSIONED_PACKAGES))
        name = "spatial-assets"  # the scheduler runs no job, but unpickles what is sent
        processes = [
            (f"the scheduler at {self.address}", {name: ours[name]}, found["scheduler"]),
            *((f"worker {name}", ours, each) for name, each in found["workers"].items()),
        ]
        wrong = [
            f"{name} has {differences}"
            for name, expected, answer in processes
            if answer and (differences := version_differences(expected, _versions(answer)))
        ]
        if wrong:
            hidden = len(wrong) - MAX_NAMED_WORKERS
            more = f" and {hidden} more" if hidden > 0 else ""
            named = "; ".join(wrong[:MAX_NAMED_WORKERS])
            raise ClusterError(f"{named}{more}; run driver, scheduler and workers from one image")


def _versions(answer: Mapping[str, Any]) -> dict[str, str]:
    """Return the versions of a process in the form of `software_here`."""
    packages = {name: str(found or "none") for name, found in answer["packages"].items()}
    return {**packages, "python": ".".join(packages["python"].split(".")[:2])}


@contextmanager
def connected(address: str, *, within: float) -> Iterator[Cluster]:
    """Connect to the scheduler at `address` for the block, and cancel what is left at its end.

    Args:
        address: tcp://host:port or tls://host:port.
        within: seconds for a connection, and for a new one where it breaks.

    Raises:
        ClusterError: no scheduler answers there, or Dask is not installed.
    """
    if importlib.util.find_spec("distributed") is None:
        message = (
            f"[compute] dask = {address!r} needs Dask, which is not installed: "
            "pip install 'spatial-assets[dask]', or leave the setting out"
        )
        raise ClusterError(message)
    import dask
    from distributed import Client

    try:
        with dask.config.set({"distributed.admin.low-level-log-length": DASK_LOG_LENGTH}):
            client = Client(address, timeout=within, set_as_default=False, name="spatial-assets")
    except (OSError, TimeoutError) as error:
        message = (
            f"no Dask scheduler answers at {address} ({type(error).__name__}); start it with "
            "`dask scheduler`, or correct [compute] dask or $SPATIAL_ASSETS_DASK"
        )
        raise ClusterError(message) from error
    try:
        yield Cluster(address=address, client=client)
    finally:
        with suppress(*_FAILURES):
            client.close(timeout=REPLY_TIMEOUT_SECONDS)
