"""Reading boundaries files of any format, feature by feature, from disk or S3.

geo/vectors/validate.py decides which features are usable, `validated` stores those. The library of
a format is imported when a file of that format is opened: sensors and the command line import this
module, and pyarrow and pyogrio would cost them 0.3 s and 110 MB.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from pyproj import CRS
from pyproj.exceptions import CRSError

from spatial_assets.errors import VectorError
from spatial_assets.geo.vectors.features import Defect, RawFeature
from spatial_assets.geo.vectors.to_lonlat import SourceCrs, has_position
from spatial_assets.stores.vectors.geojson import SEQUENCES, GeoJsonFile, NotGeoJsonError
from spatial_assets.stores.vectors.source import ReadLimits, VectorSource, locate_source
from spatial_assets.stores.vectors.staging import StagedSource
from spatial_assets.stores.vectors.values import Undecodable, plain_value

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

    notes: tuple[str, ...] = ()
    """Doubts about the file that do not prevent its use."""


def read_features(
    source: str | VectorSource,
    *,
    columns: Sequence[str],
    layer: str | None = None,
    limits: ReadLimits | None = None,
    env: Mapping[str, str] | None = None,
    crs: str | None = None,
) -> RawFeatures:
    """Open a boundaries file: a local path or s3://.

    Args:
        source: path or URI, or what `locate_source` found there; in a zip archive or not:
            GeoPackage, shapefile, GeoJSON, FlatGeobuf, GeoParquet, FileGDB, GML, KML, MapInfo.
        columns: key column and columns to keep; the feature id is available by its column name.
        layer: name of the layer, required if several layers have geometries.
        limits: maximum sizes; default `ReadLimits()`.
        env: source of S3 keys and endpoint; default: the process environment.
        crs: CRS that the user states for a file without one, as authority:code.

    Raises:
        VectorError: the file as a whole is unusable; the message has the reason.
        SourceUnavailableError: S3 did not answer.
    """
    bounds = limits or ReadLimits()
    if isinstance(source, VectorSource):
        found = source
    else:
        found = locate_source(source, limits=bounds, env=env)
    requested = tuple(dict.fromkeys(columns))
    staged = StagedSource(found, limits=bounds)
    file = _opened(staged, layer=layer, limits=bounds)
    _require(staged, requested, file.columns)
    known, stated = _crs(found.uri, file.crs, crs)
    return RawFeatures(
        source=found,
        driver=file.driver,
        crs=SourceCrs.of(known, source=found.uri).crs,
        columns=requested,
        features=_sized(map(_with_plain_values, file.features(requested)), bounds),
        notes=(*file.notes, *stated),
    )


def _crs(uri: str, declared: CRS | None, stated: str | None) -> tuple[CRS | None, tuple[str, ...]]:
    """Return the CRS of a file, and a note if the user has stated it.

    Raises:
        VectorError: PROJ does not know the stated CRS, or the file declares another one.
    """
    if stated is None:
        return declared, ()
    try:
        crs = CRS.from_user_input(stated)
    except CRSError as error:
        raise VectorError(f"crs = {stated!r} in [[boundaries]]: PROJ has none: {error}") from error
    if declared is not None and has_position(declared):
        if declared.equals(crs, ignore_axis_order=True):
            return declared, ()
        raise VectorError(
            f"{uri} declares the CRS {declared.name!r}, but crs = {stated!r} in [[boundaries]]: "
            "remove it there, or correct the file"
        )
    return crs, (f"the file declares no CRS; crs = {stated!r} is stated in [[boundaries]]",)


class _File(Protocol):
    """An opened file of any format."""

    @property
    def driver(self) -> str: ...

    @property
    def crs(self) -> CRS | None: ...

    @property
    def columns(self) -> Sequence[str]: ...

    @property
    def notes(self) -> tuple[str, ...]: ...

    def features(self, columns: Sequence[str], /) -> Iterator[RawFeature]: ...


def _opened(staged: StagedSource, *, layer: str | None, limits: ReadLimits) -> _File:
    if staged.is_parquet:
        from spatial_assets.stores.vectors.parquet import GeoParquetFile

        return GeoParquetFile(staged)
    from spatial_assets.stores.vectors.gdal import GdalFile

    name = staged.path.name.lower()
    if not name.endswith(_GEOJSON) or staged.path.stat().st_size > GEOJSON_BYTES:
        return GdalFile(staged, layer=layer, limits=limits)
    try:
        data = staged.path.read_bytes()
        return GeoJsonFile(staged.uri, data, is_sequence=name.endswith(SEQUENCES))
    except NotGeoJsonError as refusal:
        # GDAL reads TopoJSON or a bare geometry; neither reads a truncated file.
        try:
            return GdalFile(staged, layer=layer, limits=limits)
        except VectorError as error:
            raise VectorError(f"{refusal}; {error}") from error


def _require(staged: StagedSource, requested: Sequence[str], columns: Sequence[str]) -> None:
    missing = [name for name in requested if name not in columns]
    if not missing:
        return
    path, hint = staged.path, ""
    if path.suffix.lower() == ".shp" or path.is_dir():
        stems = path.glob("*.shp") if path.is_dir() else [path]
        lost = [stem.name for stem in stems if not stem.with_suffix(".dbf").exists()]
        hint = f" (the .dbf of {', '.join(lost)} is missing: it holds all columns)" if lost else ""
    raise VectorError(
        f"{staged.uri} has no column {', '.join(map(repr, missing))}; "
        f"it has {', '.join(map(repr, columns)) or 'none'}{hint}"
    )


def _with_plain_values(feature: RawFeature) -> RawFeature:
    """Return the feature with values that a table has, or with the problem of its text."""
    values = {name: plain_value(value) for name, value in feature.properties.items()}
    bad = {name: value for name, value in values.items() if isinstance(value, Undecodable)}
    if not bad:
        return replace(feature, properties=values)
    shown = {name: str(value) if name in bad else value for name, value in values.items()}
    name, first = next(iter(bad.items()))
    message = (
        f"column {name!r} is {str(first)!r}, which is not {first.encoding} as the file declares: "
        "correct the text, or the encoding that the file declares"
    )
    problem = feature.problem or Defect("undecodable_text", message, {"columns": sorted(bad)})
    return replace(feature, properties=shown, problem=problem)


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
