"""Every format that GDAL reads, streamed as WKB, undecoded, so that one feature cannot cost all.

Which member of a zip archive is the boundaries file: archives also hold licences and readmes.
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
"""What a boundaries file may be. Not: virtual files and services, which read something else."""

_OPEN_OPTIONS = {".gml": {"DOWNLOAD_SCHEMA": "NO"}}  # reading never goes to the network
_BATCH = 4096
_NETWORK = re.compile(r"\bHTTP\b|\bcurl\b|\bSSL\b|timed out|response code", re.IGNORECASE)
_LOUD = frozenset({"GPKG", "SQLite"})  # say where they break off, and may count wrongly
_COUNTS_DELETED = frozenset({"ESRI Shapefile", "MapInfo File"})  # deleted rows stay in their count
_TROUBLES = (OSError, UnicodeDecodeError)  # how Arrow passes on what GDAL says
_CURVED = range(
    8, 13
)  # WKB types of curves, compound curves, curve polygons, multi-curves, surfaces


class GdalFile:
    """One layer of a file GDAL can open; what it has is known, its features are not read yet."""

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
        self._stated = int(info["features"])
        if self._stated > limits.features:
            raise VectorError(
                f"{source.uri} has {self._stated:,} features; the limit is {limits.features:,}"
            )
        # Arrow takes the bytes of a .dbf for UTF-8 unless it is told what GDAL found
        self._encoding = str(info["encoding"]) if self.driver == "ESRI Shapefile" else None
        fields = [str(name) for name in info["fields"]]
        self._fields = frozenset(fields)
        self._fid = str(info["fid_column"])
        self.columns = (*fields, *([self._fid] if self._fid else []))
        self.crs = _crs(source.uri, info["crs"])

    def features(self, columns: Sequence[str]) -> Iterator[RawFeature]:
        """Feature by feature, in the order of the file.

        Raises:
            VectorError: the file breaks off.
            SourceUnavailableError: the network does.
        """
        import pyarrow as pa

        count = 0
        try:
            for row in self._rows(columns):
                wkb = row.pop("wkb")
                properties = {name: row.get(name) for name in columns}
                yield RawFeature(index=count, properties=properties, wkb=wkb)  # type: ignore[arg-type]
                count += 1
            self._check_complete(count)
        except (*_TROUBLES, *_pyogrio_errors(), pa.ArrowException) as error:
            message = f"{self._source.uri} breaks off at feature {count}: {error}"
            raise _refusal(message) from error

    def _check_complete(self, count: int) -> None:
        """Refuse a file of which GDAL read less than it said there was, without a word."""
        if self._stated in {count, -1} or self.driver in _LOUD:
            return
        if self.driver in _COUNTS_DELETED:
            with self._opened() as path:
                if len(self._geometries(path)) == count:
                    return
        raise VectorError(
            f"{self._source.uri} is cut short: it has {self._stated:,} features by its own count, "
            f"and {count:,} could be read"
        )

    def _rows(self, columns: Sequence[str]) -> Iterator[dict[str, object]]:
        import pyogrio.raw

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
            with _gdal_speaks():
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
        """All geometries, arcs as lines; slower than Arrow, and loud where a file breaks off."""
        import pyogrio.raw

        with _gdal_speaks():
            _, _, geometries, _ = pyogrio.raw.read(
                path, layer=self.layer, columns=[], **_options(path)
            )
        return list(geometries)

    @contextmanager
    def _opened(self) -> Iterator[str]:
        with private_view(self._source) as source, _configured(source.gdal_options):
            yield _entered(source.gdal_path) if source.is_zipped else source.gdal_path


def _entered(archive: str) -> str:
    """The path of the boundaries file within an archive, or the archive where GDAL must guess."""
    import pyogrio

    try:
        listed = pyogrio.vsi_listtree(archive)
    except (NotADirectoryError, FileNotFoundError):
        return archive  # one file only, or no archive: GDAL knows, or says so
    member = vector_member([path.removeprefix(f"{archive}/") for path in listed])
    return f"{archive}/{member}" if member else archive


def _only_layer(uri: str, path: str, layer: str | None) -> str:
    """The layer asked for, or the only one with geometries."""
    import pyogrio

    with _refused(uri), _gdal_speaks():
        listed = pyogrio.list_layers(path)
    spatial = [str(name) for name, kind in listed if kind is not None]
    names = [str(name) for name, _ in listed]
    if layer is not None and layer in names:
        return layer
    if layer is None and len(spatial) == 1:
        return spatial[0]
    wanted = (
        f"no layer {layer!r}" if layer is not None else f"{len(spatial)} layers with geometries"
    )
    remedy = "name one of them" if spatial else "is it a vector file?"
    raise VectorError(f"{uri} has {wanted}; it has {', '.join(names) or 'none'}: {remedy}")


def _info(path: str, layer: str) -> Mapping[str, Any]:
    import pyogrio

    with _refused(path), _gdal_speaks():
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
    with _gdal_speaks():
        batch = next(reader, None)
    return None if batch is None else _listed(batch)


def _listed(batch: Any) -> list[dict[str, object]]:  # noqa: ANN401 - pyarrow has no types
    """The rows; text that is not the encoding it claims keeps what can be read of it."""
    import pyarrow as pa

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


def _pyogrio_errors() -> tuple[type[Exception], ...]:
    from pyogrio import errors

    return (errors.DataSourceError, errors.DataLayerError, errors.FeatureError)


@contextmanager
def _refused(uri: str) -> Iterator[None]:
    try:
        yield
    except _pyogrio_errors() as error:
        raise _refusal(f"GDAL cannot read {uri}: {error}") from error


def _refusal(message: str) -> VectorError | SourceUnavailableError:
    """The file is bad, unless GDAL speaks of the network: then trying again may help."""
    away = ("s3://" in message or "/vsis3/" in message) and _NETWORK.search(message)
    return SourceUnavailableError(message) if away else VectorError(message)


@contextmanager
def _gdal_speaks() -> Iterator[None]:
    """What GDAL has to say about a file goes to the log; each feature is judged by itself."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always", RuntimeWarning)
        yield
    for warning in heard:
        logger.info("GDAL: %s", warning.message)


