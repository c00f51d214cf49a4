"""Boundaries files, read feature by feature, from disk or S3, whatever format they are in.

Reading only: which features are usable is decided in geo/vectors/validate.py, how the usable
ones are kept in validated.py.
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
from spatial_assets.stores.vectors.gdal import GdalFile
from spatial_assets.stores.vectors.geojson import SEQUENCES, GeoJsonFile, NotGeoJsonError
from spatial_assets.stores.vectors.parquet import GeoParquetFile
from spatial_assets.stores.vectors.source import ReadLimits, VectorSource, load_bytes, locate_source

__all__ = ["RawFeatures", "ReadLimits", "read_features"]

_GEOJSON = (".geojson", ".json", *SEQUENCES)

GEOJSON_BYTES = 64 * 1024**2
"""Up to here GeoJSON is parsed by us, who tell what is wrong with each feature; beyond, by GDAL."""


@dataclass(frozen=True, kw_only=True)
class RawFeatures:
    """A boundaries file whose CRS and columns are known to be there."""

    source: VectorSource
    """Where it is, how big, and its version."""

    driver: str
    """GDAL's name of the format, or "Parquet"."""

    crs: CRS
    """On the Earth, never guessed."""

    columns: tuple[str, ...]
    """The columns each feature carries."""

    features: Iterator[RawFeature]
    """Once through, in the order of the file; reading happens as it is walked."""


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
        columns: the key column and the columns to carry; the feature id is a column by its name.
        layer: needed where the file has several layers with geometries.
        limits: what is too big; default `ReadLimits()`.
        env: where S3 keys and endpoint come from; default: the process environment.

    Raises:
        VectorError: the file as a whole cannot be used; says why.
        SourceUnavailableError: S3 did not answer.
    """
    bounds = limits or ReadLimits()
    found = locate_source(source, limits=bounds, env=env)
    wanted = tuple(dict.fromkeys(columns))
    file = _opened(found, layer=layer, limits=bounds, env=env)
    _require(found, wanted, file.columns)
    return RawFeatures(
        source=found,
        driver=file.driver,
        crs=SourceCrs.of(file.crs, source=source).crs,
        columns=wanted,
        features=_sized(file.features(wanted), bounds),
    )


class _File(Protocol):
    """What every kind of file answers before its features are read."""

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
        return GeoParquetFile(found, load_bytes(found, env) if found.folder is None else None)
    if not found.uri.lower().endswith(_GEOJSON) or found.size > GEOJSON_BYTES:
        return GdalFile(found, layer=layer, limits=limits)
    try:
        return GeoJsonFile(found.uri, load_bytes(found, env))
    except NotGeoJsonError as refusal:
        # TopoJSON or a bare geometry is GDAL's; what is cut short, neither's
        try:
            return GdalFile(found, layer=layer, limits=limits)
        except VectorError as error:
            raise VectorError(f"{refusal}; {error}") from error


def _require(found: VectorSource, wanted: Sequence[str], columns: Sequence[str]) -> None:
    missing = [name for name in wanted if name not in columns]
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
    """Refuse the file beyond its number of features, and a feature beyond its size."""
    for count, feature in enumerate(features, start=1):
        if count > limits.features:
            raise VectorError(f"more than {limits.features:,} features, the limit")
        size = len(feature.wkb or b"")
        if size <= limits.geometry_bytes:
            yield feature
            continue
        message = f"a geometry of {size:,} bytes; the limit is {limits.geometry_bytes:,}"
        yield replace(feature, wkb=None, problem=Defect("too_large", message, {"bytes": size}))
