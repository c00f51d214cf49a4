"""Vector files that GDAL reads, streamed as undecoded WKB, so that one bad feature fails alone."""

from __future__ import annotations

import logging
import os
import struct
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from xml.parsers import expat

import pyarrow as pa
import pyogrio
import pyogrio.raw
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError
from pyproj import CRS
from pyproj.exceptions import CRSError

from spatial_assets.errors import VectorError
from spatial_assets.geo.lonlat import CRS84
from spatial_assets.geo.vectors.features import RawFeature
from spatial_assets.project.gdal_options import ignore_gdal_variables
from spatial_assets.stores.vectors.encodings import TextEncoding, decoded_rows, encoding_of
from spatial_assets.stores.vectors.source import ReadLimits
from spatial_assets.stores.vectors.staging import StagedSource

logger = logging.getLogger(__name__)

VECTOR_DRIVERS = frozenset(
    {
        *("GPKG", "ESRI Shapefile", "GeoJSON", "GeoJSONSeq", "TopoJSON", "ESRIJSON", "JSONFG"),
        *("FlatGeobuf", "OpenFileGDB", "GML", "KML", "LIBKML", "SQLite", "MapInfo File"),
    }
)
"""Accepted formats. Excluded: virtual files and services, which read other files."""

FEATURE_ID = "fid"
"""Name of the number of a feature, from 0 or 1 as GDAL counts, where the file has no column so
named."""

_RESTORE = "SHAPE_RESTORE_SHX"
_OPEN_OPTIONS = {".gml": {"DOWNLOAD_SCHEMA": "NO"}}  # reading never accesses the network
_BATCH = 4096
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

    def __init__(self, source: StagedSource, *, layer: str | None, limits: ReadLimits) -> None:
        ignore_gdal_variables()
        self._source = source
        self._path = str(source.path)
        if source.path.suffix.lower() == ".gml":
            _check_well_formed(source)
        self._lacks_index = _lacks_index(source.path)
        with self._errors_refused(), _restoring_index(if_needed=self._lacks_index):
            self.layer = _only_layer(source.uri, self._path, layer)
            info = self._info(None)
            self.driver = str(info["driver"])
            if self.driver not in VECTOR_DRIVERS:
                raise VectorError(
                    f"{source.uri} is {self.driver}; wanted {', '.join(sorted(VECTOR_DRIVERS))}"
                )
            self._text: TextEncoding | None = None
            if self.driver == "ESRI Shapefile":
                self._text = encoding_of(source.path, self.layer)
                info = self._info(self._text.carrier)
        self._declared = int(info["features"])
        if self._declared > limits.features:
            raise VectorError(
                f"{source.uri} has {self._declared:,} features; the limit is {limits.features:,}"
            )
        given = [str(name) for name in info["fields"]]
        names = [self._text.name_of(name) for name in given] if self._text else given
        self._fields = dict(zip(names, given, strict=True))
        # every driver numbers its features; a name is given to the number unless it has one
        unnamed = "" if FEATURE_ID in {name.casefold() for name in names} else FEATURE_ID
        self._fid = str(info["fid_column"]) or unnamed
        self.columns = (*names, *([self._fid] if self._fid else []))
        self.crs = _crs(source.uri, info["crs"])
        self.notes = self._text.notes if self._text else ()
        """Doubts about the file that do not prevent its use."""

        if self.crs is None and self.driver == "TopoJSON":
            self.crs = CRS.from_user_input(CRS84)
            self.notes = (*self.notes, "TopoJSON without a CRS is read as lon/lat, as GeoJSON is")

    def _info(self, encoding: str | None) -> Mapping[str, Any]:
        with _logging_gdal_warnings():
            return dict(
                pyogrio.read_info(
                    self._path, layer=self.layer, encoding=encoding, **_options(self._path)
                )
            )

    @contextmanager
    def _errors_refused(self) -> Iterator[None]:
        try:
            yield
        except (*_GDAL_ERRORS, UnicodeDecodeError) as error:  # the latter: of a layer's name
            found = self._source.public(error)
            raise VectorError(f"GDAL cannot read {self._source.uri}: {found}") from error

    def features(self, columns: Sequence[str]) -> Iterator[RawFeature]:
        """Read features in the order of the file.

        Raises:
            VectorError: the file is truncated or damaged.
        """
        count = 0
        try:
            for row, wkb in self._rows(columns):
                properties = {name: row.get(name) for name in columns}
                yield RawFeature(index=count, properties=properties, wkb=wkb)
                count += 1
            self._check_complete(count)
        except (*_READ_ERRORS, *_GDAL_ERRORS) as error:
            found = self._source.public(error)
            message = f"{self._source.uri} ends unexpectedly at feature {count}: {found}"
            raise VectorError(message) from error

    def _check_complete(self, count: int) -> None:
        """Refuse a file of which GDAL silently read fewer features than the file declares."""
        if self._declared in {count, -1} or self.driver in _REPORTS_TRUNCATION:
            return
        if self.driver in _COUNTS_DELETED and len(self._geometries()) == count:
            return
        raise VectorError(
            f"{self._source.uri} is cut short: it declares {self._declared:,} features, "
            f"but only {count:,} could be read"
        )

    def _rows(self, columns: Sequence[str]) -> Iterator[tuple[Mapping[str, object], bytes | None]]:
        names = {given: name for name, given in self._fields.items() if name in columns}
        with ExitStack() as stack:
            stack.enter_context(_restoring_index(if_needed=self._lacks_index))
            stream = pyogrio.raw.open_arrow(
                self._path,
                layer=self.layer,
                columns=[*names],
                return_fids=self._fid in columns,
                batch_size=_BATCH,
                encoding=self._text.carrier if self._text else None,
                use_pyarrow=True,
                **_options(self._path),
            )
            with _logging_gdal_warnings():
                meta, reader = stack.enter_context(stream)
            geometry = meta["geometry_name"] or "wkb_geometry"
            fid = meta["fid_column"] or "OGC_FID"
            straight: list[bytes | None] = []
            index = 0
            while (batch := _next(reader)) is not None:
                for read in decoded_rows(batch, self._text):
                    packed = read.pop(geometry, None)
                    wkb = packed if isinstance(packed, bytes) else None
                    row = {names.get(given, given): value for given, value in read.items()}
                    if fid in read:
                        row.setdefault(self._fid, read[fid])
                    if wkb is not None and is_curved(wkb):
                        straight = straight or self._geometries()
                        wkb = straight[index]
                    index += 1
                    yield row, wkb

    def _geometries(self) -> list[bytes | None]:
        """Read all geometries, arcs as lines; slower than Arrow, but reports a truncated file."""
        with _logging_gdal_warnings(), _restoring_index(if_needed=self._lacks_index):
            _, _, geometries, _ = pyogrio.raw.read(
                self._path, layer=self.layer, columns=[], **_options(self._path)
            )
        return list(geometries)


