"""Leases of the tiles in flight, renewed by a thread for as long as the workers take.

With a remote store, the leases of the next tiles are acquired while the workers are busy, and
those of settled tiles are released in the background.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

from spatial_assets.errors import LeaseHeldError, SpatialAssetsError
from spatial_assets.stores.objects.leases import Lease, acquire
from spatial_assets.stores.objects.store import ObjectStore

Job = TypeVar("Job")
Result = TypeVar("Result")

logger = logging.getLogger(__name__)

LEASE_TTL = timedelta(seconds=90)
"""Time after which the tiles of a driver that died are free again."""

RENEWAL_SECONDS = 15.0
"""Seconds between checks of the leases; each is renewed when half of its time has passed."""


MAX_PREPARED_TILES = 8
"""Tiles prepared at a time with a remote store: few, as other drivers wait for them."""


class TileLeases:
    """Tiles that this driver may write; a context manager, because of its thread."""

    def __init__(
        self,
        store: ObjectStore,
        *,
        owner: str,
        clock: Callable[[], datetime],
        ttl: timedelta = LEASE_TTL,
        interval: float = RENEWAL_SECONDS,
    ) -> None:
        self._store = store
        self._owner = owner
        self._clock = clock
        self._ttl = ttl
        self._interval = interval
        self._held: dict[str, Lease] = {}
        self._lost: dict[str, LeaseHeldError] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._pool = ThreadPoolExecutor(MAX_PREPARED_TILES, thread_name_prefix="tile-leases")
        self._thread = threading.Thread(target=self._renew_all, name="tile-leases", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Acquisitions that have not begun are cancelled; the leases still held are released below.
        self._pool.shutdown(cancel_futures=True)
        self._stopped.set()
        self._thread.join()
        with ThreadPoolExecutor(MAX_PREPARED_TILES if self._store.is_remote else 1) as pool:
            list(pool.map(self.release, list(self._held)))

    def prepare(
        self, jobs: Iterable[Job], work: Callable[[Job], Result]
    ) -> Iterator[tuple[Job, Callable[[], Result]]]:
        """Yield each job, in order, with a function that returns the result of `work`.

        `jobs` is read lazily, in this thread. With a local store `work` runs when its result is
        requested; with a remote one it runs earlier, in other threads.
        """
        submitted: deque[tuple[Job, Callable[[], Result]]] = deque()
        for job in jobs:
            if not self._store.is_remote:
                yield job, partial(work, job)
                continue
            submitted.append((job, self._pool.submit(work, job).result))
            if len(submitted) > MAX_PREPARED_TILES:
                yield submitted.popleft()
        yield from submitted

    def take(self, key: str) -> None:
        """Lease a tile.

        Raises:
            LeaseHeldError: another driver holds it.
        """
        name = f"tile/{key}"
        held = acquire(self._store, name, owner=self._owner, ttl=self._ttl, clock=self._clock)
        with self._lock:
            self._held[key] = held

    @contextmanager
    def committing(self, key: str) -> Iterator[None]:
        """Commit a tile in this block, then release its lease.

        Raises:
            LeaseHeldError: the lease was lost meanwhile; the tile must not be committed.
        """
        try:
            with self._lock:
                if key in self._lost:
                    raise self._lost[key]
                self._held[key].keep_alive()
            yield
        finally:
            if self._store.is_remote:
                self._pool.submit(self.release, key)
            else:
                self.release(key)

    def release(self, key: str) -> None:
        """Release the lease of a tile."""
        with self._lock:
            held = self._held.pop(key)
            self._lost.pop(key, None)
        try:
            held.release()
        except SpatialAssetsError as error:
            # Everything written under it stays; the lease expires by itself.
            logger.warning(
                "the lease of tile %s was not released and expires at %s: %s",
                key,
                held.until,
                error,
            )

    def _renew_all(self) -> None:
        while not self._stopped.wait(self._interval):
            for key in list(self._held):
                self._renew(key)

    def _renew(self, key: str) -> None:
        with self._lock:
            held = self._held.get(key)
            if held is None or key in self._lost:
                return
            try:
                held.keep_alive()
            except LeaseHeldError as error:
                self._lost[key] = error
            except SpatialAssetsError as error:
                logger.warning("the lease of tile %s was not renewed: %s", key, error)
