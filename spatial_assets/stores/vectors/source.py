"""Location of a boundaries file: found, measured and named for GDAL before it is opened.

Nothing is ever written beside the source. The contents of the file belong in `gdal`, `geojson` and
`parquet`.
"""

from __future__ import annotations

import glob
import hashlib
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit
from xml.parsers import expat

from spatial_assets.errors import VectorError
from spatial_assets.stores.objects.location import endpoint_of
from spatial_assets.stores.objects.store import ObjectInfo, ObjectStore, open_store

_ZIPPED = (".zip", ".shz", ".gdb.zip", ".shp.zip")
_PARQUET = (".parquet", ".geoparquet", ".pq")


@dataclass(frozen=True, kw_only=True)
class ReadLimits:
    """Maximum sizes of a boundaries file; a larger one is refused before it fills the memory."""

    file_bytes: int = 4 * 1024**3
    """Maximum size of the file, unpacked if it is an archive."""

    features: int = 2_000_000
    """Maximum number of features."""

    geometry_bytes: int = 64 * 1024**2
    """Maximum size of a geometry as WKB: four million vertices. A larger one fails alone."""


@dataclass(frozen=True, kw_only=True)
class VectorSource:
    """A boundaries file that exists and is within the limits."""

    uri: str
    """Path or URI as configured."""

    gdal_path: str
    """Path for GDAL, including /vsi prefixes."""

    size: int
    """Size of all its files in bytes."""

    version: str
    """Hash of names, sizes, and times or etags; changes with the file."""

    folder: Path | None = None
    """Folder of a local source; None on S3."""

    gdal_options: Mapping[str, str] = field(default_factory=dict)
    """GDAL configuration for opening the file; may contain keys, never shown."""

    @property
    def is_parquet(self) -> bool:
        """True if pyarrow reads it, since GDAL in the wheel has no Parquet driver."""
        return self.uri.lower().endswith(_PARQUET)

    @property
    def is_zipped(self) -> bool:
        """True if the files are in an archive."""
        return self.uri.lower().endswith(_ZIPPED)


def locate_source(
    source: str, *, limits: ReadLimits, env: Mapping[str, str] | None = None
) -> VectorSource:
    """Find the file, on disk or on S3.

    Raises:
        VectorError: there is no such file, or it is empty or exceeds `limits`.
        SourceUnavailableError: S3 did not answer.
    """
    scheme = urlsplit(source).scheme
    if scheme == "s3":
        found = _on_s3(source, os.environ if env is None else env)
    elif scheme in {"", "file"} or len(scheme) == 1:
        found = _on_disk(Path(urlsplit(source).path if scheme == "file" else source), source)
    else:
        raise VectorError(f"cannot read boundaries from {source!r}: wanted a local path or s3://")
    if not found.size:
        raise VectorError(f"{source} is empty (0 bytes)")
    if found.size > limits.file_bytes:
        raise VectorError(
            f"{source} has {found.size:,} bytes, more than the limit of {limits.file_bytes:,}: "
            "split it, or keep only the area of interest"
        )
    if found.folder is not None and found.is_zipped:
        _check_unpacked_size(source, Path(found.gdal_path.removeprefix("/vsizip/")), limits)
    if found.folder is not None and source.lower().endswith(".gml"):
        _check_well_formed(source, Path(found.gdal_path))
    return found


def load_bytes(source: VectorSource, env: Mapping[str, str] | None = None) -> bytes:
    """Read the whole file, for formats that GDAL does not read.

    Raises:
        VectorError: it cannot be read.
        SourceUnavailableError: S3 did not answer.
    """
    if source.folder is None:
        parts = urlsplit(source.uri)
        return open_store(f"s3://{parts.netloc}", env).get(parts.path.strip("/"))
    try:
        return Path(source.gdal_path).read_bytes()
    except OSError as error:
        raise VectorError(f"cannot read {source.uri}: {error}") from error


@contextmanager
def private_view(source: VectorSource) -> Iterator[VectorSource]:
    """Yield the source, or links to it in a temporary folder if GDAL would write beside it.

    GDAL writes a .gfs beside any GML, and a missing .shx beside a shapefile.
    """
    path = _written_beside(source)
    if path is None:
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="spatial-assets-") as scratch:
        for sibling in path.parent.glob(f"{glob.escape(path.stem)}.*"):
            (Path(scratch) / sibling.name).symlink_to(sibling.resolve())
        yield replace(
            source,
            gdal_path=str(Path(scratch) / path.name),
            gdal_options={**source.gdal_options, "SHAPE_RESTORE_SHX": "YES"},
        )


