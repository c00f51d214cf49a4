"""Boundaries files within zip archives: unpacked, and the one file or folder that is meant."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from spatial_assets.errors import VectorError
from spatial_assets.stores.vectors.source import ReadLimits

ARCHIVES = (".zip", ".shz")
_FILES = (
    *(".gpkg", ".shp", ".fgb", ".gml", ".geojson", ".tab", ".mif", ".kml", ".kmz", ".sqlite"),
    *(".geojsonl", ".geojsons", ".ndjson", ".jsonl", ".topojson"),
    *(".parquet", ".geoparquet", ".pq"),
)
_LAST_RESORT = (".json", ".xml")  # more often metadata than features
_GEODATABASE_CATALOG = "a00000001.gdbtable"  # in every file geodatabase
_MAX_NESTING = 3  # archives within archives
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError)
"""Errors of `zipfile`: RuntimeError for a password, NotImplementedError for a compression."""


def is_archive(path: Path) -> bool:
    """Return True if the file is unpacked before it is opened."""
    return path.name.lower().endswith(ARCHIVES) and path.is_file()


def unpacked(archive: Path, folder: Path, *, uri: str, limits: ReadLimits) -> Path:
    """Unpack an archive, and archives that hold nothing else; return what is to be opened.

    Args:
        archive: the file.
        folder: empty folder to unpack into; no name leads out of it, and links are not followed.
        uri: the source, for messages.
        limits: maximum size of what is unpacked.

    Raises:
        VectorError: it is damaged, encrypted or too large, or names several kinds of files.
    """
    left = limits.file_bytes
    for number in range(_MAX_NESTING):
        root = folder / str(number)
        left -= _extract(archive, root, uri=uri, left=left, limit=limits.file_bytes)
        if (root / _GEODATABASE_CATALOG).exists():
            return root.rename(root.with_suffix(".gdb"))  # GDAL knows it by its name
        opened = chosen(root, uri=uri)
        if opened != root:
            return opened
        inner = [path for path in sorted(root.rglob("*")) if is_archive(path)]
        if len(inner) != 1:
            return root
        archive = inner[0]
    raise VectorError(f"{uri} has archives nested deeper than {_MAX_NESTING}: unpack it")


def chosen(root: Path, *, uri: str) -> Path:
    """Return the boundaries file in a folder; the folder itself if GDAL must choose.

    Raises:
        VectorError: there are several, of different kinds.
    """
    names = [path.relative_to(root).as_posix() for path in sorted(root.rglob("*"))]
    member = vector_member(names)
    if member is not None:
        return root / member
    found = _vector_files(names)
    if len({PurePosixPath(name).suffix.lower() for name in found}) > 1:
        raise VectorError(
            f"{uri} has several boundaries files ({', '.join(found)}): name the one to read as "
            "`source`, outside of an archive or folder with others"
        )
    return root


def vector_member(paths: Iterable[str]) -> str | None:
    """Choose the only vector file, else the only folder with all; None leaves the choice to GDAL.

    Args:
        paths: paths of the members within the archive; folders may end with a slash.
    """
    members = [path.rstrip("/") for path in paths]
    bases = sorted({base for path in members for base in _geodatabase(path)})
    if bases:
        return bases[0] if len(bases) == 1 else None
    found = _vector_files(members)
    if len(found) == 1:
        return found[0]
    folders = {str(PurePosixPath(path).parent) for path in found}
    if len(folders) == 1 and len({PurePosixPath(path).suffix.lower() for path in found}) == 1:
        folder = folders.pop()
        return None if folder == "." else folder
    return None


def _vector_files(paths: Iterable[str]) -> list[str]:
    """Return the vector files among the members; others only if there is none."""
    members = [path for path in paths if not _is_macos_metadata(path)]
    found = [path for path in members if path.lower().endswith(_FILES)]
    return found or [path for path in members if path.lower().endswith(_LAST_RESORT)]


def _geodatabase(path: str) -> list[str]:
    """Return the .gdb folder that `path` is, or is in."""
    chain = [PurePosixPath(path), *PurePosixPath(path).parents]
    return [str(part) for part in chain if part.suffix.lower() == ".gdb"]


def _is_macos_metadata(path: str) -> bool:
    """Return True for files that macOS adds to archives."""
    parts = PurePosixPath(path).parts
    return "__MACOSX" in parts or parts[-1].startswith("._")


def _extract(archive: Path, root: Path, *, uri: str, left: int, limit: int) -> int:
    """Unpack one archive and return the size of its files."""
    root.mkdir(parents=True)
    try:
        with zipfile.ZipFile(archive) as opened:
            size = sum(member.file_size for member in opened.infolist())
            if size > left:
                raise VectorError(
                    f"{uri} unpacks to {size:,} bytes, more than the limit of {limit:,}"
                )
            # No name leads out of it, and a link becomes a file; a member may lack a name.
            opened.extractall(root, [each for each in opened.infolist() if each.filename])
    except _DAMAGED as error:
        raise VectorError(f"{uri} is not a readable zip archive: {error}") from error
    return size
