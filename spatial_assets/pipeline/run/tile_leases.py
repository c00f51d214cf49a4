"""The leases of the tiles in flight, renewed by a thread for as long as the workers take.

Where the store is far, those of the next tiles are taken while the workers are busy, and those of
settled tiles are let go of behind the driver's back.
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
"""So soon the tiles of a driver that died are free again."""

RENEWAL_SECONDS = 15.0
"""Seconds between looks at the leases; each is renewed once half of its time is gone."""


MAX_PREPARED_TILES = 8
"""Tiles that are made ready at a time where the store is far: few, as others wait for them."""


class TileLeases:
    """The tiles that this driver may write; a context, because of its thread."""

    def __init__(
        self,
        store: ObjectStore,
        *,
        owner: str,
        clock: Callable[[], datetime],
        ttl: timedelta = LEASE_TTL,
        beat: float = RENEWAL_SECONDS,
    ) -> None:
        self._store = store
        self._owner = owner
        self._clock = clock
        self._ttl = ttl
        self._pause = beat
        self._held: dict[str, Lease] = {}
        self._lost: dict[str, LeaseHeldError] = {}
        self._turn = threading.Lock()
        self._over = threading.Event()
        self._hands = ThreadPoolExecutor(MAX_PREPARED_TILES, thread_name_prefix="tile-leases")
        self._thread = threading.Thread(target=self._beat, name="tile-leases", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # What has not begun is not taken any more, and what is still held is let go of below.
        self._hands.shutdown(cancel_futures=True)
        self._over.set()
        self._thread.join()
        with ThreadPoolExecutor(MAX_PREPARED_TILES if self._store.is_remote else 1) as hands:
            list(hands.map(self.release, list(self._held)))

    def ahead(
        self, jobs: Iterable[Job], work: Callable[[Job], Result]
    ) -> Iterator[tuple[Job, Callable[[], Result]]]:
        """Yield each job, in order, with what gives the result of `work` or raises its error.

        `jobs` is read in this thread and lazily. Near a store a job is worked on when its result
        is asked for, far from one in other threads and before its turn.
        """
        under_way: deque[tuple[Job, Callable[[], Result]]] = deque()
        for job in jobs:
            if not self._store.is_remote:
                yield job, partial(work, job)
                continue
            under_way.append((job, self._hands.submit(work, job).result))
            if len(under_way) > MAX_PREPARED_TILES:
                yield under_way.popleft()
        yield from under_way

    def take(self, key: str) -> None:
        """Become the only writer of a tile.

        Raises:
            LeaseHeldError: another driver is.
        """
        name = f"tile/{key}"
        held = acquire(self._store, name, owner=self._owner, ttl=self._ttl, clock=self._clock)
        with self._turn:
            self._held[key] = held

    @contextmanager
    def settling(self, key: str) -> Iterator[None]:
        """Commit a tile in this block and let go of it.

        Raises:
            LeaseHeldError: it was lost meanwhile, and whoever lost it must not commit.
        """
        try:
            with self._turn:
                if key in self._lost:
                    raise self._lost[key]
                self._held[key].keep_alive()
            yield
        finally:
            if self._store.is_remote:
                self._hands.submit(self.release, key)
            else:
                self.release(key)

    def release(self, key: str) -> None:
        """Let others write the tile."""
        with self._turn:
            held = self._held.pop(key)
            self._lost.pop(key, None)
        try:
            held.release()
        except SpatialAssetsError as error:
            # What was written under it is written; it frees itself when it expires.
            logger.warning("the lease of tile %s stays until %s: %s", key, held.until, error)

    def _beat(self) -> None:
        while not self._over.wait(self._pause):
            for key in list(self._held):
                self._renew(key)

    def _renew(self, key: str) -> None:
        with self._turn:
            held = self._held.get(key)
            if held is None or key in self._lost:
                return
            try:
                held.keep_alive()
            except LeaseHeldError as error:
                self._lost[key] = error
            except SpatialAssetsError as error:
                logger.warning("the lease of tile %s was not renewed: %s", key, error)
