"""Many small requests to a store, in threads where each of them crosses a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from spatial_assets.stores.objects.store import ObjectStore

BatchJob = TypeVar("BatchJob")
BatchResult = TypeVar("BatchResult")

BATCH = 256
"""Requests between two signs of life."""

REMOTE_THREADS = 32
LOCAL_THREADS = 4


def in_parallel(
    store: ObjectStore,
    work: Callable[[BatchJob], BatchResult],
    jobs: Iterable[BatchJob],
    *,
    alive: Callable[[], None],
) -> list[BatchResult]:
    """Return the results of `work` in the order of `jobs`; the first error stops it.

    Args:
        store: decides the number of threads.
        work: of one job.
        jobs: read lazily.
        alive: called after each batch, e.g. to renew a lease.
    """
    found: list[BatchResult] = []
    with ThreadPoolExecutor(REMOTE_THREADS if store.is_remote else LOCAL_THREADS) as pool:
        for batch in _batches(jobs):
            found += pool.map(work, batch)
            alive()
    return found


def _batches(jobs: Iterable[BatchJob]) -> Iterator[list[BatchJob]]:
    rest = iter(jobs)
    while batch := list(islice(rest, BATCH)):
        yield batch
