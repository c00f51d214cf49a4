"""Files opened by GDAL: under what settings, by what path, and at most a few at a time a process.

Only formats that carry their pixels in one file are opened, by content; sidecars are not read, and
overviews never. What an opened file is worth is judged in headers.py, reading is in reader.py.
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
from typing import TYPE_CHECKING, Any, TypeAlias

import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.session import AWSSession

from spatial_assets.catalog.access.file_versions import local_version
from spatial_assets.catalog.access.hrefs import is_remote
from spatial_assets.catalog.access.requests import mask_logs
from spatial_assets.catalog.access.signing import (
    EXPIRY_MARGIN_SECONDS,
    SignedUrl,
    readable_url,
    source_credentials,
)
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.scene import BandSource
from spatial_assets.errors import SceneError

if TYPE_CHECKING:
    from spatial_assets.catalog.cache.cached_tiff import CachedTiff


Dataset: TypeAlias = Any
"""rasterio's DatasetReader, which has no types."""

RASTER_DRIVERS = (
    "GTiff",
    "JP2OpenJPEG",
)  # a VRT or a service file would name other files, any files
MAX_OPEN_DATASETS = 12  # the bands of a few scenes; each remote one holds a connection and a header
GDAL_RETRIES = 2  # of one request, by GDAL itself; reader.py tries whole reads again
RETRY_CODES = "429,500,502,503,504"


@dataclass(frozen=True)
class _Opened:
    """A dataset and until when its URL holds."""

    dataset: Dataset
    expires: float | None
    cached_tiff: CachedTiff | None = None
    """What the dataset reads through; None: GDAL reads the file itself."""

    @property
    def is_over(self) -> bool:
        """Whether it has to be opened anew."""
        is_expired = self.expires is not None and self.expires < time.time()
        return is_expired or (self.cached_tiff is not None and self.cached_tiff.is_removed)


class _OpenFiles(threading.local):
    """The open datasets of one thread, the least recently used first: they cannot be shared."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._known: OrderedDict[tuple[str, ...], _Opened] = OrderedDict()

    def of_this_process(self) -> OrderedDict[tuple[str, ...], _Opened]:
        """What is open; a forked child must not read through its parent's file positions."""
        if self._process != os.getpid():
            self._process, self._known = os.getpid(), OrderedDict()
        return self._known


_open_files = _OpenFiles()


@contextlib.contextmanager
def gdal_settings(access: SourceAccess) -> Iterator[None]:
    """GDAL configured for reading whole-resolution blocks of untrusted, possibly remote files."""
    with warnings.catch_warnings(), gdal_environment(access):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # headers.py refuses such a file
        yield


def gdal_environment(access: SourceAccess) -> rasterio.Env:
    """As `gdal_settings` without the warnings, whose filters are not one thread's alone."""
    return rasterio.Env(session=_session(access), **_options(access))


def open_dataset(source: BandSource, access: SourceAccess) -> Dataset:
    """The source's dataset, opened now or kept open; call within `gdal_settings`.

    Raises:
        rasterio.errors.RasterioIOError: GDAL cannot open it.
    """
    found = _kept(source, access)
    if found is None:
        found = _opened_through_cache(source, access)
    if found is None:
        path, expires = gdal_path(source, access, _straight(source, access))
        found = _Opened(_open(path), expires)
    return _keep(found, source, access)


def open_cached(source: BandSource, access: SourceAccess) -> Dataset | None:
    """As `open_dataset`; None where it would not read through a mirror."""
    found = _kept(source, access) or _opened_through_cache(source, access)
    return None if found is None or found.cached_tiff is None else _keep(found, source, access)


def _kept(source: BandSource, access: SourceAccess) -> _Opened | None:
    """What is open of a source, if it still holds; else there is room to open it."""
    known, key = _open_files.of_this_process(), _key(source, access)
    if key in known and known[key].is_over:
        known.pop(key).dataset.close()
    while key not in known and len(known) >= MAX_OPEN_DATASETS:
        known.popitem(last=False)[1].dataset.close()
    return known.get(key)


def _keep(found: _Opened, source: BandSource, access: SourceAccess) -> Dataset:
    """Count a dataset as the last used."""
    known, key = _open_files.of_this_process(), _key(source, access)
    known[key] = found
    known.move_to_end(key)
    return found.dataset


def _opened_through_cache(source: BandSource, access: SourceAccess) -> _Opened | None:
    """A remote TIFF opened by way of its mirror."""
    if not is_remote(source.href):
        return None
    from spatial_assets.catalog.cache.cached_tiff import open_cached_tiff

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
    """GDAL complains of a file that is served from Python when there is no Python any more."""
    atexit.register(close_all)


def cached_tiff_of(source: BandSource, access: SourceAccess) -> CachedTiff | None:
    """The mirror that the source's dataset reads through, if it is open and has one."""
    found = _open_files.of_this_process().get(_key(source, access))
    return None if found is None else found.cached_tiff


def _straight(source: BandSource, access: SourceAccess) -> SignedUrl | None:
    """The link that redirects lead to: GDAL would follow them wherever they go, and ask nobody."""
    if not source.href.startswith(("http://", "https://")):
        return None
    from spatial_assets.catalog.access.remote_objects import final_url

    return final_url(source, access)


def close_dataset(source: BandSource, access: SourceAccess) -> None:
    """Forget an open dataset, and with it what GDAL remembers of a failed read."""
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
    """What GDAL opens, and until when (seconds since the epoch) that holds; None: for ever.

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
    """A dataset of its own: a handle that GDAL shares may be of the file before it changed."""
    first, second = RASTER_DRIVERS
    try:
        return rasterio.open(path, driver=first, sharing=False)
    except RasterioIOError as error:
        try:
            return rasterio.open(path, driver=second, sharing=False)
        except RasterioIOError:
            raise error from None


def _key(source: BandSource, access: SourceAccess) -> tuple[str, ...]:
    """What makes an open dataset the right one: the same content under the same href."""
    version = source.version or ""
    if not is_remote(source.href):
        with contextlib.suppress(SceneError):
            version = local_version(Path(source.href))
    return (source.href, version, access.sign, access.endpoint)


def _session(access: SourceAccess) -> AWSSession:
    """Keys of the source for /vsis3/; anonymous without."""
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
    """GDAL's configuration options."""
    mask_logs()
    retry_policy = access.retry_policy
    options: dict[str, Any] = {
        "GDAL_CACHEMAX": access.gdal_cache_mb << 20,  # rasterio hands bytes on, as they are
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
        # What a server answered once, a 503 or a size, is asked for again on opening again.
        "CPL_VSIL_CURL_NON_CACHED": "/vsicurl/:/vsis3/",
        "VSI_CACHE": False,  # 25 MB a file that is open, of what the system keeps anyway
    }
    if access.endpoint:
        options |= {
            "AWS_HTTPS": access.endpoint.startswith("https"),
            "AWS_VIRTUAL_HOSTING": False,
        }
    return options
