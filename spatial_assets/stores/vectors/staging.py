"""A source in a temporary folder of its own, where GDAL may open it, and write beside it.

GDAL writes a .gfs beside any GML, a missing .shx beside a shapefile, and a log beside SQLite. It
also takes files for parts of a source that are not. Here it finds the files that belong to the
source, and no others: so `check` and a run, which reads a copy, see the same. Objects on S3 are
downloaded, since GDAL takes an interrupted response for a damaged file.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path

from spatial_assets.errors import VectorError
from spatial_assets.stores.vectors.archives import chosen, is_archive, unpacked
from spatial_assets.stores.vectors.source import ReadLimits, SourceFile, VectorSource

_PARQUET = (".parquet", ".geoparquet", ".pq")
_REWRITTEN = ".shx"  # by GDAL, for all shapefiles of a folder if one of them lacks it
_SQLITE = (".gpkg", ".sqlite", ".db", ".gpkg-wal", ".sqlite-wal", ".db-wal")


class StagedSource:
    """The files of a source in a temporary folder, which is deleted with this object."""

    def __init__(self, source: VectorSource, *, limits: ReadLimits) -> None:
        self.uri = source.uri
        self._folder = Path(tempfile.mkdtemp(prefix="spatial-assets-"))
        self._cleanup = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        files, archive = self._folder / "files", self._folder / "unpacked"
        for file in source.files:
            _stage(source, file, files / file.name)
        path = files / source.name
        if is_archive(path):
            path = unpacked(path, archive, uri=source.uri, limits=limits)
        elif path.is_dir() and path.suffix.lower() != ".gdb":
            path = chosen(path, uri=source.uri)
        self.path = path
        """File or folder to open."""

    @property
    def is_parquet(self) -> bool:
        """True if pyarrow reads it, since GDAL in the wheel has no Parquet driver."""
        return self.path.name.lower().endswith(_PARQUET)

    def public(self, message: object) -> str:
        """Return the message of a library with the source instead of the temporary path."""
        text = str(message).replace(str(self.path), self.uri)
        return text.replace(f"{self._folder}/files/", "").replace(f"{self._folder}/unpacked/", "")


def _stage(source: VectorSource, file: SourceFile, target: Path) -> None:
    """Put one file in its place: a link, a copy if GDAL may write to it, or a download."""
    name = target.name.lower()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(file.place, str):
            target.write_bytes(source.read(file))
        elif name.endswith(_REWRITTEN) or (name.endswith(_SQLITE) and _has_log(source)):
            shutil.copyfile(file.place, target)
        else:
            target.symlink_to(file.place.resolve())
    except OSError as error:
        raise VectorError(f"cannot read {source.uri}: {error}") from error


def _has_log(source: VectorSource) -> bool:
    """Return True if SQLite would write beside the file: a log is there, or it is to have one."""
    if len(source.files) > 1:
        return True
    place = source.files[0].place
    with Path(place).open("rb") as file:
        header = file.read(20)
    return header[18:20] == b"\x02\x02"  # file format of a write-ahead log
