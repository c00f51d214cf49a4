"""Validated boundaries as GeoParquet bytes, and the quarantined ones as a JSON record.

Bytes in memory: `layout` has their paths, the pipeline puts them. The same features and facts give
the same bytes, so a repeated run without changes changes no object. pyarrow and geopandas are
imported in the functions: sensors and the command line import this module.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

import shapely
from pyproj import CRS

from spatial_assets.errors import VectorError
from spatial_assets.geo.lonlat import EPSG_4326
from spatial_assets.geo.vectors.earlier import (
    EarlierResults,
    JudgedGeometry,
    Operation,
    nothing_earlier,
)
from spatial_assets.geo.vectors.features import Defect, ValidatedFeatures, ValidFeature
from spatial_assets.stores.rows import ColumnType

if TYPE_CHECKING:
    import geopandas as gpd
    import pyarrow as pa


OWN_COLUMNS = ("key", "area_m2", "feature_fingerprint", "geometry")
"""Reserved columns; a configured column must have another name."""

SOURCE_DIGEST, JUDGEMENT = JUDGEMENT_COLUMNS = ("_source_digest", "_judgement")
"""Columns for the next validation: the hash of a geometry as read, and what was noted about it."""

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
    """Decode validated boundaries, as users see them; `attrs` has the facts written with them.

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
    return frame.drop(columns=[name for name in JUDGEMENT_COLUMNS if name in frame.columns])


@dataclass(frozen=True, eq=False)
class StoredValidation:
    """A file of validated boundaries, read for the next validation."""

    facts: Mapping[str, object]
    """Facts that it was written with."""

    table: pa.Table

    @classmethod
    def of(cls, data: bytes) -> StoredValidation:
        """Read a file as a whole.

        Raises:
            VectorError: the bytes were not written by `write_validated`.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(io.BytesIO(data))
            metadata = table.schema.metadata or {}
            facts = json.loads(metadata[_FACTS])
            table.select(OWN_COLUMNS)
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            raise VectorError(f"not a validated boundaries file: {error}") from error
        return cls({str(name): value for name, value in facts.items()}, table)

    def earlier_results(self) -> EarlierResults:
        """Return the judgements of its geometries; none if it was written by earlier code."""
        if not set(JUDGEMENT_COLUMNS) <= set(self.table.column_names):
            return nothing_earlier
        rows = {digest: row for row, digest in enumerate(self.table[SOURCE_DIGEST].to_pylist())}
        shapes = shapely.from_wkb(self.table["geometry"].to_numpy())
        areas = self.table["area_m2"].to_pylist()
        notes = self.table[JUDGEMENT].to_pylist()

        def find(digest: bytes) -> JudgedGeometry | None:
            row = rows.get(digest)
            if row is None:
                return None
            repairs, operation = _noted(notes[row])
            return JudgedGeometry(
                geometry=shapes[row], area_m2=areas[row], repairs=repairs, operation=operation
            )

        return find


def _judgement_note(feature: ValidFeature) -> str | None:
    """Note of repairs and operation as JSON; None for nearly every feature."""
    if not feature.repairs and feature.operation is None:
        return None
    repairs = [(each.reason, each.message, each.evidence) for each in feature.repairs]
    return json.dumps([repairs, feature.operation], ensure_ascii=False)


def _noted(note: str | None) -> tuple[tuple[Defect, ...], Operation | None]:
    if note is None:
        return (), None
    repairs, operation = json.loads(note)
    return tuple(Defect(*each) for each in repairs), tuple(operation) if operation else None


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
    arrays["feature_fingerprint"] = pa.array(validated.fingerprints, pa.string())
    arrays["geometry"] = pa.array(validated.wkb, pa.binary())
    if not set(columns) & set(JUDGEMENT_COLUMNS):
        digests, notes = [f.digest for f in kept], [_judgement_note(f) for f in kept]
        arrays[SOURCE_DIGEST] = pa.array(digests, pa.binary())
        arrays[JUDGEMENT] = pa.array(notes, pa.string())
    written = {
        **facts,
        "key_type": validated.key_type,
        "fingerprint": validated.fingerprint,
        "report": validated.report,
    }
    metadata = {
        b"geo": json.dumps(_geo(kept), sort_keys=True).encode(),
        _FACTS: json.dumps(written, sort_keys=True, default=str, ensure_ascii=False).encode(),
    }
    return pa.table(arrays).replace_schema_metadata(metadata)


def read_typed_columns(data: bytes, names: Sequence[str]) -> dict[str, TypedColumn]:
    """Read columns of validated boundaries with the types of their source, by name.

    Raises:
        VectorError: the bytes were not written by `write_validated`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(data), columns=[*names])
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise VectorError(f"not a validated boundaries file: {error}") from error
    return {name: _typed(table[name]) for name in names}


@dataclass(frozen=True)
class TypedColumn:
    """Values of a column and their type."""

    kind: ColumnType | None
    """Type of the values; None if all are missing."""

    values: Sequence[object]
    """Values in the order of the features; None if missing."""


def _typed(column: pa.ChunkedArray) -> TypedColumn:
    import pyarrow as pa

    values = column.to_pylist()
    if column.null_count == len(column):
        return TypedColumn(None, values)
    types = pa.types
    kinds: tuple[tuple[Callable[[pa.DataType], bool], ColumnType], ...] = (
        (types.is_integer, "integer"),
        (types.is_floating, "number"),
        (types.is_boolean, "boolean"),
        (types.is_date, "date"),
    )
    if types.is_timestamp(column.type):
        return TypedColumn("local_timestamp" if column.type.tz is None else "timestamp", values)
    kind = next((kind for is_kind, kind in kinds if is_kind(column.type)), None)
    if kind is not None:
        return TypedColumn(kind, values)
    return TypedColumn("text", [None if value is None else str(value) for value in values])


def _column(values: Sequence[object]) -> pa.Array:
    """Array of the type of its values; text if it has none, or values of several types."""
    import pyarrow as pa

    values = [None if value != value else value for value in values]  # noqa: PLR0124 - NaN
    if _has_one_type(values):
        try:
            array = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            pass
        else:
            is_storable = not pa.types.is_null(array.type) and array.type != pa.uint64()
            return array if is_storable else array.cast(pa.string())
    return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _has_one_type(values: Sequence[object]) -> bool:
    """Return False for values that Arrow would take together, but no table does.

    Dates with times and without, times with a zone and without, and infinities.
    """
    days = {type(v) for v in values if isinstance(v, date)}
    zones = {v.utcoffset() is None for v in values if isinstance(v, datetime)}
    finite = all(math.isfinite(v) for v in values if isinstance(v, float))
    return finite and len(zones) <= 1 and len(days) <= 1


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date) else str(value)


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
