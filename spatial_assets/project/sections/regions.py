"""[regions]: named parts of the area, for windows of their own and for jobs."""

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
"""Jobs of every project: a region of that name would be taken for one."""

_ONE_OF = "give exactly one of area, bbox and tiles"


def _check_name(name: str) -> str:
    """Refuse what is the name of something else."""
    if name in JOBS:
        raise refusal("is the name of a job of every project", "choose another name")
    return name


RegionName = Annotated[str, Field(pattern=BOUNDARY_NAME), AfterValidator(_check_name)]


class RegionSettings(Table):
    """A part of the area: the tiles that a box or a file's polygons touch, or those of patterns."""

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
        description="keys of tiles, as patterns",
        examples=[["12022*"]],
    )
    cron: Cron | None = Field(
        default=None,
        description="when its tiles are made by the clock, as cron writes it, in UTC",
        examples=["0 4 * * 1"],
    )

    @model_validator(mode="after")
    def _one_of_three(self) -> Self:
        """A region is said once."""
        given = [name for name in ("area", "bbox", "tiles") if getattr(self, name) is not None]
        if len(given) != 1:
            wrong = " and ".join(given) or "neither area nor bbox nor tiles"
            raise refusal(f"has {wrong}", _ONE_OF)
        return self

    @property
    def place(self) -> tuple[str, object]:
        """The key that says where it is, and what it says."""
        return next(
            (name, value)
            for name in ("area", "bbox", "tiles")
            if (value := getattr(self, name)) is not None
        )


Regions = Mapping[RegionName, RegionSettings]


def tiles_of(
    region: RegionSettings, geometry: BaseGeometry | None, partitioning: Partitioning
) -> tuple[str, ...]:
    """The tiles of a region, in the order of the partitions; of several, a tile may be in each."""
    if geometry is not None:
        return partitioning.touching(geometry)
    patterns = region.tiles or ()
    return tuple(
        key for key in partitioning.keys if any(fnmatchcase(key, each) for each in patterns)
    )
