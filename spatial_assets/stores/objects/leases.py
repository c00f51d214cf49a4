"""Leases, which allow one writer at a time: each is the newest record of an append-only log.

Records are `leases/<name>/<generation>.json`, each put create-only, which folders and S3 both do
atomically. Acquiring, renewing, taking over after expiry and releasing all append the next
generation, so a process that appends after a record knows that no other did; nothing is ever
overwritten. The newest record is never deleted: it makes the number of a late writer too old.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

from spatial_assets.errors import LeaseHeldError, SourceUnavailableError, StoreError
from spatial_assets.retries import Backoff, no_jitter, with_retries
from spatial_assets.stores import layout
from spatial_assets.stores.objects.batches import in_parallel
from spatial_assets.stores.objects.json import from_json, to_json
from spatial_assets.stores.objects.regrid_journal import refuse_during_regrid
from spatial_assets.stores.objects.store import ObjectStore

logger = logging.getLogger(__name__)

REGRID_LEASE = "regrid"
"""Lease of the process that moves the objects of the store; it excludes all others."""

READ_ATTEMPTS = 5  # the newest record may be superseded and deleted before it is read
POLL_SECONDS = 0.2  # between attempts to acquire; a cube is locked for less than a second


@dataclass(frozen=True)
class LeaseRecord:
    """One entry of the log."""

    generation: int
    owner: str
    """Readable name of the writer: host, process, run."""

    token: str
    """Unique token of this record."""

    until: datetime | None
    """Time of expiry (UTC); None if released."""

    def is_active(self, now: datetime) -> bool:
        """Return True if its writer may still be writing."""
        return self.until is not None and now < self.until


class Lease:
    """An exclusive right to write, held until it expires or is released."""

    def __init__(
        self, log: LeaseLog, record: LeaseRecord, *, ttl: timedelta, clock: Callable[[], datetime]
    ) -> None:
        self._log = log
        self._record = record
        self._ttl = ttl
        self._clock = clock

    @property
    def owner(self) -> str:
        """Readable name of the holder."""
        return self._record.owner

    @property
    def until(self) -> datetime:
        """Time of expiry unless renewed (UTC)."""
        return self._record.until or datetime.min.replace(tzinfo=UTC)

    def renew(self) -> None:
        """Extend the lease to `ttl` from now.

        Raises:
            LeaseHeldError: it expired and another writer acquired it; stop writing.
        """
        now = self._clock()
        renewed = self._log.append(self._record, owner=self.owner, until=now + self._ttl)
        if renewed is None:
            raise self._log.refusal(self._log.newest(), now, lost_by=self.owner)
        self._record = renewed

    def keep_alive(self) -> None:
        """Renew if half of the time has passed: a heartbeat cheap enough for every step."""
        if self._clock() >= self.until - self._ttl / 2:
            self.renew()

    def release(self) -> None:
        """Release the lease; one that was lost in the meantime stays with its new holder."""
        self._record = self._log.close(self._record, owner=self.owner)


@dataclass(frozen=True)
class LeaseLog:
    """The records of one lease name."""

    store: ObjectStore
    name: str

    def newest(self) -> LeaseRecord | None:
        """Read the newest record, which is the valid one; None if the lease was never acquired."""
        for _ in range(READ_ATTEMPTS):
            found = self.store.list(layout.lease(self.name))
            if not found:
                return None
            path = found[-1].path
            data = self.store.find(path)
            if data is not None:
                return parsed(data, path=path)
        raise StoreError(
            f"the records of lease {self.name} in {self.store.url} change faster than they can "
            "be read; check the clocks of the machines that write here"
        )

    def append(
        self, after: LeaseRecord | None, *, owner: str, until: datetime | None
    ) -> LeaseRecord | None:
        """Append the record that follows `after`; None if another writer was first."""
        generation = 1 if after is None else after.generation + 1
        record = LeaseRecord(generation, owner, uuid.uuid4().hex, until)
        if not self.store.create(self._path(generation), to_bytes(record)):
            return None
        older = [info.path for info in self.store.list(layout.lease(self.name))]
        if older[-1] != self._path(generation):
            # Too late: newer records exist and our number had already been deleted, so it is void.
            self.store.delete(self._path(generation))
            return None
        for path in older[:-1]:
            self.store.delete(path)
        return record

    def close(self, held: LeaseRecord, *, owner: str) -> LeaseRecord:
        """Append the record that releases `held`; return it, or `held` if that was lost.

        A number that came too late needs no check: newer records override it.
        """
        record = LeaseRecord(held.generation + 1, owner, uuid.uuid4().hex, None)
        if not self.store.create(self._path(record.generation), to_bytes(record)):
            return held
        self.store.delete(self._path(held.generation))
        return record

    def refusal(
        self, holder: LeaseRecord | None, now: datetime, *, lost_by: str | None = None
    ) -> LeaseHeldError:
        """Return an error with the holder and the time of expiry."""
        lost = f"{lost_by} lost the lease" if lost_by else "the lease"
        if holder is None or holder.until is None:
            return LeaseHeldError(f"{lost} {self.name}: another writer was faster; retry")
        seconds = (holder.until - now).total_seconds()
        return LeaseHeldError(
            f"{lost} {self.name} of {self.store.url} is held by {holder.owner} until "
            f"{holder.until:%Y-%m-%d %H:%M:%S} UTC (in {seconds:.0f} s); wait for it to finish, "
            "or until then if it died"
        )

    def _path(self, generation: int) -> str:
        return f"{layout.lease(self.name)}/{generation:012d}.json"


def acquire(
    store: ObjectStore, name: str, *, owner: str, ttl: timedelta, clock: Callable[[], datetime]
) -> Lease:
    """Acquire the lease if it is new, released or expired.

    Raises:
        LeaseHeldError: another writer holds it; the message names the writer and the expiry.
        RegridUnderWayError: the objects of the store are being moved.
    """
    log, now = LeaseLog(store, name), clock()
    newest = log.newest()
    if newest is not None and newest.is_active(now):
        raise log.refusal(newest, now)
    record = log.append(newest, owner=owner, until=now + ttl)
    if record is None:
        raise log.refusal(log.newest(), now)
    held = Lease(log, record, ttl=ttl, clock=clock)
    if name != REGRID_LEASE:
        _refuse_during_regrid(store, held)
    return held


def _refuse_during_regrid(store: ObjectStore, held: Lease) -> None:
    """Release a lease if objects are being moved.

    In this order: `regrid` writes its journal before it looks for leases, so one of the two sees
    the other.
    """
    try:
        refuse_during_regrid(store)
    except BaseException:
        held.release()
        raise


@contextmanager
def lease(
    store: ObjectStore,
    name: str,
    *,
    owner: str,
    ttl: timedelta,
    clock: Callable[[], datetime],
    wait: timedelta = timedelta(0),
) -> Iterator[Lease]:
    """Hold the lease during the block; wait up to `wait` to acquire it.

    Raises:
        LeaseHeldError: it could not be acquired in time.
    """
    held = with_retries(
        lambda: acquire(store, name, owner=owner, ttl=ttl, clock=clock),
        backoff=Backoff(
            first=POLL_SECONDS,
            largest=POLL_SECONDS,
            time_limit=wait.total_seconds(),
            jitter=no_jitter,
        ),
        errors=(LeaseHeldError,),
    )
    try:
        yield held
    finally:
        try:
            held.release()
        except SourceUnavailableError as error:
            # All writes under the lease are done; it expires on its own.
            logger.warning("lease %s stays held until %s: %s", name, held.until, error)


def active_leases(
    store: ObjectStore, kind: str, *, now: datetime, alive: Callable[[], None]
) -> dict[str, LeaseRecord]:
    """Map the names of the leases of a kind, such as `tile`, that are held now to their records.

    `alive` is called between batches of requests.
    """
    folder = layout.lease(kind)
    newest = {info.path.rpartition("/")[0]: info.path for info in store.list(folder)}
    names = [path.removeprefix(f"{layout.LEASES_FOLDER}/") for path in newest]
    found = in_parallel(store, lambda name: _newest_of(store, name), names, alive=alive)
    records = zip(names, found, strict=True)
    return {name: held for name, held in records if held is not None and held.is_active(now)}


def _newest_of(store: ObjectStore, escaped: str) -> LeaseRecord | None:
    return LeaseLog(store, unquote(escaped)).newest()


def require_exclusive_creation(store: ObjectStore) -> None:
    """Create one object twice, and delete it.

    Raises:
        StoreError: the store accepted the second one.
    """
    path = layout.probe(uuid.uuid4().hex)
    try:
        store.create(path, b"first")
        refuse_if_replaced(store, path, b"second")
    finally:
        store.delete(path)


def refuse_if_replaced(store: ObjectStore, path: str, data: bytes) -> None:
    """Create an object that exists with other bytes: leases need a store that refuses.

    Some servers and gateways ignore `If-None-Match` of S3, so that two runs would write one tile.

    Raises:
        StoreError: the store replaced the object by `data`.
    """
    if store.create(path, data):
        raise StoreError(
            f"{store.url} replaces an object that may only be created (it ignores If-None-Match of "
            "S3), so two runs could write one tile; use a server that honours it, such as AWS S3, "
            "MinIO, Ceph or SeaweedFS in a recent version"
        )


def to_bytes(record: LeaseRecord) -> bytes:
    """Encode a record as canonical JSON."""
    until = record.until and record.until.astimezone(UTC).isoformat()
    return to_json({"owner": record.owner, "token": record.token, "until": until})


def parsed(data: bytes, *, path: str) -> LeaseRecord:
    """Parse a record; its generation is its file name.

    Raises:
        StoreError: it is damaged.
    """
    try:
        document = from_json(data)
        until = document["until"]
        return LeaseRecord(
            int(path.rsplit("/", 1)[-1].removesuffix(".json")),
            str(document["owner"]),
            str(document["token"]),
            None if until is None else datetime.fromisoformat(str(until)),
        )
    except (ValueError, KeyError) as error:
        raise StoreError(
            f"the lease record {path} is damaged ({error!r}); "
            "make sure that nothing writes here, then delete it"
        ) from error
