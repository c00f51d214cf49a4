"""Vector files that GDAL reads, streamed as undecoded WKB, so that one bad feature fails alone.

This includes the choice of the boundaries file in a zip archive beside licences and readmes.
"""

from __future__ import annotations

import logging
import os
import re
import struct
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyogrio
import pyogrio.raw
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError
from pyproj import CRS
from pyproj.exceptions import CRSError

from spatial_assets.errors import SourceUnavailableError, VectorError
from spatial_assets.geo.vectors.features import RawFeature
from spatial_assets.stores.vectors.source import ReadLimits, VectorSource, private_view

logger = logging.getLogger(__name__)

VECTOR_DRIVERS = frozenset(
    {
        *("GPKG", "ESRI Shapefile", "GeoJSON", "GeoJSONSeq", "TopoJSON", "ESRIJSON", "JSONFG"),
        *("FlatGeobuf", "OpenFileGDB", "GML", "KML", "LIBKML", "SQLite", "MapInfo File"),
    }
)
"""Accepted formats. Excluded: virtual files and services, which read other files."""

_OPEN_OPTIONS = {".gml": {"DOWNLOAD_SCHEMA": "NO"}}  # reading never accesses the network
_BATCH = 4096
_NETWORK = re.compile(r"\bHTTP\b|\bcurl\b|\bSSL\b|timed out|response code", re.IGNORECASE)
_REPORTS_TRUNCATION = frozenset({"GPKG", "SQLite"})  # and their feature count may be wrong
_COUNTS_DELETED = frozenset(
    {"ESRI Shapefile", "MapInfo File"}
)  # the feature count includes deleted rows
_GDAL_ERRORS = (DataSourceError, DataLayerError, FeatureError)
_READ_ERRORS = (OSError, UnicodeDecodeError, pa.ArrowException)  # GDAL errors raised through Arrow
_CURVED = range(8, 13)
"""WKB types of curves, compound curves, curve polygons, multi-curves, surfaces."""


