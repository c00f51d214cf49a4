"""[area]: a box, or a file of polygons."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from spatial_assets.errors import SettingsError
from spatial_assets.geo.lonlat import BBox
from spatial_assets.project.base import Problem, Table, refusal, settings_error

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

_BBOX_REMEDY = "write west, south, east, north in degrees, e.g. 15.0, 45.06, 16.44, 46.95"


def _check_bbox(value: object) -> object:
    """Refuse all but four finite degrees in order; west > east crosses the antimeridian."""
    is_numbers = isinstance(value, list | tuple) and all(
        isinstance(edge, int | float) and not isinstance(edge, bool) and math.isfinite(edge)
        for edge in value
    )
    if not is_numbers or len(value) != 4:  # type: ignore[arg-type]  # noqa: PLR2004  (west, south, east, north)
        raise refusal("not four numbers", _BBOX_REMEDY)
    west, south, east, north = (float(edge) for edge in value)  # type: ignore[attr-defined]
    if not (-180 <= west <= 180 and -180 <= east <= 180):  # noqa: PLR2004  (degrees)
        raise refusal("a longitude is outside -180 to 180", _BBOX_REMEDY)
    if not (-90 <= south <= 90 and -90 <= north <= 90):  # noqa: PLR2004  (degrees)
        raise refusal("a latitude is outside -90 to 90", _BBOX_REMEDY)
    if south >= north or west == east:
        raise refusal(
            "has no area: south must be below north, and west differ from east", _BBOX_REMEDY
        )
    return (west, south, east, north)


BBoxSetting = Annotated[BBox, BeforeValidator(_check_bbox)]


class AreaSettings(Table):
    """A box, or a file of polygons."""

    bbox: BBoxSetting | None = Field(
        default=None,
        description="[west, south, east, north] in degrees; west > east crosses the antimeridian",
        examples=[[15.0, 45.06, 16.44, 46.95]],
    )
    file: str | None = Field(
        default=None, description="a vector file of polygons", examples=["area.geojson"]
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        """Refuse an area that is given twice or not at all."""
        if (self.bbox is None) == (self.file is None):
            wrong = "bbox and file are both missing" if self.bbox is None else "both bbox and file"
            raise refusal(wrong, "give exactly one of bbox and file")
        return self


def lonlat_geometry(
    bbox: BBox | None, vector_file: str | None, *, key: str, root: Path, file: str
) -> BaseGeometry:
    """Return the box, or the union of the file's polygons, in longitude and latitude.

    Args:
        bbox: a box in degrees; it is preferred to the file.
        vector_file: path of a vector file, absolute or relative to `root`.
        key: setting that names the vector file, for the message.
        root: the project folder.
        file: path of the project file, for the message.

    Raises:
        SettingsError: the vector file cannot be read, or holds no valid area.
    """
    from spatial_assets.project.polygons import box_polygon, read_area

    if bbox is not None:
        return box_polygon(*bbox)
    try:
        return read_area(root / (vector_file or ""))
    except SettingsError as error:
        wrong, _, remedy = str(error).partition("; ")
        problem = Problem(key=key, value=vector_file, wrong=wrong, remedy=remedy)
        raise settings_error([problem], file) from error
