"""Where a scene lies on the globe, and what day it is there: lon/lat, antimeridian included."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import numpy as np
import shapely
from shapely.affinity import translate
from shapely.errors import ShapelyError
from shapely.geometry.base import BaseGeometry

from spatial_assets.errors import SceneError

HALF_TURN = 180.0
FULL_TURN = 360.0
DEGREES_PER_HOUR = 15.0
POLE = 90.0
POLE_SLACK = 1e-6  # catalogues round; the pole is still the pole

_MALFORMED = (
    *(TypeError, ValueError, KeyError, IndexError, AttributeError),
    *(OverflowError, RecursionError, ShapelyError),
)


def footprint_of(item: Mapping[str, object]) -> BaseGeometry:
    """The item's geometry, else its bbox, as polygons in one piece: longitudes may run past 180.

    Raises:
        SceneError: the item has neither, or what it has is not an area on the globe.
    """
    geometry, bbox = item.get("geometry"), item.get("bbox")
    if geometry is None and bbox is None:
        raise SceneError("the item has neither geometry nor bbox", reason="no_footprint")
    try:
        with np.errstate(invalid="ignore"):  # numbers that are none are refused just below
            polygons = _polygons(shapely.force_2d(_shape(geometry, bbox)))
    except _MALFORMED as error:
        raise SceneError(
            f"the item's geometry is malformed: {type(error).__name__}: {str(error)[:200]}",
            reason="bad_footprint",
        ) from error
    west, south, east, north = shapely.bounds(polygons)
    inside = -POLE - POLE_SLACK <= south < north <= POLE + POLE_SLACK
    if not (inside and -FULL_TURN <= west < east <= 2 * FULL_TURN):
        raise SceneError(
            f"the item's geometry is no area on the globe: bounds {west}, {south}, {east}, {north}",
            reason="bad_footprint",
        )
    return _in_one_piece(polygons)


def rolled(footprint: BaseGeometry) -> BaseGeometry:
    """The same area with longitudes within -180..180, cut where it crosses the antimeridian."""
    west, _, east, _ = shapely.bounds(footprint)
    if west >= -HALF_TURN and east <= HALF_TURN:
        return footprint
    pieces = []
    first = int(np.floor((west + HALF_TURN) / FULL_TURN))
    last = int(np.floor((east + HALF_TURN) / FULL_TURN))
    for turn in range(first, last + 1):
        middle = turn * FULL_TURN
        box = shapely.box(middle - HALF_TURN, -POLE, middle + HALF_TURN, POLE)
        pieces.append(translate(shapely.intersection(footprint, box), xoff=-middle))
    return _polygons(shapely.union_all(pieces))


def solar_day(moment: dt.datetime, footprint: BaseGeometry) -> dt.date:
    """The date at mean solar time where the footprint's centroid is.

    Args:
        moment: UTC.
        footprint: as `footprint_of` gives it, in one piece.
    """
    longitude = shapely.centroid(footprint).x
    longitude = (longitude + HALF_TURN) % FULL_TURN - HALF_TURN
    return (moment + dt.timedelta(hours=longitude / DEGREES_PER_HOUR)).date()


def _shape(geometry: object, bbox: object) -> BaseGeometry:
    """The geometry, else the box."""
    if geometry is None:
        return _box(bbox)
    return shapely.geometry.shape(geometry)  # type: ignore[arg-type]  # else it is malformed


def _box(bbox: object) -> BaseGeometry:
    """The polygon of a STAC bbox, of four numbers or six; west may be greater than east."""
    numbers = [float(number) for number in bbox]  # type: ignore[attr-defined]  # else TypeError
    west, south, east, north = numbers if len(numbers) == 4 else (*numbers[:2], *numbers[3:5])  # noqa: PLR2004 - STAC's two forms
    return shapely.box(west, south, east + FULL_TURN if east < west else east, north)


def _polygons(shape: BaseGeometry) -> BaseGeometry:
    """The polygonal parts of a geometry, valid; possibly empty."""
    if not np.isfinite(shapely.get_coordinates(shape)).all():
        raise ValueError("a coordinate is not a number")
    whole = shape if shapely.is_valid(shape) else shapely.make_valid(shape)
    parts = [part for part in _parts(whole) if part.geom_type == "Polygon" and not part.is_empty]
    if not parts:
        raise ValueError(f"no polygon in a {shape.geom_type}")
    return parts[0] if len(parts) == 1 else shapely.union_all(parts)


def _parts(shape: BaseGeometry) -> list[BaseGeometry]:
    """The simple geometries within, however deep."""
    if not hasattr(shape, "geoms"):
        return [shape]
    return [simple for part in shape.geoms for simple in _parts(part)]


def _in_one_piece(shape: BaseGeometry) -> BaseGeometry:
    """Undo a cut, or a jump, at the antimeridian: of two layouts, the narrower is meant."""
    west, _, east, _ = shapely.bounds(shape)
    if east - west <= HALF_TURN:
        return shape

    def eastward(xy: np.ndarray) -> np.ndarray:
        return np.column_stack([np.where(xy[:, 0] < 0, xy[:, 0] + FULL_TURN, xy[:, 0]), xy[:, 1]])

    moved = shapely.transform(shape, eastward)
    if not shapely.is_valid(moved):
        moved = shapely.make_valid(moved)
    new_west, _, new_east, _ = shapely.bounds(moved)
    is_narrower = new_east - new_west < east - west and shapely.area(moved) > 0
    return _polygons(shapely.union_all(moved)) if is_narrower else shape