class GdalFile:
    """One layer of an opened file: its columns and CRS are known, its features are not read yet."""

    def __init__(self, source: VectorSource, *, layer: str | None, limits: ReadLimits) -> None:
        self._source = source
        with self._opened() as path:
            self.layer = _only_layer(source.uri, path, layer)
            info = _info(path, self.layer)
        self.driver = str(info["driver"])
        if self.driver not in VECTOR_DRIVERS:
            raise VectorError(
                f"{source.uri} is {self.driver}; wanted {', '.join(sorted(VECTOR_DRIVERS))}"
            )
        self._declared = int(info["features"])
        if self._declared > limits.features:
            raise VectorError(
                f"{source.uri} has {self._declared:,} features; the limit is {limits.features:,}"
            )
        # Arrow assumes that a .dbf is UTF-8 unless it gets the encoding that GDAL found
        self._encoding = str(info["encoding"]) if self.driver == "ESRI Shapefile" else None
        fields = [str(name) for name in info["fields"]]
        self._fields = frozenset(fields)
        self._fid = str(info["fid_column"])
        self.columns = (*fields, *([self._fid] if self._fid else []))
        self.crs = _crs(source.uri, info["crs"])

    def features(self, columns: Sequence[str]) -> Iterator[RawFeature]:
        """Read features in the order of the file.

        Raises:
            VectorError: the file is truncated or damaged.
            SourceUnavailableError: the network failed.
        """
        count = 0
        try:
            for row in self._rows(columns):
                wkb = row.pop("wkb")
                properties = {name: row.get(name) for name in columns}
                yield RawFeature(index=count, properties=properties, wkb=wkb)  # type: ignore[arg-type]
                count += 1
            self._check_complete(count)
        except (*_READ_ERRORS, *_GDAL_ERRORS) as error:
            message = f"{self._source.uri} ends unexpectedly at feature {count}: {error}"
            raise _refusal(message) from error

    def _check_complete(self, count: int) -> None:
        """Refuse a file of which GDAL silently read fewer features than the file declares."""
        if self._declared in {count, -1} or self.driver in _REPORTS_TRUNCATION:
            return
        if self.driver in _COUNTS_DELETED:
            with self._opened() as path:
                if len(self._geometries(path)) == count:
                    return
        raise VectorError(
            f"{self._source.uri} is cut short: it declares {self._declared:,} features, "
            f"but only {count:,} could be read"
        )

    def _rows(self, columns: Sequence[str]) -> Iterator[dict[str, object]]:
        with ExitStack() as stack:
            path = stack.enter_context(self._opened())
            stream = pyogrio.raw.open_arrow(
                path,
                layer=self.layer,
                columns=[name for name in columns if name in self._fields],
                return_fids=self._fid in columns,
                batch_size=_BATCH,
                encoding=self._encoding,
                use_pyarrow=True,
                **_options(path),
            )
            with _logging_gdal_warnings():
                meta, reader = stack.enter_context(stream)
            geometry = meta["geometry_name"] or "wkb_geometry"
            fid = meta["fid_column"] or "OGC_FID"
            straight: list[bytes | None] = []
            index = 0
            while (batch := _next(reader)) is not None:
                for row in batch:
                    wkb = row.pop(geometry, None)
                    if fid in row:
                        row.setdefault(self._fid, row[fid])
                    if isinstance(wkb, bytes) and _is_curved(wkb):
                        straight = straight or self._geometries(path)
                        wkb = straight[index]
                    row["wkb"] = wkb
                    index += 1
                    yield row

    def _geometries(self, path: str) -> list[bytes | None]:
        """Read all geometries, arcs as lines; slower than Arrow, but reports a truncated file."""
        with _logging_gdal_warnings():
            _, _, geometries, _ = pyogrio.raw.read(
                path, layer=self.layer, columns=[], **_options(path)
            )
        return list(geometries)

    @contextmanager
    def _opened(self) -> Iterator[str]:
        with private_view(self._source) as source, _configured(source.gdal_options):
            yield _path_in_archive(source.gdal_path) if source.is_zipped else source.gdal_path


def _path_in_archive(archive: str) -> str:
    """Path of the boundaries file within an archive, or the archive if GDAL must choose."""
    try:
        listed = pyogrio.vsi_listtree(archive)
    except (NotADirectoryError, FileNotFoundError):
        return archive  # a single file, or no archive: left to GDAL, which reports an error if any
    member = vector_member([path.removeprefix(f"{archive}/") for path in listed])
    return f"{archive}/{member}" if member else archive


def _only_layer(uri: str, path: str, layer: str | None) -> str:
    """Return the requested layer, or the only one with geometries."""
    with _gdal_errors_refused(uri), _logging_gdal_warnings():
        listed = pyogrio.list_layers(path)
    spatial = [str(name) for name, kind in listed if kind is not None]
    names = [str(name) for name, _ in listed]
    if layer is not None and layer in names:
        return layer
    if layer is None and len(spatial) == 1:
        return spatial[0]
    problem = (
        f"no layer {layer!r}" if layer is not None else f"{len(spatial)} layers with geometries"
    )
    remedy = "name one of them" if spatial else "is it a vector file?"
    raise VectorError(f"{uri} has {problem}; it has {', '.join(names) or 'none'}: {remedy}")


def _info(path: str, layer: str) -> Mapping[str, Any]:
    with _gdal_errors_refused(path), _logging_gdal_warnings():
        return dict(pyogrio.read_info(path, layer=layer, **_options(path)))


def _crs(uri: str, declared: object) -> CRS | None:
    if declared is None:
        return None
    try:
        return CRS.from_user_input(declared)
    except CRSError as error:
        raise VectorError(f"{uri} declares a CRS that PROJ cannot read: {error}") from error


def _options(path: str) -> dict[str, str]:
    suffix = path[path.rfind(".") :].lower()
    return dict(_OPEN_OPTIONS.get(suffix, {}))


