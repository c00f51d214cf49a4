"""Remote TIFFs as GDAL reads them: what was read once lies on this machine, the rest is fetched.

GDAL sees the object's own bytes or, where they cannot be had, an error: never a hole. So what it
makes of them, damage included, is what it makes of the whole file. What is wanted soon is best
brought in one go, as each request takes its time however little it asks for.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from pathlib import Path
from typing import Self

from spatial_assets.catalog.access.file_versions import MISSING_VERSION, UNREACHABLE_VERSION
from spatial_assets.catalog.access.rate_limit import MAX_REQUESTS
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.cache.eviction import evict_for_growth
from spatial_assets.catalog.cache.range_reader import RangeReader
from spatial_assets.catalog.cache.sparse_file import PAGE_BYTES, SPARSE_SUFFIX, ByteSpan, SparseFile
from spatial_assets.catalog.scene import CHANGED_SINCE_INSPECTION, BandSource
from spatial_assets.errors import SceneError, SourceUnavailableError
from spatial_assets.project.secrets import mask_secrets

logger = logging.getLogger(__name__)

HEADER_BYTES = 2 * PAGE_BYTES  # of a COG of 11,000 x 11,000 pixels with its overviews, twice over
MIN_FETCH_BYTES = (
    4 * PAGE_BYTES
)  # at least fetched when GDAL asks for what nobody thought of: more header
TIFF_MAGIC = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")

_names = itertools.count()
_beginning = tuple(threading.Lock() for _ in range(64))
"""So that two threads do not both ask for the beginning of the same file."""

_without: set[Path] = set()
"""Folders that cannot hold a mirror."""


class CachedTiff:
    """One remote TIFF, open in one thread."""

    def __init__(self, remote: RangeReader, path: Path, *, access: SourceAccess) -> None:
        self.name = f"mirror-{next(_names)}.tif"
        """What GDAL knows the file by: a name nothing else has."""

        self._remote = remote
        self._path = path
        self._access = access
        self._file: SparseFile

    def open(self, version: str | None) -> bool:
        """Open the file here, or make it; False: the object is no TIFF, or comes whole only.

        Raises:
            SceneError, SourceUnavailableError: it cannot be had.
            OSError: no file can be made here.
        """
        with _beginning[hash(self._path) % len(_beginning)]:
            return self._open(version)

    def _open(self, version: str | None) -> bool:
        known = SparseFile.open(self._path) if version else None
        if known is not None:
            self._file = known
            return True
        begun = self._remote.read_header(HEADER_BYTES)
        if begun is None or not begun[1].startswith(TIFF_MAGIC):
            return False
        facts, first = begun
        if self._remote.differs_from_catalogue(facts):
            raise self._remote.changed()
        if not version:
            self._path = self._path.with_name(
                f"{_hashed(self._path.name, facts.version)}{SPARSE_SUFFIX}"
            )
        self._path.parent.mkdir(parents=True, exist_ok=True)
        evict_for_growth(self._path.parent, self._access, incoming=len(first))
        self._file = SparseFile.create(
            self._path, size=facts.size or 0, etag=facts.etag, first=first
        )
        return True

    def fetch_spans(self, spans: Iterable[ByteSpan], *, refetch: bool = False) -> bool:
        """Have all bytes of `spans` here, fetching what is not, each page once a machine.

        Args:
            spans: of the object.
            refetch: fetch also what is here.

        Returns:
            False: they cannot be kept here; open the source anew, which then is read as it lies.

        Raises:
            SceneError: `changed_since_inspection`, or the object cannot be had any more.
            SourceUnavailableError: the archive did not answer.
        """
        wanted = list(spans)
        try:
            if refetch:
                self._file.mark_absent(wanted)
            self._fetch_absent(wanted)
        except OSError as error:
            give_up(self._path.parent, error)
            return False
        except SceneError as error:
            if error.reason == CHANGED_SINCE_INSPECTION:
                self._path.unlink(missing_ok=True)
            raise
        return True

    def _fetch_absent(self, wanted: list[ByteSpan]) -> None:
        self._file.touch()
        if not self._file.absent(wanted):
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._file.fetching():
            runs = self._file.absent(wanted)
            incoming = sum(stop - start for start, stop in runs)
            evict_for_growth(self._path.parent, self._access, incoming=incoming)
            self._fetch(runs)

    def read(self, start: int, stop: int) -> bytes:
        """Bytes of the object, fetched if need be; raises as `fetch_spans`, or OSError."""
        stop = min(stop, self._file.size)
        if not self._file.has(start, stop):
            self._fetch_absent([(start, max(stop, start + MIN_FETCH_BYTES))])
        return self._file.read(start, stop)

    def opener(self, path: str, mode: str = "rb") -> CachedTiffFile:  # noqa: ARG002 - as called
        """The object as a Python file; for rasterio."""
        return CachedTiffFile(self)

    @property
    def size(self) -> int:
        """Of the object, in bytes."""
        return self._file.size

    @property
    def is_removed(self) -> bool:
        """Whether the file made room for others: open it anew."""
        return self._file.is_removed

    def _fetch(self, runs: list[ByteSpan]) -> None:
        """Fetch runs side by side; none is left under way when this ends."""
        under_way = [_pool(os.getpid()).submit(self._remote.fetch, run, self._file) for run in runs]
        wait(under_way)
        for fetched in under_way:
            fetched.result()


class CachedTiffFile:
    """What rasterio needs of a file: it may be told of trouble only by too few bytes."""

    def __init__(self, cached_tiff: CachedTiff) -> None:
        self._cached_tiff = cached_tiff
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        """The next bytes; none where they cannot be had."""
        stop = self._cached_tiff.size if size < 0 else self._at + size
        try:
            data = self._cached_tiff.read(self._at, stop)
        except (SceneError, SourceUnavailableError, OSError) as error:
            # GDAL fails then, and whoever called it asks the source what is wrong
            logger.debug("%s", mask_secrets(str(error)))
            return b""
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._cached_tiff.size}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """The place."""
        return self._at

    def close(self) -> None:
        """Nothing: the mirror is closed with its dataset."""

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to end."""


def open_cached_tiff(source: BandSource, access: SourceAccess) -> CachedTiff | None:
    """A mirror of a remote TIFF; None: the source is read as it lies.

    Raises:
        SceneError: it may not be read, or cannot be had.
        SourceUnavailableError: no answer after all retries.
    """
    access.allowed_places.require(source.href)
    folder = access.cache_folder
    if source.href.lower().endswith(".jp2") or folder in _without:
        return None
    version = (
        None if source.version in {None, UNREACHABLE_VERSION, MISSING_VERSION} else source.version
    )
    name = _hashed(source.href, version, source.checksum)
    cached_tiff = CachedTiff(
        RangeReader(source, access), folder / f"{name}{SPARSE_SUFFIX}", access=access
    )
    try:
        return cached_tiff if cached_tiff.open(version) else None
    except OSError as error:
        give_up(folder, error)
        return None


def give_up(folder: Path, error: OSError) -> None:
    """Read everything as it lies from now on, in this process."""
    _without.add(folder)
    logger.warning(
        "%s cannot be written (%s): remote scenes are read without it, which takes longer; "
        "name another folder in [scenes] cache",
        folder,
        error.strerror or error,
    )


def _hashed(*parts: str | None) -> str:
    """A name that follows from what a file is of."""
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:40]


@lru_cache(maxsize=1)
def _pool(pid: int) -> ThreadPoolExecutor:
    """The threads that fetch; a forked child must not wait for its parent's."""
    return ThreadPoolExecutor(MAX_REQUESTS, thread_name_prefix=f"fetch-{pid}")
