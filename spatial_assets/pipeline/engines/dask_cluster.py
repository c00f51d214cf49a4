"""A Dask cluster as we see it: who works there, what runs where, and tasks sent and collected.

All that is asked of Dask goes through here, with a bound on how long an answer may take.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from spatial_assets.errors import ClusterError, SpatialAssetsError
from spatial_assets.pipeline.engines.dask_worker import (
    PACKAGES,
    Pickled,
    RunSpec,
    differing,
    perform,
    software_here,
)

if TYPE_CHECKING:
    from distributed import Client, Future


logger = logging.getLogger(__name__)

ANSWER_SECONDS = 20.0
"""In which a scheduler that is there answers a question."""

RESULTS_SECONDS = 10.0
"""In which it hands over a batch of results; one that died with its worker is not waited for."""

REMEMBERED = 10
"""Messages that Dask keeps for its developers: its 1,000 hold the last thousands of tiles."""

MOST_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The connection of one driver to one scheduler."""

    address: str
    client: Client

    @property
    def is_lost(self) -> bool:
        """Whether Dask has given up the connection for good."""
        return self.client.status in {"closing", "closed"}

    @property
    def is_connected(self) -> bool:
        """Whether the scheduler hears us now."""
        return bool(self.client.status == "running")

    @property
    def _scheduler(self) -> Any:  # noqa: ANN401 - a remote procedure for each name
        return self.client.scheduler

    def workers(self) -> Mapping[str, int] | None:
        """Address -> threads of the workers; None: the scheduler did not answer."""
        answer = self._ask(partial(self._scheduler.ncores))
        return None if answer is None else dict(answer)

    def whereabouts(self) -> Mapping[str, str]:
        """Key of a task -> the worker that it is with; nothing where nobody answers."""
        answer = self._ask(partial(self._scheduler.processing, workers=None))
        return {str(key): worker for worker, keys in (answer or {}).items() for key in keys}

    def trouble(self, workers: Mapping[str, int] | None) -> str:
        """Why nothing goes on, in words, where `workers` is empty or was not answered."""
        if self.is_lost:
            return f"the Dask scheduler at {self.address} is gone"
        if workers is None:
            return f"the Dask scheduler at {self.address} does not answer"
        start = f"dask worker {self.address} --nthreads 1"
        return f"the Dask scheduler at {self.address} has no worker; start some with `{start}`"

    def send(
        self, orders: RunSpec, job: object, *, key: str, by: str | None, rather: Sequence[str]
    ) -> Future[Any]:
        """Have a job done: anywhere, by one worker, or rather by some than by the others."""
        return self.client.submit(
            perform,
            orders,
            Pickled.of(job),
            key=key,
            workers=[by] if by else list(rather) or None,
            allow_other_workers=not by and bool(rather),
        )

    def drop(self, futures: Sequence[Future[Any]]) -> None:
        """Give up tasks; the workers that are at work on them are told."""
        self._ask(partial(self.client.cancel, list(futures), asynchronous=True))

    def error_of(self, future: Future[Any]) -> Exception | None:
        """What went wrong with a task; None: its workers died."""
        from distributed import KilledWorker

        error = future.exception()
        if isinstance(error, KilledWorker):
            return None
        if isinstance(error, SpatialAssetsError):
            return error
        return ClusterError(f"a worker could not do its work: {type(error).__name__}: {error}")

    def collect(self, futures: Sequence[Future[Any]]) -> list[Any] | None:
        """The results of tasks that have ended; None: not now, one of them was lost again."""
        gather = partial(self.client.gather, list(futures), asynchronous=True)
        answer = self._ask(gather, within=RESULTS_SECONDS)
        return None if answer is None else [parcel.open() for parcel in answer]

    def _ask(self, question: Any, *, within: float = ANSWER_SECONDS) -> Any:  # noqa: ANN401 - Dask's own
        """What Dask answers, or None where it does not in time."""
        with suppress(OSError, TimeoutError, CancelledError, RuntimeError):
            return self.client.sync(question, callback_timeout=within)
        return None

    def try_out(self, orders: RunSpec, workers: Sequence[str]) -> None:
        """Have each of some workers do nothing, for which it is fitted out.

        Raises:
            ClusterError: one of them cannot do the work, or does not answer.
        """
        sent = {
            name: self.send(orders, None, key=f"try-{n}-{orders.run}", by=name, rather=())
            for n, name in enumerate(workers)
        }
        if self.collect(list(sent.values())) is not None:
            return
        for name, future in sent.items():
            if future.status == "error":
                raise self.error_of(future) or ClusterError(f"worker {name} died")
            if future.status != "finished":
                message = f"worker {name} has not answered in {ANSWER_SECONDS:.0f} s; is it busy?"
                raise ClusterError(message)

    def memory(self) -> str:
        """What the worker with the least memory may use, in words."""
        workers: Any = self.client.scheduler_info()["workers"]
        limits = [each["memory_limit"] for each in workers.values() if each["memory_limit"]]
        return f"each may use {min(limits) >> 20:,} MB" if limits else "without a memory limit"

    def refuse_other_software(self) -> None:
        """Refuse a scheduler or workers with other versions of what decides bytes.

        Raises:
            ClusterError: naming what differs, and where.
        """
        ours = software_here()
        found: Any = self.client.get_versions(packages=list(PACKAGES))
        asked = {
            f"the scheduler at {self.address}": (found["scheduler"], {"spatial-assets"}),
            **{f"worker {name}": (each, set(ours)) for name, each in found["workers"].items()},
        }
        wrong = [
            f"{name} has {other}"
            for name, (told, matters) in asked.items()
            if told and (other := differing(_only(ours, matters), _versions(told)))
        ]
        if wrong:
            more = f" and {len(wrong) - MOST_NAMED} more" if len(wrong) > MOST_NAMED else ""
            told = "; ".join(wrong[:MOST_NAMED])
            raise ClusterError(f"{told}{more}; run driver, scheduler and workers from one image")


def _only(versions: Mapping[str, str], names: set[str]) -> dict[str, str]:
    return {name: version for name, version in versions.items() if name in names}


def _versions(told: Mapping[str, Any]) -> dict[str, str]:
    """What a process says of its software, as `software_here` has it."""
    packages = {name: str(found or "none") for name, found in told["packages"].items()}
    return {**packages, "python": ".".join(packages["python"].split(".")[:2])}


@contextmanager
def connected(address: str, *, within: float) -> Iterator[Cluster]:
    """The cluster of the scheduler at `address`, to the end of the block.

    What this driver still has there is given up at the end.

    Args:
        address: tcp://host:port or tls://host:port.
        within: seconds for a connection, and for a new one where it breaks.

    Raises:
        ClusterError: nobody answers there, or Dask is not installed.
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
        with dask.config.set({"distributed.admin.low-level-log-length": REMEMBERED}):
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
        with suppress(OSError, TimeoutError, CancelledError, RuntimeError):
            client.close(timeout=ANSWER_SECONDS)
