"""Files opened by GDAL: their settings, and a limit of open datasets per thread.

Only formats that hold their pixels in one file are opened, by content; sidecars and overviews are
not read. GDAL opens local files, and Python files that fetch the bytes of remote ones: it has no
network of its own. Headers are judged in headers.py, pixels are read in windows.py.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError

from spatial_assets.catalog.access.file_versions import local_version
from spatial_assets.catalog.access.hrefs import is_remote
from spatial_assets.catalog.access.http_client import mask_logs
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.cache.cached_raster import CachedRaster, open_cached_raster
from spatial_assets.catalog.cache.download import has_copy, local_copy
from spatial_assets.catalog.scene import BandSource
from spatial_assets.errors import SceneError
from spatial_assets.project.gdal_options import ignore_gdal_variables

Dataset: TypeAlias = Any
"""rasterio's DatasetReader, which has no types."""

RASTER_DRIVERS = ("GTiff", "JP2OpenJPEG")  # a VRT or a service file could name any other file
MAX_OPEN_DATASETS = 12  # bands of a few scenes; each remote one holds a connection and a header


@dataclass(frozen=True)
class _Opened:
    """A dataset, and the file that it reads."""

    dataset: Dataset
    cached_raster: CachedRaster | None = None
    """Cached file that the dataset reads through; None: it reads a local file."""

    @property
    def must_reopen(self) -> bool:
        """True if it must be opened again."""
        return self.cached_raster is not None and self.cached_raster.is_removed


class _OpenFiles(threading.local):
    """Open datasets of one thread, least recently used first; threads cannot share them."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._known: OrderedDict[tuple[str, ...], _Opened] = OrderedDict()

    def of_this_process(self) -> OrderedDict[tuple[str, ...], _Opened]:
        """Return the open datasets; a forked child must not share its parent's file positions."""
        if self._process != os.getpid():
            self._process, self._known = os.getpid(), OrderedDict()
        return self._known


_open_files = _OpenFiles()


@contextlib.contextmanager
def gdal_settings(access: SourceAccess) -> Iterator[None]:
    """Configure GDAL for reading full-resolution blocks of untrusted, possibly remote files."""
    with warnings.catch_warnings(), gdal_environment(access):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # headers.py refuses such a file
        yield


def gdal_environment(access: SourceAccess) -> rasterio.Env:
    """Return the environment of `gdal_settings` without its warning filters, which span threads."""
    ignore_gdal_variables()
    return rasterio.Env(**_options(access))


def open_dataset(source: BandSource, access: SourceAccess) -> Dataset:
    """Return the source's dataset, opened now or kept open; call within `gdal_settings`.

    Raises:
        rasterio.errors.RasterioIOError: GDAL cannot open it.
        SceneError: it may not be read, cannot be, or is no raster by its content.
        SourceUnavailableError: the archive did not answer.
    """
    found = _kept(source, access)
    if found is None:
        found = (_opened_remote if is_remote(source.href) else _opened_local)(source, access)
    return _keep(found, source, access)


def _kept(source: BandSource, access: SourceAccess) -> _Opened | None:
    """Return the open dataset of a source if it is valid; else make sure that one may be opened."""
    known, key = _open_files.of_this_process(), _key(source, access)
    if key in known and known[key].must_reopen:
        known.pop(key).dataset.close()
    while key not in known and len(known) >= MAX_OPEN_DATASETS:
        known.popitem(last=False)[1].dataset.close()
    return known.get(key)


def _keep(found: _Opened, source: BandSource, access: SourceAccess) -> Dataset:
    """Count a dataset as the last used, and return it."""
    known, key = _open_files.of_this_process(), _key(source, access)
    known[key] = found
    known.move_to_end(key)
    return found.dataset


def _opened_local(source: BandSource, access: SourceAccess) -> _Opened:
    """Open a file of this machine."""
    access.allowed_places.require(source.href)
    return _Opened(_open(source.href, access))


