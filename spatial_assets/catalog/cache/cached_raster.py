"""Remote rasters for GDAL: bytes read once are kept on this machine, the others are fetched.

GDAL has no network of its own. It gets the object's own bytes or, if they cannot be fetched, an
error: never a hole. So its result, damage included, is that of the whole file. Bytes needed soon
are best fetched together, as each request takes its time, however few bytes it fetches.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Self

from spatial_assets.catalog.access.file_versions import MISSING_VERSION, UNREACHABLE_VERSION
from spatial_assets.catalog.access.hrefs import is_remote
from spatial_assets.catalog.access.rate_limit import MAX_REQUESTS
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.cache.eviction import evict_for_growth
from spatial_assets.catalog.cache.range_reader import RangeReader
from spatial_assets.catalog.cache.sparse_file import PAGE_BYTES, SPARSE_SUFFIX, ByteSpan, SparseFile
from spatial_assets.catalog.scene import BandSource
from spatial_assets.errors import (
    CHANGED_SINCE_INSPECTION,
    PAGE_INSTEAD_OF_FILE,
    SceneError,
    SourceUnavailableError,
)
from spatial_assets.project.secrets import mask_secrets

logger = logging.getLogger(__name__)

HEADER_BYTES = 2 * PAGE_BYTES  # twice the header of a COG of 11,000 x 11,000 pixels with overviews
MIN_FETCH_BYTES = 4 * PAGE_BYTES  # for an unforeseen read of a TIFF, which is more of its header
MAX_FETCH_BYTES = 64 * PAGE_BYTES  # of unforeseen reads that continue each other and double
TIFF_MAGIC = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
JPEG2000_MAGIC = (b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  ")
_PAGE_BEGINNINGS = (b"<", b"{")
"""First characters of HTML, XML and JSON: a login, or an error of a server that answers 200."""

_names = itertools.count()
_header_locks = tuple(threading.Lock() for _ in range(64))
"""Locks by path, so that no two threads request the header of the same file."""

_unwritable_folders: set[Path] = set()
"""Folders in which no cached copy can be kept."""


class CachedRaster:
    """One remote TIFF or JPEG 2000 file, open in one thread."""

    def __init__(self, remote: RangeReader, path: Path | None, *, access: SourceAccess) -> None:
        self.name = f"cached-{next(_names)}.tif"
        """Unique name of the file for GDAL."""

        self.failure: SceneError | SourceUnavailableError | OSError | None = None
        """Reason why GDAL last got too few bytes."""

        self._remote = remote
        self._path = path
        """Local file; None: the bytes are kept in memory."""

        self._access = access
        self._file: SparseFile
        self._fetch_bytes = MIN_FETCH_BYTES
        self._fetched_to = 0

    def open(self, version: str | None) -> bool:
        """Open the local file, or create it.

        Returns:
            False: its server does not serve ranges.

        Raises:
            SceneError: it cannot be read, has changed, or is no raster by its content.
            SourceUnavailableError: no answer after all retries.
            OSError: the local file cannot be created.
        """
        with _header_locks[hash(self._path) % len(_header_locks)]:
            return self._open(version)

    def _open(self, version: str | None) -> bool:
        known = SparseFile.open(self._path) if version and self._path else None
        if known is not None:
            self._file = known
            return True
        header = self._remote.read_header(
            HEADER_BYTES, lambda first: require_raster(first, self._remote.href)
        )
        if not header.has_ranges:
            return False
        facts, first = header.facts, header.data
        size = facts.size or 0
        if self._path is None:
            self._file = SparseFile.in_memory(size=size, etag=facts.etag, first=first)
            return True
        if not version:
            self._path = self._path.with_name(
                f"{_name_of(self._path.name, facts.version)}{SPARSE_SUFFIX}"
            )
        self._path.parent.mkdir(parents=True, exist_ok=True)
        evict_for_growth(self._path.parent, self._access, incoming=len(first))
        self._file = SparseFile.create(self._path, size=size, etag=facts.etag, first=first)
        return True

    def fetch_spans(self, spans: Iterable[ByteSpan], *, refetch: bool = False) -> bool:
        """Fetch all bytes of `spans` that are not here yet, each page once a machine.

        Args:
            spans: of the object.
            refetch: fetch also what is here.

        Returns:
            False: they cannot be kept here; open the source again, which is then kept in memory.

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
            if self._path is None:
                raise
            stop_caching(self._path.parent, error)
            return False
        except SceneError as error:
            if error.reason == CHANGED_SINCE_INSPECTION and self._path is not None:
                self._path.unlink(missing_ok=True)
            raise
        return True

    def _fetch_absent(self, needed: list[ByteSpan]) -> None:
        self._file.touch()
        if not self._file.absent(needed):
            return
        with self._file.fetching():
            runs = self._file.absent(needed)
            if self._path is not None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                incoming = sum(stop - start for start, stop in runs)
                evict_for_growth(self._path.parent, self._access, incoming=incoming)
            self._fetch(runs)

    def read(self, start: int, stop: int) -> bytes:
        """Read bytes of the object, fetched if needed; raises as `fetch_spans`, or OSError."""
        stop = min(stop, self._file.size)
        if not self._file.has(start, stop):
            is_next = self._fetched_to - MAX_FETCH_BYTES <= start <= self._fetched_to
            larger = min(2 * self._fetch_bytes, MAX_FETCH_BYTES)
            self._fetch_bytes = larger if is_next else self._least_bytes
            self._fetched_to = min(max(stop, start + self._fetch_bytes), self.size)
            self._fetch_absent([(start, self._fetched_to)])
        return self._file.read(start, stop)

    @cached_property
    def _least_bytes(self) -> int:
        """Least number of bytes to fetch for an unforeseen read.

        That of a JPEG 2000 file is a few bytes at the beginning of a tile, or a whole tile.
        """
        is_tiff = self._file.read(0, 4).startswith(TIFF_MAGIC)
        return MIN_FETCH_BYTES if is_tiff else PAGE_BYTES

    def raise_failure(self) -> None:
        """Raise the reason why GDAL last got too few bytes, if it did; once.

        Raises:
            SceneError, SourceUnavailableError: as `fetch_spans`.
        """
        failure, self.failure = self.failure, None
        if isinstance(failure, OSError):
            stop_caching(self._access.cache_folder, failure)
            raise SourceUnavailableError(f"{self._path}: {failure.strerror}") from failure
        if failure is not None:
            raise failure

    def forget(self) -> None:
        """Have every byte fetched again when it is needed."""
        self._file.mark_absent([(0, self.size)])

    def opener(self, path: str, mode: str = "rb") -> CachedRasterFile:  # noqa: ARG002 - as called
        """Open the object as a Python file; for rasterio."""
        return CachedRasterFile(self)

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


