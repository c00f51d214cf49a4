"""GeoJSON feature by feature, each geometry encoded as WKB without repair.

GDAL turns an unreadable geometry into none, drops items that are not features, and refuses a whole
file for one bad number; here every item reaches geo/vectors/repair.py, which reports the problem.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence

from pyproj import CRS
from pyproj.exceptions import CRSError

from spatial_assets.errors import VectorError
from spatial_assets.geo.lonlat import CRS84
from spatial_assets.geo.vectors.features import Defect, RawFeature

SEQUENCES = (".geojsonl", ".geojsons", ".ndjson", ".jsonl")
"""Suffixes of files with one feature per line."""

_POINT, _LINE, _POLYGON = 1, 2, 3
_TYPES = {
    "Point": 1,
    "LineString": 2,
    "Polygon": 3,
    "MultiPoint": 4,
    "MultiLineString": 5,
    "MultiPolygon": 6,
    "GeometryCollection": 7,
}
_MEMBERS = {"MultiPoint": "Point", "MultiLineString": "LineString", "MultiPolygon": "Polygon"}
_MAX_DEPTH = 16  # of collections within collections


class NotGeoJsonError(ValueError):
    """Not JSON, truncated, or not a FeatureCollection: GDAL may still read it."""


class GeoJsonFile:
    """A FeatureCollection, or a sequence of features, in memory."""

    driver = "GeoJSON"
    notes: tuple[str, ...] = ()

    def __init__(self, uri: str, data: bytes, *, is_sequence: bool) -> None:
        document = _lines(data) if is_sequence else _parsed(uri, data)
        items = document.get("features")
        if not isinstance(items, list) or document.get("type") != "FeatureCollection":
            raise NotGeoJsonError(f"{uri} is not a GeoJSON FeatureCollection")
        self._items = items
        self.crs = _declared_crs(uri, document)
        names = {"id": None} if any(isinstance(i, dict) and "id" in i for i in items) else {}
        for item in items:
            names.update(dict.fromkeys(_properties(item)))
        self.columns = tuple({**names, "fid": None})

    def features(self, columns: Sequence[str]) -> Iterator[RawFeature]:
        """Read each item as a feature, or as a feature with a problem."""
        for index, item in enumerate(self._items):
            known = _properties(item)
            if "id" in columns and "id" not in known and isinstance(item, dict):
                known = {**known, "id": item.get("id")}
            known = {"fid": index, **known}
            requested = {name: known.get(name) for name in columns}
            wkb, problem = packed(item.get("geometry") if isinstance(item, dict) else item)
            yield RawFeature(index=index, properties=requested, wkb=wkb, problem=problem)


def _parsed(uri: str, data: bytes) -> Mapping[str, object]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise NotGeoJsonError(f"{uri} is not complete GeoJSON: {error}") from error
    return document if isinstance(document, dict) else {}


def _lines(data: bytes) -> Mapping[str, object]:
    """Parse one feature per line (RFC 8142); keep a line that is not JSON as text."""
    items: list[object] = []
    for line in data.splitlines():
        text = line.strip(b" \t\x1e")
        try:
            items += [json.loads(text)] if text else []
        except (ValueError, RecursionError):
            items.append(text.decode("utf-8", errors="replace"))
    return {"type": "FeatureCollection", "features": items}


def _properties(item: object) -> Mapping[str, object]:
    properties = item.get("properties") if isinstance(item, dict) else None
    return properties if isinstance(properties, dict) else {}


def _declared_crs(uri: str, document: Mapping[str, object]) -> CRS | None:
    """CRS by the `crs` member (GeoJSON 2008), else lon/lat (RFC 7946); None if it is null."""
    if "crs" not in document:
        return CRS.from_user_input(CRS84)
    declared = document["crs"]
    if declared is None:
        return None
    properties = declared.get("properties") if isinstance(declared, dict) else None
    named = properties if isinstance(properties, dict) else {}
    try:
        return CRS.from_user_input(named.get("name") or int(named["code"]))
    except (CRSError, KeyError, TypeError, ValueError) as error:
        raise VectorError(
            f"{uri} declares a CRS that cannot be read, {declared}: {error}"
        ) from error


def packed(geometry: object) -> tuple[bytes | None, Defect | None]:
    """Encode a GeoJSON geometry as 2D WKB, valid or not, or return the reason if impossible."""
    if geometry is None:
        return None, None
    try:
        return _pack(geometry, 0), None
    except (TypeError, ValueError, KeyError, OverflowError, struct.error) as error:
        shown = json.dumps(geometry)[:60]
        message = f"not a GeoJSON geometry ({type(error).__name__}: {error}): {shown}"
        return None, Defect("unreadable_geometry", message)


def _pack(geometry: object, depth: int) -> bytes:
    if not isinstance(geometry, dict):
        raise TypeError("wanted an object with type and coordinates")
    name = geometry.get("type")
    if not isinstance(name, str) or name not in _TYPES:
        raise ValueError(f"unknown type {name!r}")
    if depth > _MAX_DEPTH:
        raise ValueError(f"collections nested deeper than {_MAX_DEPTH}")
    if name == "GeometryCollection":
        parts = [_pack(part, depth + 1) for part in geometry["geometries"]]
    elif name in _MEMBERS:
        member = _TYPES[_MEMBERS[name]]
        parts = [_simple(member, coordinates) for coordinates in geometry["coordinates"]]
    else:
        return _simple(_TYPES[name], geometry["coordinates"])
    return _header(_TYPES[name]) + struct.pack("<I", len(parts)) + b"".join(parts)


def _simple(kind: int, coordinates: object) -> bytes:
    listed = _listed(coordinates)
    if kind == _POINT:
        return _header(kind) + _position(listed)
    if kind == _LINE:
        return _header(kind) + _positions(listed)
    rings = [_positions(_listed(ring)) for ring in listed]
    return _header(kind) + struct.pack("<I", len(rings)) + b"".join(rings)


def _header(kind: int) -> bytes:
    return struct.pack("<BI", 1, kind)


def _positions(listed: Sequence[object]) -> bytes:
    return struct.pack("<I", len(listed)) + b"".join(_position(_listed(p)) for p in listed)


def _position(listed: Sequence[object]) -> bytes:
    x, y = listed[:2]
    return struct.pack("<2d", x, y)


def _listed(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError(f"wanted a list, got {value!r}")
    return value