def _opened_remote(source: BandSource, access: SourceAccess) -> _Opened:
    """Open a remote file through the cache or, if its server has no ranges, a copy of it."""
    cached_raster = None if has_copy(source, access) else open_cached_raster(source, access)
    if cached_raster is None:
        return _Opened(_open(str(local_copy(source, access)), access))
    _close_at_exit(os.getpid())
    try:
        return _opened_through(cached_raster, access)
    except RasterioIOError:
        cached_raster.forget()  # what is kept here may be damaged
        return _opened_through(cached_raster, access)


def _opened_through(cached_raster: CachedRaster, access: SourceAccess) -> _Opened:
    """Open the Python file of a cached file."""
    try:
        opened = _Opened(
            _open(cached_raster.name, access, opener=cached_raster.opener), cached_raster
        )
    except RasterioIOError:
        cached_raster.raise_failure()
        raise
    if cached_raster.failure is not None:  # GDAL makes do with a part of a header
        opened.dataset.close()
        cached_raster.raise_failure()
    return opened


@lru_cache(maxsize=1)
def _close_at_exit(_pid: int) -> None:
    """Close datasets before Python ends: GDAL complains of a file that Python no longer serves."""
    atexit.register(close_all)


def cached_raster_of(source: BandSource, access: SourceAccess) -> CachedRaster | None:
    """Return the cached file that the source's dataset reads through, if it is open and has one."""
    found = _open_files.of_this_process().get(_key(source, access))
    return None if found is None else found.cached_raster


def close_dataset(source: BandSource, access: SourceAccess) -> None:
    """Close an open dataset, so that GDAL forgets a failed read."""
    found = _open_files.of_this_process().pop(_key(source, access), None)
    if found is not None:
        found.dataset.close()


def close_all() -> None:
    """Close every dataset that this thread keeps open."""
    known = _open_files.of_this_process()
    while known:
        known.popitem()[1].dataset.close()


def _open(path: str, access: SourceAccess, **how: Any) -> Dataset:  # noqa: ANN401 - as rasterio's
    """Open an own dataset: a handle that GDAL shares may be of the file before it changed."""
    first, second = RASTER_DRIVERS
    threads = {"NUM_THREADS": access.threads}  # GTiff only: see GDAL_NUM_THREADS below
    try:
        return rasterio.open(path, driver=first, sharing=False, **threads, **how)
    except RasterioIOError as error:
        try:
            return rasterio.open(path, driver=second, sharing=False, **how)
        except RasterioIOError:
            raise error from None


def _key(source: BandSource, access: SourceAccess) -> tuple[str, ...]:
    """Return the key of an open dataset: the same content under the same href."""
    version = source.version or ""
    if not is_remote(source.href):
        with contextlib.suppress(SceneError):
            version = local_version(Path(source.href))
    return (source.href, version, access.sign, access.endpoint)


def _options(access: SourceAccess) -> dict[str, Any]:
    """Return GDAL's configuration options."""
    mask_logs()
    return {
        "GDAL_CACHEMAX": access.gdal_cache_mb << 20,  # bytes: rasterio passes it on unchanged
        # The JPEG 2000 driver opens a file again in each of its threads, where Python files are
        # unknown, and then leaves blocks empty without an error.
        "GDAL_NUM_THREADS": 1,
        "GDAL_SKIP": "",
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # no sidecars
        "GDAL_PAM_ENABLED": False,
        "GDAL_MAX_BAND_COUNT": 65536,
        "GTIFF_IGNORE_READ_ERRORS": False,
        "GTIFF_POINT_GEO_IGNORE": False,
        "GTIFF_HONOUR_NEGATIVE_SCALEY": False,
        "GTIFF_VIRTUAL_MEM_IO": False,
        "GTIFF_DIRECT_IO": False,
        "CPL_VSIL_CURL_ALLOWED_FILENAME": "none",  # no network of GDAL's own
        "VSI_CACHE": False,  # 25 MB per open file, of data that the page cache keeps anyway
    }