def _written_beside(source: VectorSource) -> Path | None:
    """Return the .gml, or the .shp without .shx, of a local source; None if GDAL only reads."""
    path = Path(source.gdal_path)
    if source.folder is None or source.is_zipped:
        return None
    if path.suffix.lower() == ".gml":
        return path
    shapefiles = sorted(path.glob("*.shp")) if path.is_dir() else [path]
    if len(shapefiles) != 1 or shapefiles[0].suffix.lower() != ".shp":
        return None
    lone = shapefiles[0]
    names = {sibling.name.lower() for sibling in lone.parent.glob(f"{glob.escape(lone.stem)}.*")}
    return None if f"{lone.stem}.shx".lower() in names else lone


def _on_disk(path: Path, source: str) -> VectorSource:
    if not path.exists():
        raise VectorError(f"no such file: {source}")
    files = _files_of(path)
    seal = hashlib.sha256()
    for file in files:
        facts = file.stat()
        seal.update(f"{file.name} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return VectorSource(
        uri=source,
        gdal_path=f"/vsizip/{path}" if path.name.lower().endswith(_ZIPPED) else str(path),
        size=sum(file.stat().st_size for file in files),
        version=seal.hexdigest(),
        folder=path.parent,
    )


def _files_of(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    if path.suffix.lower() == ".shp":
        return sorted(path.parent.glob(f"{glob.escape(path.stem)}.*"))
    return [path]


def _on_s3(source: str, env: Mapping[str, str]) -> VectorSource:
    parts = urlsplit(source)
    key = parts.path.strip("/")
    if not key:
        raise VectorError(f"not an object: {source!r}; wanted s3://bucket/path/to/file.gpkg")
    store = open_store(f"s3://{parts.netloc}", env)
    objects = _objects_of(store, key)
    if not objects:
        raise VectorError(f"no such object: {source}")
    listed = "\n".join(f"{info.path} {info.size} {info.etag}" for info in objects)
    inside = f"/vsis3/{parts.netloc}/{key}"
    return VectorSource(
        uri=source,
        gdal_path=f"/vsizip/{inside}" if key.lower().endswith(_ZIPPED) else inside,
        size=sum(info.size for info in objects),
        version=hashlib.sha256(listed.encode()).hexdigest(),
        gdal_options=_s3_options(env),
    )


def _objects_of(store: ObjectStore, key: str) -> tuple[ObjectInfo, ...]:
    if key.lower().endswith(".shp"):
        folder, _, name = key.rpartition("/")
        stem = f"{folder}/{name[:-4]}.".lstrip("/")
        return tuple(info for info in store.list(folder) if info.path.startswith(stem))
    single = store.head(key)
    return (single,) if single is not None else store.list(key)


def _s3_options(env: Mapping[str, str]) -> dict[str, str]:
    options = {
        "AWS_REGION": env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or "us-east-1",
        "AWS_VIRTUAL_HOSTING": "FALSE",
        "GDAL_HTTP_MAX_RETRY": "6",
        "GDAL_HTTP_RETRY_DELAY": "0.5",
    }
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        if value := env.get(name):
            options[name] = value
    if endpoint := endpoint_of(env):
        parts = urlsplit(endpoint)
        options["AWS_S3_ENDPOINT"] = parts.netloc + parts.path
        options["AWS_HTTPS"] = "YES" if parts.scheme == "https" else "NO"
    return options


def _check_unpacked_size(source: str, path: Path, limits: ReadLimits) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, OSError) as error:
        raise VectorError(f"{source} is not a readable zip archive: {error}") from error
    if size > limits.file_bytes:
        raise VectorError(
            f"{source} unpacks to {size:,} bytes, more than the limit of {limits.file_bytes:,}"
        )


def _check_well_formed(source: str, path: Path) -> None:
    """Refuse truncated GML, which GDAL reads without an error."""
    try:
        with path.open("rb") as file:
            expat.ParserCreate().ParseFile(file)
    except (expat.ExpatError, OSError) as error:
        raise VectorError(f"{source} is not complete GML: {error}") from error
