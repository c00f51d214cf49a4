"""Polygons of a box or of a vector file, always in longitude and latitude.

The only module of this floor that loads numpy, shapely and pyproj: import it in a function.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError
from shapely import MultiPolygon, Polygon
from shapely.errors import ShapelyError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from spatial_assets.errors import SettingsError
from spatial_assets.geo.lonlat import CRS84, EPSG_4326
from spatial_assets.project.base import bounded_bytes

_GEOJSON = {".geojson", ".json"}
_ALREADY_LONLAT = (CRS(CRS84), CRS(EPSG_4326))  # readers give x, y whatever the CRS says
MAX_GEOJSON_BYTES = 64 << 20  # held in memory, several times as large once parsed
MAX_VECTOR_FILE_BYTES = 1 << 30
_MALFORMED = (
    *(ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError),
    *(RecursionError, OSError, ShapelyError),
)
_SEGMENTS = 64  # an edge as long as the area is divided into this many


def box_polygon(west: float, south: float, east: float, north: float) -> Polygon | MultiPolygon:
    """Return a box in degrees; with west > east it crosses the antimeridian in two parts."""
    if west < east:
        return shapely.box(west, south, east, north)
    parts = [(west, 180.0), (-180.0, east)]
    boxes = [shapely.box(left, south, right, north) for left, right in parts if left < right]
    return boxes[0] if len(boxes) == 1 else MultiPolygon(boxes)


def read_area(path: Path) -> BaseGeometry:
    """Return the union of the polygons in a vector file, in lon/lat.

    GeoJSON is read without GDAL; everything else through pyogrio.

    Raises:
        SettingsError: its message is "problem; remedy" and does not name the file.
    """
    if not path.is_file():
        message = f"there is no file {path}; correct the path, relative to the project folder"
        raise SettingsError(message)
    read = _read_geojson if path.suffix.lower() in _GEOJSON else _read_vectors
    geometries, crs = read(path)
    if not geometries:
        message = "contains no geometry; give a file of polygons"
        raise SettingsError(message)
    if crs not in _ALREADY_LONLAT:
        geometries = [_to_lonlat(geometry, crs) for geometry in geometries]
    return _valid_area(geometries)


def _to_lonlat(geometry: BaseGeometry, crs: CRS) -> BaseGeometry:
    """Return a geometry in lon/lat, with its long edges divided first so that they do not move."""
    west, south, east, north = geometry.bounds
    step = max(east - west, north - south) / _SEGMENTS
    fine = shapely.segmentize(geometry, step) if step > 0 else geometry
    to_lonlat = Transformer.from_crs(crs, CRS84, always_xy=True)

    def moved(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(to_lonlat.transform(xy[:, 0], xy[:, 1]))

    return shapely.transform(fine, moved)


def _valid_area(geometries: list[BaseGeometry]) -> BaseGeometry:
    """Return the union of geometries; refuse other types, invalid ones and other coordinates."""
    for number, geometry in enumerate(geometries):
        if geometry.geom_type not in ("Polygon", "MultiPolygon"):
            message = f"feature {number} is a {geometry.geom_type}; give polygons only"
            raise SettingsError(message)
        if not geometry.is_valid:
            reason = shapely.is_valid_reason(geometry)
            message = f"feature {number} is not valid ({reason}); repair it, e.g. with make_valid"
            raise SettingsError(message)
    union = shapely.union_all(geometries)
    west, south, east, north = union.bounds if not union.is_empty else (math.nan,) * 4
    if not (west >= -180 and east <= 180 and south >= -90 and north <= 90):  # noqa: PLR2004  (degrees)
        message = (
            f"its bounds {west:g}, {south:g}, {east:g}, {north:g} are not degrees on the earth; "
            "give lon/lat coordinates (RFC 7946), cut at the antimeridian"
        )
        raise SettingsError(message)
    return union


def _read_geojson(path: Path) -> tuple[list[BaseGeometry], CRS]:
    """Return the geometries of a GeoJSON file and their CRS, which is lon/lat by default."""
    remedy = "give a GeoJSON file of polygons"
    try:
        document = json.loads(bounded_bytes(path, MAX_GEOJSON_BYTES))
        features = document.get("features", [document])
        geometries = [
            shape(feature.get("geometry", feature) if feature["type"] == "Feature" else feature)
            for feature in features
        ]
        name = ((document.get("crs") or {}).get("properties") or {}).get("name", CRS84)
        return geometries, CRS.from_user_input(name)
    except CRSError as error:
        message = f"its crs member is not known to PROJ; {remedy} in lon/lat"
        raise SettingsError(message) from error
    except _MALFORMED as error:
        message = f"is not GeoJSON ({type(error).__name__}: {error}); {remedy}"
        raise SettingsError(message) from error


def _read_vectors(path: Path) -> tuple[list[BaseGeometry], CRS]:
    """Return the geometries of any vector file that GDAL reads, and its CRS."""
    from pyogrio.errors import DataSourceError
    from pyogrio.raw import read

    if path.stat().st_size > MAX_VECTOR_FILE_BYTES:
        message = f"has more than {MAX_VECTOR_FILE_BYTES:,} bytes; give only its outline"
        raise SettingsError(message)
    try:
        facts, _, shapes, _ = read(path, columns=[])
        geometries = [shapely.from_wkb(wkb) for wkb in shapes if wkb is not None]
    except (DataSourceError, ShapelyError) as error:
        message = f"GDAL cannot read it ({error}); give a vector file of polygons"
        raise SettingsError(message) from error
    if not facts["crs"]:
        message = (
            "has no CRS, and none is assumed; write one into the file, e.g. with ogr2ogr -a_srs"
        )
        raise SettingsError(message)
    return geometries, CRS.from_user_input(facts["crs"])
