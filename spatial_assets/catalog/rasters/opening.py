"""Opening of a source, with the reason if it fails: permanent or temporary.

GDAL only reports that it could not open a file; the reason is found in the file or at the server.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rasterio.errors import RasterioError

from spatial_assets.catalog.access.hrefs import is_remote
from spatial_assets.catalog.access.remote_objects import read_range
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.cache.cached_raster import require_raster
from spatial_assets.catalog.cache.download import local_copy
from spatial_assets.catalog.rasters.gdal_datasets import Dataset, open_dataset
from spatial_assets.catalog.scene import BandSource
from spatial_assets.errors import SceneError
from spatial_assets.project.secrets import mask_secrets

MAGIC_READ_BYTES = 512


def as_local(source: BandSource, access: SourceAccess) -> BandSource:
    """Return the source itself or, under `access = "download"`, its verified copy.

    Raises:
        SceneError: missing, forbidden, or not as the item promises.
        SourceUnavailableError: the archive did not answer.
    """
    if access.mode != "download":
        return source
    return replace(source, href=str(local_copy(source, access)), query="", version=None)


def require_promised(source: BandSource, access: SourceAccess) -> None:
    """Compare a local file with the checksum and size in its item, once a process.

    A remote file that is streamed is never whole here: `access = "download"` compares it.

    Raises:
        SceneError: `checksum_mismatch`, `size_mismatch`; or it cannot be read.
    """
    if source.checksum is None or is_remote(source.href):
        return
    access.allowed_places.require(source.href)
    try:
        local_copy(source, access)
    except OSError as error:
        raise SceneError(
            f"{source.href} cannot be read: {error.strerror}", reason="unreadable_file"
        ) from error


def open_or_explain(source: BandSource, access: SourceAccess) -> Dataset:
    """Return the open dataset; call within `gdal_settings`.

    Raises:
        SceneError: `not_a_raster`, `missing_object`, `forbidden`, `unreadable_file`.
        SourceUnavailableError: the archive did not answer.
    """
    try:
        return open_dataset(source, access)
    except RasterioError as error:
        raise_if_no_raster(source, access, why=str(error))
        raise SceneError(
            f"{mask_secrets(source.href)} begins like a raster, but GDAL cannot open it: "
            f"{mask_secrets(str(error))}",
            reason="not_a_raster",
        ) from error


def raise_if_no_raster(source: BandSource, access: SourceAccess, *, why: str) -> None:
    """Raise the reason why a file cannot be opened, if its first bytes show it.

    Raises:
        SceneError: it is empty, no raster, or cannot be read.
        SourceUnavailableError: the archive did not answer.
    """
    if is_remote(source.href):
        first_bytes = read_range(source, access, start=0, size=MAGIC_READ_BYTES)
    else:
        first_bytes = _first_bytes_of(Path(source.href))
    require_raster(first_bytes, source.href, why=why)


def _first_bytes_of(path: Path) -> bytes:
    """Read the first bytes of a local file.

    Raises:
        SceneError: `missing_object` or `unreadable_file`.
    """
    try:
        with path.open("rb") as file:
            return file.read(MAGIC_READ_BYTES)
    except FileNotFoundError as error:
        raise SceneError(f"{path} does not exist", reason="missing_object") from error
    except OSError as error:
        raise SceneError(
            f"{path} cannot be read: {error.strerror}", reason="unreadable_file"
        ) from error
