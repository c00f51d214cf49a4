"""Reading boundaries files of any format, feature by feature, from disk or S3.

geo/vectors/validate.py decides which features are usable, `validated` stores those. The library of
a format is imported when a file of that format is opened: sensors and the command line import this
module, and pyarrow and pyogrio would cost them 0.3 s and 110 MB.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from pyproj import CRS

from spatial_assets.errors import VectorError
from spatial_assets.geo.vectors.features import Defect, RawFeature
from spatial_assets.geo.vectors.to_lonlat import SourceCrs
from spatial_assets.stores.vectors.geojson import SEQUENCES, GeoJsonFile, NotGeoJsonError
from spatial_assets.stores.vectors.source import ReadLimits, VectorSource, load_bytes, locate_source

__all__ = ["RawFeatures", "ReadLimits", "read_features"]

_GEOJSON = (".geojson", ".json", *SEQUENCES)

GEOJSON_BYTES = 64 * 1024**2
"""Maximum size of GeoJSON for `geojson`, which reports each bad feature; GDAL reads larger ones."""


@dataclass(frozen=True, kw_only=True)
class RawFeatures:
    """An opened boundaries file with a known CRS and the requested columns."""

    source: VectorSource
    """Path, size and version of the file."""

    driver: str
    """GDAL driver, or "Parquet"."""

    crs: CRS
    """CRS on the Earth, never guessed."""

    columns: tuple[str, ...]
    """Columns of each feature."""

    features: Iterator[RawFeature]
    """Features in the order of the file, read during iteration; a single pass."""


def read_features(
    source: str,
    *,
    columns: Sequence[str],
    layer: str | None = None,
    limits: ReadLimits | None = None,
    env: Mapping[str, str] | None = None,
) -> RawFeatures:
    """Open a boundaries file: a local path or s3://.

    Args:
        source: GeoPackage, (zipped) shapefile, GeoJSON, FlatGeobuf, GeoParquet, FileGDB, GML, KML.
        columns: key column and columns to keep; the feature id is available by its column name.
        layer: name of the layer, required if several layers have geometries.
        limits: maximum sizes; default `ReadLimits()`.
        env: source of S3 keys and endpoint; default: the process environment.

    Raises:
        VectorError: the file as a whole is unusable; the message has the reason.
        SourceUnavailableError: S3 did not answer.
    """
    bounds = limits or ReadLimits()
    found = locate_source(source, limits=bounds, env=env)
    requested = tuple(dict.fromkeys(columns))
    file = _opened(found, layer=layer, limits=bounds, env=env)
    _require(found, requested, file.columns)
    return RawFeatures(
        source=found,
        driver=file.driver,
        crs=SourceCrs.of(file.crs, source=source).crs,
        columns=requested,
        features=_sized(file.features(requested), bounds),
    )


class _File(Protocol):
    """An opened file of any format."""

    @property
    def driver(self) -> str: ...

    @property
    def crs(self) -> CRS | None: ...

    @property
    def columns(self) -> Sequence[str]: ...

    def features(self, columns: Sequence[str], /) -> Iterator[RawFeature]: ...


def _opened(
    found: VectorSource, *, layer: str | None, limits: ReadLimits, env: Mapping[str, str] | None
) -> _File:
    if found.is_parquet:
        from spatial_assets.stores.vectors.parquet import GeoParquetFile

        return GeoParquetFile(found, load_bytes(found, env) if found.folder is None else None)
    from spatial_assets.stores.vectors.gdal import GdalFile

    if not found.uri.lower().endswith(_GEOJSON) or found.size > GEOJSON_BYTES:
        return GdalFile(found, layer=layer, limits=limits)
    try:
        return GeoJsonFile(found.uri, load_bytes(found, env))
    except NotGeoJsonError as refusal:
        # GDAL reads TopoJSON or a bare geometry; neither reads a truncated file.
        try:
            return GdalFile(found, layer=layer, limits=limits)
        except VectorError as error:
            raise VectorError(f"{refusal}; {error}") from error


def _require(found: VectorSource, requested: Sequence[str], columns: Sequence[str]) -> None:
    missing = [name for name in requested if name not in columns]
    if not missing:
        return
    path = Path(found.gdal_path)
    hint = ""
    if found.folder is not None and (path.suffix.lower() == ".shp" or path.is_dir()):
        stems = path.glob("*.shp") if path.is_dir() else [path]
        lost = [stem.name for stem in stems if not stem.with_suffix(".dbf").exists()]
        hint = f" (the .dbf of {', '.join(lost)} is missing: it holds all columns)" if lost else ""
    raise VectorError(
        f"{found.uri} has no column {', '.join(map(repr, missing))}; "
        f"it has {', '.join(map(repr, columns)) or 'none'}{hint}"
    )


def _sized(features: Iterator[RawFeature], limits: ReadLimits) -> Iterator[RawFeature]:
    """Refuse a file with too many features; mark a feature that is too large."""
    for count, feature in enumerate(features, start=1):
        if count > limits.features:
            raise VectorError(f"more than {limits.features:,} features, the limit")
        size = len(feature.wkb or b"")
        if size <= limits.geometry_bytes:
            yield feature
            continue
        message = f"a geometry of {size:,} bytes; the limit is {limits.geometry_bytes:,}"
        yield replace(feature, wkb=None, problem=Defect("too_large", message, {"bytes": size}))
