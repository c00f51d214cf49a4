"""Files opened by GDAL: their settings and paths, and a limit of open datasets per thread.

Only formats that hold their pixels in one file are opened, by content; sidecars and overviews are
not read. Headers are judged in headers.py, pixels are read in windows.py.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.session import AWSSession

from spatial_assets.catalog.access.file_versions import local_version
from spatial_assets.catalog.access.hrefs import is_remote
from spatial_assets.catalog.access.remote_objects import final_url
from spatial_assets.catalog.access.requests import mask_logs
from spatial_assets.catalog.access.signing import (
    EXPIRY_MARGIN_SECONDS,
    SignedUrl,
    readable_url,
    source_credentials,
)
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.cache.cached_tiff import CachedTiff, open_cached_tiff
from spatial_assets.catalog.scene import BandSource
from spatial_assets.errors import SceneError

Dataset: TypeAlias = Any
"""rasterio's DatasetReader, which has no types."""

RASTER_DRIVERS = ("GTiff", "JP2OpenJPEG")  # a VRT or a service file could name any other file
MAX_OPEN_DATASETS = 12  # bands of a few scenes; each remote one holds a connection and a header
GDAL_RETRIES = 2  # of one request, by GDAL itself; windows.py retries whole reads
RETRY_CODES = "429,500,502,503,504"


@dataclass(frozen=True)
class _Opened:
    """A dataset, and the expiry of its URL."""

    dataset: Dataset
    expires: float | None
    cached_tiff: CachedTiff | None = None
    """Cached TIFF that the dataset reads through; None: GDAL reads the file itself."""

    @property
    def must_reopen(self) -> bool:
        """True if it must be opened again."""
        is_expired = self.expires is not None and self.expires < time.time()
        return is_expired or (self.cached_tiff is not None and self.cached_tiff.is_removed)


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
    return rasterio.Env(session=_session(access), **_options(access))


def open_dataset(source: BandSource, access: SourceAccess) -> Dataset:
    """Return the source's dataset, opened now or kept open; call within `gdal_settings`.

    Raises:
        rasterio.errors.RasterioIOError: GDAL cannot open it.
    """
    found = _kept(source, access)
    if found is None:
        found = _opened_through_cache(source, access)
    if found is None:
        path, expires = gdal_path(source, access, _redirected_link(source, access))
        found = _Opened(_open(path), expires)
    return _keep(found, source, access)


def open_cached(source: BandSource, access: SourceAccess) -> Dataset | None:
    """Return the dataset as `open_dataset`; None if it would not read through the cache."""
    found = _kept(source, access) or _opened_through_cache(source, access)
    return None if found is None or found.cached_tiff is None else _keep(found, source, access)


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


def _opened_through_cache(source: BandSource, access: SourceAccess) -> _Opened | None:
    """Open a remote TIFF through the cache."""
    if not is_remote(source.href):
        return None
    cached_tiff = open_cached_tiff(source, access)
    if cached_tiff is None:
        return None
    _close_at_exit(os.getpid())
    opened = rasterio.open(
        cached_tiff.name, driver=RASTER_DRIVERS[0], sharing=False, opener=cached_tiff.opener
    )
    return _Opened(opened, None, cached_tiff)


@lru_cache(maxsize=1)
def _close_at_exit(_pid: int) -> None:
    """Close datasets before Python ends: GDAL complains of a file that Python no longer serves."""
    atexit.register(close_all)


def cached_tiff_of(source: BandSource, access: SourceAccess) -> CachedTiff | None:
    """Return the cached TIFF that the source's dataset reads through, if it is open and has one."""
    found = _open_files.of_this_process().get(_key(source, access))
    return None if found is None else found.cached_tiff


def _redirected_link(source: BandSource, access: SourceAccess) -> SignedUrl | None:
    """Return the link after all redirects: GDAL would follow them anywhere, without a check."""
    if not source.href.startswith(("http://", "https://")):
        return None
    return final_url(source, access)


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


def gdal_path(
    source: BandSource, access: SourceAccess, link: SignedUrl | None = None
) -> tuple[str, float | None]:
    """Return (path that GDAL opens, its expiry in seconds since the epoch; None: never).

    Raises:
        SceneError: `forbidden_host` or `forbidden_folder`.
    """
    access.allowed_places.require(source.href)
    if not is_remote(source.href):
        return source.href, None
    if source.href.startswith("s3://") and access.sign != "s3-presign":
        return f"/vsis3/{source.href.removeprefix('s3://')}", None
    signed = readable_url(source, access) if link is None else link
    expires = None if signed.expires is None else signed.expires - EXPIRY_MARGIN_SECONDS
    return f"/vsicurl/{signed.url}", expires


def _open(path: str) -> Dataset:
    """Open an own dataset: a handle that GDAL shares may be of the file before it changed."""
    first, second = RASTER_DRIVERS
    try:
        return rasterio.open(path, driver=first, sharing=False)
    except RasterioIOError as error:
        try:
            return rasterio.open(path, driver=second, sharing=False)
        except RasterioIOError:
            raise error from None


def _key(source: BandSource, access: SourceAccess) -> tuple[str, ...]:
    """Return the key of an open dataset: the same content under the same href."""
    version = source.version or ""
    if not is_remote(source.href):
        with contextlib.suppress(SceneError):
            version = local_version(Path(source.href))
    return (source.href, version, access.sign, access.endpoint)


def _session(access: SourceAccess) -> AWSSession:
    """Return the keys of the source for /vsis3/; anonymous if there are none."""
    keys = source_credentials()
    return AWSSession(
        aws_access_key_id=keys.access_key_id if keys else None,
        aws_secret_access_key=keys.secret_access_key if keys else None,
        aws_session_token=keys.session_token if keys else None,
        region_name=access.region or "us-east-1",
        aws_unsigned=keys is None,
        requester_pays=access.requester_pays,
        endpoint_url=access.endpoint.partition("://")[2].rstrip("/") or None,
    )


def _options(access: SourceAccess) -> dict[str, Any]:
    """Return GDAL's configuration options."""
    mask_logs()
    retry_policy = access.retry_policy
    options: dict[str, Any] = {
        "GDAL_CACHEMAX": access.gdal_cache_mb << 20,  # bytes: rasterio passes it on unchanged
        "GDAL_NUM_THREADS": access.threads,
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # no sidecars, and no listing of a bucket
        "GDAL_PAM_ENABLED": False,
        "GTIFF_IGNORE_READ_ERRORS": False,
        "GDAL_HTTP_MAX_RETRY": GDAL_RETRIES,
        "GDAL_HTTP_RETRY_DELAY": retry_policy.first_delay,
        "GDAL_HTTP_RETRY_CODES": RETRY_CODES,
        "GDAL_HTTP_CONNECTTIMEOUT": max(1, round(retry_policy.connect_timeout)),
        "GDAL_HTTP_LOW_SPEED_TIME": max(1, round(retry_policy.read_timeout)),
        "GDAL_HTTP_LOW_SPEED_LIMIT": 1,
        "GDAL_INGESTED_BYTES_AT_OPEN": 32768,  # the header of a COG in one request
        "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": True,
        # Opening a file again repeats the requests: an answer may have been a 503 or an old size.
        "CPL_VSIL_CURL_NON_CACHED": "/vsicurl/:/vsis3/",
        "VSI_CACHE": False,  # 25 MB per open file, of data that the page cache keeps anyway
    }
    if access.endpoint:
        options |= {
            "AWS_HTTPS": access.endpoint.startswith("https"),
            "AWS_VIRTUAL_HOSTING": False,
        }
    return options
