"""Remote TIFFs for GDAL: bytes read once are kept on this machine, the others are fetched.

GDAL gets the object's own bytes or, if they cannot be fetched, an error: never a hole. So its
result, damage included, is that of the whole file. Bytes needed soon are best fetched together, as
each request takes its time, however few bytes it fetches.
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
from spatial_assets.catalog.scene import BandSource
from spatial_assets.errors import CHANGED_SINCE_INSPECTION, SceneError, SourceUnavailableError
from spatial_assets.project.secrets import mask_secrets

logger = logging.getLogger(__name__)

HEADER_BYTES = 2 * PAGE_BYTES  # twice the header of a COG of 11,000 x 11,000 pixels with overviews
MIN_FETCH_BYTES = 4 * PAGE_BYTES  # for an unforeseen read of GDAL, which is more of the header
TIFF_MAGIC = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")

_names = itertools.count()
_header_locks = tuple(threading.Lock() for _ in range(64))
"""Locks by path, so that no two threads request the header of the same file."""

_unwritable_folders: set[Path] = set()
"""Folders in which no cached copy can be kept."""


class CachedTiff:
    """One remote TIFF, open in one thread."""

    def __init__(self, remote: RangeReader, path: Path, *, access: SourceAccess) -> None:
        self.name = f"cached-{next(_names)}.tif"
        """Unique name of the file for GDAL."""

        self._remote = remote
        self._path = path
        self._access = access
        self._file: SparseFile

    def open(self, version: str | None) -> bool:
        """Open the local file, or create it.

        Returns:
            False: the object is no TIFF, or its server does not serve ranges.

        Raises:
            SceneError, SourceUnavailableError: it cannot be read.
            OSError: the local file cannot be created.
        """
        with _header_locks[hash(self._path) % len(_header_locks)]:
            return self._open(version)

    def _open(self, version: str | None) -> bool:
        known = SparseFile.open(self._path) if version else None
        if known is not None:
            self._file = known
            return True
        header = self._remote.read_header(HEADER_BYTES)
        if header is None or not header[1].startswith(TIFF_MAGIC):
            return False
        facts, first = header
        if self._remote.differs_from_catalogue(facts):
            raise self._remote.changed()
        if not version:
            self._path = self._path.with_name(
                f"{_name_of(self._path.name, facts.version)}{SPARSE_SUFFIX}"
            )
        self._path.parent.mkdir(parents=True, exist_ok=True)
        evict_for_growth(self._path.parent, self._access, incoming=len(first))
        self._file = SparseFile.create(
            self._path, size=facts.size or 0, etag=facts.etag, first=first
        )
        return True

    def fetch_spans(self, spans: Iterable[ByteSpan], *, refetch: bool = False) -> bool:
        """Fetch all bytes of `spans` that are not here yet, each page once a machine.

        Args:
            spans: of the object.
            refetch: fetch also what is here.

        Returns:
            False: they cannot be kept here; open the source again, which GDAL then reads itself.

        Raises:
            SceneError: `changed_since_inspection`, or the object is no longer readable.
            SourceUnavailableError: the archive did not answer.
        """
        needed = list(spans)
        try:
            if refetch:
                self._file.mark_absent(needed)
            self._fetch_absent(needed)
        except OSError as error:
            stop_caching(self._path.parent, error)
            return False
        except SceneError as error:
            if error.reason == CHANGED_SINCE_INSPECTION:
                self._path.unlink(missing_ok=True)
            raise
        return True

    def _fetch_absent(self, needed: list[ByteSpan]) -> None:
        self._file.touch()
        if not self._file.absent(needed):
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._file.fetching():
            runs = self._file.absent(needed)
            incoming = sum(stop - start for start, stop in runs)
            evict_for_growth(self._path.parent, self._access, incoming=incoming)
            self._fetch(runs)

    def read(self, start: int, stop: int) -> bytes:
        """Read bytes of the object, fetched if needed; raises as `fetch_spans`, or OSError."""
        stop = min(stop, self._file.size)
        if not self._file.has(start, stop):
            self._fetch_absent([(start, max(stop, start + MIN_FETCH_BYTES))])
        return self._file.read(start, stop)

    def opener(self, path: str, mode: str = "rb") -> CachedTiffFile:  # noqa: ARG002 - as called
        """Open the object as a Python file; for rasterio."""
        return CachedTiffFile(self)

    @property
    def size(self) -> int:
        """Size of the object in bytes."""
        return self._file.size

    @property
    def is_removed(self) -> bool:
        """True if the file was evicted and must be opened again."""
        return self._file.is_removed

    def _fetch(self, runs: list[ByteSpan]) -> None:
        """Fetch runs concurrently; none is in progress when this ends."""
        futures = [_pool(os.getpid()).submit(self._remote.fetch, run, self._file) for run in runs]
        wait(futures)
        for fetched in futures:
            fetched.result()


class CachedTiffFile:
    """File interface for rasterio, in which an error can only show as too few bytes."""

    def __init__(self, cached_tiff: CachedTiff) -> None:
        self._cached_tiff = cached_tiff
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes; none if they cannot be fetched."""
        stop = self._cached_tiff.size if size < 0 else self._position + size
        try:
            data = self._cached_tiff.read(self._position, stop)
        except (SceneError, SourceUnavailableError, OSError) as error:
            # GDAL then fails, and its caller finds the reason at the source
            logger.debug("%s", mask_secrets(str(error)))
            return b""
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._cached_tiff.size}[
            whence
        ]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def close(self) -> None:
        """Do nothing: the cached TIFF is closed with its dataset."""

    def __enter__(self) -> Self:
        """Return the file itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing."""


def open_cached_tiff(source: BandSource, access: SourceAccess) -> CachedTiff | None:
    """Open a remote TIFF through the cache; None: GDAL reads the source itself.

    Raises:
        SceneError: it may not be read, or cannot be.
        SourceUnavailableError: no answer after all retries.
    """
    access.allowed_places.require(source.href)
    folder = access.cache_folder
    if source.href.lower().endswith(".jp2") or folder in _unwritable_folders:
        return None
    version = (
        None if source.version in {None, UNREACHABLE_VERSION, MISSING_VERSION} else source.version
    )
    name = _name_of(source.href, version, source.checksum)
    cached_tiff = CachedTiff(
        RangeReader(source, access), folder / f"{name}{SPARSE_SUFFIX}", access=access
    )
    try:
        return cached_tiff if cached_tiff.open(version) else None
    except OSError as error:
        stop_caching(folder, error)
        return None


def stop_caching(folder: Path, error: OSError) -> None:
    """Stop caching in a folder that cannot be written, in this process."""
    _unwritable_folders.add(folder)
    logger.warning(
        "%s cannot be written (%s): remote scenes are read without a cache, which takes longer; "
        "name another folder in [scenes] cache",
        folder,
        error.strerror or error,
    )


def _name_of(*parts: str | None) -> str:
    """Return a file name that follows from `parts`."""
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:40]


@lru_cache(maxsize=1)
def _pool(pid: int) -> ThreadPoolExecutor:
    """Return the threads that fetch; a forked child must not wait for its parent's."""
    return ThreadPoolExecutor(MAX_REQUESTS, thread_name_prefix=f"fetch-{pid}")
