"""Every format that GDAL reads, streamed as WKB, undecoded, so that one feature cannot cost all."""

from __future__ import annotations

import logging
import struct
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pyproj import CRS
from pyproj.exceptions import CRSError

from spatial_assets.errors import VectorError
from spatial_assets.geo.features import RawFeature
from spatial_assets.stores.vector_source import ReadLimits, VectorSource, with_index_restored

logger = logging.getLogger(__name__)

DRIVERS = frozenset(
    {
        *("GPKG", "ESRI Shapefile", "GeoJSON", "GeoJSONSeq", "TopoJSON", "ESRIJSON", "JSONFG"),
        *("FlatGeobuf", "OpenFileGDB", "GML", "KML", "LIBKML", "SQLite", "MapInfo File"),
    }
)
"""What a boundaries file may be. Not: virtual files and services, which read something else."""

_OPEN_OPTIONS = {".gml": {"WRITE_GFS": "NO", "DOWNLOAD_SCHEMA": "NO"}}
_BATCH = 4096
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
        if self.driver not in DRIVERS:
            raise VectorError(f"{source.uri} is {self.driver}; wanted {', '.join(sorted(DRIVERS))}")
        count = int(info["features"])
        if count > limits.features:
            raise VectorError(
                f"{source.uri} has {count:,} features; the limit is {limits.features:,}"
            )
        fields = [str(name) for name in info["fields"]]
        self._fields = frozenset(fields)
        self._fid = str(info["fid_column"])
        self.columns = (*fields, *([self._fid] if self._fid else []))
        self.crs = _crs(source.uri, info["crs"])

    def features(self, columns: Sequence[str]) -> Iterator[RawFeature]:
        """Feature by feature, in the order of the file.

        Raises:
            VectorError: the file breaks off.
        """
        import pyarrow as pa  # noqa: PLC0415 - not needed to import the definitions
        import pyogrio.errors  # noqa: PLC0415 - imports geopandas

        index = 0
        try:
            for index, row in enumerate(self._rows(columns)):
                wkb = row.pop("wkb")
                properties = {name: row.get(name) for name in columns}
                yield RawFeature(index=index, properties=properties, wkb=wkb)  # type: ignore[arg-type]
        except (pyogrio.errors.DataSourceError, pa.ArrowException, UnicodeDecodeError) as error:
            raise VectorError(
                f"{self._source.uri} breaks off at feature {index}: {error}"
            ) from error

    def _rows(self, columns: Sequence[str]) -> Iterator[dict[str, object]]:
        import pyogrio.raw  # noqa: PLC0415 - imports geopandas

        with (
            self._opened() as path,
            pyogrio.raw.open_arrow(
                path,
                layer=self.layer,
                columns=[name for name in columns if name in self._fields],
                return_fids=self._fid in columns,
                batch_size=_BATCH,
                use_pyarrow=True,
                **_options(path),
            ) as (meta, reader),
        ):
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
                        straight = straight or self._linearised(path)
                        wkb = straight[index]
                    row["wkb"] = wkb
                    index += 1
                    yield row

    def _linearised(self, path: str) -> list[bytes | None]:
        """All geometries with arcs as lines: Arrow hands out curves as they are."""
        import pyogrio.raw  # noqa: PLC0415 - imports geopandas

        with _gdal_speaks():
            _, _, geometries, _ = pyogrio.raw.read(
                path, layer=self.layer, columns=[], **_options(path)
            )
        return list(geometries)

    @contextmanager
    def _opened(self) -> Iterator[str]:
        with with_index_restored(self._source) as source, _configured(source.gdal_options):
            yield source.gdal_path


def _only_layer(uri: str, path: str, layer: str | None) -> str:
    """The layer asked for, or the only one with geometries."""
    import pyogrio  # noqa: PLC0415 - imports geopandas

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
    import pyogrio  # noqa: PLC0415 - imports geopandas

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


def _next(reader: Iterator[object]) -> list[dict[str, object]] | None:
    with _gdal_speaks():
        batch = next(reader, None)
    return None if batch is None else list(batch.to_pylist())  # type: ignore[attr-defined]


def _is_curved(wkb: bytes) -> bool:
    order = "<" if wkb[:1] == b"\x01" else ">"
    (kind,) = struct.unpack(f"{order}I", wkb[1:5])
    return int(kind) % 1000 in _CURVED


@contextmanager
def _refused(uri: str) -> Iterator[None]:
    import pyogrio.errors  # noqa: PLC0415 - imports geopandas

    try:
        yield
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise VectorError(f"GDAL cannot read {uri}: {error}") from error


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
    import pyogrio  # noqa: PLC0415 - imports geopandas

    before = {name: pyogrio.get_gdal_config_option(name) for name in options}
    pyogrio.set_gdal_config_options(dict(options))
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options(before)