def _next(reader: Iterator[Any]) -> list[dict[str, object]] | None:
    with _logging_gdal_warnings():
        batch = next(reader, None)
    return None if batch is None else _listed(batch)


def _listed(batch: Any) -> list[dict[str, object]]:  # noqa: ANN401 - pyarrow has no types
    """Rows of a batch; in text with a wrong encoding, undecodable bytes are replaced."""
    try:
        return list(batch.to_pylist())
    except UnicodeDecodeError:
        columns = {}
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
            values = (column.cast(pa.binary()) if text else column).to_pylist()
            columns[name] = [_readable(value) if text else value for value in values]
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _readable(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", errors="replace")


def _is_curved(wkb: bytes) -> bool:
    order = "<" if wkb[:1] == b"\x01" else ">"
    (kind,) = struct.unpack(f"{order}I", wkb[1:5])
    return int(kind) % 1000 in _CURVED


@contextmanager
def _gdal_errors_refused(uri: str) -> Iterator[None]:
    try:
        yield
    except _GDAL_ERRORS as error:
        raise _refusal(f"GDAL cannot read {uri}: {error}") from error


def _refusal(message: str) -> VectorError | SourceUnavailableError:
    """Return the error: the file is bad, or, if GDAL reports the network, a retry may help."""
    is_network = ("s3://" in message or "/vsis3/" in message) and _NETWORK.search(message)
    return SourceUnavailableError(message) if is_network else VectorError(message)


@contextmanager
def _logging_gdal_warnings() -> Iterator[None]:
    """Log GDAL's warnings about a file; each feature is validated on its own."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RuntimeWarning)
        yield
    for warning in caught:
        logger.info("GDAL: %s", warning.message)


@contextmanager
def _configured(options: Mapping[str, str]) -> Iterator[None]:
    """Set GDAL options during one read; they are global to the process."""
    if "AWS_REGION" in options:
        pyogrio.vsi_curl_clear_cache()  # GDAL caches a 503 as "no such file"
    before = {name: pyogrio.get_gdal_config_option(name) for name in options}
    # an option set only in the environment is unset again, not fixed for the process
    before = {name: None if old == os.environ.get(name) else old for name, old in before.items()}
    pyogrio.set_gdal_config_options(dict(options))
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options(before)


_FILES = (".gpkg", ".shp", ".fgb", ".gml", ".geojson", ".tab", ".kml", ".sqlite", ".geojsonl")
_LAST_RESORT = (".json", ".xml")  # more often metadata than features


def vector_member(paths: Iterable[str]) -> str | None:
    """Choose the only vector file, else the only folder with all; None leaves the choice to GDAL.

    Args:
        paths: paths of the members within the archive; folders may end with a slash.
    """
    members = [path.rstrip("/") for path in paths]
    bases = sorted({base for path in members for base in _geodatabase(path)})
    if bases:
        return bases[0] if len(bases) == 1 else None
    for suffixes in (_FILES, _LAST_RESORT):
        found = [path for path in members if path.lower().endswith(suffixes)]
        found = [path for path in found if not _is_macos_metadata(path)]
        if len(found) == 1:
            return found[0]
        if found:
            folders = {str(PurePosixPath(path).parent) for path in found}
            same_kind = len({PurePosixPath(path).suffix.lower() for path in found}) == 1
            folder = folders.pop() if len(folders) == 1 and same_kind else "."
            return None if folder == "." else folder
    return None


def _geodatabase(path: str) -> list[str]:
    """Return the .gdb folder that `path` is, or is in."""
    chain = [PurePosixPath(path), *PurePosixPath(path).parents]
    return [str(part) for part in chain if part.suffix.lower() == ".gdb"]


def _is_macos_metadata(path: str) -> bool:
    """Return True for files that macOS adds to archives."""
    parts = PurePosixPath(path).parts
    return "__MACOSX" in parts or parts[-1].startswith("._")
