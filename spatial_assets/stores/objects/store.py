"""Objects by path: a local folder or an S3 prefix behind the same eight methods.

Other modules interpret the bytes; `layout` builds the paths. In a folder an object is first written
to a temporary file `path#1`, then renamed. A killed writer leaves that file behind; since paths are
the same in every run, the next writer of the object removes it.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
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
    from obstore import GetOptions, ObjectMeta, OffsetRange, PutResult, SuffixRange
    from obstore.store import ObjectStore as Backend

PART_BYTES = 8 * 1024 * 1024  # larger objects are uploaded in parts, each retried on its own


@dataclass(frozen=True)
class ObjectInfo:
    """One stored object."""

    path: str
    """Path relative to the storage URL, with `/` between segments."""

    size: int
    """Size in bytes."""

    etag: str
    """Version of the object in the store; changes with every put."""

    sha256: str | None = None
    """Hex digest of the bytes; None if only the store was queried (`head`, `list`)."""


class ObjectStore:
    """Objects below one storage URL. Pickled as its URL, and opened again from that."""

    def __init__(self, location: StorageLocation, env: Mapping[str, str]) -> None:
        self._location = location
        self._env = env
        self._hint = location.hint(env)

    @cached_property
    def _backend(self) -> Backend:
        """Connection, made at first use, so that opening a store creates nothing."""
        return connect(self._location, self._env)

    @property
    def url(self) -> str:
        """Storage URL: an absolute folder, or s3://bucket/prefix."""
        return self._location.url

    @property
    def is_remote(self) -> bool:
        """True if each request crosses a network, so that concurrent requests pay off."""
        return self._location.folder is None

    def __repr__(self) -> str:
        return f"ObjectStore({self.url!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectStore) and other.url == self.url

    def __hash__(self) -> int:
        return hash(self.url)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        """Pickle the URL alone: keys stay in the environment of each process."""
        return (open_store, (self.url,))

    def within(self, folder: str) -> ObjectStore:
        """Return the store of the objects below a folder, with paths relative to it."""
        return ObjectStore(locate(f"{self.url}/{checked(folder)}"), self._env)

    def uri(self, path: str) -> str:
        """Return a file path or s3:// URI that other tools understand."""
        return f"{self.url}/{checked(path)}"

    def put(self, path: str, data: bytes) -> ObjectInfo:
        """Write the object atomically: a reader sees the old bytes or the new, never a mixture."""
        with self.translated_errors("write", path):
            remove_abandoned(self._location, checked(path))
            result = with_store_retries(lambda: self._put_once(path, data))
        digest = hashlib.sha256(data).hexdigest()
        return ObjectInfo(path, len(data), result["e_tag"] or "", digest)

    def _put_once(self, path: str, data: bytes) -> PutResult:
        cancellation.refuse_if_cancelled(self.uri(path))
        return obstore.put(self._backend, checked(path), data, chunk_size=PART_BYTES)

    def create(self, path: str, data: bytes) -> bool:
        """Write the object only if there is none; atomic among any number of writers.

        Returns:
            True if the object is exactly `data`, put by this call. Callers with the same bytes
            all get True: to tell them apart, put a token into the bytes.
        """
        with self.translated_errors("create", path):
            remove_abandoned(self._location, checked(path))
            try:
                with_store_retries(
                    lambda: obstore.put(
                        self._backend, checked(path), data, mode="create", use_multipart=False
                    )
                )
            except AlreadyExistsError:
                # Still ours if the response to an earlier attempt was lost.
                return self.find(path) == data
        return True

    def copy(self, source: str, target: str) -> None:
        """Copy an object within the store, atomically: the server copies; a folder links the file.

        Objects are only replaced whole, so a linked file never changes under its other name.

        Raises:
            StoreError: there is no object `source`, or the store refuses the request.
        """
        with self.translated_errors("copy", source):
            remove_abandoned(self._location, checked(target))
            with_store_retries(
                lambda: obstore.copy(self._backend, checked(source), checked(target))
            )

    def get(self, path: str) -> bytes:
        """Return the bytes of the object.

        Raises:
            StoreError: there is no such object, or the store refuses the request.
            SourceUnavailableError: the store did not answer within all retries.
        """
        with self.translated_errors("read", path):
            return with_store_retries(
                lambda: bytes(obstore.get(self._backend, checked(path)).bytes())
            )

    def find(self, path: str, *, part: slice | None = None) -> bytes | None:
        """Return the bytes of the object, or a part of them; None if there is no such object.

        `part` is slice(start, stop), slice(start, None) or slice(-count, None).
        """
        options: GetOptions = {} if part is None else {"range": as_range(part)}
        try:
            with self.translated_errors("read", path, missing_ok=True):
                return with_store_retries(
                    lambda: bytes(
                        obstore.get(self._backend, checked(path), options=options).bytes()
                    )
                )
        except FileNotFoundError:
            return None

    def head(self, path: str) -> ObjectInfo | None:
        """Size and etag of the object; None if there is none."""
        try:
            with self.translated_errors("look up", path, missing_ok=True):
                meta = with_store_retries(lambda: obstore.head(self._backend, checked(path)))
        except FileNotFoundError:
            return None
        return ObjectInfo(path, int(meta["size"]), meta["e_tag"] or "")

    def delete(self, path: str) -> None:
        """Delete the object; a missing one is not an error."""
        try:
            with self.translated_errors("delete", path, missing_ok=True):
                with_store_retries(lambda: obstore.delete(self._backend, checked(path)))
        except FileNotFoundError:
            return

    def list(self, prefix: str = "") -> tuple[ObjectInfo, ...]:
        """All objects below the folder `prefix`, sorted by path."""
        found = (
            ObjectInfo(meta["path"], int(meta["size"]), meta["e_tag"] or "")
            for batch in self._listed(prefix)
            for meta in batch
        )
        return tuple(sorted(found, key=lambda info: info.path))

    def paths(self, prefix: str = "") -> frozenset[str]:
        """Paths of all objects below the folder `prefix`.

        In a folder the names are read without the sizes, which is ten times as fast.
        """
        root = self._location.folder
        if root is None:
            return frozenset(meta["path"] for batch in self._listed(prefix) for meta in batch)
        found = []
        for folder, _, names in os.walk(root / checked(prefix) if prefix else root):
            relative = os.path.relpath(folder, root)
            below = "" if relative == os.curdir else f"{relative}/"
            found += [below + name for name in names]
        if any(mark in path for path in found for mark in "%#"):  # escaped, or temporary
            return frozenset(info.path for info in self.list(prefix))
        return frozenset(found)

    def _listed(self, prefix: str) -> Sequence[Sequence[ObjectMeta]]:
        folder = checked(prefix) if prefix else None
        with self.translated_errors("list", prefix):
            return with_store_retries(lambda: list(obstore.list(self._backend, folder)))

    @contextmanager
    def translated_errors(
        self, action: str, path: str, *, missing_ok: bool = False
    ) -> Iterator[None]:
        """Translate errors of the store in this block into errors of this package.

        With `missing_ok`, FileNotFoundError passes through, for the caller to handle.
        """
        try:
            yield
        except FileNotFoundError as error:
            if missing_ok:
                raise
            uri = self.uri(path) if path else self.url
            raise explained(error, action=action, uri=uri, hint=self._hint) from error
        except (BaseError, OSError) as error:
            uri = self.uri(path) if path else self.url
            raise explained(error, action=action, uri=uri, hint=self._hint) from error