@contextmanager
def _configured(options: Mapping[str, str]) -> Iterator[None]:
    """GDAL options for the time of one read: they are global to the process."""
    import pyogrio

    if "AWS_REGION" in options:
        pyogrio.vsi_curl_clear_cache()  # GDAL remembers a 503 as "there is no such file"
    before = {name: pyogrio.get_gdal_config_option(name) for name in options}
    # an option that was only in the environment goes back there, not into the process for good
    before = {name: None if old == os.environ.get(name) else old for name, old in before.items()}
    pyogrio.set_gdal_config_options(dict(options))
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options(before)


_FILES = (".gpkg", ".shp", ".fgb", ".gml", ".geojson", ".tab", ".kml", ".sqlite", ".geojsonl")
_LAST_RESORT = (".json", ".xml")  # more often metadata than features


def vector_member(paths: Iterable[str]) -> str | None:
    """The only vector file among `paths`, else the only folder that holds all; None: GDAL's guess.

    Args:
        paths: of the members within the archive, folders with or without a slash at the end.
    """
    members = [path.rstrip("/") for path in paths]
    bases = sorted({base for path in members for base in _geodatabase(path)})
    if bases:
        return bases[0] if len(bases) == 1 else None
    for suffixes in (_FILES, _LAST_RESORT):
        found = [path for path in members if path.lower().endswith(suffixes)]
        found = [path for path in found if not _is_litter(path)]
        if len(found) == 1:
            return found[0]
        if found:
            folders = {str(PurePosixPath(path).parent) for path in found}
            same_kind = len({PurePosixPath(path).suffix.lower() for path in found}) == 1
            folder = folders.pop() if len(folders) == 1 and same_kind else "."
            return None if folder == "." else folder
    return None


def _geodatabase(path: str) -> list[str]:
    """The .gdb folder that `path` is, or lies in."""
    chain = [PurePosixPath(path), *PurePosixPath(path).parents]
    return [str(part) for part in chain if part.suffix.lower() == ".gdb"]


def _is_litter(path: str) -> bool:
    """What macOS puts into archives."""
    parts = PurePosixPath(path).parts
    return "__MACOSX" in parts or parts[-1].startswith("._")
