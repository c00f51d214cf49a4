"""Objects by path: a local folder or an S3 prefix behind the same seven methods.

What the bytes mean belongs to the other modules of this package, and where they live to
`layout`. Retries, timeouts and what an answer means belong here, and nowhere else.

Temporary files of a folder: an object is written as `path#1`, then renamed.

A writer that is killed leaves its own behind. Paths are the same in every run, so whoever writes
the object next finds it there.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError

from spatial_assets.errors import StoreError
from spatial_assets.stores.objects.cancellation import cancellation
from spatial_assets.stores.objects.location import StorageLocation, connect, locate
from spatial_assets.stores.objects.store_errors import explained, with_store_retries

if TYPE_CHECKING:
    from obstore import GetOptions, OffsetRange, PutResult, SuffixRange
    from obstore.store import ObjectStore as Backend

PART_BYTES = 8 * 1024 * 1024  # larger objects go up in parts, each retried on its own


@dataclass(frozen=True)
class ObjectInfo:
    """One stored object."""

    path: str
    """Relative to the storage URL, with `/` between segments."""

    size: int
    """Bytes."""

    etag: str
    """What the store calls this version of the object; changes with every put."""

    sha256: str | None = None
    """Hex digest of the bytes; None where only the store was asked (`head`, `list`)."""


class ObjectStore:
    """Objects below one storage URL. Picklable: it travels as its URL and opens again."""

    def __init__(self, location: StorageLocation, env: Mapping[str, str]) -> None:
        self._location = location
        self._env = env
        self._hint = location.hint(env)

    @cached_property
    def _backend(self) -> Backend:
        """Connected at first use, so that opening a store creates nothing."""
        return connect(self._location, self._env)

    @property
    def url(self) -> str:
        """The storage URL: an absolute folder, or s3://bucket/prefix."""
        return self._location.url

    @property
    def is_remote(self) -> bool:
        """Whether each request crosses a network, so that several at a time are worth a thread."""
        return self._location.folder is None

    def __repr__(self) -> str:
        return f"ObjectStore({self.url!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectStore) and other.url == self.url

    def __hash__(self) -> int:
        return hash(self.url)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        """Travel as the URL alone: keys stay in the environment of each process."""
        return (open_store, (self.url,))

    def uri(self, path: str) -> str:
        """What a person pastes into another tool: a file path, or an s3:// URI."""
        return f"{self.url}/{checked(path)}"

    def put(self, path: str, data: bytes) -> ObjectInfo:
        """Write the object whole: a reader sees the old bytes or the new, never a mixture."""
        with self.answering("write", path):
            sweep_staged(self._location, checked(path))
            answer = with_store_retries(lambda: self._put_once(path, data))
        return _written(path, data, etag=answer["e_tag"])

    def _put_once(self, path: str, data: bytes) -> PutResult:
        cancellation.refuse_if_cancelled(self.uri(path))
        return obstore.put(self._backend, checked(path), data, chunk_size=PART_BYTES)

    def create(self, path: str, data: bytes) -> bool:
        """Write the object only if there is none; atomic among any number of writers.

        Returns:
            True: the path holds exactly `data`, put by this call. Two callers with the same
            bytes are one caller: whoever must be told apart puts a token into them.
        """
        with self.answering("create", path):
            sweep_staged(self._location, checked(path))
            try:
                with_store_retries(
                    lambda: obstore.put(
                        self._backend, checked(path), data, mode="create", use_multipart=False
                    )
                )
            except AlreadyExistsError:
                # Ours all the same when the reply to an earlier try was lost on the way.
                return self.find(path) == data
        return True

    def get(self, path: str) -> bytes:
        """The object's bytes.

        Raises:
            StoreError: there is no such object, or the store refuses.
            SourceUnavailableError: the store did not answer, retries included.
        """
        with self.answering("read", path):
            return with_store_retries(
                lambda: bytes(obstore.get(self._backend, checked(path)).bytes())
            )

    def find(self, path: str, *, part: slice | None = None) -> bytes | None:
        """The object's bytes, or a part of them, or None where there is no such object.

        `part` is slice(start, stop), slice(start, None) or slice(-count, None).
        """
        options: GetOptions = {} if part is None else {"range": as_range(part)}
        try:
            with self.answering("read", path, absent_is_an_answer=True):
                return with_store_retries(
                    lambda: bytes(
                        obstore.get(self._backend, checked(path), options=options).bytes()
                    )
                )
        except FileNotFoundError:
            return None

    def head(self, path: str) -> ObjectInfo | None:
        """Size and etag of the object, or None where there is none."""
        try:
            with self.answering("look up", path, absent_is_an_answer=True):
                meta = with_store_retries(lambda: obstore.head(self._backend, checked(path)))
        except FileNotFoundError:
            return None
        return ObjectInfo(path, int(meta["size"]), meta["e_tag"] or "")

    def delete(self, path: str) -> None:
        """Remove the object; one that is already gone is no error."""
        try:
            with self.answering("delete", path, absent_is_an_answer=True):
                with_store_retries(lambda: obstore.delete(self._backend, checked(path)))
        except FileNotFoundError:
            return

    def list(self, prefix: str = "") -> tuple[ObjectInfo, ...]:
        """All objects below the folder `prefix`, by path."""
        folder = checked(prefix) if prefix else None
        with self.answering("list", prefix):
            batches = with_store_retries(lambda: list(obstore.list(self._backend, folder)))
        found = (
            ObjectInfo(meta["path"], int(meta["size"]), meta["e_tag"] or "")
            for batch in batches
            for meta in batch
        )
        return tuple(sorted(found, key=lambda info: info.path))

    @contextmanager
    def answering(
        self, doing: str, path: str, *, absent_is_an_answer: bool = False
    ) -> Iterator[None]:
        """Turn whatever the store answers in this block into an error of ours.

        With `absent_is_an_answer`, FileNotFoundError is let through for the caller to take as None.
        """
        try:
            yield
        except FileNotFoundError as error:
            if absent_is_an_answer:
                raise
            uri = self.uri(path) if path else self.url
            raise explained(error, doing=doing, uri=uri, hint=self._hint) from error
        except (BaseError, OSError) as error:
            uri = self.uri(path) if path else self.url
            raise explained(error, doing=doing, uri=uri, hint=self._hint) from error


