"""[indices], [[boundaries]] and [time]: the products, their zones and their time axis."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from pydantic import Field

from spatial_assets.project.base import Table, Tuple

# An asset name, a table name and part of `validated_<name>`: Postgres truncates at 63 bytes.
BOUNDARY_NAME = r"^[a-z][a-z0-9_]{0,39}$"
AUTHORITY_CODE = r"^[A-Za-z]+:[A-Za-z0-9_.]+$"


class IndexSettings(Table):
    """Spectral indices to compute."""

    names: Tuple[str] = Field(
        default=("ndvi",), min_length=1, description="spectral indices", examples=[["ndvi"]]
    )


class BoundarySettings(Table):
    """One set of boundaries."""

    name: str = Field(
        pattern=BOUNDARY_NAME,
        description="a name of at most 40 lower-case letters, digits and underscores",
        examples=["regions"],
    )
    source: str = Field(
        min_length=1,
        description="any vector file GDAL reads, local or s3://",
        examples=["boundaries/regions.gpkg"],
    )
    layer: str | None = Field(
        default=None,
        description="the layer to read, if the file has several",
        examples=["regions"],
    )
    key: str = Field(
        min_length=1,
        description="the column that identifies a feature",
        examples=["region_id"],
    )
    columns: Tuple[str] = Field(
        default=(), description="other columns to keep", examples=[["name"]]
    )
    on_invalid: Literal["repair", "quarantine", "refuse"] = Field(
        default="repair", description="the treatment of an invalid feature", examples=["repair"]
    )
    crs: str | None = Field(
        default=None,
        pattern=AUTHORITY_CODE,
        description="the CRS of a source that declares none, as authority:code",
        examples=["EPSG:3794"],
    )
    on_inaccurate_crs: Literal["warn", "refuse"] = Field(
        default="warn",
        description="the treatment of a source whose coordinates PROJ takes to WGS 84 with an "
        "unknown accuracy, or one worse than 5 m",
        examples=["refuse"],
    )


class TimeSettings(Table):
    """Start, end and period of the time axis, and the composite of a period."""

    start: dt.date | None = Field(
        default=None,
        description="the first day of the time axis, without quotes",
        examples=[dt.date(2023, 1, 1)],
    )
    end: dt.date | None = Field(
        default=None,
        description="the day that the time axis reaches once it is past, without quotes",
        examples=[dt.date(2023, 12, 31)],
    )
    period: Literal["day", "dekad", "month", "year"] = Field(
        default="month", description="the length of a step of the time axis", examples=["month"]
    )
    composite: Literal["median", "max", "latest"] = Field(
        default="median",
        description="the method that combines the scenes of a period",
        examples=["median"],
    )