def _only_layer(uri: str, path: str, layer: str | None) -> str:
    """Return the requested layer, or the only one with geometries."""
    with _logging_gdal_warnings():
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


def _crs(uri: str, declared: object) -> CRS | None:
    if declared is None:
        return None
    try:
        return CRS.from_user_input(declared)
    except CRSError as error:
        raise VectorError(f"{uri} declares a CRS that PROJ cannot read: {error}") from error


WKB_HEADER_BYTES = 5  # byte order and type


def _options(path: str) -> dict[str, str]:
    suffix = path[path.rfind(".") :].lower()
    return dict(_OPEN_OPTIONS.get(suffix, {}))


def _next(reader: Iterator[Any]) -> Any | None:  # noqa: ANN401 - pyarrow has no types
    with _logging_gdal_warnings():
        return next(reader, None)


def is_curved(wkb: bytes) -> bool:
    """Return True for a curve; a damaged geometry is none, and is judged where it is parsed."""
    if len(wkb) < WKB_HEADER_BYTES:
        return False
    order = "<" if wkb[:1] == b"\x01" else ">"
    (kind,) = struct.unpack(f"{order}I", wkb[1:5])
    return int(kind) % 1000 in _CURVED


def _check_well_formed(source: StagedSource) -> None:
    """Refuse truncated GML, which GDAL reads without an error."""
    try:
        with source.path.open("rb") as file:
            expat.ParserCreate().ParseFile(file)
    except (expat.ExpatError, OSError) as error:
        raise VectorError(f"{source.uri} is not complete GML: {error}") from error


@contextmanager
def _logging_gdal_warnings() -> Iterator[None]:
    """Log GDAL's warnings about a file; each feature is validated on its own."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RuntimeWarning)
        yield
    for warning in caught:
        logger.info("GDAL: %s", warning.message)


def _lacks_index(path: Path) -> bool:
    """Return True if a shapefile has no .shx: the path is its .shp, or the folder it is in."""
    shapefiles = path.glob("*.shp") if path.is_dir() else [path]
    return any(
        file.suffix.lower() == ".shp"
        and not any(file.with_suffix(suffix).exists() for suffix in (".shx", ".SHX"))
        for file in shapefiles
    )


@contextmanager
def _restoring_index(*, if_needed: bool) -> Iterator[None]:
    """Let GDAL write a missing .shx beside the staged .shp.

    The option is global to the process; one set in the environment is unset again, not fixed.
    """
    if not if_needed:
        yield
        return
    before = pyogrio.get_gdal_config_option(_RESTORE)
    before = None if before == os.environ.get(_RESTORE) else before
    pyogrio.set_gdal_config_options({_RESTORE: "YES"})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({_RESTORE: before})