def open_store(url: str, env: Mapping[str, str] | None = None) -> ObjectStore:
    """Open the store at `url`; nothing is created before the first put.

    Args:
        url: an absolute folder, file:///folder, or s3://bucket/prefix.
        env: where endpoint, region and keys come from; default: the process environment.

    Raises:
        SettingsError: the URL, or a variable of `env`, says something impossible.
    """
    return ObjectStore(locate(url), os.environ if env is None else env)


def checked(path: str) -> str:
    """`path`, refused unless it stays below the storage URL on every kind of store."""
    segments = path.split("/")
    wrong = [
        segment
        for segment in segments
        if segment in {"", ".", ".."} or STAGED.search(segment) or not segment.isprintable()
    ]
    if wrong or "\\" in path:
        raise StoreError(
            f"not an object path: {path!r}; wanted names joined by single slashes, relative to "
            f"the storage URL, without '.', '..', backslashes, control characters or a '#1' ending"
        )
    return path


def as_range(part: slice) -> tuple[int, int] | OffsetRange | SuffixRange:
    """A part of an object, as obstore asks for it."""
    if part.stop is not None:
        return (part.start or 0, part.stop)
    start = part.start or 0
    return {"offset": start} if start >= 0 else {"suffix": -start}


def _written(path: str, data: bytes, *, etag: str | None) -> ObjectInfo:
    return ObjectInfo(path, len(data), etag or "", hashlib.sha256(data).hexdigest())


STAGED = re.compile(r"#\d+$")  # obstore's names, which it never lists

ABANDONED_SECONDS = 30.0
"""Since it was last written to; an object is written from memory, and a tile has one writer."""


def sweep_staged(location: StorageLocation, path: str) -> None:
    """Remove what killed writers of an object left beside it; nothing on S3.

    Raises:
        OSError: it may not be removed.
    """
    if location.folder is None:
        return
    whole = location.folder / path
    if not _is_abandoned(whole.with_name(f"{whole.name}#1")):
        return  # one look is enough: names are taken from 1 up
    for staged in whole.parent.glob(f"{glob.escape(whole.name)}#*"):
        if STAGED.search(staged.name) and _is_abandoned(staged):
            staged.unlink(missing_ok=True)


def _is_abandoned(staged: Path) -> bool:
    try:
        return time.time() - staged.stat().st_mtime > ABANDONED_SECONDS
    except (FileNotFoundError, NotADirectoryError):
        return False
