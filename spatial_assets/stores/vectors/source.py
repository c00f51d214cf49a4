"""Location of a boundaries file: all files that belong to it, found and measured.

Nothing is ever written beside a source. `staging` puts its files where GDAL may open them; the
contents belong in `gdal`, `geojson` and `parquet`.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from spatial_assets.errors import VectorError
from spatial_assets.stores.objects.store import ObjectInfo, ObjectStore, open_store

S3 = "s3://"
COMPANIONS: Mapping[str, frozenset[str]] = {
    ".shp": frozenset({".shx", ".dbf", ".prj", ".cpg", ".qpj"}),
    ".tab": frozenset({".dat", ".dbf", ".map", ".id", ".ind"}),
    ".mif": frozenset({".mid"}),
    ".gml": frozenset({".xsd", ".gfs"}),
}
"""Suffix of a file -> suffixes of those without which it cannot be read, or reads differently."""

WRITE_AHEAD_LOG = "-wal"
"""End of the name of what SQLite has committed, but not yet written into its file."""


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
class SourceFile:
    """One file of a source, on disk or on S3."""

    name: str
    """Path relative to the folder of the source, with slashes."""

    size: int
    """Size in bytes."""

    place: Path | str
    """Path on disk, or key of the object."""


@dataclass(frozen=True, kw_only=True)
class VectorSource:
    """A boundaries file that exists and is within the limits."""

    uri: str
    """Path or URI as configured; messages name it."""

    name: str
    """Name of the file, or of the folder, that GDAL opens."""

    files: tuple[SourceFile, ...]
    """The file and its companions, or all files of the folder, by name."""

    version: str
    """Hash of names, sizes, and times or etags; changes with the files."""

    bucket: str = ""
    """Bucket of a source on S3; empty on disk."""

    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Environment with the keys of S3."""

    @property
    def size(self) -> int:
        """Size of all files in bytes."""
        return sum(file.size for file in self.files)

    @property
    def is_single(self) -> bool:
        """True if the source is one file without companions."""
        return len(self.files) == 1 and self.files[0].name == self.name

    def read(self, file: SourceFile) -> bytes:
        """Read one of its files whole.

        Raises:
            VectorError: it cannot be read.
            SourceUnavailableError: S3 did not answer.
        """
        if isinstance(file.place, str):
            return open_store(f"{S3}{self.bucket}", self.env).get(file.place)
        try:
            return file.place.read_bytes()
        except OSError as error:
            raise VectorError(f"cannot read {self.uri}: {error}") from error


def locate_source(
    source: str, *, limits: ReadLimits, env: Mapping[str, str] | None = None
) -> VectorSource:
    """Find the file and all that belongs to it, on disk or on S3.

    Raises:
        VectorError: there is no such file, or it is empty or exceeds `limits`.
        SourceUnavailableError: S3 did not answer.
    """
    scheme = urlsplit(source.replace("[", "").replace("]", "")).scheme  # no IPv6 address
    if scheme == "s3":
        found = _on_s3(source, os.environ if env is None else env)
    elif scheme in {"", "file"} or len(scheme) == 1:
        path = unquote(source.removeprefix("file://")) if scheme == "file" else source
        found = _on_disk(Path(path), source)
    else:
        raise VectorError(f"cannot read boundaries from {source!r}: wanted a local path or s3://")
    if not found.size:
        raise VectorError(f"{source} is empty (0 bytes)")
    if found.size > limits.file_bytes:
        raise VectorError(
            f"{source} has {found.size:,} bytes, more than the limit of {limits.file_bytes:,}: "
            "split it, or keep only the area of interest"
        )
    return found


def bundled(source: VectorSource) -> bytes:
    """Return the bytes of a single file; several become one zip, the same for the same files.

    Raises:
        VectorError: a file cannot be read.
        SourceUnavailableError: S3 did not answer.
    """
    if source.is_single:
        return source.read(source.files[0])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in source.files:
            # a fixed date: the same files give the same bytes
            archive.writestr(zipfile.ZipInfo(file.name), source.read(file))
    return buffer.getvalue()


def unbundled(data: bytes, *, name: str, is_single: bool, folder: Path) -> Path:
    """Write the files of `bundled` into a folder, and return the path of the one named `name`."""
    if is_single:
        (folder / name).write_bytes(data)
    else:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            archive.extractall(folder)
    return folder / name


def belong_to(name: str, siblings: Iterable[str]) -> list[str]:
    """Return the file itself and those of its siblings that are part of it.

    Args:
        name: name of the file that GDAL opens.
        siblings: names of all files in its folder.
    """
    main = PurePosixPath(name)
    suffixes = COMPANIONS.get(main.suffix.lower(), frozenset())
    return sorted(
        sibling
        for sibling in siblings
        if sibling in {name, f"{name}{WRITE_AHEAD_LOG}"}
        or (
            (other := PurePosixPath(sibling)).suffix.lower() in suffixes
            and other.stem.casefold() == main.stem.casefold()
        )
    )


def _on_disk(path: Path, source: str) -> VectorSource:
    if not path.exists():
        raise VectorError(f"no such file: {source}")
    try:
        if path.is_dir():
            paths = sorted(file for file in path.rglob("*") if file.is_file())
        else:
            names = belong_to(path.name, [file.name for file in path.parent.iterdir()])
            paths = [path.parent / name for name in names or [path.name]]
        stats = [file.stat() for file in paths]
    except OSError as error:
        raise VectorError(f"cannot read {source}: {error}") from error
    seal = hashlib.sha256()
    for file, facts in zip(paths, stats, strict=True):
        seal.update(f"{file.name} {facts.st_size} {facts.st_mtime_ns}\n".encode(errors="replace"))
    files = tuple(
        SourceFile(name=file.relative_to(path.parent).as_posix(), size=facts.st_size, place=file)
        for file, facts in zip(paths, stats, strict=True)
    )
    return VectorSource(uri=source, name=path.name, files=files, version=seal.hexdigest())


def _on_s3(source: str, env: Mapping[str, str]) -> VectorSource:
    bucket, _, rest = source.removeprefix(S3).partition("/")
    key = rest.strip("/")
    if not key:
        raise VectorError(f"not an object: {source!r}; wanted s3://bucket/path/to/file.gpkg")
    store = open_store(f"{S3}{bucket}", env)
    objects = _objects_of(store, key)
    if not objects:
        raise VectorError(f"no such object: {source}")
    listed = "\n".join(f"{info.path} {info.size} {info.etag}" for info in objects)
    folder, _, name = key.rpartition("/")
    return VectorSource(
        uri=source,
        name=name,
        files=tuple(
            SourceFile(
                name=info.path.removeprefix(f"{folder}/" if folder else ""),
                size=info.size,
                place=info.path,
            )
            for info in objects
        ),
        version=hashlib.sha256(listed.encode()).hexdigest(),
        bucket=bucket,
        env=env,
    )


def _objects_of(store: ObjectStore, key: str) -> tuple[ObjectInfo, ...]:
    folder, _, name = key.rpartition("/")
    if PurePosixPath(name).suffix.lower() in COMPANIONS:
        prefix = f"{folder}/" if folder else ""
        below = {info.path.removeprefix(prefix): info for info in store.list(folder)}
        listed = {path: info for path, info in below.items() if "/" not in path}
        return tuple(listed[each] for each in belong_to(name, listed) if name in listed)
    single = store.head(key)
    return (single,) if single is not None else store.list(key)
