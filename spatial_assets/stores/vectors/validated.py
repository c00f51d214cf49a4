"""Validated boundaries as GeoParquet bytes, and the quarantined ones as a JSON record.

Bytes in memory: `layout` has their paths, the pipeline puts them. The same features and facts give
the same bytes, so a repeated run without changes changes no object. pyarrow and geopandas are
imported in the functions: sensors and the command line import this module.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import shapely
from pyproj import CRS

from spatial_assets.errors import VectorError
from spatial_assets.geo.lonlat import EPSG_4326
from spatial_assets.geo.vectors.features import ValidatedFeatures, ValidFeature

if TYPE_CHECKING:
    import geopandas as gpd
    import pyarrow as pa


OWN_COLUMNS = ("key", "area_m2", "feature_fingerprint", "geometry")
"""Reserved columns; a configured column must have another name."""

_FACTS = b"spatial_assets"


def write_validated(
    validated: ValidatedFeatures, *, columns: Sequence[str], facts: Mapping[str, object]
) -> bytes:
    """Encode as GeoParquet: the key, the configured columns, and the reserved ones (EPSG:4326).

    Args:
        validated: result of the validation; its kept features are written in file order.
        columns: the configured columns, in order.
        facts: JSON types: source, its version, settings; versions of GDAL, PROJ and GEOS.
            The fingerprint of the set and its report are added.

    Raises:
        VectorError: a configured column has a reserved name.
    """
    import pyarrow.parquet as pq

    taken = sorted(set(columns) & set(OWN_COLUMNS))
    if taken:
        raise VectorError(f"columns {', '.join(taken)} are reserved: rename them in the source")
    buffer = io.BytesIO()
    pq.write_table(_table(validated, columns=columns, facts=facts), buffer, compression="zstd")
    return buffer.getvalue()


def read_validated(data: bytes) -> gpd.GeoDataFrame:
    """Decode validated boundaries; `attrs` has the facts they were written with.

    Raises:
        VectorError: the bytes were not written by `write_validated`.
    """
    import geopandas as gpd
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        frame = gpd.read_parquet(io.BytesIO(data))
        metadata = pq.read_schema(io.BytesIO(data)).metadata or {}
        frame.attrs.update(json.loads(metadata[_FACTS]))
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise VectorError(f"not a validated boundaries file: {error}") from error
    return frame


def write_quarantined(validated: ValidatedFeatures, *, facts: Mapping[str, object]) -> bytes:
    """Encode all quarantined features as JSON, without loss of source data.

    `wkb` is the geometry as read, in hex, in the CRS that `crs` names.
    """
    records = [
        {
            "index": feature.index,
            "key": feature.key,
            "reason": feature.reason,
            "message": feature.message,
            "evidence": feature.evidence,
            "properties": feature.properties,
            "wkb": feature.wkb.hex() if feature.wkb is not None else None,
        }
        for feature in validated.quarantined
    ]
    document = {
        **facts,
        "crs": validated.source_crs.to_json_dict(),
        "report": validated.report,
        "features": records,
    }
    text = json.dumps(document, default=str, ensure_ascii=False, sort_keys=True, indent=1)
    return text.encode()


def library_versions() -> dict[str, str]:
    """Versions of the libraries that decide the coordinates: GDAL, PROJ and GEOS of the wheels."""
    import pyogrio
    import pyproj

    return {
        "gdal": ".".join(map(str, pyogrio.__gdal_version__)),
        "proj": str(pyproj.proj_version_str),
        "geos": ".".join(map(str, shapely.geos_version)),
    }


def _table(
    validated: ValidatedFeatures, *, columns: Sequence[str], facts: Mapping[str, object]
) -> pa.Table:
    import pyarrow as pa

    kept = validated.kept
    arrays: dict[str, pa.Array] = {"key": pa.array([f.key for f in kept], pa.string())}
    for name in columns:
        arrays[name] = _column([feature.properties.get(name) for feature in kept])
    arrays["area_m2"] = pa.array([f.area_m2 for f in kept], pa.float64())
    arrays["feature_fingerprint"] = pa.array([f.fingerprint for f in kept], pa.string())
    wkb = [shapely.to_wkb(f.geometry, byte_order=1, output_dimension=2) for f in kept]
    arrays["geometry"] = pa.array(wkb, pa.binary())
    written = {**facts, "fingerprint": validated.fingerprint, "report": validated.report}
    metadata = {
        b"geo": json.dumps(_geo(kept), sort_keys=True).encode(),
        _FACTS: json.dumps(written, sort_keys=True, default=str, ensure_ascii=False).encode(),
    }
    return pa.table(arrays).replace_schema_metadata(metadata)


def _column(values: Sequence[object]) -> pa.Array:
    """Array of the type of its values; text if it has none, or values of several types."""
    import pyarrow as pa

    try:
        array = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else str(value) for value in values], pa.string())
    return array.cast(pa.string()) if pa.types.is_null(array.type) else array


def _geo(kept: Sequence[ValidFeature]) -> dict[str, object]:
    """GeoParquet 1.1 metadata."""
    column: dict[str, object] = {
        "encoding": "WKB",
        "geometry_types": ["MultiPolygon"] if kept else [],
        "crs": CRS.from_user_input(EPSG_4326).to_json_dict(),
        "edges": "planar",
        "orientation": "counterclockwise",
    }
    if kept:
        column["bbox"] = shapely.total_bounds([f.geometry for f in kept]).tolist()
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