def open_store(url: str, env: Mapping[str, str] | None = None) -> ObjectStore:
    """Open the store at `url`; nothing is created before the first put.

    Args:
        url: an absolute folder, file:///folder, or s3://bucket/prefix.
        env: source of endpoint, region and keys; default: the process environment.

    Raises:
        SettingsError: the URL, or a variable of `env`, is invalid.
    """
    return ObjectStore(locate(url), os.environ if env is None else env)


def checked(path: str) -> str:
    """Return `path`; refuse one that could leave the storage URL on any kind of store."""
    segments = path.split("/")
    wrong = [
        segment
        for segment in segments
        if segment in {"", ".", ".."} or TEMPORARY.search(segment) or not segment.isprintable()
    ]
    if wrong or "\\" in path:
        raise StoreError(
            f"not an object path: {path!r}; wanted names joined by single slashes, relative to "
            f"the storage URL, without '.', '..', backslashes, control characters or a '#1' ending"
        )
    return path


def as_range(part: slice) -> tuple[int, int] | OffsetRange | SuffixRange:
    """Convert a slice to the range type of obstore."""
    if part.stop is not None:
        return (part.start or 0, part.stop)
    start = part.start or 0
    return {"offset": start} if start >= 0 else {"suffix": -start}


TEMPORARY = re.compile(r"#\d+$")  # names that obstore gives, and never lists

ABANDONED_SECONDS = 30.0
"""Time since the last write to a temporary file; objects are written from memory, and a tile has
one writer."""


def remove_abandoned(location: StorageLocation, path: str) -> None:
    """Remove temporary files that killed writers of an object left; none exist on S3.

    Raises:
        OSError: a file cannot be removed.
    """
    if location.folder is None:
        return
    whole = location.folder / path
    if not _is_abandoned(whole.with_name(f"{whole.name}#1")):
        return  # one check is enough: obstore numbers the files from 1
    for temporary in whole.parent.glob(f"{glob.escape(whole.name)}#*"):
        if TEMPORARY.search(temporary.name) and _is_abandoned(temporary):
            temporary.unlink(missing_ok=True)


def _is_abandoned(temporary: Path) -> bool:
    try:
        return time.time() - temporary.stat().st_mtime > ABANDONED_SECONDS
    except (FileNotFoundError, NotADirectoryError):
        return False