class CachedRasterFile:
    """File interface for rasterio, in which an error can only show as too few bytes."""

    def __init__(self, cached_raster: CachedRaster) -> None:
        self._cached_raster = cached_raster
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes; none if they cannot be fetched."""
        stop = self._cached_raster.size if size < 0 else self._position + size
        try:
            data = self._cached_raster.read(self._position, stop)
        except (SceneError, SourceUnavailableError, OSError) as error:
            self._cached_raster.failure = error  # GDAL then fails, and its caller raises this
            return b""
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._cached_raster.size}[
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


def open_cached_raster(source: BandSource, access: SourceAccess) -> CachedRaster | None:
    """Open a remote raster through the cache; None: its server does not serve ranges.

    Raises:
        SceneError: it may not be read, cannot be, or is no raster by its content.
        SourceUnavailableError: no answer after all retries.
    """
    access.allowed_places.require(source.href)
    folder = access.cache_folder
    version = (
        None if source.version in {None, UNREACHABLE_VERSION, MISSING_VERSION} else source.version
    )
    name = _name_of(source.href, version, source.checksum)
    remote = RangeReader(source, access)
    if folder not in _unwritable_folders:
        cached_raster = CachedRaster(remote, folder / f"{name}{SPARSE_SUFFIX}", access=access)
        try:
            return cached_raster if cached_raster.open(version) else None
        except OSError as error:
            stop_caching(folder, error)
    in_memory = CachedRaster(remote, None, access=access)
    return in_memory if in_memory.open(version) else None


def require_raster(first_bytes: bytes, href: str, *, why: str = "") -> None:
    """Refuse a file that is neither TIFF nor JPEG 2000 by its first bytes.

    Raises:
        SceneError: `not_a_raster`; `page_instead_of_file` if a server answered something else.
    """
    shown = mask_secrets(href)
    if not first_bytes:
        raise SceneError(f"{shown} is empty (0 bytes)", reason="not_a_raster")
    if first_bytes.startswith(TIFF_MAGIC + JPEG2000_MAGIC):
        return
    begins = f"it begins with {first_bytes[:40].decode('ascii', errors='replace')!r}"
    if is_remote(href) and first_bytes.lstrip().startswith(_PAGE_BEGINNINGS):
        raise SceneError(
            f"{shown} was answered with a page instead of a raster: {begins}; the server may want "
            "a login, or have a problem: check [scenes.source] and the keys, or retry later",
            reason=PAGE_INSTEAD_OF_FILE,
        )
    raise SceneError(
        f"{shown} is neither TIFF nor JPEG 2000 by its content: {begins}"
        f"{f' ({mask_secrets(why)})' if why else ''}",
        reason="not_a_raster",
    )


def stop_caching(folder: Path, error: OSError) -> None:
    """Stop caching in a folder that cannot be written, in this process."""
    _unwritable_folders.add(folder)
    logger.warning(
        "%s cannot be written (%s): remote scenes are kept in memory for a moment and then read "
        "again, which takes longer; "
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
