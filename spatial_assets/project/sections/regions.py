"""[regions]: named parts of the area, for their own freshness windows and for jobs."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from spatial_assets.project.base import Table, Tuple, refusal
from spatial_assets.project.sections.area import BBoxSetting
from spatial_assets.project.sections.products import BOUNDARY_NAME
from spatial_assets.project.times import Cron

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from spatial_assets.geo.grid.partitioning import Partitioning


JOBS = ("tiles", "boundaries")
"""Names of the jobs of every project, which no region may have."""

_ONE_OF = "give exactly one of area, bbox and tiles"


def _check_name(name: str) -> str:
    """Refuse the name of a job."""
    if name in JOBS:
        raise refusal("is the name of a job of every project", "choose another name")
    return name


RegionName = Annotated[str, Field(pattern=BOUNDARY_NAME), AfterValidator(_check_name)]


class RegionSettings(Table):
    """A part of the area: tiles that touch a box or a file's polygons, or that match patterns."""

    area: str | None = Field(
        default=None, description="a vector file of polygons", examples=["coast.geojson"]
    )
    bbox: BBoxSetting | None = Field(
        default=None,
        description="[west, south, east, north] in degrees; west > east crosses the antimeridian",
        examples=[[15.0, 45.06, 15.4, 45.5]],
    )
    tiles: Tuple[str] | None = Field(
        default=None,
        min_length=1,
        description="tile keys, as patterns",
        examples=[["12022*"]],
    )
    cron: Cron | None = Field(
        default=None,
        description="a cron schedule in UTC on which its tiles are computed",
        examples=["0 4 * * 1"],
    )

    @model_validator(mode="after")
    def _one_of_three(self) -> Self:
        """Refuse a region that is given in several ways or not at all."""
        given = [name for name in ("area", "bbox", "tiles") if getattr(self, name) is not None]
        if len(given) != 1:
            wrong = " and ".join(given) or "neither area nor bbox nor tiles"
            raise refusal(f"has {wrong}", _ONE_OF)
        return self

    @property
    def selector(self) -> tuple[str, object]:
        """Key that selects the tiles, and its value."""
        return next(
            (name, value)
            for name in ("area", "bbox", "tiles")
            if (value := getattr(self, name)) is not None
        )


Regions = Mapping[RegionName, RegionSettings]


def tiles_of_region(
    region: RegionSettings, geometry: BaseGeometry | None, partitioning: Partitioning
) -> tuple[str, ...]:
    """Return the tiles of a region, in the order of the partitions; regions may overlap."""
    if geometry is not None:
        return partitioning.touching(geometry)
    patterns = region.tiles or ()
    return tuple(
        key for key in partitioning.keys if any(fnmatchcase(key, each) for each in patterns)
    )
